"""Probes of 03_layers: calls with fresh random inputs; what they return is compared with the reference."""

import contextlib
import io

import numpy as np

from tinytorch.core.activations import ReLU
from tinytorch.core.tensor import Parameter, Tensor, manual_seed


def _refusal(call, kind, *words):
    """Whether a call is refused with an error of this kind, and whether the message has each of the words."""
    try:
        call()
    except kind as error:
        text = "".join([str(error)])  # a plain str: a class of its own could claim to hold any word
        return [True, *(word in text for word in words)]
    return [False]


def _seed(rng):
    """Start the lesson's random numbers at a point that the test does not know."""
    manual_seed(int(rng.integers(1 << 30)))


def _linear(lesson, weight, bias=None):
    """A Linear with these numbers."""
    layer = lesson.Linear(*weight.shape, bias=bias is not None)
    layer.weight = Parameter(weight)
    if bias is not None:
        layer.bias = Parameter(bias)
    return layer


def _leaf(lesson, *shape):
    """A module with one parameter."""
    module = lesson.Module()
    module.weight = Parameter(np.ones(shape))
    return module


def _names(module):
    return [name for name, _ in module.named_parameters()]


def matmul_products(lesson, rng):
    """Products of matrices of several shapes."""
    shapes = [(1, 1, 1), (3, 4, 2), (2, 1, 5), (4, 3, 4)]
    return [lesson.matmul(rng.normal(size=(m, k)), rng.normal(size=(k, n))) for m, k, n in shapes]


def matmul_dtypes(lesson, rng):
    """Whole numbers stay whole, float32 stays float32, and lists work."""
    whole, other = rng.integers(-9, 9, (2, 3)), rng.integers(-9, 9, (3, 2))
    single = rng.normal(size=(3, 2)).astype(np.float32)
    return {
        "integers": lesson.matmul(whole, other),
        "float32": lesson.matmul(single.T.copy(), single),
        "integers by floats": lesson.matmul(whole, rng.normal(size=(3, 2))),
        "lists": lesson.matmul(whole.tolist(), other.tolist()),
    }


def matmul_tensors(lesson, rng):
    """Tensors give a Tensor, also beside an array, and are not changed."""
    left, right = rng.normal(size=(2, 3)), rng.normal(size=(3, 4))
    a, b = Tensor(left), Tensor(right)
    results = [lesson.matmul(a, b), lesson.matmul(a, right), lesson.matmul(left, b)]
    plain = lesson.matmul(left, right)
    return {
        "products": results,
        "are Tensors": [isinstance(each, Tensor) for each in results],
        "of arrays": isinstance(plain, np.ndarray),
        "inputs": [a, b],
    }


def matmul_refusals(lesson, rng):
    """Shapes that do not fit are refused with a message that names them."""
    m, k = (int(size) for size in rng.integers(2, 9, 2))
    a, wrong = np.ones((m, k)), np.ones((k + 1, 3))
    starts = f"Incompatible matrix dimensions: A is {m}x{k}, B is {k + 1}x3"
    return {
        "inner sizes": _refusal(lambda: lesson.matmul(a, wrong), ValueError, starts),
        "tensors": _refusal(lambda: lesson.matmul(Tensor(a), Tensor(wrong)), ValueError, starts),
        "vector on the left": _refusal(lambda: lesson.matmul(np.ones(m), a), ValueError),
        "vector on the right": _refusal(lambda: lesson.matmul(a, np.ones(k)), ValueError),
        "three axes": _refusal(lambda: lesson.matmul(np.ones((1, m, k)), np.ones((k, 2))), ValueError),
        "a number": _refusal(lambda: lesson.matmul(2.0, a), ValueError),
        "fits": lesson.matmul(a, np.ones((k, 1))),
    }


