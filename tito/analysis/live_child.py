"""What runs in the child process: the learner's model is made, fed once and watched; what was seen is written as JSON.

Started by path with a file of requests; imports nothing of tito, so that what it sees rests on the learner's
files alone. The learner's prints go to stderr: stdout is not read by anyone.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any

#: Attributes that are asked for by name, because they may be properties.
ASKED = (
    *("in_features", "out_features", "input_size", "output_size", "in_channels", "out_channels"),
    *("kernel_size", "pool_size", "stride", "padding", "groups", "dilation", "p", "num_heads", "embed_dim"),
    *("vocab_size", "num_embeddings", "embedding_dim", "max_seq_len", "normalized_shape", "ceil_mode"),
)
WEIGHTS = ("weight", "weights", "bias", "gamma", "beta", "kernel")
BUFFERS = ("running_mean", "running_var")
CONTAINERS = {"Sequential", "ModuleList", "ModuleDict"}


class Refused(Exception):
    """The request cannot be met, for a reason that is not an exception of the learner's."""

    def __init__(self, kind: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.facts = {"error": kind, "message": message, "hint": hint}


def load(request: dict[str, Any]) -> Any:
    """The object that was named: a file's or a module's attribute."""
    if request["file"]:
        path = Path(request["file"])
        sys.path.insert(0, str(path.parent))
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None:
            raise Refused("usage", f"{path.name} is not a Python file")
        found: Any = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = found
        spec.loader.exec_module(found)
    else:
        name = request["module"]
        if _missing(name):
            raise Refused(
                "usage",
                f"there is no module {name}",
                "export the lesson that makes it: tito status"
                if name.startswith("tinytorch.")
                else "it is looked for from the workspace's root, then from the current directory",
            )
        found = importlib.import_module(name)
    where: ModuleType = found
    for part in request["attribute"].split("."):
        if not hasattr(found, part):
            raise Refused(
                "usage", f"{request['written']}: there is no {part}", f"{where.__name__} has {_offered(where)}"
            )
        found = getattr(found, part)
    return made(found, request["written"])


def _missing(name: str) -> bool:
    """Whether a module, or a package above it, cannot be found (an import that fails inside is another matter)."""
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        try:
            if importlib.util.find_spec(".".join(parts[:length])) is None:
                return True
        except ModuleNotFoundError:
            return True
    return False


def _offered(where: ModuleType) -> str:
    """Names in a module that could be meant."""
    own = [
        name
        for name, value in vars(where).items()
        if not name.startswith("_")
        and getattr(value, "__module__", where.__name__) == where.__name__
        and not isinstance(value, ModuleType | int | float | str)
    ]
    return ", ".join(own[:8]) or "nothing that could be a model"


def made(found: Any, written: str) -> Any:
    """The model itself: a class is instantiated and a function called, without arguments."""
    if not isinstance(found, type | FunctionType | MethodType):
        return found
    needed = [
        parameter.name
        for parameter in _parameters(found)
        if parameter.default is parameter.empty and parameter.kind in (0, 1, 3)
    ]
    if needed:
        raise Refused(
            "usage",
            f"{written} needs arguments: {', '.join(needed)}",
            "name a function without parameters that returns the model",
        )
    model = found()
    if model is None:
        raise Refused("learner", f"{written} returned None", "a function named here returns the model")
    return model


def _parameters(found: Any) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(found).parameters.values())
    except (TypeError, ValueError):
        return []


def is_layer(value: Any) -> bool:
    """Something with a forward pass, which is not a tensor, a class or a function."""
    if isinstance(value, type | FunctionType | MethodType | ModuleType) or array_of(value) is not None:
        return False
    if not hasattr(value, "__dict__"):  # an operation of the framework, a lock, ...
        return False
    return callable(getattr(value, "forward", None)) or (
        callable(value) and type(value).__module__ not in ("builtins", "functools", "numpy")
    )


def array_of(value: Any) -> Any:
    """The array in a tensor, or the array itself; None for anything else."""
    if type(value).__name__ == "ndarray":
        return value
    data = getattr(value, "data", None)
    return data if type(data).__name__ == "ndarray" else None


