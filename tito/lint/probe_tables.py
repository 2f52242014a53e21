"""What can be told of a module's probes by reading their tables."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tito.graded import GradedTest

_OPTIONS = {"rtol": float, "atol": float, "dtype": str}


def table_problems(tests: Iterable[GradedTest], tree: ast.Module, tables: Mapping[str, Any]) -> Iterator[str]:
    """Cells without probes, names without functions, functions without words, and options that mean nothing."""
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    cells, probes = {test.cell.grade_id for test in tests}, tables["PROBES"]
    yield from (f"{cell} has no probes" for cell in sorted(cells) if not probes.get(cell))
    yield from (f"PROBES names {cell}, which is no graded cell of the lesson" for cell in sorted(set(probes) - cells))
    named = [name for listed in probes.values() for name in listed]
    yield from (f"{name} stands in PROBES twice" for name in sorted({name for name in named if named.count(name) > 1}))
    for name in dict.fromkeys(named):
        if name not in functions:
            yield f"PROBES names {name}, which is no function of the file"
            continue
        if [argument.arg for argument in functions[name].args.args] != ["lesson", "rng"]:
            yield f"{name} does not take (lesson, rng)"
        if not ast.get_docstring(functions[name]):
            yield f"{name} has no docstring, by which a student would know it"
    called = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    yield from (f"{name} is in no table" for name in functions if name not in called)
    yield from _option_problems(tables, set(named))


def _option_problems(tables: Mapping[str, Any], named: set[str]) -> Iterator[str]:
    for name, options in tables["TOLERANCES"].items():
        if name not in named:
            yield f"TOLERANCES names {name}, which is no probe"
        for option, value in options.items():
            if option not in _OPTIONS or not isinstance(value, _OPTIONS[option]):
                yield f"TOLERANCES of {name}: {option} = {value!r} means nothing"
            elif option == "dtype" and value not in ("same", "kind"):
                yield f"TOLERANCES of {name}: dtype is {value!r}, and must be 'same' or 'kind'"
    for cell in tables["PARTIAL"]:
        if len(tables["PROBES"].get(cell, ())) < 2:
            yield f"PARTIAL names {cell}, which has no two probes to share its points"
