"""Probes of 04_losses: calls with fresh random inputs; what they return is compared with the reference."""

import numpy as np

from tinytorch.core.layers import Linear
from tinytorch.core.tensor import Parameter, Tensor


def _refusal(call, kind, *words):
    """Whether a call is refused with an error of this kind, and whether the message has each of the words."""
    try:
        call()
    except kind as error:
        text = "".join([str(error)])  # a plain str: a class of its own could claim to hold any word
        return [True, *(word in text for word in words)]
    return [False]


def _double(values, **options):
    return Tensor(values, dtype=np.float64, **options)


def _quietly(loss, *inputs):
    """A loss in whose computation an overflow or an invalid value is an error."""
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        return loss(*inputs)


def logsumexp_values(lesson, rng):
    """log-sum-exp along any axis, several, or all."""
    x = _double(rng.normal(0, 2, (3, 4, 5)))
    axes = (0, 1, -1, None, (0, 2))
    along = [lesson.logsumexp(x, axis=axis) for axis in axes]
    kept = [lesson.logsumexp(x, axis=axis, keepdims=True) for axis in axes]
    return {"default": lesson.logsumexp(x), "axes": along, "keepdims": kept}


def _many_small(rng):
    """Columns of one number and 50,000 others, each of them so far below that adding its exponential in float32 loses it."""
    tall = np.full((50_001, 2), -17.0) + rng.uniform(-0.05, 0.05, (50_001, 2))
    tall[0] = 0.0
    return tall


def logsumexp_extremes(lesson, rng):
    """Finite for large numbers, right for infinities."""
    base = float(rng.integers(800, 2000))
    moved = rng.normal(size=(3, 4)) + np.array([[base], [-base], [0.0]])
    infinite = Tensor([[-np.inf, 0.5], [-np.inf, -np.inf], [np.inf, 1.0]])
    return {
        "moved": _quietly(lesson.logsumexp, _double(moved)),
        "apart": _quietly(lesson.logsumexp, Tensor([-10 * base, 10 * base])),
        "infinite": lesson.logsumexp(infinite),
        "one row": lesson.logsumexp(_double(moved[:1])),
        "many small": lesson.logsumexp(Tensor(_many_small(rng)), axis=0),
    }


def logsumexp_kinds(lesson, rng):
    """float32 stays, whole numbers become float32, gradients are asked for, the input stays."""
    x = Tensor(rng.normal(size=(2, 3)), requires_grad=True)
    y = lesson.logsumexp(x)
    whole = lesson.logsumexp(Tensor(rng.integers(-4, 4, (2, 3)), dtype=np.int64))
    return {"float32": y, "whole": whole, "gradients": [y.requires_grad, whole.requires_grad], "input": x}


def log_softmax_values(lesson, rng):
    """The logarithm of softmax along any axis."""
    x = _double(rng.normal(0, 2, (3, 4, 5)))
    return [lesson.log_softmax(x), *(lesson.log_softmax(x, axis) for axis in (0, 1, 2, -2))]


def log_softmax_extremes(lesson, rng):
    """Exact for large logits, and finite where softmax rounds to 0."""
    base = float(rng.integers(5, 20)) * 1000
    near = Tensor(base + rng.integers(-3, 4, (3, 4)))
    return {
        "large": _quietly(lesson.log_softmax, near),
        "apart": _quietly(lesson.log_softmax, Tensor([0.0, base, -base])),
        "rows apart": _quietly(lesson.log_softmax, Tensor([[0.0, 1.0], [base, base + 2], [-base, -base + 3]])),
        "many small": lesson.log_softmax(Tensor(_many_small(rng)), 0)[:3],
        "very large": np.isfinite(_quietly(lesson.log_softmax, Tensor([-1e4, 1e4, 1e30])).numpy()),
    }


def log_softmax_kinds(lesson, rng):
    """float32 stays, whole numbers become float32, gradients are asked for, the input stays."""
    x = Tensor(rng.normal(size=(2, 3)), requires_grad=True)
    y = lesson.log_softmax(x)
    whole = lesson.log_softmax(Tensor(rng.integers(-4, 4, (2, 3)), dtype=np.int64), 0)
    return {"float32": y, "whole": whole, "gradients": [y.requires_grad, whole.requires_grad], "input": x}


