"""Probes of 07_optimizers: calls with fresh random inputs; what they return is compared with the reference."""

import numpy as np

from tinytorch.core.layers import Linear, Sequential
from tinytorch.core.tensor import Parameter, Tensor


def _refusal(call, kind, *words):
    """Whether a call is refused with an error of this kind, and whether the message has each of the words."""
    try:
        call()
    except kind as error:
        text = "".join([str(error)])  # a plain str: a class of its own could claim to hold any word
        return [True, *(word in text for word in words)]
    return [False]


def _parameter(values, gradient=None, dtype=np.float64):
    """A parameter with a gradient."""
    parameter = Parameter(values, dtype=dtype)
    parameter.grad = None if gradient is None else np.array(gradient, dtype=dtype)
    return parameter


def _half(lesson):
    """An optimizer whose step is half the gradient."""

    class Half(lesson.Optimizer):
        def _rule(self, g, state, step, t, group):
            np.multiply(g, 0.5, out=step)

    return Half


def _path(kind, rng, steps=6, **options):
    """Two parameters after each of some random gradients."""
    first, second = _parameter(rng.normal(size=(2, 3))), _parameter(rng.normal())
    optimizer = kind([first, second], **options)
    found = []
    for _ in range(steps):
        first.grad, second.grad = rng.normal(size=(2, 3)), np.array(rng.normal())
        optimizer.step()
        found.append([first.numpy().copy(), second.numpy().copy()])
    return found


def _used_gradients(kind, rng, **options):
    """The gradient of a parameter that has a block for itself, after two steps: the rule may only have read it."""
    w = _parameter(rng.normal(size=5), rng.normal(size=5))
    optimizer = kind([w], **options)
    optimizer.step()
    optimizer.step()
    return w.grad


def steps_in_place(lesson, rng):
    """A step changes what has a gradient, in the same memory, and neither gradients nor the rest."""
    parameters = [_parameter(rng.normal(size=shape)) for shape in ((2, 3), (2,), (4,), ())]
    w, beside, _, last = parameters
    w.grad, beside.grad, last.grad = rng.normal(size=(2, 3)), rng.normal(size=2), np.array(rng.normal())
    optimizer = _half(lesson)(parameters)
    memory, gradients = w.numpy(), [w.grad, beside.grad, last.grad]
    optimizer.step()
    once = [each.numpy().copy() for each in parameters]
    optimizer.step()
    return {
        "once": once,
        "twice": parameters,
        "gradients": gradients,
        "same memory": w.numpy() is memory,
        "versions": [each.version for each in parameters],
    }


def steps_of_every_kind(lesson, rng):
    """float32 beside float64, transposed parameters, groups, and arrays larger than one block."""
    turned = Parameter(Tensor(rng.normal(size=(2, 3))).numpy().T)
    turned.grad = rng.normal(size=(3, 2)).astype(np.float32)
    double = _parameter(rng.normal(size=2), rng.normal(size=2))
    large = _parameter(np.arange(80_000) % 7, np.arange(80_000) % 5, dtype=np.float32)
    optimizer = _half(lesson)([{"params": [turned, double]}, {"params": [large]}])
    optimizer.step()
    numbers = large.numpy()
    return {"turned": turned, "double": double, "large": [numbers.sum(dtype=np.float64), numbers[[0, 65_536, -1]]]}


def zero_grad_forgets(lesson, rng):
    """zero_grad forgets the gradients of all groups, and nothing else."""
    parameters = [_parameter(rng.normal(size=2), rng.normal(size=2)) for _ in range(3)]
    optimizer = _half(lesson)([{"params": parameters[:2]}, {"params": parameters[2:]}])
    optimizer.zero_grad()
    forgotten = [each.grad is None for each in parameters]
    optimizer.step()
    return {"forgotten": forgotten, "values": parameters}


def decay_joins_the_gradient(lesson, rng):
    """weight_decay times the weights is added to the gradient, in place, for groups that have one."""
    w, g = rng.normal(size=4), rng.normal(size=4)
    amount = float(rng.uniform(0.05, 0.5))
    one, other = (_parameter(w.copy(), g.copy()) for _ in range(2))
    optimizer = _half(lesson)([{"params": [one]}, {"params": [other], "weight_decay": amount}], weight_decay=0)
    changed, scratch = g.copy(), np.zeros(4)
    returned = optimizer._decay(w, changed, scratch, {"weight_decay": amount})
    optimizer.step()
    return {
        "weights": w,
        "gradient": changed,
        "in place": returned is None,
        "after a step": [one, other],
        "their gradients": [one.grad, other.grad],
    }


