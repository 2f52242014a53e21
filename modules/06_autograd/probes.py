"""Probes of 06_autograd: calls with fresh random inputs; what they return is compared with the reference."""

import numpy as np

from tinytorch.core.activations import gelu, relu, sigmoid, softmax, tanh
from tinytorch.core.layers import Linear
from tinytorch.core.losses import cross_entropy, mse_loss
from tinytorch.core.tensor import Op, Origin, Parameter, Tensor, apply, cat, grad_mode, stack, where


def _refusal(call, kind, *words):
    """Whether a call is refused with an error of this kind, and whether the message has each of the words."""
    try:
        call()
    except kind as error:
        text = "".join([str(error)])  # a plain str: a class of its own could claim to hold any word
        return [True, *(word in text for word in words)]
    return [False]


def _wanted(values):
    """A float64 Tensor that requires gradients."""
    return Tensor(values, dtype=np.float64, requires_grad=True)


def unbroadcast_sums(lesson, rng):
    """Gradients summed back to many shapes that broadcast."""
    cases = [((2, 3), (3,)), ((2, 3), (2, 1)), ((2, 3), ()), ((4, 2, 3), (2, 1)), ((4, 1, 3), (1, 3)), ((3, 4), (1, 1))]
    cases += [((2, 0, 3), (2, 1, 3)), ((2, 3, 4), (1, 3, 1)), ((5,), (1,)), ((1, 1), ()), ((2, 1, 2), (1, 1, 2))]
    return [lesson.unbroadcast(rng.normal(size=full), shape) for full, shape in cases]


def unbroadcast_hands_on(lesson, rng):
    """Equal shapes are handed on without a copy; dtype and input stay."""
    g = rng.normal(size=(2, 3)).astype(np.float32)
    return {"itself": lesson.unbroadcast(g, (2, 3)) is g, "float32": lesson.unbroadcast(g, (1, 3)), "input": g}


def _rules(lesson, rng, name, op, pairs):
    """Both rules of an op of two inputs, on pairs of shapes."""
    found = []
    for left, right in pairs:
        a, b = rng.uniform(0.5, 2, left), rng.uniform(0.5, 2, right)
        y = np.asarray(op(a, b))
        g = rng.normal(size=y.shape)
        found.append([np.asarray(rule(g, y, a, b)) for rule in lesson.vjp_rules[name]])
    return found


_PAIRS = [((3,), (3,)), ((2, 3), (3,)), ((), (2, 2)), ((2, 1), (1, 3)), ((2, 3), ()), ((2, 1, 2), (3, 1))]


def product_rules(lesson, rng):
    """The rules of the product, with broadcasting."""
    return _rules(lesson, rng, "mul", np.multiply, _PAIRS)


def quotient_rules(lesson, rng):
    """The rules of the quotient, with broadcasting."""
    return _rules(lesson, rng, "div", np.divide, _PAIRS)


def power_rules(lesson, rng):
    """The rules of powers and of e^x, at 0 too, without changing what they are given."""
    (power,), (exp,) = lesson.vjp_rules["pow"], lesson.vjp_rules["exp"]
    x, g = rng.uniform(0.5, 2, (2, 3)), rng.normal(size=(2, 3))
    signed, zero = rng.normal(size=4), np.array([0.0, 0.0])
    return {
        "powers": [power(g, x**n, x, exponent=n) for n in (0, 1, 2, 3, 4, 0.5, -1, -0.5, 1.7)],
        "signed": [power(np.ones(4), signed**n, signed, exponent=n) for n in (0, 1, 2, 3)],
        "at zero": [power(np.ones(2), zero**n, zero, exponent=n) for n in (0, 1, 2, 3, 0.5)],
        "exp": exp(g, np.exp(x), x),
        "inputs": [x, g],
    }


