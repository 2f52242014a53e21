"""Comparison, growth, rooflines, convolutions and transformers taken apart, presets listed."""

from __future__ import annotations

import pytest

from tito.analysis import convolution, scaling, transformer
from tito.analysis.catalogue import catalogue
from tito.analysis.comparing import compare
from tito.analysis.cost import Options
from tito.analysis.hardware import HARDWARE, find, roofline
from tito.analysis.models import Given, count
from tito.analysis.presets import presets
from tito.analysis.shown import SHOWN
from tito.analysis.units import both, parse_bytes, percent
from tito.errors import UsageError


def test_pareto_marks() -> None:
    """Catches a dominated model that is marked, and one on the front that is not."""
    names = ["784-256-10", "784-128-128-10", "784-512-512-10", "784-130-120-10"]
    found = compare([count(name) for name in names], SHOWN)
    marks = {entry.label: found.beaten_by(entry) is None for entry in found.entries}
    assert marks["784-128-128-10"] and not marks["784-512-512-10"] and not marks["784-256-10"]


def test_a_model_that_is_only_as_good_in_one_thing_is_beaten() -> None:
    """Catches a front on which a model stays because it ties somewhere."""
    given = Given((3, 32, 32))
    found = compare([count("conv:4k3", given=given), count("conv:4k3s2", given=given)], SHOWN)
    assert found.beaten_by(found.entries[0]) is found.entries[1]


def test_accuracy_counts_when_every_model_has_one() -> None:
    """Catches a front that ignores what the parameters are spent on."""
    found = compare([count("@resnet18"), count("@resnet50")], SHOWN)
    assert found.with_accuracy and all(found.beaten_by(entry) is None for entry in found.entries)
    assert compare([count("@resnet50"), count("@resnet50", given=Given((3, 64, 64)))], SHOWN).with_accuracy is False


def test_equal_models_do_not_beat_one_another() -> None:
    """Catches both of two equal models marked as beaten."""
    found = compare([count("784 10"), count("784-10")], SHOWN)
    assert all(found.beaten_by(entry) is None for entry in found.entries)


@pytest.mark.parametrize(
    ("written", "varied", "values", "measure", "exponent"),
    [
        ("{w} {w}", "w", "64:4096:x2", "macs", 2.0),
        ("784 64 10", "batch", "1:64:x2", "macs", 1.0),
        ("784 64 10", "batch", "1:64:x2", "params", 0.0),
        ("conv:{c}k3", "c", "8:64:x2", "params", 1.0),
        ("conv:4k3p1", "image", "16:256:x2", "macs", 2.0),
    ],
)
def test_fitted_exponents(written: str, varied: str, values: str, measure: str, exponent: float) -> None:
    """Catches a slope of the wrong logarithms."""
    given = Given((3, 32, 32)) if "conv" in written else Given()
    found = scaling.vary(written, varied, values, Options(), given, SHOWN)
    growth = found.growth(measure)
    assert growth is not None
    assert growth.fitted == pytest.approx(exponent, abs=0.01)


def test_width_and_depth_of_sizes() -> None:
    """Catches a varied input or output layer."""
    wide = scaling.vary("784 256 128 10", "width", "64:128:x2", Options(), Given(), SHOWN)
    assert [cost.params for cost in wide.costs] == [count(f"784 {w} {w} 10").params for w in (64, 128)]
    deep = scaling.vary("784 32 10", "depth", "1:3", Options(), Given(), SHOWN)
    assert deep.costs[2].params == count("784 32 32 32 10").params


@pytest.mark.parametrize(
    ("text", "values"),
    [("64:512:x2", (64, 128, 256, 512)), ("1:7:+3", (1, 4, 7)), ("1:3", (1, 2, 3)), ("8,2,4", (2, 4, 8))],
)
def test_ranges(text: str, values: tuple[int, ...]) -> None:
    """Catches an end that is left out."""
    assert scaling.values(text) == values


@pytest.mark.parametrize(
    "text", ["", "64", "9:1", "1:9:x1", "1:2000", "a:b", "64:2048:y2", "0:4", "5:5", "1:9:x", "7,7"]
)
def test_ranges_that_are_none(text: str) -> None:
    """Catches an endless range."""
    with pytest.raises(UsageError):
        scaling.values(text)


def test_what_cannot_vary_is_said() -> None:
    """Catches a width that is silently not varied."""
    for written, name in [("@gpt2", "width"), ("784 10", "width"), ("linear:5", "width"), ("linear:{a}", "b")]:
        with pytest.raises(UsageError):
            scaling.vary(written, name, "1:4", Options(), Given(), SHOWN)