def members(layer: Any) -> Iterator[tuple[str, Any]]:
    """What a layer holds, by name; registries, lists and dictionaries are opened."""
    for name, value in list(getattr(layer, "__dict__", {}).items()):
        if isinstance(value, dict):
            inside = [(str(key), item) for key, item in value.items()]
        elif isinstance(value, list | tuple):
            inside = [(str(number), item) for number, item in enumerate(value)]
        else:
            yield name, value
            continue
        for key, item in inside:
            yield (key if name.startswith("_") or name in ("layers", "modules") else f"{name}.{key}"), item


def layers_of(model: Any) -> list[tuple[str, Any]]:
    """Every layer in a model, each once, by its path; the model itself is first and has no name."""
    found, seen, waiting = [], set(), [("", model)]
    while waiting:
        name, layer = waiting.pop(0)
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        found.append((name, layer))
        inner = [(f"{name}.{key}" if name else key, value) for key, value in members(layer) if is_layer(value)]
        waiting = inner + waiting
    return found


def learned(model: Any) -> set[int]:
    """Identities of the parameters, as the model itself lists them; empty when it cannot."""
    listing = getattr(model, "parameters", None)
    if not callable(listing):
        return set()
    return {id(parameter) for parameter in listing()}


def arrays(layer: Any, known: set[int]) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]]:
    """A layer's own parameters and buffers."""
    own, buffers, seen = [], [], set()
    for name, value in members(layer):
        if array_of(value) is None or id(value) in seen:
            continue
        seen.add(id(value))
        last = name.rpartition(".")[2]
        if id(value) in known or (not known and last in WEIGHTS):
            own.append((name, value))
        elif last in BUFFERS:
            buffers.append((name, value))
    return own, buffers


def simple(value: Any) -> Any:
    """A setting that can be written as JSON; None for anything else."""
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list) and len(value) <= 4 and all(isinstance(item, int) for item in value):
        return list(value)
    return None


def settings(layer: Any) -> dict[str, Any]:
    """A layer's numbers: kernel sizes, probabilities, heads."""
    found = {name: simple(value) for name, value in getattr(layer, "__dict__", {}).items() if not name.startswith("_")}
    for name in ASKED:
        with contextlib.suppress(Exception):
            found.setdefault(name, simple(getattr(layer, name, None)))
    return {name: value for name, value in found.items() if value is not None}


