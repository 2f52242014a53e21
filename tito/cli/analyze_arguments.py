"""Arguments and options that single commands of `tito analyze` have."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class ColumnName(StrEnum):
    """Columns that the quiz can hide."""

    PARAMS = "params"
    MACS = "macs"
    FLOPS = "flops"
    MEMORY = "memory"


ModelArg = Annotated[
    list[str] | None,
    typer.Argument(metavar="MODEL...", help="Sizes, a specification, @PRESET, FILE.py:NAME or PACKAGE.MODULE:NAME."),
]
ModelsArg = Annotated[list[str] | None, typer.Argument(metavar="MODEL MODEL...", help="One model an argument.")]
ConvArg = Annotated[list[str] | None, typer.Argument(metavar="IN OUT KERNEL", help="Or conv:OUTkK with --input.")]
NameArg = Annotated[str | None, typer.Argument(metavar="[NAME]", help="One preset, with or without its @.")]

SizeOption = Annotated[str, typer.Option("--size", metavar="HxW", help="Height and width of the image.")]
StrideOption = Annotated[str, typer.Option("--stride", metavar="S", help="Or SxS.")]
PaddingOption = Annotated[str, typer.Option("--padding", metavar="P", help="Or PxP, or same.")]
DilationOption = Annotated[str, typer.Option("--dilation", metavar="D", help="Or DxD.")]
GroupsOption = Annotated[int | None, typer.Option("--groups", min=1, metavar="G", help="Groups of channels; 1.")]
BiasOption = Annotated[bool, typer.Option("--bias/--nobias", help="A bias for each filter.")]

LayersOption = Annotated[int | None, typer.Option("--layers", min=1, max=1000, metavar="N", help="Blocks; 12.")]
DimOption = Annotated[int | None, typer.Option("--dim", min=1, metavar="D", help="Width; 768.")]
HeadsOption = Annotated[int | None, typer.Option("--heads", min=1, metavar="H", help="Attention heads; 12.")]
VocabOption = Annotated[int | None, typer.Option("--vocab", min=1, metavar="V", help="Vocabulary; 50257.")]
HiddenOption = Annotated[int | None, typer.Option("--hidden", min=1, metavar="F", help="Hidden width; 4 x dim.")]
KvOption = Annotated[int | None, typer.Option("--kv-heads", min=1, metavar="G", help="Key-value heads.")]
TiedOption = Annotated[bool, typer.Option("--tied/--untied", help="Output head shares the embedding.")]

VaryOption = Annotated[
    tuple[str, str],
    typer.Option("--vary", metavar="NAME VALUES", help="width, depth, batch, seq, image or a {name}; 64:2048:x2."),
]
RepeatsOption = Annotated[int | None, typer.Option("--repeats", min=3, max=10_000, metavar="N", help="Timed runs; 20.")]
ColumnOption = Annotated[ColumnName | None, typer.Option("--column", help="What to ask for; params.")]
