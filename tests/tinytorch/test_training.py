"""Training against closed forms and PyTorch's numbers (tests/golden/make_training.py), and what a run must never do."""

from __future__ import annotations

import importlib.util
import io
import json
import math
import os
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from tinytorch import optim
from tinytorch.core import training
from tinytorch.core.activations import ReLU
from tinytorch.core.dataloader import DataLoader, TensorDataset, load_digits
from tinytorch.core.layers import Dropout, Flatten, Linear, Module, Sequential
from tinytorch.core.losses import CrossEntropyLoss, MSELoss
from tinytorch.core.optimizers import SGD, Adam, Optimizer
from tinytorch.core.tensor import Parameter, Tensor, generator, is_grad_enabled, manual_seed
from tinytorch.core.training import (
    CosineSchedule,
    History,
    Patience,
    Schedule,
    StepSchedule,
    Tally,
    Trainer,
    WarmupSchedule,
    accuracy,
    clip_grad_norm,
    load_checkpoint,
    pack,
    save_checkpoint,
    unpack,
    write_atomically,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "training.json").read_text(encoding="utf-8"))
X = np.random.default_rng(0).standard_normal((30, 4)).astype(np.float32)
Y = (X[:, 0] + X[:, 1] > 0).astype(np.int64)
BATCHES = [(X[:12], Y[:12]), (X[12:24], Y[12:24]), (X[24:], Y[24:])]


def classifier(seed: int = 0, dropout: float = 0.0, **options: Any) -> Trainer:
    manual_seed(seed)
    net = Sequential(Linear(4, 8), ReLU(), Dropout(dropout), Linear(8, 2))
    return Trainer(net, CrossEntropyLoss(), Adam(net.parameters(), lr=0.05), **options)


def weights(trainer: Trainer) -> dict[str, np.ndarray]:
    return trainer.model.state_dict()


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert_array_equal(array, other[name])


# accuracy, clipping


def test_accuracy_takes_indices_one_hot_and_any_leading_axes() -> None:
    # catches argmax over the wrong axis, and a mean over rows where there are positions
    scores = np.random.default_rng(1).standard_normal((5, 7, 3))
    classes = np.random.default_rng(2).integers(3, size=(5, 7))
    wanted = sum(scores[i, j].argmax() == classes[i, j] for i in range(5) for j in range(7)) / 35
    for target in (classes, Tensor(classes, dtype=np.int64), np.eye(3)[classes]):
        assert accuracy(Tensor(scores), target) == wanted


@pytest.mark.parametrize("shapes", [((4, 3), (3,)), ((4, 3), (4, 1)), ((4,), (3,)), ((0, 3), (0,)), ((), ())])
def test_accuracy_refuses_shapes_that_would_broadcast(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    # catches (4, 1) against (4,): NumPy compares all pairs, and the accuracy is near chance for no visible reason
    with pytest.raises(ValueError, match="logits have shape"):
        accuracy(np.ones(shapes[0]), np.ones(shapes[1], dtype=int))


@pytest.mark.parametrize(
    ("logits", "target", "message"),
    [
        ([[1.0, math.nan]], [1], "1 logits are NaN"),  # argmax takes NaN for the largest: all of them were "right"
        ([[1.0, 2.0]], [2], "classes from 0 to 1: the target has 2 to 2"),
        ([[1.0, 2.0], [2.0, 1.0]], [0, -1], "the target has -1 to 0"),
        ([[1.0, 2.0]], [math.nan], "the target has nan"),
    ],
)
def test_accuracy_refuses_what_is_no_class(logits: Any, target: Any, message: str) -> None:
    # catches a share of right answers that a network without a single finite number would get
    with pytest.raises(ValueError, match=message):
        accuracy(logits, target)


@pytest.mark.parametrize("case", GOLDEN["clip"], ids=lambda case: f"{case['norm']:.3g} to {case['max_norm']}")
def test_clipping_agrees_with_pytorch(case: dict[str, Any]) -> None:
    # catches a norm for each parameter by itself, and a factor that also lengthens short gradients
    params = [Parameter(np.zeros(np.shape(g))) for g in case["before"]]
    for w, g in zip(params, case["before"], strict=True):
        w.grad = np.array(g, np.float32)
    assert_allclose(clip_grad_norm(params, case["max_norm"]), case["norm"], rtol=1e-6)
    for w, after in zip(params, case["after"], strict=True):
        assert_allclose(w.grad, after, rtol=2e-2 if case["norm"] < 1e-2 else 1e-5)  # PyTorch adds 1e-6 to the norm


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=6), st.floats(1e-3, 1e4))
def test_a_clipped_gradient_has_the_norm_asked_for(values: list[float], max_norm: float) -> None:
    # catches a factor of norm / max_norm, or of the squared norm
    w = Parameter(values, dtype=np.float64)
    w.grad = np.array(values)
    before = math.sqrt(sum(v * v for v in values))
    assert_allclose(clip_grad_norm([w], max_norm), before, rtol=1e-9, atol=1e-150)
    assert_allclose(np.linalg.norm(w.grad), min(before, max_norm), rtol=1e-9, atol=1e-150)


