"""The profiler against PyTorch's counter, against closed forms, and against what would make it a poor instrument."""

from __future__ import annotations

import json
import math
import threading
import tracemalloc
import weakref
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytorch.core import tensor
from tinytorch.core.activations import GELU, ReLU, relu
from tinytorch.core.autograd import no_grad
from tinytorch.core.layers import Dropout, Flatten, Linear, Module, Sequential
from tinytorch.core.normalization import BatchNorm1d
from tinytorch.core.spatial import Conv2D, MaxPool2D, SimpleConv2D
from tinytorch.core.tensor import Op, Parameter, Tensor, apply, generator, grad_mode, ones, ops, randn
from tinytorch.perf import profiling
from tinytorch.perf.profiling import MAC_RULES, Profiler, fed, rows_of, spread_of, tape_bytes, time_runs, watch

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "profiling.json").read_text(encoding="utf-8"))["cases"]
MODELS: dict[str, Callable[[], Module]] = {
    "mlp": lambda: Sequential(Linear(784, 256), ReLU(), Linear(256, 10)),
    "sequence": lambda: Sequential(Linear(16, 48, bias=False), GELU(), Linear(48, 16)),
    "convolutions": lambda: Sequential(
        Conv2D(3, 8, 3, stride=2, padding=1),
        ReLU(),
        MaxPool2D(2),
        Conv2D(8, 12, (1, 3), bias=False),
        Flatten(),
        Linear(180, 7),
    ),
    "one image": lambda: Conv2D(2, 5, (3, 2), stride=(1, 3), padding=(0, 2)),
}


class Whole(Module):
    """A module from a function."""

    def __init__(self, function: Callable[..., Any], **members: Any) -> None:
        self.function = function
        for name, member in members.items():
            setattr(self, name, member)

    def forward(self, x: Tensor) -> Any:
        return self.function(self, x)


class TwoOps(Linear):
    """A Linear that is a product and a sum, as a learner may write it."""

    def forward(self, x: Tensor) -> Tensor:
        assert self.bias is not None
        return x @ self.weight + self.bias


@pytest.fixture
def quiet() -> Profiler:
    return Profiler(show=False)


# counts


@pytest.mark.parametrize("name", GOLDEN)
def test_flops_and_parameters_are_pytorchs(name: str, quiet: Profiler) -> None:
    """Catches MACs reported as FLOPs, biases in the headline, and a batch or a stride that is left out."""
    case, model = GOLDEN[name], MODELS[name]()
    assert quiet.count_flops(model, tuple(case["shape"])) == case["flops"]
    assert quiet.count_parameters(model) == case["params"]


@given(st.lists(st.integers(1, 4), max_size=2), st.integers(1, 5), st.integers(1, 5), st.integers(1, 5))
def test_a_product_takes_as_many_macs_as_a_loop_counts(lead: list[int], rows: int, inner: int, columns: int) -> None:
    """Catches a rule that forgets leading axes or takes the wrong axis of the two."""
    counted = sum(1 for _ in np.ndindex(*lead, rows, columns, inner))
    found = profiling.matmul_macs((ones(*lead, rows, inner), ones(inner, columns)), ones(*lead, rows, columns))
    assert found == counted


def test_a_sum_is_a_bias_only_when_a_parameter_is_added_to_a_product(quiet: Profiler) -> None:
    """Catches residual sums, shifts of norms and learned positions counted as biases."""
    shift, weight = Parameter(ones(3)), Parameter(ones(3, 3))
    cases = {
        "product + bias": (lambda self, x: x @ self.weight + self.shift, 6),
        "bias + product": (lambda self, x: self.shift + x @ self.weight, 6),
        "reshaped product": (lambda self, x: (x @ self.weight).reshape(3, 2) + self.weight[:, :2], 0),
        "input + parameter": (lambda self, x: x + self.shift, 0),
        "scaled product": (lambda self, x: (x @ self.weight) * 2 + self.shift, 0),
        "product + product": (lambda self, x: x @ self.weight + x @ self.weight, 0),
        "product + number": (lambda self, x: x @ self.weight + 1, 0),
    }
    for name, (function, expected) in cases.items():
        model = Whole(function, shift=shift, weight=weight)
        assert quiet.count_bias_adds(model, (2, 3)) == expected, name
    assert quiet.count_bias_adds(Conv2D(1, 2, 2, bias=False), (1, 1, 4, 4)) == 0


