"""Archives that strangers made: one verdict each, and an honest neighbour that is collected all the same."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from grading.lessons import course
from hypothesis import given, settings
from hypothesis import strategies as st

from tito.grading.intake import archives
from tito.grading.intake.archives import STUDENT, Archive, BadArchive, Bounds
from tito.grading.intake.collect import collect
from tito.grading.intake.keeping import printable
from tito.grading.place import Place

LESSON = b"# %%\nx = 1\n"


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 2, 3, 4, 6)), data, method)
    return stream.getvalue()


def special(mode: int) -> bytes:
    """A ZIP whose second entry is no regular file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("layers_dev.py", LESSON)
        info = zipfile.ZipInfo("secret.py")
        info.create_system, info.external_attr = 3, (mode | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    return stream.getvalue()


def renamed(name: bytes) -> bytes:
    """A ZIP with an entry whose name no honest program writes."""
    plain = b"A" * len(name)
    return zipped({plain.decode(): LESSON}).replace(plain, name)


def encrypted() -> bytes:
    data = bytearray(zipped({"layers_dev.py": LESSON}))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def lying_small() -> bytes:
    """A ZIP that says of 50 million bytes that they are 100."""
    data = zipped({"layers_dev.py": b"#" * 50_000_000})
    return data.replace(struct.pack("<I", 50_000_000), struct.pack("<I", 100))


def overlapping() -> bytes:
    """Two entries that share their bytes."""
    data = bytearray(zipped({"a.py": LESSON, "b.py": LESSON}))
    second = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)
    struct.pack_into("<I", data, second + 42, 0)
    data[second + 46] = ord("a")
    return bytes(data)


def nested(depth: int) -> bytes:
    data = zipped({"layers_dev.py": LESSON})
    for _ in range(depth):
        data = zipped({"more.zip": data})
    return data


def tarred(member: tarfile.TarInfo, data: bytes = b"") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        lesson = tarfile.TarInfo("layers_dev.py")
        lesson.size = len(LESSON)
        archive.addfile(lesson, io.BytesIO(LESSON))
        archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def tar_link(kind: bytes) -> bytes:
    member = tarfile.TarInfo("secret.py")
    member.type, member.linkname = kind, "/etc/passwd"
    return tarred(member)


