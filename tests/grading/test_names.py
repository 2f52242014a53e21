"""The names in a cell's code: what it defines and binds, and what it needs as soon as it runs."""

from __future__ import annotations

import ast

import pytest
from grading.lessons import course

from tito.grading.submission import names
from tito.grading.submission.names import names_of
from tito.notebook import parse

CLASS = """
@cached
class Dense(Linear):
    size = WIDTH
    rows = [row * SCALE for row in TABLE]
    def f(self): return inner
"""
GUARDED = '''
a = 1
if __name__ == "__main__":
    b = 1
    if __name__:
        c = 1
    def d(): ...

e = """
x"""
'''


def test_names_that_a_cell_binds() -> None:
    """Catches a kind of statement whose names would count as missing, so that the course's cell is put back."""
    code = "import a.b, c as d\nfrom e import f as g\nh: int = 1\nfor i, (j, k) in L: m = n\nwith o as p: q += 1\n"
    assert names_of(code).bound == set("adghijkmpq")
    found = names_of("if r:\n    def s(): t = 1\nelse:\n    class u: v = 1\ntry: w = 1\nexcept X: y = 1")
    assert (found.bound, found.defined) == (set("suwy"), set("su"))
    assert names_of("match a:\n    case [b, *c]: d = 1").bound == set("bcd")
    assert names_of("async def a(): b = 1").defined == {"a"}
    assert names_of("a = [b for b in c]").bound >= {"a"}


def test_a_guarded_statement_binds_nothing() -> None:
    """Catches names of what does not run when a lesson is graded, which then nothing would bind."""
    assert (names_of(GUARDED).bound, names_of(GUARDED).defined) == (set("ae"), set())
    assert names_of("def a():\n    if __name__:\n        b = 1\n    c = 1\nd = a").bound == set("ad")
    assert names_of("if a:\n    b = 1\nelif __name__ == c:\n    d = 1").bound == {"b"}
    assert names_of("if __name__ == a: b = 1; c = 1\nd = 1").bound == {"d"}
    assert names_of("print(__name__)\na = 1").bound == {"a"}


def test_names_that_a_cell_needs_at_once() -> None:
    """Catches a cell that would be left before what it needs, or moved behind what it does not need."""
    found = names_of(CLASS)
    assert found.early >= {"cached", "Linear", "WIDTH", "SCALE", "TABLE"}
    assert found.early & found.outer == {"cached", "Linear", "WIDTH", "SCALE", "TABLE"}
    found = names_of("def f(a: Hint = DEFAULT, *, b: Other = lambda c=INNER: later) -> Result: return later")
    assert (found.early, found.hints) == ({"DEFAULT", "INNER"}, {"Hint", "Other", "Result"})
    assert found.outer == found.early | found.hints
    found = names_of("if a:\n    b\nelif c:\n    d\ne if f else g")
    assert found.early == {"a", "f"}
    found = names_of("try:\n    tried\nexcept E: pass\nx = len(y)\ny = 2")
    assert (found.early, found.lazy) == (set(), False)
    assert names_of("from __future__ import annotations\nx: int = y").lazy
    assert not names_of("text = '__future__'").lazy


def test_names_that_are_read_anywhere() -> None:
    """Catches an import whose only use is deep inside a function: it would not be put back."""
    assert names_of(CLASS).used == {"cached", "Linear", "WIDTH", "SCALE", "TABLE", "row", "inner"}
    assert names_of("a.b = c[d]\ndel e\nf'{g}'").used == set("acdg")


REFUSED = {
    "syntax": "def f(:\n",
    "an argument twice": "def f(a, a): ...",
    "a null byte": "x = 1\0",
    "nested brackets": "(" * 300 + ")" * 300,
    "a long expression": "-" * 20_000 + "1",
    "cut off": "def f(): ...\nreturn (",
    "long": "x" * (names.MAX_PARSED + 1),
    "braces": "{" * 5_001,
}


@pytest.mark.parametrize("code", REFUSED.values(), ids=REFUSED)
def test_what_is_no_python(code: str) -> None:
    """Catches an error of the parser's that would end the grading of a submission, and code that takes very long."""
    found = names_of(code)
    assert (found.parses, found.outer, found.used, found.early, found.lazy) == (False, set(), set(), set(), False)
    assert found.defined == found.bound == ({"f"} if "def f" in code else set())


def test_the_table_holds_what_the_tree_says() -> None:
    """Catches a name that a cell needs at once and that is left out of what cells are first looked through for."""
    looked_at = 0
    for module in course().modules:
        path = course().source(module)
        for cell in parse(path.read_text(encoding="utf-8")).cells if path.is_file() else ():
            if cell.kind != "code":
                continue
            found, tree = names_of(cell.source), ast.parse(cell.source)
            assert found.defined == {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
            inside = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            assert found.early - inside <= found.outer
            assert found.lazy or found.hints <= found.outer
            looked_at += 1
    assert looked_at > 200
