"""Probes of 09_normalization: calls with fresh random inputs; what they return is compared with the reference."""

import numpy as np

from tinytorch.core.layers import Linear, Sequential
from tinytorch.core.tensor import Parameter, Tensor, apply, manual_seed


def _refusal(call, kind, *words):
    """Whether a call is refused with an error of this kind, and whether the message has each of the words."""
    try:
        call()
    except kind as error:
        text = "".join([str(error)])  # a plain str: a class of its own could claim to hold any word
        return [True, *(word in text for word in words)]
    return [False]


def _double(values, requires_grad=False):
    return Tensor(values, dtype=np.float64, requires_grad=requires_grad)


def _pulled(function, rng, *arrays):
    """The result of a function of Tensors, and the gradient of each of them for a random gradient of the result."""
    tensors = [_double(array, requires_grad=True) for array in arrays]
    y = function(*tensors)
    y.backward(rng.normal(size=y.shape))
    return [y, *(tensor.grad for tensor in tensors)]


def _set(layer, rng):
    """The layer with random parameters of float64."""
    for name in ("weight", "bias"):
        if getattr(layer, name) is not None:
            setattr(layer, name, Parameter(_double(rng.normal(size=getattr(layer, name).shape))))
    return layer


def fans_of_shapes(lesson, rng):
    """Fan-in and fan-out of linear layers and convolutions."""
    sizes = [int(size) for size in rng.integers(2, 50, 5)]
    return {
        "fans": [list(lesson.fans(tuple(sizes[:count]))) for count in (2, 3, 4, 5)],
        "refused": _refusal(lambda: lesson.fans((sizes[0],)), ValueError, str((sizes[0],))),
    }


def initialiser_spreads(lesson, rng):
    """Every rule has its standard deviation, for linear layers and for convolutions, around zero."""
    manual_seed(int(rng.integers(1 << 30)))
    gain = float(rng.uniform(0.5, 2))
    numbers = [
        lesson.xavier_normal(300, 100).numpy() / np.sqrt(2 / 400),
        lesson.xavier_normal((300, 100), gain=gain).numpy() / np.sqrt(2 / 400) / gain,
        lesson.xavier_uniform(300, 100).numpy() / np.sqrt(2 / 400),
        lesson.xavier_uniform(300, 100, gain=gain).numpy() / np.sqrt(2 / 400) / gain,
        lesson.he_normal(300, 100).numpy() / np.sqrt(2 / 300),
        lesson.he_normal((300, 100), mode="fan_out").numpy() / np.sqrt(2 / 100),
        lesson.lecun_normal(300, 100).numpy() / np.sqrt(1 / 300),
        lesson.lecun_normal(100, 30, 3, 3).numpy() / np.sqrt(1 / 270),
        lesson.he_normal(100, 30, 3, 3).numpy() / np.sqrt(2 / 270),
    ]
    return {
        "spreads": [float(each.std()) for each in numbers],
        "means": [float(each.mean()) for each in numbers],
        "within one": [float((np.abs(each) < 1).mean()) for each in numbers],
        "shapes": [list(each.shape) for each in numbers],
    }


def initialiser_kinds(lesson, rng):
    """Even numbers end at their limit, results are float32 Tensors, and wrong settings are refused."""
    manual_seed(int(rng.integers(1 << 30)))
    size = int(rng.integers(100, 200))
    even = np.abs(lesson.xavier_uniform(size, 300).numpy()) / np.sqrt(6 / (size + 300))
    rules = (lesson.xavier_normal, lesson.xavier_uniform, lesson.he_normal, lesson.lecun_normal)
    made = [rule(size, 3) for rule in rules]
    return {
        "limit": [bool(even.max() <= 1 + 1e-6), bool(even.max() > 0.99)],
        "kinds": [[isinstance(each, Tensor), str(each.dtype), list(each.shape)] for each in made],
        "drawn anew": [
            not np.array_equal(rule(size, 3).numpy(), each.numpy()) for rule, each in zip(rules, made, strict=True)
        ],
        "mode": _refusal(lambda: lesson.he_normal(3, 4, mode="fan"), ValueError),
        "shape": [_refusal(lambda rule=rule: rule(size), ValueError, f"({size},)") for rule in rules],
    }