def mse_values(lesson, rng):
    """Squared differences under each reduction, as function and as class."""
    found = []
    for shape in ((4,), (3, 2), (2, 1, 3), ()):
        a, b = _double(rng.normal(size=shape)), _double(rng.normal(size=shape))
        found.append([lesson.mse_loss(a, b), *(lesson.mse_loss(a, b, how) for how in ("mean", "sum", "none"))])
        found.append([lesson.MSELoss()(a, b), *(lesson.MSELoss(how)(a, b) for how in ("mean", "sum", "none"))])
    return found


def mse_kinds(lesson, rng):
    """Lists and whole numbers as targets, float32 stays, gradients are asked for, the inputs stay."""
    a, b = Tensor(rng.normal(size=3), requires_grad=True), rng.normal(size=3)
    whole = Tensor(rng.integers(0, 4, 3), dtype=np.uint8), Tensor(rng.integers(5, 9, 3), dtype=np.uint8)
    losses = [lesson.mse_loss(a, Tensor(b), "none"), lesson.mse_loss(a, b.tolist(), "none")]
    return {
        "losses": losses,
        "whole": lesson.mse_loss(*whole, "none"),
        "gradients": [each.requires_grad for each in (*losses, lesson.mse_loss(a, b))],
        "dtype": str(lesson.mse_loss(a, b).dtype),
        "input": a,
    }


def mse_refusals(lesson, rng):
    """Shapes that differ, NaN in the target, an empty batch and an unknown reduction are refused."""
    size = int(rng.integers(2, 9))
    column, row = Tensor(rng.normal(size=(size, 1))), Tensor(rng.normal(size=size))
    spoiled = rng.normal(size=size)
    spoiled[1] = np.nan
    return {
        "broadcast": _refusal(lambda: lesson.mse_loss(column, row), ValueError, str(column.shape), str(row.shape)),
        "NaN": _refusal(lambda: lesson.mse_loss(row, Tensor(spoiled)), ValueError),
        "empty": _refusal(lambda: lesson.mse_loss(Tensor([]), Tensor([])), ValueError),
        "reduction": _refusal(lambda: lesson.mse_loss(row, row, f"mean{size}"), ValueError, f"mean{size}"),
        "fits": lesson.mse_loss(row, column.reshape(size)),
    }


def cross_entropy_of_labels(lesson, rng):
    """Cross-entropy of class indices under each reduction, as function and as class."""
    logits, labels = _double(rng.normal(0, 2, (6, 4))), rng.integers(0, 4, 6)
    found = [lesson.cross_entropy(logits, labels)]
    for how in ("mean", "sum", "none"):
        found += [lesson.cross_entropy(logits, labels, how), lesson.CrossEntropyLoss(how)(logits, labels.tolist())]
    return [*found, lesson.cross_entropy(logits, Tensor(labels, dtype=np.int32), "none")]


def cross_entropy_of_probabilities(lesson, rng):
    """Cross-entropy of one-hot rows and of probabilities."""
    logits, labels = _double(rng.normal(0, 2, (5, 3))), rng.integers(0, 3, 5)
    soft = rng.dirichlet(np.ones(3), size=5)
    infinite = logits.numpy().copy()
    infinite[np.arange(5), (labels + 1) % 3] = -np.inf
    hard = np.eye(3)[labels]
    return {
        "one-hot": lesson.cross_entropy(logits, _double(hard), "none"),
        "soft": [lesson.cross_entropy(logits, _double(soft), how) for how in ("mean", "sum", "none")],
        "no cost for what cannot be": lesson.cross_entropy(_double(infinite), _double(hard), "none"),
    }


def cross_entropy_smoothing(lesson, rng):
    """Label smoothing, for both kinds of target."""
    logits, labels = _double(rng.normal(0, 2, (5, 4))), rng.integers(0, 4, 5)
    soft, amount = rng.dirichlet(np.ones(4), size=5), float(rng.uniform(0.05, 0.6))
    loss = lesson.CrossEntropyLoss("none", label_smoothing=amount)
    return {
        "labels": [loss(logits, labels), lesson.cross_entropy(logits, labels, "sum", amount)],
        "soft": loss(logits, _double(soft)),
        "all": lesson.cross_entropy(logits, labels, label_smoothing=1.0),
        "refused": _refusal(lambda: lesson.cross_entropy(logits, labels, label_smoothing=1 + amount), ValueError),
    }