def registry_names(lesson, rng):
    """Parameters in attributes, lists, tuples and dictionaries have dotted names, depth first."""
    sizes = [int(size) for size in rng.integers(1, 9, 6)]
    net = lesson.Module()
    net.scale = Parameter(np.ones(sizes[0]))
    net.note, net.count = "net", 3
    net.blocks = [_leaf(lesson, sizes[1]), None, (_leaf(lesson, sizes[2], 2), Parameter(np.ones(sizes[3])))]
    net.heads = {"a": _leaf(lesson, sizes[4]), "b": {"c": [_leaf(lesson, sizes[5])]}}
    net.plain = Tensor(np.ones(4))
    return {
        "names": _names(net),
        "sizes": [parameter.size for parameter in net.parameters()],
        "modules": [name for name, _ in net.named_modules()],
        "itself first": net.modules()[0] is net,
    }


def registry_sharing(lesson, rng):
    """A shared parameter or module counts once, and a cycle ends."""
    size = int(rng.integers(2, 9))
    net, inner = lesson.Module(), _leaf(lesson, size)
    net.first, net.again, net.tied = inner, [inner, inner], inner.weight
    inner.parent = net
    net.other = _leaf(lesson, size)
    return {
        "names": _names(net),
        "parameters": len(net.parameters()),
        "modules": len(net.modules()),
        "the same": net.parameters()[0] is inner.weight,
    }


def registry_changes(lesson, rng):
    """What counts is what the attributes hold now: after None, del, append and a new value."""
    size = int(rng.integers(2, 9))
    net = lesson.Module()
    net.scale, net.shift = Parameter(np.ones(size)), Parameter(np.zeros(size))
    net.blocks = [_leaf(lesson, size)]
    seen = [_names(net)]
    refused = _refusal(lambda: setattr(net, "scale", net.scale * 0.5), TypeError, "scale")
    net.scale = None
    seen.append(_names(net))
    net.blocks.append(_leaf(lesson, size))
    net.blocks[0].weight = Parameter(np.ones((size, 2)))
    seen.append(_names(net))
    del net.shift
    net.blocks = net.blocks[1:]
    seen.append(_names(net))
    return {"names": seen, "a plain Tensor": refused, "sizes": [each.size for each in net.parameters()]}


def registry_modes(lesson, rng):
    """train() and eval() reach every module inside and return the module."""
    net = lesson.Module()
    net.blocks = [_leaf(lesson, 1) for _ in range(int(rng.integers(2, 5)))]
    net.heads = {"a": (_leaf(lesson, 2),)}
    members = [net, *net.blocks, net.heads["a"][0]]
    new = [each.training for each in members]
    returned = [net.eval() is net]
    off = [each.training for each in members]
    returned.append(net.blocks[0].train() is net.blocks[0])
    part = [each.training for each in members]
    returned.append(net.train() is net)
    on = [each.training for each in members]
    net.train(False)
    return [new, off, part, on, [each.training for each in members], returned]


def registry_zero_grad(lesson, rng):
    """zero_grad clears the gradient of every parameter and changes nothing else."""
    net = lesson.Module()
    net.scale, net.blocks = Parameter(rng.normal(size=3)), [_leaf(lesson, 2), _leaf(lesson, 3)]
    parameters = [net.scale, net.blocks[0].weight, net.blocks[1].weight]
    for parameter in parameters[:2]:
        parameter.grad = np.ones(parameter.shape, dtype=np.float32)
    net.zero_grad()
    return {"cleared": [each.grad is None for each in parameters], "values": parameters}


def _stateful(lesson, rng):
    """A module with parameters in two places and a buffer."""
    net = lesson.Module()
    net.first, net.second = _leaf(lesson, 2, 3), [_leaf(lesson, 4)]
    net.first.weight = Parameter(rng.normal(size=(2, 3)))
    net.register_buffer("seen", rng.normal(size=2).astype(np.float32))
    net.register_buffer("count", np.array([3]))
    return net


def state_holds_copies(lesson, rng):
    """A saved state has every parameter and buffer by name, as copies."""
    net = _stateful(lesson, rng)
    state = net.state_dict()
    kinds = [isinstance(array, np.ndarray) for array in state.values()]
    net.first.weight.numpy()[...] = 7.0
    net.seen.numpy()[...] = 8.0
    return {"names": sorted(state), "arrays": dict(state), "are arrays": kinds}