def test_a_gradient_whose_squares_overflow_is_clipped_all_the_same() -> None:
    # catches a norm of inf, and with it a gradient of zeros
    w, other = Parameter([0.0, 0.0]), Parameter([0.0])
    w.grad, other.grad = np.array([3e30, 0.0], np.float32), np.array([-4e30], np.float32)
    assert_allclose(clip_grad_norm([w, other], 1.0), 5e30, rtol=1e-6)
    assert_allclose([*w.grad, *other.grad], [0.6, 0.0, -0.8], rtol=1e-6)


def test_a_norm_of_many_float16_numbers() -> None:
    # catches a sum of squares in float16, which no division by the largest number makes smaller: it never came back
    w = Parameter(np.zeros(90_000), np.float16)
    w.grad = np.ones(90_000, np.float16)
    assert clip_grad_norm([w], 30.0) == pytest.approx(300.0)
    assert_allclose(w.grad, 0.1, rtol=1e-3)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_gradient_that_is_no_number_is_an_error(bad: float) -> None:
    # catches max_norm / nan: every gradient, and after the step every weight, would be NaN
    w = Parameter([0.0, 0.0])
    w.grad = np.array([1.0, bad], np.float32)
    with pytest.raises(ValueError, match=f"norm is {bad}"):
        clip_grad_norm([w], 1.0)
    assert w.grad[0] == 1.0


def test_clipping_takes_one_tensor_and_refuses_a_model() -> None:
    # catches a parameter that is taken apart into rows, none of which has a gradient: nothing was clipped
    w = Parameter([[0.0, 0.0]])
    w.grad = np.array([[3.0, 4.0]], np.float32)
    assert clip_grad_norm(w, 1.0) == 5.0
    assert_allclose(w.grad, [[0.6, 0.8]], rtol=1e-6)
    with pytest.raises(TypeError, match=r"is a Sequential: give it model\.parameters\(\)"):
        clip_grad_norm(Sequential(Linear(2, 2)), 1.0)


def test_clipping_nothing_and_wrong_limits() -> None:
    assert clip_grad_norm([Parameter([1.0])], 1.0) == 0.0
    for wrong in (0, -1, math.nan):
        with pytest.raises(ValueError, match="must be above 0"):
            clip_grad_norm([], wrong)
        with pytest.raises(ValueError, match="must be above 0"):
            classifier(clip=wrong)


# schedules


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("step", lambda o: StepSchedule(o, 3, gamma=0.2)),
        ("cosine", lambda o: CosineSchedule(o, 12, min_lr=0.005)),
        ("warmup", lambda o: WarmupSchedule(o, 5, CosineSchedule(o, 10, min_lr=0.01))),
    ],
)
def test_schedules_agree_with_pytorch(name: str, make: Callable[[Optimizer], Schedule]) -> None:
    # catches a count that is off by one, and one base for all groups
    optimizer = SGD([{"params": [Parameter([0.0])]}, {"params": [Parameter([0.0])], "lr": 0.03}], lr=0.4)
    schedule = make(optimizer)
    for wanted in GOLDEN[name]:
        assert_allclose([group["lr"] for group in optimizer.param_groups], wanted, rtol=1e-12)
        schedule.step()


def test_schedules_stay_where_they_end() -> None:
    # catches a cosine that rises again after its last update
    optimizer = SGD([Parameter([0.0])], lr=1.0)
    schedule = WarmupSchedule(optimizer, 3, CosineSchedule(optimizer, 4, min_lr=0.1))
    rates = []
    for _ in range(30):
        schedule.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert_allclose(rates[6:], 0.1)


