"""How a door works: a module whose names are looked up, on first use, in the files that lessons export.

The package fills one file at a time, so a door must answer for names that do not exist yet. It says which module of
the course builds them. Once a file is there, whatever goes wrong inside it surfaces unchanged.
"""

import difflib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import NamedTuple

# Package file -> the module of the course that builds it. A test holds this against course.toml.
BUILDERS = {
    "core.tensor": "01_tensor",
    "core.activations": "02_activations",
    "core.layers": "03_layers",
    "core.losses": "04_losses",
    "core.dataloader": "05_dataloader",
    "core.autograd": "06_autograd",
    "core.optimizers": "07_optimizers",
    "core.training": "08_training",
    "core.normalization": "09_normalization",
    "core.spatial": "10_spatial",
    "core.tokenization": "11_tokenization",
    "core.embeddings": "12_embeddings",
    "core.attention": "13_attention",
    "core.transformers": "14_transformers",
    "perf.profiling": "15_profiling",
    "perf.acceleration": "16_acceleration",
    "perf.quantization": "17_quantization",
    "perf.compression": "18_compression",
    "perf.caching": "19_caching",
    "capstone": "20_capstone",
}
PACKAGE = __name__.partition(".")[0]


class Place(NamedTuple):
    """Where a name lives: the package file, the module of the course that builds it, the name in it ("": the file)."""

    file: str  # "core.layers"
    builder: str  # "03_layers"
    name: str  # "Linear"


def places(listed: Mapping[str, str]) -> dict[str, Place]:
    """{"core.losses": "MSELoss BCELoss=BinaryCrossEntropyLoss"} -> a place for MSELoss and one for BCELoss."""
    found = {}
    for file, words in listed.items():
        for word in words.split():
            offered, _, name = word.partition("=")
            found[offered] = Place(file, BUILDERS[file], name or offered)
    return found


def files_in(folder: str) -> dict[str, Place]:
    """The files that lessons export into a folder of the package ("" is its top): files_in("core")["layers"]."""
    split = {file: file.rpartition(".") for file in BUILDERS}
    return {name: Place(file, BUILDERS[file], "") for file, (where, _, name) in split.items() if where == folder}


def is_built(file: str) -> bool:
    """Whether a lesson has been exported to this file of the package."""
    return importlib.util.find_spec(f"{PACKAGE}.{file}") is not None


def open_door(
    door: str, table: Mapping[str, Place], parts: Iterable[str] = ()
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a door, from the places of its names and its own submodules."""
    parts = tuple(parts)

    def get(name: str) -> object:
        if name == "__all__":
            return listing()
        if name in parts:
            return importlib.import_module(f"{door}.{name}")
        if name in table:
            return _fetch(f"{door}.{name}", table[name])
        raise AttributeError(f"{door} has no {name}.{_suggestion(name, (*table, *parts))}")

    def listing() -> list[str]:
        built = {place.file: is_built(place.file) for place in table.values()}
        return sorted([*parts, *(name for name, place in table.items() if built[place.file])])

    return get, listing


def _fetch(asked: str, place: Place) -> object:
    full = f"{PACKAGE}.{place.file}"
    module = sys.modules.get(full)
    if module is None:
        if not is_built(place.file):
            raise ImportError(
                f"{asked} is built in {place.builder}, which is not built yet. next: tito module test {place.builder}",
                name=full,
            )
        module = _import(full)
    if not place.name:
        return module
    try:
        return getattr(module, place.name)
    except AttributeError:
        raise ImportError(
            f"{asked} is built in {place.builder}, but {module.__file__} does not define {place.name}. "
            f"next: tito module complete {place.builder}",
            name=full,
        ) from None


def _import(full: str) -> ModuleType:
    try:
        return importlib.import_module(full)
    except AttributeError as error:  # `from door import name` would make "cannot import name" of it
        raise ImportError(f"{full} cannot be imported: AttributeError: {error}", name=full) from error


def _suggestion(name: str, offered: Iterable[str]) -> str:
    if name.startswith("__"):
        return ""
    plain = {each.lower(): each for each in offered}
    close = difflib.get_close_matches(name.lower(), plain, n=1, cutoff=0.6)
    return f" did you mean {plain[close[0]]}?" if close else ""
