"""Layers against independent sources: NumPy, counting by hand, and the layer sizes that papers give."""

from __future__ import annotations

import copy
import io
import math
import pickle
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.testing import assert_allclose, assert_array_equal

from tinytorch.core import layers
from tinytorch.core.activations import ReLU
from tinytorch.core.layers import (
    Dense,
    Dropout,
    Flatten,
    Layer,
    LayerArchitectureProfiler,
    Linear,
    Module,
    Sequential,
    analyze_famous_architectures,
    flatten,
    linear,
    matmul,
)
from tinytorch.core.tensor import Parameter, Tensor, manual_seed, observe_ops

size = st.integers(1, 5)


def net(**held: Any) -> Module:
    module = Module()
    for name, value in held.items():
        setattr(module, name, value)
    return module


def names(module: Module) -> list[str]:
    return [name for name, _ in module.named_parameters()]


# matmul


@given(size, size, size, st.integers(0, 2**32 - 1))
def test_loops_agree_with_numpy(m: int, k: int, n: int, seed: int) -> None:
    # catches swapped indices, which a square example hides
    draw = np.random.default_rng(seed)
    for a, b in (
        (draw.normal(size=(m, k)), draw.normal(size=(k, n))),
        (draw.integers(-9, 9, (m, k)), draw.integers(-9, 9, (k, n))),
    ):
        c = matmul(a, b)
        assert_allclose(c, a @ b, atol=1e-12)
        assert c.dtype == (a @ b).dtype


@pytest.mark.parametrize(("m", "k", "n"), [(0, 2, 3), (2, 0, 3), (2, 3, 0)])
def test_loops_over_nothing(m: int, k: int, n: int) -> None:
    # catches a result taken from the last sum, which does not exist when k is 0
    assert_array_equal(matmul(np.ones((m, k)), np.ones((k, n))), np.zeros((m, n)))


def test_matmul_gives_what_it_was_given() -> None:
    # catches an array where a Tensor was passed in, and the other way round
    a = np.ones((2, 2), dtype=np.float32)
    assert isinstance(matmul(a, a), np.ndarray)
    assert matmul([[1, 2], [3, 4]], [[5, 6], [7, 8]]).tolist() == [[19, 22], [43, 50]]
    for left, right in ((Tensor(a), Tensor(a)), (a, Tensor(a)), (Tensor(a), a)):
        assert isinstance(matmul(left, right), Tensor)
    assert matmul(Tensor(a), Tensor(a)).dtype == np.float32
    assert matmul(Tensor(a, dtype=np.int64), Tensor(a, dtype=np.int64)).dtype == np.int64


def test_matmul_explains_a_mismatch() -> None:
    # catches a message without the shapes, and inner sizes compared the wrong way round
    with pytest.raises(
        ValueError, match=r"^Incompatible matrix dimensions: A is 1x2, B is 3x1\. A row of A has 2 numb"
    ):
        matmul(np.ones((1, 2)), np.ones((3, 1)))
    with pytest.raises(ValueError, match="A is 2x3, B is 2x3"):
        matmul(Tensor(np.ones((2, 3))), Tensor(np.ones((2, 3))))
    for wrong in (np.ones(2), np.ones((1, 2, 2)), np.float64(1)):
        with pytest.raises(ValueError, match="two axes"):
            matmul(wrong, np.ones((2, 2)))


# Module


def test_parameters_are_found_wherever_they_are() -> None:
    # catches a walk that stops at containers, or at containers in containers
    p = [Parameter(np.ones(n)) for n in range(1, 7)]
    module = net(a=p[0], b=[p[1], (p[2],)], c={"x": {"y": p[3]}, 1: p[4]}, d=net(e=p[5]))
    assert names(module) == ["a", "b.0", "b.1.0", "c.x.y", "c.1", "d.e"]
    assert [parameter.size for parameter in module.parameters()] == [1, 2, 3, 4, 5, 6]


def test_plain_tensors_and_other_values_are_no_parameters() -> None:
    # catches a test for Tensor instead of Parameter: activations kept on a module would be trained
    module = net(a=Tensor([1.0]), b=Tensor([1.0], requires_grad=True), c=np.ones(2), d="text", e=None, f=3)
    assert module.parameters() == []


def test_the_registry_follows_assignment_none_and_deletion() -> None:
    # catches a record made at assignment and not corrected afterwards
    module = net(a=Linear(2, 3), b=Parameter([1.0]))
    module.a = Linear(4, 5)
    assert [p.shape for p in module.parameters()] == [(4, 5), (5,), (1,)]
    module.a.bias = None
    assert names(module) == ["a.weight", "b"]
    module.a = Parameter([2.0])  # a parameter where a module was
    assert names(module) == ["a", "b"]
    del module.b
    assert names(module) == ["a"]
    del module.a
    module.a = "nothing to train"
    assert names(module) == []
    module.b = Parameter([3.0])
    assert names(module) == ["b"]


