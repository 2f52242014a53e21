"""Counts against published numbers and against counting by hand."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import pytest

from tito.analysis.cost import Cost, Options
from tito.analysis.models import Given, count
from tito.analysis.presets import presets

# Written by tests/golden/make_presets.py with torchvision, transformers and torch's flop counter
GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "presets.json").read_text(encoding="utf-8"))
COUNTED = GOLDEN["images"] | GOLDEN["language"]


def of(written: str, batch: int = 1, shape: tuple[int, ...] | None = None, seq: int | None = None) -> Cost:
    return count(written, Options(batch=batch), Given(shape, seq))


def test_two_layers_at_batch_32() -> None:
    """Catches a batch left out, biases in the headline, and an input gradient for the first layer."""
    cost = of("784 256 10", batch=32)
    assert cost.params == 203_530
    assert (cost.macs, cost.flops, cost.bias_adds) == (6_504_448, 13_008_896, 8_512)
    assert cost.training_flops == 26_181_632


def test_three_layers_at_batch_32() -> None:
    """Catches an error that two layers hide, and the sum with bias additions that the lesson prints."""
    cost = of("784-256-128-10", batch=32)
    assert (cost.params, cost.macs, cost.flops, cost.bias_adds) == (235_146, 7_512_064, 15_024_128, 12_608)
    assert cost.flops + cost.bias_adds == 15_036_736
    assert cost.param_bytes == 940_584


@pytest.mark.parametrize(("sizes", "params"), [("784-512-512-10", 669_706), ("784-128-128-128-128-10", 151_306)])
def test_the_sizes_that_the_lesson_compares(sizes: str, params: int) -> None:
    """Catches a hidden layer dropped or counted twice."""
    assert of(sizes).params == params


def test_one_convolution() -> None:
    """Catches MACs counted over the input's places instead of the output's."""
    cost = of("conv:64k3", shape=(3, 32, 32))
    assert (cost.params, cost.macs) == (1_792, 1_555_200)


def test_lenet() -> None:
    """Catches pooling that counts, and a C3 that is not dense."""
    cost = of("@lenet5")
    assert (cost.params, cost.macs) == (61_706, 416_520)


def test_resnet50() -> None:
    """Catches a stride in the wrong convolution, a missing shortcut, norms without parameters."""
    cost = of("@resnet50")
    assert (cost.params, cost.macs) == (25_557_032, 4_089_184_256)


def test_gpt2() -> None:
    """Catches a tied head counted twice as parameters or not at all as work, and half (causal) attention."""
    cost = of("@gpt2", seq=1024)
    assert (cost.params, cost.macs) == (124_439_808, 145_824_153_600)


@pytest.mark.parametrize("name", [name for name, preset in presets().items() if preset.published])
def test_presets_have_the_published_parameters(name: str) -> None:
    """Catches a wrong row in a preset's table."""
    assert of(f"@{name}").params == presets()[name].published


@pytest.mark.parametrize("name", COUNTED)
def test_presets_are_the_published_models_to_the_integer(name: str) -> None:
    """Catches a stride, padding, head or projection that the model does not have, which parameters alone may hide."""
    other = COUNTED[name]
    cost = of(f"@{name}", seq=other.get("tokens"))
    assert (cost.params, cost.macs, cost.buffers) == (other["params"], other["macs"], other["buffers"])


def test_every_preset_is_counted_elsewhere() -> None:
    """Catches a preset that rests on this counter alone."""
    assert set(presets()) == set(COUNTED)


@pytest.mark.parametrize("name", [name for name, other in COUNTED.items() if "training_flops" in other])
def test_a_training_step_is_what_torch_counts(name: str) -> None:
    """Catches a gradient too many or too few, at the first layer and where branches meet."""
    batch, seq = (1, 256) if name in GOLDEN["language"] else (2, None)
    assert of(f"@{name}", batch=batch, seq=seq).training_flops == COUNTED[name]["training_flops"]


def test_gpt3_has_the_rounded_number_of_its_paper() -> None:
    """Catches a GPT-3 that was fitted to 175 billion instead of counted."""
    assert round(of("@gpt3").params / 1e6, -2) == 174_600
    assert of("@gpt3").params * 2 == pytest.approx(350e9, rel=0.01)  # bytes at fp16


