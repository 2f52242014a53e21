"""The three numbers of activations, counted by hand."""

from __future__ import annotations

import pytest

from tito.analysis.cost import Cost, Options
from tito.analysis.insights import insights
from tito.analysis.models import Given, count
from tito.analysis.shapes import Shape


def of(written: str, shape: Shape, batch: int = 1, dtype: str = "fp32") -> Cost:
    return count(written, Options(batch, dtype), Given(shape))


def test_two_layers_with_relu() -> None:
    """Catches an array kept twice: relu keeps its result, which the next layer keeps too."""
    cost = of("linear:5 relu linear:2", (3,))
    assert cost.activation_bytes == 4 * (5 + 5 + 2)
    assert cost.saved_bytes == 4 * (3 + 5)  # the input and the result of relu
    assert cost.live_bytes == 4 * (5 + 5)


def test_gelu_keeps_its_input() -> None:
    """Catches every activation treated as relu."""
    assert of("linear:5 gelu linear:2", (3,)).saved_bytes == 4 * (3 + 5 + 5)


def test_a_view_takes_nothing() -> None:
    """Catches a flatten that copies."""
    assert of("conv:2k1 flatten linear:3", (1, 4, 4)).activation_bytes == 4 * (32 + 3)


def test_dropout_keeps_a_mask_of_bytes_and_is_idle_at_inference() -> None:
    """Catches a mask in floats, and dropout that counts at inference."""
    cost = of("linear:8 dropout0.5 linear:2", (4,))
    assert cost.saved_bytes == 4 * 4 + 8 * 1 + 8 * 4
    assert cost.live_bytes == 4 * (4 + 8)
    assert of("linear:8 dropout0 linear:2", (4,)).saved_bytes == 4 * 4 + 8 * 4


def test_nothing_is_kept_before_the_first_parameters() -> None:
    """Catches activations kept for a gradient that nobody wants."""
    assert of("relu tanh pool2 relu", (3, 8, 8)).saved_bytes == 0


def test_a_shortcut_stays_alive_beside_the_branch() -> None:
    """Catches a residual input that is freed before it is added."""
    chain = of("linear:4 relu relu", (4,))
    residual = of("linear:4 res(relu relu)", (4,))
    assert chain.live_bytes == 4 * 8
    assert residual.live_bytes == 4 * 12


def test_attention_keeps_its_scores_once_as_probabilities() -> None:
    """Catches scores kept before and after softmax."""
    cost = of("attn:8h2", (5, 8))
    sequence, scores = 5 * 8, 2 * 5 * 5
    assert cost.activation_bytes == 4 * (5 * sequence + 2 * scores)  # q k v mix out, scores and probabilities
    assert cost.saved_bytes == 4 * (sequence + 3 * sequence + scores + sequence)  # x, q k v, probabilities, mix


@pytest.mark.parametrize(
    ("dtype", "weights", "outputs"), [("fp16", 2, 2), ("bf16", 2, 2), ("int8", 1, 1), ("int4", 0.5, 2)]
)
def test_smaller_types(dtype: str, weights: float, outputs: int) -> None:
    """Catches a type that only changes half of the numbers."""
    cost = of("linear:8", (4,), dtype=dtype)
    assert cost.param_bytes == 40 * weights
    assert cost.activation_bytes == 8 * outputs


# Distinct arrays that torchvision 0.29.1's models keep for backward, by torch.autograd.graph.saved_tensors_hooks:
# one image, fp32, operations not in place; without parameters, statistics of norms and indices of pooling
KEPT_BY_TORCH = {"resnet18": 20_574_208, "resnet50": 84_303_872}
# All results of their layers, by forward hooks, with those of the sums
RESULTS_IN_TORCH = {"resnet18": 29_910_944 + 3_010_560, "resnet50": 128_161_696 + 22_077_440, "vgg16": 114_704_288}