def test_a_warmup_reaches_the_lr_that_the_schedule_after_it_began_with() -> None:
    # catches bases read after the schedule to come has set its own first lr: the whole run was half as fast
    class Inverse(Schedule):
        def rate(self, base: float, t: int) -> float:
            return base / (t + 2)

    optimizer = SGD([{"params": [Parameter([0.0])]}, {"params": [Parameter([0.0])], "lr": 0.5}], lr=1.0)
    schedule, rates = WarmupSchedule(optimizer, 2, Inverse(optimizer)), []
    for _ in range(4):
        rates.append([group["lr"] for group in optimizer.param_groups])
        schedule.step()
    assert_allclose(rates, [[0.5, 0.25], [1.0, 0.5], [0.5, 0.25], [1 / 3, 1 / 6]])


def test_a_schedule_goes_on_from_its_state() -> None:
    # catches bases read from an optimizer whose lr has changed already
    one, other = SGD([Parameter([0.0])], lr=1.0), SGD([Parameter([0.0])], lr=1.0)
    first = CosineSchedule(one, 10)
    for _ in range(4):
        first.step()
    other.load_state_dict(one.state_dict())
    second = CosineSchedule(other, 10)  # made after loading: its base is the lr of update 4
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    for _ in range(4):
        assert other.param_groups[0]["lr"] == one.param_groups[0]["lr"]
        first.step()
        second.step()


def test_errors_of_schedules() -> None:
    optimizer = SGD([Parameter([0.0])], lr=1.0)
    for make in (StepSchedule, CosineSchedule, WarmupSchedule):
        for wrong in (0, -1, 2.5, True, None):
            with pytest.raises(ValueError, match="must be a whole number of at least 1"):
                make(optimizer, wrong)
    with pytest.raises(NotImplementedError, match="Schedule has no rate"):
        Schedule(optimizer)
    schedule = StepSchedule(optimizer, 2)
    with pytest.raises(ValueError, match="saved schedule has 2 groups, this one 1"):
        schedule.load_state_dict({"count": 1, "bases": [1, 2]})
    optimizer.add_param_group({"params": [Parameter([0.0])]})
    with pytest.raises(ValueError, match="new groups"):
        schedule.step()


def test_schedules_that_would_change_nothing_or_walk_uphill_are_refused() -> None:
    # catches a learning rate that stays as it was, or goes below 0, without a word
    one, other = SGD([Parameter([0.0])], lr=1.0), SGD([Parameter([0.0])], lr=1.0)
    with pytest.raises(ValueError, match="same optimizer"):
        WarmupSchedule(one, 2, CosineSchedule(other, 5))
    with pytest.raises(ValueError, match="same optimizer"):
        WarmupSchedule(one, 2, 5)
    with pytest.raises(TypeError, match="an optimizer, not of a float"):
        CosineSchedule(0.1, 5)
    with pytest.raises(ValueError, match=r"min_lr is -0\.1"):
        CosineSchedule(one, 5, min_lr=-0.1)
    with pytest.raises(ValueError, match="gamma is -1"):
        StepSchedule(one, 5, gamma=-1)
    state = CosineSchedule(one, 5).state_dict()
    with pytest.raises(ValueError, match="saved schedule is a CosineSchedule, this one a StepSchedule"):
        StepSchedule(other, 5).load_state_dict(state)
    CosineSchedule(other, 5).load_state_dict({"count": 3, "bases": [1.0]})  # as saved before kinds were noted
    net = Linear(4, 2)
    with pytest.raises(ValueError, match="schedule is of another optimizer"):
        Trainer(net, CrossEntropyLoss(), SGD(net.parameters()), CosineSchedule(one, 5))


def test_an_optimizer_of_another_model_is_refused() -> None:
    # catches a training that ends without an error and has changed nothing
    with pytest.raises(ValueError, match=r"no parameter of this model.*model\.parameters\(\)"):
        Trainer(Linear(4, 2), CrossEntropyLoss(), SGD(Linear(4, 2).parameters()))


def test_a_loss_that_is_no_tensor_is_refused() -> None:
    # catches a loss computed with NumPy, through which no gradient goes back
    trainer = classifier()
    trainer.loss = lambda output, target: 1.0
    with pytest.raises(TypeError, match="the loss is a float, and must be a Tensor"):
        trainer.fit(BATCHES, 1)


def test_doors_lead_here() -> None:
    assert optim.CosineSchedule is CosineSchedule and optim.clip_grad_norm is clip_grad_norm


# updates


def test_an_update_by_hand() -> None:
    # catches a step that is missing, taken twice, or scaled by the size of the batch
    net = Linear(1, 1)
    net.weight, net.bias = Parameter([[1.0]]), Parameter([0.0])
    trainer = Trainer(net, MSELoss(), SGD(net.parameters(), lr=0.1))
    x, y = np.array([[1.0], [3.0]], np.float32), np.array([[2.0], [3.0]], np.float32)
    assert trainer.update([(x, y)]) == 0.5  # (1 + 0) / 2
    assert_allclose([net.weight.item(), net.bias.item()], [1.1, 0.1], rtol=1e-6)  # gradients -1 and -1


