"""Code that a plain Python cannot read because of tabs, invisible characters or notebook commands, put right."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from tito.grading.submission.names import MAX_PARSED, names_of

_INVISIBLE = {0xA0: " ", 0x2007: " ", 0x202F: " ", 0x200B: None, 0x200C: None, 0x200D: None, 0x2060: None, 0xFEFF: None}
_REST = r"(?:[^\n]*\\\n)*[^\n]*"  # of a command, which a backslash continues
# A line that begins with % or != may also go on with an expression that stands in brackets.
_COMMAND = re.compile(rf"^([ \t]*)((?:%%?[A-Za-z_]|!(?!=)|\?){_REST}|[\w.]+\?{{1,2}}[ \t]*)$", re.MULTILINE)
_ANY_COMMAND = re.compile(rf"^([ \t]*)([%!?]{_REST}|[\w.]+\?{{1,2}}[ \t]*)$", re.MULTILINE)
_TIMED = re.compile(r"^([ \t]*)%time[ \t]+(?=\S)", re.MULTILINE)
_RESULT = re.compile(rf"^([ \t]*[\w.][\w., \t]*=[ \t]*)([%!]{_REST})$", re.MULTILINE)
_PROMPT = re.compile(r"^[ \t]*(?:>>>|\.\.\.|In \[\d*\]:|\.\.\.+:)(?:[ ]|$)", re.MULTILINE)
_Change = Callable[[str], tuple[str, str]]  # of code: what it becomes, and a sentence on that
_TIMING = ("time", "timeit", "capture", "prun")
# Commands below which there is no code of the lesson, even if it can be read as Python.
_ELSEWHERE = (
    *("bash", "cmd", "file", "html", "javascript", "js", "latex", "markdown", "perl", "pypy", "python", "python2"),
    *("python3", "ruby", "script", "sh", "sql", "svg", "system", "sx", "writefile"),
)


def runnable(source: str) -> tuple[str, str]:
    """The code as Python reads it, and a sentence on what was changed, empty when nothing was."""
    if len(source) > MAX_PARSED or names_of(source).parses:
        return source, ""
    alone: list[list[_Change]] = [[change] for change in (*_COMMANDS, *_TABS, *_OTHERS)]
    together = [[*_OTHERS, commands, tabs] for commands in _COMMANDS for tabs in _TABS]
    for changes in alone + together:
        text, notes = source, list[str]()
        for change in changes:
            changed, note = change(text)
            if changed != text:
                text = changed
                notes.append(note)
        if notes and names_of(text).parses:
            return text, " ".join(notes)
    return source, ""


def _spaced(source: str, width: int) -> tuple[str, str]:
    """The code with the tabs of each line's indentation expanded."""
    text = re.sub(r"^[ \t]+", lambda match: match[0].expandtabs(width), source, flags=re.MULTILINE)
    return text, f"tabs and spaces are mixed in its indentation; tabs were read as {width} columns."


def _visible(source: str) -> tuple[str, str]:
    told = "invisible characters (such as no-break spaces) were read as spaces or left out."
    return source.translate(_INVISIBLE), told


def _without_prompts(source: str) -> tuple[str, str]:
    """The code without the prompts of an interactive session, which a notebook leaves out too."""
    return _PROMPT.sub("", source), "the prompts of an interactive session, such as '>>>', were left out."


def outdented(source: str) -> str:
    """The code without the indentation of its first line, which a notebook leaves out too."""
    first = source.lstrip("\n")
    margin = first[: len(first) - len(first.lstrip(" \t"))]
    return re.sub(f"^{margin}", "", source, flags=re.MULTILINE) if margin else source


def _without_commands(source: str, command: re.Pattern[str]) -> tuple[str, str]:
    """The code with IPython's commands as comments, as jupytext writes them."""
    found = command.search(source) or _RESULT.search(source)
    if found is None:
        return source, ""
    told = f"commands of the notebook, such as {found[2].strip()[:40]!r}, were left out."
    if source.lstrip().startswith("%%") and not _measured(source.lstrip()):
        return "\n".join(f"# {line}" for line in source.split("\n")), told  # a cell of another language
    source = _RESULT.sub(_without_result, _TIMED.sub(r"\1", source))
    return command.sub(lambda match: f"{match[1]}{'pass  ' if match[1] else ''}{_comment(match[2])}", source), told


def _measured(source: str) -> bool:
    """Whether a cell that begins with a command such as %%time has code of the lesson below it."""
    line, _, body = source.partition("\n")
    name = re.sub(r"\W.*", "", line[2:]).lower()
    return name in _TIMING or (name not in _ELSEWHERE and names_of(body).parses)


def _comment(command: str) -> str:
    return "\n".join(f"# {line}" for line in command.split("\n"))


def _without_result(found: re.Match[str]) -> str:
    """An assignment of what a command gives: a list of lines if it is one of the system's."""
    return f"{found[1]}{'[]' if found[2][0] == '!' else 'None'}  {_comment(found[2])}"


_COMMANDS: tuple[_Change, ...] = tuple(partial(_without_commands, command=each) for each in (_COMMAND, _ANY_COMMAND))
_OTHERS: tuple[_Change, ...] = (_visible, _without_prompts)
_TABS: tuple[_Change, ...] = (partial(_spaced, width=8), partial(_spaced, width=4))