def statistics_of_batches(lesson, rng):
    """Mean and variance of each feature, over batch and places, also far from zero."""
    found = []
    for shape in ((6, 3), (4, 2, 5), (3, 4, 2, 3), (1, 2, 3, 3)):
        x = rng.normal(rng.normal(0, 3), 2, shape)
        found.append([*lesson.batch_statistics(x), x])
    far = rng.normal(1000.0, 0.1, (500, 2)).astype(np.float32)
    return {"statistics": found, "far": list(lesson.batch_statistics(far))}


def batch_norm_numbers(lesson, rng):
    """Each feature minus its mean, divided by its spread, times weight, plus bias; the input stays."""
    found = []
    for shape in ((5, 3), (4, 3, 5), (2, 3, 4, 3)):
        x, mean, var, weight, bias = (*(rng.normal(size=size) for size in (shape, 3)), *rng.uniform(0.5, 2, (3, 3)))
        for affine in ((), (weight, bias)):
            found.append(lesson.batch_norm_op.forward(x, *affine, mean=mean, var=var, eps=0.01, fixed=False))
        found.append(x)
    single = rng.normal(size=(3, 2)).astype(np.float32)
    zeros, ones = np.zeros(2, np.float32), np.ones(2, np.float32)
    return {
        "float64": found,
        "float32": lesson.batch_norm_op.forward(single, mean=zeros, var=ones, eps=0.5, fixed=True),
    }


def through_normalization_in_place(lesson, rng):
    """The law of the gradient, in the memory of x_hat, with and without a mean; g stays."""
    g, first, second = (rng.normal(size=(4, 3)) for _ in range(3))
    mean_g, mean_gx, scale = rng.normal(size=(4, 1)), rng.normal(size=(4, 1)), rng.normal(size=(1, 3))
    with_mean = lesson.through_normalization(g, first, mean_g, mean_gx, scale)
    without = lesson.through_normalization(g, second, None, mean_gx, scale)
    return {"with": with_mean, "without": without, "in place": [with_mean is first, without is second], "g": g}


def batch_norm_gradients(lesson, rng):
    """Gradients of input, weight and bias, for the batch's own statistics and for fixed ones."""
    found = []
    for shape in ((5, 3), (4, 3, 2), (3, 3, 2, 2)):
        arrays = [rng.normal(size=shape), rng.normal(size=3), rng.normal(size=3)]
        mean, var = arrays[0].mean(axis=(0, *range(2, len(shape)))), arrays[0].var(axis=(0, *range(2, len(shape))))
        for fixed in (False, True):
            options = {"mean": mean, "var": var, "eps": 1e-3, "fixed": fixed}

            def normalized(*inputs, options=options):
                return apply(lesson.batch_norm_op, *inputs, **options)

            found += [_pulled(normalized, rng, *arrays), _pulled(normalized, rng, arrays[0])]
    return found


def batch_norm_layer(lesson, rng):
    """Training normalizes and remembers, with the unbiased variance; evaluation uses what was remembered."""
    layer, momentum = _set(lesson.BatchNorm1d(3), rng), float(rng.uniform(0.2, 0.5))
    other = lesson.BatchNorm1d(2, eps=0.1, momentum=momentum)
    found = [layer(_double(rng.normal(2, 3, (6, 3)))) for _ in range(2)]
    deep = other(_double(rng.normal(-1, 2, (3, 2, 4))))
    buffers = [layer.running_mean, layer.running_var, other.running_mean, other.running_var]
    kept = [each.numpy().copy() for each in buffers]
    layer.eval()
    other.eval()
    exact = lesson.BatchNorm1d(3, affine=False).eval()
    for name in ("running_mean", "running_var"):
        exact.register_buffer(name, _double(getattr(exact, name).numpy()))
    evaluated = [layer(_double(rng.normal(size=(1, 3)))), other(_double(rng.normal(size=(2, 2, 3))))]
    return {
        "trained": [*found, deep],
        "buffers": kept,
        "evaluated": evaluated,
        "dtype": str(exact(Tensor(rng.normal(size=(2, 3)))).dtype),
        "unchanged": [bool(np.array_equal(each.numpy(), old)) for each, old in zip(buffers, kept, strict=True)],
    }


