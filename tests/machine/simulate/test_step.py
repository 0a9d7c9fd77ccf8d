"""The closed form of a step: its parts, and what they follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from dojo.machine.compile.partition import Recompute, Split, columns
from dojo.machine.compile.transformer import Software
from dojo.machine.simulate.constants import load_constants
from dojo.machine.simulate.step import Simulator
from dojo.machine.specs import load_machine

Make = Callable[..., Simulator]


def seconds(simulator: Simulator, split: Split, batch: int = 64) -> float:
    return float(simulator.step(columns([split], batch)).total[0])


def test_many_splits_at_once_are_what_each_is_alone(simulate: Make) -> None:
    simulator = simulate()
    splits = [Split(8, 2, 2, micro_batch=1), Split(4, 4, 2, micro_batch=2, interleave=2), Split(8, 1, 4, zero=3)]
    together = simulator.step(columns(splits, 64)).total
    assert together == pytest.approx([seconds(simulator, split) for split in splits])


def test_the_parts_add_up_and_come_longest_first(simulate: Make) -> None:
    step = simulate().step(columns([Split(8, 2, 2)], 64))
    parts = step.at(0)
    assert sum(parts.values()) == pytest.approx(float(step.total[0]))
    assert list(parts.values()) == sorted(parts.values(), reverse=True)


def test_one_accelerator_exchanges_nothing(simulate: Make) -> None:
    step = simulate().step(columns([Split()], 8))
    for name in ("tensor_exchange", "expert_exchange", "pipeline_sends", "pipeline_bubble", "gradient_exchange"):
        assert float(getattr(step, name)[0]) == 0.0


def test_full_recomputation_costs_a_forward_pass(simulate: Make) -> None:
    simulator = simulate()
    forward = simulator.stage(columns([Split()], 8)).forward
    more = seconds(simulator, Split(recompute=Recompute.FULL), 8) - seconds(simulator, Split(), 8)
    assert more == pytest.approx(8 * 48 * float(forward.products[0] + forward.others[0]), rel=0.1)


def test_attention_in_one_kernel_has_nothing_to_recompute_selectively(simulate: Make) -> None:
    fused, apart = simulate(), simulate(software=Software(flash=False))
    times = [[seconds(one, Split(recompute=how)) for how in Recompute][:2] for one in (fused, apart)]
    assert times[0][0] == times[0][1]
    assert times[1][0] < times[1][1]


def test_interleaving_shortens_the_bubble_by_its_pieces(simulate: Make) -> None:
    simulator = simulate(software=replace(Software(), overlap_pipeline=True))
    bubbles = simulator.step(columns([Split(8, 4, 1), Split(8, 4, 1, interleave=3)], 64)).pipeline_bubble
    # Each piece has a host's work of its own, which does not shrink.
    assert bubbles[0] / bubbles[1] == pytest.approx(3, rel=0.1)


def test_sends_are_free_where_they_are_overlapped(simulate: Make) -> None:
    for overlapped in (True, False):
        software = replace(Software(), overlap_pipeline=overlapped)
        sends = simulate(software=software).step(columns([Split(8, 4, 1)], 64)).pipeline_sends
        assert bool(sends[0] == 0) is overlapped


def test_gradients_hide_behind_the_last_backward_pass_but_for_one_block(simulate: Make) -> None:
    split = columns([Split(8, 1, 8, micro_batch=8)], 64)
    apart = simulate(software=replace(Software(), overlap_data=False)).step(split).gradient_exchange
    hidden = simulate().step(split).gradient_exchange
    assert hidden[0] < 0.1 * apart[0]


def test_a_small_micro_batch_is_as_slow_as_its_host(simulate: Make) -> None:
    shares = simulate().step(columns([Split(8, 1, 1), Split(8, 1, 1, micro_batch=16)], 16))
    waiting = shares.launching / shares.total
    assert waiting[0] > 2 * waiting[1]


def test_an_accelerator_at_its_power_limit_gives_up_clock() -> None:
    constants = load_constants()
    a100, h100 = (constants.sustained_share(load_machine(name)) for name in ("a100", "h100"))
    # 1305 of 1410 MHz; and 700 W at 0.7 of the energy: 722 of 989 TFLOPS.
    assert a100 == pytest.approx(1305 / 1410, rel=1e-3)
    assert h100 == pytest.approx(0.73, abs=0.005)
    assert constants.sustained_share(load_machine("d1")) == 1.0


def test_more_replicas_never_make_a_step_of_the_same_batch_slower_in_products(simulate: Make) -> None:
    products = simulate().step(columns([Split(8, 1, data) for data in (1, 2, 4, 8)], 64)).products
    assert np.all(np.diff(products) < 0)
