"""Probes of 01_tensor: calls with fresh random inputs; what they return is compared with the reference."""

import numpy as np


def _refusal(call, kind, *words):
    """Whether a call is refused with an error of this kind, and whether the message has each of the words."""
    try:
        call()
    except kind as error:
        text = "".join([str(error)])  # a plain str: a class of its own could claim to hold any word
        return [True, *(word in text for word in words)]
    return [False]


def _dtypes(results):
    """The dtypes of some Tensors, also of those that are single numbers."""
    return [str(each.dtype) for each in results]


def as_array_values(lesson, rng):
    """Numbers, lists, arrays and Tensors become arrays of the dtype that was asked for."""
    values = rng.normal(size=(2, 3)).round(3)
    whole = rng.integers(-9, 9, 4)
    return {
        "lists": lesson.as_array(values.tolist()),
        "array": lesson.as_array(values),
        "float64": lesson.as_array(values, np.float64),
        "whole numbers": lesson.as_array(whole.tolist()),
        "int64": lesson.as_array(whole.tolist(), np.int64),
        "truths": lesson.as_array([bool(each > 0) for each in whole], bool),
        "None as dtype": lesson.as_array(whole, None),
        "empty": [lesson.as_array([]), lesson.as_array([[], []])],
        "number": [lesson.as_array(float(values[0, 0])).shape == (), str(lesson.as_array(2).dtype)],
        "Tensor": lesson.as_array(lesson.Tensor(values)),
    }


def as_array_copies(lesson, rng):
    """The result never shares memory with what it was made from."""
    shared = []
    for dtype in (np.float32, np.float64, np.int64):
        source = rng.normal(size=5).astype(dtype)
        made = lesson.as_array(source, dtype)
        shared.append(bool(np.shares_memory(made, source)))
        made[0] = 7
    tensor = lesson.Tensor([1.0, 2.0])
    return [*shared, bool(np.shares_memory(lesson.as_array(tensor), tensor.numpy())), made]


def as_array_refusals(lesson, rng):
    """Ragged rows and what is no number are refused, each with its own kind of error."""
    value = float(rng.normal())
    ragged = [[[value, 2.0], [value]], [[1], [value, 2], [3]], [[[1, 2], [3]], [[1, 2], [3]]]]
    strange = [["1.5"], [None], None, "text", [object()], {"a": value}, [value + 1j]]
    return {
        "ragged": [
            _refusal(lambda rows=rows: lesson.as_array(rows), ValueError, "different lengths") for rows in ragged
        ],
        "no numbers": [_refusal(lambda each=each: lesson.as_array(each), TypeError) for each in strange],
        "dtype": _refusal(lambda: lesson.as_array([value], str), TypeError),
        "a number": lesson.as_array([value]),
    }


def apply_results(lesson, rng):
    """An op gets the arrays and the parameters, and its result is wrapped, always around an array."""
    x, y = (lesson.Tensor(rng.normal(size=(2, 3)), dtype=np.float64) for _ in range(2))
    kinds = []

    def mix(a, b, by, plus=0.0):
        kinds.append([type(each) is np.ndarray for each in (a, b)])
        return a * by - b + plus

    mixed = lesson.apply(lesson.Op("mix", mix), x, y, by=3.0)
    plus = lesson.apply(lesson.Op("mix", mix), x, y, by=0.5, plus=1.0)
    total = lesson.apply(lesson.Op("total", lambda a: a.sum()), x)
    three = lesson.apply(lesson.Op("three", lambda a, b, c: a + b * c), x, y, x)
    return {
        "mixed": mixed,
        "plus": plus,
        "three": three,
        "total": total,
        "total is an array": [type(total.data) is np.ndarray, total.shape == ()],  # no gradient: its kind is asked for
        "are Tensors": [type(each) is lesson.Tensor for each in (mixed, total)],
        "op got": kinds,
        "gradients": [mixed.requires_grad, mixed.origin is None, mixed.grad is None],
    }


