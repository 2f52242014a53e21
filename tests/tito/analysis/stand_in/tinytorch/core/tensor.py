"""A stand-in for module 01: arrays in a class, and an observer of operations."""

from contextlib import contextmanager

import numpy as np

observers = []


class Op:
    __slots__ = ("forward", "name")

    def __init__(self, name, forward):
        self.name, self.forward = name, forward


class Tensor:
    __slots__ = ("data", "requires_grad")

    def __init__(self, data, dtype=np.float32, requires_grad=False):
        self.data = np.array(data, dtype=dtype)
        self.requires_grad = requires_grad

    shape = property(lambda self: self.data.shape)

    def __matmul__(self, other):
        return apply(matmul, self, other)

    def __add__(self, other):
        return apply(add, self, other)

    def reshape(self, *shape):
        return apply(reshape, self, shape=shape)

    @property
    def T(self):
        return apply(transpose, self)


class Parameter(Tensor):
    __slots__ = ()

    def __init__(self, data, dtype=np.float32):
        super().__init__(data, dtype, requires_grad=True)


def wrap(array):
    result = Tensor.__new__(Tensor)
    result.data, result.requires_grad = array, False
    return result


def apply(op, *inputs, **params):
    result = wrap(op.forward(*(one.data for one in inputs), **params))
    for observer in observers:
        observer(op, inputs, params, result)
    return result


matmul = Op("matmul", lambda a, b: a @ b)
add = Op("add", lambda a, b: a + b)
relu = Op("relu", lambda x: np.maximum(x, 0))
mystery = Op("mystery", lambda x: x.copy())
reshape = Op("reshape", lambda x, shape: x.reshape(shape))
transpose = Op("transpose", lambda x: np.swapaxes(x, -1, -2))


@contextmanager
def observe_ops(callback):
    observers.append(callback)
    try:
        yield
    finally:
        observers.remove(callback)
