"""Probes of 08_training: calls with fresh random inputs; what they return is compared with the reference."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np

from tinytorch.core.dataloader import DataLoader, TensorDataset
from tinytorch.core.layers import Dropout, Linear, Sequential
from tinytorch.core.losses import CrossEntropyLoss, MSELoss
from tinytorch.core.optimizers import SGD, Adam
from tinytorch.core.tensor import Parameter, Tensor, manual_seed


def _refusal(call, kind, *words):
    """Whether a call is refused with an error of this kind, and whether the message has each of the words."""
    try:
        call()
    except kind as error:
        text = "".join([str(error)])  # a plain str: a class of its own could claim to hold any word
        return [True, *(word in text for word in words)]
    return [False]


def _filled(net, rng):
    """The network with random parameters of float64."""
    for layer in net:
        if isinstance(layer, Linear):
            layer.weight = Parameter(Tensor(rng.normal(size=layer.weight.shape), dtype=np.float64))
            if layer.bias is not None:
                layer.bias = Parameter(Tensor(rng.normal(size=layer.bias.shape), dtype=np.float64))
    return net


def _with_gradients(*gradients):
    """Parameters that have these gradients."""
    parameters = []
    for gradient in gradients:
        parameters.append(Parameter(np.zeros(np.shape(gradient)), dtype=np.float64))
        parameters[-1].grad = np.array(gradient)
    return parameters


def accuracy_shares(lesson, rng):
    """The share of right answers, of classes and one-hot rows, in several shapes."""
    logits, labels = rng.normal(size=(20, 3)), rng.integers(0, 3, 20)
    deep, wanted = rng.normal(size=(2, 5, 4)), rng.integers(0, 4, (2, 5))
    return [
        lesson.accuracy(Tensor(logits), Tensor(labels, dtype=np.int64)),
        lesson.accuracy(logits, labels.tolist()),
        lesson.accuracy(Tensor(logits), np.eye(3)[labels]),
        lesson.accuracy(deep, wanted),
        lesson.accuracy(logits, logits.argmax(axis=1)),
        lesson.accuracy(logits, (logits.argmax(axis=1) + 1) % 3),
        lesson.accuracy(np.zeros((20, 3)), labels),
        isinstance(lesson.accuracy(logits, labels), float),
    ]


def accuracy_refusals(lesson, rng):
    """Targets of another shape, and empty ones, are refused."""
    logits, labels = rng.normal(size=(4, 3)), rng.integers(0, 3, 4)
    return {
        "length": _refusal(lambda: lesson.accuracy(logits, [0, 1]), ValueError),
        "empty": _refusal(lambda: lesson.accuracy(np.zeros((0, 3)), np.zeros(0)), ValueError),
        "fits": lesson.accuracy(logits, labels),
    }


def clipping_scales_all(lesson, rng):
    """One factor for all gradients, in place, and the norm from before is returned."""
    gradients = rng.normal(size=(2, 3)), rng.normal(size=4), np.array(rng.normal())
    parameters = [*_with_gradients(*gradients), Parameter([1.0])]
    memory = parameters[0].grad
    limit = float(rng.uniform(0.1, 0.5))
    norm = lesson.clip_grad_norm((each for each in parameters), limit)
    return {
        "norm": norm,
        "gradients": [each.grad for each in parameters[:3]],
        "in place": parameters[0].grad is memory,
        "none stays": parameters[3].grad is None,
    }


def clipping_where_needed(lesson, rng):
    """Small gradients stay, huge ones do not overflow, and what is not finite is refused."""
    small = _with_gradients(rng.normal(size=3))
    norm = lesson.clip_grad_norm(small, 1e3)
    huge = _with_gradients(rng.uniform(1e200, 1e201, 3))
    lesson.clip_grad_norm(huge, 2.0)
    return {
        "norm": norm,
        "small": small[0].grad,
        "huge": huge[0].grad,
        "none": lesson.clip_grad_norm([Parameter([1.0])], 1.0),
        "not finite": _refusal(lambda: lesson.clip_grad_norm(_with_gradients([np.nan]), 1.0), ValueError),
        "limit": _refusal(lambda: lesson.clip_grad_norm(small, 0), ValueError),
    }


def _rates(make, rng, count=9):
    """The learning rates of two groups in their first updates."""
    groups = [{"params": [Parameter([1.0])], "lr": float(rng.uniform(0.1, 1))} for _ in range(2)]
    optimizer, found = SGD(groups), []
    schedule = make(optimizer)
    for _ in range(count):
        found.append([group["lr"] for group in optimizer.param_groups])
        schedule.step()
    return np.array(found)


def step_schedules(lesson, rng):
    """lr falls by a factor after every so many updates."""
    size, gamma = int(rng.integers(2, 4)), float(rng.uniform(0.3, 0.9))
    return [
        _rates(lambda o: lesson.StepSchedule(o, size), rng),
        _rates(lambda o: lesson.StepSchedule(o, size, gamma=gamma), rng),
        _rates(lambda o: lesson.StepSchedule(o, 1, gamma), rng),
    ]


def cosine_schedules(lesson, rng):
    """Half a wave down to min_lr, and min_lr from then on."""
    total, least = int(rng.integers(3, 8)), float(rng.uniform(0.01, 0.05))
    return [
        _rates(lambda o: lesson.CosineSchedule(o, total), rng),
        _rates(lambda o: lesson.CosineSchedule(o, total, min_lr=least), rng),
    ]


def warmup_schedules(lesson, rng):
    """A line up to lr, then lr as it is, or another schedule with its own count."""
    steps = int(rng.integers(2, 5))
    return [
        _rates(lambda o: lesson.WarmupSchedule(o, steps), rng),
        _rates(lambda o: lesson.WarmupSchedule(o, steps, lesson.CosineSchedule(o, 4, min_lr=0.02)), rng),
        _rates(lambda o: lesson.WarmupSchedule(o, steps, lesson.StepSchedule(o, 2)), rng),
    ]


def _trainer(lesson, rng, lr=0.05, **options):
    """A trainer of a linear layer."""
    net = _filled(Sequential(Linear(3, 2)), rng)
    return lesson.Trainer(net, MSELoss(), SGD(net.parameters(), lr=lr), **options)


def _batches(rng, *sizes):
    """Batches of random inputs and targets."""
    return [tuple(Tensor(rng.normal(size=(size, n)), dtype=np.float64) for n in (3, 2)) for size in sizes]


def update_of_one_batch(lesson, rng):
    """An update changes the parameters once, and old gradients are forgotten."""
    trainer = _trainer(lesson, rng)
    losses = [trainer.update(_batches(rng, 4)) for _ in range(3)]
    return {"losses": losses, "parameters": trainer.model.parameters(), "steps": trainer.step}


def update_of_several_batches(lesson, rng):
    """Batches of different sizes weigh by their samples, also in the tally."""
    trainer, tally = _trainer(lesson, rng), lesson.Tally()
    loss = trainer.update(_batches(rng, 5, 1, 3), tally)
    return {
        "loss": loss,
        "parameters": trainer.model.parameters(),
        "tally": [tally.samples, tally.loss, tally.accuracy is None],
        "steps": trainer.step,
    }


def update_clips_and_schedules(lesson, rng):
    """Gradients are clipped before the step, the schedule goes on after it."""
    clipped = _trainer(lesson, rng, clip=0.1)
    clipped.update(_batches(rng, 4, 2))
    scheduled = _trainer(lesson, rng)
    scheduled.schedule = lesson.StepSchedule(scheduled.optimizer, 1, gamma=0.5)
    rates = []
    for _ in range(3):
        scheduled.update(_batches(rng, 3))
        rates.append(scheduled.optimizer.param_groups[0]["lr"])
    return {"clipped": clipped.model.parameters(), "scheduled": scheduled.model.parameters(), "rates": rates}


def update_refuses_what_is_not_finite(lesson, rng):
    """A loss that is not finite stops training and leaves the parameters as they were."""
    trainer, batches = _trainer(lesson, rng), _batches(rng, 3)
    before = trainer.model.state_dict()
    right = trainer.loss
    trainer.loss = lambda output, target: right(output, target) * np.inf
    refused = _refusal(lambda: trainer.update(batches), ValueError)
    unchanged = trainer.model.state_dict()
    trainer.loss = right
    return {"refused": refused, "before": before, "unchanged": unchanged, "after": trainer.update(batches)}


def _classifier(lesson, rng, lr=0.1):
    net = _filled(Sequential(Linear(4, 6), Dropout(0.5), Linear(6, 3)), rng)
    return lesson.Trainer(net, CrossEntropyLoss(), SGD(net.parameters(), lr=lr))


def _classified(rng, *sizes):
    return [(Tensor(rng.normal(size=(n, 4)), dtype=np.float64), rng.integers(0, 3, n)) for n in sizes]


def evaluation_changes_nothing(lesson, rng):
    """Loss and accuracy over all samples, without dropout, with every module's mode put back."""
    trainer, batches = _classifier(lesson, rng), _classified(rng, 5, 2, 4)
    before = trainer.model.state_dict()
    trainer.model[0].eval()
    recorded, loss = [], trainer.loss

    def noting(output, target):
        recorded.append(output.requires_grad)
        return loss(output, target)

    trainer.loss = noting
    tally = trainer.evaluate(batches)
    broken = _refusal(lambda: trainer.evaluate([batches[0], 7]), ValueError)
    return {
        "tally": [tally.loss, tally.accuracy, tally.samples],
        "recorded": list(recorded[:3]),
        "modes": [module.training for module in trainer.model.modules()],
        "before": before,
        "after": trainer.model.state_dict(),
        "gradients": [each.grad is None for each in trainer.model.parameters()],
        "error": broken,
        "empty": _refusal(lambda: trainer.evaluate([]), ValueError),
    }


