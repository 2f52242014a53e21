"""Code that a plain Python cannot read because of tabs, invisible characters or notebook commands, put right."""

from __future__ import annotations

import re

from tito.grading.submission.names import MAX_PARSED, names_of

_INVISIBLE = {0xA0: " ", 0x2007: " ", 0x202F: " ", 0x200B: None, 0x200C: None, 0x200D: None, 0x2060: None, 0xFEFF: None}
_COMMAND = re.compile(r"^([ \t]*)((?:%|!|\?)[^\n]*|[\w.]+\?{1,2}[ \t]*)$", re.MULTILINE)
_TIMED = re.compile(r"^([ \t]*)%time[ \t]+(?=\S)", re.MULTILINE)
_RESULT = re.compile(r"^([ \t]*[\w.][\w., \t]*=[ \t]*)([%!][^\n]*)$", re.MULTILINE)
_TIMING = ("%%time", "%%timeit", "%%capture", "%%prun")


def runnable(source: str) -> tuple[str, str]:
    """The code as Python reads it, and a sentence on what was changed, empty when nothing was."""
    if len(source) > MAX_PARSED or names_of(source).parses:
        return source, ""
    found = _COMMAND.search(source) or _RESULT.search(source)
    command = found[2].strip() if found else ""
    told = f"commands of the notebook, such as {command[:40]!r}, were left out."
    attempts = [(_without_commands(source), told)] if command else []
    if "\t" in source:
        told = "tabs and spaces are mixed in its indentation; tabs were read as {} columns."
        attempts += [(_spaced(source, width), told.format(width)) for width in (8, 4)]
    if (plain := source.translate(_INVISIBLE)) != source:
        attempts.append((plain, "invisible characters (such as no-break spaces) were read as spaces or left out."))
    for attempt, note in attempts:
        if names_of(attempt).parses:
            return attempt, note
    return source, ""


def _spaced(source: str, width: int) -> str:
    """The code with the tabs of each line's indentation expanded."""
    return re.sub(r"^[ \t]+", lambda match: match[0].expandtabs(width), source, flags=re.MULTILINE)


def _without_commands(source: str) -> str:
    """The code with IPython's commands as comments, as jupytext writes them."""
    if source.lstrip().startswith("%%") and not source.lstrip().startswith(_TIMING):
        return "\n".join(f"# {line}" for line in source.split("\n"))  # a cell of another language
    source = _RESULT.sub(r"\1None  # \2", _TIMED.sub(r"\1", source))
    return _COMMAND.sub(lambda match: f"{match[1]}{'pass  ' if match[1] else ''}# {match[2]}", source)
