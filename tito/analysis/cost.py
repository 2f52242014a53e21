"""Rows added up: parameters, FLOPs, the exact training step, and the bytes that all of it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from tito.analysis.shapes import Shape
from tito.analysis.walk import Row, Tensor, Walk

FLOPS_PER_MAC = 2


@dataclass(frozen=True)
class Dtype:
    """Bits of a stored weight, bytes of an activation; and of the weight, gradient and master copy in training."""

    name: str
    weight_bits: int
    activation_bytes: int
    training: tuple[int, int, int]
    training_activation_bytes: int
    words: str


#: 16-bit training keeps a master copy in fp32 (Micikevicius et al. 2018, arXiv:1710.03740), so that a
#: parameter takes the same 8, 12 or 16 bytes in all as in fp32; integers are trained as fp32.
DTYPES = {
    "fp32": Dtype("fp32", 32, 4, (4, 4, 0), 4, "4 bytes a value"),
    "fp16": Dtype("fp16", 16, 2, (2, 2, 4), 2, "2 bytes a value; training keeps fp32 master weights"),
    "bf16": Dtype("bf16", 16, 2, (2, 2, 4), 2, "2 bytes a value; training keeps fp32 master weights"),
    "int8": Dtype("int8", 8, 1, (4, 4, 0), 4, "1 byte a value, scales not counted; training is in fp32"),
    "int4": Dtype(
        "int4", 4, 2, (4, 4, 0), 4, "half a byte a weight, fp16 activations, scales not counted; training is in fp32"
    ),
}

#: Bytes of optimizer state a parameter, kept in fp32: nothing, one moment, two.
OPTIMIZERS = {"sgd": 0, "momentum": 4, "adam": 8}


@dataclass(frozen=True)
class Options:
    """What the count depends on beside the model."""

    batch: int = 1
    dtype: str = "fp32"
    optimizer: str = "adam"


@dataclass(frozen=True)
class Model:
    """Which model it is: where its layers come from, and what they are fed."""

    name: str
    spec: str
    input_shape: Shape
    title: str = ""
    source: str = ""
    year: int | None = None
    seq: int | None = None


@dataclass(frozen=True)
class Memory:
    """Bytes of one training step, part by part; `kept` are the activations kept for backward."""

    weights: int
    gradients: int
    states: int
    buffers: int
    kept: int

    @property
    def per_model(self) -> int:
        """What does not depend on the batch."""
        return self.weights + self.gradients + self.states + self.buffers

    @property
    def total(self) -> int:
        """All of it."""
        return self.per_model + self.kept


@dataclass(frozen=True)
class Cost:
    """Every number about one model at one batch size; the JSON, CSV, tables and plots read this and nothing else."""

    model: Model
    options: Options
    rows: tuple[Row, ...]
    tensors: tuple[Tensor, ...]
    notes: tuple[str, ...] = ()

    @property
    def batch(self) -> int:
        """Examples in a step."""
        return self.options.batch

    @property
    def dtype(self) -> Dtype:
        """How values are stored."""
        return DTYPES[self.options.dtype]

    @cached_property
    def weights(self) -> int:
        """Parameters that are multiplied."""
        return sum(row.weights.value for row in self.rows)

    @cached_property
    def biases(self) -> int:
        """Parameters that are added."""
        return sum(row.biases.value for row in self.rows)

    @property
    def params(self) -> int:
        """All parameters, shared ones once."""
        return self.weights + self.biases

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of a forward pass of the batch."""
        return sum(row.macs.value for row in self.rows)

    @property
    def flops(self) -> int:
        """The headline: 2 x MACs."""
        return FLOPS_PER_MAC * self.macs

    @cached_property
    def bias_adds(self) -> int:
        """Additions of biases, which are not in the headline."""
        return sum(row.bias_adds.value for row in self.rows)

    @cached_property
    def training_flops(self) -> int:
        """Forward and exact backward."""
        return self.flops + FLOPS_PER_MAC * sum(row.backward_macs for row in self.rows)

    @cached_property
    def buffers(self) -> int:
        """Values that are stored and not learned: the running statistics of batch norm."""
        return sum(row.buffers for row in self.rows)

    @property
    def buffer_bytes(self) -> int:
        """Buffers stay in fp32."""
        return 4 * self.buffers

    @property
    def param_bytes(self) -> int:
        """Bytes of the parameters as stored, to the next whole byte."""
        return -(-self.params * self.dtype.weight_bits // 8)

    def bytes_of(self, tensor: int, training: bool = False) -> int:
        """Bytes of one tensor."""
        each = self.dtype.training_activation_bytes if training else self.dtype.activation_bytes
        found = self.tensors[tensor]
        return found.numbers * (found.bytes_each if found.bytes_each is not None else each)

    def output_bytes(self, row: Row) -> int:
        """Bytes of a row's result; nothing when it is a view of its input."""
        return 0 if row.output in row.reads else self.bytes_of(row.output)

    @property
    def activation_bytes(self) -> int:
        """All outputs."""
        return sum(self.output_bytes(row) for row in self.rows)

    @cached_property
    def saved_by_row(self) -> tuple[int, ...]:
        """Bytes that each row adds to what is kept for backward; a tensor kept twice counts at the first."""
        kept: set[int] = set()
        found = []
        for row in self.rows:
            fresh = set(row.keeps) - kept
            kept |= fresh
            found.append(sum(self.bytes_of(tensor, training=True) for tensor in fresh))
        return tuple(found)

    @property
    def saved_bytes(self) -> int:
        """Kept for backward."""
        return sum(self.saved_by_row)

    @cached_property
    def live_by_row(self) -> tuple[int, ...]:
        """Bytes alive while each row runs at inference: what it reads, writes, and what is still wanted later."""
        return _live(self)

    @property
    def live_bytes(self) -> int:
        """The largest live at inference."""
        return max(self.live_by_row, default=0)

    def memory(self, optimizer: str | None = None) -> Memory:
        """Bytes of a training step with this optimizer (the options' when none is named)."""
        weight, gradient, master = self.dtype.training
        state = OPTIMIZERS[optimizer or self.options.optimizer]
        return Memory(
            weights=weight * self.params,
            gradients=gradient * self.params,
            states=(master + state) * self.params,
            buffers=self.buffer_bytes,
            kept=self.saved_bytes,
        )

    @property
    def training_bytes(self) -> int:
        """All bytes of a training step."""
        return self.memory().total

    @property
    def inference_bytes(self) -> int:
        """Parameters, buffers and the largest live activations."""
        return self.param_bytes + self.buffer_bytes + self.live_bytes

    @property
    def not_counted(self) -> tuple[str, ...]:
        """Layers whose work is unknown; with any, totals are lower bounds."""
        return tuple(dict.fromkeys(row.note for row in self.rows if not row.counted))

    def totals(self) -> dict[str, int]:
        """The totals by their names in the JSON."""
        return {
            "params": self.params,
            "weights": self.weights,
            "biases": self.biases,
            "macs": self.macs,
            "flops": self.flops,
            "bias_adds": self.bias_adds,
            "training_flops": self.training_flops,
            "param_bytes": self.param_bytes,
            "activation_bytes": self.activation_bytes,
            "saved_bytes": self.saved_bytes,
            "live_bytes": self.live_bytes,
            "training_bytes": self.training_bytes,
        }


def _live(cost: Cost) -> tuple[int, ...]:
    """Walk the rows with a set of living tensors; dropout passes its input on, a view shares it."""
    same: dict[int, int] = {}

    def real(tensor: int) -> int:
        return same.get(tensor, tensor)

    for row in cost.rows:
        if row.idle:
            same[row.output] = real(row.reads[0])
    last: dict[int, int] = {}
    for number, row in enumerate(cost.rows):
        for tensor in (*row.reads, row.output):
            last[real(tensor)] = number
    alive: set[int] = {real(cost.rows[0].reads[0])} if cost.rows else set()
    found = []
    for number, row in enumerate(cost.rows):
        alive |= {real(tensor) for tensor in (*row.reads, row.output)}
        found.append(sum(map(cost.bytes_of, alive)))
        alive = {tensor for tensor in alive if last[tensor] > number}
    return tuple(found)


def add_up(model: Model, walk: Walk, options: Options, notes: Sequence[str] = ()) -> Cost:
    """The cost of a walked model."""
    return Cost(model, options, tuple(walk.rows), tuple(walk.tensors), (*dict.fromkeys(walk.notes), *notes))
