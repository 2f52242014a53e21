"""Probes of 15_profiling: calls with fresh random inputs; what they return is compared with the reference."""

import sys

import numpy as np

from tinytorch.core.activations import ReLU, relu
from tinytorch.core.layers import Dropout, Flatten, Linear, Module, Sequential
from tinytorch.core.spatial import Conv2D, MaxPool2D
from tinytorch.core.tensor import Tensor, grad_mode, observe_ops


def _refusal(call, kind, *words):
    """Whether a call is refused with an error of this kind, and whether the message has each of the words."""
    try:
        call()
    except kind as error:
        text = "".join([str(error)])  # a plain str: a class of its own could claim to hold any word
        return [True, *(word in text for word in words)]
    return [False]


class TwoOps(Linear):
    """A Linear that is a product and a sum."""

    def forward(self, x):
        """x (..., in) -> (..., out)."""
        return x @ self.weight + self.bias


class Residual(Module):
    """x + relu(inner(x))."""

    def __init__(self, size):
        self.inner = TwoOps(size, size)

    def forward(self, x):
        """x (N, size) -> the same shape."""
        return x + relu(self.inner(x))


class Louder(Linear):
    """A Linear that asks its parent's forward."""

    def forward(self, x):
        """x (..., in) -> (..., out)."""
        return super().forward(x) * 2


def _sizes(rng, count):
    return [int(size) for size in rng.integers(2, 9, count)]


def _networks(rng):
    """Models of several kinds, each with the shape of an input."""
    a, b, c, n = _sizes(rng, 4)
    shared = Linear(a, a)
    images = Sequential(Conv2D(2, 3, 3, padding=1), ReLU(), MaxPool2D(2), Flatten(), Linear(12, b))
    return [
        (Sequential(Linear(a, b), ReLU(), Dropout(0.5), Flatten(), Linear(b, c, bias=False)), (n, a)),
        (Residual(a), (n, a)),
        (Sequential(shared, ReLU(), shared), (n, a)),
        (Sequential(Residual(a), Louder(a, b)), (n, a)),
        (images, (n, 2, 4, 4)),
        (Linear(a, b), (c, n, a)),
    ]


def macs_of_products(lesson, rng):
    """MACs of matrix products with any leading axes, of vectors and of batches."""
    a, b, c, d, e = _sizes(rng, 5)
    shapes = [((a, b), (b, c)), ((d, a, b), (b, c)), ((b,), (b,)), ((e, d, a, b), (e, d, b, c)), ((a, b), (b,))]
    found = []
    for left, right in shapes:
        x, y = Tensor(np.ones(left)), Tensor(np.ones(right))
        found.append(lesson.matmul_macs((x, y), x @ y))
    return found


def macs_of_convolutions(lesson, rng):
    """MACs of convolutions with strides, padding and without a bias; other ops cost none."""
    c, o, n = _sizes(rng, 3)
    found = []

    def note(op, inputs, params, result):
        found.append(lesson.macs_of(op, inputs, result))

    x = Tensor(np.ones((n, c, 8, 9)))
    with observe_ops(note):
        Conv2D(c, o, (3, 2))(x)
        Conv2D(c, o, 3, stride=2, padding=1, bias=False)(x)
        relu(x).sum()
        Linear(9, o)(x)
    return found


def layers_that_run(lesson, rng):
    """Every op belongs to the innermost layer that is running, and calls of one layer can be told apart."""
    a, b = _sizes(rng, 2)
    net = Sequential(Residual(a), Louder(a, a), Linear(a, b))
    names, seen, frames = {id(layer): name for name, layer in net.named_modules()}, [], []

    def note(op, inputs, params, result):
        layer, frame = lesson.running_layer(sys._getframe(), names)
        seen.append(f"{'nobody' if layer is None else names[layer]} {op.name} {result.size}")
        frames.append(frame)

    x = Tensor(np.ones((1, a)))
    with observe_ops(note):
        net(x)
        x + x
        net[2](net[1](x))
    alike = [[one is other for other in frames] for one in frames]
    return {"seen": seen, "same call": np.array(alike), "outside": [each is None for each in frames]}


def _described(runs):
    """What was written down of some ops, without times."""
    named = [f"{run.layer}|{run.op}|{run.kind}" for run in runs]
    counts = [[run.call, run.macs, run.bias_adds, run.makes, *run.shape] for run in runs]
    return named, counts, [list(run.reads) for run in runs], [[each.size for each in run.parameters] for run in runs]


def ops_of_a_pass(lesson, rng):
    """Each op is written down with its owner, its cost, its memory and its parameters."""
    found = []
    for net, shape in _networks(rng):
        seen, result = lesson.watch(net, lesson.fed(shape))
        named, counts, reads, parameters = _described(seen.runs)
        found.append([" ".join(named), np.concatenate([[0], *counts]), [sum(each) for each in reads]])
        found[-1] += [np.array(seen.sizes), [sum(each) for each in parameters], result.shape]
    return {str(number): each for number, each in enumerate(found)}


def passes_leave_the_model_alone(lesson, rng):
    """Watching is in evaluation mode without origins, takes times from its clock, and puts modes back."""
    a, n = _sizes(rng, 2)
    net = Sequential(Linear(a, a), Dropout(0.9), ReLU())
    net[0].eval()
    ticks = iter(range(1000))
    seen, result = lesson.watch(net, Tensor(rng.normal(size=(n, a))), clock=lambda: float(next(ticks)))
    return {
        "seconds": [run.seconds for run in seen.runs],
        "modes": [module.training for module in net.modules()],
        "recorded": [result.origin is not None, grad_mode.enabled],
        "sizes": seen.sizes,
    }


