"""The options that commands of `tito analyze` share, and the model that they name."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tito.analysis import models, shapes
from tito.analysis.shown import Shown
from tito.cli.boundary import Session, command
from tito.cli.quick import QuickCommand
from tito.errors import EnvironmentFault, UsageError

if TYPE_CHECKING:
    from tito.analysis.cost import Cost, Options
    from tito.analysis.hardware import Hardware

BARS = "-"  # what --plot without a file becomes


class DtypeName(StrEnum):
    """Types of numbers."""

    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"
    INT8 = "int8"
    INT4 = "int4"


class OptimizerName(StrEnum):
    """Optimizers by the state they keep."""

    SGD = "sgd"
    MOMENTUM = "momentum"
    ADAM = "adam"


class UnitsName(StrEnum):
    """Families of byte units."""

    SI = "si"
    IEC = "iec"
    BOTH = "both"


#: Each option and its default, which is nothing where one is chosen later: typer need not check what was not given.
_OPTIONS: dict[str, tuple[Any, Any]] = {
    "input": (Annotated[str, typer.Option("--input", metavar="SHAPE", help="Input without the batch: 3x32x32.")], ""),
    "seq": (Annotated[int | None, typer.Option("--seq", min=1, metavar="T", help="Tokens in a sequence.")], None),
    "batch": (Annotated[int | None, typer.Option("--batch", min=1, metavar="N", help="Examples in a step; 1.")], None),
    "activation": (
        Annotated[str, typer.Option("--activation", metavar="NAME", help="Put this between sizes, such as relu.")],
        "",
    ),
    "dtype": (Annotated[DtypeName | None, typer.Option("--dtype", help="Type of the numbers; fp32.")], None),
    "optimizer": (Annotated[OptimizerName | None, typer.Option("--optimizer", help="For training; adam.")], None),
    "train": (
        Annotated[bool | None, typer.Option("--train/--infer", help="One side only.", show_default="both")],
        None,
    ),
    "units": (Annotated[UnitsName | None, typer.Option("--units", help="Powers of 10 or of 2; both.")], None),
    "explain": (Annotated[bool, typer.Option("--explain", help="Print the arithmetic behind each cell.")], False),
    "every": (Annotated[bool, typer.Option("--all", help="Every layer, however long the table.")], False),
    "csv": (Annotated[bool, typer.Option("--csv", help="Answer with the rows as CSV.")], False),
    "plot": (
        Annotated[str, typer.Option("--plot", metavar="[=FILE]", help="Bars here, or a drawing (PNG, SVG).")],
        "",
    ),
    "hw": (Annotated[str, typer.Option("--hw", metavar="NAME", help="Hardware, or this: measured here.")], ""),
    "fit": (Annotated[str, typer.Option("--fit", metavar="SIZE", help="Largest batch in this memory: 16GiB.")], ""),
}


@dataclass(frozen=True)
class Ask:
    """What the shared options say; one that is not offered or not given has its default."""

    input: str = ""
    seq: int | None = None
    batch: int = 1
    activation: str = ""
    dtype: str = "fp32"
    optimizer: str = "adam"
    train: bool | None = None
    units: str = "both"
    explain: bool = False
    every: bool = False
    csv: bool = False
    plot: str = ""
    hw: str = ""
    fit: str = ""

    @property
    def options(self) -> Options:
        """For the count."""
        from tito.analysis.cost import Options

        return Options(self.batch, str(self.dtype), str(self.optimizer))

    @property
    def given(self) -> models.Given:
        """For the input."""
        if self.activation:
            from tito.analysis.layers import ACTIVATIONS

            if self.activation.lower() not in ACTIVATIONS:
                raise UsageError(f"--activation {self.activation} is not known", f"one of {', '.join(ACTIVATIONS)}")
        return models.Given(shapes.parse(self.input) if self.input else None, self.seq, self.activation.lower())

    def with_seq(self, seq: int) -> Ask:
        """The same with this many tokens."""
        return replace(self, seq=seq)

    def changed(self, options: Options, given: models.Given) -> Ask:
        """The same with another count's options and input."""
        shape = shapes.text(given.input) if given.input else ""
        return replace(self, batch=options.batch, input=shape, seq=given.seq)

    def fitting(self, written: str) -> Ask:
        """For one of several models: --input and --seq are for those that do not state their own input."""
        if models.is_sizes(written):
            return replace(self, input="", seq=None)
        takes_seq = not written.startswith("@") or _of_tokens(written)
        return replace(self, activation="", seq=self.seq if takes_seq else None)

    @property
    def shown(self) -> Shown:
        """For the table."""
        mode = "" if self.train is None else "train" if self.train else "infer"
        return Shown(self.explain, self.every, str(self.units), mode)

    @property
    def hardware(self) -> Hardware | None:
        """The hardware named, measured when it is this machine."""
        if not self.hw:
            return None
        from tito.analysis.hardware import find

        if self.hw.lower() == "this":
            from tito.analysis.measure import this_machine

            return this_machine()
        return find(self.hw)

    @property
    def limit(self) -> int | None:
        """The memory to fit in: a size, or that of named hardware."""
        if not self.fit:
            return None
        from tito.analysis.hardware import find
        from tito.analysis.units import parse_bytes

        if self.fit[0].isdigit():
            return parse_bytes(self.fit, "--fit")
        if self.fit.lower() == "this":
            raise UsageError("--fit this: say how much memory that is", "for example --fit 16GiB")
        return find(self.fit, "--fit").memory


