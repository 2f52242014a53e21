"""From what a person writes to a counted model: sizes, a specification, a preset, or an object's name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from tito.analysis import shapes
from tito.analysis.cost import Cost, Model, Options, add_up
from tito.analysis.layers import Embed, Linear, read
from tito.analysis.presets import Preset, find
from tito.analysis.shapes import Shape
from tito.analysis.spec import Group, Node, Repeat, SpecError, Word, parse
from tito.analysis.walk import Walk
from tito.errors import UsageError

_SIZES = re.compile(r"\s*[0-9]+(?:\s*[-,\s]\s*[0-9]+)*\s*")
_OBJECT = re.compile(r"[^\s:]*(?:[A-Za-z]:[\\/])?[^\s:]+\.py:[A-Za-z_][\w.]*|[A-Za-z_]\w*(?:\.\w+)*:[A-Za-z_][\w.]*")
_FILE = re.compile(r"\S+\.py:?")

#: A multiplication sign, a hyphen that does not break, an en dash and a minus.
_FROM_A_PAGE = {0x00D7: "x", 0x2011: "-", 0x2013: "-", 0x2212: "-"}

#: Words whose argument may look like an attribute: 'dropout:x' is a bad layer, not an object in a module.
_SEQUENCE_FIRST = ("attn", "block", "mlp", "swiglu", "pos", "types", "ln", "rmsnorm", "cls")


@dataclass(frozen=True)
class Given:
    """What the options say about the input."""

    input: Shape | None = None
    seq: int | None = None
    activation: str = ""


def is_object(written: str) -> bool:
    """Whether this names an object of the learner's: `model.py:build` or `package.module:name`.

    A layer such as `linear:10` or `conv:64k3` has a number behind its colon, which no object has.
    """
    return bool(_OBJECT.fullmatch(written.strip()) or _FILE.fullmatch(written.strip()))


def is_sizes(written: str) -> bool:
    """Whether this is sizes alone: '784 256 10', '784-256-10' or '784,256,10'."""
    return bool(_SIZES.fullmatch(written))


def joined(arguments: Sequence[str]) -> str:
    """The arguments of a command as one model; signs copied from a page become those of the keyboard."""
    written = " ".join(" ".join(arguments).split())
    return written if is_object(written) else written.translate(_FROM_A_PAGE)


def count(written: str, options: Options | None = None, given: Given | None = None) -> Cost:
    """Count sizes, a specification or a preset.

    Raises UsageError (SpecError where a token is at fault) for what cannot be read or does not fit.
    """
    options, given = options or Options(), given or Given()
    if options.batch < 1:
        raise UsageError(f"--batch {options.batch}: a batch has at least one example")
    if options.batch > shapes.LARGEST:
        raise UsageError("--batch: larger than 10^12, which no batch is")
    if given.seq is not None and given.seq > shapes.LARGEST:
        raise UsageError("--seq: larger than 10^12, which no sequence is")
    if written.startswith("@"):
        return _preset(written, options, given)
    if is_sizes(written):
        return _sizes(written, options, given)
    return _spec(written, options, given)


def walked(model: Model, nodes: Sequence[Node], options: Options) -> Cost:
    """Walk a tree from the model's input and add up."""
    walk = Walk(model.input_shape, options.batch, token_ids=_takes_tokens(nodes))
    walk.run(nodes)
    return add_up(model, walk, options)


def _preset(written: str, options: Options, given: Given) -> Cost:
    name, _, rest = written.partition(" ")
    if rest:
        raise SpecError(
            f"{name} stands alone: {rest.split()[0]} cannot be put behind it",
            f"tito analyze famous {name} prints its specification, to change as you like",
            rest.split()[0],
        )
    preset = find(name)
    nodes = parse(preset.spec)
    shape = _checked_input(nodes, given, preset)
    model = Model(
        f"@{preset.name}",
        preset.spec,
        shape,
        f"{preset.title} ({preset.year}; {preset.variant})",
        preset.source,
        preset.year,
        shape[0] if _takes_tokens(nodes) else None,
    )
    return walked(model, nodes, options)


def _sizes(written: str, options: Options, given: Given) -> Cost:
    found = [shapes.whole(part, written) for part in re.findall("[0-9]+", written)]
    if len(found) < 2:
        raise SpecError(
            f"{found[0]}: one size is not a layer; expected at least inputs and outputs",
            f"such as {found[0]} 10",
            str(found[0]),
        )
    if given.input not in (None, (found[0],)):
        raise UsageError(
            f"--input {shapes.text(given.input or ())} does not fit the sizes, which begin with {found[0]}",
            "sizes state their own input: leave --input out",
        )
    if given.seq is not None:
        raise UsageError("--seq has no meaning for sizes, which take one row of numbers")
    between = f" {given.activation} " if given.activation else " "
    spec = between.join(f"linear:{a}x{b}" for a, b in pairwise(found))
    return walked(Model("-".join(map(str, found)), spec, (found[0],)), parse(spec), options)