def apply_origins(lesson, rng):
    """The origin has op, inputs, parameters, what was saved, and versions, when a gradient is wanted."""
    w = lesson.Tensor(rng.normal(size=3), requires_grad=True)
    x = lesson.Tensor(rng.normal(size=3))
    for _ in range(int(rng.integers(1, 4))):
        x[0] = float(rng.normal())
    halve = lesson.Op("halve", lambda a, b, by: ((a - b) / by, a * 2), saves=True)
    double = lesson.Op("double", lambda a: a + a)
    y = lesson.apply(halve, x, w, by=2.0)
    z = lesson.apply(double, y)
    return {
        "values": [y, z],
        "gradients": [y.requires_grad, z.requires_grad],
        "op": [y.origin.op is halve, z.origin.op is double],
        "inputs": [y.origin.inputs[0] is x, y.origin.inputs[1] is w, z.origin.inputs[0] is y, len(y.origin.inputs)],
        "params": {str(key): value for key, value in y.origin.params.items()},
        "saved": [np.array(y.origin.saved), z.origin.saved is None],
        "versions": [int(version) for version in y.origin.versions],
    }


def apply_without_origin(lesson, rng):
    """Nothing is noted for an op without a derivative, while recording is off, or when nobody asked."""
    w = lesson.Tensor(rng.normal(size=3), requires_grad=True)
    double = lesson.Op("double", lambda a: a + a)
    larger = lesson.apply(lesson.Op("larger", lambda a: a > 0, differentiable=False), w)
    saved = lesson.apply(lesson.Op("pair", lambda a: (a * 3, "kept"), saves=True), lesson.Tensor([1.0, 2.0]))
    lesson.grad_mode.enabled = False
    try:
        off = lesson.apply(double, w)
    finally:
        lesson.grad_mode.enabled = True
    results = (larger, saved, off, lesson.apply(double, lesson.Tensor([1.0])), lesson.apply(double, w))
    return {"values": results, "noted": [[each.origin is not None, each.requires_grad] for each in results]}


def apply_observers(lesson, rng):
    """An observer hears of each op once it is done, with inputs, parameters and result."""
    x = lesson.Tensor(rng.normal(size=2))
    scale = lesson.Op("scale", lambda a, by: a * by)
    seen = []

    def watch(op, inputs, params, result):
        seen.append([op.name, inputs[0] is x, float(params["by"]), result.tolist()])

    with lesson.observe_ops(watch):
        lesson.apply(scale, x, by=2.0)
        lesson.apply(scale, x, by=float(rng.integers(3, 9)))
    lesson.apply(scale, x, by=5.0)
    return seen


def elementwise_values(lesson, rng):
    """Products and quotients of Tensors, numbers and arrays."""
    x, y = (lesson.Tensor(rng.uniform(0.5, 2, (2, 3)), dtype=np.float64) for _ in range(2))
    row = rng.uniform(0.5, 2, 3)
    return [x * y, x / y, x * 2.5, 2.5 * x, x / 4, 4 / x, x * row, row / x, -x * y[0], y[:, :1] / x]


def elementwise_powers(lesson, rng):
    """Powers of floats and of whole numbers, also negative and fractional ones."""
    x = lesson.Tensor(rng.uniform(-2, 2, (2, 3)), dtype=np.float64)
    whole = lesson.Tensor(rng.integers(1, 6, 4), dtype=np.int64)
    positive = x * x + 0.1
    results = [x**exponent for exponent in (0, 1, 2, 3, 4, 2.0, 3.0, -1)]
    results += [positive**exponent for exponent in (0.5, -0.5, 1.7)]
    return {"floats": results, "whole": [whole**2, whole**3, whole**4], "fractional": whole**0.5}


def elementwise_dtypes(lesson, rng):
    """float32 stays float32 and float64 float64; whole numbers stay whole, unless they are divided."""
    numbers = rng.uniform(0.5, 2, 3)
    single, double = lesson.Tensor(numbers), lesson.Tensor(numbers, dtype=np.float64)
    whole = lesson.Tensor(rng.integers(1, 9, 3), dtype=np.int64)
    return {
        "float32": [single * 0.1, 1 / single, single * np.float64(0.1), np.ones(3) * single, single**2, single**0.3],
        "float64": [double * 0.1, double / 3, double**3, double**0.5],
        "whole": [whole * 2, whole * whole, whole**3],
        "divided": [whole / 2, whole / whole, 1 / whole, whole * 0.5],
        "mixed": [single / whole, whole * single],
    }