GOOD = zipped({"layers_dev.py": LESSON})
BAD: list[tuple[str, Callable[[], bytes], str, str]] = [
    ("parent", lambda: zipped({"../layers_dev.py": LESSON}), "a.zip", "leads out of the archive"),
    ("parent inside", lambda: zipped({"x/../../layers_dev.py": LESSON}), "a.zip", "leads out of the archive"),
    ("parent in what is ignored", lambda: zipped({".git/../../x.py": LESSON}), "a.zip", "leads out of the archive"),
    ("absolute", lambda: zipped({"/tmp/layers_dev.py": LESSON}), "a.zip", "absolute path"),
    ("backslash", lambda: renamed(b"..\\layers_dev.py"), "a.zip", "leads out"),
    ("backslashes", lambda: renamed(b"x\\layers_dev.py"), "a.zip", "backslashes"),
    ("drive", lambda: zipped({"C:/layers_dev.py": LESSON}), "a.zip", "drive letter"),
    ("NUL", lambda: renamed(b"layers_dev.py\0.txt"), "a.zip", "control characters"),
    ("control character", lambda: zipped({"layers\x1b[2J_dev.py": LESSON}), "a.zip", "control characters"),
    ("line end", lambda: zipped({"a\nb.py": LESSON}), "a.zip", "control characters"),
    ("long name", lambda: zipped({"a" * 250 + ".py": LESSON}), "a.zip", "too long"),
    ("long path", lambda: zipped({"a/" * 300 + "x.py": LESSON}), "a.zip", "too long"),
    ("symbolic link", lambda: special(stat.S_IFLNK), "a.zip", "symbolic link"),
    ("device", lambda: special(stat.S_IFCHR), "a.zip", "a device"),
    ("pipe", lambda: special(stat.S_IFIFO), "a.zip", "a device"),
    ("encrypted", encrypted, "a.zip", "encrypted"),
    ("other method", lambda: zipped({"layers_dev.py": LESSON}, zipfile.ZIP_LZMA), "a.zip", "by method 14"),
    ("bomb", lambda: zipped({"layers_dev.py": b"\0" * 30_000_000}), "a.zip", "a bomb"),
    ("lying bomb", lying_small, "a.zip", "damaged"),
    ("many files", lambda: zipped({f"{i}.txt": b"" for i in range(5_001)}), "a.zip", "more than 5,000 files"),
    ("deep", lambda: nested(4), "a.zip", "3 archives deep"),
    ("overlap", overlapping, "a.zip", "overlap"),
    ("two of one name", lambda: renamed_twin(b"A.py"), "a.zip", "2 times under one name"),
    ("two in case alone", lambda: zipped({"a.py": LESSON, "A.PY": b"y"}), "a.zip", "2 times under one name"),
    ("truncated", lambda: GOOD[:-30], "a.zip", "breaks off"),
    ("half", lambda: GOOD[: len(GOOD) // 2], "a.zip", "breaks off"),
    ("beginning lost", lambda: GOOD[20:], "a.zip", "cannot be read"),
    ("wrong checksum", lambda: zipped({"layers_dev.py": LESSON}, 0).replace(b"x = 1", b"x = 2"), "a.zip", "damaged"),
    ("no ZIP", lambda: b"I could not pack it", "a.zip", "no ZIP archive"),
    ("nothing", lambda: b"", "a.zip", "no ZIP archive"),
    ("empty ZIP", lambda: zipped({}), "a.zip", "there is no layers_dev.py"),
    ("bad inside good", lambda: zipped({"inner.zip": zipped({"../x.py": b""})}), "a.zip", "leads out"),
    ("tar link", lambda: tar_link(tarfile.SYMTYPE), "a.tar", "a link"),
    ("tar hard link", lambda: tar_link(tarfile.LNKTYPE), "a.tar", "a link"),
    ("tar device", lambda: tar_link(tarfile.CHRTYPE), "a.tar", "a device"),
    ("tar parent", lambda: tarred(tarfile.TarInfo("../x.py")), "a.tar", "leads out"),
    ("tar absolute", lambda: tarred(tarfile.TarInfo("/x.py")), "a.tar", "absolute"),
    ("no tar", lambda: b"x" * 2000, "a.tar", "damaged or no archive"),
    ("no gzip", lambda: b"x" * 2000, "a.tar.gz", "damaged or no archive|cannot be read"),
    ("half a gzip", lambda: gzip.compress(tarred(tarfile.TarInfo("y.py")))[:60], "a.tgz", "damaged or no archive"),
]


def renamed_twin(name: bytes) -> bytes:
    return zipped({"A.py": LESSON, "B.py": b"y = 1"}).replace(b"B.py", name)


@pytest.mark.parametrize(("make", "name", "reason"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_bad_archive_is_quarantined(make: Callable[[], bytes], name: str, reason: str, tmp_path: Path) -> None:
    """Catches an archive that writes where it likes, fills the machine, or keeps others from being collected."""
    source = tmp_path / "in"
    source.mkdir()
    mallory = f"mallory{name[1:]}"
    data = make()
    (source / mallory).write_bytes(data)
    (source / "alice.zip").write_bytes(GOOD)
    place = Place(tmp_path / "grading", course())
    collected = collect(place, course().resolve("03"), source)
    assert [taken.student for taken in collected.submissions] == ["alice"]
    (refused,) = collected.quarantined
    assert any(words in refused.reason for words in reason.split("|")), refused.reason
    kept = place.quarantine(course().resolve("03"))
    assert printable(refused.reason) in (kept / f"{refused.kept}.reason.txt").read_text(encoding="utf-8")
    assert (kept / refused.kept).read_bytes() == data
    inside = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert all(name.startswith(("in/", "grading/")) for name in inside)
    assert not any("mallory" in name for name in inside if name.startswith("grading/submitted"))


def test_bounds_hold_while_reading() -> None:
    """Catches a size that is believed because the archive says it."""
    archive = Archive(io.BytesIO(zipped({"x.py": b"ab" * 5_000})), "a.zip", STUDENT)
    with pytest.raises(BadArchive, match="more than 9,999 bytes"):
        archive.read(archive.entries[0], 9_999)
    with pytest.raises(BadArchive, match="would unpack to more than"):
        Archive(io.BytesIO(zipped({"x.py": b"ab" * 5_000})), "a.zip", Bounds(5, 9_999, 9_999))


def test_a_tar_is_bounded_while_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a gzip of many headers, or of one endless header, that is unpacked to its end."""
    monkeypatch.setattr(archives, "_MAX_TAR", 100_000)
    monkeypatch.setattr(archives, "_TAR_SLACK", 10_000)
    member = tarfile.TarInfo("big.txt")
    member.size = 5_000_000
    data = gzip.compress(tarred(member, b"\0" * member.size))
    with pytest.raises(BadArchive, match="unpacks to far more"):
        Archive(io.BytesIO(data), "a.tar.gz", STUDENT)


def test_a_directory_is_bounded_before_it_is_read() -> None:
    """Catches a list of a million entries that fills the memory before anybody counts it."""
    data = bytearray(GOOD)
    struct.pack_into("<I", data, len(data) - 10, 50_000_000)
    with pytest.raises(BadArchive, match="lists more than"):
        Archive(io.BytesIO(bytes(data)), "a.zip", STUDENT)


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tgz", "a.zip"])
def test_good_archives_are_read(name: str) -> None:
    """Catches an honest archive that is refused, and a time that is lost."""
    member = tarfile.TarInfo("./work/layers_dev.ipynb")
    member.size, member.mtime = 2, 1_700_000_000
    data = {"a.tar": tarred(member, b"{}"), "a.zip": zipped({"layers_dev.py": LESSON, "work/layers_dev.ipynb": b"{}"})}
    packed = data.get(name) or gzip.compress(data["a.tar"])
    archive = Archive(io.BytesIO(packed), name, STUDENT)
    assert [(entry.parts, entry.problem) for entry in archive.entries] == [
        (("layers_dev.py",), ""),
        (("work", "layers_dev.ipynb"), ""),
    ]
    assert [archive.read(entry) for entry in archive.entries] == [LESSON, b"{}"]
    if name != "a.zip":
        assert archive.entries[1].modified == 1_700_000_000


def test_the_time_in_a_zip_is_utc_where_it_says_so() -> None:
    """Catches a submission that is late by the difference of two time zones."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        info = zipfile.ZipInfo("layers_dev.py", (2001, 1, 1, 0, 0, 0))
        info.extra = struct.pack("<HHBi", 0x5455, 5, 1, 1_700_000_000)
        archive.writestr(info, LESSON)
    assert Archive(stream, "a.zip", STUDENT).entries[0].modified == 1_700_000_000


@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=4), st.booleans())
@settings(max_examples=300, deadline=None)
def test_any_damage_is_refused_or_read(at: int, junk: bytes, insert: bool) -> None:
    """Catches an exception that ends the collection of a whole class."""
    data = GOOD[:at] + junk + GOOD[at if insert else at + len(junk) :]
    try:
        archive = Archive(io.BytesIO(data), "a.zip", STUDENT)
        for entry in archive.entries:
            archive.read(entry)
    except BadArchive as refused:
        assert "a.zip" in refused.reason