def _spec(written: str, options: Options, given: Given) -> Cost:
    if given.activation:
        raise UsageError("--activation is for sizes; in a specification write the activations where they stand")
    _refuse_broken_sizes(written)
    nodes = parse(written)
    shape = _checked_input(nodes, given, None)
    takes_tokens = _takes_tokens(nodes)
    name = " ".join(written.split())
    seq = shape[0] if takes_tokens or given.seq is not None else None
    return walked(Model(name, name, shape, seq=seq), nodes, options)


def _refuse_broken_sizes(written: str) -> None:
    """Raise SpecError for what was meant as sizes: the part that is no number is named."""
    parts = re.findall(r"[^\s,-]+", written)
    if not parts or not re.match("[0-9]", parts[0]) or re.search(r"[*(|=:]", written):
        return
    numbers = [part for part in parts if re.fullmatch("[0-9]+", part)]
    wrong = next((part for part in parts if part not in numbers), None)
    if wrong is None or re.fullmatch("[0-9]+(x[0-9]+)+", wrong):
        raise SpecError(
            f"{written}: sizes are separated by spaces, commas or dashes, one between two",
            "784 256 10",
            wrong or written,
        )
    hint = f"among layers write linear:{numbers[-1]} in place of {numbers[-1]}" if numbers else ""
    raise SpecError(f"{wrong} is not a size: expected whole numbers, such as 784 256 10", hint, wrong)


def first_word(nodes: Sequence[Node]) -> Word | None:
    """The first layer, inside whatever groups; nothing when the model begins with a branch."""
    node = nodes[0]
    while isinstance(node, Repeat | Group):
        node = node.body[0]
    return node if isinstance(node, Word) else None


def _takes_tokens(nodes: Sequence[Node]) -> bool:
    """Whether the model begins with an embedding."""
    word = first_word(nodes)
    return word is not None and word.text.lower().startswith("embed")


def _checked_input(nodes: Sequence[Node], given: Given, preset: Preset | None) -> Shape:
    """The input's shape: as given, as the preset says, or as the first layer implies."""
    word = first_word(nodes)
    first = word.text if word else "res(...)"
    if _takes_tokens(nodes):
        if given.seq is not None and given.input not in (None, (given.seq,)):
            raise UsageError("--seq and --input say different things", "for a model of tokens --seq is enough")
        if given.seq is not None or given.input is not None:
            return (given.seq,) if given.seq is not None else given.input or ()
        if preset is None:
            raise SpecError(f"{first} needs the number of tokens", "for example --seq 128", first)
        return preset.input_shape
    if given.seq is not None and given.input is None and preset is None and first.lower().startswith(_SEQUENCE_FIRST):
        return _sequence(first, given.seq)
    if given.seq is not None:
        raise UsageError(f"--seq has no meaning here: the model begins with {first}", "give the shape with --input")
    if given.input is not None:
        return given.input
    return preset.input_shape if preset else _implied(first, word)


def _sequence(first: str, seq: int) -> Shape:
    """The input of a model that begins inside a transformer."""
    layer = read(first)
    width = getattr(layer, "dim", None)
    if width is None:
        raise SpecError(f"{first} does not say how wide its input is", f"for example --input {seq}x768", first)
    return (seq, int(width))


def _implied(first: str, word: Word | None) -> Shape:
    """The input that the first layer states. Raises SpecError with what to give when it does not."""
    layer = read(word.text) if word else None
    if isinstance(layer, Linear) and layer.inputs:
        return (layer.inputs,)
    if isinstance(layer, Embed):
        raise SpecError(f"{first} needs the number of tokens", "for example --seq 128", first)
    if first.lower().startswith(_SEQUENCE_FIRST):
        raise SpecError(f"{first} needs the length of its sequence", "for example --seq 128", first)
    example = "3x32x32" if first.lower().startswith(("conv", "dwconv", "pool", "avgpool", "gap", "res")) else "784"
    raise SpecError(f"{first} comes first and does not say what it is fed", f"for example --input {example}", first)


def rebatched(cost: Cost, batch: int) -> Cost:
    """The same model at another batch size."""
    options = replace(cost.options, batch=batch)
    if cost.model.spec:
        return walked(cost.model, parse(cost.model.spec), options)
    raise UsageError("this model cannot be counted again at another batch size")