def rows_of_a_pass(lesson, rng):
    """One row for each call: names, counts, outputs and what is read."""
    found = {}
    for number, (net, shape) in enumerate(_networks(rng)):
        rows = lesson.rows_of(*lesson.watch(net, lesson.fed(shape)))
        found[str(number)] = {
            "names": " ".join(f"{row.name}:{row.kind}" for row in rows),
            "counts": np.array([[r.params, r.macs, r.bias_adds, r.output_bytes, r.flops] for r in rows]),
            "blocks": np.array([[sum(row.reads), sum(row.outputs), len(row.outputs)] for row in rows]),
            "shapes": np.concatenate([row.shape for row in rows]),
        }
    return found


def largest_live_of_networks(lesson, rng):
    """The most bytes that exist at once in a pass of each kind of network."""
    found = []
    for net, shape in _networks(rng):
        seen, result = lesson.watch(net, lesson.fed(shape))
        found.append(lesson.largest_live(lesson.rows_of(seen, result), seen.sizes))
    return found


def largest_live_of_rows(lesson, rng):
    """The most bytes that exist at once, of rows written by hand."""
    found = []
    for _ in range(4):
        sizes, rows = [int(size) for size in rng.integers(1, 100, 9)], []
        for number in range(1, 9):
            reads = tuple(int(block) for block in np.unique(rng.integers(0, number, 2)))
            rows.append(lesson.Row("", "", (), 0, 0, 0, reads, (number,), sizes[number], 0.0))
        found.append(lesson.largest_live(rows, sizes))
    return found


def spreads_of_samples(lesson, rng):
    """Median, quartiles and ends of some samples, in milliseconds."""
    return [lesson.spread_of(rng.uniform(0.001, 0.1, count).tolist()) for count in (1, 2, 5, 8, 21)]


def runs_that_are_timed(lesson, rng):
    """Warm-up runs are not counted, each iteration is timed alone, and wrong numbers are refused."""
    durations, now, calls = rng.uniform(0.1, 2, 20).tolist(), [0.0], []

    def work():
        calls.append(1)
        now[0] += durations[len(calls)]

    warmup, iterations = _sizes(rng, 2)
    samples = lesson.time_runs(work, warmup, iterations, lambda: now[0])
    wrong = [(0, 0), (-1, 5)]
    return {
        "samples": samples,
        "calls": len(calls),
        "refused": [_refusal(lambda p=p: lesson.time_runs(work, *p, lambda: 0.0), ValueError) for p in wrong],
    }


def profiler_counts(lesson, rng):
    """Parameters and FLOPs of several models for any batch, shared parameters once."""
    profiler = lesson.Profiler(show=False)
    found = []
    for net, shape in _networks(rng):
        found.append([profiler.count_parameters(net), profiler.count_flops(net, shape)])
        found[-1] += [profiler.count_bias_adds(net, shape), profiler.count_flops(net, Tensor(np.ones(shape)))]
    return np.array(found)


def profiler_latency(lesson, rng):
    """The latency is that of the runs that were asked for, in evaluation mode, on the profiler's clock."""
    durations, now, calls = rng.uniform(0.1, 2, 40).tolist(), [0.0], []

    class Slow(Linear):
        def forward(self, x):
            calls.append(self.training)
            now[0] += durations[len(calls)]
            return super().forward(x)

    slow = Slow(3, 3)
    warmup, iterations = _sizes(rng, 2)
    found = lesson.Profiler(show=False, clock=lambda: now[0]).measure_latency(slow, (1, 3), warmup, iterations)
    return {**found, "calls": len(calls), "modes": [any(calls), slow.training]}


def lenet_count_answers(lesson, rng):
    """Your seven numbers."""
    counts = lesson.count_digit_network()
    names = ("macs", "bias_adds", "params", "flops", "param_bytes", "live_bytes", "share")
    return {name: counts[name] for name in names}


def profile_of_a_network(lesson, rng):
    """A profile row by row, its totals and its memory, without what was measured."""
    profiler, found = lesson.Profiler(show=False), []
    keys = ("params", "macs", "flops", "bias_adds", "output_bytes")
    for net, shape in _networks(rng)[:3]:
        profile = profiler.profile_forward(net, shape, warmup=0, iterations=2)
        memory = profiler.measure_memory(net, shape)
        whole = profiler.profile_layer(net, shape, warmup=0, iterations=1)
        found.append([" ".join(f"{each['name']}:{each['kind']}" for each in profile["layers"])])
        found[-1].append(np.array([[each[key] for key in keys] for each in profile["layers"]]))
        found[-1] += [profile["totals"], [whole[key] for key in keys]]
        names = ("param_bytes", "buffer_bytes", "activation_bytes", "live_bytes", "inference_bytes", "tape_bytes")
        found[-1].append([memory[name] for name in names])
    return found


PROBES = {
    "test-mac-rules": [macs_of_products, macs_of_convolutions],
    "test-running-layer": [layers_that_run],
    "test-watch": [ops_of_a_pass, passes_leave_the_model_alone],
    "test-rows": [rows_of_a_pass],
    "test-memory": [largest_live_of_networks, largest_live_of_rows],
    "test-latency": [spreads_of_samples, runs_that_are_timed],
    "test-profiler": [profiler_counts, profiler_latency],
    "test-count-lenet": [lenet_count_answers],
    "test-module-profiling": [profile_of_a_network],
}
TOLERANCES = {}
PARTIAL = ["test-mac-rules", "test-latency", "test-profiler"]