def spread_copies(lesson, rng):
    """A sum's gradient is copied along the axes that the sum took away, into new memory."""
    shape = (2, 3, 4)
    found = []
    for axis in (None, 0, 1, -1, (0, 2), (0, 1, 2)):
        for keepdims in (False, True):
            g = np.asarray(rng.normal(size=shape).sum(axis=axis, keepdims=keepdims))
            if axis is not None or not keepdims:
                found.append(lesson.spread(g, shape, axis, keepdims))
    g = rng.normal(size=2)
    full = lesson.spread(g, (2, 3), axis=1)
    return {"copied": found, "shared": bool(np.shares_memory(full, g)), "contiguous": full.flags.c_contiguous}


def mean_rule(lesson, rng):
    """A mean's gradient is divided by how many elements went into each mean."""
    (rule,) = lesson.vjp_rules["mean"]
    found = []
    for axis in (None, 0, 2, -2, (0, 2)):
        for keepdims in (False, True):
            x = rng.normal(size=(2, 3, 4))
            y = np.asarray(x.mean(axis=axis, keepdims=keepdims))
            found.append(rule(rng.normal(size=y.shape), y, x, axis=axis, keepdims=keepdims))
    single = rng.normal(size=(2, 3)).astype(np.float32)
    return {"float64": found, "float32": rule(np.float32([1, 2, 3]), single.mean(axis=0), single, axis=0)}


def picking_rule(lesson, rng):
    """The gradient goes back to what was picked, and adds up where it was picked more than once."""
    (rule,) = lesson.vjp_rules["getitem"]
    x = rng.normal(size=(4, 3, 2))
    often = rng.integers(-4, 4, 9)
    keys = [2, (1, -1), slice(1, 3), (slice(None), 1), often, often.tolist(), x[:, 0, 0] > 0, (often % 4, often % 3)]
    keys += [(slice(None), [0, 0, 2]), (often.reshape(3, 3),), np.array([], dtype=np.int64), (Ellipsis, 0), (None, 2)]
    keys += [(slice(None, None, -1), slice(None)), (2, [0, 0, 1]), (often % 4, slice(0, 2)), (often % 4, 1, -1)]
    found = []
    for key in keys:
        y = x[key]
        found.append(rule(rng.normal(size=y.shape), y, x, key=key))
    return {"gradients": found, "input": x}


def permuting_rule(lesson, rng):
    """The gradient's axes go back to their old order."""
    (rule,) = lesson.vjp_rules["permute"]
    x = rng.normal(size=(2, 3, 4))
    orders = [(2, 0, 1), (1, 2, 0), (0, 1, 2), (-1, 0, 1), (1, 0, -1), (2, 1, 0)]
    return [rule(rng.normal(size=x.transpose(axes).shape), x.transpose(axes), x, axes=axes) for axes in orders]


def _products(rng):
    shapes = [
        ((3, 2), (2, 4)),
        ((5, 3, 2), (2, 4)),
        ((3, 2), (5, 2, 4)),
        ((1, 3, 2), (5, 2, 4)),
        ((6, 1, 3, 2), (5, 2, 4)),
    ]
    for left, right in (*shapes, ((2, 4, 3, 2), (2, 2)), ((1, 1), (1, 1))):
        a, b = rng.normal(size=left), rng.normal(size=right)
        yield rng.normal(size=(a @ b).shape), a, b


def left_of_a_product(lesson, rng):
    """The gradient of the left factor, of matrices and stacks of them."""
    return [lesson.left_gradient(g, a, b) for g, a, b in _products(rng)]


def right_of_a_product(lesson, rng):
    """The gradient of the right factor, of matrices and stacks of them."""
    return [lesson.right_gradient(g, a, b) for g, a, b in _products(rng)]