def state_loads_in_place(lesson, rng):
    """Loading overwrites the numbers in the memory that the parameters have."""
    net, other = _stateful(lesson, rng), _stateful(lesson, rng)
    memory = net.first.weight.numpy()
    net.load_state_dict(other.state_dict())
    loaded = [net.first.weight.numpy().copy(), net.seen.numpy().copy(), net.count.numpy().copy()]
    other.first.weight.numpy()[...] = 9.0
    saved = {"first.weight": np.ones((2, 3)), "second.0.weight": [1, 2, 3, 4], "seen": np.zeros(2), "count": [5]}
    same = np.shares_memory(memory, net.first.weight.numpy())
    net.load_state_dict(saved)
    return {
        "loaded": loaded,
        "same memory": same,
        "again": net.state_dict(),
        "trained": net.first.weight.requires_grad,
    }


def state_refuses_misfits(lesson, rng):
    """A state that does not fit names all that is wrong and changes nothing."""
    net = _stateful(lesson, rng)
    good = {name: array + 1 for name, array in net.state_dict().items()}
    wrong = {"first.weight": np.ones((3, 2)), "count": np.array([0.5]), "third": np.ones(1), "seen": good["seen"]}
    named = ("second.0.weight", "third", "first.weight", "(3, 2)", "(2, 3)", "count")
    missing = {name: array for name, array in good.items() if name != "seen"}
    extra = {**good, "other": np.ones(2)}
    return {
        "all that is wrong": _refusal(lambda: net.load_state_dict(wrong), ValueError, *named),
        "missing": _refusal(lambda: net.load_state_dict(missing), ValueError, "seen"),
        "unexpected": _refusal(lambda: net.load_state_dict(extra), ValueError, "other"),
        "kind": _refusal(lambda: net.load_state_dict({**good, "count": np.array([1.5])}), ValueError, "count"),
        "nothing changed": net.state_dict(),
    }


def linear_values(lesson, rng):
    """x W + b for inputs with any leading axes."""
    layer = _linear(lesson, rng.normal(size=(3, 4)), rng.normal(size=4))
    shapes = [(3,), (1, 3), (5, 3), (2, 3, 3), (2, 1, 2, 3), (0, 3)]
    return [layer(Tensor(rng.normal(size=shape))) for shape in shapes]


def linear_without_bias(lesson, rng):
    """bias=False leaves the bias out: None, one parameter, x W."""
    layer = _linear(lesson, rng.normal(size=(2, 5)))
    bare = lesson.Linear(4, 2, bias=False)
    x = rng.normal(size=(3, 2)).astype(np.float32)
    return {
        "result": layer(Tensor(x)),
        "of an array": layer(x),
        "bias": [layer.bias is None, bare.bias is None],
        "parameters": [name for name, _ in bare.named_parameters()],
    }


def linear_start(lesson, rng):
    """New weights are normal with standard deviation sqrt(1 / in), new biases zero."""
    _seed(rng)
    layer = lesson.Linear(100, 200)
    weight = layer.weight.numpy()
    scaled = weight * np.sqrt(100)
    return {
        "shape": [list(weight.shape), list(layer.bias.shape)],
        "dtype": [str(weight.dtype), str(layer.bias.dtype)],
        "spread, in units of sqrt(1 / in)": float(scaled.std()),
        "mean": float(scaled.mean()),
        "share within one unit": float((np.abs(scaled) < 1).mean()),
        "bias": layer.bias,
        "drawn anew": not np.array_equal(*(lesson.Linear(4, 5).weight.numpy() for _ in range(2))),
        "parameters": [isinstance(each, Parameter) for each in (layer.weight, layer.bias)],
    }