def fitting_keeps_a_history(lesson, rng):
    """fit counts epochs and updates and records loss, accuracy and lr of each epoch."""
    net = _filled(Sequential(Linear(4, 3)), rng)
    optimizer = SGD(net.parameters(), lr=0.2)
    trainer = lesson.Trainer(net, CrossEntropyLoss(), optimizer, lesson.StepSchedule(optimizer, 2, gamma=0.5))
    history = trainer.fit(_classified(rng, 4, 4, 3), epochs=2, valid=_classified(rng, 5), accumulate=2)
    trainer.fit(_classified(rng, 4), epochs=1)
    return {
        "counts": [trainer.epoch, trainer.step, len(history), len(history.seconds)],
        "history": [history.loss, history.accuracy, history.valid_loss, history.valid_accuracy, history.lr],
        "parameters": net.parameters(),
    }


def patience_runs_out(lesson, rng):
    """Patience keeps the best weights and says when the loss has not fallen for too long."""
    net = _filled(Sequential(Linear(2, 1)), rng)
    waiting, stops = lesson.Patience(net, int(rng.integers(2, 4))), []
    for loss in (0.9, 0.7, 0.8, 0.7, 0.6, 0.65, 0.7, 0.61, 0.6):
        net[0].bias.numpy()[...] = rng.normal()
        stops.append(waiting.used_up(loss))
    return {"stops": stops, "weights": dict(waiting.weights), "one": lesson.Patience(net, 1).used_up(1.0)}


