"""Models of the package itself, counted from a watched forward pass, agree with their specifications to the integer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tito.analysis import live
from tito.analysis.cost import Options
from tito.analysis.models import Given, count

ROOT = Path(__file__).parents[2]
MODELS = """
from tinytorch.core.activations import GELU, ReLU, Sigmoid, Softmax, Tanh, relu
from tinytorch.core.layers import Dense, Dropout, Flatten, Linear, Module, Sequential, flatten, linear


def layers():
    return Sequential(
        Linear(784, 256), ReLU(), Dropout(0.5), Dense(256, 128), GELU(), Linear(128, 64, bias=False), Tanh(),
        Linear(64, 32), Sigmoid(), Linear(32, 10), Softmax(),
    )


class Functions(Module):
    def __init__(self):
        super().__init__()
        self.first, self.body, self.last = Linear(6, 6), Linear(6, 6), Linear(6, 3)

    def forward(self, x):
        x = self.first(x)
        return self.last(x + relu(self.body(x)))


class Images(Module):
    def __init__(self):
        super().__init__()
        self.stages = [Flatten(), Linear(48, 5)]

    def forward(self, x):
        for stage in self.stages:
            x = stage(x)
        return x


class Tied(Module):
    def __init__(self):
        super().__init__()
        self.first = Linear(4, 4)
        self.second = self.first

    def forward(self, x):
        return self.second(self.first(x))


class Borrowed(Module):
    def __init__(self):
        super().__init__()
        self.first = Linear(4, 4)

    def forward(self, x):
        return linear(self.first(x), self.first.weight, self.first.bias)
"""

PAIRS = {
    "layers": (
        "linear:784x256 relu dropout0.5 linear:128 gelu linear:64 nobias tanh linear:32 sigmoid linear:10 softmax",
        None,
    ),
    "Functions": ("linear:6x6 res(linear:6 relu) linear:3", None),
    "Images": ("flatten linear:5", (3, 4, 4)),
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "built.py").write_text(MODELS, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("name", PAIRS)
def test_live_models_agree_with_their_specifications(name: str, place: Path) -> None:
    """Catches a change of a module's attributes or operations that the tool no longer understands."""
    written, shape = PAIRS[name]
    found = live.count_object(ROOT, place, f"built.py:{name}", Options(batch=4), Given(shape))
    assert found.totals() == count(written, Options(batch=4), Given(shape)).totals()
    assert not found.not_counted and not found.notes


def test_a_layer_under_two_names_counts_once(place: Path) -> None:
    """Catches shared parameters counted twice."""
    found = live.count_object(ROOT, place, "built.py:Tied", Options(), Given())
    assert (found.params, found.macs) == (20, 32)


def test_a_linear_op_outside_of_any_layer_counts(place: Path) -> None:
    """Catches products and biases that are seen in layers only."""
    found = live.count_object(ROOT, place, "built.py:Borrowed", Options(batch=3), Given())
    assert (found.params, found.macs, found.bias_adds) == (20, 3 * 32, 3 * 8)
    assert [row.kind for row in found.rows] == ["linear", "linear"] and not found.notes