def test_lists_may_grow_after_they_were_assigned() -> None:
    # catches children collected when the attribute was set
    module = net(blocks=[])
    module.blocks.append(Linear(2, 2))
    assert names(module) == ["blocks.0.weight", "blocks.0.bias"]
    module.blocks[0] = Linear(2, 2, bias=False)
    assert names(module) == ["blocks.0.weight"]


def test_what_is_shared_counts_once() -> None:
    # catches double updates: identity, not the name or equality, decides
    shared, twin = Parameter(np.ones(3)), Parameter(np.ones(3))
    module = net(a=net(w=shared), b=net(w=shared), c=twin)
    assert names(module) == ["a.w", "c"]
    layer = Linear(2, 2)
    chain = Sequential(layer, ReLU(), layer)
    assert names(chain) == ["0.weight", "0.bias"]
    assert chain.modules() == [chain, layer]


def test_cycles_end() -> None:
    # catches endless recursion through a reference to the parent or a list that contains itself
    child = Linear(2, 2)
    module = net(child=child, items=[])
    child.parent = module
    module.items.append(module.items)
    assert names(module) == ["child.weight", "child.bias"]
    del module.items
    assert "..." in repr(module)


def test_a_subclass_needs_no_super_init() -> None:
    # catches state made in Module.__init__: a forgotten super().__init__() is the usual first mistake
    class Net(Module):
        def __init__(self) -> None:
            self.inner = Linear(2, 2)

        def forward(self, x: Tensor, scale: float = 1.0) -> Tensor:
            return self.inner(x) * scale

    module = Net().eval()
    assert len(module.parameters()) == 2
    assert not module.training
    assert not module.inner.training
    x = Tensor(np.ones((1, 2)))
    assert_allclose(module(x, scale=3.0).numpy(), 3 * module.inner(x).numpy(), rtol=1e-6)
    assert Net().training, "the mode of one instance must not become the mode of the class"


def test_a_module_without_forward_says_so() -> None:
    # catches a silent None
    with pytest.raises(NotImplementedError, match=r"Odd has no forward pass: define forward"):
        type("Odd", (Module,), {})()(1)
    assert Layer is Module


def test_modes_reach_every_module() -> None:
    # catches a mode set on direct children only
    module = net(a=[net(b={"c": Dropout()})], d=Sequential(Sequential(Dropout())))
    assert module.eval() is module
    assert [each.training for each in module.modules()] == [False] * 6
    assert module.train() is module
    assert all(each.training for each in module.modules())
    assert not any(each.training for each in module.train(False).modules())


def test_zero_grad_forgets_every_gradient() -> None:
    # catches gradients that add up over steps in a nested module
    module = net(a=[Linear(2, 2)], b=Parameter([1.0]))
    for parameter in module.parameters():
        parameter.grad = np.ones(parameter.shape)
    module.zero_grad()
    assert [parameter.grad for parameter in module.parameters()] == [None] * 3


# state


def test_state_is_a_copy_and_comes_back() -> None:
    # catches a "best" state that changes as training goes on
    module = Sequential(Linear(3, 4), ReLU(), net(inner=[Linear(4, 2)]))
    before = module.state_dict()
    assert list(before) == ["0.weight", "0.bias", "2.inner.0.weight", "2.inner.0.bias"]
    kept = {name: array.copy() for name, array in before.items()}
    for parameter in module.parameters():
        parameter.numpy()[...] += 1
    for name, array in before.items():
        assert_array_equal(array, kept[name])
    module.load_state_dict(before)
    for name, array in module.state_dict().items():
        assert_array_equal(array, kept[name])


def test_loading_is_in_place_and_noted() -> None:
    # catches a replaced array, which an optimizer or a tied layer would not see, and a tape that uses stale values
    layer = Linear(2, 2)
    memory, version = layer.weight.numpy(), layer.weight.version
    layer.load_state_dict({"weight": [[1, 2], [3, 4]], "bias": Tensor([5.0, 6.0])})
    assert memory.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert layer.weight.numpy() is memory
    assert layer.weight.version == version + 1
    assert layer.weight.dtype == np.float32
    assert layer.bias.tolist() == [5.0, 6.0]


def test_a_loaded_tensor_does_not_stay_connected() -> None:
    # catches two networks that share memory after one was loaded from the other
    one, other = Linear(2, 2), Linear(2, 2)
    other.load_state_dict(dict(one.named_parameters()))
    one.weight.numpy()[...] = 9
    assert not (other.weight.numpy() == 9).any()