def order_of_a_graph(lesson, rng):
    """Every tensor comes once and after its inputs, in a random graph of shared nodes."""
    leaves = [_wanted(rng.normal()) for _ in range(3)]
    made = [*leaves]
    for _ in range(40):
        a, b = (made[int(place)] for place in rng.integers(max(0, len(made) - 9), len(made), 2))
        made.append(a * b if rng.random() < 0.5 else a + Tensor(1.0))
    order = lesson.topological_order(made[-1])
    place = {tensor: number for number, tensor in enumerate(order)}
    inputs = [(t, each) for t in order if t.origin for each in t.origin.inputs if each.requires_grad]
    return {
        "length": len(order),
        "once": len(place) == len(order),
        "inputs first": all(place[each] < place[tensor] for tensor, each in inputs),
        "root last": order[-1] is made[-1],
        "values": sum(float(tensor.item()) ** 2 for tensor in order if tensor.origin is None),
        "a leaf alone": len(lesson.topological_order(leaves[0])),
    }


def order_of_a_deep_graph(lesson, rng):
    """A chain of more than a thousand ops needs no recursion, and shared nodes no more time."""
    depth = int(rng.integers(1_100, 1_400))
    deep = _wanted(0.0)
    for _ in range(depth):
        deep = deep + deep
    return len(lesson.topological_order(deep)) - depth, depth


def order_refuses(lesson, rng):
    """A tensor changed in place, an op without a rule, and a freed graph are refused."""
    x, y = _wanted(rng.normal(size=2)), Tensor(rng.normal(size=2), dtype=np.float64)
    changed = x * y
    y[0] = 7.0
    product = x * 2.0
    result = product * 3.0
    product.version += 1
    itself = x.exp()
    itself.version += 1
    unknown = apply(Op(f"mystery{int(rng.integers(100))}", lambda a: a * 2), x)
    freed = x * 4.0
    freed.origin = lesson.FREED
    fine = Origin(Op("mul", lambda a, b: a * b), (x, x), {}, None, [0, 0])
    again = x * x
    again.origin = fine
    return {
        "input changed": _refusal(lambda: lesson.topological_order(changed), RuntimeError, "in place", "mul"),
        "result changed": _refusal(lambda: lesson.topological_order(itself), RuntimeError, "in place", "exp"),
        "between changed": _refusal(lambda: lesson.topological_order(result), RuntimeError, "in place"),
        "no rule": _refusal(lambda: lesson.topological_order(unknown), NotImplementedError, "mystery", "defvjp"),
        "freed": _refusal(lambda: lesson.topological_order(freed), RuntimeError, "freed"),
        "fits": len(lesson.topological_order(again)),
    }


def backward_through_a_graph(lesson, rng):
    """Gradients through many ops and shared nodes, from a single number and from a given gradient."""
    a, b, c = (_wanted(rng.uniform(0.5, 1.5, shape)) for shape in ((2, 3), (3,), (2, 1)))
    shared = a * b + c
    twice = (shared / (a + 1.0)).exp() * shared.log() - shared**2
    lesson.backward((twice.mean(axis=0) * b).sum() + (a.T @ c).max())
    x, w = _wanted(rng.normal(size=(2, 3))), _wanted(rng.normal(size=(3, 2)))
    given = rng.normal(size=(2, 2))
    lesson.backward(x @ w, given)
    return {"leaves": [each.grad for each in (a, b, c)], "from a gradient": [x.grad, w.grad], "given": given}


def backward_accumulates(lesson, rng):
    """Gradients add up over several passes, and an array that somebody kept does not change."""
    x = _wanted(rng.normal(size=3))
    lesson.backward((x * x).sum())
    kept = x.grad
    loss = (x**3).sum()
    lesson.backward(loss, retain_graph=True)
    second = x.grad.copy()
    lesson.backward(loss)
    return {"first": kept, "second": second, "third": x.grad, "kept": kept is not x.grad}


