"""The specification language: what means the same, and what is said of what means nothing."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tito.analysis.cost import Cost, Options
from tito.analysis.insights import insights
from tito.analysis.models import Given, count, is_object, is_sizes, joined
from tito.analysis.shapes import Shape
from tito.analysis.spec import SpecError
from tito.errors import UsageError


def of(written: str, shape: Shape | None = None, batch: int = 1, seq: int | None = None) -> Cost:
    return count(written, Options(batch=batch), Given(shape, seq))


@pytest.mark.parametrize("written", ["784 256 10", "784-256-10", "784,256,10", "784, 256, 10", " 784 - 256 - 10 "])
def test_sizes_in_every_writing(written: str) -> None:
    """Catches a separator that is not read."""
    assert of(written).totals() == of("linear:784x256 linear:256x10").totals()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("gap linear:10 nobias", "gap linear:10nobias"),
        ("conv:8k3 nobias relu", "conv:8k3,nobias,relu"),
        ("conv:8k3", "conv:3x8k3x3s1p0g1d1"),
        ("conv:8k3psame", "conv2d:8k3p1"),
        ("pool2", "maxpool2d:2s2p0"),
        ("pool", "pool:2"),
        ("dwconv3p1", "conv:3k3p1g3"),
        ("flatten fc:10", "flatten dense:192x10"),
        ("3*(relu)", "relu relu relu"),
        ("2*conv:3k3p1", "conv:3k3p1 conv:3k3p1"),
        ("2 * ( conv:3k3p1 relu )", "conv:3k3p1 relu conv:3k3p1 relu"),
        ("2*conv:3k3p1 nobias", "conv:3k3p1 nobias conv:3k3p1 nobias"),
        ("res(conv:3k3p1)", "res(conv:3k3p1 | identity)"),
        ("first=conv:8k3 relu", "conv:8k3 relu"),
    ],
)
def test_writings_that_mean_the_same(one: str, other: str) -> None:
    """Catches an alias, a default or a repeat that differs from what it stands for."""
    shape = (3, 8, 8)
    assert of(one, shape).totals() == of(other, shape).totals()


def test_names_are_numbered_by_kind_and_labels_are_kept() -> None:
    """Catches two rows with one name."""
    rows = of("conv:3k3p1 relu a=(conv:3k3p1 relu) 2*(b=(relu)) res(relu) fc=(flatten linear:2)", (3, 8, 8)).rows
    assert [row.name for row in rows] == [
        *("conv1", "relu1", "a.conv1", "a.relu1", "b1", "b2"),
        *("res1.relu1", "res1.add", "fc.flatten1", "fc.linear1"),
    ]


def test_the_error_of_the_issue() -> None:
    """Catches an error that does not show how the inputs come about."""
    with pytest.raises(SpecError) as caught:
        of("conv:32k3 relu pool2 conv:64k3 relu pool2 flatten linear:1600x10", (3, 32, 32))
    assert caught.value.message == "linear:10 after flatten gets 64x6x6 = 2304 inputs; you wrote linear:1600x10"


@pytest.mark.parametrize(
    ("written", "shape", "parts"),
    [
        ("conv:8k3 foo", (3, 8, 8), ["foo", "8x6x6"]),
        ("conv:8k3 lineer:10", (3, 8, 8), ["lineer:10", "8x6x6"]),
        ("conv:8k3 linear:10", (3, 8, 8), ["linear:10", "conv:8k3", "8x6x6"]),
        ("conv:4x8k3", (3, 8, 8), ["conv:4x8k3", "3 channels", "4"]),
        ("pool2 conv:8k9", (3, 8, 8), ["conv:8k9", "pool2", "3x4x4", "9x9"]),
        ("conv:8k3g2", (3, 8, 8), ["conv:8k3g2", "3 channels", "2 groups"]),
        ("flatten conv:8k3", (3, 8, 8), ["conv:8k3", "flatten", "192", "channels x height x width"]),
        ("conv:8k", (3, 8, 8), ["conv:8k", "conv:[INx]OUTkK", "3x8x8"]),
        ("dropout1.5", (5,), ["dropout1.5", "from 0 to 1"]),
        ("res(conv:8k3)", (8, 9, 9), ["8x7x7", "8x9x9"]),
        ("cat(relu | pool2)", (8, 9, 9), ["8x9x9", "8x4x4"]),
        ("attn:64h5", (3, 64), ["attn:64h5", "64", "5 heads", "3x64"]),
        ("attn:32h4", (3, 64), ["attn:32h4", "64", "3x64"]),
        ("gap gap", (3, 8, 8), ["gap", "3"]),
        ("unembed", (3, 8), ["unembed", "embedding", "3x8"]),
        ("linear:0", (3,), ["linear:0", "at least 1"]),
        ("linear:99999999999999", (3,), ["10^12"]),
        ("res(relu", (3,), ["res(", ")"]),
        ("relu)", (3,), [")"]),
        ("3*", (3,), ["3*"]),
        ("relu nobias", (3,), ["nobias"]),
        ("relu:3", (3,), ["relu:3", "no numbers"]),
        ("30000*relu", (3,), ["20,000"]),
        ("200*(200*(relu))", (3,), ["20,000 layers"]),
    ],
)
def test_errors_name_the_token_what_was_expected_and_the_shape(written: str, shape: Shape, parts: list[str]) -> None:
    """Catches an error that leaves the reader to search."""
    with pytest.raises(UsageError) as caught:
        of(written, shape)
    for part in parts:
        assert part in caught.value.message, caught.value.message


def test_a_near_miss_is_suggested() -> None:
    """Catches an unknown layer without the one that was meant."""
    with pytest.raises(SpecError) as caught:
        of("lineer:10", (5,))
    assert "linear:OUT" in caught.value.hint


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("784 256 ten", "ten is not a size"),
        ("784x256x10", "separated by spaces"),
        ("784,,10", "separated by spaces"),
        ("784--10", "separated by spaces"),
        ("784,256,10,", "separated by spaces"),
        ("784.5 10", "784.5 is not a size"),
        ("784 1e3", "1e3 is not a size"),
        ("784 relu", "relu is not a size"),
        ("784", "one size is not a layer"),
        ("", "no model"),
        ("784 0 10", "at least 1"),
        ("@resnet5", "@resnet5 is not a preset"),
        ("@lenet5 relu", "stands alone"),
        ("linear:10", "does not say what it is fed"),
        ("embed:10x4", "number of tokens"),
        ("block:8h2", "length of its sequence"),
    ],
)
def test_what_cannot_be_counted_is_said(written: str, said: str) -> None:
    """Catches a crash or a silent guess."""
    with pytest.raises(UsageError, match=said.replace("(", "[(]")):
        of(written)


@pytest.mark.parametrize(
    ("copied", "typed"),
    [
        ("784\u2013256\u201310", "784-256-10"),
        ("linear:784\u00d710", "linear:784x10"),
        ("conv:3\u00d78k3\u00d75 \n\t relu", "conv:3x8k3x5 relu"),
        ("784    256\u00a010", "784 256 10"),
    ],
)
def test_signs_copied_from_a_page_are_those_of_the_keyboard(copied: str, typed: str) -> None:
    """Catches a multiplication sign or a dash of the printed page that is no layer."""
    assert joined([copied]) == joined([typed])
    shape = (3, 9, 9) if "conv" in typed else None
    assert of(joined([copied]), shape).totals() == of(typed, shape).totals()


def test_a_path_keeps_its_signs() -> None:
    """Catches a file's name that is changed before it is looked for."""
    assert joined(["a\u2013b.py:build"]) == "a\u2013b.py:build"


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("conv:8k4psame", (9, 10)),
        ("conv:8k2psame", (9, 10)),
        ("conv:8k3psame", (9, 10)),
        ("conv:8k4d3psame", (9, 10)),
        ("conv:8k4s2psame", (5, 5)),
        ("conv:8k2x5s3x1psame", (3, 10)),
    ],
)
def test_psame_keeps_the_size_of_even_kernels_too(written: str, size: tuple[int, int]) -> None:
    """Catches an even kernel that loses a row; with a stride the size is divided and rounded up."""
    assert of(written, (4, 9, 10)).rows[0].output_shape[1:] == size