def test_a_state_that_does_not_fit_changes_nothing_and_is_explained_whole() -> None:
    # catches a first problem that hides the others, and a half-loaded network
    module = Sequential(Linear(2, 3), Linear(3, 1))
    before = module.state_dict()
    wrong: dict[str, Any] = {name: array + 1 for name, array in before.items()}
    del wrong["0.bias"]
    wrong |= {"1.weight": np.zeros((1, 3)), "1.bias": np.zeros(1, dtype=complex), "2.weight": np.zeros(4)}
    with pytest.raises(ValueError, match="Sequential cannot load this state; nothing was changed") as caught:
        module.load_state_dict(wrong)
    assert str(caught.value).split("\n")[1:] == [
        "  missing: 0.bias, of shape (3,)",
        "  unexpected: 2.weight, of shape (4,)",
        "  misshaped: 1.weight has shape (1, 3), the module needs (3, 1)",
        "  wrong kind: 1.bias holds complex128, the module needs float32",
    ]
    for name, array in module.state_dict().items():
        assert_array_equal(array, before[name])


def test_a_shape_that_would_broadcast_is_refused() -> None:
    # catches np.copyto without a check: one number would fill a whole weight
    with pytest.raises(ValueError, match=r"weight has shape \(1, 2\), the module needs \(3, 2\)"):
        Linear(3, 2, bias=False).load_state_dict({"weight": np.zeros((1, 2))})


def test_words_are_no_numbers() -> None:
    # catches an error from NumPy half-way through the copying
    with pytest.raises(ValueError, match="wrong kind: weight holds <U1, the module needs float32"):
        Linear(1, 1, bias=False).load_state_dict({"weight": [["x"]]})


def test_a_state_survives_a_file() -> None:
    # catches values that are not plain arrays
    module, file = Sequential(Linear(3, 2)), io.BytesIO()
    np.savez(file, **module.state_dict())
    file.seek(0)
    other = Sequential(Linear(3, 2))
    with np.load(file) as saved:
        other.load_state_dict(saved)
    assert_array_equal(other[0].weight.numpy(), module[0].weight.numpy())


def test_buffers_are_saved_and_not_trained() -> None:
    # catches running averages that are missing from a checkpoint, or given to the optimizer
    inner = net(w=Parameter([1.0]))
    inner.register_buffer("mean", np.zeros(2))
    inner.register_buffer("mean", np.ones(2))
    inner.register_buffer("steps", np.zeros((), dtype=np.int64))
    module = net(inner=[inner], other=net())
    assert names(module) == ["inner.0.w"]
    assert list(module.state_dict()) == ["inner.0.w", "inner.0.mean", "inner.0.steps"]
    inner.mean = inner.mean * 0.5  # a new tensor under the same name is still the buffer
    assert module.state_dict()["inner.0.mean"].tolist() == [0.5, 0.5]
    inner.mean = None
    del inner.steps
    assert list(module.state_dict()) == ["inner.0.w"]
    assert net()._buffers == (), "buffers of one instance must not become those of the class"


def test_a_buffer_that_is_no_tensor_any_more_is_an_error() -> None:
    # catches a checkpoint that silently lacks a buffer which was overwritten by an array
    module = net()
    module.register_buffer("mean", np.zeros(2))
    module.mean = np.ones(2)
    with pytest.raises(TypeError, match="the buffer mean is now a ndarray"):
        module.state_dict()


def test_a_buffer_of_integers_refuses_fractions() -> None:
    # catches a count that is cut off silently
    module = net()
    module.register_buffer("steps", np.zeros((), dtype=np.int64))
    with pytest.raises(ValueError, match="wrong kind: steps holds float64, the module needs int64"):
        module.load_state_dict({"steps": 1.5})


def test_two_tensors_of_one_name_are_an_error() -> None:
    # catches a state in which one of the two is lost
    module = net(heads={1: Parameter([1.0]), "1": Parameter([2.0])})
    with pytest.raises(ValueError, match=r"two tensors are called heads\.1"):
        module.state_dict()


def test_copies_are_independent() -> None:
    # catches a registry that still points at the original
    module = Sequential(Linear(2, 2), Dropout(0.1))
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        other[0].weight.numpy()[...] = 7
        assert not (module[0].weight.numpy() == 7).any()
        assert names(other) == names(module)


# repr


def test_repr_is_a_tree() -> None:
    # catches lost indentation, and modules in containers that are not shown
    module = Sequential(
        Flatten(),
        Linear(784, 10, bias=False),
        ReLU(),
        Sequential(Dropout(0.2), Dense(3, 4)),
        net(heads={"a": [Module()]}),
    )
    assert repr(module) == "\n".join(
        [
            "Sequential(",
            "  (0): Flatten(start_dim=1, end_dim=-1)",
            "  (1): Linear(in_features=784, out_features=10, bias=False)",
            "  (2): ReLU()",
            "  (3): Sequential(",
            "    (0): Dropout(p=0.2)",
            "    (1): Dense(input_size=3, output_size=4, use_bias=True)",
            "  )",
            "  (4): Module(",
            "    (heads.a.0): Module()",
            "  )",
            ")",
        ]
    )
    assert repr(Sequential()) == "Sequential()"


