"""The quiz: right answers, and wrong ones by their slip."""

from __future__ import annotations

import pytest

from tito.analysis.cost import Options
from tito.analysis.models import Given, count
from tito.analysis.quiz import COLUMNS, Question, judge, questions
from tito.errors import UsageError


def first(written: str, column: str, batch: int = 1, shape: tuple[int, ...] | None = None) -> Question:
    return questions(count(written, Options(batch=batch), Given(shape)), column)[0]


@pytest.mark.parametrize("column", COLUMNS)
def test_the_right_answer_is_right_and_comes_with_its_arithmetic(column: str) -> None:
    """Catches an answer that is not what its arithmetic says."""
    cost = count("conv:8k3 relu pool2 flatten linear:10", Options(batch=4), Given((3, 10, 10)))
    for question in questions(cost, column):
        assert judge(question, f"{question.answer:,}").right
        assert f"{question.answer:,}" in question.arithmetic


@pytest.mark.parametrize("text", ["200960", "200,960", " 200_960 ", "200 960"])
def test_numbers_in_every_writing(text: str) -> None:
    """Catches a right number that is refused for its commas."""
    assert judge(first("784 256 10", "params"), text).right


@pytest.mark.parametrize(
    ("column", "given", "said"),
    [
        ("params", 784 * 256, "biases are forgotten"),
        ("params", 784 * 256 + 784, "a bias for each input"),
        ("macs", 2 * 32 * 784 * 256, "twice the MACs"),
        ("macs", 784 * 256, "batch of 32"),
        ("macs", 32 * (784 * 256 + 256), "bias additions"),
        ("flops", 32 * 784 * 256, "1 MAC = 2 FLOPs"),
        ("flops", 2 * 784 * 256, "batch of 32"),
        ("memory", 32 * 256, "number of values"),
        ("memory", 256 * 4, "batch of 32"),
    ],
)
def test_slips_of_a_linear_layer(column: str, given: int, said: str) -> None:
    """Catches a slip that is not recognised or is named as another."""
    verdict = judge(first("784 256 10", column, batch=32), str(given))
    assert not verdict.right and said in verdict.slip


@pytest.mark.parametrize(
    ("column", "given", "said"),
    [
        ("params", 64 * 3 * 3 + 64, "k², not k"),
        ("params", 64 * 3 + 64, "k² is missing"),
        ("params", 64 * 9 + 64, "input channels"),
        ("params", 3 * 9 + 64, "output channels"),
        ("macs", 30 * 30 * 64 * 3 * 3, "k², not k"),
        ("macs", 30 * 30 * 64 * 9, "input channels"),
        ("macs", 64 * 27, "height x width"),
        ("macs", 32 * 32 * 64 * 27, "not the input's"),
    ],
)
def test_slips_of_a_convolution(column: str, given: int, said: str) -> None:
    """Catches a slip of convolutions that is not recognised."""
    verdict = judge(first("conv:64k3", column, shape=(3, 32, 32)), str(given))
    assert not verdict.right and said in verdict.slip


@pytest.mark.parametrize(
    ("column", "given", "said"),
    [
        ("params", 64 * 3 * 9 + 10 * 576, "biases are forgotten"),
        ("params", 64 * 3 * 3 + 64 + 5770, "k², not k"),
        ("params", 64 * 9 + 64 + 5770, "input channels"),
        ("params", 4 * (1792 + 5770), "same for every batch"),
        ("macs", 2 * 4 * (9 * 1728 + 5760), "twice the MACs"),
        ("macs", 9 * 1728 + 5760, "batch of 4"),
        ("flops", 4 * (9 * 1728 + 5760), "1 MAC = 2 FLOPs"),
        ("flops", 2 * (9 * 1728 + 5760), "batch of 4"),
        ("flops", 2 * 4 * (9 * 64 * 9 + 5760), "input channels"),
        ("flops", 2 * 4 * (9 * 64 * 3 + 5760), "k² is missing"),
    ],
)
def test_a_slip_made_in_every_layer_is_named_in_the_total(column: str, given: int, said: str) -> None:
    """Catches a total that is only called wrong although every layer of it has the same slip."""
    cost = count("conv:64k3 relu flatten linear:10", Options(batch=4), Given((3, 5, 5)))
    verdict = judge(questions(cost, column)[-1], str(given))
    assert not verdict.right and said in verdict.slip


def test_a_forgotten_sequence_and_bits_are_named() -> None:
    """Catches a linear layer counted at one position, and bits given as bytes."""
    positions = questions(count("linear:8", given=Given((5, 6))), "macs")[0]
    assert "5 positions are missing" in judge(positions, "48").slip
    assert "bits" in judge(first("784 256 10", "memory"), str(8 * 256 * 4)).slip


@pytest.mark.parametrize(
    ("text", "right", "said"),
    [
        ("814120", True, ""),
        ("814.12 kB", True, ""),
        ("0.81 MB", False, ""),
        ("0.814 MB", True, ""),
        ("795.04 KiB", True, ""),
        ("814.12 KiB", False, "right in kB"),
        ("795 kB", False, "right in KiB"),
        ("203530", False, "each takes 4 bytes"),
        ("814 apples", False, "units are"),
    ],
)
def test_bytes_take_units_and_mixed_up_units_are_named(text: str, right: bool, said: str) -> None:
    """Catches MiB taken for MB."""
    total = questions(count("784 256 10"), "memory")[-1]
    verdict = judge(total, text)
    assert verdict.right is right and said in verdict.slip


@pytest.mark.parametrize("text", ["", "x", "1e400", "-5", "²", "nan", "9" * 5000, "1,,,", "0x10"])
def test_what_is_no_number_is_wrong_and_no_crash(text: str) -> None:
    """Catches an exception on an answer nobody thought of."""
    assert not judge(first("784 256 10", "params"), text).right
    assert not judge(first("784 256 10", "memory"), text).right


def test_a_model_without_the_column_is_refused() -> None:
    """Catches a quiz without questions that counts as passed."""
    with pytest.raises(UsageError):
        questions(count("relu", given=Given((3,))), "params")
