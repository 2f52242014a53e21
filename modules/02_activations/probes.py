"""Probes of 02_activations: calls with fresh random inputs; what they return is compared with the reference."""

import numpy as np

from tinytorch.core.tensor import Tensor


def _refusal(call, kind, *words):
    """Whether a call is refused with an error of this kind, and whether the message has each of the words."""
    try:
        call()
    except kind as error:
        text = "".join([str(error)])  # a plain str: a class of its own could claim to hold any word
        return [True, *(word in text for word in words)]
    return [False]


def _values(activation, rng, *settings):
    """An activation of float64 numbers of several shapes."""
    shapes = [(), (5,), (3, 4), (2, 3, 4), (0, 3)]
    return [activation(Tensor(rng.normal(0, 2, shape), dtype=np.float64), *settings) for shape in shapes]


def _kinds(activation, rng, *settings):
    """What an activation does to dtypes, views, gradients and its input."""
    x = Tensor(rng.normal(0, 2, (3, 4)), requires_grad=True)
    whole = Tensor(rng.integers(-5, 5, (2, 3)), dtype=np.int64)
    y = activation(x, *settings)
    return {
        "float32": y,
        "view": activation(x.T, *settings),
        "whole numbers": activation(whole, *settings),
        "gradients": [y.requires_grad, activation(whole, *settings).requires_grad],
        "input": x,
        "shared": bool(np.shares_memory(x.numpy(), y.numpy())),
    }


def _quietly(activation, numbers, *settings):
    """An activation of float32 numbers, in which an overflow or an invalid value is an error."""
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        return activation(Tensor(numbers), *settings)


def relu_values(lesson, rng):
    """ReLU of random numbers of several shapes, as function and as class."""
    edges = Tensor([-0.0, 0.0, 1e-30, -1e-30, np.inf, -np.inf])
    return [_values(lesson.relu, rng), _values(lesson.ReLU(), rng), lesson.relu(edges)]


def relu_kinds(lesson, rng):
    """ReLU keeps dtypes, asks for gradients and leaves its input alone."""
    return _kinds(lesson.relu, rng)


def leaky_relu_values(lesson, rng):
    """Leaky ReLU with slopes below and above 1, zero and negative."""
    slopes = [0.01, 0.0, 1.0, float(rng.uniform(0.1, 0.9)), float(rng.uniform(1.5, 4)), -float(rng.uniform(0.1, 3))]
    return [_values(lesson.leaky_relu, rng), *(_values(lesson.leaky_relu, rng, slope) for slope in slopes)]


def leaky_relu_kinds(lesson, rng):
    """Leaky ReLU keeps float dtypes, makes whole numbers float32 and leaves its input alone."""
    return [_kinds(lesson.leaky_relu, rng, 0.3), _kinds(lesson.leaky_relu, rng, 2.5)]


def sigmoid_values(lesson, rng):
    """The sigmoid to many digits, as function and as class."""
    wide = Tensor(rng.uniform(-40, 40, 50), dtype=np.float64)
    return [_values(lesson.sigmoid, rng), _values(lesson.Sigmoid(), rng), lesson.sigmoid(wide) * 1e6]


def sigmoid_kinds(lesson, rng):
    """The sigmoid keeps float dtypes, makes whole numbers float32 and leaves its input alone."""
    return _kinds(lesson.sigmoid, rng)


def sigmoid_extremes(lesson, rng):
    """No overflow for large numbers, and strictly between 0 and 1 for moderate ones."""
    large = rng.uniform(500, 1e5, 4)
    moderate = lesson.sigmoid(Tensor(rng.uniform(-16, 16, 200))).numpy()
    small = _quietly(lesson.sigmoid, -rng.uniform(40, 80, 5)).numpy()
    with np.errstate(over="raise", invalid="raise"):
        whole = lesson.sigmoid(Tensor([-10_000, 10_000], dtype=np.int64))
    return {
        "large": _quietly(lesson.sigmoid, np.concatenate([large, -large, [0.0]])),
        "inside": [bool(moderate.min() > 0), bool(moderate.max() < 1), bool(small.min() > 0)],
        "small": small * np.float32(1e30),
        "whole numbers": whole,
    }


def tanh_values(lesson, rng):
    """The hyperbolic tangent, also of large numbers, as function and as class."""
    large = rng.uniform(50, 1e4, 3)
    return [_values(lesson.tanh, rng), _values(lesson.Tanh(), rng), _quietly(lesson.tanh, [*large, *-large, 1e-4])]


def tanh_kinds(lesson, rng):
    """The hyperbolic tangent keeps float dtypes, makes whole numbers float32 and leaves its input alone."""
    return _kinds(lesson.tanh, rng)


def gelu_exact(lesson, rng):
    """The exact GELU to many digits."""
    return [_values(lesson.gelu, rng), lesson.gelu(Tensor(rng.uniform(-6, 6, 60), dtype=np.float64), "none")]