# Linear and Dense


@pytest.mark.parametrize("make", [Linear, Dense])
@pytest.mark.parametrize("leading", [(), (1,), (4,), (2, 3), (2, 3, 4), (0,), (2, 0)])
def test_linear_agrees_with_einsum(make: Callable[..., Linear], leading: tuple[int, ...]) -> None:
    # catches a transposed weight, a bias along the wrong axis, and leading axes lost or mixed up
    layer = make(5, 3)
    layer.bias.numpy()[...] = [1.0, 2.0, 3.0]
    x = np.random.default_rng(0).normal(size=(*leading, 5)).astype(np.float32)
    y = layer(Tensor(x))
    assert y.shape == (*leading, 3)
    expected = np.einsum("...i,io->...o", x, layer.weight.numpy()) + np.array([1.0, 2.0, 3.0])
    assert_allclose(y.numpy(), expected, atol=1e-5)
    assert y.dtype == np.float32


def test_the_forward_pass_stays_on_the_tape() -> None:
    # catches a .data or .numpy() on the way: the network would look right and never train
    chain = Sequential(Flatten(), Linear(6, 4), ReLU(), Dropout(0.5), Dense(4, 2))
    seen: list[str] = []
    with observe_ops(lambda op, inputs, params, result: seen.append(op.name)):
        y = chain(Tensor(np.ones((2, 3, 2))))
    assert [name for name in seen if name in ("matmul", "add", "linear")] == ["linear"] * 2
    reached, queue = set(), [y]
    while queue:
        tensor = queue.pop()
        reached.add(id(tensor))
        queue += tensor.origin.inputs if tensor.origin else ()
    assert {id(parameter) for parameter in chain.parameters()} <= reached


def test_flops_of_the_digit_network() -> None:
    # catches a forward pass that does more work than the formula, such as a product per example
    chain = Sequential(Linear(784, 256), ReLU(), Linear(256, 128), ReLU(), Linear(128, 10))
    flops = {"products": 0, "biases": 0}

    def count(op: Any, inputs: tuple[Tensor, ...], params: dict[str, Any], result: Tensor) -> None:
        if op.name == "linear":
            flops["products"] += 2 * result.size * inputs[0].shape[-1]
            flops["biases"] += result.size

    with observe_ops(count):
        chain(Tensor(np.ones((32, 784))))
    assert flops["products"] + flops["biases"] == 15_036_736
    assert flops["biases"] == 12_608


def test_product_and_bias_are_one_array() -> None:
    # catches a sum in memory of its own, which training would keep beside the product, and a bias that is overwritten
    x, weight, bias = Tensor(np.ones((4, 3))), Parameter(np.ones((3, 2))), Parameter([1.0, 2.0])
    seen: list[tuple[str, np.ndarray]] = []
    with observe_ops(lambda op, inputs, params, result: seen.append((op.name, result.numpy()))):
        y = linear(x, weight, bias)
    assert [name for name, _ in seen] == ["linear"] and seen[0][1] is y.numpy()
    assert y.tolist() == [[4.0, 5.0]] * 4 and bias.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("x", "weight", "bias"),
    [
        (Tensor(np.ones((2, 3)), np.int64), Tensor(np.ones((3, 2))), Tensor([1.0, 2.0])),
        (Tensor(np.ones((2, 3))), Tensor(np.ones((3, 2))), Tensor([1.0, 2.0], np.float64)),
        (Tensor(np.ones((2, 3)), np.float64), Tensor(np.ones((3, 2))), Tensor([1.0, 2.0])),
        (Tensor(np.ones((2, 3)), np.float16), Tensor(np.ones((3, 2)), np.float16), Tensor([1.0, 2.0], np.float16)),
        (Tensor(np.ones(3)), Tensor(np.ones((3, 2))), Tensor([[1.0, 2.0]])),
        (Tensor(np.ones((2, 3))), Tensor(np.ones((3, 2))), Tensor(5.0)),
        (Tensor(np.ones((2, 3))), Tensor(np.ones((5, 3, 2))), Tensor([1.0, 2.0])),
    ],
    ids=["integers", "wide bias", "wide input", "half", "row", "number", "stack"],
)
def test_linear_is_the_product_and_the_sum(x: Tensor, weight: Tensor, bias: Tensor) -> None:
    # catches a sum in place where the result has another dtype or shape than the product
    y, wanted = linear(x, weight, bias), x @ weight + bias
    assert (y.dtype, y.shape) == (wanted.dtype, wanted.shape)
    assert y.tolist() == wanted.tolist()


