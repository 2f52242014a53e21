"""One function for each thing shown: facts in, blocks out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tito.lifecycle.completing import Completed
from tito.lifecycle.exporting import Exported, ExportState
from tito.lifecycle.helping import Difference, Hint, Points, Solution
from tito.lifecycle.setup import Initialised
from tito.lifecycle.undoing import Past, Undone
from tito.render.blocks import Beside, Block, Field, Mark, Next, Table, Text, Verbatim, counted
from tito.report import CaseResult, Outcome, TestReport, Verdict

_OUTCOME_KINDS = {Outcome.PASSED: "ok", Outcome.SKIPPED: "warn", Outcome.NOT_RUN: "wait"}


def outcome_mark(outcome: Outcome) -> Mark:
    """An outcome with its symbol and colour."""
    return Mark(outcome, _OUTCOME_KINDS.get(outcome, "bad"))


def verdict_mark(verdict: Verdict) -> Mark:
    """A verdict with its symbol and colour."""
    return Mark(verdict, {Verdict.PASSED: "ok", Verdict.BLOCKED: "wait"}.get(verdict, "bad"))


def report(facts: TestReport) -> Iterator[Block]:
    """Every graded test with its points, then the first failure in full."""
    yield _case_table(facts.module, facts.cases, facts.points, facts.points_possible)
    if facts.message:
        yield Text(f"{facts.module}: {facts.verdict}: {facts.message}", "bad")
        if facts.detail:
            yield Verbatim(facts.detail)
    failure = facts.first_failure
    if failure is not None and not facts.message:
        yield from _failure(failure, facts)
    yield Text(_basis(facts), "wait")
    yield Next(_next_after_test(facts))


def _case_table(title: str, cases: Sequence[CaseResult], earned: int, possible: int) -> Table:
    rows: list[Sequence[Field]] = [
        (case.name, outcome_mark(case.outcome), f"{case.earned}/{case.points}") for case in cases
    ]
    return Table(("test", "result", "points"), rows, title, frozenset({2}), ("total", "", f"{earned}/{possible}"))


def _failure(case: CaseResult, facts: TestReport) -> Iterator[Block]:
    yield Text(f"{case.name} {case.outcome}: {case.message} ({facts.file}, line {case.line})", "bad")
    if case.detail:
        yield Verbatim(case.detail.rstrip())
    if case.output.strip():
        yield Text("it printed:", "head")
        yield Verbatim(case.output.rstrip()[-2000:])
    others = [c for c in facts.cases if c.outcome is not Outcome.PASSED and c is not case]
    for other in others:
        yield Text(f"{other.name} {other.outcome}{': ' + other.message if other.message else ''}")


def _basis(facts: TestReport) -> str:
    ran = len(facts.cases) - facts.count(Outcome.NOT_RUN)
    return (
        f"{facts.file}, sha256 {facts.source_hash[:12]}: {ran} of {len(facts.cases)} tests ran, "
        f"{facts.count(Outcome.PASSED)} passed, {facts.seconds:.1f} s"
    )


def _next_after_test(facts: TestReport) -> str:
    if facts.verdict is Verdict.PASSED:
        return f"tito module complete {facts.module}"
    if facts.hint:
        return facts.hint
    way = "correct that, then: tito module test" if facts.never_began else "tito module hint"
    return f"{way} {facts.module}"


def completed(facts: Completed) -> Iterator[Block]:
    """What was completed and on what that rests."""
    yield from why(facts)
    yield Next(facts.next)


def why(facts: Completed) -> Iterator[Block]:
    """The record of a completion."""
    done = facts.record
    yield Text(f"{facts.module} is {done.kind}: {done.points} of {done.points_possible} points", "ok")
    yield Text(
        f"{done.passed} of {done.collected} tests passed, {done.skipped} skipped; {done.integration} more passed "
        f"from the package ({done.at}, tito {done.tito})"
    )
    yield Text(f"lesson   {done.source}  sha256 {done.source_hash}")
    yield Text(f"package  {done.export}  sha256 {done.export_hash}")


def initialised(facts: Initialised) -> Iterator[Block]:
    """A workspace that was made or updated."""
    if facts.updated:
        yield Text(
            f"{facts.root}: {counted(len(facts.written), 'file')} brought up to date; no lesson was touched", "ok"
        )
        for name in facts.written:
            yield Text(f"  {name}")
    else:
        yield Text(f"made {facts.root}: {len(facts.modules)} modules to solve and an empty tinytorch to fill", "ok")
    yield Next(facts.next)


def exported(facts: Exported) -> Iterator[Block]:
    """Package files and how they stand."""
    good = (ExportState.CURRENT, ExportState.WRITTEN)
    rows = [(name, file, Mark(state, "ok" if state in good else "bad")) for name, file, state in facts.rows]
    if not rows:
        yield Text("no module has been exported yet", "wait")
        yield Next("tito status")
        return
    yield Table(("module", "package file", "state"), rows)
    stale = [name for name, _, state in facts.rows if state not in good]
    yield Next(f"tito export {stale[0]}" if stale else "tito test --all")


def hint(facts: Hint) -> Iterator[Block]:
    """One rung."""
    if not facts.test:
        yield Text(f"every test of {facts.module} passes: there is nothing to hint at", "ok")
        yield Next(f"tito module complete {facts.module}")
        return
    yield Text(f"{facts.test}, hint {facts.rung} of {facts.rungs}", "head")
    yield Text(facts.text)
    last = facts.rung == facts.rungs
    yield Next(f"tito module {'test' if last else 'hint'} {facts.module}")


def solution(facts: Solution) -> Iterator[Block]:
    """The learner's cells beside the reference's."""
    for name, mine, theirs in facts.cells:
        yield Beside((f"{name}: yours", f"{name}: the reference"), (mine, theirs))


def difference(facts: Difference) -> Iterator[Block]:
    """A unified difference."""
    if facts.lines:
        yield Verbatim("\n".join(facts.lines))
    else:
        yield Text(f"{facts.module} is unchanged", "wait")


def points(facts: Points) -> Iterator[Block]:
    """Automatic points earned, manual questions answered."""
    yield _case_table(f"{facts.module}: automatic", facts.cases, facts.earned, facts.automatic)
    rows: list[Sequence[Field]] = [
        (
            q.grade_id,
            Mark("answered", "ok") if q.answered else Mark("placeholder", "wait"),
            str(q.words),
            f"?/{q.points}",
        )
        for q in facts.questions
    ]
    footer = ("total", "", "", f"?/{facts.manual}")
    yield Table(("question", "answer", "words", "points"), rows, "manual", frozenset({2, 3}), footer)
    yield Text(f"{facts.earned} of {facts.automatic} automatic points; {facts.manual} more are graded by a person")


def past(facts: Past) -> Iterator[Block]:
    """The recorded changes."""
    rows: list[Sequence[Field]] = [
        (str(e.number), e.at, f"tito {e.command}", "undone" if e.number in facts.undone else "", ", ".join(e.files))
        for e in facts.entries
    ]
    if rows:
        yield Table(("no", "when", "command", "", "files"), rows)
        yield Next("tito undo, or: tito undo NO")
    else:
        yield Text("nothing has been changed yet", "wait")


def undone(facts: Undone) -> Iterator[Block]:
    """A change that was taken back."""
    yield Text(f"took back change {facts.number}, tito {facts.command}: {', '.join(facts.files) or 'the record'}", "ok")
    yield Next("tito history")
