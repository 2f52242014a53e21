"""Live models, in child processes, on the stand-in framework."""

from __future__ import annotations

from pathlib import Path

import pytest

from tito.analysis import live
from tito.analysis.cost import Cost, Options
from tito.analysis.hardware import find
from tito.analysis.models import Given, count
from tito.errors import LearnerError, LimitExceeded, UsageError

ROOT = Path(__file__).parent / "stand_in"


def seen(name: str, shape: tuple[int, ...] | None = None, seq: int | None = None, batch: int = 1) -> Cost:
    return live.count_object(ROOT, ROOT, f"models.py:{name}", Options(batch=batch), Given(shape, seq))


PAIRS = [
    ("mlp", "linear:784x256 relu dropout0.5 linear:128 relu linear:10 nobias", (784,), None),
    (
        "cnn",
        "conv:32k3 relu pool2 conv:64k3p1 nobias bn relu pool2 flatten linear:10",
        (3, 32, 32),
        None,
    ),
    ("transformer", "embed:100x16 ln attn:16h4 linear:100", None, 12),
    ("Functional", "linear:6x6 res(linear:6 relu) linear:3", (6,), None),
]


@pytest.mark.parametrize(("name", "written", "shape", "seq"), PAIRS, ids=[pair[0] for pair in PAIRS])
def test_specification_and_live_model_agree_to_the_integer(
    name: str, written: str, shape: tuple[int, ...] | None, seq: int | None
) -> None:
    """Catches a layer, a bias, a view or an array that the two ways see differently."""
    found = seen(name, shape, seq, batch=4)
    spoken = count(written, Options(batch=4), Given(shape, seq))
    assert found.totals() == spoken.totals()
    assert found.buffers == spoken.buffers
    assert sorted(row.kind for row in found.rows) == sorted(row.kind for row in spoken.rows)
    assert not found.not_counted and not found.notes


def test_the_input_is_read_from_the_first_layer() -> None:
    """Catches a --input that is asked for although the model says it."""
    assert seen("mlp").model.input_shape == (784,)
    with pytest.raises(UsageError, match="does not say what shape"):
        seen("cnn")
    with pytest.raises(UsageError, match="number of tokens"):
        seen("transformer")


def test_a_module_of_the_package_is_named_with_dots() -> None:
    """Catches a root that is not on the child's path."""
    found = live.count_object(ROOT, ROOT, "models:mlp", Options(), Given())
    assert found.params == 784 * 256 + 256 + 256 * 128 + 128 + 1280


def test_a_function_that_is_not_known_is_named() -> None:
    """Catches activations that are missed in silence."""
    found = seen("Odd", (6,))
    assert found.params == 42 + 21 and not found.not_counted
    assert "mystery" in found.notes[0]


def test_shared_parameters_count_once_and_their_work_each_time() -> None:
    """Catches a layer used twice that is counted as two, or once."""
    found = seen("shared", (6,))
    assert found.params == 42
    assert found.macs == 2 * 36


def test_a_tied_head_that_is_only_a_product_is_observed() -> None:
    """Catches a product outside of any layer that is missed."""
    found = seen("Tied", seq=5)
    assert found.params == 50 * 8 + 8 * 8 + 8
    assert found.macs == 5 * 8 * 8 + 5 * 8 * 50
    assert found.training_flops == 3 * found.flops


def test_an_unknown_layer_is_named_and_makes_lower_bounds() -> None:
    """Catches a layer that is silently left out."""
    found = seen("with_mystery")
    assert found.not_counted == ("not counted: Mystery",)
    assert found.params == 25 + 18 + 5  # what it holds is seen, what it does is not
    assert found.macs == 20 + 15


def test_parameters_of_a_layer_that_is_not_called_count() -> None:
    """Catches parameters that are only found by calling."""
    found = seen("Unused", (4,))
    assert found.params == 10 + 24
    assert found.macs == 8
    assert [row.note for row in found.rows if row.kind == "unused"] == ["not used in this forward pass"]


def test_bare_arrays_without_a_base_class() -> None:
    """Catches a framework that has to be complete before it can be looked at."""
    found = seen("NoBase")
    assert (found.params, found.macs) == (23, 18)
    assert [row.kind for row in found.rows] == ["linear", "relu", "linear"]


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("absent", UsageError, "there is no absent"),
        ("needs", UsageError, "needs arguments: width"),
        ("number", UsageError, "is int, which has no forward pass"),
        ("nothing", LearnerError, "returned None"),
        ("broken", LearnerError, "ValueError"),
        ("leaves", LearnerError, "SystemExit: 7"),
        ("leaves_without_a_word", LearnerError, "failed: SystemExit\n"),
        ("interrupts", LearnerError, "failed: KeyboardInterrupt"),
    ],
)
def test_what_goes_wrong_is_said(name: str, kind: type[Exception], said: str) -> None:
    """Catches a traceback of tito's, or an error without a reason."""
    with pytest.raises(kind, match=said):
        seen(name, (4,))


def test_the_learners_frames_are_shown_and_no_others() -> None:
    """Catches frames of the child script in a learner's traceback."""
    with pytest.raises(LearnerError) as caught:
        seen("broken", (4,))
    assert "layers.py" in caught.value.message and "live_child" not in caught.value.message


@pytest.mark.parametrize(
    "written", ["gone.py:build", "models.py", "models.py:", "no.such.module:x", "models.py:mlp.layers.nope"]
)
def test_names_that_lead_nowhere(written: str) -> None:
    """Catches an exception for a wrong name."""
    with pytest.raises(UsageError):
        live.count_object(ROOT, ROOT, written, Options(), Given())


def test_a_part_of_the_package_that_is_not_there_yet_is_said_so() -> None:
    """Catches advice about search paths for a lesson that has not been exported."""
    with pytest.raises(UsageError) as caught:
        live.count_object(ROOT, ROOT, "tinytorch.core.attention:Attention", Options(), Given())
    assert "export the lesson" in caught.value.hint
    with pytest.raises(UsageError, match=r"models\.py does not say which object"):
        live.count_object(ROOT, ROOT, "models.py:", Options(), Given())


def test_a_model_that_hangs_is_ended() -> None:
    """Catches a child that outlives its limit."""
    target = live.target_of("models.py:hangs", ROOT, ROOT)
    with pytest.raises(LimitExceeded, match="still running"):
        live.ask(ROOT, ROOT, target, Given((4,)), limit=2.0)


def test_prints_go_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    """Catches a learner's print that breaks the one JSON document."""
    seen("mlp")
    captured = capfd.readouterr()
    assert captured.out == "" and "a learner prints this" in captured.err


def test_a_profile_has_every_layer_once_with_its_prediction() -> None:
    """Catches times that are given to another layer."""
    found = live.profile_object(ROOT, ROOT, "models.py:mlp", Options(batch=2), Given((784,)), find("laptop"), repeats=5)
    assert [layer.kind for layer in found.layers] == ["linear", "relu", "dropout", "linear", "relu", "linear"]
    assert found.layers[0].flops == 2 * 2 * 784 * 256
    assert all(len(layer.times) == 5 and layer.median > 0 for layer in found.layers)
    assert found.layers[0].rate == pytest.approx(found.layers[0].flops / found.layers[0].median)
    assert sum(layer.median for layer in found.layers) < 3 * max(found.whole)


def test_this_machine_is_measured_in_its_own_process() -> None:
    """Catches numpy imported here, and a measurement that cannot be."""
    from tito.analysis.measure import this_machine

    machine = this_machine()
    assert 1e8 < machine.flops("fp32") < 1e15
    assert 1e8 < machine.bandwidth < 1e14