def test_linear_names_shapes_that_do_not_fit() -> None:
    # catches NumPy's own words about operands and output
    with pytest.raises(ValueError, match=r"cannot multiply \(2, 4\) by \(3, 2\)"):
        linear(Tensor(np.ones((2, 4))), Tensor(np.ones((3, 2))), Tensor([1.0, 2.0]))
    with pytest.raises(ValueError, match=r"cannot add shapes \(2, 2\) and \(3,\)"):
        linear(Tensor(np.ones((2, 3))), Tensor(np.ones((3, 2))), Tensor([1.0, 2.0, 3.0]))


@pytest.mark.parametrize(
    ("make", "scale"), [(Linear, math.sqrt(1 / 300)), (Dense, math.sqrt(2 / 1000))], ids=["Linear", "Dense"]
)
def test_weights_start_at_their_scale(make: Callable[..., Linear], scale: float) -> None:
    # catches a variance used as a standard deviation, fan-out for fan-in, and uniform instead of normal numbers
    manual_seed(11)
    layer = make(300, 700)
    weight = layer.weight.numpy()
    assert weight.std() == pytest.approx(scale, rel=0.01)
    assert abs(weight.mean()) < scale / 100
    assert ((weight / scale) ** 4).mean() == pytest.approx(3, rel=0.05), "the fourth moment of a normal distribution"
    assert not layer.bias.numpy().any()
    assert all(isinstance(parameter, Parameter) and parameter.dtype == np.float32 for parameter in layer.parameters())
    assert all(parameter.origin is None for parameter in layer.parameters()), "a parameter is a leaf"
    manual_seed(11)
    assert_array_equal(make(300, 700).weight.numpy(), weight)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((), r"got \(\)\. A single number has no axes"),
        ((3,), r"got \(3,\)\. Its last axis has 3 numbers: use Linear\(3, \.\.\.\)"),
        ((2, 28, 28), r"got \(2, 28, 28\)\. Flatten it first: flatten\(x, start_dim=1\) has shape \(2, 784\)"),
        ((2, 5, 28, 28), r"flatten\(x, start_dim=2\) has shape \(2, 5, 784\)"),
        ((784, 32), r"is it transposed\? x\.T has shape \(32, 784\)"),
        ((32, 783), r"takes inputs of shape \(\.\.\., 784\), got \(32, 783\)"),
    ],
)
def test_a_misfit_is_explained(shape: tuple[int, ...], words: str) -> None:
    # catches NumPy's own message, and advice that does not fit the case
    with pytest.raises(ValueError, match=words):
        Linear(784, 10)(Tensor(np.zeros(shape)))


def test_a_misfit_is_named_after_its_class() -> None:
    # catches "Linear" in the message of a Dense
    with pytest.raises(ValueError, match=r"^Dense\(2, 3\) takes"):
        Dense(2, 3)(Tensor(np.zeros((1, 4))))


@pytest.mark.parametrize("wrong", [0, -1, 2.0, True, "3", None])
def test_sizes_are_whole_and_positive(wrong: Any) -> None:
    # catches an empty or nonsensical layer that fails much later
    with pytest.raises(ValueError, match="in_features must be a whole number of at least 1"):
        Linear(wrong, 1)
    with pytest.raises(ValueError, match="out_features must be"):
        Dense(1, wrong)
    assert Linear(np.int64(2), 3).weight.shape == (2, 3)


def test_linear_takes_arrays_and_lists() -> None:
    # catches an error for the first thing a learner tries
    layer = Linear(2, 1, bias=False)
    layer.weight = Parameter([[1.0], [10.0]])
    assert layer([[1.0, 2.0]]).tolist() == [[21.0]]
    assert layer(np.array([3.0, 4.0])).tolist() == [43.0]


def test_weights_is_a_second_name() -> None:
    # catches a copy, or a second entry in the registry
    layer = Dense(2, 3)
    assert layer.weights is layer.weight
    layer.weights = Parameter(np.ones((2, 3)))
    assert layer.weight.tolist() == [[1.0] * 3] * 2
    assert names(layer) == ["weight", "bias"]
    assert Dense(2, 3, use_bias=False).bias is None


