"""Give a learner their own tinytorch, wherever this one is installed.

The package may be in site-packages while the learner's fills up in a workspace, a directory with
`.tito/workspace.json` and `tinytorch/__init__.py`. A program that runs in a workspace must import what was built there:
`python modules/03_layers/layers_dev.py`, a notebook kernel and an editor all put another directory on the path first.
"""

import contextlib
import importlib.util
import sys
from pathlib import Path

PACKAGE = __name__.partition(".")[0]
TOOLS = ("bin", "Scripts", "lib", "lib64", "Lib")  # where an environment keeps programs that are not the learner's


def learners_package(own: str) -> Path | None:
    """The `__init__.py` of the nearest workspace around the running program; None where that is `own`, or is none."""
    with contextlib.suppress(OSError):  # a directory that was deleted or may not be read holds no workspace
        start = _program()
        for folder in (start, *start.parents):
            found = folder / PACKAGE / "__init__.py"
            if found.is_file() and (folder / ".tito" / "workspace.json").is_file():
                return None if found.samefile(own) else found
    return None


def become(found: Path) -> None:
    """Execute another `__init__.py` of this package in place of the one that is being imported."""
    module = sys.modules[PACKAGE]
    spec = importlib.util.spec_from_file_location(PACKAGE, found, submodule_search_locations=[str(found.parent)])
    if spec is None or spec.loader is None:
        raise ImportError(f"{found} cannot be loaded", name=PACKAGE)
    for name in [name for name in sys.modules if name.startswith(f"{PACKAGE}.")]:
        del sys.modules[name]  # this file: the other package has its own
    for name in [name for name in vars(module) if not name.startswith("__")]:
        delattr(module, name)
    module.__spec__, module.__loader__ = spec, spec.loader
    module.__file__, module.__path__ = str(found), [str(found.parent)]
    module.__cached__ = spec.cached
    spec.loader.exec_module(module)


def _program() -> Path:
    """The directory of the running script; the current one without a script, or when that is a tool such as pytest."""
    for name in ("__mp_main__", "__main__"):  # the first while a process of multiprocessing starts
        file = getattr(sys.modules.get(name), "__file__", None)
        if file and not _is_tool(Path(file).resolve()):
            return Path(file).resolve().parent
    return Path.cwd()


def _is_tool(script: Path) -> bool:
    """Whether a script belongs to the environment: one in a workspace's .venv says nothing about what it works on."""
    prefix = Path(sys.prefix).resolve()
    return script.is_relative_to(prefix) and script.relative_to(prefix).parts[0] in TOOLS
