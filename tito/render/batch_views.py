"""What `tito test` shows: one table, then what is needed to act on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tito.errors import Exit
from tito.lifecycle.batch import Batch
from tito.lifecycle.exporting import ExportState
from tito.render.blocks import Block, Field, Mark, Next, Table, Text
from tito.render.views import verdict_mark
from tito.report import Outcome, TestReport, Verdict


def batch(facts: Batch) -> Iterator[Block]:
    """All modules in one table; for those that did not pass, the first reason."""
    package = {report.module: report for report in facts.package}
    states = {module: state for module, _, state in facts.exports.rows} if facts.exports else {}
    rows = [_row(report, package.get(report.module), states.get(report.module)) for report in facts.lessons]
    columns: tuple[str, ...] = ("module", "lesson", "tests", "points", "s")
    if facts.exports:
        columns += ("export", "package")
    passed = sum(report.count(Outcome.PASSED) for report in facts.lessons)
    tests = sum(len(report.cases) for report in facts.lessons)
    yield Table(columns, rows, "", frozenset({2, 3, 4}))
    for report in (*facts.lessons, *facts.package):
        if report.verdict is not Verdict.PASSED:
            yield Text(f"{report.module} ({report.file}): {_reason(report)}", "bad")
    good = facts.exit_code is Exit.OK
    extra = sum(report.count(Outcome.PASSED) for report in facts.package)
    more = f" and {extra} from the package" if facts.package else ""
    done = sum(report.verdict is Verdict.PASSED for report in facts.lessons)
    yield Text(
        f"{done} of {len(facts.lessons)} modules passed: {passed} of {tests} tests{more}", "ok" if good else "bad"
    )
    yield Next(_next(facts))


def _row(report: TestReport, package: TestReport | None, state: ExportState | None) -> Sequence[Field]:
    row: list[Field] = [
        report.module,
        verdict_mark(report.verdict),
        f"{report.count(Outcome.PASSED)}/{len(report.cases)}",
        f"{report.points}/{report.points_possible}",
        f"{report.seconds:.1f}",
    ]
    if state is not None:
        row.append(Mark(state, "ok" if state is ExportState.CURRENT else "bad"))
    if package is not None:
        row.append(verdict_mark(package.verdict))
    return row


def _reason(report: TestReport) -> str:
    if report.message:
        return f"{report.verdict}: {report.message}"
    first = report.first_failure
    return f"{first.name}: {first.outcome}: {first.message}" if first else str(report.verdict)


def _next(facts: Batch) -> str:
    for report in facts.lessons:
        if report.verdict is not Verdict.PASSED:
            return report.hint or f"tito module test {report.module}"
    if facts.exports and facts.exports.exit_code is not Exit.OK:
        return "tito export --all"
    if any(report.verdict is not Verdict.PASSED for report in facts.package):
        return "tito test --failed"
    return "tito status"