def sgd_paths(lesson, rng):
    """Gradient descent, with momentum, with Nesterov's, and with weight decay."""
    lr, momentum, decay = float(rng.uniform(0.05, 0.5)), float(rng.uniform(0.5, 0.95)), float(rng.uniform(0.01, 0.3))
    return {
        "default": _path(lesson.SGD, rng),
        "plain": _path(lesson.SGD, rng, lr=lr),
        "momentum": _path(lesson.SGD, rng, lr=lr, momentum=momentum),
        "nesterov": _path(lesson.SGD, rng, lr=lr, momentum=momentum, nesterov=True),
        "decay": _path(lesson.SGD, rng, lr=lr, weight_decay=decay),
        "all": _path(lesson.SGD, rng, lr=lr, momentum=momentum, weight_decay=decay, nesterov=True),
        "gradient": [_used_gradients(lesson.SGD, rng, momentum=momentum, nesterov=each) for each in (False, True)],
    }


def sgd_groups(lesson, rng):
    """Groups have options of their own, a change of lr counts at once, and wrong options are refused."""
    first, second = (_parameter(rng.normal(size=2)) for _ in range(2))
    optimizer = lesson.SGD([{"params": [first], "momentum": 0.5}, {"params": [second], "lr": 0.3}], lr=0.1)
    found = []
    for _ in range(4):
        first.grad, second.grad = rng.normal(size=2), rng.normal(size=2)
        optimizer.step()
        optimizer.param_groups[0]["lr"] *= 0.5
        found.append([first.numpy().copy(), second.numpy().copy()])
    wrong = ({"lr": -1}, {"momentum": float("nan")}, {"nesterov": True}, {"weight_decay": -0.1})
    return {
        "path": found,
        "refused": [_refusal(lambda each=each: lesson.SGD([first], **each), ValueError) for each in wrong],
    }


def rmsprop_paths(lesson, rng):
    """RMSprop with its own options and with others, for large and small gradients."""
    alpha, eps = float(rng.uniform(0.5, 0.95)), float(rng.uniform(0.01, 0.5))
    return {
        "default": _path(lesson.RMSprop, rng),
        "others": _path(lesson.RMSprop, rng, lr=0.1, alpha=alpha, eps=eps),
        "decay": _path(lesson.RMSprop, rng, lr=0.1, alpha=alpha, weight_decay=0.2),
        "no average": _path(lesson.RMSprop, rng, lr=0.1, alpha=0, eps=1.0),
        "gradient": _used_gradients(lesson.RMSprop, rng),
    }


def averages_in_place(lesson, rng):
    """A running average changes in its own memory, and what joins it stays, unless it is the scratch memory too."""
    mean, other, new = (rng.normal(size=4) for _ in range(3))
    keep, itself = float(rng.uniform(0.1, 0.9)), new.copy()
    lesson._average(mean, new, keep, np.zeros(4))
    lesson._average(other, itself, keep, itself)
    return {"means": [mean, other], "new": new}


def adam_paths(lesson, rng):
    """Adam with its own options and with others, from the first step on."""
    betas = (float(rng.uniform(0.5, 0.95)), float(rng.uniform(0.8, 0.99)))
    return {
        "default": _path(lesson.Adam, rng, steps=12),
        "others": _path(lesson.Adam, rng, lr=0.05, betas=betas, eps=0.1),
        "decay": _path(lesson.Adam, rng, lr=0.05, weight_decay=0.3),
        "gradient": _used_gradients(lesson.Adam, rng),
    }


def adam_counts_each_parameter(lesson, rng):
    """The correction counts the updates of each parameter by itself."""
    early, late = (_parameter(rng.normal(size=3)) for _ in range(2))
    optimizer = lesson.Adam([early, late], lr=0.1)
    found = []
    for step in range(5):
        early.grad = rng.normal(size=3) if step != 1 else None
        late.grad = rng.normal(size=3) if step > 1 else None
        optimizer.step()
        found.append([early.numpy().copy(), late.numpy().copy()])
    return found


def adamw_paths(lesson, rng):
    """AdamW shrinks the weights themselves, also those without slope."""
    amount = float(rng.uniform(0.05, 0.5))
    still = _parameter(rng.normal(size=3), np.zeros(3))
    lesson.AdamW([still], lr=0.1, weight_decay=amount).step()
    one, other = _parameter([2.0], [0.0]), _parameter([2.0], [0.0])
    lesson.AdamW([{"params": [one]}, {"params": [other], "lr": amount, "weight_decay": 0.3}], lr=0.1).step()
    return {
        "groups": [one, other],
        "default": _path(lesson.AdamW, rng),
        "others": _path(lesson.AdamW, rng, lr=0.1, weight_decay=amount, betas=(0.8, 0.9)),
        "without slope": still,
    }