@pytest.mark.parametrize("value", [Tensor([[1.0, 2.0]]), np.ones((1, 2)), 1.0, Linear(1, 2)])
def test_a_parameter_is_not_silently_replaced_by_what_is_not_trained(value: Any) -> None:
    # catches `layer.weight = layer.weight * 0.5`, after which parameters() and state_dict() lack the weight
    for layer, name in ((Linear(1, 2), "weight"), (Dense(1, 2), "weights"), (Dense(1, 2), "bias")):
        with pytest.raises(TypeError, match=rf"is a Parameter, and a {type(value).__name__} .* wrap it in Parameter"):
            setattr(layer, name, value)
        assert names(layer) == ["weight", "bias"]
    layer = Linear(1, 2)
    layer.weight = Parameter([[3.0, 4.0]])
    layer.weight = None
    layer.weight = value
    del layer.bias
    layer.bias = value
    assert layer.weight is value and layer.bias is value
    module = net(w=Parameter([1.0]))
    with pytest.raises(TypeError, match=r"Module\.w is a Parameter"):
        module.register_buffer("w", np.ones(1))
    assert list(module.state_dict()) == ["w"]


def test_leading_axes_cost_no_further_ops() -> None:
    # catches two reshapes around every product of a transformer, and one small product for each sequence
    seen: list[str] = []
    layer = Linear(3, 2)
    with observe_ops(lambda op, *rest: seen.append(op.name)):
        y = layer(Tensor(np.ones((4, 5, 3))))
    assert seen == ["linear"]
    assert y.shape == (4, 5, 2)


# Dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(p: float) -> None:
    # catches p taken for the share that stays, and a missing scale
    manual_seed(4)
    y = Dropout(p)(Tensor(np.ones(200_000))).numpy()
    assert (y == 0).mean() == pytest.approx(p, abs=0.005)
    assert y.mean() == pytest.approx(1, abs=0.02)
    assert_allclose(y[y != 0], 1 / (1 - p), rtol=1e-6)


def test_dropout_modes() -> None:
    # catches a mode that is not followed, or an argument that does not win over it
    x, drop = Tensor(np.ones(1000)), Dropout(0.5)
    assert (drop(x).numpy() == 0).any()
    assert drop(x, training=False) is x
    drop.eval()
    assert drop(x) is x
    assert (drop(x, training=True).numpy() == 0).any()


def test_dropout_at_the_ends() -> None:
    # catches a division by zero at p=1, and random numbers drawn for nothing at p=0
    x = Tensor(np.ones((2, 3)))
    assert Dropout(0)(x) is x
    y = Dropout(1)(x)
    assert y.tolist() == [[0.0] * 3] * 2
    assert y.dtype == np.float32
    for wrong in (-0.01, 1.01, math.nan, math.inf):
        with pytest.raises(ValueError, match="from 0 to 1; got"):
            Dropout(wrong)


def test_dropout_keeps_dtype_and_shape_and_follows_the_seed() -> None:
    # catches a mask in float64, and a generator of its own
    for dtype in (np.float32, np.float64):
        for shape in ((), (3,), (2, 3, 4), (0, 3)):
            y = Dropout(0.5)(Tensor(np.ones(shape), dtype=dtype))
            assert (y.shape, y.dtype) == (shape, dtype)
    x = Tensor(np.ones(100))
    manual_seed(1)
    first, second = Dropout(0.5)(x).tolist(), Dropout(0.5)(x).tolist()
    manual_seed(1)
    assert Dropout(0.5)(x).tolist() == first
    assert first != second


def test_dropout_masks_the_gradient_like_the_output() -> None:
    # catches a mask drawn again for the backward pass: the factor that was used must be an input of the recorded op
    manual_seed(0)
    x = Tensor(np.full(50, 3.0), requires_grad=True)
    y = Dropout(0.5)(x)
    factors = [tensor for tensor in y.origin.inputs if tensor is not x]
    assert y.origin.op.name == "mul"
    assert_array_equal(factors[0].numpy() * 3, y.numpy())
    assert not factors[0].requires_grad


# Sequential


def test_sequential_calls_in_order() -> None:
    # catches a reversed chain, and layers called on the first input
    chain = Sequential(lambda x: x + "b", lambda x: x + "c")
    assert chain("a") == "abc"
    assert chain.add(lambda x: x + "d") is chain
    assert chain("a") == "abcd"
    assert Sequential()("a") == "a"


def test_sequential_is_a_sequence() -> None:
    # catches slices that are lists, and copies of layers
    parts = [Linear(1, 1), ReLU(), Linear(1, 1)]
    chain = Sequential(parts)
    assert len(chain) == 3
    assert list(chain) == parts == [chain[0], chain[1], chain[-1]]
    part = chain[1:]
    assert isinstance(part, Sequential)
    assert list(part) == parts[1:]
    with pytest.raises(IndexError):
        chain[3]
    parts.append(ReLU())
    assert len(chain) == 3, "the chain must not share the caller's list"
    assert len(Sequential(Sequential(*parts))) == 1, "one chain is a layer, not a list of layers"
    assert len(Sequential(tuple(parts))) == 4


