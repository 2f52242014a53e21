"""The profilers that learners build count as `tito analyze` does. The package cannot import tito, so a test says so."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from itertools import pairwise
from math import prod
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from live_models import built

from tinytorch.core import layers, spatial
from tinytorch.core.tensor import ones
from tinytorch.perf.profiling import Profiler, fed, rows_of, watch
from tito.analysis import live
from tito.analysis.cost import Cost, Options
from tito.analysis.models import Given, count
from tito.analysis.spec import SpecError


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(1, 2000), min_size=3, max_size=7))
def test_layer_architecture_profiler_agrees(sizes: list[int]) -> None:
    """Catches a lesson and a tool that count by different conventions."""
    found = layers.LayerArchitectureProfiler(show=False).analyze_network_scaling(sizes[0], sizes[1:-1], sizes[-1])
    cost = count("-".join(map(str, sizes)))
    assert found["weight_parameters"] == cost.weights
    assert found["bias_parameters"] == cost.biases
    assert found["total_parameters"] == cost.params
    assert found["memory_bytes"] == cost.param_bytes
    assert found["num_layers"] == len(cost.rows)
    assert found["flops"] == cost.flops + cost.bias_adds
    for layer, row in zip(found["layer_details"], cost.rows, strict=True):
        assert (layer["total_parameters"], layer["weight_parameters"]) == (row.params.value, row.weights.value)


FAMOUS = {
    "LeNet-5": "@lenet5",
    "AlexNet": "@alexnet-2012",
    "VGG-16": "@vgg16",
    "ResNet-50": "@resnet50",
    "BERT-base": "@bert-base",
    "GPT-2 small": "@gpt2",
    "GPT-2": "@gpt2-xl",
}


def test_famous_architectures_of_the_lesson_have_the_counted_parameters() -> None:
    """Catches a stored number in the lesson that no count gives."""
    with redirect_stdout(StringIO()):
        found = layers.analyze_famous_architectures()
    assert set(FAMOUS) <= set(found)
    for name, preset in FAMOUS.items():
        assert found[name]["parameters"] == count(preset).params, name


@pytest.mark.parametrize("size", [1, 3, 5])
def test_convolution_profiler_agrees(size: int) -> None:
    """Catches a lesson that counts bias additions, a batch or the output's size differently."""
    layer = spatial.Conv2D(3, 8, (3, 3))
    with redirect_stdout(StringIO()):
        profiler = spatial.ConvolutionProfiler()
        found = profiler.profile_convolution_operation(layer, ones(2, 3, 12, 9), kernel_sizes=[(size, size)])
    one = found["detailed_results"][f"{size}x{size}"]
    cost = count(f"conv:8k{size}", Options(batch=2), Given(input=(3, 12, 9)))
    assert (one["parameters"], one["flops"]) == (cost.params, cost.flops)


def hold_against(model: layers.Module, cost: Cost, batch: int) -> None:
    """What the Profiler counts on a live model, and what was counted from its specification, number for number.

    Only dropout differs: in evaluation mode it passes its input on, and `all outputs` has what it makes in training.
    """
    profiler = Profiler(show=False)
    x = fed((batch, *cost.model.input_shape))
    assert profiler.count_parameters(model) == cost.params
    assert profiler.count_flops(model, x) == cost.flops
    assert profiler.count_bias_adds(model, x) == cost.bias_adds
    memory = profiler.measure_memory(model, x)
    dropped = sum(cost.output_bytes(row) for row in cost.rows if row.idle)
    assert memory["param_bytes"] == cost.param_bytes
    assert memory["buffer_bytes"] == cost.buffer_bytes
    assert memory["activation_bytes"] == cost.activation_bytes - dropped
    assert memory["live_bytes"] == cost.live_bytes
    assert memory["inference_bytes"] == cost.inference_bytes
    if memory["live_bytes"] > 1e5:  # of small arrays NumPy keeps some for itself, which nobody sees
        assert memory["peak_bytes"] >= memory["live_bytes"]
    masks = sum(cost.saved_by_row[n] for n, row in enumerate(cost.rows) if row.idle)
    assert memory["tape_bytes"] >= cost.saved_bytes - masks
    expected = [row for row in cost.rows if not row.idle and row.kind != "identity"]
    rows = rows_of(*watch(model, x))
    assert len(rows) == len(expected)
    for row, other in zip(rows, expected, strict=True):
        assert (row.params, row.macs, row.bias_adds) == (other.params.value, other.macs.value, other.bias_adds.value)
        assert row.output_bytes == cost.output_bytes(other)
        assert prod(row.shape) == batch * prod(other.output_shape)