def linear_is_differentiable(lesson, rng):
    """Results ask for gradients, since weights do, and follow a change of the weights."""
    layer = _linear(lesson, rng.normal(size=(3, 2)), rng.normal(size=2))
    x = Tensor(rng.normal(size=(4, 3)))
    y, bare = layer(x), _linear(lesson, rng.normal(size=(3, 2)))
    layer.weight.data *= 2  # no gradient: the numbers that the next call must use
    return {
        "first": y,
        "second": layer(x),
        "gradients": [each.requires_grad for each in (y, layer(x), bare(x))],
        "input": x,
    }


def linear_refusals(lesson, rng):
    """Inputs that do not fit are refused with both sizes in the message."""
    size = int(rng.integers(5, 30))
    layer = lesson.Linear(size, 3)
    wrong = Tensor(np.zeros((2, size + 1)))
    return {
        "width": _refusal(lambda: layer(wrong), ValueError, str(size), str(wrong.shape)),
        "a number": _refusal(lambda: layer(Tensor(1.0)), ValueError, str(size)),
        "no inputs": _refusal(lambda: lesson.Linear(0, 3), ValueError),
        "fits": _linear(lesson, np.ones((size, 3)))(Tensor(np.zeros((2, size)))),
    }


def dense_start(lesson, rng):
    """New weights have standard deviation sqrt(2 / (in + out)), new biases are zero."""
    _seed(rng)
    layers = [lesson.Dense(50, 200), lesson.Dense(200, 50)]
    return {
        "spread, in units of sqrt(2 / (in + out))": [
            float(each.weight.numpy().std() * np.sqrt(125)) for each in layers
        ],
        "shapes": [list(parameter.shape) for each in layers for parameter in each.parameters()],
        "bias": layers[0].bias,
    }


def dense_values(lesson, rng):
    """x W + b, with and without bias."""
    layer, bare = lesson.Dense(3, 4), lesson.Dense(3, 2, use_bias=False)
    layer.weight, layer.bias = Parameter(rng.normal(size=(3, 4))), Parameter(rng.normal(size=4))
    bare.weights = Parameter(rng.normal(size=(3, 2)))
    x = Tensor(rng.normal(size=(2, 5, 3)))
    return {
        "result": layer(x),
        "without bias": bare(x),
        "one parameter": [bare.weights is bare.weight, len(bare.parameters()), len(layer.parameters())],
    }


def dropout_share(lesson, rng):
    """The right share of the numbers falls, and the mean stays."""
    _seed(rng)
    shares = {}
    for p in (0.1, float(rng.uniform(0.3, 0.7)), 0.9):
        y = lesson.Dropout(p)(Tensor(np.ones((100, 100)))).numpy()
        shares[f"{len(shares)}"] = [float((y == 0).mean()), float(y.mean() * (1 - p))]
    return shares


def dropout_scales(lesson, rng):
    """What stays is multiplied by 1 / (1 - p), number by number, in the input's dtype."""
    _seed(rng)
    p = float(rng.uniform(0.3, 0.7))
    values = rng.uniform(1, 2, (60, 60))
    found = {}
    for dtype in (np.float32, np.float64):
        x = Tensor(values, dtype=dtype)
        y = lesson.Dropout(p)(x).numpy()
        kept = y != 0
        found[np.dtype(dtype).name] = {
            "scaled": bool(np.allclose(y[kept], (x.numpy() / (1 - p))[kept], rtol=1e-5)),
            "some fall, some stay": [bool(kept.any()), bool((~kept).any())],
            "each number alone": [bool(kept.any(axis=axis).all() and (~kept).any(axis=axis).all()) for axis in (0, 1)],
            "shape and dtype": [list(y.shape), str(y.dtype)],
            "input": x,
        }
    return found


def dropout_draws(lesson, rng):
    """Every pass draws a new mask, and a seed repeats it."""
    drop, x = lesson.Dropout(0.4), Tensor(rng.uniform(1, 2, (20, 30)))
    seed = int(rng.integers(1 << 30))
    manual_seed(seed)
    first, second = drop(x).numpy().copy(), drop(x).numpy().copy()
    manual_seed(seed)
    return {"repeated": bool(np.array_equal(first, drop(x).numpy())), "new": not np.array_equal(first, second)}