@pytest.mark.parametrize("cuts", [[30], [10, 20, 30], [1, 30], [7, 8, 29, 30]])
def test_accumulated_batches_are_one_large_batch(cuts: list[int]) -> None:
    # catches batches of unequal size weighed alike
    whole, parts = classifier(), classifier()
    tally = Tally()
    starts = [0, *cuts[:-1]]
    loss = parts.update([(X[a:b], Y[a:b]) for a, b in zip(starts, cuts, strict=True)], tally)
    assert_allclose(loss, whole.update([(X, Y)]), rtol=1e-6)
    for name, array in weights(whole).items():
        assert_allclose(weights(parts)[name], array, atol=2e-5)
    for a, b in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        assert_allclose(b.grad, a.grad, atol=1e-7)
    assert tally.samples == 30 and parts.step == 1


def test_fit_groups_batches_and_the_last_group_may_be_smaller() -> None:
    # catches batches at the end of an epoch that are dropped, or carried into the next
    trainer = classifier()
    history = trainer.fit(BATCHES, epochs=2, accumulate=2)
    assert (trainer.epoch, trainer.step, len(history)) == (2, 4, 2)
    again = classifier()
    for _ in range(2):
        again.update(BATCHES[:2])
        again.update(BATCHES[2:])
    assert_same(weights(trainer), weights(again))


def test_clipping_comes_before_the_step_and_the_schedule_after_it() -> None:
    # catches clipping that comes too late to matter, and a schedule that skips its first rate
    trainer = classifier(clip=1e-3)
    seen: list[float] = []
    step = trainer.optimizer.step

    def watched() -> None:
        seen.append(math.sqrt(sum(float((w.grad**2).sum()) for w in trainer.model.parameters())))
        seen.append(trainer.optimizer.param_groups[0]["lr"])
        step()

    trainer.optimizer.step = watched  # type: ignore[method-assign]
    trainer.schedule = StepSchedule(trainer.optimizer, 1, gamma=0.5)
    trainer.fit(BATCHES[:1], epochs=2)
    assert_allclose(seen, [1e-3, 0.05, 1e-3, 0.025], rtol=1e-5)
    assert trainer.history.lr == [0.05, 0.025]


def test_a_loss_that_is_no_number_stops_before_the_weights_change() -> None:
    # catches training that goes on with NaN in every weight
    trainer = classifier()
    trainer.fit(BATCHES, epochs=1)
    before, loss = weights(trainer), trainer.loss
    for bad in (math.nan, math.inf):
        trainer.loss = lambda output, target, bad=bad: loss(output, target) * bad
        with pytest.raises(ValueError, match=f"the loss is {bad} in epoch 2, at update 4: lower lr"):
            trainer.fit(BATCHES, epochs=1)
    assert_same(weights(trainer), before)
    trainer.loss = CrossEntropyLoss(reduction="none")
    with pytest.raises(ValueError, match=r"the loss has shape \(12,\), and must be one number"):
        trainer.fit(BATCHES, epochs=1)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (X, "a batch must be a pair .* this one is a ndarray"),
        ((X, Y, Y), "pair"),
        ((X, Y[:5]), r"inputs of shape \(30, 4\) and targets of shape \(5,\)"),
        ((X[:0], Y[:0]), r"inputs of shape \(0, 4\)"),
        ((X, 1), r"targets of shape \(\)"),
    ],
)
def test_batches_of_the_wrong_form_are_refused(batch: Any, message: str) -> None:
    # catches targets that are broadcast, and a loader of inputs alone
    for work in (lambda: classifier().update([batch]), lambda: classifier().evaluate([batch])):
        with pytest.raises(ValueError, match=message):
            work()


# fit and evaluate


def test_evaluation_changes_nothing() -> None:
    # catches dropout left on, a graph that is kept, and a mode that is not given back, also after an error
    trainer = classifier(dropout=0.5)
    net = trainer.model
    net[0].eval()
    before, versions = weights(trainer), [w.version for w in net.parameters()]
    random = generator().bit_generator.state
    recorded: list[bool] = []
    loss = trainer.loss
    trainer.loss = lambda output, target: (recorded.append(output.requires_grad), loss(output, target))[1]
    assert trainer.evaluate(BATCHES).loss == trainer.evaluate(BATCHES).loss
    assert recorded == [False] * 6
    assert [module.training for module in net.modules()] == [True, False, True, True]
    with pytest.raises(ValueError):
        trainer.evaluate([(X, Y[:3])])
    assert [module.training for module in net.modules()] == [True, False, True, True]
    assert is_grad_enabled()
    assert_same(weights(trainer), before)
    assert [w.version for w in net.parameters()] == versions
    assert generator().bit_generator.state == random
    assert all(w.grad is None for w in net.parameters())


