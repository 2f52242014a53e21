"""Probes of 10_spatial: calls with fresh random inputs; what they return is compared with the reference."""

import contextlib
import io

import numpy as np

from tinytorch.core.layers import Linear, Sequential
from tinytorch.core.tensor import Parameter, Tensor, manual_seed


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


def naive_values(lesson, rng):
    """One channel, with pictures and kernels of several sizes."""
    sizes = [((4, 5), (2, 3)), ((3, 3), (3, 3)), ((5, 3), (1, 3)), ((4, 4), (1, 1)), ((5, 6), (3, 2))]
    return [lesson.conv2d_naive(rng.normal(size=picture), rng.normal(size=kernel)) for picture, kernel in sizes]


def naive_kinds(lesson, rng):
    """Whole numbers stay whole, float32 stays float32, lists work, Tensors give a Tensor."""
    whole, kernel = rng.integers(-9, 9, (3, 4)), rng.integers(-3, 3, (2, 2))
    single = rng.normal(size=(3, 4)).astype(np.float32)
    mixed = [lesson.conv2d_naive(Tensor(single), kernel), lesson.conv2d_naive(single, Tensor(kernel))]
    return {
        "whole": lesson.conv2d_naive(whole, kernel),
        "float32": lesson.conv2d_naive(single, kernel.astype(np.float32)),
        "float32 and float64": lesson.conv2d_naive(single, rng.normal(size=(2, 2))),
        "whole and floats": lesson.conv2d_naive(whole, rng.normal(size=(2, 2))),
        "lists": lesson.conv2d_naive(whole.tolist(), kernel.tolist()),
        "Tensors": mixed,
        "kinds": [isinstance(each, Tensor) for each in mixed],
        "input": single,
    }


def naive_refusals(lesson, rng):
    """Kernels that do not fit and inputs with other axes are refused with their sizes."""
    a = int(rng.integers(4, 9))
    x = rng.normal(size=(3, 3))
    return {
        "too large": _refusal(lambda: lesson.conv2d_naive(x, np.ones((a, 2))), ValueError, f"{a}x2", "3x3"),
        "three axes": _refusal(lambda: lesson.conv2d_naive(np.ones((1, 3, 3)), np.ones((2, 2))), ValueError),
        "fits": lesson.conv2d_naive(x, np.ones((3, 3))),
    }


def simple_values(lesson, rng):
    """One learned kernel on a picture and on a batch, with the gradients of both."""
    found = []
    for kernel, shape in (((2, 3), (4, 5)), ((3, 3), (2, 4, 4)), ((1, 2), (3, 3)), ((2, 2), (1, 3, 4))):
        layer = lesson.SimpleConv2D(kernel)
        layer.kernel = Parameter(_double(rng.normal(size=kernel)))
        found.append([*_pulled(layer, rng, rng.normal(size=shape)), layer.kernel.grad])
    return found


def simple_start(lesson, rng):
    """A new kernel is a parameter of standard deviation sqrt(2 / (kh * kw)); other inputs are refused."""
    manual_seed(int(rng.integers(1 << 30)))
    kernel = lesson.SimpleConv2D((150, 200)).kernel
    scaled = kernel.numpy() * np.sqrt(150 * 200 / 2)
    small = lesson.SimpleConv2D(2)
    small.kernel = Parameter(rng.normal(size=(2, 2)).round(1))
    return {
        "statistics": [float(scaled.std()), float(scaled.mean()), float((np.abs(scaled) < 1).mean())],
        "shapes": [list(lesson.SimpleConv2D(size).kernel.shape) for size in (3, (2, 5))],
        "kind": [isinstance(kernel, Parameter), str(kernel.dtype), len(small.parameters())],
        "refused": _refusal(lambda: small(Tensor(np.ones((1, 1, 3, 3)))), ValueError, "(1, 1, 3, 3)"),
        "fits": small(Tensor(rng.normal(size=(3, 3)))),
    }


def loops_over_channels(lesson, rng):
    """Every output channel adds up all input channels, and its bias once."""
    found = []
    for x, weight in (((2, 2, 3, 4), (3, 2, 2, 2)), ((1, 3, 3, 3), (1, 3, 1, 2)), ((1, 1, 3, 3), (2, 1, 3, 3))):
        arrays = rng.normal(size=x), rng.normal(size=weight), rng.normal(size=weight[0])
        found += [lesson.conv2d_by_loops(*arrays), *arrays]
    return found


_PLACES = [((5, 6), (2, 3), (1, 1)), ((5, 7), (3, 2), (2, 3)), ((4, 4), (4, 4), (1, 2)), ((6, 5), (1, 1), (2, 2))]