def fitting_stops_early(lesson, rng):
    """fit with patience ends with the best weights."""
    trainer = _trainer(lesson, rng, lr=float(rng.uniform(3.0, 4.0)))  # so large that every step goes too far
    data = _batches(rng, 6)
    history = trainer.fit(data, epochs=7, valid=data, patience=2)
    return {"epochs": trainer.epoch, "losses": history.valid_loss, "parameters": trainer.model.parameters()}


def packing(lesson, rng):
    """What is packed can go through JSON and comes back, arrays apart, lists for tuples."""
    first, second, arrays = rng.normal(size=(2, 3)), rng.integers(0, 9, 4), []
    value = {"a": (first, 1), "b": {"c": [0.5, None, "text", second]}, 4: np.float32(0.25), "d": [], "e": True}
    packed = lesson.pack(value, arrays)
    back = lesson.unpack(json.loads(json.dumps(packed)), arrays)
    return {
        "packed": packed,
        "keys": [isinstance(key, str) for key in packed],
        "arrays": list(arrays),
        "back": back,
        "forms": [type(back[key]).__name__ for key in ("a", "b", "d")],
        "refused": _refusal(lambda: lesson.pack({"a": object()}, []), TypeError),
    }


def writing_atomically(lesson, rng):
    """A file appears when it is complete; a write that fails leaves the old one and nothing beside it."""
    content, word = rng.bytes(50), f"disk {int(rng.integers(1000))}"

    def fail(file):
        file.write(b"half")
        raise OSError(word)

    numbers, synced, fsync = [], [], os.fsync

    def write(file):
        numbers.append(os.fstat(file.fileno()).st_ino)
        file.write(content)

    def stop(file):
        file.write(b"half")
        raise KeyboardInterrupt(word)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.npz")
        os.fsync = lambda number: synced.append(fsync(number))
        try:
            lesson.write_atomically(path, write)
        finally:
            os.fsync = fsync
        renamed = path.stat().st_ino == numbers[0]
        stopped = _refusal(lambda: lesson.write_atomically(path, stop), KeyboardInterrupt, word)
        stopped.append(len(list(Path(folder).iterdir())))
        refused = _refusal(lambda: lesson.write_atomically(path, fail), OSError, word)
        kept = np.frombuffer(path.read_bytes(), dtype=np.uint8)
        files = sorted(each.name for each in Path(folder).iterdir())
        how = [renamed, len(synced) > 0]
        return {"refused": refused, "stopped": stopped, "kept": kept, "files": files, "how": how}