def gelu_by_tanh(lesson, rng):
    """The approximate GELU to many digits."""
    wide = Tensor(rng.uniform(-6, 6, 60), dtype=np.float64)
    return [_values(lesson.gelu, rng, "tanh"), lesson.gelu(wide, approximate="tanh")]


def gelu_kinds(lesson, rng):
    """Both forms keep float dtypes and leave their input alone; any other form is refused."""
    word = f"quick{int(rng.integers(1000))}"
    refused = _refusal(lambda: lesson.gelu(Tensor([1.0]), word), ValueError, word)
    large = _quietly(lesson.gelu, [-1000.0, 1000.0]), _quietly(lesson.gelu, [-1000.0, 1000.0], "tanh")
    return [_kinds(lesson.gelu, rng), _kinds(lesson.gelu, rng, "tanh"), refused, large]


def softmax_values(lesson, rng):
    """Softmax along every axis."""
    x = Tensor(rng.normal(0, 2, (3, 4, 5)), dtype=np.float64)
    found = [lesson.softmax(x), *(lesson.softmax(x, axis) for axis in (0, 1, 2, -2)), lesson.softmax(x, dim=1)]
    return [*found, lesson.softmax(Tensor(rng.normal(size=6), dtype=np.float64))]


def softmax_extremes(lesson, rng):
    """Scores of any size, each row judged by itself, and sums of 1."""
    x = rng.normal(0, 1, (3, 5))
    moved = np.array([[-1e4], [0.0], [3e4]]) + x.round(2)
    tall = lesson.softmax(Tensor(rng.normal(size=(8_000, 2))), axis=0).numpy()
    return {
        "moved": _quietly(lesson.softmax, moved),
        "apart": _quietly(lesson.softmax, [-1000.0, 0.0, float(rng.uniform(500, 1000))]),
        "sums": [bool(abs(total - 1) < 1e-6) for total in tall.sum(axis=0, dtype=np.float64)],
        "dtype": str(tall.dtype),
    }


def softmax_kinds(lesson, rng):
    """Softmax keeps float dtypes, makes whole numbers float32 and leaves its input alone."""
    return _kinds(lesson.softmax, rng, 0)


def settings_pass_on(lesson, rng):
    """The classes with settings use them, and the defaults are the functions'."""
    x = Tensor(rng.normal(0, 2, (3, 4)), requires_grad=True)
    slope = float(rng.uniform(0.1, 0.9))
    activations = [lesson.LeakyReLU(), lesson.LeakyReLU(slope), lesson.LeakyReLU(negative_slope=3.0)]
    activations += [lesson.GELU(), lesson.GELU("tanh"), lesson.GELU(approximate="none")]
    activations += [lesson.Softmax(), lesson.Softmax(0), lesson.Softmax(axis=-2), lesson.Softmax(dim=0)]
    results = [activation(x) for activation in activations]
    return {"results": results, "gradients": [each.requires_grad for each in results], "repr": repr(activations[2])}


def activation_count_answers(lesson, rng):
    """Your five numbers."""
    counts = lesson.activation_counts()
    names = (
        "hidden_bytes",
        "relu_traffic_bytes",
        "linear_flops_per_number",
        "softmax_exponentials",
        "probability_bytes",
    )
    return {name: counts[name] for name in names}


def network_of_activations(lesson, rng):
    """A network with your activations computes what the reference computes."""
    x = Tensor(rng.normal(size=(4, 3)), dtype=np.float64)
    weight = Tensor(rng.normal(size=(3, 3)), dtype=np.float64, requires_grad=True)
    results = []
    for activation in (
        lesson.ReLU(),
        lesson.LeakyReLU(),
        lesson.Sigmoid(),
        lesson.Tanh(),
        lesson.GELU(),
        lesson.Softmax(),
    ):
        results.append(activation(activation(x @ weight) @ weight))
    return {
        "results": results,
        "gradients": [each.requires_grad for each in results],
        "sums": lesson.softmax(results[0]).sum(axis=-1),
    }


PROBES = {
    "test-relu": [relu_values, relu_kinds],
    "test-leaky-relu": [leaky_relu_values, leaky_relu_kinds],
    "test-sigmoid": [sigmoid_values, sigmoid_kinds, sigmoid_extremes],
    "test-tanh": [tanh_values, tanh_kinds],
    "test-gelu": [gelu_exact, gelu_by_tanh, gelu_kinds],
    "test-softmax": [softmax_values, softmax_extremes, softmax_kinds],
    "test-settings": [settings_pass_on],
    "test-counts": [activation_count_answers],
    "test-module-activations": [network_of_activations],
}
TOLERANCES = {
    "leaky_relu_kinds": {"rtol": 1e-5, "atol": 1e-6},
    "sigmoid_extremes": {"rtol": 1e-5, "atol": 1e-7},
    "gelu_kinds": {"rtol": 1e-4, "atol": 2e-6},
    "softmax_extremes": {"rtol": 1e-4, "atol": 1e-6},
    "settings_pass_on": {"rtol": 1e-4, "atol": 2e-6},
}
PARTIAL = ["test-sigmoid", "test-gelu", "test-softmax"]