def _of_tokens(written: str) -> bool:
    from tito.analysis.presets import find as preset

    return preset(written).seq is not None


def root_of(session: Session) -> Path:
    """Where a learner's objects are imported from: the workspace, or the current directory outside one."""
    try:
        return session.workspace.root
    except EnvironmentFault:
        return Path.cwd()


def counted(session: Session, words: Sequence[str] | None, ask: Ask) -> Cost:
    """The model of these words, counted; an object of the learner's in a child process."""
    written = models.joined(words or ())
    if models.is_object(written):
        from tito.analysis.live import count_object

        return count_object(root_of(session), Path.cwd(), written, ask.options, ask.given, note=session.note)
    return models.count(written, ask.options, ask.given)


class _Command(QuickCommand):
    """Lets --plot stand alone, and names a size below zero instead of calling it an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """`--plot` means bars here, unless a file's name follows. Raises UsageError for a negative size."""
        words: list[str] = []
        for word in args:
            before = words[-1] if words else ""
            if before == f"--plot={BARS}" and word.lower().endswith((".png", ".svg", ".pdf")):
                words[-1] = f"--plot={word}"
                continue
            if re.match(r"-[0-9]", word) and not before.startswith("--"):
                raise UsageError(f"{word}: expected a size or a count of at least 1", f"such as {word[1:]}")
            words.append(f"--plot={BARS}" if word in ("--plot", "--plot=") else word)
        return super().parse_args(ctx, words)


def model_command(
    app: typer.Typer, offered: str, examples: Sequence[str], about: str, name: str | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register `function(session, ask, ...)`, whose `ask` becomes the options named in `offered`."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(function, eval_str=True)
        kept = [parameter for parameter in own.parameters.values() if parameter.name not in ("session", "ask")]
        wanted = offered.split()
        options = [
            inspect.Parameter(
                key, inspect.Parameter.KEYWORD_ONLY, annotation=_OPTIONS[key][0], default=_OPTIONS[key][1]
            )
            for key in wanted
        ]
        kept = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in kept]
        session = inspect.Parameter("session", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Session)

        @functools.wraps(function)
        def run(session: Session, **arguments: Any) -> None:
            given = {key: value for key in wanted if (value := arguments.pop(key)) is not None}
            function(session, ask=Ask(**given), **arguments)

        del run.__wrapped__
        run.__signature__ = inspect.Signature([session, *kept, *options])  # type: ignore[attr-defined]
        text = "\b\n" + "\n".join(f"  {example}" for example in examples) + f"\n\n{about}"
        command(app, name, cls=_Command, help=text, short_help=about.split(".")[0] + ".")(run)
        return function

    return register