def elementwise_is_recorded(lesson, rng):
    """Products, quotients and powers note how they were made and leave their inputs alone."""
    x = lesson.Tensor(rng.uniform(0.5, 2, 3), requires_grad=True)
    y = lesson.Tensor(rng.uniform(0.5, 2, 3))
    results = [x * y, y / x, x**2, x**3, x**1.5]
    shared = [bool(np.shares_memory(each.numpy(), x.numpy())) for each in (*results, x * 1, x**1)]
    return {"values": results, "gradients": [each.requires_grad for each in results], "shared": shared, "x": x}


def broadcast_shape_pairs(lesson, rng):
    """Many pairs of shapes that fit."""
    found = []
    for _ in range(12):
        full = [int(size) for size in rng.integers(0, 6, int(rng.integers(0, 5)))]
        left = [1 if rng.random() < 0.4 else size for size in full]
        right = [1 if rng.random() < 0.4 else size for size in full][int(rng.integers(0, len(full) + 1)) :]
        left, right = (right, left) if rng.random() < 0.5 else (left, right)
        found.append([int(size) for size in lesson.broadcast_shape(tuple(left), tuple(right))])
    fixed = [lesson.broadcast_shape((0,), (1,)), lesson.broadcast_shape((1,), (5, 0)), lesson.broadcast_shape((), ())]
    return {"random": found, "fixed": fixed, "is a tuple": isinstance(fixed[1], tuple)}


def broadcast_shape_refusals(lesson, rng):
    """Pairs that do not fit are refused, with both shapes, both lengths and the verb in the message."""
    a, b = (int(size) for size in rng.permutation(np.arange(2, 9))[:2])
    pairs = [((a,), (b,)), ((2, 1, a), (a, b, a)), ((0,), (a,)), ((a, b), (a, 1, b + 1)), ((b, a, 1), (a, b, 3))]
    found = []
    for left, right in pairs[:3]:
        found.append(_refusal(lambda a=left, b=right: lesson.broadcast_shape(a, b), ValueError, str(left), str(right)))
    wider = pairs[3]
    starts = f"cannot glue shapes {wider[0]} and {wider[1]}: "
    found.append(_refusal(lambda: lesson.broadcast_shape(*wider, "glue"), ValueError, starts, f"{b}", f"{b + 1}"))
    return {"refused": found, "fits": [int(size) for size in lesson.broadcast_shape((a, 1), (b,))]}


def broadcast_of_tensors(lesson, rng):
    """Tensors broadcast, and the error of two that do not names both shapes."""
    column, row = (lesson.Tensor(rng.normal(size=shape), dtype=np.float64) for shape in ((3, 1), (4,)))
    a = int(rng.integers(5, 9))
    wide = lesson.Tensor(np.zeros((2, a)))
    found = {
        "add": _refusal(lambda: wide + row, ValueError, f"cannot add shapes (2, {a}) and (4,): ", f"{a} and 4"),
        "subtract": _refusal(lambda: wide - row, ValueError, f"cannot subtract shapes (2, {a}) and (4,): "),
        "multiply": _refusal(lambda: row * wide, ValueError, f"cannot multiply shapes (4,) and (2, {a}): "),
        "divide": _refusal(lambda: row / wide, ValueError, f"cannot divide shapes (4,) and (2, {a}): "),
    }
    shape = lesson.broadcast_shape(column.shape, row.shape)
    return {"sum": column + row, "refused": found, "shape": [int(size) for size in shape]}


def reductions_values(lesson, rng):
    """Sums, means and variances over any axis, several, or all."""
    x = lesson.Tensor(rng.normal(1, 2, (2, 3, 4)), dtype=np.float64)
    axes = (None, 0, 1, -1, (0, 2), (0, 1, 2))
    found = {}
    for name in ("sum", "mean", "var"):
        method = getattr(x, name)
        found[name] = [method(axis=axis) for axis in axes]
        found[f"{name} keepdims"] = [method(axis=axis, keepdims=True) for axis in axes]
    return found