def dropout_modes(lesson, rng):
    """Evaluation changes nothing; training=True and training=False override the mode."""
    drop, x = lesson.Dropout(0.5), Tensor(rng.uniform(1, 2, (20, 30)))
    fell = [bool((drop(x).numpy() == 0).any())]
    drop.eval()
    same = [drop(x)]
    fell.append(bool((drop(x, training=True).numpy() == 0).any()))
    drop.train()
    same.append(drop(x, training=False))
    fell.append(bool((drop(x, training=None).numpy() == 0).any()))
    return {"something fell": fell, "unchanged": same}


def dropout_edges(lesson, rng):
    """p = 0 drops nothing, p = 1 everything, any other p outside [0, 1] is refused; gradients go on."""
    x = Tensor(rng.uniform(1, 2, (3, 4)), requires_grad=True)
    wrong = float(rng.uniform(1.1, 2))
    return {
        "p = 0": lesson.Dropout(0)(x),
        "p = 1": lesson.Dropout(1.0)(x),
        "gradients": [lesson.Dropout(p)(x).requires_grad for p in (0.0, 0.5)],
        "refused": [_refusal(lambda p=p: lesson.Dropout(p), ValueError, str(p)) for p in (wrong, -wrong)],
    }


def sequential_values(lesson, rng):
    """Each layer takes the output of the one before, also inside chains and in one list."""
    first = _linear(lesson, rng.normal(size=(4, 5)), rng.normal(size=5))
    last = _linear(lesson, rng.normal(size=(5, 2)), rng.normal(size=2))
    x = Tensor(rng.normal(size=(3, 4)))
    chain = lesson.Sequential(first, ReLU(), last)
    grown = lesson.Sequential(first)
    grown.add(ReLU()).add(last)
    empty = lesson.Sequential()
    return {
        "chain": chain(x),
        "nested": lesson.Sequential(lesson.Sequential(first, ReLU()), last)(x),
        "list": lesson.Sequential([first, ReLU(), last])(x),
        "grown": grown(x),
        "empty": [empty(x) is x, len(empty)],
        "of functions": lesson.Sequential(lambda t: t + 1, lambda t: t * 2)(x),
    }


def sequential_indexing(lesson, rng):
    """Places count from both ends, and a slice is a chain that shares its layers."""
    layers = [_linear(lesson, rng.normal(size=(3, 3)), rng.normal(size=3)) for _ in range(4)]
    net, x = lesson.Sequential(*layers), Tensor(rng.normal(size=(2, 3)))
    slices = [net[1:3], net[::2], net[:0], net[-2:]]
    return {
        "places": [net[place] is layers[place] for place in (0, 2, -1, -4)],
        "iteration": [mine is theirs for mine, theirs in zip(net, layers, strict=True)],
        "slices": [len(part) for part in slices],
        "are chains": [isinstance(part, lesson.Sequential) for part in slices],
        "shared": slices[0][0] is layers[1],
        "of a slice": slices[3](x),
        "beyond": _refusal(lambda: net[4], IndexError),
    }


def sequential_parameters(lesson, rng):
    """Parameters are named after their layer's place, and modes reach every layer."""
    inner = lesson.Sequential(lesson.Linear(3, 2), lesson.Dropout(0.5))
    net = lesson.Sequential(inner, ReLU(), lesson.Linear(2, int(rng.integers(2, 6)), bias=False))
    net.eval()
    x = Tensor(rng.normal(size=(2, 3)))
    return {
        "names": _names(net),
        "sizes": [each.size for each in net.parameters()],
        "modes": [inner.training, inner[1].training, net[2].training],
        "the same twice": bool(np.array_equal(net(x).numpy(), net(x).numpy())),
    }


