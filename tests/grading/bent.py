"""Submissions of 03_layers as editors, LMSs, accidents and attackers bend their files."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable

from grading.lessons import Page, at, ipynb, ipynb3, percent, solved
from grading.tricks import ALL, LESSON, NONE, Wanted, full, unreadable
from support import ROOT

NAME = "layers_dev.ipynb"
TESTS = list(ALL)


def page() -> Page:
    """The solved lesson, to be changed."""
    return json.loads(json.dumps(solved(LESSON)))  # type: ignore[no-any-return]


def edited(change: Callable[[Page], object]) -> Callable[[], bytes]:
    """A notebook after a change."""

    def make() -> bytes:
        cells = page()
        change(cells)
        return ipynb(cells)

    return make


def with_code(source: str) -> Callable[[], bytes]:
    """The solved notebook with one more cell."""
    return edited(lambda cells: cells.append({"cell_type": "code", "source": source, "metadata": {}}))


def text(change: Callable[[str], str | bytes]) -> Callable[[], bytes]:
    """The solved lesson as a .py file after a change of its text."""

    def make() -> bytes:
        changed = change(percent(page()).decode())
        return changed if isinstance(changed, bytes) else changed.encode()

    return make


def tabbed(line: str) -> str:
    """A line with a tab for every four spaces of its indentation."""
    plain = line.lstrip(" ")
    tabs, spaces = divmod(len(line) - len(plain), 4)
    return "\t" * tabs + " " * spaces + plain


def use_tabs(cells: Page) -> None:
    for cell in cells:
        if cell["cell_type"] == "code":
            cell["source"] = "\n".join(map(tabbed, cell["source"].split("\n")))


def indent(cells: Page) -> None:
    cell = cells[at(cells, "flatten")]
    cell["source"] = "\n".join(f"    {line}" if line else "" for line in cell["source"].split("\n"))


def delete_tests(cells: Page) -> None:
    for name in TESTS:
        del cells[at(cells, name)]


def empty_tests(cells: Page) -> None:
    for name in TESTS:
        cell = cells[at(cells, name)]
        cell["source"] = f"def {name.replace('-', '_')}():\n    pass"


def relock_tests(cells: Page) -> None:
    for name in TESTS:
        facts = cells[at(cells, name)]["metadata"]["nbgrader"]
        facts |= {"locked": False, "points": 1000, "solution": True, "grade": True}


def raise_points(cells: Page) -> None:
    cells[at(cells, "matmul")]["metadata"]["nbgrader"] |= {"grade": True, "points": 10**9}
    cells[at(cells, "matmul")]["source"] = "def matmul(A, B):\n    return None"


def rename_ids(cells: Page) -> None:
    one, other = (cells[at(cells, name)]["metadata"]["nbgrader"] for name in ("flatten", "test-flatten"))
    one["grade_id"], other["grade_id"] = other["grade_id"], one["grade_id"]


def strip_metadata(cells: Page) -> None:
    for cell in cells:
        cell["metadata"] = {}


def retype(name: str, kind: str) -> Callable[[Page], None]:
    def change(cells: Page) -> None:
        cells[at(cells, name)]["cell_type"] = kind

    return change


def delete(name: str) -> Callable[[Page], None]:
    return lambda cells: cells.pop(at(cells, name)) and None


def twice(cells: Page) -> None:
    cells += json.loads(json.dumps(cells))


def better_last(cells: Page) -> None:
    place = at(cells, "flatten")
    old = json.loads(json.dumps(cells[place]))
    old["source"] = "def flatten(x, start_dim=1, end_dim=-1):\n    return x"
    cells.insert(place, old)


def split(cells: Page) -> None:
    place = at(cells, "flatten")
    head, _, rest = cells[place]["source"].partition("\n\n\nclass Flatten")
    cells[place]["source"] = head
    cells.insert(place + 1, {"cell_type": "code", "source": "class Flatten" + rest, "metadata": {}})


def merge(cells: Page) -> None:
    first, second = at(cells, "linear"), at(cells, "dense")
    cells[first]["source"] += "\n\n\n" + cells[second]["source"]
    del cells[second]


def reverse(cells: Page) -> None:
    cells.reverse()


def many(source: str, **metadata: object) -> Callable[[Page], None]:
    """Nearly as many cells as a lesson may have; {0} is a cell's number, {1} the next one's."""

    def change(cells: Page) -> None:
        for number in range(4900):
            text = source.format(number, number + 1)
            cells.append({"cell_type": "code", "source": text, "metadata": dict(metadata)})

    return change


def paste_tensor(cells: Page) -> None:
    source = (ROOT / "tinytorch" / "core" / "tensor.py").read_text(encoding="utf-8")
    place = at(cells, "matmul")
    cells.insert(place, {"cell_type": "code", "source": source, "metadata": {}})


def large_outputs() -> bytes:
    document = json.loads(ipynb(page()))
    for cell in document["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x" * 100_000}]
    return json.dumps(document).encode()


def archive() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("bomb", b"\0" * (1 << 26))
    return stream.getvalue()


NESTED = (
    b'{"cells": [{"cell_type": "code", "source": "x", "metadata": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}]}"
)

# name: the file's ending, its bytes, the verdict; how code ends that Python cannot parse depends on its version
BENT: dict[str, tuple[str, Callable[[], bytes], Wanted]] = {
    "carriage returns": ("py", text(lambda source: source.replace("\n", "\r\n")), full()),
    "byte order mark": ("py", text(lambda source: "\ufeff" + source), full()),
    "utf-16": ("py", text(lambda source: source.encode("utf-16")), full(said="UTF-16")),
    "latin-1": ("py", text(lambda source: source.encode() + b"\n# caf\xe9\n"), full(said="not UTF-8")),
    "zeros": ("py", text(lambda source: source + "\n# \0\n"), full(said="NUL")),
    "tabs": ("ipynb", edited(use_tabs), full()),
    "an indented cell": ("ipynb", edited(indent), full(said="indented as a whole")),
    "older format": ("ipynb", lambda: ipynb3(page()), full(said="nbformat 3")),
    "another ending": ("py", lambda: ipynb(page()), full(said="holds a notebook")),
    "large outputs": ("ipynb", large_outputs, full()),
    "no tests": ("ipynb", edited(delete_tests), full(said="missing")),
    "empty tests": ("ipynb", edited(empty_tests), full(said="edited")),
    "unlocked tests": ("ipynb", edited(relock_tests), full()),
    "points of its own": ("ipynb", edited(raise_points), full(matmul=0)),
    "exchanged ids": ("ipynb", edited(rename_ids), full()),
    "no metadata": ("ipynb", edited(strip_metadata), full(said="lost")),
    "a solution as markdown": ("ipynb", edited(retype("dropout", "markdown")), full(said="run as code")),
    "a test as raw text": ("ipynb", edited(retype("test-dropout", "raw")), full(said="raw cell")),
    "a deleted solution": ("ipynb", edited(delete("flatten")), full(flatten=0, module_layers=0, said="missing")),
    "everything twice": ("ipynb", edited(twice), full(said="times")),
    "a better copy below": ("ipynb", edited(better_last), full(said="the last counts")),
    "a split solution": ("ipynb", edited(split), full()),
    "merged solutions": ("ipynb", edited(merge), full(said="merged")),
    "bottom to top": ("ipynb", edited(reverse), full(said="moved behind")),
    "the tensor module pasted in": ("ipynb", edited(paste_tensor), full()),
    "brackets": ("ipynb", with_code("x = " + "(" * 100_000 + ")" * 100_000), full(None)),
    "signs": ("ipynb", with_code("x = " + "-" * 200_000 + "1"), full(None)),
    "attributes": ("ipynb", with_code("x = a" + ".b" * 100_000), full(None)),
    "sums": ("ipynb", with_code("x = " + "+".join(["1"] * 100_000)), full(None)),
    "branches": ("ipynb", with_code("if 1:\n  pass\n" + "elif 1:\n  pass\n" * 20_000), full(None)),
    "fields": ("ipynb", with_code("x = f'" + "{1}" * 100_000 + "'"), full(None, slow=True)),
    "digits": ("ipynb", with_code("x = " + "9" * 100_000), full()),
    "a long line": ("ipynb", with_code("x = '" + "a" * 1_800_000 + "'"), full()),
    "a line of spaces": ("ipynb", with_code("%x\n" + " " * 390_000 + "\nx = ("), full()),
    "a marker of a megabyte": (
        "py",
        text(lambda source: source + "\n# %% " + 'a={"a" ' * 200_000 + "\nx = 1"),
        full(said="marker"),
    ),
    "thousands of cells": ("ipynb", edited(many("def helper_{0}():\n    return helper_{1}")), full()),
    "thousands of versions": (
        "ipynb",
        edited(many("matmul = lambda A, B: {0}\nx_{0} = x_{1}", nbgrader={"grade_id": "matmul"})),
        full(matmul=0, said="split in 4901"),
    ),
    "half a character": ("ipynb", with_code("x = '\ud800'"), full(said="no Unicode")),
    "too many cells": ("ipynb", edited(lambda cells: cells.extend(cells[:1] * 5000)), unreadable("cells")),
    "too much code": ("ipynb", with_code("#" * 2_000_001), unreadable("characters")),
    "an archive": ("ipynb", archive, unreadable("ZIP")),
    "nested lists": ("ipynb", lambda: b'{"cells": ' + b"[" * 200_000, unreadable("too deeply")),
    "nested metadata": ("ipynb", lambda: NESTED, unreadable("too deeply")),
    "half a notebook": ("ipynb", lambda: ipynb(page())[:-5000], unreadable("damaged")),
    "no notebook": ("ipynb", lambda: b'{"points": 50}', unreadable("without cells")),
    "a web page": ("ipynb", lambda: b"<!DOCTYPE html><html>login</html>", unreadable("HTML")),
    "nothing": ("py", lambda: b"", unreadable("empty")),
    "noise": ("py", lambda: bytes(range(256)) * 100, Wanted(NONE)),
}