@pytest.mark.parametrize(
    ("written", "shape", "hint"),
    [
        ("res(conv:8k3p1)", (4, 9, 9), "conv:8k1)"),
        ("res(conv:8k3s2p1)", (4, 9, 9), "conv:8k1s2)"),
        ("res(conv:4k3)", (4, 9, 9), "padding keeps the size"),
        ("res(linear:7)", (4,), "linear:7)"),
        ("res(linear:7)", (5, 4), "linear:7)"),
        ("res(flatten)", (4, 9, 9), "must give back"),
    ],
)
def test_the_hint_for_a_shortcut_is_one_that_fits(written: str, shape: Shape, hint: str) -> None:
    """Catches advice that leads to the next error."""
    with pytest.raises(SpecError) as caught:
        of(written, shape)
    assert hint in caught.value.hint
    if "res(... | " in caught.value.hint:
        layer = caught.value.hint.split(" | ")[1].removesuffix(")")
        assert of(f"{written.removesuffix(')')} | {layer})", shape).rows


def test_sizes_beyond_any_machine_are_an_error_and_no_overflow() -> None:
    """Catches an integer that no float can hold: branches joined again and again, a sequence without end."""
    with pytest.raises(SpecError, match="would give more than"):
        of("2000*(cat(|identity)) gap linear:10", (3, 8, 8))
    with pytest.raises(UsageError, match="--seq: larger than"):
        of("@gpt2", seq=10**12 + 1)
    largest = of("flatten linear:1000000000000", (10**12, 10**12, 10**12), batch=10**12)
    assert largest.macs == 10**60 and insights(largest)


