"""Reports for machines: JUnit XML and GitHub's annotations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from tito.errors import EnvironmentFault
from tito.report import CaseResult, Outcome, TestReport, Verdict


def check_target(path: Path | None) -> None:
    """EnvironmentFault when a report could not be written there: better said before the tests run than after."""
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise EnvironmentFault(f"{path} cannot be written.", "choose another --junit FILE")


def write_junit(path: Path, reports: Sequence[TestReport]) -> None:
    """Write one test suite a module; EnvironmentFault when the file cannot be written."""
    root = ElementTree.Element("testsuites")
    for report in reports:
        cases = report.cases or (CaseResult(report.module, "", 0, Outcome.NOT_RUN),)
        bad = (Outcome.FAILED, Outcome.TIMEOUT, Outcome.EXITED, Outcome.NOT_RUN)
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=report.module,
            tests=str(len(cases)),
            failures=str(sum(case.outcome in bad for case in cases)),
            skipped=str(sum(case.outcome is Outcome.SKIPPED for case in cases)),
            errors="0",
            time=f"{report.seconds:.3f}",
        )
        for case in cases:
            _add_case(suite, report, case)
    ElementTree.indent(root)
    try:
        path.write_text(
            '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n", "utf-8"
        )
    except OSError as error:
        raise EnvironmentFault(f"{path} cannot be written: {error.strerror}.", "choose another --junit FILE") from None


def _add_case(suite: ElementTree.Element, report: TestReport, case: CaseResult) -> None:
    place = report.file.removesuffix(".py").replace("/", ".")
    element = ElementTree.SubElement(suite, "testcase", classname=place, name=case.name, time=f"{case.seconds:.3f}")
    text = _printable(case.detail or report.detail)
    if case.outcome is Outcome.SKIPPED:
        ElementTree.SubElement(element, "skipped", message=_printable(case.message))
    elif case.outcome is not Outcome.PASSED:
        message = case.message or report.message or str(case.outcome)
        ElementTree.SubElement(element, "failure", type=str(case.outcome), message=_printable(message)).text = text
    if case.output:
        ElementTree.SubElement(element, "system-out").text = _printable(case.output)


def _printable(text: str) -> str:
    """The text without the characters that XML cannot carry."""
    return "".join(
        ch if ch in "\t\n" or " " <= ch <= "\ud7ff" or "\ue000" <= ch <= "\ufffd" or ch > "\uffff" else "?"
        for ch in text
    )


def github_annotations(reports: Sequence[TestReport]) -> Iterator[str]:
    """One GitHub workflow command for each test, or module, that did not pass."""
    for report in reports:
        if report.verdict is Verdict.PASSED:
            continue
        if report.message:
            yield _annotation(report.file, 1, report.module, f"{report.verdict}: {report.message}")
            continue
        for case in report.cases:
            if case.outcome is not Outcome.PASSED:
                yield _annotation(report.file, max(case.line, 1), case.name, f"{case.outcome}: {case.message}")


def _annotation(file: str, line: int, title: str, text: str) -> str:
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return f"::error file={file},line={line},title={title.replace(',', ' ').replace(':', ' ')}::{escaped}"
