"""One convolution taken apart: its output size, its patches, and what could stand in its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tito.analysis import shapes
from tito.analysis.cost import Cost, Options
from tito.analysis.document import document
from tito.analysis.insights import insights
from tito.analysis.layers import Conv, read
from tito.analysis.models import Given, count, first_word
from tito.analysis.report import with_explanations
from tito.analysis.rules import added_rows
from tito.analysis.shown import SHOWN, Shown
from tito.analysis.spec import parse
from tito.errors import UsageError


@dataclass(frozen=True)
class Instead:
    """Something between the same shapes: what it is, its parameters and MACs."""

    name: str
    params: int
    macs: int


@dataclass(frozen=True)
class Convolution:
    """One convolution and its cost."""

    cost: Cost
    layer: Conv
    shown: Shown = SHOWN

    @property
    def sizes(self) -> tuple[str, str]:
        """The arithmetic of the output's height and width."""
        (_, height, width), row = self.cost.model.input_shape, self.cost.rows[0]
        return tuple(  # type: ignore[return-value]
            _size_arithmetic(n, k, s, more, d, out)
            for n, k, s, more, d, out in zip(
                (height, width),
                self.layer.kernel,
                self.layer.stride,
                added_rows(self.layer),
                self.layer.dilation,
                row.output_shape[1:],
                strict=True,
            )
        )

    @property
    def patch_values(self) -> int:
        """Values in the matrix of patches that one matrix product reads (im2col), for the batch."""
        row = self.cost.rows[0]
        return (
            self.cost.batch
            * row.input_shape[0]
            * self.layer.kernel[0]
            * self.layer.kernel[1]
            * shapes.size(row.output_shape[1:])
        )

    @property
    def patch_bytes(self) -> int:
        """Bytes of that matrix."""
        return self.patch_values * self.cost.dtype.activation_bytes

    @property
    def instead(self) -> tuple[Instead, ...]:
        """A linear layer, a depthwise and pointwise pair, and stacked 3x3 layers for a larger kernel."""
        return tuple(_instead(self))

    def to_json(self) -> dict[str, Any]:
        """The layer's document, with its patches and what could replace it."""
        found = document(self.cost, insights(self.cost))
        found["convolution"] = {
            "kernel": list(self.layer.kernel),
            "stride": list(self.layer.stride),
            "padding": [more // 2 for more in added_rows(self.layer)],
            "patch_bytes": self.patch_bytes,
            "instead": [{"name": one.name, "params": one.params, "macs": one.macs} for one in self.instead],
        }
        return with_explanations(found, "flops", self.cost) if self.shown.explain else found


def _size_arithmetic(n: int, k: int, s: int, more: int, d: int, out: int) -> str:
    """'(32 + 2·1 - 3)/2 + 1 = 16, rounded down'."""
    span = d * (k - 1) + 1
    spread = f" [{d}·({k} - 1) + 1 = {span} wide]" if d > 1 else ""
    rounded = ", rounded down" if (n + more - span) % s else ""
    padding = f"2·{more // 2}" if more % 2 == 0 else f"{more}"
    return f"({n} + {padding} - {span})/{s} + 1 = {out}{rounded}{spread}"


def _instead(conv: Convolution) -> list[Instead]:
    cost, layer = conv.cost, conv.layer
    row = cost.rows[0]
    inputs, outputs = row.input_shape, row.output_shape
    bias = 1 if layer.bias else 0
    batch, place = cost.batch, shapes.size(outputs[1:])
    flat_in, flat_out = shapes.size(inputs), shapes.size(outputs)
    found = [Instead("this convolution", row.params.value, row.macs.value)]
    found.append(
        Instead("linear, same shapes", flat_in * flat_out + bias * flat_out, batch * flat_in * flat_out),
    )
    area = layer.kernel[0] * layer.kernel[1]
    if layer.out and layer.groups == 1 and area > 1:
        depth = inputs[0] * area + bias * inputs[0]
        point = inputs[0] * outputs[0] + bias * outputs[0]
        macs = batch * place * (inputs[0] * area + inputs[0] * outputs[0])
        found.append(Instead("depthwise, then 1x1", depth + point, macs))
    side = layer.kernel[0]
    if layer.out and layer.groups == 1 and layer.kernel == (side, side) and side in (5, 7) and layer.stride == (1, 1):
        found.append(_stacked(side, inputs[0], outputs[0], bias, batch * place))
    return found


def _stacked(side: int, inputs: int, out: int, bias: int, places: int) -> Instead:
    """3x3 layers that together see as far as one of this side, counted at the same output size."""
    many = (side - 1) // 2
    weights = 9 * inputs * out + (many - 1) * 9 * out * out
    return Instead(f"{many} layers of 3x3, same reach", weights + many * bias * out, places * weights)


def analyze(written: str, options: Options, given: Given, shown: Shown) -> Convolution:
    """Count one convolution. Raises UsageError when the words are not one."""
    cost = count(written, options, given)
    word = first_word(parse(written))
    layer = read(word.text, word.bias) if word else None
    if len(cost.rows) != 1 or not isinstance(layer, Conv):
        raise UsageError(f"{written} is not one convolution", "tito analyze conv 3 64 3 --size 32x32")
    return Convolution(cost, layer, shown)


def written(numbers: Sequence[int], *, stride: str, padding: str, groups: int, dilation: str, bias: bool) -> str:
    """The specification of a convolution given by its numbers."""
    inputs, out, kernel = numbers
    usual = {"s": "1", "p": "0", "g": "1", "d": "1"}
    asked = {"s": stride, "p": padding, "g": str(groups), "d": dilation}
    letters = "".join(f"{letter}{value}" for letter, value in asked.items() if value != usual[letter])
    return f"conv:{inputs}x{out}k{kernel}{letters}{'' if bias else ' nobias'}"