def cross_entropy_extremes(lesson, rng):
    """Finite for logits of any size, in float32, and the logits stay."""
    logits = np.array([[1e4, -1e4, 0.0], [1e4 + 1, 1e4 + 2, 1e4 + 3], [0.0, 0.0, 0.0]]) * int(rng.integers(1, 4))
    x, labels = Tensor(logits, requires_grad=True), rng.integers(0, 3, 3)
    losses = _quietly(lesson.cross_entropy, x, labels, "none")
    smoothed = _quietly(lesson.cross_entropy, x, labels, "none", 0.25)
    mean = lesson.cross_entropy(x, labels)
    return {
        "losses": [losses, smoothed],
        "gradients": [losses.requires_grad, mean.requires_grad],
        "dtype": str(mean.dtype),
        "input": x,
    }


def cross_entropy_saves(lesson, rng):
    """The op returns the losses and, for the derivative, exponentials and sums whose quotient is the softmax."""
    logits, labels = rng.normal(0, 2, (4, 5)), rng.integers(0, 5, 4)
    given = logits.copy()
    losses, (exponentials, sums) = lesson.cross_entropy_op.forward(given, labels)
    return {"losses": losses, "softmax": exponentials / sums[:, None], "sums": sums.shape, "input": given}


def cross_entropy_refusals(lesson, rng):
    """Labels that are no classes, rows that are no probabilities, and shapes that do not fit are refused."""
    classes = int(rng.integers(3, 8))
    logits = Tensor(rng.normal(size=(2, classes)))
    uneven = np.full((2, classes), 1 / classes)
    uneven[1, 0] += 0.5
    negative = np.eye(classes)[:2]
    negative[0, :3] = [1.5, -0.5, 0.0]
    wrong = [[0, classes], [-1, 0], [0, 1.5], [0, np.nan], [0], [0, 1, 0], uneven, negative, np.ones((2, classes + 1))]
    empty = Tensor(np.zeros((0, classes)))
    return {
        "targets": [
            _refusal(lambda each=each: lesson.cross_entropy(logits, Tensor(each)), ValueError) for each in wrong
        ],
        "label": _refusal(lambda: lesson.cross_entropy(logits, [0, classes]), ValueError, str(classes)),
        "empty": _refusal(lambda: lesson.cross_entropy(empty, Tensor([], dtype=np.int64)), ValueError),
        "three axes": _refusal(lambda: lesson.cross_entropy(Tensor(np.zeros((2, 3, 4))), [0, 1]), ValueError),
        "fits": lesson.cross_entropy(logits, [0, classes - 1]),
    }


def binary_of_probabilities(lesson, rng):
    """Binary cross-entropy of probabilities under each reduction, also of 0, 1 and tiny ones."""
    p, y = _double(rng.uniform(0.01, 0.99, (3, 4))), _double(rng.uniform(size=(3, 4)))
    certain = Tensor([0.0, 1.0, 0.0, 1.0]), Tensor([1.0, 0.0, 0.0, 1.0])
    found = [[lesson.binary_cross_entropy(p, y, how), lesson.BinaryCrossEntropyLoss(how)(p, y)] for how in _HOW]
    return {
        "losses": [lesson.binary_cross_entropy(p, y), *found],
        "certain": _quietly_but_log(lesson.binary_cross_entropy, *certain, "none"),
        "tiny": lesson.binary_cross_entropy(Tensor([1e-9, 2e-8]), [0, 0], "none") * 1e9,
    }


_HOW = ("mean", "sum", "none")


def _quietly_but_log(loss, *inputs):
    """As _quietly, but the logarithm of 0 is allowed, since the lesson cuts it off."""
    with np.errstate(over="raise", invalid="raise"):
        return loss(*inputs)


def binary_of_logits(lesson, rng):
    """Binary cross-entropy of logits under each reduction, also of large ones."""
    x, y = _double(rng.normal(0, 3, (3, 4))), _double(rng.uniform(size=(3, 4)))
    found = [[lesson.binary_cross_entropy_with_logits(x, y, how), lesson.BCEWithLogitsLoss(how)(x, y)] for how in _HOW]
    large = rng.uniform(500, 1e5, 3)
    far = Tensor([*large, *-large, 20.0, -20.0])
    return {
        "losses": [lesson.binary_cross_entropy_with_logits(x, y), *found],
        "large": _quietly(lesson.binary_cross_entropy_with_logits, far, [1, 0, 1, 1, 0, 0, 0, 1], "none"),
    }


def binary_kinds(lesson, rng):
    """float32 stays, gradients are asked for, and the inputs stay."""
    p, x = Tensor(rng.uniform(0.1, 0.9, 3), requires_grad=True), Tensor(rng.normal(size=3), requires_grad=True)
    losses = [lesson.binary_cross_entropy(p, [1, 0, 1], "none")]
    losses += [lesson.binary_cross_entropy_with_logits(x, Tensor([0.0, 1.0, 0.5]), "none")]
    return {"losses": losses, "gradients": [each.requires_grad for each in losses], "inputs": [p, x]}