def reductions_of_variance(lesson, rng):
    """The correction of the variance, and the refusal of too few numbers."""
    x = lesson.Tensor(rng.normal(5, 2, (4, 3)), dtype=np.float64)
    one = lesson.Tensor(rng.normal(size=(1, 3)))
    corrected = [x.var(axis=axis, correction=correction) for axis in (None, 0, 1) for correction in (0, 1, 2)]
    return {
        "corrected": corrected,
        "one number": one.var(axis=0, correction=0),
        "refused": [
            _refusal(lambda: one.var(axis=0), ValueError),
            _refusal(lambda: x.var(0, correction=4), ValueError),
        ],
        "far from zero": (x + 1e6).var(axis=0),
    }


def reductions_dtypes(lesson, rng):
    """float32 stays float32, sums of whole numbers stay whole, their means are float32."""
    single = lesson.Tensor(rng.normal(size=(3, 4)))
    whole = lesson.Tensor(rng.integers(0, 9, (3, 4)), dtype=np.int64)
    numbers = [single.sum(), single.mean(), single.var(), whole.sum(), whole.mean(), whole.var()]
    return {
        "float32": [single.sum(axis=0), single.mean(axis=0), single.var(axis=0)],
        "whole": [whole.sum(axis=0), whole.mean(axis=1), whole.var(axis=1)],
        "of numbers": _dtypes(numbers),
        "numbers": numbers,
    }


def reductions_are_recorded(lesson, rng):
    """Reductions ask for gradients when their input does."""
    x = lesson.Tensor(rng.normal(size=(2, 3)), requires_grad=True)
    results = [x.sum(axis=0), x.mean(axis=1), x.var(axis=1, correction=0)]
    return {"values": results, "gradients": [each.requires_grad for each in results], "x": x}


def matmul_products(lesson, rng):
    """Products of matrices, vectors and batches."""
    shapes = [
        ((2, 3), (3, 4)),
        ((3,), (3, 2)),
        ((2, 3), (3,)),
        ((3,), (3,)),
        ((2, 4, 3), (3, 2)),
        ((2, 1, 2, 3), (4, 3, 2)),
    ]
    shapes += [
        ((2, 2, 2, 3), (3, 4)),
        ((0, 2, 3), (3, 2)),
        ((3, 2, 3), (3, 3, 1)),
        ((1, 3), (2, 3, 2)),
        ((2, 3, 4), (4,)),
    ]
    tensors = [[lesson.Tensor(rng.normal(size=shape), dtype=np.float64) for shape in pair] for pair in shapes]
    return [a @ b for a, b in tensors]


def matmul_kinds(lesson, rng):
    """dtypes stay, views multiply as what they show, gradients are asked for, inputs stay."""
    x = lesson.Tensor(rng.normal(size=(3, 2, 4)), requires_grad=True)
    y = lesson.Tensor(rng.normal(size=(5, 4)))
    whole = lesson.Tensor(rng.integers(0, 9, (2, 2)), dtype=np.int64)
    product = x @ y.T
    return {
        "view": product,
        "turned": x.permute(1, 0, 2) @ y.T,
        "whole": whole @ whole,
        "method": x.matmul(y.T),
        "array": y @ rng.normal(size=(4, 2)),
        "gradients": product.requires_grad,
        "inputs": [x, y],
    }


def matmul_refusals(lesson, rng):
    """Products that are not defined are refused with both shapes and the reason."""
    a = int(rng.integers(4, 9))
    cases = [
        ((2, 3), (a, 5), f"3 and {a}"),
        ((5, a), (3,), f"{a} and 3"),
        ((3,), (a, 2), f"3 and {a}"),
        ((2, 3, a), (a + 1, 2), f"{a} and {a + 1}"),
        ((2, 3, a), (5, a, 6), "(2,) and (5,)"),
        ((2, 2), (), "()"),
        ((), (2, 2), "()"),
    ]
    refused = []
    for left, right, words in cases:
        x, y = lesson.Tensor(np.zeros(left)), lesson.Tensor(np.zeros(right))
        refused.append(_refusal(lambda x=x, y=y: x @ y, ValueError, f"cannot multiply {left} by {right}: ", words))
    return {"refused": refused, "fits": lesson.Tensor(np.ones((2, a))) @ lesson.Tensor(np.ones((a, 2)))}