SPECIFICATIONS = {
    "mlp": ("784 256 10", None, 32),
    "mlp without biases": ("linear:20x30 nobias gelu linear:5 nobias softmax", None, 7),
    "one layer": ("linear:3x4", None, 1),
    "lenet5": ("@lenet5", None, 1),
    "lenet5 batch 8": ("@lenet5", None, 8),
    "resnet18": ("@resnet18", (3, 32, 48), 2),
    "cifar": ("conv:32k3 relu pool2 conv:64k3 relu pool2 flatten linear:10", (3, 32, 32), 4),
    "windows": (
        "conv:5k3x5s2x1p1x2 relu pool3s2p1 conv:4k1 nobias avgpool2s1 flatten dropout0.3 linear:3",
        (2, 17, 14),
        3,
    ),
    "densenet121": ("@densenet121", (3, 32, 32), 1),
    "joined": ("conv:4k3p1 cat(conv:4k1 relu | conv:3k3p1 | pool3s1p1) conv:2k1 gap", (3, 6, 5), 2),
    "residual": ("linear:6x6 res(linear:6 relu) linear:3", None, 5),
    "nested": ("linear:9x8 2*(res(linear:16 gelu linear:8)) res(linear:4 | linear:4 tanh) linear:2", None, 3),
    "norms": ("conv:4k3p1 bn relu gap ln linear:6 bn sigmoid rmsnorm dropout linear:2", (1, 7, 7), 6),
    "functions alone": ("relu tanh leakyrelu", (4,), 2),
}


@pytest.mark.parametrize("name", SPECIFICATIONS)
def test_profiler_agrees_with_specifications_and_presets(name: str) -> None:
    """Catches an op attributed to the wrong layer, a sum taken for a bias, a view that takes memory, a lost batch."""
    written, shape, batch = SPECIFICATIONS[name]
    cost = count(written, Options(batch=batch), Given(shape))
    hold_against(built(cost.model), cost, batch)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(1, 60), min_size=2, max_size=6), st.integers(1, 9), st.sampled_from(["relu", "tanh", ""]))
def test_profiler_agrees_on_chains_of_any_size(sizes: Sequence[int], batch: int, between: str) -> None:
    """Catches a count that is right for the sizes of the lesson."""
    words = [f"linear:{inputs}x{outputs}" for inputs, outputs in pairwise(sizes)]
    written = f" {between} ".join(words)
    cost = count(written, Options(batch=batch))
    hold_against(built(cost.model), cost, batch)


@st.composite
def images(draw: st.DrawFn) -> tuple[str, tuple[int, int, int], int]:
    """A small convolutional network: its specification, its input and a batch."""
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    words = []
    for _ in range(draw(st.integers(1, 3))):
        (kh, kw), (down, right), (top, left) = draw(pair), draw(pair), draw(pair)
        bias = draw(st.sampled_from(["", " nobias"]))
        words.append(f"conv:{draw(st.integers(1, 5))}k{kh}x{kw}s{down}x{right}p{top}x{left}{bias}")
        words.append(draw(st.sampled_from(["relu", "bn", "pool2s1", "avgpool1", "res(bn relu)", "dropout0.5"])))
    words += draw(st.sampled_from([["flatten", "linear:3"], ["gap"], []]))
    shape = (draw(st.integers(1, 3)), draw(st.integers(6, 12)), draw(st.integers(6, 12)))
    return " ".join(words), shape, draw(st.integers(1, 4))


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(images())
def test_profiler_agrees_on_convolutional_networks_of_any_size(drawn: tuple[str, tuple[int, int, int], int]) -> None:
    """Catches rows and columns exchanged, and biases of a convolution without any."""
    written, shape, batch = drawn
    try:
        cost = count(written, Options(batch=batch), Given(shape))
    except SpecError:  # a window that does not fit
        reject()
    hold_against(built(cost.model), cost, batch)


TIED = """
from tinytorch.core.activations import relu
from tinytorch.core.layers import Linear, Module, Sequential


class Tied(Module):
    def __init__(self):
        self.first = Linear(4, 4)
        self.second = self.first
        self.last = Linear(4, 2)

    def forward(self, x):
        return self.last(x + relu(self.second(self.first(x))))
"""


def test_profiler_agrees_on_a_live_model_with_tied_weights(tmp_path: Path) -> None:
    """Catches tied weights counted twice, or their work once, by either of the two."""
    (tmp_path / "tied.py").write_text(TIED, encoding="utf-8")
    names: dict[str, type[layers.Module]] = {}
    exec(TIED, names)
    cost = live.count_object(Path(__file__).parents[2], tmp_path, "tied.py:Tied", Options(batch=3), Given())
    model = names["Tied"]()
    hold_against(model, cost, 3)
    assert (cost.params, cost.macs) == (20 + 10, 3 * (2 * 16 + 8))


def test_profile_layer_and_profile_forward_add_up_to_the_counted_totals() -> None:
    """Catches a profile whose totals are not those of the counts, or a layer profiled without its batch."""
    cost = count("@lenet5", Options(batch=3))
    model = built(cost.model)
    profiler, shape = Profiler(show=False), (3, *cost.model.input_shape)
    whole = profiler.profile_layer(model, shape, warmup=0, iterations=1)
    parts = profiler.profile_forward(model, shape, warmup=0, iterations=1)
    expected = {"params": cost.params, "macs": cost.macs, "flops": cost.flops, "bias_adds": cost.bias_adds}
    assert parts["totals"] == expected
    assert {key: whole[key] for key in expected} == expected
    assert whole["param_bytes"] == cost.param_bytes
    assert whole["output_bytes"] == cost.output_bytes(cost.rows[-1])
    last = parts["layers"][-1]
    assert (last["flops"], last["output_bytes"]) == (2 * cost.rows[-1].macs.value, cost.output_bytes(cost.rows[-1]))