def test_a_convolution_written_as_loops_of_products_has_no_headline(quiet: Profiler) -> None:
    """Says what is not counted: element-wise products, which `tito analyze` reports as not counted, too."""
    assert quiet.count_flops(SimpleConv2D(2), Tensor(np.ones((5, 5)))) == 0


def test_a_rule_for_a_new_op_is_used(quiet: Profiler, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a profiler that later modules cannot teach their ops to."""
    twice = Op("twice_product", lambda x, y: 2 * (x @ y))
    model = Whole(lambda self, x: apply(twice, x, self.weight), weight=Parameter(ones(3, 4)))
    assert quiet.count_flops(model, (5, 3)) == 0
    monkeypatch.setitem(MAC_RULES, "twice_product", profiling.matmul_macs)
    assert quiet.count_flops(model, (5, 3)) == 2 * 5 * 3 * 4


def test_rules_are_for_ops_that_exist() -> None:
    """Catches an op that was renamed, whose work would silently count nothing."""
    assert set(MAC_RULES) <= set(ops)


def test_tokens_and_any_function_can_be_fed(quiet: Profiler) -> None:
    """Catches indices that are made floats, and a profiler that works for modules alone."""
    table = Parameter(ones(10, 4))
    model = Whole(lambda self, x: self.table[x] @ self.weight, table=table, weight=Parameter(ones(4, 2)))
    assert quiet.count_flops(model, Tensor([[1, 2, 3]], dtype=np.int64)) == 2 * 3 * 4 * 2
    assert quiet.count_flops(lambda x: x @ x, (3, 3)) == 54
    assert quiet.measure_latency(lambda x: x @ x, (3, 3), 0, 1)["iterations"] == 1


# attribution


def test_ops_of_another_thread_are_not_counted(quiet: Profiler) -> None:
    """Catches a loader that works beside the model and appears in its counts."""

    def both(self: Module, x: Tensor) -> Tensor:
        thread = threading.Thread(target=lambda: x @ x)
        thread.start()
        thread.join()
        return x @ x

    assert quiet.count_flops(Whole(both), (3, 3)) == 54


def test_two_calls_of_a_layer_are_two_rows_and_a_parents_forward_is_none_of_its_own() -> None:
    """Catches calls merged because it is the same layer, or split because two frames belong to one call."""

    class Scaled(TwoOps):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x * 2) * 3

    layer = Scaled(3, 3)
    seen, result = watch(Sequential(layer, layer), fed((2, 3)))
    assert [run.op for run in seen.runs] == ["mul", "matmul", "add", "mul"] * 2
    assert [run.call for run in seen.runs] == [1] * 4 + [2] * 4
    rows = rows_of(seen, result)
    assert [row.output_bytes for row in rows] == [24, 24], "one output each"
    assert [row.params for row in rows] == [12, 0]


def test_a_linear_layer_counts_alike_in_one_op_and_in_two() -> None:
    """Catches products or biases that are counted only in the form that the reference has."""

    def counted(layer: Linear) -> list[tuple[int, ...]]:
        rows = rows_of(*watch(Sequential(layer, ReLU()), fed((5, 4))))
        return [(row.params, row.macs, row.bias_adds, row.output_bytes) for row in rows]

    assert counted(Linear(4, 3)) == counted(TwoOps(4, 3)) == [(15, 60, 15, 60), (0, 0, 0, 60)]


def test_a_function_is_named_after_the_innermost_layer_that_calls_it() -> None:
    """Catches a search that ends at the first forward it meets, be it of an activation, which is no layer."""
    seen, result = watch(Sequential(Linear(2, 2), Sequential(ReLU(), Linear(2, 2))), fed((1, 2)))
    assert [row.name for row in rows_of(seen, result)] == ["0", "1.relu", "1.1"]


def test_a_result_that_nobody_reads_and_an_input_that_waits_take_memory(quiet: Profiler) -> None:
    """Catches memory that exists and is not counted, because no later row is interested."""

    def forward(self: Module, x: Tensor) -> Tensor:
        self.unused(self.start)
        return x * 2

    start = Parameter(ones(10, 20))
    memory = quiet.measure_memory(Whole(forward, unused=Linear(20, 5, bias=False), start=start), (100, 1))
    assert memory["activation_bytes"] == 4 * (50 + 100)
    assert memory["live_bytes"] == 4 * 200, "while x * 2 runs; before it, 100 numbers of x wait and 50 are made"
    memory = quiet.measure_memory(Whole(forward, unused=Linear(20, 300, bias=False), start=start), (100, 1))
    assert memory["live_bytes"] == 4 * (100 + 3000)


def test_everything_a_model_returns_is_an_output() -> None:
    """Catches the second of two results taken for something that stays inside."""
    for pack in (tuple, list, lambda pair: {"y": pair[0], "z": [pair[1]]}):
        model = Whole(lambda self, x, pack=pack: pack((self.a(x), self.b(x))), a=Linear(3, 4), b=Linear(3, 5))
        assert [row.output_bytes for row in rows_of(*watch(model, fed((2, 3))))] == [32, 40]
    inside = Whole(lambda self, x: (x @ self.w, x @ self.v), w=Parameter(ones(3, 4)), v=Parameter(ones(3, 5)))
    (row,) = rows_of(*watch(inside, fed((2, 3))))
    assert row.output_bytes == 72


def test_nothing_is_left_behind(quiet: Profiler) -> None:
    """Catches patched methods, a mode, a gradient, a running average or a random state that profiling changes."""
    model = Sequential(Linear(4, 4), BatchNorm1d(4), Dropout(0.5), Linear(4, 2))
    model[1].eval()
    before, state = [dict(vars(module)) for module in model.modules()], model.state_dict()
    numbers = generator().bit_generator.state
    quiet.profile_forward(model, (6, 4), 1, 2)
    quiet.profile_layer(model, (6, 4), 1, 2)
    quiet.measure_memory(model, (6, 4))
    assert generator().bit_generator.state == numbers
    assert all((state[name] == array).all() for name, array in model.state_dict().items())
    assert [module.training for module in model.modules()] == [True, True, False, True, True]
    for module, members in zip(model.modules(), before, strict=True):
        assert {key: value for key, value in vars(module).items() if key != "training"} == {
            key: value for key, value in members.items() if key != "training"
        }
    assert all(parameter.grad is None for parameter in model.parameters())
    assert grad_mode.enabled
    assert not tracemalloc.is_tracing()


def test_an_error_in_the_model_leaves_nothing_behind(quiet: Profiler) -> None:
    """Catches an observer that goes on listening, or a model left in evaluation mode, after a failed pass."""
    model = Sequential(Linear(3, 3), Linear(4, 4))
    for ask in (quiet.count_flops, quiet.measure_memory, quiet.measure_latency):
        with pytest.raises(ValueError, match="takes inputs of shape"):
            ask(model, (2, 3))
        assert model.training
        assert model[0].training
        assert grad_mode.enabled
        assert not tracemalloc.is_tracing()
        assert not tensor._observers


def test_the_watch_keeps_no_array_alive() -> None:
    """Catches a watched pass that cannot use memory again, which makes it slower than the pass it measures."""
    gone: list[weakref.ref[Any]] = []

    def work(self: Module, x: Tensor) -> Tensor:
        y = x * 2
        gone.append(weakref.ref(y.numpy()))
        y = y + 1
        assert gone[0]() is None, "the first result should be gone as soon as nobody reads it"
        return y

    seen, _ = watch(Whole(work), fed((100, 100)))
    assert [run.makes for run in seen.runs] == [1, 2]
    assert [run.reads for run in seen.runs] == [(0,), (1,)]


def test_memory_that_is_used_again_is_a_new_block() -> None:
    """Catches an array taken for an earlier one that lay at the same place and is gone."""
    model = Sequential([TwoOps(50, 50) for _ in range(20)])
    seen, _ = watch(model, fed((4, 50)))
    assert [run.makes for run in seen.runs] == list(range(1, 41))
    assert len(seen.sizes) == 41


# memory


@given(st.lists(st.integers(1, 30), min_size=2, max_size=5), st.integers(1, 6))
def test_the_tape_of_a_chain_is_its_input_and_what_each_layer_makes(sizes: list[int], batch: int) -> None:
    """Catches blocks counted twice, parameters on the tape, saved arrays left out, and a product beside its bias."""
    for kind, made in ((Linear, 2), (TwoOps, 3)):
        layers = [kind(a, b) for a, b in pairwise(sizes)]
        model = Sequential([each for layer in layers for each in (layer, ReLU())])
        found = tape_bytes(model(fed((batch, sizes[0]))), model.parameters())
        assert found == 4 * batch * (sizes[0] + made * sum(sizes[1:]))


def test_the_tape_of_a_convolution_holds_its_patches(quiet: Profiler) -> None:
    """Catches what ops save left out. `tito analyze` has no patches in `kept for backward`, so the two differ here."""
    memory = quiet.measure_memory(Conv2D(2, 3, 3), (1, 2, 8, 8))
    assert memory["tape_bytes"] == 4 * (2 * 64 + 3 * 36 + 2 * 9 * 36)


def test_memory_is_measured_under_no_grad_too(quiet: Profiler) -> None:
    """Catches a tape of nothing, because the caller had switched origins off; and origins left on."""
    model = Sequential(Linear(4, 4), ReLU())
    expected = quiet.measure_memory(model, (2, 4))["tape_bytes"]
    with no_grad():
        assert quiet.measure_memory(model, (2, 4))["tape_bytes"] == expected == 4 * 2 * 12
        assert not grad_mode.enabled


def test_the_peak_is_what_a_pass_allocates_and_its_input(quiet: Profiler) -> None:
    """Catches a peak of all that was ever allocated, or of what is left at the end."""
    model = Sequential([Linear(1000, 1000) for _ in range(5)])
    memory = quiet.measure_memory(model, (100, 1000))
    block = 100 * 1000 * 4
    assert memory["live_bytes"] == 2 * block
    assert 3 * block <= memory["peak_bytes"] < 3.2 * block, "the model's and the layer's input, and the result"
    tracemalloc.start()
    try:
        again = quiet.measure_memory(model, (100, 1000))
        assert tracemalloc.is_tracing(), "whoever traced before goes on tracing"
    finally:
        tracemalloc.stop()
    assert abs(again["peak_bytes"] - memory["peak_bytes"]) < 0.1 * block


def test_float64_parameters_take_eight_bytes(quiet: Profiler) -> None:
    """Catches four bytes assumed for every number."""
    model = Whole(lambda self, x: x @ self.w, w=Parameter(np.ones((3, 2)), dtype=np.float64))
    memory = quiet.measure_memory(model, Tensor(np.ones((5, 3)), dtype=np.float64))
    assert (memory["param_bytes"], memory["activation_bytes"], memory["live_bytes"]) == (48, 80, 200)


# time


def ticking(durations: Sequence[float]) -> tuple[Callable[[], float], Module, list[int]]:
    """A clock, a model that takes so long by it in each of its calls, and its calls."""
    now, calls, left = [0.0], [], iter(durations)

    def forward(self: Module, x: Tensor) -> Tensor:
        calls.append(len(calls))
        now[0] += next(left)
        return x

    return lambda: now[0], Whole(forward), calls


@given(st.lists(st.floats(0.001, 10), min_size=1, max_size=12), st.integers(0, 4))
def test_latency_is_the_median_of_the_iterations_asked_for(durations: list[float], warmup: int) -> None:
    """Catches warm-up runs in the samples, a mean, a run too many or too few."""
    clock, model, calls = ticking([1e6] * warmup + durations)
    found = Profiler(show=False, clock=clock).measure_latency(model, (1, 1), warmup, len(durations))
    assert len(calls) == warmup + len(durations)
    ordered = sorted(durations)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    assert math.isclose(found["median_ms"], middle * 1e3, rel_tol=1e-6, abs_tol=1e-6 * 1e6)
    assert math.isclose(found["min_ms"], ordered[0] * 1e3, rel_tol=1e-6, abs_tol=1)
    assert (found["warmup"], found["iterations"]) == (warmup, len(durations))


def test_the_spread_is_the_middle_half() -> None:
    """Catches a standard deviation, which one accident makes large."""
    found = spread_of([0.001, 0.002, 0.003, 0.004, 100.0])
    assert found == pytest.approx({"median_ms": 3, "iqr_ms": 2, "min_ms": 1, "max_ms": 100_000})


@pytest.mark.parametrize(("warmup", "iterations"), [(0, 0), (-1, 3), (2, -5)])
def test_impossible_numbers_of_runs_are_refused_before_anything_runs(warmup: int, iterations: int) -> None:
    """Catches a median of nothing, which NumPy calls nan."""
    with pytest.raises(ValueError, match="iterations of at least 1"):
        time_runs(lambda: pytest.fail("it ran"), warmup, iterations, lambda: 0.0)


def test_rows_have_the_time_of_their_own_ops() -> None:
    """Catches times shifted to the next row, and the observer's own time in a row."""
    now = [0.0]
    pace = {"mul": 2.0, "relu": 5.0, "add": 7.0}

    def slow(name: str, work: Callable[[], Tensor]) -> Tensor:
        now[0] += pace[name]
        return work()

    def forward(self: Module, x: Tensor) -> Tensor:
        y = slow("mul", lambda: x * 2)
        y = slow("relu", lambda: relu(y))
        return slow("add", lambda: y + x)

    model = Sequential(Whole(forward, inner=Linear(1, 1)))
    found = Profiler(show=False, clock=lambda: now[0]).profile_forward(model, (1, 3), 0, 3)
    assert [(row["kind"], row["median_ms"]) for row in found["layers"]] == [
        ("mul", 2000.0),
        ("relu", 5000.0),
        ("add", 7000.0),
    ]
    assert found["latency"]["median_ms"] == 14_000


def test_a_profile_runs_as_often_as_it_says(quiet: Profiler) -> None:
    """Catches passes nobody asked for, which on a large model take minutes."""
    calls: list[int] = []

    def forward(self: Module, x: Tensor) -> Tensor:
        calls.append(1)
        return x * 2

    quiet.profile_forward(Whole(forward), (1, 2), warmup=2, iterations=3)
    assert len(calls) == 2 + 3 + 3, "warm-up, unwatched, watched"
    calls.clear()
    quiet.profile_layer(Whole(forward), (1, 2), warmup=2, iterations=3)
    assert len(calls) == 2 + 3 + 1, "warm-up, timed, one that is counted"


def test_a_model_that_changes_its_ops_is_refused(quiet: Profiler) -> None:
    """Catches medians over rows that are not the same row."""
    lengths: Iterator[int] = iter([1, 1, 1, 2])

    def forward(self: Module, x: Tensor) -> Tensor:
        for _ in range(next(lengths)):
            x = x * 2
        return x

    with pytest.raises(RuntimeError, match="another number of ops"):
        quiet.profile_forward(Sequential(Whole(forward, inner=Linear(1, 1))), (1, 2), 0, 2)


# what is shown


def test_profiles_are_plain_data_and_are_printed_unless_asked_not_to(capsys: pytest.CaptureFixture[str]) -> None:
    """Catches NumPy numbers that JSON refuses, and a report that prints when it should not."""
    model = MODELS["convolutions"]()
    for show in (False, True):
        profiler = Profiler(show=show)
        found = [
            profiler.profile_forward(model, (1, 3, 21, 19), 0, 2),
            profiler.profile_layer(model[0], (1, 3, 9, 9), 0, 2),
        ]
        found += [profiler.measure_memory(model, (1, 3, 21, 19)), profiler.measure_latency(model, (1, 3, 21, 19), 0, 2)]
        assert len(json.loads(json.dumps(found))) == 4
        printed = capsys.readouterr().out
        assert bool(printed) == show
    words = printed.split("\n")[0].split()
    assert words == ["layer", "kind", "output", "params", "FLOPs", "share", "ms", "share", "GFLOP/s"]
    assert "1,779 parameters" in printed


def test_a_layer_without_time_or_work_has_no_rate() -> None:
    """Catches a division by zero on a coarse clock."""
    found = Profiler(show=False, clock=lambda: 0.0).profile_layer(Linear(3, 3), (1, 3))
    assert found["gflops_per_s"] == 0
    shown = Profiler(show=True, clock=lambda: 0.0).profile_forward(Sequential(ReLU()), randn(2, 2))
    assert shown["totals"]["flops"] == 0
