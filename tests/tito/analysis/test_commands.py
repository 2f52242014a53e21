"""The commands themselves: answers in every form, errors, widths, help."""

from __future__ import annotations

import atexit
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tito.analysis import charts
from tito.analysis.hardware import find
from tito.analysis.models import count
from tito.analysis.report import Report
from tito.analysis.roof import Roofline
from tito.analysis.shown import Shown
from tito.cli.app import app
from tito.cli.boundary import run

ROOT = Path(__file__).parents[3]
STAND_IN = Path(tempfile.mkdtemp(prefix="stand-in-"))  # outside of the repository, which has a tinytorch of its own
shutil.copytree(Path(__file__).parent / "stand_in", STAND_IN, dirs_exist_ok=True)
atexit.register(shutil.rmtree, STAND_IN, ignore_errors=True)
CNN = ["--input", "3x32x32", "conv:32k3 relu pool2 conv:64k3 relu pool2 flatten linear:10"]
COMMANDS = [
    "params",
    "flops",
    "memory",
    "compare",
    "conv",
    "transformer",
    "famous",
    "scaling",
    "roofline",
    "profile",
    "check",
]
TOTALS = (
    "params weights biases macs flops bias_adds training_flops "
    "param_bytes activation_bytes saved_bytes live_bytes training_bytes"
)