def shape_ops_values(lesson, rng):
    """reshape, permute, transpose, flatten, squeeze and unsqueeze move no numbers."""
    x = lesson.Tensor(rng.normal(size=(2, 3, 4)))
    return {
        "reshape": [x.reshape(6, 4), x.reshape((4, 6)), x.reshape(-1), x.reshape(3, -1), x.reshape(1, 24, 1)],
        "permute": [x.permute(2, 0, 1), x.permute((1, 0, 2)), x.T, x.transpose(), x.transpose(0, 2)],
        "others": [x.flatten(1), x.flatten(), x.unsqueeze(0), x.unsqueeze(-1), x.unsqueeze(1).squeeze(1)],
        "after a permute": x.T.reshape(6, 4),
        "empty": lesson.Tensor(np.zeros((0, 3))).reshape(3, 0),
        "to a number": lesson.Tensor([[3.5]]).reshape(()).shape == (),
    }


def shape_ops_share_memory(lesson, rng):
    """A permute is a view, and so is a reshape where it can be; a change counts for all who share it."""
    x = lesson.Tensor(rng.normal(size=(2, 3)))
    views = [x.T, x.permute(1, 0), x.reshape(6), x.reshape(3, 2), x.T.reshape(6)]
    shared = [bool(np.shares_memory(each.numpy(), x.numpy())) for each in views]
    x[0, 1] = float(rng.normal())
    return {"shared": shared, "views": views[:4], "versions": [int(each.version) for each in (x, *views[:4])]}


def shape_ops_refusals(lesson, rng):
    """What cannot be reshaped or permuted is refused, with the shapes in the message."""
    a = int(rng.integers(4, 9))
    x = lesson.Tensor(rng.normal(size=(2, a)), requires_grad=True)
    return {
        "reshape": _refusal(
            lambda: x.reshape(a, 3), ValueError, f"cannot reshape (2, {a}) into ({a}, 3): ", str(2 * a)
        ),
        "two unknown": _refusal(lambda: x.reshape(-1, -1), ValueError, "cannot reshape"),
        "permute": _refusal(lambda: x.permute(0, 0), ValueError, f"cannot permute (2, {a}) by (0, 0): "),
        "too few": _refusal(lambda: x.permute(1), ValueError, "cannot permute"),
        "fits": [x.reshape(a, 2), x.permute(1, 0)],
        "gradients": [x.reshape(a, 2).requires_grad, x.permute(1, 0).requires_grad],
    }


def constructors_full(lesson, rng):
    """full and ones have the shape, value and dtype that were asked for."""
    value, size = float(rng.normal()), int(rng.integers(2, 6))
    return {
        "full": [lesson.full((2, size), value), lesson.full((size,), 7, dtype=np.int64), lesson.full((), value)],
        "float64": lesson.full((2,), value, dtype=np.float64),
        "truths": lesson.full((2,), True, dtype=bool),
        "ones": [lesson.ones(size, 2), lesson.ones((2, size)), lesson.ones(2, dtype=np.int32)],
        "gradients": [lesson.full((2,), value, requires_grad=True).requires_grad, lesson.full((2,), 1).requires_grad],
        "dtype of a number": str(lesson.full((), 2).dtype),
        "refused": [
            _refusal(lambda: lesson.full((2,), 1, dtype=np.int64, requires_grad=True), RuntimeError),
            _refusal(lambda: lesson.full((2,), 1, dtype=str), TypeError),
        ],
    }


def constructors_arange(lesson, rng):
    """arange follows its arguments, in values and in dtype."""
    a, b, step = int(rng.integers(2, 9)), int(rng.integers(10, 20)), int(rng.integers(1, 4))
    return {
        "whole": [lesson.arange(a), lesson.arange(a, b), lesson.arange(a, b, step), lesson.arange(b, a, -step)],
        "NumPy integers": lesson.arange(np.int64(a)),
        "floats": [lesson.arange(0, 1, 0.25), lesson.arange(float(a)), lesson.arange(a, b, 0.5), lesson.arange(0.5, b)],
        "asked for": [lesson.arange(a, dtype=np.float32), lesson.arange(0, b, 2, dtype=np.float64)],
        "empty": [lesson.arange(0), lesson.arange(b, a)],
        "gradients": lesson.arange(0.0, 3.0, requires_grad=True).requires_grad,
        "refused": _refusal(lambda: lesson.arange(3, requires_grad=True), RuntimeError),
    }