def resuming(lesson, rng):
    """A run goes on from its checkpoint with the identical next steps, dropout and order of samples included."""
    x = rng.normal(size=(12, 4))
    loader = DataLoader(TensorDataset(x, (x[:, 0] > 0).astype(np.int64)), batch_size=5, shuffle=True, seed=3)

    def make():
        net = Sequential(Linear(4, 6), Dropout(0.3), Linear(6, 2))
        optimizer = Adam(net.parameters(), lr=0.05)
        return lesson.Trainer(net, CrossEntropyLoss(), optimizer, lesson.CosineSchedule(optimizer, 20), clip=1.0)

    manual_seed(int(rng.integers(1 << 30)))
    with tempfile.TemporaryDirectory() as folder:
        one = make()
        one.fit(loader, epochs=1, checkpoint=Path(folder, "run.npz"))
        saved = len(one.history)
        one.fit(loader, epochs=1)
        other = make()
        other.load(Path(folder, "run.npz"))
        counts = [saved, other.epoch, other.step, len(other.history)]
        other.fit(loader, epochs=1)
        Path(folder, "text").write_text("no checkpoint", encoding="utf-8")
        refused = _refusal(lambda: other.load(Path(folder, "text")), ValueError)
    wanted, found = one.model.state_dict(), other.model.state_dict()
    return {
        "the same": [bool(np.array_equal(wanted[name], found[name])) for name in wanted],
        "losses": one.history.loss == other.history.loss,
        "counts": counts,
        "refused": refused,
        "one array": lesson.unpack(lesson.pack([x], arrays := []), arrays)[0],
    }


def run_count_answers(lesson, rng):
    """Your four numbers."""
    counts = lesson.count_run()
    return {name: counts[name] for name in ("batches", "updates", "accumulated", "checkpoint_bytes")}


def training_a_classifier(lesson, rng):
    """A classifier trained with warmup, clipping and accumulation has the reference's losses and weights."""
    net = _filled(Sequential(Linear(4, 8), lambda hidden: hidden.clip(min=0), Linear(8, 3)), rng)
    optimizer = Adam(net.parameters(), lr=0.02)
    schedule = lesson.WarmupSchedule(optimizer, 3, lesson.CosineSchedule(optimizer, 6))
    trainer = lesson.Trainer(net, CrossEntropyLoss(), optimizer, schedule, clip=0.5)
    history = trainer.fit(_classified(rng, 6, 6, 4), epochs=3, valid=_classified(rng, 8), accumulate=2)
    return {"losses": history.loss, "valid": history.valid_loss, "parameters": net.parameters(), "lr": history.lr}


PROBES = {
    "test-accuracy": [accuracy_shares, accuracy_refusals],
    "test-clip": [clipping_scales_all, clipping_where_needed],
    "test-schedules": [step_schedules, cosine_schedules, warmup_schedules],
    "test-update": [
        update_of_one_batch,
        update_of_several_batches,
        update_clips_and_schedules,
        update_refuses_what_is_not_finite,
    ],
    "test-fit": [evaluation_changes_nothing, fitting_keeps_a_history, patience_runs_out, fitting_stops_early],
    "test-checkpoint": [packing, writing_atomically, resuming],
    "test-count-run": [run_count_answers],
    "test-module-training": [training_a_classifier],
}
TOLERANCES = {
    "clipping_scales_all": {"rtol": 1e-7},
    "clipping_where_needed": {"rtol": 1e-7},
    "update_of_several_batches": {"rtol": 1e-7},
    "fitting_stops_early": {"rtol": 1e-6},
    "training_a_classifier": {"rtol": 1e-5, "atol": 1e-7},
}
PARTIAL = ["test-clip", "test-schedules", "test-update", "test-fit", "test-checkpoint"]