def test_options_that_contradict_the_model_are_refused() -> None:
    """Catches an option that is silently ignored."""
    for given_input, seq, written in [((5,), None, "784 10"), (None, 7, "784 10"), ((3, 8, 8), 4, "conv:8k3")]:
        with pytest.raises(UsageError):
            of(written, given_input, seq=seq)


@pytest.mark.parametrize("written", ["model.py:build", "a/b.py:Net", "tinytorch.nn:model", "mod:x", "model.py"])
def test_objects_are_told_from_layers(written: str) -> None:
    """Catches a learner's object read as a layer."""
    assert is_object(written) and not is_sizes(written)


@pytest.mark.parametrize("written", ["linear:10", "conv:64k3", "784 10", "@gpt2", "relu", "embed:10x4", "784-10"])
def test_layers_are_told_from_objects(written: str) -> None:
    """Catches a layer that starts a child process."""
    assert not is_object(written)


VOCABULARY = """
relu linear:4 linear:3x4 linear:x conv:4k3p1 conv:4 conv:4k0 conv:4k3psame pool2 pool flatten gap bn ln attn:8h2
block:8h2 embed:5x8 tokens first cls unembed mlp:8 swiglu:4 dropout0.5 dropout9 pos:3 types:2 adaptpool:2 nobias
( ) | * 3* 2*( res( cat( = a= a=( , 7 -1 k3 0 x ² é psame foo:1 @ :
"""
WORDS = st.sampled_from(VOCABULARY.split())
SHAPES = st.one_of(
    st.tuples(st.integers(1, 9)), st.tuples(*[st.integers(1, 9)] * 2), st.tuples(*[st.integers(1, 9)] * 3)
)


@given(st.lists(WORDS, max_size=12).map(" ".join), SHAPES)
@example("cat( | )", (3, 4, 4))
@example("res( | relu)", (3,))
@example("a=a=a=a=relu", (3,))
def test_malformed_specifications_give_an_error_and_never_a_crash(written: str, shape: Shape) -> None:
    """Catches an exception that is not an error message."""
    try:
        cost = of(written, shape)
    except UsageError as error:
        assert error.message
    else:
        assert cost.totals()["params"] >= 0


@given(st.text(max_size=40))
def test_any_text_gives_a_count_or_an_error(written: str) -> None:
    """Catches a crash on characters nobody thought of."""
    try:
        of(written, (3, 8, 8))
    except UsageError as error:
        assert error.message


@pytest.mark.parametrize("deep", ["(" * 5000, "res(" * 5000, "2*" * 5000 + "relu", "a=" * 5000 + "relu", ")" * 5000])
def test_deep_nesting_is_an_error(deep: str) -> None:
    """Catches a RecursionError."""
    with pytest.raises(SpecError):
        of(deep, (3,))