def constructors_randn(lesson, rng):
    """Normal random numbers of mean 0 and variance 1, repeated by a seed."""
    seed = int(rng.integers(1 << 30))
    lesson.manual_seed(seed)
    many, again = lesson.randn(200, 200), lesson.randn((5, 4))
    lesson.manual_seed(seed)
    same = lesson.randn(200, 200)
    double = lesson.randn(3, dtype=np.float64, requires_grad=True)
    numbers = many.numpy()
    return {
        "repeated": bool(np.array_equal(numbers, same.numpy())),
        "drawn anew": not np.array_equal(again.numpy(), lesson.randn((6, 4)).numpy()[:5]),
        "statistics": [float(numbers.mean()), float(numbers.std()), float((np.abs(numbers) < 1).mean())],
        "shapes": [list(many.shape), list(again.shape), list(lesson.randn().shape)],
        "dtypes": _dtypes([many, again, double]),
        "gradients": [many.requires_grad, double.requires_grad],
    }


def image_batch_answers(lesson, rng):
    """Your seven numbers."""
    numbers = lesson.image_batch_numbers()
    names = ("elements", "nbytes", "megabytes", "row_stride", "channel_stride", "image_stride", "copied_by_permute")
    return {name: numbers[name] for name in names}


def network_by_hand(lesson, rng):
    """A network of two layers computes what the reference computes, and its result leads back to its leaves."""
    x, w1, b1, w2 = (
        lesson.Tensor(rng.normal(size=shape), dtype=np.float64) for shape in ((5, 3), (3, 4), (4,), (4, 1))
    )
    w1, w2 = lesson.Parameter(w1), lesson.Parameter(w2)
    before = x @ w1 + b1
    hidden = lesson.where(before > 0, before, 0.0)
    loss = ((hidden @ w2) ** 2).mean()
    made_by, queue = [], [loss]
    while queue:
        origin = queue.pop().origin
        if origin is not None:
            made_by.append(origin.op.name)
            queue += origin.inputs
    return {
        "hidden": hidden,
        "loss": loss,
        "gradients": [loss.requires_grad, (before > 0).requires_grad, loss.detach().requires_grad],
        "made by": made_by,
    }


PROBES = {
    "test-as-array": [as_array_values, as_array_copies, as_array_refusals],
    "test-apply": [apply_results, apply_origins, apply_without_origin, apply_observers],
    "test-elementwise": [elementwise_values, elementwise_powers, elementwise_dtypes, elementwise_is_recorded],
    "test-broadcast-shape": [broadcast_shape_pairs, broadcast_shape_refusals, broadcast_of_tensors],
    "test-reductions": [reductions_values, reductions_of_variance, reductions_dtypes, reductions_are_recorded],
    "test-matmul": [matmul_products, matmul_kinds, matmul_refusals],
    "test-shape-ops": [shape_ops_values, shape_ops_share_memory, shape_ops_refusals],
    "test-constructors": [constructors_full, constructors_arange, constructors_randn],
    "test-image-batch-numbers": [image_batch_answers],
    "test-module-tensor": [network_by_hand],
}
TOLERANCES = {
    "elementwise_powers": {"rtol": 1e-5, "atol": 1e-9},
    "elementwise_dtypes": {"rtol": 1e-4, "atol": 1e-6},
    "elementwise_is_recorded": {"rtol": 1e-4, "atol": 1e-6},
    "reductions_of_variance": {"rtol": 1e-6, "atol": 1e-6},  # (x + 1e6) has lost six of sixteen digits, squared
    "reductions_dtypes": {"rtol": 1e-4, "atol": 1e-5},
    "reductions_are_recorded": {"rtol": 1e-4, "atol": 1e-5},
    "matmul_kinds": {"rtol": 1e-4, "atol": 1e-4},  # float32 sums in another order
    "constructors_randn": {
        "atol": 0.05
    },  # 40,000 random numbers: 7 standard deviations of a difference of two such draws
}
PARTIAL = [
    "test-apply",
    "test-elementwise",
    "test-broadcast-shape",
    "test-reductions",
    "test-matmul",
    "test-shape-ops",
    "test-constructors",
]