def flatten_shapes(lesson, rng):
    """The named axes are folded, and the order of the numbers stays."""
    x = rng.normal(size=(2, 3, 4, 5))
    folds = [(), (0,), (2,), (3,), (-2,), (1, 2), (0, 1), (-3, -2), (2, 2)]
    return [lesson.flatten(Tensor(x), *fold) for fold in folds]


def flatten_kinds(lesson, rng):
    """Arrays give arrays, Tensors give Tensors with gradients, dtypes stay, and an empty batch has a shape."""
    x = rng.normal(size=(2, 3, 4))
    whole = Tensor(rng.integers(0, 9, (2, 2, 2)), dtype=np.int64)
    results = [lesson.flatten(x), lesson.flatten(Tensor(x, requires_grad=True)), lesson.flatten(Tensor(x).T)]
    return {
        "results": results,
        "kinds": [isinstance(each, np.ndarray) for each in results],
        "gradients": results[1].requires_grad,
        "integers": lesson.flatten(whole, 0),
        "empty batch": lesson.flatten(Tensor(np.zeros((0, 3, 4)))),
        "two axes": lesson.flatten(Tensor(x[0])),
    }


def flatten_layer(lesson, rng):
    """Flatten in a chain, with other axes too."""
    x = Tensor(rng.normal(size=(2, 3, 4)))
    linear = _linear(lesson, rng.normal(size=(12, 2)), rng.normal(size=2))
    return [lesson.Sequential(lesson.Flatten(), linear)(x), lesson.Flatten(0, 1)(x), lesson.Flatten(2)(x)]


def flatten_refusals(lesson, rng):
    """Axes that are not there, or in the wrong order, are refused with the shape in the message."""
    x = Tensor(rng.normal(size=(2, 3, int(rng.integers(4, 9)))))
    wrong = [(3,), (-4,), (2, 1), (1, 3)]
    refused = [_refusal(lambda axes=axes: lesson.flatten(x, *axes), (ValueError, IndexError)) for axes in wrong]
    return [*refused, _refusal(lambda: lesson.flatten(x, 3), (ValueError, IndexError), str(x.shape)), lesson.flatten(x)]


def count_network_numbers(lesson, rng):
    """Your six numbers."""
    counts = lesson.count_network()
    return {key: counts[key] for key in ("layer_1", "layer_2", "layer_3", "total", "total_bytes", "forward_flops")}


_COUNTS = ("weight_parameters", "bias_parameters", "total_parameters", "memory_bytes", "memory_mb", "flops")


def _counts(network):
    """The counts of a network and of its layers."""
    picked = {key: network[key] for key in (*_COUNTS, "total_memory_mb", "num_layers")}
    layers = [[layer[key] for key in _COUNTS] for layer in network["layer_details"]]
    return {**picked, "layer_details": layers, "network_architecture": list(network["network_architecture"])}


def profiler_counts(lesson, rng):
    """The counts of one network, all together and layer by layer."""
    sizes = [int(size) for size in rng.integers(1, 2000, 5)]
    profiler = lesson.LayerArchitectureProfiler(show=False)
    return {
        "network": _counts(profiler.analyze_network_scaling(sizes[0], sizes[1:4], sizes[4])),
        "one hidden layer": _counts(profiler.analyze_layer_parameters(*sizes[:3])),
        "no hidden layer": _counts(profiler.analyze_network_scaling(sizes[0], [], sizes[1])),
    }


def profiler_comparisons(lesson, rng):
    """The counts of several networks side by side."""
    wide, deep = ([int(size) for size in rng.integers(1, 500, count)] for count in (2, 4))
    profiler = lesson.LayerArchitectureProfiler(show=False)
    named = profiler.compare_architectures(30, {"wide": wide, "deep": deep}, 7)
    both = profiler.analyze_depth_vs_width_tradeoffs(30, 7, wide, deep)
    return [[_counts(each[name]) for name in ("wide", "deep")] for each in (named, both)]