def test_what_cannot_be_called_is_refused_at_once() -> None:
    # catches an error that comes only in the forward pass
    with pytest.raises(TypeError, match="layer 1 of a Sequential must be callable, got 3"):
        Sequential(ReLU(), 3)
    with pytest.raises(TypeError, match=r"layer 0 .* None"):
        Sequential(None)


def test_a_subclass_of_sequential_may_hold_more() -> None:
    # catches attributes beside the chain that are never trained
    class Scaled(Sequential):
        def __init__(self) -> None:
            super().__init__(Linear(2, 2))
            self.scale = Parameter([1.0])
            self.extra = Linear(2, 1, bias=False)

    assert names(Scaled()) == ["0.weight", "0.bias", "scale", "extra.weight"]
    assert "(extra): Linear" in repr(Scaled())


# flatten


@given(st.data())
@settings(deadline=None)
def test_flatten_agrees_with_numpy(data: st.DataObject) -> None:
    # catches an axis off by one, negative axes, and a -1 that cannot be worked out when an axis is empty
    x = data.draw(
        arrays(np.float32, array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=3), elements=st.just(0.0))
    )
    x = np.arange(x.size, dtype=np.float32).reshape(x.shape)
    start = data.draw(st.integers(0, x.ndim - 1))
    end = data.draw(st.integers(start, x.ndim - 1))
    shape = (*x.shape[:start], int(np.prod(x.shape[start : end + 1])), *x.shape[end + 1 :])
    shift = data.draw(st.sampled_from([0, x.ndim]))
    for y in (flatten(Tensor(x), start - shift, end - shift), Flatten(start, end)(Tensor(x))):
        assert isinstance(y, Tensor)
        assert y.shape == shape
        assert y.numpy().ravel().tolist() == x.ravel().tolist()


def test_flatten_by_default_keeps_the_batch() -> None:
    # catches start_dim=0 as the default, which mixes the examples
    assert flatten(Tensor(np.zeros((32, 64, 8, 8)))).shape == (32, 4096)
    assert isinstance(flatten(np.zeros((2, 3, 4))), np.ndarray)
    assert flatten(np.zeros((2, 3, 4))).shape == (2, 12)
    assert flatten(Tensor(5.0), start_dim=0).shape == (1,)


@pytest.mark.parametrize(
    ("shape", "start", "end"),
    [((2, 3), 2, -1), ((2, 3), -3, -1), ((2, 3), 1, 0), ((2, 3), 0, 2), ((4,), 1, -1), ((), 1, -1)],
)
def test_flatten_names_axes_that_are_not_there(shape: tuple[int, ...], start: int, end: int) -> None:
    # catches a negative axis that Python's slices accept silently
    for kind in (ValueError, IndexError):
        with pytest.raises(kind, match=rf"cannot flatten axes {start} to {end} of shape \({str(shape)[1:-1]}\)"):
            flatten(Tensor(np.zeros(shape)), start, end)


# the profiler

KEYS = {
    "weight_parameters",
    "bias_parameters",
    "total_parameters",
    "memory_bytes",
    "memory_mb",
    "layer_details",
    "network_architecture",
    "num_layers",
    "total_memory_mb",
}


def test_the_profiler_counts_the_networks_of_the_course() -> None:
    # catches biases left out, MiB called MB, and bytes of float64
    profiler = LayerArchitectureProfiler(show=False)
    digits = profiler.analyze_network_scaling(784, [256, 128], 10)
    assert digits.keys() >= KEYS
    assert [layer["total_parameters"] for layer in digits["layer_details"]] == [200_960, 32_896, 1_290]
    assert (digits["total_parameters"], digits["memory_bytes"]) == (235_146, 940_584)
    assert digits["memory_mb"] == digits["total_memory_mb"] == 0.940584
    assert 32 * digits["flops"] == 15_036_736
    assert digits["network_architecture"] == [784, 256, 128, 10]
    assert digits["num_layers"] == 3
    both = profiler.analyze_depth_vs_width_tradeoffs()
    assert both["wide"]["total_parameters"] == 669_706
    assert both["deep"]["total_parameters"] == 151_306
    one = profiler.analyze_layer_parameters(784, 512, 10)
    assert one["layer_details"][0]["total_parameters"] == 401_920 == Linear(784, 512).weight.size + 512
    assert one.keys() >= KEYS
    assert profiler.analyze_network_scaling(3, [], 2)["total_parameters"] == 8
    assert profiler.compare_architectures(3, {}, 2) == {}


def test_the_profiler_refuses_sizes_that_are_none() -> None:
    # catches a negative parameter count
    with pytest.raises(ValueError, match="output_size must be a whole number of at least 1, got 0"):
        LayerArchitectureProfiler(show=False).analyze_network_scaling(784, [0], 10)


