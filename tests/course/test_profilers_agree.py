"""The profilers that learners build count as `tito analyze` does. The package cannot import tito, so a test says so."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinytorch.core import layers, spatial
from tinytorch.core.tensor import ones
from tito.analysis.cost import Options
from tito.analysis.models import Given, count


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
