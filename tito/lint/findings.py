"""What the rules find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tito.errors import Exit
from tito.facts import Facts

RULES: Mapping[str, str] = {
    "T01": "cell metadata is what nbgrader accepts, and every grade_id is unique",
    "T02": "solution and hidden-test markers pair up, in the right kind of cell",
    "T03": "points add up to the manifest's",
    "T04": "#| default_exp names the manifest's package file",
    "T05": "a test cell defines one test and runs it when executed as a notebook",
    "T06": "tests are called test_unit_* or test_module_*, and there is one test_module_*",
    "T07": "there are three reflection questions",
    "T08": "the rubric of each question adds up to its points",
    "T09": "each test has three to five hints",
    "T10": "imports are the standard library, numpy and what the module needs; no sys.path, no guarded imports",
    "T11": "no .data on the differentiable path, outside an op",
    "T12": "nothing of a solution is left in the stub",
    "T13": "a trip through .ipynb gives the same bytes back",
    "T14": "two analyses, each after a guess",
    "T15": "public names of the package have docstrings",
    "T16": "probes.py has probes for each graded cell, in tables that can be read without running them",
    "T20": "every test passes on the solution",
    "T21": "the stub can be imported, and prints nothing",
    "T22": "every test fails on the stub",
    "T23": "the lesson runs as a script from top to bottom",
    "T24": "importing the lesson prints nothing",
    "T25": "the export is current",
    "T26": "with an empty package no test passes",
    "T27": "its integration test passes on the package alone, so that the module can be completed",
}


@dataclass(frozen=True)
class Finding(Facts):
    """One breach of a rule."""

    code: str
    module: str
    line: int
    text: str


@dataclass(frozen=True)
class Findings(Facts):
    """All breaches in some modules."""

    schema: ClassVar[str] = "tito.check/1"

    modules: tuple[str, ...]
    rules: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> Exit:
        """1 when anything was found, 5 when nothing was looked at."""
        if not self.modules:
            return Exit.NOTHING_RAN
        return Exit.FAILED if self.findings else Exit.OK

    def to_json(self) -> dict[str, Any]:
        """The findings, each with its rule's sentence."""
        listed = [{**finding.to_json(), "rule": RULES[finding.code]} for finding in self.findings]
        for item in listed:
            item.pop("schema")
        return {**super().to_json(), "findings": listed, "exit_code": int(self.exit_code)}