class Done:
    """What a command printed and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.out)  # type: ignore[no-any-return]


@pytest.fixture
def tito(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("COLUMNS", "80")

    def call(*words: str) -> Done:
        code = run(app, ["analyze", *words])
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return call


def process(*words: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """The tool in a process of its own."""
    own = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "TITO", "COLUMNS"))}
    own |= {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **environment}
    command = [sys.executable, "-m", "tito", "analyze", *words]
    return subprocess.run(
        command, input=stdin, capture_output=True, encoding="utf-8", cwd=STAND_IN, env=own, timeout=120
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_help_begins_with_examples(tito: Any, command: str) -> None:
    """Catches a command whose help explains before it shows."""
    shown = tito(command, "--help").out
    assert f"tito analyze {command}" in shown.split("\n\n")[1]


@pytest.mark.parametrize("command", ["params", "flops", "memory"])
def test_the_document_has_exactly_the_keys_of_its_schema(tito: Any, command: str) -> None:
    """Catches a key that is missing or has another name."""
    found = tito(command, *CNN, "--batch", "4", "--json").json
    wanted = ["schema", "convention", "model", "batch", "dtype", "layers", "totals", "insights"]
    assert [key for key in found if key != command] == wanted
    assert found["schema"] == "tito.analyze/1"
    assert found["batch"] == 4 and found["dtype"] == "fp32"
    assert list(found["totals"]) == TOTALS.split()
    keys = ["name", "kind", "input_shape", "output_shape", "weights", "biases", "params", "macs", "flops", "bias_adds"]
    assert all(list(layer) == keys for layer in found["layers"])
    assert all(type(value) is int for value in found["totals"].values())
    assert found["layers"][0]["input_shape"] == [3, 32, 32]
    assert all(insight["text"] and insight["id"] for insight in found["insights"])


def test_screen_plain_lines_json_and_csv_say_the_same(tito: Any) -> None:
    """Catches a number that is computed twice."""
    found = tito("params", *CNN, "--json").json
    screen, plain = tito("params", *CNN).out, tito("params", *CNN, "--plain").out
    rows = list(csv.DictReader(io.StringIO(tito("params", *CNN, "--csv").out)))
    for layer, row in zip(found["layers"], rows, strict=True):
        assert {key: str(layer[key]) for key in ("name", "params", "macs")} == {
            key: row[key] for key in ("name", "params", "macs")
        }
        if layer["params"]:
            assert f"{layer['params']:,}" in screen and f"{layer['params']:,}" in plain
    assert f"{found['totals']['params']:,}" in screen


@pytest.mark.parametrize(
    ("words", "rows", "first"),
    [
        (["compare", "784-10", "784-20-10"], 2, {"label": "784-10", "params": "7850", "pareto": "True"}),
        (["conv", "3", "64", "3", "--size", "32"], 1, {"output_shape": "64x30x30", "macs": "1555200"}),
        (
            ["transformer", "@gpt2", "--seq", "8"],
            2 + 12 * 14 + 2,
            {"name": "wte", "input_shape": "8", "params": "38597376"},
        ),
        (["scaling", "784 10", "--vary", "batch", "1:4:x2"], 3, {"value": "1", "macs": "7840"}),
        (["roofline", "784 20 10"], 2, {"name": "linear1", "flops": "31360"}),
        (["famous", "lenet5"], 1, {"name": "@lenet5", "input_shape": "1x32x32", "macs": "416520"}),
        (["params", "784 10", "--explain"], 1, {"name": "linear1", "weights": "7840"}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_every_table_is_there_as_csv(tito: Any, words: list[str], rows: int, first: dict[str, str]) -> None:
    """Catches a command whose numbers cannot be put into a spreadsheet, and columns of nested values."""
    found = list(csv.DictReader(io.StringIO(tito(*words, "--csv").out)))
    assert len(found) == rows
    assert found[0] | first == found[0]
    assert not any("{" in value or "[" in value for row in found for value in row.values())
    assert tito(*words, "--csv", "--json").code == 2


def test_conv_and_transformer_explain_themselves(tito: Any) -> None:
    """Catches --explain that adds nothing."""
    shown = tito("conv", "3", "64", "3", "--size", "32", "--explain").out
    assert "weights' gradient 1,555,200 MACs" in shown and "64·30·30·4 = 230,400 B" in shown
    shown = tito("transformer", "--layers", "2", "--dim", "64", "--heads", "4", "--seq", "16", "--explain").out
    assert "heads·tokens·tokens·head width = 4·16·16·16 = 16,384" in shown
    words = [
        ["conv", "3", "64", "3", "--size", "32"],
        ["transformer", "--layers", "1", "--dim", "8", "--heads", "2", "--seq", "4"],
    ]
    for one in words:
        assert all("explain" in layer for layer in tito(*one, "--explain", "--json").json["layers"])


def test_units_reach_the_table_of_types_and_hardware_its_least_time(tito: Any) -> None:
    """Catches an option that is taken and changes nothing, and a training step faster than its forward pass."""
    assert "MiB \n" not in tito("params", "784 10", "--units", "si").out
    assert "MB \n" not in tito("params", "784 10", "--units", "iec").out
    for command in ("params", "flops", "memory"):
        assert "On NVIDIA A100 SXM 80 GB" in tito(command, "784 10", "--hw", "a100").out
        time = tito(command, "784 10", "--hw", "a100", "--json").json["time"]
        assert time["training_seconds_at_least"] > time["forward_seconds_at_least"]


WIDE = [
    ("params", "@resnet50"),
    ("params", "@gpt3"),
    ("params", "@mobilenetv2", "--all"),
    ("flops", "@gpt3", "--batch", "512"),
    ("flops", "@gpt3", "--batch", "512", "--train"),
    ("flops", "@llama3-8b", "--batch", "100000"),
    ("memory", "@gpt3", "--batch", "512"),
    ("memory", "@llama2-7b", "--dtype", "int4", "--units", "iec"),
    ("params", "1000000000000 1000000000000"),
    ("flops", "1000000000000 1000000000000", "--batch", "1000000000000"),
    ("compare", "@gpt2", "@gpt3", "@llama2-70b"),
    ("compare", "@resnet18", "@resnet50", "@mobilenetv2", "@vgg16"),
    ("conv", "512", "1024", "7", "--size", "512x512", "--batch", "256"),
    ("transformer", "@gpt3", "--batch", "64"),
    ("famous",),
    ("scaling", "@gpt3", "--vary", "batch", "1:4096:x4"),
    ("roofline", "@resnet50", "--batch", "256", "--hw", "h100"),
    ("roofline", "@gpt3", "--hw", "pi5"),
    ("params", "@vgg16", "--plot"),
    ("flops", "@resnet50", "--plot"),
    ("memory", "@resnet50", "--plot"),
    ("scaling", "784 64 10", "--vary", "width", "64:512:x2", "--plot"),
]


@pytest.mark.parametrize("words", WIDE, ids=" ".join)
def test_tables_fit_80_columns(tito: Any, words: tuple[str, ...]) -> None:
    """Catches a table that is wider than the terminal, and one that gives up and falls back to lines."""
    done = tito(*words)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert max(map(len, lines)) <= 80, max(lines, key=len)
    assert any("─" in line for line in lines)
    assert "…" not in done.out


def test_marks_of_a_comparison_stay_on_their_line(tito: Any) -> None:
    """Catches a mark that is wrapped below its symbol."""
    shown = tito("compare", "@resnet18", "@resnet50", "@mobilenetv2", "@vgg16").out
    assert shown.count("✓ Pareto") == 2 and shown.count("· beaten") == 2


def test_a_narrow_terminal_gets_lines(tito: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches numbers cut at 40 columns."""
    monkeypatch.setenv("COLUMNS", "40")
    shown = tito("flops", "@resnet50").out
    assert "4,089,184,256" in shown and "─" not in shown


