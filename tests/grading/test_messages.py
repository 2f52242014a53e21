"""What comes from a sandbox is read by somebody who trusts nothing of it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tito.grading.sandbox.messages import Malformed, Message, Reader
from tito.report import Outcome


def read(data: bytes, room: int = 1 << 20, piece: int = 1 << 16) -> list[Message]:
    reader = Reader(room)
    return [message for at in range(0, len(data), piece) for message in reader.feed(data[at : at + piece])]


def header(*leaves: Any) -> bytes:
    return json.dumps({"probe": 0, "leaves": leaves}).encode() + b"\n"


@pytest.mark.parametrize("piece", [1, 3, 7, 1000])
def test_messages_come_whole_however_the_bytes_do(piece: int) -> None:
    """Catches a reader that takes the bytes of an array for lines, or loses what comes in two parts."""
    a, b = np.arange(6, dtype="<f8").reshape(2, 3), np.array([10, 13], dtype="|i1")  # newlines in the bytes
    data = b'{"start": 0}\n{"cell": 0, "outcome": "time limit", "message": "m", "detail": "d", "kind": "K"}\n'
    data += b'{"ask": true}\n' + header(["a", "<f8", [2, 3]], ["none", "|u1", [0]], ["b", "|i1", [2]])
    data += a.tobytes() + b.tobytes() + b'{"done": true}\n'
    start, cell, ask, probe, done = read(data, piece=piece)
    assert (start.kind, ask.kind, done.kind) == ("start", "ask", "done")
    assert (cell.outcome, cell.message, cell.detail, cell.error) == (Outcome.TIMEOUT, "m", "d", "K")
    assert probe.arrays is not None
    assert list(probe.arrays) == ["a", "none", "b"]
    np.testing.assert_array_equal(probe.arrays["a"], a)
    np.testing.assert_array_equal(probe.arrays["b"], b)
    assert probe.arrays["none"].shape == (0,)


FORGED = {
    "objects": ["a", "|O", [1]],
    "a pickled type": ["a", "O8", [1]],
    "a big-endian number": ["a", ">f8", [1]],
    "text": ["a", "<U4", [1]],
    "dates": ["a", "<M8[D]", [1]],
    "a type with fields": ["a", "f8,f8", [1]],
    "a type that is none": ["a", "<f1", [1]],
    "a type that is a list": ["a", [["x", "<f8"]], [1]],
    "a negative axis": ["a", "<f8", [-1]],
    "a truth for an axis": ["a", "<f8", [True]],
    "a fraction of an axis": ["a", "<f8", [1.0]],
    "an endless axis": ["a", "<f8", [1 << 62]],
    "a product beyond all bounds": ["a", "<f8", [1 << 39, 1 << 39]],
    "no bytes and impossible axes": ["a", "<f8", [0, 1 << 39, 1 << 39]],
    "too many axes": ["a", "<f8", [1] * 100],
    "a shape that is none": ["a", "<f8", "12"],
    "a name that is none": [3, "<f8", [1]],
    "a name without end": ["a" * 1000, "<f8", [1]],
    "two parts": ["a", "<f8"],
}


@pytest.mark.parametrize("forged", FORGED)
def test_forged_headers(forged: str) -> None:
    """Catches a header that makes the grader allocate, unpickle or raise something unforeseen."""
    with pytest.raises(Malformed):
        read(header(FORGED[forged]) + bytes(64))


def test_sums_are_bounded() -> None:
    """Catches many small arrays that are large together, within one probe or over several."""
    with pytest.raises(Malformed, match="too large"):
        read(header(["a", "|u1", [60]], ["b", "|u1", [60]]), room=100)
    reader = Reader(100)
    assert len(list(reader.feed(header(["a", "|u1", [60]]) + bytes(60)))) == 1
    with pytest.raises(Malformed, match="too large"):
        list(reader.feed(header(["a", "|u1", [60]])))
    with pytest.raises(Malformed):
        read(header(*[[f"a{i}", "|u1", [0]] for i in range(1000)]))
    with pytest.raises(Malformed, match="one name"):
        read(header(["a", "|u1", [1]], ["a", "|u1", [1]]))


def test_a_truth_is_true_or_false() -> None:
    """Catches a byte of 2 for a truth value, which NumPy shows as True and compares as neither."""
    (message,) = read(header(["a", "|b1", [3]]) + bytes([0, 1, 2]))
    assert message.arrays is not None
    assert message.arrays["a"].view(np.uint8).tolist() == [0, 1, 1]


def test_a_line_heard_before_is_charged_again() -> None:
    """Catches arrays that cost nothing because another submission has announced the same ones."""
    line = header(["charged", "|u1", [60]])
    assert len(read(line + bytes(60), room=60)) == 1
    with pytest.raises(Malformed, match="too large"):
        read(line + bytes(60), room=59)


ARRAYS = {
    "other bytes": (["a", "<f4", [2, 3]], 1),
    "another name": (["b", "<f4", [2, 3]], 0),
    "another dtype": (["a", "<i4", [2, 3]], 0),
    "another shape": (["a", "<f4", [3, 2]], 0),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_what_counts_as_the_same_bytes(case: str) -> None:
    """Catches a shortcut of the comparison that looks at the bytes and not at what they stand for."""
    like = ["a", "<f4", [2, 3]]
    (first,), (again,) = read(header(like) + bytes(24)), read(header(like) + bytes(24))
    part, last = ARRAYS[case]
    (other,) = read(header(part) + bytes(23) + bytes([last]))
    assert first.arrays is not None and first.arrays.same_bytes(again.arrays)
    assert not first.arrays.same_bytes(other.arrays)
    assert not first.arrays.same_bytes(dict(first.arrays)), "only what came out of a sandbox has bytes"


LINES = {
    "no JSON": b"hello",
    "an empty line": b"",
    "a list": b"[1]",
    "deep nesting": b"[" * 60000,
    "a line without end": b"x" * (1 << 17),
    "a huge number": b'{"start": ' + b"9" * 5000 + b"}",
    "a negative cell": b'{"start": -1}',
    "a cell that is text": b'{"cell": "0", "outcome": "passed"}',
    "an outcome of its own": b'{"cell": 0, "outcome": "excellent"}',
    "an outcome that is a list": b'{"cell": 0, "outcome": []}',
    "a message that is none": b'{"cell": 0, "outcome": "failed", "message": 3}',
    "a skipped test": b'{"cell": 0, "outcome": "skipped"}',
    "nothing known": b'{"points": 100}',
    "broken UTF-8": b'{"cell": 0, "outcome": "failed", "message": "\xff"}',
}


@pytest.mark.parametrize("line", LINES)
def test_lines_that_are_no_message(line: str) -> None:
    """Catches an exception in the grader from a line that the program never writes."""
    with pytest.raises(Malformed):
        read(LINES[line] + b"\n")


def test_texts_can_be_stored_anywhere() -> None:
    """Catches half a character or a zero that a file or PostgreSQL refuses later, and texts without end."""
    said = {"cell": 0, "outcome": "failed", "message": "a\ud800\0b", "detail": "x" * 60000}
    (message,) = read(json.dumps(said).encode() + b"\n")
    assert message.message == "a?\N{REPLACEMENT CHARACTER}b"
    assert len(message.detail) == 5000


PIECES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b'{"start": 0}\n', b'{"ask": true}\n', b"\n", b'{"cell": 0, "outcome": "passed"}\n']),
    st.builds(
        lambda name, dtype, shape: header([name, dtype, shape]),
        st.text(max_size=3),
        st.sampled_from(["<f8", "|b1", "<c16", "<f2", "|O", "<f16", "<c32", "<u16"]),
        st.lists(st.integers(0, 5), max_size=3),
    ),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=8), st.integers(1, 50))
def test_no_bytes_raise_anything_else(pieces: list[bytes], piece: int) -> None:
    """Catches any input that ends the grader, or arrays whose sizes do not fit their headers."""
    try:
        messages = read(b"".join(pieces), piece=piece)
    except Malformed:
        return
    for message in messages:
        for array in (message.arrays or {}).values():
            assert array.dtype.kind in "biufc" and array.size <= 125