def test_every_preset_says_where_it_comes_from() -> None:
    """Catches a preset without variant, year or source."""
    for preset in presets().values():
        assert preset.variant and preset.source and 1980 < preset.year < 2030, preset.name
        assert 8 <= len(preset.cited) <= 20, preset.cited


def test_preset_named_in_the_issue_exist() -> None:
    """Catches a preset that was renamed."""
    wanted = (
        "lenet5 alexnet vgg16 resnet18 resnet50 mobilenetv2 gpt2 gpt2-medium gpt2-xl gpt3 bert-base vit-b16 llama2-7b"
    )
    assert set(wanted.split()) <= set(presets())


def by_loops(
    height: int, width: int, channels: int, out: int, kernel: int, stride: int, padding: int, groups: int
) -> int:
    """MACs of a convolution, one by one: every window that fits, every output channel, every product."""
    found = 0
    for top, left in product(range(-padding, height + padding, stride), range(-padding, width + padding, stride)):
        if top + kernel > height + padding or left + kernel > width + padding:
            continue
        found += sum(1 for _ in product(range(out), range(channels // groups), range(kernel), range(kernel)))
    return found


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "groups"), [(3, 1, 0, 1), (3, 2, 1, 2), (1, 1, 0, 4), (5, 3, 2, 1), (2, 2, 0, 1)]
)
def test_convolutions_equal_counting_one_by_one(kernel: int, stride: int, padding: int, groups: int) -> None:
    """Catches an output size off by one, and groups that multiply."""
    cost = of(f"conv:8k{kernel}s{stride}p{padding}g{groups}", shape=(4, 9, 7))
    assert cost.macs == by_loops(9, 7, 4, 8, kernel, stride, padding, groups)


def test_grouped_and_depthwise_convolutions_divide_by_the_groups() -> None:
    """Catches a depthwise convolution that sees all channels."""
    assert of("conv:8k3g2", shape=(4, 8, 8)).params == 8 * 2 * 9 + 8
    assert of("dwconv:3p1", shape=(4, 8, 8)).params == of("conv:4k3p1g4", shape=(4, 8, 8)).params == 4 * 9 + 4


def test_attention_counts_two_dense_products_and_four_projections() -> None:
    """Catches a causal half, a forgotten head or a projection too few."""
    cost = of("attn:64h4", seq=10)
    assert cost.params == 4 * (64 * 64 + 64)
    assert cost.macs == 4 * 10 * 64 * 64 + 2 * 10 * 10 * 64


def test_grouped_query_attention_has_narrower_keys_and_values() -> None:
    """Catches key-value heads that are ignored."""
    cost = of("attn:64h8kv2 nobias", seq=10)
    assert cost.params == 2 * 64 * 64 + 2 * 64 * 16


def test_a_block_is_what_it_is_said_to_be() -> None:
    """Catches a block that differs from the residual branches it stands for."""
    short = of("block:64h4", seq=10)
    long = of("res(ln attn:64h4) res(ln mlp:256)", shape=(10, 64))
    assert short.totals() == long.totals()
    assert short.params == 12 * 64**2 + 13 * 64


def test_training_needs_no_gradient_of_what_nothing_learns_before() -> None:
    """Catches the rule of three, and an input gradient behind an activation that comes first."""
    first, second = 20 * 30, 30 * 5
    assert of("20 30 5").training_flops == 2 * (2 * first + 3 * second)
    assert of("relu linear:20x30 linear:5", shape=(20,)).training_flops == 2 * (2 * first + 3 * second)


def test_behind_an_embedding_training_is_exactly_three_times_forward() -> None:
    """Catches an embedding that does not count as learning, and products with one gradient only."""
    cost = of("embed:11x8 block:8h2 unembed", seq=5)
    assert cost.training_flops == 3 * cost.flops


def test_norms_pools_and_activations_count_nothing_in_the_headline() -> None:
    """Catches work that the convention leaves out."""
    cost = of("bn relu pool2 dropout0.1 gelu flatten ln softmax", shape=(3, 8, 8))
    assert (cost.macs, cost.flops, cost.bias_adds) == (0, 0, 0)
    assert cost.params == 2 * 3 + 2 * 48
    assert cost.buffers == 2 * 3