def test_the_profiler_prints_tables_that_fit(capsys: pytest.CaptureFixture[str]) -> None:
    # catches tables that wrap, digits that do not stand under each other, and show=False that prints
    profiler = LayerArchitectureProfiler()
    profiler.analyze_layer_parameters(784, 128, 10)
    profiler.analyze_network_scaling(12_288, [49_152] * 2, 50_257)
    profiler.compare_architectures(784, {"deep": [128] * 12, "wide": [4096]}, 10)
    profiler.analyze_depth_vs_width_tradeoffs()
    printed = capsys.readouterr().out
    assert "401,920" not in printed
    assert "100,480" in printed
    assert "784-128-128-...8-128-128-10" in printed
    for block in printed.strip().split("\n\n"):
        lines = block.split("\n")[1:]
        assert len({len(line) for line in lines}) == 1, block
        assert len(lines[0]) < 80, block
    LayerArchitectureProfiler(show=False).analyze_layer_parameters(784, 128, 10)
    assert capsys.readouterr().out == ""


def _linear(*sizes: int) -> int:
    return sum(a * b + b for a, b in pairwise(sizes))


def _conv(kernel: int, inputs: int, outputs: int, bias: bool = True) -> int:
    return kernel * kernel * inputs * outputs + (outputs if bias else 0)


def _transformer(vocabulary: int, positions: int, width: int, blocks: int) -> int:
    block = 4 * _linear(width, width) + _linear(width, 4 * width, width) + 2 * 2 * width
    return (vocabulary + positions) * width + blocks * block


def _resnet50() -> int:
    def conv(kernel: int, inputs: int, outputs: int) -> int:
        return _conv(kernel, inputs, outputs, bias=False) + 2 * outputs  # with batch normalization

    total, inputs = conv(7, 3, 64), 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        total += conv(1, inputs, 4 * width)  # the projection of the first block
        for _ in range(blocks):
            total += conv(1, inputs, width) + conv(3, width, width) + conv(1, width, 4 * width)
            inputs = 4 * width
    return total + _linear(2048, 1000)


def _vgg16() -> int:
    channels = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    convolutions = sum(_conv(3, a, b) for a, b in pairwise(channels))
    return convolutions + _linear(512 * 7 * 7, 4096, 4096, 1000)


COUNTED = {
    # C1, C3 (between all maps), C5, F6 and a dense output; 60,000 was the paper's, with 60 connections in C3, trained
    # pooling and an output that is not trained: not what a learner counts from the shapes
    "LeNet-5": _conv(5, 1, 6) + _conv(5, 6, 16) + _conv(5, 16, 120) + _linear(120, 84, 10),
    # convolutions 2, 4 and 5 see half of the channels
    "AlexNet": _conv(11, 3, 96)
    + _conv(5, 48, 256)
    + _conv(3, 256, 384)
    + _conv(3, 192, 384)
    + _conv(3, 192, 256)
    + _linear(256 * 6 * 6, 4096, 4096, 1000),
    "VGG-16": _vgg16(),
    "ResNet-50": _resnet50(),
    # two segments, a normalization of the embeddings, a pooler
    "BERT-base": _transformer(30_522, 512, 768, 12) + 2 * 768 + 2 * 768 + _linear(768, 768),
    # a final normalization; the output layer is the embedding
    "GPT-2 small": _transformer(50_257, 1024, 768, 12) + 2 * 768,
    "GPT-2": _transformer(50_257, 1024, 1600, 48) + 2 * 1600,
}


def test_famous_architectures_are_counted_from_their_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    # catches a digit typed wrongly, and a library's variant in place of the paper's
    found = analyze_famous_architectures()
    printed = capsys.readouterr().out
    assert {name: facts["parameters"] for name, facts in found.items() if facts["exact"]} == COUNTED
    for facts in found.values():
        assert facts["fp32_bytes"] == 4 * facts["parameters"] == 2 * facts["fp16_bytes"]
        assert f"{facts['parameters']:,}" in printed
    gpt3 = found["GPT-3"]
    assert (gpt3["fp32_bytes"], gpt3["fp16_bytes"], gpt3["exact"]) == (700 * 10**9, 350 * 10**9, False)
    assert "~175,000,000,000" in printed
    assert _transformer(50_257, 2048, 12_288, 96) == pytest.approx(gpt3["parameters"], rel=0.003)
    assert max(map(len, printed.split("\n"))) < 80


def test_public_names() -> None:
    # catches a helper that escapes into `from tinytorch.core.layers import *`
    assert set(layers.__all__) == {
        "matmul",
        "Module",
        "Layer",
        "linear_op",
        "linear",
        "Linear",
        "Dense",
        "Dropout",
        "Sequential",
        "flatten",
        "Flatten",
        "LayerArchitectureProfiler",
        "analyze_famous_architectures",
    }