def backward_frees(lesson, rng):
    """The graph is freed unless it is retained, and only leaves keep gradients."""
    x, y = _wanted(rng.normal(size=3)), Tensor(rng.normal(size=3), dtype=np.float64)
    held = x * y
    loss = held.sum()
    lesson.backward(loss, retain_graph=True)
    kept = held.origin is not lesson.FREED
    lesson.backward(loss)
    return {
        "kept": kept,
        "freed": [held.origin is lesson.FREED, loss.origin is lesson.FREED],
        "again": _refusal(lambda: lesson.backward(loss), RuntimeError, "freed"),
        "of leaves": [held.grad is None, loss.grad is None, y.grad is None],
        "gradient": x.grad,
    }


def backward_owns_its_memory(lesson, rng):
    """No two gradients share memory, nor a gradient with what was given, and dtypes are the leaves'."""
    p, q, r = (_wanted(rng.normal(size=2)) for _ in range(3))
    mine = rng.normal(size=2)
    lesson.backward(p + q + r.reshape(1, 2)[0], mine)
    p.grad[0] = 7.0
    half = Tensor([1.0, 2.0], dtype=np.float16, requires_grad=True)
    lesson.backward((half.astype(np.float64) * 3.0).sum())
    single = Tensor(rng.normal(size=3), requires_grad=True)
    lesson.backward((single * single).mean())
    lesson.backward(single, mine[:1] * np.ones(3))
    s, t = _wanted(rng.normal(size=2)), _wanted(rng.normal(size=2))
    left, right = s * 3.0, t * 5.0
    lesson.backward(left + right + left, mine)
    return [p.grad, q.grad, r.grad, mine, half.grad, single.grad, s.grad, t.grad]


def backward_calls_each_rule_once(lesson, rng):
    """Each op hands its gradient on once, when it is complete, and only to inputs that require it."""
    count, calls, unwanted = int(rng.integers(20, 60)), [], []
    before = {name: lesson.vjp_rules[name] for name in ("neg", "sub")}
    lesson.vjp_rules["neg"] = (lambda g, y, x: calls.append(1) or -g,)
    lesson.vjp_rules["sub"] = (lambda g, y, a, b: g, lambda g, y, a, b: unwanted.append(1) or -g)
    try:
        x = _wanted(rng.normal())
        z = x
        for _ in range(count):
            z = z + (-z) * 0.25
        lesson.backward(z - Tensor(1.0, dtype=np.float64))
    finally:
        lesson.vjp_rules.update(before)
    return [len(calls), count, len(unwanted), np.asarray(x.grad)]


def backward_refusals(lesson, rng):
    """What has no gradient, or is no single number, is refused, and no gradient has changed."""
    size = int(rng.integers(2, 6))
    x = _wanted(rng.normal(size=size))
    whole = Tensor([1, 2], dtype=np.int64)
    mixed = apply(Op("strange", lambda a: a), x * 2.0)
    before = lesson.vjp_rules["neg"]
    lesson.vjp_rules["neg"] = (lambda g, y, a: g[:1],)
    try:
        misfit = _refusal(lambda: lesson.backward((-x).sum()), ValueError, "neg", f"({size},)")
    finally:
        lesson.vjp_rules["neg"] = before
    return {
        "rule of another shape": misfit,
        "whole numbers": _refusal(lambda: lesson.backward(whole), RuntimeError),
        "nobody asked": _refusal(lambda: lesson.backward(Tensor(1.0)), RuntimeError),
        "no number": _refusal(lambda: lesson.backward(x * 1.0), RuntimeError, f"({size},)"),
        "shape": _refusal(lambda: lesson.backward(x * 1.0, np.ones(size + 1)), ValueError),
        "no rule": _refusal(lambda: lesson.backward((mixed + x).sum()), NotImplementedError),
        "unchanged": x.grad is None,
        "fits": [lesson.backward((x * x).sum()) is None, x.grad],
    }