def state_resumes(lesson, rng):
    """An optimizer that has loaded a state takes the identical next steps."""
    found = []
    for kind, options in ((lesson.Adam, {"lr": 0.1}), (lesson.SGD, {"lr": 0.1, "momentum": 0.9}), (lesson.RMSprop, {})):
        w, idle = _parameter(rng.normal(size=(2, 2)), rng.normal(size=(2, 2))), _parameter(rng.normal(size=3))
        first = kind([w, idle], **options)
        first.step()
        first.step()
        copied, other = _parameter(w.numpy(), rng.normal(size=(2, 2))), _parameter(idle.numpy())
        w.grad, state = copied.grad.copy(), first.state_dict()
        first.step()
        second = kind([copied, other])
        second.load_state_dict(state)
        second.step()
        found.append([w, copied, other, bool(np.array_equal(w.numpy(), copied.numpy())), second.param_groups[0]["lr"]])
    return found


def state_is_a_copy(lesson, rng):
    """The state has steps and arrays of what was updated, as copies, and numbers for parameters."""
    w, idle = _parameter(rng.normal(size=2), rng.normal(size=2)), _parameter(rng.normal(size=3))
    optimizer = lesson.Adam([w, idle], lr=0.2)
    optimizer.step()
    state = optimizer.state_dict()
    optimizer.step()
    return {
        "state": {str(number): dict(entry) for number, entry in state["state"].items()},
        "params": [list(group["params"]) for group in state["param_groups"]],
        "lr": state["param_groups"][0]["lr"],
    }


def state_of_nothing(lesson, rng):
    """Loading the state of a new optimizer starts anew; a state that does not fit is refused."""
    w = _parameter(rng.normal(size=2), rng.normal(size=2))
    optimizer = lesson.Adam([w], lr=0.1)
    optimizer.step()
    optimizer.step()
    optimizer.load_state_dict(lesson.Adam([_parameter([0.0, 0.0])], lr=0.1).state_dict())
    optimizer.step()
    wider = lesson.Adam([_parameter([0.0]), _parameter([0.0])])
    return {"anew": w, "refused": _refusal(lambda: optimizer.load_state_dict(wider.state_dict()), ValueError)}


def byte_count_answers(lesson, rng):
    """Your five numbers."""
    counts = lesson.count_bytes()
    return {name: counts[name] for name in ("weights", "state_sgd", "state_momentum", "state_adam", "training_adam")}


def _network(rng):
    """Two layers of float64."""
    net = Sequential(Linear(3, 5), lambda hidden: hidden.clip(min=0), Linear(5, 1))
    for layer in (net[0], net[2]):
        layer.weight = Parameter(Tensor(rng.normal(size=layer.weight.shape), dtype=np.float64))
        layer.bias = Parameter(Tensor(rng.normal(size=layer.bias.shape), dtype=np.float64))
    return net


def training_a_network(lesson, rng):
    """A network trained with several optimizers has the reference's losses and weights."""
    found = {}
    for name in ("SGD", "Adam", "AdamW"):
        x, y = (Tensor(rng.normal(size=shape), dtype=np.float64) for shape in ((6, 3), (6, 1)))
        net = _network(rng)
        optimizer, losses = getattr(lesson, name)(net.parameters(), lr=0.02), []
        for _ in range(3):
            optimizer.zero_grad()
            loss = ((net(x) - y) ** 2).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        found[name] = [losses, net.parameters()]
    return found


def old_graphs_are_refused(lesson, rng):
    """After a step backward refuses a graph that was made with the old weights."""
    net, x = _network(rng), Tensor(rng.normal(size=(4, 3)), dtype=np.float64)
    optimizer = lesson.SGD(net.parameters(), lr=0.1)
    net(x).sum().backward()
    old = (net(x) ** 2).sum()
    optimizer.step()
    return {"refused": _refusal(old.backward, RuntimeError), "weights": net.parameters()}


PROBES = {
    "test-step": [steps_in_place, steps_of_every_kind, zero_grad_forgets],
    "test-decay": [decay_joins_the_gradient],
    "test-sgd": [sgd_paths, sgd_groups],
    "test-rmsprop": [rmsprop_paths, averages_in_place],
    "test-adam": [adam_paths, adam_counts_each_parameter],
    "test-adamw": [adamw_paths],
    "test-state": [state_resumes, state_is_a_copy, state_of_nothing],
    "test-count-bytes": [byte_count_answers],
    "test-module-optimizers": [training_a_network, old_graphs_are_refused],
}
TOLERANCES = {
    "steps_of_every_kind": {"rtol": 1e-5, "atol": 1e-6},
    "training_a_network": {"rtol": 1e-6, "atol": 1e-8},
}
PARTIAL = ["test-step", "test-sgd", "test-adam", "test-state"]
