"""HTML pages that need nothing but themselves: no script, no network, light or dark as the reader has it."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from tito.grading.books.grades import storable

_STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --soft: #5b616b; --line: #d5d9e0; --page: #ffffff; --box: #f4f6f9;
  --good: #1a6b3c; --bad: #a8261c; --bar: #3f6fb5; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ec; --soft: #a2a9b5; --line: #3a414d; --page: #15181d;
  --box: #1e232b; --good: #6fcf97; --bad: #ff9187; --bar: #7aa5e6; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem; max-width: 60rem; background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .3rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; }
h3 { font-size: 1rem; margin: 0; }
p { margin: .4rem 0; }
.soft { color: var(--soft); }
.good { color: var(--good); }
.bad { color: var(--bad); }
.box { background: var(--box); border: 1px solid var(--line); border-radius: .4rem; padding: .7rem .9rem;
  margin: .7rem 0; }
.head { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1rem; }
.number, th.number, td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th.number, td.number { padding-right: 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .6rem .3rem 0; text-align: left; vertical-align: top; }
th { font-weight: 600; }
pre { margin: .5rem 0 0; padding: .6rem; overflow-x: auto; border: 1px solid var(--line); border-radius: .3rem;
  background: var(--page); font: .85rem/1.45 ui-monospace, monospace; overflow-wrap: normal; }
pre.prose { white-space: pre-wrap; font: inherit; overflow-wrap: anywhere; }
ul { margin: .4rem 0; padding-left: 1.3rem; }
summary { cursor: pointer; margin-top: .5rem; }
.bar { display: block; height: .8rem; min-width: 1px; background: var(--bar); }
@media print { body { max-width: none; } .box { break-inside: avoid; } }
"""


# The signs for control characters, which browsers drop, obey or show as nothing.
_VISIBLE = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"}
_VISIBLE |= {0x7F: 0x2421} | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)


def text(value: str) -> str:
    """Text that is shown as it is, whatever stands in it."""
    return html.escape(storable(value).replace("\r\n", "\n").translate(_VISIBLE))


def tag(name: str, *inner: str, css: str = "") -> str:
    """An element around HTML."""
    kind = f' class="{css}"' if css else ""
    return f"<{name}{kind}>{''.join(inner)}</{name}>"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], right: frozenset[int] = frozenset()) -> str:
    """A table of cells that are HTML already; the columns in `right` hold numbers."""

    def row(kind: str, cells: Sequence[str]) -> str:
        return tag("tr", *(tag(kind, cell, css="number" if at in right else "") for at, cell in enumerate(cells)))

    head = tag("thead", row("th", [text(column) for column in columns]))
    return tag("div", tag("table", head, tag("tbody", *(row("td", cells) for cells in rows))), css="scroll")


def document(title: str, *body: str) -> str:
    """A whole page."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "".join(f"{part}\n" for part in body)
        + "</body>\n</html>\n"
    )
