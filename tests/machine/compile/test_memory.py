"""Memory by category, worked out by hand and against what Megatron published."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from dojo.errors import ConfigError
from dojo.machine.compile.memory import capacity_bytes, memory
from dojo.machine.compile.partition import Recompute, Split, columns
from dojo.machine.compile.transformer import Gpt, Software
from dojo.machine.specs import load_machine

GPT3 = Gpt("gpt3", 12288, 96, 96, 2048, 51200)
UNFUSED = Software(dtype="float16", flash=False, gradient_bytes=2)


def activations(split: Split) -> float:
    return float(memory(GPT3, UNFUSED, columns([split], 64)).activations[0])


def test_selective_recomputation_of_gpt3_saves_the_published_share_of_a_blocks_activations() -> None:
    # Korthikanti et al. 2022, section 5: 5as/h is 80 for GPT-3, so of 34 + 80 parts 70 % go.
    kept = [
        activations(Split(8, 8, 1, sequence_parallel=True, recompute=how))
        for how in (Recompute.NONE, Recompute.SELECTIVE)
    ]
    assert 1 - kept[1] / kept[0] == pytest.approx(0.70, abs=0.01)


def test_sequence_parallelism_divides_all_of_a_blocks_activations() -> None:
    # The same, equation 4: s b h (34 + 5as/h) / t in each block, and as many blocks in flight as the model has.
    row = 12288 * 2048
    expected = row * (34 + 5 * 96 * 2048 / 12288) / 8 * 96
    assert activations(Split(8, 8, 1, sequence_parallel=True)) == pytest.approx(expected)


def test_interleaving_keeps_more_by_the_published_factor() -> None:
    # The same, section 4.2.3: 1 + (p - 1) / (p m) with m pieces.
    plain, pieces = (activations(Split(8, 8, 1, interleave=count)) for count in (1, 3))
    assert pieces / plain == pytest.approx(1 + 7 / 24)


def test_each_stage_of_zero_shards_one_more_category() -> None:
    held = [memory(GPT3, UNFUSED, columns([Split(8, 1, 16, zero=stage)], 64)) for stage in range(4)]
    sharded = [
        [
            getattr(one, name)[0] / getattr(held[0], name)[0] == pytest.approx(1 / 16)
            for name in ("optimiser", "gradients", "weights")
        ]
        for one in held
    ]
    assert sharded == [[False] * 3, [True, False, False], [True, True, False], [True] * 3]


def test_sixteen_bytes_a_parameter_without_sharding() -> None:
    # Rajbhandari et al. 2020, section 3.1: 2 + 2 + 12 bytes.
    held = memory(GPT3, UNFUSED, columns([Split(1, 1, 1)], 64))
    states = held.weights + held.gradients + held.optimiser
    assert float(states[0]) == pytest.approx(16 * GPT3.parameters, rel=1e-3)


def test_categories_come_largest_first_and_add_up() -> None:
    held = memory(GPT3, UNFUSED, columns([Split(8, 8, 1)], 64))
    parts = held.at(0)
    assert list(parts.values()) == sorted(parts.values(), reverse=True)
    assert sum(parts.values()) == pytest.approx(float(held.total[0]))


def test_a_die_without_memory_of_its_own_has_its_sram_and_a_share_of_what_feeds_it() -> None:
    assert capacity_bytes(load_machine("a100")) == 80e9
    assert capacity_bytes(load_machine("d1")) > 440e6


def test_a_machine_without_memory_is_refused() -> None:
    toy = load_machine("toy")
    bare = replace(toy, levels={name: replace(level, memory=None, sram=None) for name, level in toy.levels.items()})
    with pytest.raises(ConfigError, match=re.escape("machine toy: expected memory at its chips, found none")):
        capacity_bytes(bare)