def test_evaluation_counts_samples_not_batches() -> None:
    # catches a mean over batches, in which the short last batch weighs too much
    trainer = classifier()
    whole = trainer.evaluate([(X, Y)])
    for size in (1, 7, 12, 29):
        parts = trainer.evaluate([(X[i : i + size], Y[i : i + size]) for i in range(0, 30, size)])
        assert_allclose(parts.loss, whole.loss, rtol=1e-6)
        assert parts.accuracy == whole.accuracy


def test_there_is_no_accuracy_without_classes() -> None:
    # catches argmax over the outputs of a regression
    net = Linear(4, 1)
    trainer = Trainer(net, MSELoss(), SGD(net.parameters()))
    history = trainer.fit([(X, X[:, :1])], epochs=2)
    assert history.accuracy == [None, None] and history.valid_loss == [None, None]
    assert json.loads(json.dumps(vars(history)))["accuracy"] == [None, None]


def test_history_is_what_happened() -> None:
    # catches numbers of the wrong epoch, and validation before training
    trainer = classifier()
    history = trainer.fit(BATCHES, epochs=3, valid=[(X, Y)])
    assert history is trainer.history and len(history) == 3
    assert history.valid_loss[-1] == trainer.evaluate([(X, Y)]).loss
    assert history.valid_accuracy[-1] == trainer.evaluate([(X, Y)]).accuracy
    assert history.loss[0] > history.loss[-1] > 0
    assert history.lr == [0.05] * 3 and all(each > 0 for each in history.seconds)
    trainer.fit(BATCHES, epochs=2)
    assert len(history) == trainer.epoch == 5
    assert {len(values) for values in vars(history).values()} == {5}


def test_fit_trains_in_training_mode_after_each_evaluation() -> None:
    # catches a network that is left in eval mode after the first epoch: dropout would be off from then on
    trainer = classifier(dropout=0.5)
    modes: list[bool] = []
    loss = trainer.loss
    trainer.loss = lambda output, target: (modes.append(trainer.model[2].training), loss(output, target))[1]
    trainer.model.eval()
    trainer.fit(BATCHES[:1], epochs=2, valid=BATCHES[:1])
    assert modes == [True, False, True, False]


def test_early_stopping_ends_with_the_best_weights() -> None:
    # catches the last weights in place of the best, and a count that is not begun anew after an improvement
    trainer = classifier()
    losses = iter([0.9, 0.7, 0.8, 0.6, 0.65, 0.7, 0.1])
    seen: list[dict[str, np.ndarray]] = []

    def evaluate(loader: Any) -> Tally:
        seen.append(weights(trainer))
        tally = Tally()
        tally.samples, tally.losses = 1, next(losses)
        return tally

    trainer.evaluate = evaluate  # type: ignore[method-assign]
    history = trainer.fit(BATCHES, epochs=20, valid=BATCHES, patience=2)
    assert history.valid_loss == [0.9, 0.7, 0.8, 0.6, 0.65, 0.7]
    assert_same(weights(trainer), seen[3])


def test_an_equal_loss_is_no_improvement() -> None:
    # catches <=: a network that has stopped learning would be waited for without end
    waiting = Patience(classifier().model, 2)
    assert [waiting.used_up(loss) for loss in (0.5, 0.5, 0.5)] == [False, False, True]


def test_a_loader_that_runs_dry_is_an_error() -> None:
    # catches a generator that trains one epoch and then, silently, none
    def once() -> Iterator[Any]:
        yield from BATCHES

    trainer = classifier()
    with pytest.raises(ValueError, match="a generator runs only once"):
        trainer.fit(once(), epochs=2)
    assert trainer.epoch == 1
    with pytest.raises(ValueError, match="nothing to evaluate"):
        trainer.evaluate([])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"epochs": 1.5}, r"epochs is 1\.5"),
        ({"epochs": 1, "accumulate": 0}, "accumulate is 0"),
        ({"epochs": 1, "patience": 0, "valid": BATCHES}, "patience is 0"),
        ({"epochs": 1, "patience": 2}, "give fit valid="),
    ],
)
def test_settings_of_fit_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classifier().fit(BATCHES, **options)


