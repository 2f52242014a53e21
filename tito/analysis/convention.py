"""What is counted and what is not, in the words that stand under every table and in the JSON."""

from __future__ import annotations

from typing import Any

from tito.analysis.cost import DTYPES, OPTIMIZERS, Cost

COUNTING = (
    "1 MAC = 2 FLOPs. FLOPs are 2 x the MACs of linear layers, convolutions, attention products and output head.",
    "Bias additions have their own column; activations, pooling, norms and softmax count nothing; "
    "attention is counted dense.",
)
PARAMETERS = (
    "Tied weights count once; buffers are memory and not parameters; grouped convolutions divide by the groups."
)
TRAINING = (
    "Training is forward and exact backward: the first layer with weights needs no gradient of its input. "
    "The usual rule is 3 x forward."
)
ACTIVATIONS = (
    "Activations: all outputs; kept for backward (each array once, the input too where a layer keeps it); "
    "largest live at inference. Views and statistics of norms take nothing."
)


def memory_line(cost: Cost) -> str:
    """Bytes a value, and bytes a parameter while training."""
    words = cost.dtype.words
    states = OPTIMIZERS[cost.options.optimizer]
    each = sum(cost.dtype.training) + states
    return f"{cost.options.dtype}: {words}. Training with {cost.options.optimizer}: {each} bytes a parameter in all."


UNITS = "MB = 10^6 bytes, MiB = 2^20 bytes."


def to_json(cost: Cost) -> dict[str, Any]:
    """The convention as data."""
    weight, gradient, master = DTYPES[cost.options.dtype].training
    return {
        "flops_per_mac": 2,
        "text": [*COUNTING, PARAMETERS, TRAINING, ACTIVATIONS, memory_line(cost), UNITS],
        "dtype": cost.options.dtype,
        "weight_bits": cost.dtype.weight_bits,
        "activation_bytes": cost.dtype.activation_bytes,
        "optimizer": cost.options.optimizer,
        "training_bytes_per_parameter": {
            "weight": weight,
            "gradient": gradient,
            "states": master + OPTIMIZERS[cost.options.optimizer],
        },
    }
