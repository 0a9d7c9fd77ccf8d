"""Splits: which are legal, and why the others are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import ConfigError
from dojo.machine.compile.partition import Recompute, Split, columns, faults, legal_splits
from dojo.machine.compile.transformer import Gpt

SMALL = Gpt("small", 1024, 16, 24, 512, 1024)
ROUTED = Gpt("routed", 1024, 16, 24, 512, 1024, experts=8, active_experts=2)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from([1, 2, 4, 6, 8, 16, 24, 48]), st.sampled_from([8, 48, 96]), st.sampled_from([SMALL, ROUTED]))
def test_every_listed_split_is_legal_and_listed_once(accelerators: int, batch: int, model: Gpt) -> None:
    found = legal_splits(model, batch, accelerators, widest_tensor=8)
    assert [faults(model, split, batch, accelerators) for split in found] == [[]] * len(found)
    assert len(set(found)) == len(found)


def test_all_legal_splits_of_a_small_case_are_found() -> None:
    model = Gpt("two", 64, 2, 2, 64, 64)
    tried = [
        Split(tensor, pipeline, data, 1, micro, interleave, sequence, zero, recompute)
        for tensor in (1, 2)
        for pipeline in (1, 2, 4)
        for data in (1, 2, 4)
        for micro in (1, 2, 4)
        for interleave in (1, 2)
        for sequence in (False, True)
        for zero in range(4)
        for recompute in Recompute
    ]
    legal = {split for split in tried if not faults(model, split, 4, 4)}
    assert set(legal_splits(model, 4, 4, widest_tensor=2)) == legal


@pytest.mark.parametrize(
    ("split", "said"),
    [
        (Split(tensor=3), "divisor of 16 heads, got 3"),
        (Split(pipeline=5), "divisor of 24 layers, got 5 x 1"),
        (Split(data=5), "divisor of the batch 48, got 5 x 1"),
        (Split(interleave=2), "interleave: expected a pipeline"),
        (Split(sequence_parallel=True), "sequence_parallel: expected tensor > 1"),
        (Split(pipeline=2, data=2, zero=3), "zero: expected 0 or 1 with a pipeline"),
        (Split(zero=1), "zero: expected more than one replica"),
        (Split(expert=2), "expert: expected a divisor of 1 experts"),
        (Split(micro_batch=0), "micro_batch: expected 1 or more, got 0"),
    ],
)
def test_what_is_not_legal_says_why(split: Split, said: str) -> None:
    assert any(said in fault for fault in faults(SMALL, split, 48))


def test_a_split_needs_as_many_accelerators_as_its_product() -> None:
    assert faults(SMALL, Split(2, 3, 4), 48, 25) == ["expected tensor x pipeline x data = 25, got 24"]


def test_columns_hold_what_the_splits_say() -> None:
    table = columns([Split(2, 3, 4, micro_batch=2, recompute=Recompute.FULL), Split()], [48, 8])
    assert np.array_equal(table.micro_batches, [6, 8])
    assert np.array_equal(table.recompute, [2, 0])
    with pytest.raises(ConfigError, match="expected one or more, got none"):
        columns([], 8)