def no_grad_switches_off(lesson, rng):
    """Nothing is recorded inside, and afterwards it is as before, after an error and nested too."""
    w = Parameter(rng.normal(size=2))
    seen = []

    def note():
        seen.append([(w * 2.0).requires_grad, (w * 2.0).origin is not None])

    again = lesson.no_grad()
    with lesson.no_grad():
        note()
        with lesson.no_grad():
            note()
        note()
        result = w * 3.0
    note()
    with again, again:
        note()
    note()
    refused = _refusal(lambda: _raise_inside(lesson), KeyError, "stop")
    note()
    with lesson.no_grad(), lesson.Recording(True):
        note()
    return {"seen": seen, "error": refused, "mode": grad_mode.enabled, "result": result}


def _raise_inside(lesson):
    with lesson.no_grad():
        raise KeyError("stop")


def no_grad_decorates(lesson, rng):
    """Functions can be decorated with and without brackets, and keep names and results."""
    w, amount = Parameter(rng.normal(size=2)), float(rng.normal())

    @lesson.no_grad()
    def scaled(by, plus=0.0):
        return w * by + plus

    @lesson.no_grad
    def shifted():
        return w + amount

    results = [scaled(amount, plus=2.0), shifted()]
    return {
        "results": results,
        "recorded": [*(each.requires_grad for each in results), grad_mode.enabled],
        "names": [scaled.__name__, shifted.__name__],
    }


def numerical_gradients(lesson, rng):
    """Central differences of several functions, without changing the array."""
    x, deep = rng.uniform(0.5, 1.5, (2, 3)), rng.normal(size=3)
    return {
        "squares": lesson.numerical_gradient(lambda z: float((z**2).sum()), x),
        "product": lesson.numerical_gradient(lambda z: float(z.prod()), x),
        "sine": lesson.numerical_gradient(lambda z: float(np.sin(z).sum()), deep, eps=1e-5),
        "wide": lesson.numerical_gradient(lambda z: float((z**3).sum()), deep, eps=0.1),
        "number": lesson.numerical_gradient(lambda z: float(z**3), np.array(2.0), eps=1e-3) * 1.0,
        "empty": lesson.numerical_gradient(lambda z: 0.0, np.ones((0, 3))),
        "inputs": [x, deep],
    }


def gradcheck_judges(lesson, rng):
    """Right rules pass; a wrong one is found, and the input is named."""
    a, b = rng.uniform(0.5, 1.5, (2, 2)), rng.uniform(0.5, 1.5, (2, 1))
    passed = lesson.gradcheck(lambda x, y: (x @ y).exp() / (x.sum() + y[0]), a, b)
    before = lesson.vjp_rules["mul"]
    lesson.vjp_rules["mul"] = (before[0], lambda g, y, p, q: g * q)
    try:
        found = _refusal(lambda: lesson.gradcheck(lambda x, y: x * y, [2.0], [3.0]), AssertionError, "input 1")
    finally:
        lesson.vjp_rules["mul"] = before
    return {"passed": passed, "found": found, "slopes": lesson.numerical_gradient(lambda z: float((z**2).sum()), a)}


def softmax_rule(lesson, rng):
    """The rule of softmax along any axis."""
    (rule,) = lesson.vjp_rules["softmax"]
    found = []
    for axis in (0, 1, -1):
        x = rng.normal(size=(2, 3, 4))
        y = np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True)
        g = rng.normal(size=x.shape)
        found += [rule(g, y, x, axis=axis), g, y]
    return found


def cross_entropy_rule(lesson, rng):
    """The rule of cross-entropy by its logits, with and without smoothing, leaving what was saved alone."""
    rule = lesson.vjp_rules["cross_entropy"][0]
    logits, labels, g = rng.normal(size=(5, 4)), rng.integers(0, 4, 5), rng.normal(size=5)
    exponentials = np.exp(logits)
    saved = exponentials, exponentials.sum(axis=1)
    amount = float(rng.uniform(0.1, 0.5))
    return {
        "labels": rule(g, None, saved, logits, labels),
        "smoothed": rule(g, None, saved, logits, labels, label_smoothing=amount),
        "saved": list(saved),
        "g": g,
    }