def test_the_roof_is_the_lower_of_two_lines() -> None:
    """Catches peak and bandwidth exchanged, and the wrong side of the ridge."""
    machine = find("laptop")
    cost = count("784 256 10", Options(batch=32))
    first, second = roofline(cost, machine)
    assert first.moved == 4 * (784 * 256 + 256 + 32 * 784 + 32 * 256)
    assert first.bound == "arithmetic" and first.attainable == machine.flops("fp32")
    assert second.bound == "memory"
    assert second.attainable == pytest.approx(second.flops / second.moved * machine.bandwidth)
    assert second.seconds == pytest.approx(second.moved / machine.bandwidth)


def test_hardware_has_peaks_and_sources() -> None:
    """Catches a machine without a source, and fp16 slower than fp32."""
    for machine in HARDWARE:
        assert machine.source and machine.bandwidth > 1e9
        assert machine.flops("int4") >= machine.flops("int8") >= machine.flops("fp16") >= machine.flops("fp32")
    with pytest.raises(UsageError, match="not known"):
        find("abacus")


def test_one_convolution_taken_apart() -> None:
    """Catches a size arithmetic that is not the walk's, and patches of the wrong size."""
    found = convolution.analyze("conv:64k3s2p1", Options(batch=2), Given((3, 32, 30)), SHOWN)
    assert found.sizes[0].startswith("(32 + 2·1 - 3)/2 + 1 = 16")
    assert found.patch_values == 2 * 3 * 9 * 16 * 15
    linear = found.instead[1]
    assert linear.params == (3 * 32 * 30) * (64 * 16 * 15) + 64 * 16 * 15
    separable = count("dwconv:3s2p1 conv:64k1", Options(batch=2), Given((3, 32, 30)))
    assert (found.instead[2].params, found.instead[2].macs) == (separable.params, separable.macs)


def test_two_3x3_layers_in_place_of_a_5x5() -> None:
    """Catches a stack that is not what it is said to replace."""
    found = convolution.analyze("conv:8k5p2", Options(), Given((4, 9, 9)), SHOWN)
    stack = count("conv:8k3p1 conv:8k3p1", given=Given((4, 9, 9)))
    assert (found.instead[-1].params, found.instead[-1].macs) == (stack.params, stack.macs)


def test_a_transformer_taken_apart() -> None:
    """Catches a part that is counted in two, and a cache of one of the two."""
    found = transformer.analyze(count("@gpt2"), SHOWN)
    parts = {part.name: part for part in found.parts}
    assert sum(part.params for part in found.parts) == found.cost.params
    assert sum(part.macs for part in found.parts) == found.cost.macs
    assert parts["attention products"].macs == 12 * 2 * 1024 * 1024 * 768
    assert parts["output head"].macs == 1024 * 50257 * 768
    assert "other" not in parts
    assert found.cache_bytes == 2 * 12 * 1024 * 768 * 4
    with pytest.raises(UsageError, match="no attention"):
        transformer.analyze(count("784 10"), SHOWN)


def test_grouped_query_attention_shrinks_the_cache() -> None:
    """Catches a cache of as many heads as there are queries."""
    found = transformer.analyze(count("@llama2-70b", Options(dtype="fp16")), SHOWN)
    assert found.cache_bytes == 2 * 80 * 4096 * 1024 * 2


def test_the_list_of_presets_counts_as_the_presets_do() -> None:
    """Catches a repeat that is folded although its rounds differ."""
    for famous in catalogue().models:
        cost = count(f"@{famous.preset.name}")
        assert (famous.params, famous.macs) == (cost.params, cost.macs), famous.preset.name
    assert len(catalogue().models) == len(presets())


def test_units() -> None:
    """Catches powers of ten and of two exchanged."""
    assert both(814_120) == "814.12 kB = 795.04 KiB"
    assert both(10**6, "si") == "1.00 MB" and both(2**20, "iec") == "1.00 MiB"
    assert parse_bytes("16GiB", "--fit") == 16 * 2**30 and parse_bytes("1.5 GB", "--fit") == 1_500_000_000
    assert percent(1, 10**6) == "<0.1%"
    for wrong in ("", "x", "16 apples", "-1GB", "0", "1iB"):
        with pytest.raises(UsageError):
            parse_bytes(wrong, "--fit")
