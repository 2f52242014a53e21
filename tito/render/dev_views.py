"""What `tito dev` shows."""

from __future__ import annotations

from collections.abc import Iterator

from tito.lint.findings import RULES, Findings
from tito.render.blocks import Block, Next, Text


def findings(facts: Findings) -> Iterator[Block]:
    """Each finding on a line with its rule, as linters do."""
    for found in facts.findings:
        yield Text(f"{found.module}:{found.line}: {found.code} {found.text}", "bad")
    for code in sorted({found.code for found in facts.findings}):
        yield Text(f"{code}: {RULES[code]}", "wait")
    count = len(facts.findings)
    what = f"{len(facts.modules)} module{'' if len(facts.modules) == 1 else 's'}, {len(facts.rules)} rules"
    yield Text(f"{what}: {count or 'no'} finding{'' if count == 1 else 's'}", "bad" if count else "ok")
    first = next((found for found in facts.findings if found.code != "T25"), None)
    unexported = facts.findings[0].module if facts.findings else "--check"
    yield Next(f"tito dev check {first.module}" if first else f"tito export {unexported}")
