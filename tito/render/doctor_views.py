"""What `tito doctor` and `tito config` show."""

from __future__ import annotations

from collections.abc import Iterator

from tito.doctor import Examination, SettingsShown
from tito.render.blocks import Block, Next, Table, Text


def doctor(facts: Examination) -> Iterator[Block]:
    """Each check on a line, then what to do."""
    words = {"ok": "ok", "warn": "look", "bad": "wrong"}
    for check in facts.checks:
        yield Text(f"{words[check.state]:<6}{check.name}: {check.seen}", check.state)
        if check.hint:
            yield Next(check.hint)
    bad = sum(check.state == "bad" for check in facts.checks)
    yield Text(
        f"{bad} of {len(facts.checks)} checks found something wrong" if bad else "nothing is wrong",
        "bad" if bad else "ok",
    )


def settings(facts: SettingsShown) -> Iterator[Block]:
    """Each setting with its value."""
    columns = ("setting", "value", "origin", "meaning") if facts.origin else ("setting", "value", "meaning")
    rows = []
    for setting in facts.settings:
        value = setting.value or "(not set)"
        middle = (setting.origin,) if facts.origin else ()
        rows.append((setting.name, value, *middle, setting.help))
    yield Table(columns, rows)