@pytest.mark.parametrize(("name", "size"), KEPT_BY_TORCH.items())
def test_what_is_kept_for_backward_is_what_torch_keeps(name: str, size: int) -> None:
    """Catches an array that is kept twice, or one that a norm, a sum or a pooling layer needs and is not kept."""
    assert count(f"@{name}").saved_bytes == size


@pytest.mark.parametrize(("name", "size"), RESULTS_IN_TORCH.items())
def test_all_outputs_are_those_of_torch(name: str, size: int) -> None:
    """Catches a view that counts, and a sum that does not."""
    assert count(f"@{name}").activation_bytes == size


def test_the_batch_where_activations_overtake() -> None:
    """Catches a crossing that is off by one."""
    found = {one.id: one.facts for one in insights(of("linear:5 relu linear:2", (3,)))}["activations-overtake"]
    batch = found["batch"]
    before, at = (of("linear:5 relu linear:2", (3,), batch=n).memory() for n in (batch - 1, batch))
    assert before.kept <= before.weights + before.gradients + before.states
    assert at.kept > at.weights + at.gradients + at.states


def test_halving_the_heaviest_layer_is_counted_and_not_guessed() -> None:
    """Catches savings that forget the layer behind, and a halved model with another number of classes."""
    found = {one.id: one.facts for one in insights(count("784 256 10"))}["heaviest-layer"]
    assert found["saved"] == count("784 256 10").params - count("784 128 10").params
    cnn = of("conv:8k3 flatten linear:10", (3, 8, 8))
    found = {one.id: one.facts for one in insights(cnn)}["heaviest-layer"]
    assert found["params_after"] == of("conv:4k3 flatten linear:10", (3, 8, 8)).params


@pytest.mark.parametrize(
    ("written", "smaller"),
    [
        ("3*block:64h4", "3*block:64h4f128"),
        ("2*(block:64h4kv2f300 nobias)", "2*(block:64h4kv2f150 nobias)"),
        ("block:h4", "block:64h4f128"),
        ("3*(ln swiglu:400 nobias)", "3*(ln swiglu:200 nobias)"),
        ("ffn=mlp:400 ln", "ffn=mlp:200 ln"),
    ],
)
def test_halving_a_feed_forward_layer_halves_it_in_every_block(written: str, smaller: str) -> None:
    """Catches a transformer that is not told what half its widest layers would save, and a bias or head lost in it."""
    found = {one.id: one.facts for one in insights(of(written, (8, 64)))}["heaviest-layer"]
    assert found["params_after"] == of(smaller, (8, 64)).params


def test_the_largest_of_equal_layers_is_not_said_to_be_alone() -> None:
    """Catches 2.7% of the parameters called the heaviest layer when two dozen hold as much."""
    found = {one.id: one for one in insights(of("3*block:64h4", (8, 64)))}
    assert found["heaviest-layer"].facts["equal_layers"] == 2  # up; down has a shorter bias
    assert "as 2 more layers do" in found["heaviest-layer"].text
    assert "as 5 more layers do" in found["most-work"].text
    assert "more layer" not in {one.id: one for one in insights(count("784 256 10"))}["heaviest-layer"].text


def test_the_length_where_attention_overtakes_its_projections() -> None:
    """Catches a crossing that is not where both are equal: T = 2·width."""
    found = {one.id: one.facts for one in insights(of("block:64h4", (32, 64)))}["attention-overtakes"]
    assert found["crossing"] == 128
    rows = of("attn:64h4", (128, 64)).rows
    assert sum(r.macs.value for r in rows if r.kind == "attention") == sum(
        r.macs.value for r in rows if r.kind == "linear"
    )


def test_a_linear_layer_of_the_same_shapes() -> None:
    """Catches a comparison with the wrong number of outputs."""
    found = {one.id: one.facts for one in insights(of("conv:64k3", (3, 32, 32)))}["convolution-against-linear"]
    linear = of("flatten linear:57600", (3, 32, 32))
    assert (found["linear_params"], found["linear_macs"]) == (linear.params, linear.macs)
