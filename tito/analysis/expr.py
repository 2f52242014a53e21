"""A sum of products of whole numbers: counted and shown from the same value."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod


def grouped(number: int) -> str:
    """203530 -> '203,530'."""
    return f"{number:,}"


@dataclass(frozen=True, slots=True)
class Expr:
    """Terms to add, each a tuple of factors to multiply; no terms is zero.

    `Expr(((256, 784), (256,)))` is 256·784 + 256 = 200,960.
    """

    terms: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def product(cls, *factors: int) -> Expr:
        """One term."""
        return cls((factors,))

    @property
    def value(self) -> int:
        """The number."""
        return sum(prod(term) for term in self.terms)

    def __bool__(self) -> bool:
        return self.value != 0

    def __add__(self, other: Expr) -> Expr:
        return Expr(self.terms + other.terms)

    def times(self, factor: int) -> Expr:
        """Each term with one more factor in front."""
        return Expr(tuple((factor, *term) for term in self.terms))

    def __str__(self) -> str:
        """The products written out: '256·784 + 256'."""
        return " + ".join("·".join(map(grouped, term)) for term in self.terms) or "0"

    @property
    def equation(self) -> str:
        """The products and what they come to; a lone number is not repeated."""
        text, number = str(self), grouped(self.value)
        return number if text == number else f"{text} = {number}"


ZERO = Expr()