def batch_norm_of_pictures(lesson, rng):
    """BatchNorm2d, its gradients in both modes, and a graph that a later step does not disturb."""
    layer = _set(lesson.BatchNorm2d(2), rng)
    x = [_double(rng.normal(1, 2, (3, 2, 4, 3)), requires_grad=True) for _ in range(2)]
    y = layer(x[0])
    y.backward(rng.normal(size=y.shape))
    trained = [y, x[0].grad, layer.weight.grad, layer.bias.grad]
    layer.zero_grad()
    z = layer.eval()(x[1])
    layer.train()(_double(rng.normal(5, 2, (3, 2, 4, 3))))
    z.backward(rng.normal(size=z.shape))
    return {
        "trained": trained,
        "evaluated": [z, x[1].grad, layer.weight.grad],
        "buffer": layer.running_var,
        "float32": _disturbed(lesson.BatchNorm2d(2).eval(), rng),
    }


def _disturbed(layer, rng):
    """Gradients through an evaluation after which the layer has been trained: x has the buffers' dtype, float32."""
    x = Tensor(rng.normal(size=(3, 2, 2, 2)), requires_grad=True)
    y = layer(x)
    layer.train()(Tensor(rng.normal(5, 2, (3, 2, 4, 3))))
    y.backward(rng.normal(size=y.shape).astype(np.float32))
    return [x.grad, layer.weight.grad]


def batch_norm_parameters(lesson, rng):
    """Parameters and buffers start as they should and are saved; what does not fit is refused."""
    size = int(rng.integers(3, 7))
    layer, bare = lesson.BatchNorm2d(size), lesson.BatchNorm1d(size, affine=False)
    pictures, flat = Tensor(rng.normal(size=(2, size, 2, 2))), Tensor(rng.normal(size=(4, size)))
    wide = lesson.BatchNorm2d(size + 1)
    y = bare(flat)
    return {
        "state": dict(layer.state_dict()),
        "parameters": [name for name, _ in layer.named_parameters()],
        "without": [len(bare.parameters()), bare.weight is None, bare.bias is None, sorted(bare.state_dict())],
        "gradients": [layer(pictures).requires_grad, y.requires_grad],
        "bare": y,
        "dtype": str(layer(pictures).dtype),
        "channels": _refusal(lambda: wide(pictures), ValueError, str(pictures.shape)),
        "axes": _refusal(lambda: layer(flat), ValueError),
        "one value": _refusal(lambda: bare(Tensor(np.ones((1, size)))), ValueError, "eval()"),
    }


def _normalized_rows(op, rng, count):
    """Results, what is saved, and gradients of an op that normalizes rows, with count parameters and with none."""
    found = []
    for shape, size in (((4, 5), 5), ((2, 3, 4), 12), ((2, 3, 2, 2), 4)):
        parameters = [
            rng.normal(size=size).reshape(shape[-1:] if size == shape[-1] else shape[-2:]) for _ in range(count)
        ]
        for affine in (parameters, []):
            x = rng.normal(1, 2, shape)
            y, saved = op.forward(x, *affine, size=size, eps=0.01)
            found += [y, saved, x]
            found.append(_pulled(lambda *inputs, size=size: apply(op, *inputs, size=size, eps=0.01), rng, x, *affine))
    return found


def layer_norm_numbers(lesson, rng):
    """The op: results, what it saves, and gradients of input, weight and bias."""
    return _normalized_rows(lesson.layer_norm_op, rng, 2)


def layer_norm_layer(lesson, rng):
    """LayerNorm over one or more trailing axes, the same in training and evaluation."""
    x = _double(rng.normal(3, 2, (2, 3, 4)))
    layers = [_set(lesson.LayerNorm(4), rng), _set(lesson.LayerNorm((3, 4)), rng), lesson.LayerNorm([4], eps=0.5)]
    bare, large = lesson.LayerNorm(4, elementwise_affine=False), Tensor(1e4 + rng.normal(size=(3, 4)))
    return {
        "results": [layer(x) for layer in (*layers, bare)],
        "evaluated": [layer.eval()(x) for layer in layers],
        "parameters": [[list(each.shape) for each in layer.parameters()] for layer in (*layers, bare)],
        "first": lesson.LayerNorm((2, 3)).parameters(),
        "far": np.isfinite(bare(large).numpy()),
        "refused": _refusal(lambda: lesson.LayerNorm(3)(x), ValueError, str(x.shape)),
    }


