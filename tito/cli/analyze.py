"""`tito analyze`: what a model costs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import typer

from tito.cli.analyze_arguments import (
    BiasOption,
    ColumnName,
    ColumnOption,
    ConvArg,
    DilationOption,
    DimOption,
    GroupsOption,
    HeadsOption,
    HiddenOption,
    KvOption,
    LayersOption,
    ModelArg,
    ModelsArg,
    NameArg,
    PaddingOption,
    RepeatsOption,
    SizeOption,
    StrideOption,
    TiedOption,
    VaryOption,
    VocabOption,
)
from tito.cli.analyze_options import BARS, Ask, counted, model_command, root_of
from tito.cli.boundary import Facts, Session, new_app
from tito.errors import Exit, UsageError
from tito.render.blocks import Block

F = TypeVar("F", bound=Facts)

app = new_app(
    """Count a model's parameters, FLOPs and bytes, and see where they go.

    \b
    tito analyze params 784 256 10
    tito analyze flops @resnet50 --batch 32
    tito analyze memory --input 3x32x32 'conv:32k3 relu pool2 flatten linear:10'
    tito analyze famous
    """
)

_MODEL = "input seq batch activation dtype optimizer units hw"


def _answer(session: Session, topic: str, model: list[str] | None, ask: Ask) -> None:
    """One model from one side: as CSV, or shown, with a drawing when one is wanted."""
    from tito.analysis.report import Report
    from tito.render import analysis as views

    report = Report(topic, counted(session, model, ask), ask.shown, ask.hardware, ask.limit)
    view: dict[str, Callable[[Report], Iterable[Block]]] = {
        "params": views.params,
        "flops": views.flops,
        "memory": views.memory,
    }
    show(session, report, view[topic], ask)


def show(session: Session, facts: F, view: Callable[[F], Iterable[Block]], ask: Ask) -> None:
    """Show facts, or write them as CSV, and draw them: below in the terminal, or into the file that --plot names."""
    if ask.csv:
        from tito.analysis.document import table

        if session.json or ask.plot:
            raise UsageError("--csv is an answer by itself", "leave --json and --plot out")
        sys.stdout.write(table(facts.to_json()))
        return
    bars = ask.plot == BARS
    if not ask.plot or (bars and session.json):
        session.show(facts, view)
        return
    from tito.analysis.charts import chart_of

    drawing = chart_of(facts)
    if bars:
        from tito.render.charts import chart

        session.show(facts, view)
        session.draw(chart(drawing), sys.stdout)
        return
    from tito.analysis import plot

    plot.save(drawing, Path(ask.plot))
    session.note(f"drawn into {ask.plot}")
    session.show(facts, view)


@model_command(
    app,
    f"{_MODEL} explain every csv plot",
    [
        "tito analyze params 784 256 10",
        "tito analyze params --input 3x32x32 'conv:32k3 relu pool2 flatten linear:10' --explain",
        "tito analyze params @resnet50",
        "tito analyze params model.py:build --input 784",
    ],
    "Count parameters, layer by layer.",
)
def params(session: Session, ask: Ask, model: ModelArg = None) -> None:
    """Count parameters."""
    _answer(session, "params", model, ask)


@model_command(
    app,
    f"{_MODEL} train explain every csv plot",
    [
        "tito analyze flops 784 256 10 --batch 32 --explain",
        "tito analyze flops @resnet50 --hw a100",
        "tito analyze flops @gpt2 --seq 1024 --train",
    ],
    "Count multiply-accumulates and FLOPs, forward and in an exact training step.",
)
def flops(session: Session, ask: Ask, model: ModelArg = None) -> None:
    """Count FLOPs."""
    _answer(session, "flops", model, ask)


@model_command(
    app,
    f"{_MODEL} train explain every csv plot fit",
    [
        "tito analyze memory 784 256 10 --batch 32",
        "tito analyze memory @resnet50 --batch 32 --optimizer adam --fit 16GiB",
        "tito analyze memory @llama2-7b --dtype int4 --infer",
    ],
    "Count bytes: weights, gradients, optimizer states and activations.",
)
def memory(session: Session, ask: Ask, model: ModelArg = None) -> None:
    """Count bytes."""
    _answer(session, "memory", model, ask)


@model_command(
    app,
    "batch dtype optimizer input seq activation units csv plot",
    [
        "tito analyze compare 784-256-10 784-128-128-10 784-512-512-10",
        "tito analyze compare @alexnet @resnet50 @mobilenetv2",
        "tito analyze compare --input 3x32x32 'conv:32k3 gap linear:10' 'conv:32k5 gap linear:10'",
    ],
    "Set models side by side and mark those that no other beats. One argument is one model.",
)
def compare(session: Session, ask: Ask, models: ModelsArg = None) -> None:
    """Compare models."""
    from tito.analysis.comparing import compare as compared
    from tito.render.analysis_answers import comparison

    if len(models or []) < 2:
        raise UsageError(
            "comparing takes at least two models, each as one argument",
            "tito analyze compare 784-256-10 784-128-128-10",
        )
    costs = [counted(session, [written], ask.fitting(written)) for written in models or []]
    show(session, compared(costs, ask.shown), comparison, ask)


@model_command(
    app,
    "input batch dtype units explain csv",
    [
        "tito analyze conv 3 64 3 --size 32x32",
        "tito analyze conv 64 128 3 --size 56 --stride 2 --padding 1 --groups 4",
        "tito analyze conv --input 3x32x32 conv:64k3p1",
    ],
    "Take one convolution apart: IN OUT KERNEL, or a specification of it.",
)
def conv(
    session: Session,
    ask: Ask,
    layer: ConvArg = None,
    size: SizeOption = "",
    stride: StrideOption = "1",
    padding: PaddingOption = "0",
    groups: GroupsOption = None,
    dilation: DilationOption = "1",
    bias: BiasOption = True,
) -> None:
    """Take one convolution apart."""
    from tito.analysis import convolution, models, shapes
    from tito.render.analysis_answers import convolution as view

    written, given = models.joined(layer or ()), ask.given
    if models.is_sizes(written):
        numbers = [shapes.whole(part, written) for part in written.replace(",", " ").replace("-", " ").split()]
        if len(numbers) != 3 or not size:
            raise UsageError(
                "a convolution is IN OUT KERNEL and the image's --size", "tito analyze conv 3 64 3 --size 32x32"
            )
        image = shapes.parse(size)
        given = models.Given((numbers[0], image[0], image[-1]))
        written = convolution.written(
            numbers, stride=stride, padding=padding, groups=groups or 1, dilation=dilation, bias=bias
        )
    show(session, convolution.analyze(written, ask.options, given, ask.shown), view, ask)


@model_command(
    app,
    "seq batch dtype input units explain csv",
    [
        "tito analyze transformer --layers 12 --dim 768 --heads 12 --seq 1024",
        "tito analyze transformer --layers 4 --dim 128 --heads 4 --vocab 256 --seq 128 --batch 16",
        "tito analyze transformer @llama2-7b --seq 4096 --dtype fp16",
    ],
    "Take a transformer apart: its parts, its cache of keys and values, the rule of 6N.",
)
def transformer(
    session: Session,
    ask: Ask,
    model: ModelArg = None,
    layers: LayersOption = None,
    dim: DimOption = None,
    heads: HeadsOption = None,
    vocab: VocabOption = None,
    hidden: HiddenOption = None,
    kv_heads: KvOption = None,
    tied: TiedOption = True,
) -> None:
    """Take a transformer apart."""
    from tito.analysis import transformer as transformers
    from tito.render.analysis_answers import transformer as view

    if model:
        cost = counted(session, model, ask)
    else:
        seq = ask.seq or 1024
        written = transformers.written(
            layers=layers or 12,
            dim=dim or 768,
            heads=heads or 12,
            vocab=vocab or 50257,
            positions=seq,
            hidden=hidden,
            kv=kv_heads,
            tied=tied,
        )
        cost = counted(session, [written], ask.with_seq(seq))
    show(session, transformers.analyze(cost, ask.shown), view, ask)


@model_command(
    app,
    "csv",
    ["tito analyze famous", "tito analyze famous resnet18", "tito analyze famous gpt3 --json"],
    "List well-known models, or show where one comes from and its layers.",
)
def famous(session: Session, ask: Ask, name: NameArg = None) -> None:
    """List presets, or show one."""
    from tito.analysis import catalogue
    from tito.render import analysis_answers as answers

    if name is None or session.json or ask.csv:
        show(session, catalogue.catalogue([name] if name else None), answers.catalogue, ask)
    else:
        session.draw(answers.preset(catalogue.famous(name)), sys.stdout)


@model_command(
    app,
    "input seq batch activation dtype optimizer units csv plot",
    [
        "tito analyze scaling 784 256 256 10 --vary width 64:2048:x2",
        "tito analyze scaling 784 256 10 --vary depth 1:8",
        "tito analyze scaling @gpt2 --vary seq 256:8192:x2",
        "tito analyze scaling --input 3x32x32 'conv:{c}k3 gap linear:10' --vary c 16:256:x2",
    ],
    "Vary one number of a model and see how fast its costs grow.",
)
def scaling(session: Session, ask: Ask, model: ModelArg = None, vary: VaryOption = ("", "")) -> None:
    """Vary one number."""
    from tito.analysis import models
    from tito.analysis import scaling as growth
    from tito.analysis.cost import Cost, Options
    from tito.render.analysis_answers import scaling as view

    name, values = vary
    if not name:
        raise UsageError("--vary NAME FROM:TO:xFACTOR says what to vary", "--vary width 64:2048:x2")

    def counter(written: str, options: Options, given: models.Given) -> Cost:
        return counted(session, [written], ask.changed(options, given))

    written = models.joined(model or ())
    found = growth.vary(written, name, values, ask.options, ask.given, ask.shown, counter)
    show(session, found, view, ask)


@model_command(
    app,
    "input seq batch activation dtype units hw every csv plot",
    [
        "tito analyze roofline 784 256 10 --batch 32 --hw this",
        "tito analyze roofline @resnet50 --batch 8 --hw a100 --dtype fp16",
        "tito analyze roofline @gpt2 --hw t4 --plot=roof.png",
    ],
    "Set each layer against a machine's roofline; --hw this measures this one.",
)
def roofline(session: Session, ask: Ask, model: ModelArg = None) -> None:
    """Set layers against a roofline."""
    from tito.analysis.hardware import DEFAULT, find
    from tito.analysis.roof import Roofline
    from tito.render.analysis_answers import roofline as view

    cost = counted(session, model, ask)
    show(session, Roofline(cost, ask.hardware or find(DEFAULT), ask.shown), view, ask)


@model_command(
    app,
    "input seq batch hw csv plot",
    [
        "tito analyze profile model.py:build --input 784 --batch 32",
        "tito analyze profile tinytorch.capstone:build --input 3x32x32 --repeats 50",
    ],
    "Measure an object of yours, layer by layer, beside what is predicted for it.",
)
def profile(session: Session, ask: Ask, model: ModelArg = None, repeats: RepeatsOption = None) -> None:
    """Measure an object."""
    from tito.analysis import live, models
    from tito.analysis.measure import this_machine
    from tito.render.analysis_answers import profile as view

    written = models.joined(model or ())
    if not models.is_object(written):
        raise UsageError(
            f"{written or 'nothing'} is not an object to run", "name one: tito analyze profile model.py:build"
        )
    found = live.profile_object(
        root_of(session),
        Path.cwd(),
        written,
        ask.options,
        ask.given,
        ask.hardware or this_machine(),
        repeats=repeats or 20,
        shown=ask.shown,
    )
    show(session, found, view, ask)


@model_command(
    app,
    "input seq batch activation dtype",
    [
        "tito analyze check 784 256 10",
        "tito analyze check 784 256 10 --column flops --batch 32",
        "tito analyze check --input 3x32x32 'conv:16k3 relu pool2 flatten linear:10' --column macs",
        "printf '200960\\n2570\\n203530\\n' | tito analyze check 784 256 10",
    ],
    "A quiz: a column is hidden, you type its numbers, and a wrong one is named by its slip.",
)
def check(session: Session, ask: Ask, model: ModelArg = None, column: ColumnOption = None) -> None:
    """Ask for numbers."""
    from tito.analysis import quiz
    from tito.cli.quiz import ask_all
    from tito.render import analysis_answers as answers

    cost, hidden = counted(session, model, ask), str(column or ColumnName.PARAMS)
    asked = quiz.questions(cost, hidden)
    score = quiz.Score(cost.model.name, hidden, asked, tuple(ask_all(session, cost, hidden, asked)))
    session.show(score, answers.score)
    if not score.verdicts:
        raise typer.Exit(Exit.NOTHING_RAN)
    if score.right < len(asked):
        raise typer.Exit(Exit.FAILED)