@pytest.mark.parametrize("width", range(44, 80, 5))
def test_nothing_is_cut_at_any_width(tito: Any, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """Catches a table drawn a little too wide for the terminal, whose totals end in dots."""
    monkeypatch.setenv("COLUMNS", str(width))
    for words in [
        ("memory", "784 256 10", "--batch", "64"),
        ("scaling", "784 64 10", "--vary", "width", "64:512:x2"),
        ("compare", "784-10", "784-20-10", "@lenet5"),
    ]:
        assert "…" not in tito(*words).out


def test_a_lower_bound_says_so_over_its_totals() -> None:
    """Catches totals of a model with an unknown layer that look complete."""
    shown = process("flops", "models.py:with_mystery", "--batch", "4").stdout
    assert "for a batch of 4, at least" in shown


def test_what_a_roofline_leaves_out_is_said_as_it_is(tito: Any) -> None:
    """Catches norms that move much and are called layers that move little."""
    assert "3 layers that move nothing are left out" in tito("roofline", "@alexnet").out
    assert "without products, or faster than these, are left out" in tito("roofline", "@resnet50").out
    assert "without products are left out" in tito("roofline", "@resnet18").out


def test_explanations_are_arithmetic_with_numbers(tito: Any) -> None:
    """Catches a formula without its numbers."""
    assert "256·784 + 256 = 200,960" in tito("params", "784 256 10", "--explain").out
    shown = tito("flops", "784 256 10", "--batch", "32", "--explain").out
    assert "32·256·784 = 6,422,528" in shown
    assert "13,008,896 + 8,512 = 13,017,408" in shown
    layers = tito("flops", "784 256 10", "--json", "--explain").json["layers"]
    assert layers[0]["explain"]["MACs"] == "out·in = 256·784 = 200,704"


def test_every_table_comes_with_its_convention(tito: Any) -> None:
    """Catches numbers that do not say what they count."""
    for words in [("params", "784 10"), ("flops", "784 10"), ("compare", "784-10", "784-5"), ("famous",)]:
        assert "1 MAC = 2 FLOPs" in re.sub(r"\s+", " ", tito(*words).out)
    assert "MB = 10^6" in tito("memory", "784 10").out


def test_training_and_inference_apart(tito: Any) -> None:
    """Catches --train and --infer that change nothing."""
    both, train, infer = (tito("memory", "784 10", *option).out for option in ([], ["--train"], ["--infer"]))
    assert "gradients" in both and "inference" in both
    assert "gradients" in train and "largest live activations" not in train
    assert "gradients" not in infer


def test_the_largest_batch_for_a_memory(tito: Any) -> None:
    """Catches --fit that is not in the document."""
    found = tito("memory", *CNN, "--fit", "1GiB", "--json").json
    assert found["fit"]["limit"] == 2**30 and found["fit"]["training"] > 0
    assert "largest batch" in tito("memory", *CNN, "--fit", "a100").out
    assert "does not fit" in tito("memory", "@gpt3", "--fit", "16GiB").out


@pytest.mark.parametrize(
    "words",
    [
        ["params", "784", "ten"],
        ["params"],
        ["params", "@nope"],
        ["params", "784", "10", "--batch", "0"],
        ["params", "784", "10", "--dtype", "fp9"],
        ["params", "784", "10", "--hw", "abacus"],
        ["params", "784", "10", "--plot=x.txt"],
        ["memory", "784", "10", "--fit", "lots"],
        ["compare", "784-10"],
        ["conv", "3", "64"],
        ["conv", "linear:10", "--input", "5"],
        ["transformer", "784", "10"],
        ["transformer", "--heads", "7"],
        ["famous", "nope"],
        ["scaling", "784", "10"],
        ["scaling", "784", "10", "--vary", "width", "1:4"],
        ["profile", "784", "10"],
        ["check", "relu", "--input", "3"],
        ["nope"],
    ],
    ids=" ".join,
)
def test_usage_errors_end_with_2_and_one_document(tito: Any, words: list[str]) -> None:
    """Catches a traceback, another exit code, or an error outside of the JSON."""
    done = tito(*words)
    assert done.code == 2 and done.out == "" and done.err
    found = tito(*words, "--json")
    assert found.code == 2 and found.json["exit_code"] == 2 and found.json["message"]


@pytest.mark.parametrize(
    ("words", "schema"),
    [
        (["compare", "784-10", "784-20-10"], "compare"),
        (["scaling", "784 32 10", "--vary", "width", "8:64:x2"], "scaling"),
        (["roofline", "784 32 10", "--hw", "t4"], "roofline"),
        (["famous"], "famous"),
        (["famous", "lenet5"], "famous"),
        (["check", "784 10"], "check"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_other_answers_have_schemas_of_their_own(words: list[str], schema: str) -> None:
    """Catches an answer that is no JSON, or does not say what it is."""
    done = process(*words, "--json", stdin="7850\n")
    assert json.loads(done.stdout)["schema"] == f"tito.analyze.{schema}/1"


def test_conv_and_transformer_answer_with_the_models_document(tito: Any) -> None:
    """Catches an option of `conv` or `transformer` that does not reach the count."""
    conv = tito("conv", "3", "64", "3", "--size", "32", "--padding", "1", "--nobias", "--json").json
    assert conv["schema"] == "tito.analyze/1" and conv["totals"]["params"] == 1_728
    assert conv["layers"][0]["output_shape"] == [64, 32, 32]
    gpt = tito(
        "transformer", "--layers", "2", "--dim", "64", "--heads", "4", "--vocab", "100", "--seq", "32", "--json"
    ).json
    assert gpt["totals"]["params"] == 100 * 64 + 32 * 64 + 2 * (12 * 64**2 + 13 * 64) + 2 * 64
    assert gpt["transformer"]["cache_bytes"] == 2 * 2 * 32 * 64 * 4


def test_a_live_model_by_file_and_by_module() -> None:
    """Catches prints of the learner's on stdout."""
    for written in ("models.py:mlp", "models:mlp"):
        done = process("params", written, "--json")
        assert json.loads(done.stdout)["totals"]["params"] == 235_136
        assert "a learner prints this" in done.stderr
    shown = process("params", "models.py:with_mystery").stdout
    assert "not counted: Mystery" in shown and "lower bound" in shown


def test_a_failing_live_model_ends_with_1_and_its_own_frames() -> None:
    """Catches a learner's error that looks like tito's."""
    done = process("flops", "models.py:broken", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == found["exit_code"] == 1
    assert "matmul" in found["message"] and "live_child" not in found["message"]


def test_a_profile_of_a_live_model() -> None:
    """Catches a profile without measurements."""
    found = json.loads(process("profile", "models.py:mlp", "--batch", "8", "--repeats", "5", "--json").stdout)
    assert found["runs"] == 5 and found["whole"]["achieved_flops"] > 0
    assert found["layers"][0]["name"] == "linear1"


def test_the_quiz_off_a_terminal() -> None:
    """Catches a quiz that needs a terminal, or calls a wrong answer right."""
    right = process("check", "784", "256", "10", stdin="200960\n2,570\n203530\n")
    assert right.returncode == 0 and "3 of 3 right" in right.stdout
    wrong = process("check", "784", "256", "10", stdin="200704\n")
    assert wrong.returncode == 1 and "biases are forgotten" in wrong.stderr
    assert "0 of 3 right; 2 not answered" in wrong.stdout
    nothing = process("check", "784", "256", "10")
    assert nothing.returncode == 5
    found = json.loads(process("check", "784", "256", "10", "--json", stdin="1\nq\n").stdout)
    assert (found["asked"], found["answered"], found["right"]) == (3, 1, 0)


def test_the_quiz_without_any_input(tito: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a traceback where standard input is closed."""
    monkeypatch.setattr(sys, "stdin", None)
    done = tito("check", "784", "10")
    assert done.code == 5 and "0 of 1 right" in done.out


def test_an_ascii_stream_gets_ascii() -> None:
    """Catches an encoding error on a terminal that carries nothing but ASCII."""
    for words in [
        ("params", "784 256 10", "--explain", "--plot"),
        ("conv", "3", "8", "3", "--size", "9"),
        ("roofline", "784 10", "--plot"),
    ]:
        done = process(*words, PYTHONIOENCODING="ascii", LC_ALL="C")
        assert done.returncode == 0 and done.stdout.isascii(), done.stderr
        assert "?" not in done.stdout


def test_colour_is_not_sent_into_a_pipe() -> None:
    """Catches escape codes in a file."""
    assert "\x1b" not in process("params", "784 256 10").stdout
    assert "\x1b" in process("params", "784 256 10", "--color", "always").stdout


def test_counting_imports_nothing_heavy() -> None:
    """Catches an import that makes every command slow: numpy, matplotlib, tinytorch, pytest, jupytext."""
    code = (
        "import sys; from tito.cli.app import app; from tito.cli.boundary import run; "
        "run(app, ['analyze', 'params', '@resnet18', '--json']); "
        "heavy = ('numpy', 'matplotlib', 'tinytorch', 'pytest', 'jupytext', 'rich'); "
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stderr.strip() == "[]"


def test_the_commands_of_the_document_run(tito: Any) -> None:
    """Catches a command in docs/analyze.md that no longer works."""
    import shlex

    text = (ROOT / "docs" / "analyze.md").read_text(encoding="utf-8")
    commands = [line for block in re.findall(r"```\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    assert len(commands) > 20
    for command in commands:
        words = shlex.split(command)
        assert words[:2] == ["tito", "analyze"], command
        assert tito(*words[2:]).code == 0, command


@pytest.mark.parametrize(
    "words",
    [
        ["params", "relu", "--input", "5"],
        ["memory", "relu", "--input", "5"],
        ["roofline", "relu", "--input", "5"],
        ["compare", "relu", "tanh", "--input", "5"],
        ["compare", "relu", "linear:3", "--input", "5"],
        ["scaling", "{n}*relu", "--input", "5", "--vary", "n", "1:5"],
    ],
    ids=" ".join,
)
def test_a_drawing_of_nothing_is_refused(tito: Any, tmp_path: Path, words: list[str]) -> None:
    """Catches a logarithm of zero, and an empty drawing that looks like an answer."""
    for plot in ("--plot", f"--plot={tmp_path / 'x.png'}"):
        done = tito(*words, plot)
        assert done.code == 2 and done.out == ""
        assert "nothing to draw" in done.err or "relu has no parameters or no FLOPs" in done.err
    assert not (tmp_path / "x.png").exists()


def test_equal_layers_are_one_point_on_the_roof_and_many_bars_are_said_to_be_cut() -> None:
    """Catches a drawing of the first 24 layers that passes for the whole model."""
    chart = charts.chart_of(Roofline(count("@gpt2"), find("laptop")))
    assert chart.names == (
        "block1.attn.q (48x)",
        "block1.attn.scores (24x)",
        "block1.mlp.up (12x)",
        "block1.mlp.down (12x)",
        "head",
    )
    whole = charts.chart_of(Report("params", count("@gpt2"), Shown(every=True)))
    assert len(whole.names) == charts.MOST_BARS and "the first 24 of" in whole.title
    assert "the first" not in charts.chart_of(Report("params", count("@gpt2"))).title


@pytest.mark.parametrize("words", [["--plot={}"], ["--plot", "{}"]], ids=" ".join)
def test_a_drawings_file_may_follow_its_option(tito: Any, tmp_path: Path, words: list[str]) -> None:
    """Catches a file's name that is read as a layer."""
    file = tmp_path / "x.svg"
    assert tito("params", "784", "10", *(word.format(file) for word in words)).code == 0
    assert file.exists()


@pytest.mark.parametrize(
    ("words", "named"), [(["784", "-10"], "-10"), (["-5", "10"], "-5"), (["-3*(relu)", "--input", "3"], "-3*(relu)")]
)
def test_a_negative_size_is_named_as_one(tito: Any, words: list[str], named: str) -> None:
    """Catches 'no such option' for a size below zero."""
    done = tito("params", *words)
    assert done.code == 2 and done.err.startswith(f"{named}: expected a size or a count of at least 1")
    assert "greater than or equal to 1" in tito("params", "784", "10", "--batch", "-1").err


def test_an_activation_in_capitals_is_one(tito: Any) -> None:
    """Catches --activation ReLU refused where a specification takes it."""
    assert tito("params", "784 5 10", "--activation", "ReLU").code == 0


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_drawings_in_files(tito: Any, tmp_path: Path, ending: str) -> None:
    """Catches a drawing that is empty or fails."""
    for number, words in enumerate(
        [
            ("params", "@vgg16"),
            ("flops", "@resnet50"),
            ("memory", "784 256 10"),
            ("compare", "@resnet18", "@resnet50"),
            ("scaling", "784 64 10", "--vary", "width", "64:512:x2"),
            ("roofline", "@resnet18"),
        ]
    ):
        file = tmp_path / f"{number}.{ending}"
        assert tito(*words, f"--plot={file}").code == 0
        assert file.stat().st_size > 5_000