def rms_norm_numbers(lesson, rng):
    """The op: results, what it saves, and gradients of input and weight."""
    return _normalized_rows(lesson.rms_norm_op, rng, 1)


def rms_norm_layer(lesson, rng):
    """RMSNorm over one or more trailing axes, without a bias, with its own smallest eps."""
    x = _double(rng.normal(3, 2, (2, 3, 4)))
    layers = [_set(lesson.RMSNorm(4), rng), _set(lesson.RMSNorm((3, 4), eps=0.1), rng)]
    bare, tiny = lesson.RMSNorm(4, elementwise_affine=False), Tensor(rng.normal(size=(2, 4)) * 1e-4)
    return {
        "results": [layer(x) for layer in (*layers, bare)],
        "parameters": [[name for name, _ in layer.named_parameters()] for layer in (*layers, bare)],
        "tiny": bare(tiny),
        "whole numbers": bare(Tensor(rng.integers(1, 9, (2, 4)), dtype=np.int64)),
        "refused": _refusal(lambda: lesson.RMSNorm(3)(x), ValueError, str(x.shape)),
    }


def normalization_count_answers(lesson, rng):
    """Your six numbers."""
    counts = lesson.count_normalization()
    names = (
        "batch_parameters",
        "batch_bytes",
        "batch_values",
        "layer_parameters",
        "layer_statistics",
        "rms_parameters",
    )
    return {name: counts[name] for name in names}


def training_with_normalization(lesson, rng):
    """A network with all three layers has the reference's losses, weights and evaluation, and can be saved."""

    def build():
        norms = [lesson.BatchNorm1d(5), lesson.LayerNorm(5), lesson.RMSNorm(5)]
        layers = [each for norm in norms for each in (Linear(5, 5), norm, lambda hidden: hidden.clip(min=0))]
        return Sequential(*layers, Linear(5, 1))

    net, other = build(), build()
    for layer in net:
        if isinstance(layer, Linear):
            _set(layer, rng)
    x, y = _double(rng.normal(size=(8, 5))), _double(rng.normal(size=(8, 1)))
    losses = []
    for _ in range(3):
        net.zero_grad()
        loss = ((net(x) - y) ** 2).mean()
        loss.backward()
        losses.append(loss.item())
        for parameter in net.parameters():
            parameter.numpy()[...] -= 0.02 * parameter.grad
    evaluated = net.eval()(x)
    other.load_state_dict(net.state_dict())
    return {
        "losses": losses,
        "evaluated": evaluated,
        "buffers": [net[1].running_mean, net[1].running_var],
        "loaded": bool(np.allclose(other.eval()(x).numpy(), evaluated.numpy(), atol=1e-4)),
    }


PROBES = {
    "test-initialisers": [fans_of_shapes, initialiser_spreads, initialiser_kinds],
    "test-batch-norm-op": [statistics_of_batches, batch_norm_numbers],
    "test-normalization-gradient": [through_normalization_in_place, batch_norm_gradients],
    "test-batch-norm": [batch_norm_layer, batch_norm_of_pictures, batch_norm_parameters],
    "test-layer-norm": [layer_norm_numbers, layer_norm_layer],
    "test-rms-norm": [rms_norm_numbers, rms_norm_layer],
    "test-count-normalization": [normalization_count_answers],
    "test-module-normalization": [training_with_normalization],
}
TOLERANCES = {
    "initialiser_spreads": {"atol": 0.05},  # 27,000 random numbers: 8 standard deviations of a difference of two draws
    "statistics_of_batches": {"rtol": 1e-3, "atol": 1e-6},  # float32 sums of 500 numbers near 1000
    "batch_norm_numbers": {"rtol": 1e-5, "atol": 1e-6},
    "batch_norm_layer": {"rtol": 1e-5, "atol": 1e-6},  # buffers are float32
    "batch_norm_of_pictures": {"rtol": 1e-5, "atol": 1e-5},  # float32 sums of 12 numbers
    "batch_norm_parameters": {"rtol": 1e-4, "atol": 1e-5},
    "rms_norm_layer": {"rtol": 1e-4, "atol": 1e-5},
    "training_with_normalization": {"rtol": 1e-4, "atol": 1e-5},
}
PARTIAL = [
    "test-initialisers",
    "test-batch-norm-op",
    "test-normalization-gradient",
    "test-batch-norm",
    "test-layer-norm",
    "test-rms-norm",
]