# the bar and the curves


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_is_drawn_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # catches log files full of half-drawn bars
    classifier().fit(BATCHES, epochs=1)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys, "stdout", Terminal())
    classifier().fit(BATCHES, epochs=2, valid=BATCHES)
    drawn = sys.stdout.getvalue()
    monkeypatch.undo()
    lines = drawn.split("\n")
    assert len(lines) == 3 and lines[-1] == ""
    assert "\repoch 1/2 [######..............] 1/3 loss " in lines[0]
    assert "\repoch 2/2 [####################] 3/3 loss " in lines[1]
    assert "valid_accuracy" in lines[1].rpartition("\r")[2]
    monkeypatch.setattr(sys, "stdout", Terminal())
    Trainer.fit(classifier(), _Unsized(BATCHES), 1)
    drawn = sys.stdout.getvalue()
    monkeypatch.undo()
    assert "epoch 1/1 3/? loss" in drawn


class _Unsized:
    """A loader that does not know how long it is."""

    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


def test_without_an_output_training_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    # catches sys.stdout being None, as it is in a program without a console
    monkeypatch.setattr(sys, "stdout", None)
    assert len(classifier().fit(BATCHES, epochs=1).loss) == 1


def test_curves_are_drawn_with_characters(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # catches columns that are mixed up, a flat curve divided by zero, and None among the numbers
    history = History()
    for epoch in range(4):
        history.add(loss=8.0 - epoch, accuracy=None, valid_loss=None, valid_accuracy=None, lr=0.1, seconds=1.0)
    assert history.plot() is None
    drawn = capsys.readouterr().out
    assert "loss, 4 epochs\n         8 |*\n" in drawn and "         5 |   *\n" in drawn
    assert "accuracy" not in drawn and "lr, 4 epochs" in drawn
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert history.plot("curves.png") is None and "loss, 4 epochs" in capsys.readouterr().out
    assert not Path("curves.png").exists()
    assert max(map(len, training._sketch("t", list(range(1000))).splitlines())) <= 72


def test_curves_are_saved_with_matplotlib(tmp_path: Path) -> None:
    # catches a plot that warns or fails only where matplotlib is installed
    history = classifier().fit(BATCHES, epochs=3, valid=BATCHES)
    path = tmp_path / "curves.png"
    assert history.plot(path) == path
    assert path.read_bytes().startswith(b"\x89PNG")


# checkpoints


def everything(seed: int) -> Trainer:
    """A trainer whose next step depends on parameters, averages, schedule, random numbers, order and counts."""
    trainer = classifier(seed, dropout=0.4, clip=0.5)
    optimizer = trainer.optimizer
    trainer.schedule = WarmupSchedule(optimizer, 4, CosineSchedule(optimizer, 20))
    return trainer


def batches_of(seed: int = 3) -> DataLoader:
    return DataLoader(TensorDataset(X, Y), 8, shuffle=True, seed=seed)


def test_a_run_goes_on_bit_by_bit(tmp_path: Path) -> None:
    # catches any part of the state that is not saved: each one changes the last bits of some weight
    whole = everything(1)
    whole.fit(batches_of(), epochs=5, valid=BATCHES)
    first = everything(1)
    first.fit(batches_of(), epochs=2, valid=BATCHES, checkpoint=tmp_path / "run.npz")
    second = everything(77)
    generator().random(123)
    second.load(tmp_path / "run.npz")
    assert (second.epoch, second.step) == (2, 8)
    second.fit(batches_of(), epochs=3, valid=BATCHES)
    assert_same(weights(whole), weights(second))
    for name in ("loss", "accuracy", "valid_loss", "valid_accuracy", "lr"):
        assert getattr(whole.history, name) == getattr(second.history, name)
    one, other = whole.optimizer.state_dict(), second.optimizer.state_dict()
    assert [entry["step"] for entry in one["state"].values()] == [entry["step"] for entry in other["state"].values()]


def test_the_very_next_update_is_the_same(tmp_path: Path) -> None:
    # catches state that is lost between two updates within an epoch
    one = everything(1)
    one.update(BATCHES[:1])
    one.save(tmp_path / "run.npz")
    one.update(BATCHES[1:])
    other = everything(2)
    other.load(tmp_path / "run.npz")
    other.update(BATCHES[1:])
    assert_same(weights(one), weights(other))


def test_saving_changes_nothing_in_the_run(tmp_path: Path) -> None:
    # catches a save that draws random numbers, or hands out the arrays themselves
    one, other = everything(1), everything(1)
    other.save(tmp_path / "run.npz")
    other.load(tmp_path / "run.npz")
    manual_seed(5)
    one.update(BATCHES)
    manual_seed(5)
    other.update(BATCHES)
    assert_same(weights(one), weights(other))


def test_a_checkpoint_holds_no_pickle_and_is_read_without_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # catches np.savez saving an object by pickle, which NumPy does without a word
    path = tmp_path / "run.npz"
    trainer = everything(1)
    trainer.fit(BATCHES, epochs=1)
    trainer.save(path)
    with np.load(path, allow_pickle=False) as saved:
        assert all(saved[name].dtype.kind in "fu" for name in saved.files)
    monkeypatch.setattr("pickle.load", None)
    trainer.load(path)


def test_old_file_or_new_file_and_nothing_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # catches a file that is opened for writing where the last good one is
    path = tmp_path / "run.npz"
    trainer = everything(1)
    trainer.save(path)
    before = path.read_bytes()

    def fails(file: Any, *arrays: Any, **named: Any) -> None:
        file.write(b"half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fails)
    with pytest.raises(OSError, match="No space left"):
        trainer.save(path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["run.npz"]


def test_a_half_written_file_never_has_the_name(tmp_path: Path) -> None:
    # catches a rename before the bytes are written
    path, seen = tmp_path / "file", []

    def write(file: Any) -> None:
        file.write(b"one")
        seen.append(path.exists())
        file.write(b" two")

    write_atomically(path, write)
    assert seen == [False] and path.read_bytes() == b"one two"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_the_new_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    # catches bytes copied over the old file: whoever has it open, or a crash, would meet half of each
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_bytes(b"old")
    os.link(path, link)
    write_atomically(path, lambda file: file.write(b"new") and None)
    assert (path.read_bytes(), link.read_bytes()) == (b"new", b"old")


def damaged(path: Path) -> Iterator[tuple[str, bytes]]:
    good = path.read_bytes()
    yield "empty", b""
    yield "half", good[: len(good) // 2]
    yield "text", b"weights = 3\n"
    yield "flipped", good[:200] + bytes([good[200] ^ 255]) + good[201:]
    other = io.BytesIO()
    np.save(other, np.ones(3))
    yield "npy", other.getvalue()
    other = io.BytesIO()
    np.savez(other, a=np.ones(3))
    yield "other npz", other.getvalue()
    other = io.BytesIO()
    np.savez(other, text=np.frombuffer(b'{"format": "tinytorch.checkpoint/9"}', np.uint8))
    yield "later format", other.getvalue()
    other = io.BytesIO()
    np.savez(other, text=np.array([{"a": 1}], dtype=object))
    yield "pickle", other.getvalue()
    entry = good.index(b"PK\x01\x02")  # of the directory: 8 and 10 bytes on are its flags and its kind of compression
    for place, name in ((8, "encrypted"), (8, "patched"), (10, "unknown compression")):
        bit = 32 if name == "patched" else 1
        yield name, good[: entry + place] + bytes([good[entry + place] | bit]) + good[entry + place + 1 :]
    for key in ("model", "random", "extra"):
        with np.load(path) as parts:
            meta = json.loads(parts["text"].tobytes())
            arrays = [parts[f"arr_{number}"] for number in range(len(parts.files) - 1)]
        del meta["content"][key]
        other = io.BytesIO()
        np.savez(other, *arrays, text=np.frombuffer(json.dumps(meta).encode(), np.uint8))
        yield f"without {key}", other.getvalue()
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("text.npy", b"no array")
    yield "zip", other.getvalue()


def test_damaged_and_foreign_files_are_refused_and_change_nothing(tmp_path: Path) -> None:
    # catches half a load, and errors of NumPy or zipfile that say nothing of checkpoints
    path = tmp_path / "run.npz"
    trainer = everything(1)
    trainer.fit(BATCHES, epochs=1)
    trainer.save(path)
    before, random = weights(trainer), generator().bit_generator.state
    for name, data in list(damaged(path)):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"run\.npz is not a checkpoint that save_checkpoint wrote"):
            trainer.load(path)
            pytest.fail(name)
    with pytest.raises(FileNotFoundError):
        trainer.load(tmp_path / "missing.npz")
    assert_same(weights(trainer), before)
    assert generator().bit_generator.state == random


def test_a_trainer_refuses_what_no_trainer_saved(tmp_path: Path) -> None:
    # catches a KeyError of 'epoch' after model and optimizer were changed
    path = tmp_path / "model.npz"
    trainer, other = everything(1), everything(2)
    save_checkpoint(path, other.model, other.optimizer, other.schedule, epoch=3)
    before, random = weights(trainer), generator().bit_generator.state
    with pytest.raises(ValueError, match=r"model\.npz does not say how far training was: .* load_checkpoint reads"):
        trainer.load(path)
    assert_same(weights(trainer), before)
    assert generator().bit_generator.state == random


def test_random_numbers_of_another_kind_change_nothing(tmp_path: Path) -> None:
    # catches a model that was loaded before the state of the generator turns out not to fit
    path = tmp_path / "run.npz"
    net, other = Linear(2, 2), Linear(2, 2)
    save_checkpoint(path, net)
    with np.load(path) as parts:
        meta = json.loads(parts["text"].tobytes())
        arrays = [parts[f"arr_{number}"] for number in range(len(parts.files) - 1)]
    meta["content"]["random"]["bit_generator"] = "MT19937"
    np.savez(path, *arrays, text=np.frombuffer(json.dumps(meta).encode(), np.uint8))
    before = other.state_dict()
    with pytest.raises(ValueError, match="PCG64"):
        load_checkpoint(path, other)
    assert_same(other.state_dict(), before)


def test_a_checkpoint_of_nothing(tmp_path: Path) -> None:
    # catches a module without layers that counts as false
    save_checkpoint(tmp_path / "run.npz", Sequential(), epoch=3)
    assert load_checkpoint(tmp_path / "run.npz", Sequential()) == {"epoch": 3}


def test_a_checkpoint_that_does_not_fit_changes_nothing(tmp_path: Path) -> None:
    # catches a model that is loaded before its optimizer is found not to fit
    path = tmp_path / "run.npz"
    net, other, wide = Linear(2, 2), Linear(2, 2), Linear(3, 2)
    saved = Adam(net.parameters())
    for w in net.parameters():
        w.grad = np.ones(w.shape, np.float32)
    saved.step()
    save_checkpoint(path, net, saved)
    two_groups = Adam([{"params": [other.weight]}, {"params": [other.bias]}])
    before, random = other.state_dict(), generator().bit_generator.state
    with pytest.raises(ValueError, match=r"the saved groups have \[2\] parameters"):
        load_checkpoint(path, other, two_groups)
    with pytest.raises(ValueError, match="has no schedule: it was saved without one"):
        load_checkpoint(path, other, None, StepSchedule(two_groups, 1))
    with pytest.raises(ValueError, match="cannot load this state"):
        load_checkpoint(path, wide)
    assert_same(other.state_dict(), before)
    assert generator().bit_generator.state == random
    assert load_checkpoint(path, other) == {}  # the model alone
    assert_same(other.state_dict(), net.state_dict())


def test_extra_values_come_back(tmp_path: Path) -> None:
    # catches numbers that lose digits on the way through text
    path = tmp_path / "run.npz"
    extra = {"epoch": 3, "best": 0.1 + 0.2, "big": 2**127 + 1, "names": ["a", "é"], "nothing": None, "yes": True}
    net = Linear(2, 2)
    save_checkpoint(path, net, **extra, table=np.arange(6, dtype=np.int16).reshape(2, 3), last=np.float64(math.pi))
    found = load_checkpoint(path, net)
    table = found.pop("table")
    assert table.dtype == np.int16 and table.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found == {**extra, "last": math.pi}
    for wrong in (object(), {1, 2}, np.array([None]), Tensor([1.0]), {"a": [print]}):
        with pytest.raises(TypeError):
            save_checkpoint(path, net, wrong=wrong)
    assert load_checkpoint(path, net)["epoch"] == 3


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(plain)
def test_plain_values_survive_packing(value: Any) -> None:
    # catches a type that changes on the way: True to 1, 1.0 to 1
    arrays: list[np.ndarray] = []
    assert repr(unpack(json.loads(json.dumps(pack(value, arrays))), arrays)) == repr(value)
    assert arrays == []


# digits


def test_digits_are_read(tmp_path: Path) -> None:
    # catches a slip that lowers accuracy on real data without failing anything else
    manual_seed(0)
    net: Module = Sequential(Flatten(), Linear(64, 128), ReLU(), Linear(128, 10))
    optimizer = Adam(net.parameters(), lr=0.004)
    loader = DataLoader(load_digits(), 32, shuffle=True, seed=0)
    trainer = Trainer(net, CrossEntropyLoss(), optimizer, CosineSchedule(optimizer, 15 * len(loader)))
    trainer.fit(loader, epochs=15)
    assert trainer.evaluate(DataLoader(load_digits(train=False), 100)).accuracy >= 0.97
