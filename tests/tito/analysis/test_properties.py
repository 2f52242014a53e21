"""What must hold for every model."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tito.analysis.cost import DTYPES, OPTIMIZERS, Cost, Options
from tito.analysis.document import document
from tito.analysis.insights import insights
from tito.analysis.models import Given, count
from tito.analysis.report import fit
from tito.analysis.shapes import Shape

LAYERS = st.sampled_from(
    [
        *("relu", "gelu", "tanh", "bn", "dropout0.3", "pool2", "conv:6k3p1", "conv:4k1 nobias", "conv:8k5p2s2"),
        *("dwconv3p1", "res(conv:8k3p1 relu | conv:8k1)", "2*(conv:5k3p1 relu)", "cat( | conv:3k1)", "avgpool2c"),
    ]
)
ENDS = st.sampled_from(
    ["", "gap", "flatten linear:7", "gap linear:9 relu linear:3 softmax", "tokens ln block:h1 first"]
)
MODELS = st.tuples(st.lists(LAYERS, min_size=1, max_size=4).map(" ".join), ENDS).map(" ".join)
IMAGE: Shape = (4, 64, 48)


def of(written: str, shape: Shape = IMAGE, **options: object) -> Cost:
    return count(written, Options(**options), Given(shape))  # type: ignore[arg-type]


@given(MODELS, st.integers(1, 64))
def test_parameters_do_not_depend_on_the_batch_and_work_is_linear_in_it(written: str, batch: int) -> None:
    """Catches a batch in the parameters, or a term that lacks it."""
    one, many = of(written), of(written, batch=batch)
    assert one.params == many.params and one.buffers == many.buffers
    for name in ("macs", "flops", "bias_adds", "training_flops", "activation_bytes", "saved_bytes", "live_bytes"):
        assert getattr(many, name) == batch * getattr(one, name), name


@given(MODELS)
def test_totals_equal_sums_of_the_rows(written: str) -> None:
    """Catches a total that is computed another way than its rows."""
    cost = of(written, batch=3)
    found = document(cost, insights(cost))
    for name in ("params", "weights", "biases", "macs", "flops", "bias_adds"):
        assert found["totals"][name] == sum(layer[name] for layer in found["layers"])
    assert all(layer["params"] == layer["weights"] + layer["biases"] for layer in found["layers"])
    assert all(layer["flops"] == 2 * layer["macs"] for layer in found["layers"])
    assert len({layer["name"] for layer in found["layers"]}) == len(found["layers"])


@given(MODELS)
def test_shapes_are_carried_from_layer_to_layer(written: str) -> None:
    """Catches a layer that is counted at another shape than the one before it gives."""
    cost = of(written)
    shapes = {cost.rows[0].reads[0]: IMAGE}
    for row in cost.rows:
        if row.kind not in ("add", "concat", "attention"):
            assert row.input_shape == shapes[row.reads[0]]
        shapes[row.output] = row.output_shape


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 9), st.integers(1, 9), st.integers(1, 4))
def test_a_1x1_convolution_equals_a_linear_layer_at_each_pixel(
    channels: int, out: int, height: int, width: int, batch: int
) -> None:
    """Catches a convolution and a linear layer that are counted by different conventions."""
    conv = of(f"conv:{out}k1", (channels, height, width), batch=batch)
    linear = of(f"linear:{out}", (height * width, channels), batch=batch)
    for name in ("params", "macs", "bias_adds", "training_flops", "activation_bytes", "saved_bytes"):
        assert getattr(conv, name) == getattr(linear, name), name


@given(st.lists(st.integers(1, 300), min_size=2, max_size=7), st.integers(1, 50))
def test_multilayer_perceptrons_equal_the_formula(sizes: list[int], batch: int) -> None:
    """Catches anything in the walk that a plain formula does not say."""
    cost = count("-".join(map(str, sizes)), Options(batch=batch))
    pairs = list(pairwise(sizes))
    assert cost.params == sum(a * b + b for a, b in pairs)
    assert cost.macs == batch * sum(a * b for a, b in pairs)
    backward = 2 * sum(a * b for a, b in pairs) - pairs[0][0] * pairs[0][1]
    assert cost.training_flops == 2 * batch * (sum(a * b for a, b in pairs) + backward)
    assert cost.activation_bytes == 4 * batch * sum(sizes[1:])
    assert cost.saved_bytes == 4 * batch * sum(sizes[:-1])
    assert cost.live_bytes == 4 * batch * max(a + b for a, b in pairs)


@given(st.integers(1, 6), st.sampled_from(["conv:4k3p1 relu", "res(conv:4k3p1 relu)", "bn", "dwconv3p1 conv:4k1"]))
def test_repeats_equal_what_is_written_out(times: int, body: str) -> None:
    """Catches a repeat that is multiplied instead of walked."""
    assert of(f"{times}*({body})").totals() == of(" ".join([body] * times)).totals()


@given(MODELS, st.sampled_from(list(DTYPES)), st.sampled_from(list(OPTIMIZERS)))
def test_memory_adds_up(written: str, dtype: str, optimizer: str) -> None:
    """Catches bytes a parameter other than the 8, 12 or 16 of the convention."""
    cost = of(written, dtype=dtype, optimizer=optimizer, batch=2)
    each = {"sgd": 8, "momentum": 12, "adam": 16}[optimizer]
    assert cost.training_bytes == each * cost.params + 4 * cost.buffers + cost.saved_bytes
    assert cost.param_bytes == -(-cost.params * {"fp32": 32, "int8": 8, "int4": 4}.get(dtype, 16) // 8)
    assert 0 <= cost.live_bytes <= cost.activation_bytes + 4 * 2 * 4 * 64 * 48


@given(MODELS, st.integers(10_000, 10_000_000))
def test_the_largest_batch_that_fits_is_the_largest(written: str, limit: int) -> None:
    """Catches a batch that does not fit, or one more that would."""
    found = fit(of(written, optimizer="sgd"), limit).training
    if found:
        assert of(written, batch=found, optimizer="sgd").training_bytes <= limit
    if of(written).saved_bytes:
        assert of(written, batch=found + 1, optimizer="sgd").training_bytes > limit


@given(MODELS)
def test_the_arithmetic_shown_comes_to_the_number_shown(written: str) -> None:
    """Catches an explanation that says another product than was counted."""
    for row in of(written, batch=3).rows:
        for expression in (row.weights, row.biases, row.macs, row.bias_adds):
            shown = str(expression).replace("·", "*").replace(",", "")
            assert eval(shown) == expression.value
