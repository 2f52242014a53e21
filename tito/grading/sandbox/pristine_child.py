"""What a lesson could change in the interpreter, kept as it was: probes rest on this, and not on what a student left.

Part of the program that `zygote_child.py` starts, made there before any lesson runs.
"""

from __future__ import annotations

import builtins
import importlib
import sys
import warnings
from collections.abc import Iterable
from types import FunctionType, MemberDescriptorType, ModuleType
from typing import Any

globals()["__builtins__"] = dict(vars(builtins))  # functions below keep these whatever a lesson does to builtins

_PLAIN = ("contextlib", "copy", "functools", "io", "itertools", "math", "operator", "re", "types")
_ARRAYS = ("numpy", "numpy._core.numeric", "numpy._core.fromnumeric", "numpy._core._methods")
_REDUCTIONS = ("all", "any", "sum", "prod", "mean", "std", "var", "max", "min")
_CODE = ("__code__", "__defaults__", "__kwdefaults__")


class Pristine:
    """Copies of modules and of the built-in functions, and what the package's classes and functions consisted of."""

    def __init__(self, imports: Iterable[str], package: str) -> None:
        tops = {name.partition(".")[0] for name in (*imports, *_PLAIN)}
        for name in _PLAIN:
            importlib.import_module(name)
        found = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in tops}
        self.found, self.all = found, dict(sys.modules)
        self.modules = {name: _copy(module) for name, module in found.items()}
        for module in self.modules.values():
            for name, value in vars(module).items():
                if isinstance(value, ModuleType) and found.get(value.__name__) is value:
                    vars(module)[name] = self.modules[value.__name__]
        self.builtins = {**vars(builtins), "__import__": self.imported}
        self.import_ = builtins.__import__
        self.errors, self.filters = self.modules["numpy"].geterr(), list(warnings.filters)
        array = self.modules["numpy"].zeros(1)
        for name in _REDUCTIONS:  # arrays look the function behind each up at its first call, and never again
            getattr(array, name)()
        self.contents: list[tuple[ModuleType, dict[str, Any]]] = []  # of modules, whose functions look names up there
        self.kept: list[tuple[Any, str, Any]] = []
        for name, module in found.items():
            ours = (getattr(module, "__file__", None) or "").startswith(package)
            if ours or name in _PLAIN or name in _ARRAYS:
                self.contents.append((module, dict(vars(module))))
            if ours or name in _ARRAYS:
                self._keep(module, ours)

    def _keep(self, module: ModuleType, ours: bool) -> None:
        """Note what the functions and, of the course's package, the classes of a module consist of."""
        for value in vars(module).values():
            inner = getattr(value, "_implementation", value)  # NumPy's functions are wrapped
            if isinstance(inner, FunctionType) and inner.__module__ == module.__name__:
                self.kept += [(inner, name, getattr(inner, name)) for name in _CODE]
            elif ours and isinstance(value, type) and value.__module__ == module.__name__:
                self.kept += [(value, name, part) for name, part in vars(value).items() if _is_code(part)]

    def imported(self, name: str, *rest: Any) -> ModuleType:
        """`__import__` for probes: the copies, and the real thing for what has none."""
        if name not in self.modules or (len(rest) > 3 and rest[3]):
            for each in {name.partition(".")[0], name} & self.all.keys():
                sys.modules[each] = self.all[each]
            return self.import_(name, *rest)
        return self.modules[name if len(rest) > 2 and rest[2] else name.partition(".")[0]]

    def restore(self) -> None:
        """Put modules back to their places, and functions, classes and settings into the state in which they were."""
        # Touching a module copies its page: the others come back when probes import them, or all if some are missing.
        sys.modules.update(self.all if len(sys.modules) < len(self.all) else self.found)
        for module, contents in self.contents:  # importlib.reload gives them new classes
            vars(module).update(contents)
        self.modules["numpy"].seterr(**self.errors)
        warnings.resetwarnings()
        warnings.filters.extend(self.filters)  # type: ignore[attr-defined]
        for owner, name, value in self.kept:
            have = vars(owner).get(name) if isinstance(owner, type) else getattr(owner, name)
            if have is not value:
                setattr(owner, name, value)


def _copy(module: ModuleType) -> ModuleType:
    """Another module object with the same contents."""
    copy = ModuleType(module.__name__)
    vars(copy).update(vars(module))
    return copy


def _is_code(part: object) -> bool:
    return isinstance(part, FunctionType | MemberDescriptorType | property | classmethod | staticmethod)