def binary_refusals(lesson, rng):
    """Targets and probabilities outside 0 to 1, and shapes that do not fit, are refused."""
    outside, inside = float(rng.uniform(1.1, 2)), Tensor(rng.uniform(size=2))
    return {
        "probability": _refusal(lambda: lesson.binary_cross_entropy(Tensor([outside, 0.5]), [1, 0]), ValueError),
        "targets": [
            _refusal(lambda loss=loss: loss(inside, [0.5, -outside]), ValueError)
            for loss in (lesson.binary_cross_entropy, lesson.binary_cross_entropy_with_logits)
        ],
        "shapes": _refusal(lambda: lesson.binary_cross_entropy_with_logits(inside, [[1.0, 0.0]]), ValueError),
        "fits": [lesson.binary_cross_entropy(inside, [1, 0]), lesson.binary_cross_entropy_with_logits(inside, [1, 0])],
    }


def loss_count_answers(lesson, rng):
    """Your five numbers."""
    counts = lesson.loss_counts()
    return {name: counts[name] for name in ("rows", "logits_bytes", "saved_bytes", "exponentials", "first_loss")}


def losses_of_a_network(lesson, rng):
    """Your losses of a network's outputs, with gradients asked for, as modules without parameters."""
    layer = Linear(4, 3)
    layer.weight, layer.bias = Parameter(_double(rng.normal(size=(4, 3)))), Parameter(_double(rng.normal(size=3)))
    outputs = layer(_double(rng.normal(size=(5, 4))))
    losses = [lesson.CrossEntropyLoss()(outputs, rng.integers(0, 3, 5))]
    losses += [lesson.MSELoss()(outputs, _double(rng.normal(size=(5, 3))))]
    losses += [lesson.BCEWithLogitsLoss()(outputs, _double(rng.uniform(size=(5, 3))))]
    kinds = (lesson.CrossEntropyLoss, lesson.MSELoss, lesson.BinaryCrossEntropyLoss, lesson.BCEWithLogitsLoss)
    return {
        "losses": losses,
        "shapes": [list(each.shape) for each in losses],
        "gradients": [each.requires_grad for each in losses],
        "parameters": [len(kind().parameters()) for kind in kinds],
        "refused": [_refusal(lambda kind=kind: kind(reduction="average"), ValueError, "average") for kind in kinds],
    }


PROBES = {
    "test-logsumexp": [logsumexp_values, logsumexp_extremes, logsumexp_kinds],
    "test-log-softmax": [log_softmax_values, log_softmax_extremes, log_softmax_kinds],
    "test-mse": [mse_values, mse_kinds, mse_refusals],
    "test-cross-entropy": [
        cross_entropy_of_labels,
        cross_entropy_of_probabilities,
        cross_entropy_smoothing,
        cross_entropy_extremes,
        cross_entropy_saves,
        cross_entropy_refusals,
    ],
    "test-binary": [binary_of_probabilities, binary_of_logits, binary_kinds, binary_refusals],
    "test-counts": [loss_count_answers],
    "test-module": [losses_of_a_network],
}
TOLERANCES = {
    "logsumexp_extremes": {"rtol": 1e-6, "atol": 1e-6},
    "logsumexp_kinds": {"rtol": 1e-5, "atol": 2e-6},
    "log_softmax_extremes": {"rtol": 1e-5, "atol": 2e-6},
    "log_softmax_kinds": {"rtol": 1e-5, "atol": 2e-6},
    "mse_kinds": {"rtol": 1e-5, "atol": 1e-6},
    "mse_refusals": {"rtol": 1e-5, "atol": 1e-6},
    "cross_entropy_extremes": {"rtol": 1e-5, "atol": 1e-5},
    "cross_entropy_refusals": {"rtol": 1e-5, "atol": 1e-5},
    "binary_of_probabilities": {"rtol": 1e-6, "atol": 1e-8},
    "binary_of_logits": {"rtol": 1e-6, "atol": 1e-8},
    "binary_kinds": {"rtol": 1e-5, "atol": 2e-6},
    "binary_refusals": {"rtol": 1e-5, "atol": 2e-6},
    "loss_count_answers": {"rtol": 1e-4},  # the first loss may be given to a few digits
}
PARTIAL = ["test-logsumexp", "test-log-softmax", "test-mse", "test-cross-entropy", "test-binary"]
