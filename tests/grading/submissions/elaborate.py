# Right, with dataclasses, generators, coroutines, type hints, a decorator and a pattern match.
# on: solved
# %% matmul
from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Pair(Generic[T]):
    a: T
    b: T

    def sizes(self) -> tuple[str, str]:
        return tuple("x".join(map(str, each.shape)) for each in (self.a, self.b))


def checked(function):
    @functools.wraps(function)
    def inner(A: Whatever, B: Whatever) -> Whatever:
        arrays = [x.numpy() if isinstance(x, Tensor) else np.asarray(x) for x in (A, B)]
        pair = Pair(*arrays)
        match (pair.a.ndim, pair.b.ndim):
            case (2, 2):
                pass
            case _:
                raise ValueError("matrices")
        if pair.a.shape[1] != pair.b.shape[0]:
            one, two = pair.sizes()
            raise ValueError(f"Incompatible matrix dimensions: A is {one}, B is {two}")
        c = function(pair)
        return Tensor(c, dtype=c.dtype) if isinstance(A, Tensor) or isinstance(B, Tensor) else c
    return inner


async def dot(row, column):
    return sum(x * y for x, y in zip(row, column))


def waited(coroutine):
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value


def rows(pair):
    for row in pair.a:
        yield [waited(dot(row, column)) for column in pair.b.T]


@checked
def matmul(pair):
    shape = (pair.a.shape[0], pair.b.shape[1])
    return np.array(list(rows(pair)), dtype=np.result_type(pair.a, pair.b)).reshape(shape)