def views_of_pixels(lesson, rng):
    """For each place in the kernel a view of the pixels that it meets, row by row."""
    found, shared = [], []
    for size, kernel, stride in _PLACES:
        x = rng.normal(size=(2, 1, *size))
        views = lesson.kernel_views(x, kernel, stride)
        found.append([len(views), *views])
        shared.append(all(np.shares_memory(view, x) for view in views))
    return {"views": found, "shared": shared, "of a matrix": lesson.kernel_views(rng.normal(size=(3, 3)), (2, 2))}


def gathering_and_scattering(lesson, rng):
    """gather copies the pixels into patches, scatter adds patches to the pixels."""
    found = []
    for size, kernel, stride in _PLACES:
        x = rng.normal(size=(2, 3, *size))
        height, width = ((n - k) // s + 1 for n, k, s in zip(size, kernel, stride, strict=True))
        patches, total = np.zeros((2, 3, kernel[0] * kernel[1], height, width)), rng.normal(size=x.shape)
        lesson.gather(x, patches, kernel, stride)
        lesson.scatter(rng.normal(size=patches.shape), total, kernel, stride)
        found += [patches, total, x]
    return found


_SIZES = [{}, {"stride": 2}, {"padding": 1}, {"stride": (1, 2), "padding": (2, 0)}, {"stride": (3, 2), "padding": 1}]


def convolution_values(lesson, rng):
    """conv2d with strides, padding, several channels, with and without a bias, of a batch and of one image."""
    found = []
    for sizes in _SIZES:
        x, weight, bias = (_double(rng.normal(size=shape)) for shape in ((2, 3, 5, 6), (4, 3, 3, 2), (4,)))
        found += [lesson.conv2d(x, weight, bias, **sizes), lesson.conv2d(x[0], weight, None, **sizes)]
    return {"results": found, "empty": lesson.conv2d(_double(np.zeros((0, 3, 4, 4))), weight, bias).shape}


def convolution_kinds(lesson, rng):
    """dtypes, gradients asked for, batches of several blocks, and inputs that stay."""
    x = Tensor(rng.integers(0, 9, (2, 1, 4, 4)), dtype=np.int64)
    weight = Parameter(rng.normal(size=(2, 1, 2, 2)))
    y = lesson.conv2d(x, weight)
    pattern = rng.normal(size=(1, 3, 64, 64)).astype(np.float32)
    large = lesson.conv2d(Tensor(np.tile(pattern, (12, 1, 1, 1))), Tensor(np.ones((1, 3, 4, 4)) / 48)).numpy()
    return {
        "whole": y,
        "gradients": [y.requires_grad, lesson.conv2d(x, weight.detach()).requires_grad],
        "blocks": [large[:, 0, ::20, ::20], list(large.shape)],
        "inputs": [x, weight],
    }


def convolution_refusals(lesson, rng):
    """Channels and kernels that do not fit are refused with their sizes."""
    a = int(rng.integers(4, 9))
    weight, image = Tensor(rng.normal(size=(2, 3, 2, 2))), Tensor(rng.normal(size=(1, 3, 3, 3)))
    wrong, last = Tensor(np.ones((1, a, 4, 4))), Tensor(np.ones((1, 5, 4, 3)))
    starts = f"Expected 3 input channels, got {a}"
    return {
        "channels": _refusal(lambda: lesson.conv2d(wrong, weight), ValueError, starts, str(wrong.shape)),
        "channels last": _refusal(lambda: lesson.conv2d(last, weight), ValueError, "Expected 3 input channels, got 5"),
        "kernel": _refusal(lambda: lesson.conv2d(Tensor(np.ones((1, 3, 1, 1))), weight), ValueError, "2x2", "1x1"),
        "bias": _refusal(lambda: lesson.conv2d(image, weight, Tensor(np.ones(3))), ValueError),
        "axes": _refusal(lambda: lesson.conv2d(Tensor(np.ones((4, 4))), weight), ValueError),
        "fits": lesson.conv2d(image, weight),
    }


def convolution_gradients(lesson, rng):
    """Gradients of input, kernels and bias, with strides and padding, without a bias, and of one image."""
    found = []
    for sizes in _SIZES:
        arrays = [rng.normal(size=shape) for shape in ((2, 2, 5, 4), (3, 2, 3, 2), (3,))]

        def convolved(x, weight, bias=None, sizes=sizes):
            return lesson.conv2d(x, weight, bias, **sizes)

        found += [_pulled(convolved, rng, *arrays), _pulled(convolved, rng, *arrays[:2])]
        found.append(_pulled(convolved, rng, arrays[0][0], arrays[1]))
    return found


def gradients_where_wanted(lesson, rng):
    """Only what requires a gradient gets one, and gradients of many blocks add up."""
    image, weight, bias = Tensor(rng.normal(size=(1, 1, 4, 4))), Parameter(np.ones((1, 1, 2, 2))), Tensor([1.0])
    lesson.conv2d(image, weight, bias).sum().backward()
    pattern = rng.normal(size=(1, 3, 40, 40)).astype(np.float32)
    many = np.tile(pattern, (20, 1, 1, 1))
    kernels = Parameter(rng.normal(size=(1, 3, 4, 4)))
    lesson.conv2d(Tensor(many), kernels).mean().backward()
    return {"none": [image.grad is None, bias.grad is None], "weight": weight.grad, "blocks": kernels.grad}


def gradients_of_each_block(lesson, rng):
    """In a batch of many blocks each image has its own gradient, and takes its own part in that of the kernels."""
    pattern, factors = rng.normal(size=(1, 3, 40, 40)), rng.uniform(0.5, 1.5, (24, 1, 1, 1))
    many, kernels = (
        _double(np.tile(pattern, (24, 1, 1, 1)) * factors, True),
        _double(rng.normal(size=(1, 3, 4, 4)), True),
    )
    (lesson.conv2d(many, kernels) * _double(factors[::-1].copy())).sum().backward()
    return {"images": many.grad[:, 0, 20, 20], "kernels": kernels.grad}


def convolution_layer(lesson, rng):
    """Conv2D uses its weight, bias, stride and padding."""
    found = []
    for options in ({}, {"stride": 2, "padding": (1, 0)}, {"bias": False}, {"stride": (1, 2), "padding": 2}):
        layer = lesson.Conv2D(2, 3, (2, 3), **options)
        layer.weight = Parameter(_double(rng.normal(size=(3, 2, 2, 3))))
        if layer.bias is not None:
            layer.bias = Parameter(_double(rng.normal(size=3)))
        x = _double(rng.normal(size=(2, 2, 5, 6)))
        found += [layer(x), layer(x[0])]
    return {"results": found, "gradients": found[0].requires_grad}


def convolution_layer_start(lesson, rng):
    """New weights have standard deviation sqrt(2 / (in * kh * kw)), new biases are zero; wrong sizes are refused."""
    manual_seed(int(rng.integers(1 << 30)))
    layer, bare = lesson.Conv2D(24, 100, (3, 4)), lesson.Conv2d(3, 32, 3, bias=False)
    scaled = layer.weight.numpy() * np.sqrt(24 * 12 / 2)
    a = int(rng.integers(4, 9))
    image = Tensor(rng.normal(size=(1, 3, 4, 4)))
    wrong = Tensor(np.ones((1, a, 8, 8)))
    return {
        "statistics": [float(scaled.std()), float(scaled.mean()), float((np.abs(scaled) < 1).mean())],
        "parameters": [list(each.shape) for each in (*layer.parameters(), *bare.parameters())],
        "bias": [layer.bias, bare.bias is None],
        "dtype": str(layer.weight.dtype),
        "output": list(bare(image).shape),
        "channels": _refusal(lambda: bare(wrong), ValueError, f"Expected 3 input channels, got {a}"),
        "stride": _refusal(lambda: lesson.Conv2D(3, 8, 3, stride=0), ValueError, "stride"),
        "kernel": _refusal(lambda: lesson.Conv2D(3, 8, 5)(image), ValueError, "5x5"),
    }


_WINDOWS = [(2, {}), ((2, 3), {}), (3, {"stride": 1}), (3, {"stride": 2, "padding": 1}), ((2, 3), {"stride": (1, 3)})]
_WINDOWS += [
    ((2, 3), {"stride": (2, 1)}),
    (2, {"padding": 1}),
    ((3, 2), {"stride": (2, 1), "padding": (1, 1)}),
    (1, {"stride": 2}),
]


def _pooled(pool, rng):
    """Results and gradients of a pooling function for several windows and numbers of axes."""
    found = []
    for window, options in _WINDOWS:
        for shape in ((2, 2, 5, 6), (4, 5)):
            x = rng.permutation(int(np.prod(shape))).reshape(shape) / 10.0 - 5.0
            found.append(_pulled(lambda x, w=window, o=options: pool(x, w, **o), rng, x))
    return found


def max_pool_values(lesson, rng):
    """The largest number of each window, and where its gradient goes, also where windows overlap."""
    return _pooled(lesson.max_pool2d, rng)


def max_pool_ties(lesson, rng):
    """The first of several largest numbers gets the whole gradient, and padding never wins."""
    found = []
    for window, options in _WINDOWS:
        x = rng.integers(-2, 1, (2, 2, 5, 6)) - 1.0
        found.append(_pulled(lambda x, w=window, o=options: lesson.max_pool2d(x, w, **o), rng, x))
    return found


def max_pool_layer(lesson, rng):
    """MaxPool2D with its sizes, its dtypes and its refusals."""
    whole = Tensor(rng.integers(-50, 50, (2, 5, 6)), dtype=np.int64)
    single = Tensor(rng.normal(size=(1, 2, 4, 4)))
    layers = [lesson.MaxPool2D(), lesson.MaxPool2d(3, stride=1), lesson.MaxPool2D(kernel_size=(1, 2))]
    layers.append(lesson.MaxPool2D(3, 2, 1))
    return {
        "whole": [layer(whole) for layer in layers],
        "float32": [layer(single) for layer in layers],
        "stride": _refusal(lambda: lesson.max_pool2d(single, 2, stride=0), ValueError, "stride"),
        "padding": _refusal(lambda: lesson.max_pool2d(single, 2, padding=2), ValueError),
        "window": _refusal(lambda: lesson.max_pool2d(single, 5), ValueError, "5x5", "4x4"),
        "input": single,
    }


def avg_pool_values(lesson, rng):
    """The mean of each window, zeros of the padding included, and equal shares of the gradient."""
    return _pooled(lesson.avg_pool2d, rng)


def avg_pool_layer(lesson, rng):
    """AvgPool2D with its sizes; float32 stays float32, whole numbers are rounded towards zero without overflow."""
    whole = Tensor(rng.integers(-50, 50, (2, 5, 6)), dtype=np.int64)
    small = Tensor(rng.integers(150, 255, (1, 4, 4)), dtype=np.uint8)
    single = Tensor(rng.normal(size=(1, 2, 4, 4)))
    layers = [lesson.AvgPool2D(), lesson.AvgPool2d(3, stride=1), lesson.AvgPool2D(kernel_size=(1, 2))]
    return {
        "whole": [layer(whole) for layer in layers],
        "bytes": [layer(small) for layer in layers],
        "float32": [layer(single) for layer in layers],
        "input": single,
    }


def network_for_cifar(lesson, rng):
    """The network's layers in order: its parameters, and its answers with given ones."""
    net = lesson.cifar_network()
    parameters = net.parameters()
    shapes = [list(parameter.shape) for parameter in parameters]
    for parameter in parameters:
        parameter.numpy()[...] = rng.normal(0, parameter.size**-0.3, parameter.shape)
    x, passed = Tensor(rng.normal(size=(1, 3, 32, 32))), []
    for layer in net:
        x = layer(x)
        passed.append(list(x.shape))
    return {"parameters": shapes, "shapes": passed, "answers": x, "count": len(net)}


def convolution_count_answers(lesson, rng):
    """Your six numbers."""
    counts = lesson.count_convolution()
    names = ("parameters", "output_bytes", "product_flops", "bias_flops", "patch_bytes", "linear_weights")
    return {name: counts[name] for name in names}


_COUNTS = ("flops", "bias_flops", "parameters", "total_memory_mb")


def profiler_counts(lesson, rng):
    """Counts of every kernel size that was asked for, and a throughput that fits the time."""
    a, b, size = (int(number) for number in rng.integers(2, 6, 3))
    profiler = lesson.ConvolutionProfiler(show=False, repeats=1)
    x = Tensor(rng.normal(size=(2, a, size + 5, size + 6)))
    found = []
    for layer in (lesson.Conv2D(a, b, 3), lesson.Conv2D(a, b, 3, stride=2, padding=1, bias=False)):
        profile = profiler.profile_convolution_operation(layer, x, kernel_sizes=[(3, 3), (1, 2), 5])
        found.append(profile["detailed_results"])
    simple = lesson.SimpleConv2D(2)
    one = profiler.profile_convolution_operation(simple, Tensor(np.ones((8, size + 8))), kernel_sizes=[2, 3])
    results = [each[name] for each in (*found, one["detailed_results"]) for name in each]
    rates = [each["flops"] + each["bias_flops"] for each in results]
    work = [each["throughput_mflops"] * each["time_ms"] * 1e3 for each in results]
    fit = [abs(done / rate - 1) < 1e-6 for done, rate in zip(work, rates, strict=True)]
    return {
        "names": [sorted(each) for each in found],
        "counts": [[each[key] for key in _COUNTS] for each in results],
        "rates fit": fit,
        "times": [each["time_ms"] > 0 for each in results],
        "analysis": [profile["analysis"]["fastest"] in profile["detailed_results"], bool(profile["recommendations"])],
    }


def profiler_of_memory(lesson, rng):
    """Bytes by image size, and what is printed."""
    sizes = [(int(rows), int(columns)) for rows, columns in rng.integers(8, 40, (3, 2))]
    profiler = lesson.ConvolutionProfiler(show=False, repeats=1)
    names = ("input_memory_mb", "output_memory_mb", "total_memory_mb")
    found = [profiler.analyze_memory_patterns(sizes), profiler.analyze_memory_patterns(sizes, lesson.Conv2D(2, 5, 3))]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        lesson.ConvolutionProfiler(repeats=1).analyze_memory_patterns(sizes)
        profile = lesson.ConvolutionProfiler(repeats=1).profile_convolution_operation
        counts = profile(lesson.Conv2D(1, 2, 3), Tensor(np.ones((1, 1, *sizes[0]))), [(3, 3)])["detailed_results"][
            "3x3"
        ]
    return {
        "sizes": [[list(each["input_size"]) for each in rows] for rows in found],
        "bytes": [[[each[name] for name in names] for each in rows] for rows in found],
        "printed": [f"{rows}x{columns}" in printed.getvalue() for rows, columns in sizes],
        "counted": counts["flops"],
    }


def training_a_network(lesson, rng):
    """A network of convolution, pooling and a linear layer has the reference's losses and weights."""
    net = Sequential(
        lesson.Conv2D(1, 2, 3, padding=1), lesson.MaxPool2D(2), lesson.Conv2D(2, 3, 2), lesson.AvgPool2D(2)
    )
    net = Sequential(*net, lambda x: lesson.flatten(x), Linear(3, 1))
    for layer in (net[0], net[2], net[5]):
        layer.weight = Parameter(_double(rng.normal(size=layer.weight.shape)))
        layer.bias = Parameter(_double(rng.normal(size=layer.bias.shape)))
    x, y = _double(rng.normal(size=(4, 1, 6, 6))), _double(rng.normal(size=(4, 1)))
    losses = []
    for _ in range(3):
        net.zero_grad()
        loss = ((net(x) - y) ** 2).mean()
        loss.backward()
        losses.append(loss.item())
        for parameter in net.parameters():
            parameter.numpy()[...] -= 0.01 * parameter.grad
    return {"losses": losses, "parameters": net.parameters(), "answers": net(x)}


PROBES = {
    "test-conv2d-naive": [naive_values, naive_kinds, naive_refusals],
    "test-simple-conv2d": [simple_values, simple_start],
    "test-conv2d-by-loops": [loops_over_channels],
    "test-patches": [views_of_pixels, gathering_and_scattering],
    "test-conv2d": [convolution_values, convolution_kinds, convolution_refusals],
    "test-conv2d-gradients": [convolution_gradients, gradients_where_wanted, gradients_of_each_block],
    "test-conv2d-layer": [convolution_layer, convolution_layer_start],
    "test-max-pool": [max_pool_values, max_pool_ties, max_pool_layer],
    "test-avg-pool": [avg_pool_values, avg_pool_layer],
    "test-cifar-network": [network_for_cifar],
    "test-count-convolution": [convolution_count_answers],
    "test-profiler": [profiler_counts, profiler_of_memory],
    "test-module-spatial": [training_a_network],
}
TOLERANCES = {
    "naive_kinds": {"rtol": 1e-4, "atol": 1e-4},  # float32 sums in another order
    "simple_start": {"atol": 0.05},  # 30,000 random numbers: 8 standard deviations of a difference of two such draws
    "convolution_kinds": {"rtol": 1e-4, "atol": 1e-4},
    "convolution_refusals": {"rtol": 1e-4, "atol": 1e-5},
    "gradients_where_wanted": {"rtol": 1e-3, "atol": 1e-4},
    "gradients_of_each_block": {"rtol": 1e-8, "atol": 1e-8},
    "convolution_layer_start": {"atol": 0.05},
    "max_pool_layer": {"rtol": 1e-5, "atol": 1e-6},
    "avg_pool_layer": {"rtol": 1e-5, "atol": 1e-6},
    "network_for_cifar": {"rtol": 1e-3, "atol": 1e-3},
    "training_a_network": {"rtol": 1e-6, "atol": 1e-8},
}
PARTIAL = [
    "test-conv2d-naive",
    "test-simple-conv2d",
    "test-patches",
    "test-conv2d",
    "test-conv2d-gradients",
    "test-conv2d-layer",
    "test-max-pool",
    "test-avg-pool",
    "test-profiler",
]