def gradients_of_a_network(lesson, rng):
    """Gradients of layers, activations and losses as the reference computes them."""
    first, second = Linear(4, 5), Linear(5, 3)
    for layer in (first, second):
        layer.weight = Parameter(Tensor(rng.normal(0, 0.5, layer.weight.shape), dtype=np.float64))
        layer.bias = Parameter(Tensor(rng.normal(0, 0.5, layer.bias.shape), dtype=np.float64))
    x = Tensor(rng.normal(size=(6, 4)), dtype=np.float64)
    hidden = first(x)
    mixed = relu(hidden) + gelu(hidden) * sigmoid(hidden) - tanh(hidden)
    logits = second(where(hidden > 0, mixed, hidden.abs().sqrt()))
    loss = cross_entropy(logits, rng.integers(0, 3, 6), label_smoothing=0.1)
    loss = loss + mse_loss(softmax(logits), Tensor(rng.dirichlet(np.ones(3), 6), dtype=np.float64))
    lesson.backward(loss)
    return {"loss": loss, "gradients": [each.grad for each in (*first.parameters(), *second.parameters())], "x": x.grad}


def gradients_of_joined_tensors(lesson, rng):
    """Gradients through cat, stack, reshape, permute, indexing, max and var."""
    a, b = _wanted(rng.normal(size=(2, 3))), _wanted(rng.normal(size=(2, 3)))
    joined = cat([a, b, a])[[0, 0, 5, 2]].reshape(3, 4).T
    lesson.backward(stack([joined, joined * 2.0]).max(axis=0).sum() + a.var(axis=0).sum() + b.permute(1, 0)[1].mean())
    gradient = lesson.grad(lambda x: (x**3).sum())(np.array([1.0, 2.0]))
    return [a.grad, b.grad, gradient]


def tape_number_answers(lesson, rng):
    """Your five numbers."""
    numbers = lesson.tape_numbers()
    names = ("hidden_bytes", "gradient_bytes", "rule_calls", "forward_flops", "backward_flops")
    return {name: numbers[name] for name in names}


PROBES = {
    "test-unbroadcast": [unbroadcast_sums, unbroadcast_hands_on],
    "test-elementwise-rules": [product_rules, quotient_rules, power_rules],
    "test-reduction-rules": [spread_copies, mean_rule],
    "test-shape-rules": [picking_rule, permuting_rule],
    "test-matmul-rules": [left_of_a_product, right_of_a_product],
    "test-topological-order": [order_of_a_graph, order_of_a_deep_graph, order_refuses],
    "test-backward": [
        backward_through_a_graph,
        backward_accumulates,
        backward_frees,
        backward_owns_its_memory,
        backward_calls_each_rule_once,
        backward_refusals,
    ],
    "test-no-grad": [no_grad_switches_off, no_grad_decorates],
    "test-gradcheck": [numerical_gradients, gradcheck_judges],
    "test-network-rules": [softmax_rule, cross_entropy_rule],
    "test-module-autograd": [gradients_of_a_network, gradients_of_joined_tensors],
    "test-tape-numbers": [tape_number_answers],
}
TOLERANCES = {
    "numerical_gradients": {"rtol": 1e-6, "atol": 1e-6},
    "gradcheck_judges": {"rtol": 1e-6, "atol": 1e-6},
    "backward_owns_its_memory": {"rtol": 1e-5, "atol": 1e-6},
    "gradients_of_a_network": {"rtol": 1e-7, "atol": 1e-9},
}
PARTIAL = [
    "test-elementwise-rules",
    "test-reduction-rules",
    "test-shape-rules",
    "test-matmul-rules",
    "test-topological-order",
    "test-backward",
    "test-no-grad",
    "test-network-rules",
]