def profiler_prints(lesson, rng):
    """The printed table shows the totals; show=False prints nothing."""
    hidden = int(rng.integers(100, 900))
    printed, silent = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed):
        lesson.LayerArchitectureProfiler().analyze_network_scaling(784, [hidden], 10)
    with contextlib.redirect_stdout(silent):
        lesson.LayerArchitectureProfiler(show=False).analyze_network_scaling(784, [hidden], 10)
    totals = (784 * hidden + hidden, hidden * 10 + 10, 784 * hidden + hidden + hidden * 10 + 10)
    return {"shown": [f"{total:,}" in printed.getvalue() for total in totals], "silent": not silent.getvalue()}


def network_computes(lesson, rng):
    """A network of all your layers computes what the reference computes, and saves and loads."""

    def build():
        last = _linear(lesson, rng.normal(size=(4, 3)))
        return lesson.Sequential(lesson.Flatten(), lesson.Linear(6, 4), ReLU(), lesson.Dropout(0.5), last)

    net, other = build(), build()
    net[1].weight, net[1].bias = Parameter(rng.normal(size=(6, 4))), Parameter(rng.normal(size=4))
    x = Tensor(rng.normal(size=(5, 2, 3)))
    y = net.eval()(x)
    other.load_state_dict(net.state_dict())
    return {
        "result": y,
        "loaded": other.eval()(x),
        "gradients": y.requires_grad,
        "parameters": [[name, parameter.size] for name, parameter in net.named_parameters()],
    }


def network_trains(lesson, rng):
    """In training mode dropout draws anew; in evaluation nothing is random."""
    _seed(rng)
    net = lesson.Sequential(lesson.Linear(8, 30), lesson.Dropout(0.5), lesson.Dense(30, 4))
    x = Tensor(rng.normal(size=(6, 8)))
    random = not np.array_equal(net(x).numpy(), net(x).numpy())
    net.eval()
    return [random, bool(np.array_equal(net(x).numpy(), net(x).numpy())), list(net(x).shape)]


PROBES = {
    "test-matmul": [matmul_products, matmul_dtypes, matmul_tensors, matmul_refusals],
    "test-module-registry": [registry_names, registry_sharing, registry_changes, registry_modes, registry_zero_grad],
    "test-module-state": [state_holds_copies, state_loads_in_place, state_refuses_misfits],
    "test-linear": [linear_values, linear_without_bias, linear_start, linear_is_differentiable, linear_refusals],
    "test-dense": [dense_start, dense_values],
    "test-dropout": [dropout_share, dropout_scales, dropout_draws, dropout_modes, dropout_edges],
    "test-sequential": [sequential_values, sequential_indexing, sequential_parameters],
    "test-flatten": [flatten_shapes, flatten_kinds, flatten_layer, flatten_refusals],
    "test-count-network": [count_network_numbers],
    "test-profiler": [profiler_counts, profiler_comparisons, profiler_prints],
    "test-module-layers": [network_computes, network_trains],
}
TOLERANCES = {
    "matmul_dtypes": {"rtol": 1e-4, "atol": 1e-4},  # float32 sums in another order
    "linear_values": {"rtol": 1e-4, "atol": 1e-5},
    "linear_without_bias": {"rtol": 1e-4, "atol": 1e-5},
    "linear_start": {"atol": 0.07},  # 20,000 random numbers: 7 standard deviations of a difference of two such draws
    "linear_is_differentiable": {"rtol": 1e-4, "atol": 1e-5},
    "dense_start": {"atol": 0.07},  # 10,000 random numbers: 7
    "dense_values": {"rtol": 1e-4, "atol": 1e-5},
    "dropout_share": {"atol": 0.05},  # 10,000 random numbers: 7
    "sequential_values": {"rtol": 1e-4, "atol": 1e-5},
    "sequential_indexing": {"rtol": 1e-4, "atol": 1e-5},
    "flatten_layer": {"rtol": 1e-4, "atol": 1e-5},
    "network_computes": {"rtol": 1e-4, "atol": 1e-4},
}
PARTIAL = ["test-matmul", "test-module-registry", "test-linear", "test-dropout", "test-sequential", "test-flatten"]