class Watch:
    """Wraps each layer's forward pass and notes who called whom, with what, and for how long."""

    def __init__(self, layers: list[tuple[str, Any]]) -> None:
        self.calls: list[dict[str, Any]] = []
        self.ops: list[dict[str, Any]] = []
        self.observing = False
        self.order = 0  # of calls and operations together
        self.stack: list[int] = []
        self.kept: list[Any] = []  # so that no address is used twice
        self.numbers = {id(layer): number for number, (_, layer) in enumerate(layers)}
        self.timing = False
        self.seconds: dict[int, list[float]] = {}
        self.at = 0
        for number, (_, layer) in enumerate(layers):
            self.wrap(layer, number)

    def wrap(self, layer: Any, number: int) -> None:
        """Put a note-taking function in front of this one object's forward pass."""
        name = "forward" if callable(getattr(layer, "forward", None)) else "__call__"
        inner = getattr(layer, name)
        if name == "__call__" or not hasattr(layer, "__dict__"):
            self.wrap_class(type(layer), name)
        else:
            layer.__dict__[name] = self.noted(inner, number)

    def wrap_class(self, kind: Any, name: str) -> None:
        """The same for a class whose objects are called without a forward of their own."""
        inner = getattr(kind, name)
        if getattr(inner, "_noted", False):
            return

        def call(layer: Any, *inputs: Any, **options: Any) -> Any:
            number = self.numbers.get(id(layer))
            if number is None:
                return inner(layer, *inputs, **options)
            return self.run(lambda *given, **more: inner(layer, *given, **more), number, inputs, options)

        call._noted = True  # type: ignore[attr-defined]
        setattr(kind, name, call)

    def noted(self, inner: Callable[..., Any], number: int) -> Callable[..., Any]:
        """The wrapped function."""

        def forward(*inputs: Any, **options: Any) -> Any:
            return self.run(inner, number, inputs, options)

        return forward

    def run(self, inner: Callable[..., Any], number: int, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Call, and note."""
        if self.timing:
            return self.timed(inner, inputs, options)
        call: dict[str, Any] = {"layer": number, "parent": self.stack[-1] if self.stack else None}
        call["order"] = self.next()
        call["inputs"] = [note for value in inputs if (note := self.note(value))]
        index = len(self.calls)
        self.calls.append(call)
        self.stack.append(index)
        try:
            result = inner(*inputs, **options)
        finally:
            self.stack.pop()
        first = result[0] if isinstance(result, tuple | list) and result else result
        call["output"] = self.note(first)
        return result

    def timed(self, inner: Callable[..., Any], inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Call, and note the time under the number that this call had when it was watched."""
        index, self.at = self.at, self.at + 1
        started = time.perf_counter()
        result = inner(*inputs, **options)
        self.seconds.setdefault(index, []).append(time.perf_counter() - started)
        return result

    def note(self, value: Any) -> dict[str, Any] | None:
        """Where an array lies and its shape; a reshaped view has the same place and size."""
        array = array_of(value)
        if array is None:
            return None
        self.kept.append(array)
        place = array.__array_interface__["data"][0]
        return {"tensor": f"{place}:{array.size}", "shape": list(array.shape)}

    def next(self) -> int:
        """The next place in the order of what happens."""
        self.order += 1
        return self.order

    def op(self, name: str, inputs: Any, output: Any) -> None:
        """An operation that the framework's own observer saw, with the call that it happened in."""
        if self.timing:
            return
        call = self.stack[-1] if self.stack else None
        seen = {"op": name, "call": call, "order": self.next(), "output": self.note(output)}
        self.ops.append(seen | {"inputs": [note for one in inputs if (note := self.note(one))]})


def tensor_class(model: Any, layers: list[tuple[str, Any]], known: set[int]) -> Any:
    """The class that the model computes with: its parameters' own, or the workspace's; None for bare arrays."""
    for _, layer in layers:
        for _, value in arrays(layer, known)[0]:
            if type(value).__name__ == "ndarray":
                return None
            return next((kind for kind in type(value).__mro__ if kind.__name__ == "Tensor"), type(value))
    with contextlib.suppress(ImportError):
        return importlib.import_module("tinytorch.core.tensor").Tensor
    return None


def fed(model: Any, layers: list[tuple[str, Any]], request: dict[str, Any], kind: Any) -> Any:
    """One batch (of token 0 for a model of tokens) in the shape asked for, or that the first layer tells."""
    import numpy

    shape, tokens = asked_shape(layers, request)
    batch = request["batch"]
    if tokens:
        data = numpy.zeros((batch, *shape), dtype=numpy.int64)
    else:
        data = numpy.random.default_rng(0).standard_normal((batch, *shape)).astype(numpy.float32)
    request["shape"], request["tokens"] = list(shape), tokens
    if kind is None:
        return data
    try:
        return kind(data, dtype=data.dtype)
    except TypeError:
        return kind(data)


def asked_shape(layers: list[tuple[str, Any]], request: dict[str, Any]) -> tuple[tuple[int, ...], bool]:
    """The input's shape without the batch, and whether it is token numbers."""
    given, seq = request["input"], request["seq"]
    first = next((layer for _, layer in layers if type(layer).__name__ not in CONTAINERS and leaf(layer)), None)
    facts = settings(first) if first is not None else {}
    kind = type(first).__name__
    tokens = "vocab_size" in facts or "num_embeddings" in facts or kind.startswith("Embedding")
    if given:
        return tuple(given), tokens
    if seq and tokens:
        return (seq,), True
    if tokens:
        longest = next((settings(layer).get("max_seq_len") for _, layer in layers), None)
        if isinstance(longest, int):
            return (longest,), True
        raise Refused("usage", f"{kind} comes first and needs the number of tokens", "for example --seq 128")
    for name in ("in_features", "input_size", "embed_dim"):
        if isinstance(facts.get(name), int):
            return ((seq, facts[name]) if seq else (facts[name],)), False
    channels = facts.get("in_channels")
    example = f"{channels}x32x32" if isinstance(channels, int) else "784"
    raise Refused(
        "usage", f"{kind} comes first and does not say what shape it is fed", f"for example --input {example}"
    )


def leaf(layer: Any) -> bool:
    """A layer without layers in it."""
    return not any(is_layer(value) for _, value in members(layer))


@contextlib.contextmanager
def observed(watch: Watch) -> Iterator[None]:
    """The framework's own observer of operations, when it has one."""
    tensors = sys.modules.get("tinytorch.core.tensor")
    observe = getattr(tensors, "observe_ops", None)
    if observe is None:
        yield
        return

    def seen(*facts: Any, **_: Any) -> None:
        watch.op(str(getattr(facts[0], "name", "")), facts[1], facts[-1])

    watch.observing = True
    with observe(seen):
        yield


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Make the model, feed it, and tell what was seen."""
    model = load(request)
    if not is_layer(model):
        raise Refused(
            "usage",
            f"{request['written']} is {type(model).__name__}, which has no forward pass",
            "name a model, a class, or a function that returns one",
        )
    layers, known = layers_of(model), learned(model)
    facts = [described(name, layer, known) for name, layer in layers]
    if callable(getattr(model, "eval", None)):
        model.eval()
    kind = tensor_class(model, layers, known)
    batch = fed(model, layers, request, kind)
    watch = Watch(layers)
    run = model if callable(model) else model.forward
    with observed(watch):
        run(batch)
    found = {"layers": facts, "calls": watch.calls, "ops": watch.ops, "observed": watch.observing}
    found |= {"shape": request["shape"], "tokens": request["tokens"], "root": type(model).__name__}
    if request["repeats"]:
        found |= measured(watch, run, batch, request)
    return found


def described(name: str, layer: Any, known: set[int]) -> dict[str, Any]:
    """One layer: name, class, settings, its own parameters and buffers."""
    own, buffers = arrays(layer, known)
    return {
        "name": name,
        "class": type(layer).__name__,
        "settings": settings(layer),
        "leaf": leaf(layer),
        "parameters": [{"name": key, "id": id(value), "shape": list(array_of(value).shape)} for key, value in own],
        "buffers": sum(int(array_of(value).size) for _, value in buffers),
    }


def measured(watch: Watch, run: Callable[..., Any], batch: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Times of each call over repeated forward passes, after some that are not counted."""
    watch.timing = True
    whole: list[float] = []
    stop = time.perf_counter() + request["seconds"]
    for number in range(request["warmup"] + request["repeats"]):
        watch.at = 0
        if number == request["warmup"]:
            watch.seconds, whole = {}, []
        started = time.perf_counter()
        run(batch)
        whole.append(time.perf_counter() - started)
        if number > request["warmup"] + 2 and time.perf_counter() > stop:
            break
    return {"seconds": {str(key): value for key, value in watch.seconds.items()}, "whole": whole}


def learner_frames(error: BaseException) -> list[str]:
    """The frames of the learner's code, without this file's and the import machinery's."""
    here = str(Path(__file__).resolve())
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if str(Path(frame.filename).resolve()) != here and not frame.filename.startswith("<frozen")
    ]
    lines = [line.rstrip() for line in traceback.format_list(frames)]
    if isinstance(error, SyntaxError):
        lines += [line.rstrip() for line in traceback.format_exception_only(error)[:-1]]
    return lines


def main(request_file: str) -> int:
    """Answer one request, or tell why not; the answer's file appears whole."""
    request = json.loads(Path(request_file).read_text(encoding="utf-8"))
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    sys.path.insert(0, request["root"])
    sys.path.append(request["directory"])
    sys.dont_write_bytecode = True
    try:
        with contextlib.ExitStack() as stack:
            if request["quiet"]:
                nowhere = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
                stack.enter_context(contextlib.redirect_stdout(nowhere))
            found = answer(request)
    except Refused as refused:
        found = refused.facts
    except BaseException as error:  # KeyboardInterrupt and GeneratorExit too: they are the learner's
        found = {
            "error": "learner",
            "message": f"{type(error).__name__}: {error}".removesuffix(": "),
            "frames": learner_frames(error),
        }
    place = Path(request["result"])
    partial = place.with_suffix(".part")
    partial.write_text(json.dumps(found), encoding="utf-8")
    partial.replace(place)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
