"""A quiz: a column of a model's table is hidden, the learner fills it in, and a wrong number is named by its slip."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tito.analysis import shapes
from tito.analysis.cost import FLOPS_PER_MAC, Cost
from tito.analysis.expr import grouped
from tito.analysis.units import IEC, SI
from tito.analysis.walk import Row
from tito.errors import UsageError

SCHEMA = "tito.analyze.check/1"
COLUMNS = ("params", "macs", "flops", "memory")


@dataclass(frozen=True)
class Question:
    """One hidden number: what is asked, the answer, the arithmetic behind it, and wrong answers by their slips.

    A question about bytes takes any unit, and a rounded answer within half a percent.
    """

    layer: str
    text: str
    answer: int
    arithmetic: str
    slips: tuple[tuple[int, str], ...] = ()
    in_bytes: bool = False


@dataclass(frozen=True)
class Verdict:
    """What came of one answer."""

    question: Question
    given: str
    right: bool
    slip: str = ""

    def to_json(self) -> dict[str, Any]:
        """Question, answer given, right answer, slip."""
        return {
            "layer": self.question.layer,
            "question": self.question.text,
            "given": self.given,
            "answer": self.question.answer,
            "right": self.right,
            "slip": self.slip,
            "arithmetic": self.question.arithmetic,
        }


@dataclass(frozen=True)
class Score:
    """The answers to a quiz; those that never came are missing."""

    model: str
    column: str
    questions: tuple[Question, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def right(self) -> int:
        """How many were right."""
        return sum(verdict.right for verdict in self.verdicts)

    def to_json(self) -> dict[str, Any]:
        """All answers."""
        return {
            "schema": SCHEMA,
            "model": self.model,
            "column": self.column,
            "asked": len(self.questions),
            "answered": len(self.verdicts),
            "right": self.right,
            "answers": [verdict.to_json() for verdict in self.verdicts],
        }


def questions(cost: Cost, column: str, most: int = 8) -> tuple[Question, ...]:
    """The questions about one column, a layer each, and the total. Raises UsageError when it is empty."""
    makers: dict[str, Callable[[Cost, Row], Question | None]] = {
        "params": _params,
        "macs": _macs,
        "flops": _flops,
        "memory": _memory,
    }
    found = [question for row in cost.rows if (question := makers[column](cost, row)) is not None]
    if not found:
        raise UsageError(f"{cost.model.name} has nothing in the column {column} to ask for")
    return tuple(found[:most]) if len(found) > most else (*found, *_total(cost, column, found))


def _place(row: Row) -> str:
    return f"{row.name} ({shapes.text(row.input_shape)} to {shapes.text(row.output_shape)})"


def _params(cost: Cost, row: Row) -> Question | None:
    if not row.params:
        return None
    answer = row.params.value
    slips = [*_weight_slips(row, row.params.value - row.weights.value)]
    if row.biases:
        slips.append((row.weights.value, "the biases are forgotten"))
    if row.output_shape and row.kind == "linear" and row.biases:
        slips.append((row.weights.value + row.input_shape[-1], "a bias for each input; it is one for each output"))
    if cost.batch > 1:
        slips.append((cost.batch * answer, "parameters are the same for every batch"))
    return Question(row.name, f"parameters of {_place(row)}", answer, row.params.equation, tuple(slips))


def _weight_slips(row: Row, rest: int) -> Iterator[tuple[int, str]]:
    """Weights of a convolution with a factor missing; `rest` is what is added to them."""
    if row.kind != "conv":
        return
    out, inputs, height, width = row.weights.terms[0]
    yield out * inputs * height + rest, "the kernel has two sides: k², not k"
    yield out * inputs + rest, "the kernel's k² is missing"
    yield out * height * width + rest, "the input channels are missing"
    yield inputs * height * width + rest, "the output channels are missing"


def _missing(cost: Cost, row: Row) -> Iterator[tuple[int, str]]:
    """MACs of a row with a factor missing or exchanged."""
    macs = row.macs.value
    if cost.batch > 1:
        yield macs // cost.batch, f"that is one example: the batch of {grouped(cost.batch)} is missing"
    if row.kind == "linear" and len(row.input_shape) > 1:
        positions = shapes.size(row.input_shape[:-1])
        yield macs // positions, f"that is one position: the {grouped(positions)} positions are missing"
    if row.kind != "conv":
        return
    out, inputs, height, width = row.weights.terms[0]
    yield macs // height, "the kernel has two sides: k², not k"
    yield macs // (height * width), "the kernel's k² is missing"
    yield macs // inputs, "the input channels are missing"
    yield macs // out, "the output channels are missing"
    places = shapes.size(row.output_shape[1:])
    yield macs // places, "the places of the output (height x width) are missing"
    yield macs // places * shapes.size(row.input_shape[1:]), "the output's height x width counts, not the input's"


def _macs(cost: Cost, row: Row) -> Question | None:
    if not row.macs:
        return None
    macs = row.macs.value
    text = f"forward MACs of {_place(row)}, batch {grouped(cost.batch)}"
    slips = (
        (FLOPS_PER_MAC * macs, "these are FLOPs: twice the MACs"),
        (macs + row.bias_adds.value, "the bias additions are counted in; they have their own column"),
        *_missing(cost, row),
        (row.params.value, "that is the number of parameters"),
    )
    return Question(row.name, text, macs, row.macs.equation, slips)


def _flops(cost: Cost, row: Row) -> Question | None:
    if not row.macs:
        return None
    macs = row.macs.value
    text = f"forward FLOPs of {_place(row)}, batch {grouped(cost.batch)}"
    arithmetic = f"2·{row.macs} = {grouped(2 * macs)}"
    adds = row.bias_adds.value
    slips = (
        (macs, "these are MACs: 1 MAC = 2 FLOPs"),
        (FLOPS_PER_MAC * macs + adds, "the bias additions are counted in; they have their own column"),
        *((FLOPS_PER_MAC * number, slip) for number, slip in _missing(cost, row)),
        (row.params.value, "that is the number of parameters"),
    )
    return Question(row.name, text, FLOPS_PER_MAC * macs, arithmetic, slips)


def _memory(cost: Cost, row: Row) -> Question | None:
    size = cost.output_bytes(row)
    if not size or not row.macs:
        return None
    each = cost.dtype.activation_bytes
    factors = [cost.batch] if cost.batch > 1 else []
    factors += [*row.output_shape, each]
    arithmetic = f"{'·'.join(map(grouped, factors))} = {grouped(size)} B"
    slips = [(size // each, f"that is the number of values: each takes {each} bytes in {cost.options.dtype}")]
    if cost.batch > 1:
        slips.append((size // cost.batch, f"that is one example: the batch of {grouped(cost.batch)} is missing"))
    slips.append((2 * size, "twice too much"))
    slips.append((8 * size, "these are bits: a byte has 8"))
    text = f"bytes of the output of {_place(row)}, batch {grouped(cost.batch)}, {cost.options.dtype}"
    return Question(row.name, text, size, arithmetic, tuple(slips), in_bytes=True)


def _total(cost: Cost, column: str, found: Sequence[Question]) -> tuple[Question, ...]:
    """The total, when there is more than one layer to add."""
    if column == "memory":
        bits = cost.dtype.weight_bits
        arithmetic = f"{grouped(cost.params)}·{bits}/8 = {grouped(cost.param_bytes)} B"
        each = f"that is the number of parameters: each takes {bits // 8} bytes"
        slips: tuple[tuple[int, str], ...] = ((cost.params, each),) if bits > 8 else ()
        text = f"bytes of all parameters in {cost.options.dtype}"
        return (Question("total", text, cost.param_bytes, arithmetic, slips, in_bytes=True),) if cost.params else ()
    if len(found) < 2:
        return ()
    text, arithmetic = {
        "params": ("parameters in all", _sum(cost, "params")),
        "macs": ("forward MACs in all", _sum(cost, "macs")),
        "flops": ("forward FLOPs in all", f"2·{grouped(cost.macs)} = {grouped(cost.flops)}"),
    }[column]
    return (Question("total", text, sum(question.answer for question in found), arithmetic, _in_every(found)),)


def _in_every(found: Sequence[Question]) -> tuple[tuple[int, str], ...]:
    """Sums in which the same slip was made in each layer that allows it."""
    slips = dict.fromkeys(slip for question in found for _, slip in question.slips)
    wrong = [{slip: number for number, slip in question.slips} for question in found]
    return tuple(
        (sum(own.get(slip, question.answer) for own, question in zip(wrong, found, strict=True)), slip)
        for slip in slips
    )


def _sum(cost: Cost, which: str) -> str:
    parts = [getattr(row, which).value for row in cost.rows]
    total = sum(parts)
    return f"{' + '.join(grouped(part) for part in parts if part)} = {grouped(total)}"


def judge(question: Question, given: str) -> Verdict:
    """Compare an answer; name the slip when one explains it."""
    text = given.strip()
    number, unit = _number(text)
    if number is None:
        expected = "a size, such as 814 kB" if question.in_bytes else "a whole number"
        return Verdict(question, text, False, f"expected {expected}")
    if question.in_bytes:
        return _judge_bytes(question, text, number, unit)
    if unit:
        return Verdict(question, text, False, "expected a whole number, without a unit")
    if number == question.answer:
        return Verdict(question, text, True)
    slips = [slip for wrong, slip in question.slips if number == wrong]
    return Verdict(question, text, False, _either(slips) or _nearness(number, question.answer))


def _judge_bytes(question: Question, text: str, number: float, unit: str) -> Verdict:
    """Bytes in any unit, to half a percent; a number in the wrong family of units is named."""
    unit = unit or "B"
    if unit not in (*SI, *IEC):
        return Verdict(question, text, False, "units are B, kB, MB, GB or KiB, MiB, GiB")
    size = 1024 ** IEC.index(unit) if unit in IEC else 1000 ** SI.index(unit)
    exact = size == 1
    given = number * size

    def same(other: float, near: float = 0.005) -> bool:
        return given == other if exact else bool(abs(given - other) <= near * other)

    if same(question.answer):
        return Verdict(question, text, True)
    if not exact:
        power = IEC.index(unit) if unit in IEC else SI.index(unit)
        other = 1000**power if unit in IEC else 1024**power
        if abs(number * other - question.answer) <= 0.005 * question.answer:
            meant = (SI if unit in IEC else IEC)[power]
            return Verdict(question, text, False, f"{meant} and {unit} are mixed up: that number is right in {meant}")
    slips = [slip for wrong, slip in question.slips if same(wrong)]
    return Verdict(question, text, False, _either(slips) or _nearness(given, question.answer))


def _either(slips: list[str]) -> str:
    """The slips that explain one number, which with small factors may be two."""
    return ", or ".join(dict.fromkeys(slips))


def _number(text: str) -> tuple[float | None, str]:
    """'200,960' -> 200960; '0.81 MB' -> 0.81, 'MB'; nothing for what is no number."""
    match = re.fullmatch(r"([0-9][0-9,_' ]*(?:\.[0-9]+)?(?:e[0-9]{1,2})?)\s*([A-Za-z]*)", text)
    if not match or len(match[1]) > 60:
        return None, ""
    plain = re.sub(r"[,_' ]", "", match[1])
    number = int(plain) if plain.isdigit() else float(plain)
    names = {name.lower(): name for name in (*SI, *IEC)}
    return number, names.get(match[2].lower(), match[2])


def _nearness(given: float, answer: int) -> str:
    """A last remark when no slip fits."""
    if given and answer and given != answer:
        times = answer / given if given < answer else given / answer
        if times == round(times) and times <= 4096:
            return f"too {'small' if given < answer else 'large'} by a factor of {round(times):,}"
    return ""
