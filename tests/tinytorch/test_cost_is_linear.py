"""What a step costs grows in proportion to batch, depth and length: calls, visits and bytes are counted, no clock."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tinytorch.core import autograd
from tinytorch.core.activations import ReLU, relu
from tinytorch.core.autograd import no_grad
from tinytorch.core.layers import Flatten, Linear, Sequential
from tinytorch.core.losses import cross_entropy
from tinytorch.core.normalization import BatchNorm1d, LayerNorm
from tinytorch.core.optimizers import Adam
from tinytorch.core.spatial import Conv2d, MaxPool2d
from tinytorch.core.tensor import Op, Tensor, observe_ops

TOO_MANY = 20_000  # calls: a walk that is exponential in depth 20 needs a million, and would not end at depth 60


class CountedRules(dict):
    """The derivative rules; it counts how often the walk asks for an op, and how often a rule is called."""

    def __init__(self, rules: dict[str, Any], counts: dict[str, int]) -> None:
        super().__init__({name: self._entry(entry) for name, entry in rules.items()})
        self.counts = counts

    def _entry(self, entry: Any) -> Any:
        if isinstance(entry, tuple):
            return tuple(rule if rule is None else self._rule(rule) for rule in entry)
        return self._rule(entry)

    def _rule(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **params: Any) -> Any:
            self._count("rules")
            return rule(*args, **params)

        return counted

    def _count(self, what: str) -> None:
        self.counts[what] += 1
        if self.counts[what] > TOO_MANY:
            raise AssertionError(f"more than {TOO_MANY} {what}")

    def __contains__(self, name: object) -> bool:
        self._count("visits")
        return super().__contains__(name)


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """How often an op was applied, a result visited by backward and a rule called, and numbers made by ops, so far."""
    found = {"ops": 0, "numbers": 0, "visits": 0, "rules": 0}

    def seen(op: Op, inputs: tuple[Tensor, ...], params: dict[str, Any], result: Tensor) -> None:
        found["ops"] += 1
        found["numbers"] += result.size

    monkeypatch.setattr(autograd, "vjp_rules", CountedRules(autograd.vjp_rules, found))
    with observe_ops(seen):
        yield found


def spent(counts: dict[str, int], work: Callable[[], Any]) -> dict[str, int]:
    before = dict(counts)
    work()
    return {name: counts[name] - before[name] for name in counts}


def peak(work: Callable[[], Any]) -> int:
    """Bytes at the highest point of a run, beyond what there was before it; the run before that fills what is kept."""
    work()
    gc.collect()
    tracemalloc.start()
    start = tracemalloc.get_traced_memory()[0]
    work()
    found = tracemalloc.get_traced_memory()[1] - start
    tracemalloc.stop()
    return found


def leaf() -> Tensor:
    return Tensor(np.linspace(0.5, 1.5, 4), requires_grad=True)


def chain(length: int) -> None:
    x = y = leaf()
    for _ in range(length):
        y = y * 1.01
    y.sum().backward()
    np.testing.assert_allclose(x.grad, np.full(4, 1.01**length), rtol=1e-3)


def residual(depth: int) -> None:
    x = y = leaf()
    for _ in range(depth):
        y = y + relu(y) * 0.01
    y.sum().backward()
    np.testing.assert_allclose(x.grad, np.full(4, 1.01**depth), rtol=1e-3)


def dense(depth: int) -> None:
    """Each result meets all that came before it, two of them by the same name."""
    x = y = leaf()
    total = x
    for _ in range(depth):
        y = total * 0.5
        total = total + y - y
    total.sum().backward()
    np.testing.assert_allclose(x.grad, np.ones(4), rtol=1e-4)


@pytest.mark.parametrize(
    ("work", "ops", "rules"),
    [(chain, 1, 1), (residual, 3, 4), (dense, 3, 5)],
)
def test_calls_grow_with_length_and_with_residual_depth(
    counts: dict[str, int], work: Callable[[int], None], ops: int, rules: int
) -> None:
    """Catches a walk that goes once along every path: at residual depth 60 there are 2^60 of them."""
    once, twice = spent(counts, lambda: work(60)), spent(counts, lambda: work(120))
    per_level = {name: (twice[name] - once[name]) / 60 for name in counts}
    assert per_level == {"ops": ops, "numbers": 4 * ops, "visits": ops, "rules": rules}
    assert once["ops"] == 60 * ops + 1 and once["visits"] == 60 * ops + 1  # the final sum


def network(depth: int) -> Sequential:
    return Sequential(*(part for _ in range(depth) for part in (Linear(16, 16), LayerNorm(16), ReLU())))


def test_calls_grow_with_the_number_of_layers(counts: dict[str, int]) -> None:
    """Catches a layer whose backward goes through the layers below it once more."""

    def work(depth: int) -> Callable[[], None]:
        net, x = network(depth), Tensor(np.ones((8, 16)))
        return lambda: net(x).sum().backward()

    first, second, third = (spent(counts, work(depth)) for depth in (5, 10, 15))
    assert {name: third[name] - second[name] for name in counts} == {
        name: second[name] - first[name] for name in counts
    }
    assert second["ops"] == 2 * first["ops"] - 1  # the final sum is there once


def picture_step(batch: int) -> Callable[[], None]:
    net = Sequential(Conv2d(1, 4, 3, padding=1), ReLU(), MaxPool2d(2), Flatten(), Linear(64, 10))
    optimizer = Adam(net.parameters())
    x, t = Tensor(np.random.default_rng(0).normal(size=(batch, 1, 8, 8))), np.arange(batch) % 10

    def step() -> None:
        optimizer.zero_grad()
        cross_entropy(net(x), t).backward()
        optimizer.step()

    return step


def vector_step(batch: int) -> Callable[[], None]:
    net = Sequential(Linear(64, 32), BatchNorm1d(32), ReLU(), Linear(32, 10))
    optimizer = Adam(net.parameters())
    x, t = Tensor(np.random.default_rng(0).normal(size=(batch, 64))), np.arange(batch) % 10

    def step() -> None:
        optimizer.zero_grad()
        cross_entropy(net(x), t).backward()
        optimizer.step()

    return step


@pytest.mark.parametrize("make", [vector_step, picture_step])
def test_a_larger_batch_needs_the_same_calls_and_proportional_numbers(
    counts: dict[str, int], make: Callable[[int], Callable[[], None]]
) -> None:
    """Catches a loop over the examples of a batch, and an op that makes something of shape (batch, batch)."""
    first, second, third = (spent(counts, make(batch)) for batch in (16, 32, 48))
    for name in ("ops", "visits", "rules"):
        assert first[name] == second[name] == third[name]
    assert third["numbers"] - second["numbers"] == second["numbers"] - first["numbers"] > 0


@pytest.mark.parametrize("make", [vector_step, picture_step])
def test_bytes_grow_in_proportion_to_the_batch(make: Callable[[int], Callable[[], None]]) -> None:
    """Catches memory that grows with the square of the batch, such as a one-hot matrix of examples."""
    first, second, third = (peak(make(batch)) for batch in (128, 256, 512))
    assert third - second == pytest.approx(2 * (second - first), rel=0.25)  # with the square it would be four times


@pytest.mark.parametrize("work", [chain, residual, dense])
def test_bytes_grow_in_proportion_to_length(work: Callable[[int], None]) -> None:
    """Catches a walk that keeps every gradient with a copy of its path."""
    ratio = peak(lambda: work(2000)) / peak(lambda: work(500))
    assert ratio == pytest.approx(4, rel=0.3)  # sets and lists grow in jumps; with the square it would be 16


def test_backward_frees_activations_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a graph that is let go only at the end, when the gradients of all weights are there as well."""
    held = []

    def last_rule(g: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        held.append(tracemalloc.get_traced_memory()[0])
        return -g

    monkeypatch.setitem(autograd.vjp_rules, "neg", (last_rule,))
    tracemalloc.start()
    y = -Tensor(np.ones(10_000), requires_grad=True)
    for _ in range(50):
        y = y * 1.01
    total = y.sum()
    held.append(tracemalloc.get_traced_memory()[0])
    total.backward()
    tracemalloc.stop()
    before, after = held
    assert before > 50 * 40_000 and after < 0.2 * before


def test_without_recording_bytes_do_not_grow_with_length() -> None:
    """Catches an input that is kept though no gradient will be asked for."""

    def work(length: int) -> None:
        with no_grad():
            y = Tensor(np.ones(10_000), requires_grad=True)
            for _ in range(length):
                y = y * 1.01

    assert peak(lambda: work(200)) < 1.01 * peak(lambda: work(20))
