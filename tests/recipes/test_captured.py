"""The policy's own step as a graph."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from dojo.errors import ConfigError
from dojo.machine.compile.chakra import COLLECTIVE, read_trace
from dojo.machine.compile.graph import Phase
from dojo.model import config as sizes
from dojo.model.policy import Policy, parameters_of
from dojo.recipes.captured import empty_batch, export_chakra, policy_batches, policy_step
from dojo.recipes.elsewhere import training_elsewhere
from dojo.recipes.predicted import d1_predictions, resnet_held_out
from dojo.recipes.train import tiny


@pytest.mark.parametrize("size", ["tiny", "small", "medium", "large"])
def test_policies_of_all_sizes_are_captured_without_anything_unknown(size: str) -> None:
    config = getattr(sizes, size)()
    graph = policy_step(config, 2, 2, name=size)
    with torch.device("meta"):
        assert graph.parameters == parameters_of(Policy(config))
    assert not graph.unknown
    assert (graph.samples, graph.model) == (2, size)


def test_a_captured_policy_computes_what_a_real_one_does() -> None:
    config = sizes.tiny()
    graph = policy_step(config, 2, 2)
    with FlopCounterMode(display=False) as counter:
        Policy(config).answer(empty_batch(2, 2))
    forward = sum(one.flops for one in graph.operators if one.matrix and one.phase is Phase.FORWARD)
    assert forward == pytest.approx(counter.get_total_flops())


def test_a_policys_step_grows_with_its_clips() -> None:
    batches = policy_batches(sizes.tiny(), 2)
    assert batches.at(32).flops == pytest.approx(policy_step(sizes.tiny(), 32, 2, autocast=torch.bfloat16).flops)


def test_a_run_is_told_what_it_takes_elsewhere() -> None:
    outcome = training_elsewhere(tiny(), anchors=2, steps=100, seconds=12.0)
    rows = outcome.facts["training_elsewhere"]
    assert [row["where"] for row in rows] == ["here", "laptop", "h100", "tile", "exapod"]
    assert rows[0]["measured_s"] == pytest.approx(0.12)
    assert all(row["training_s"] == pytest.approx(100 * row["step_s"]) for row in rows)


def test_a_model_is_exported_for_each_rank(tmp_path: Path) -> None:
    paths = export_chakra("tiny", 4, tmp_path, ranks=2)
    assert [path.name for path in paths] == ["tiny.0.et", "tiny.1.et"]
    nodes = read_trace(paths[1].read_bytes())
    sums = [node for node in nodes if node.kind == COLLECTIVE]
    assert len(nodes) > 700
    # Of products' weights; biases and norms are summed by no product.
    learned = sum(int(node.attributes["comm_size"]) // 2 for node in sums)
    assert 0.9 < learned / 1_381_207 <= 1.0
    with pytest.raises(
        ConfigError, match=r"model: expected resnet50, tiny, small, medium, large, package\.module:function"
    ):
        export_chakra("huge", 4, tmp_path)


def test_d1_is_predicted_in_a_table_that_says_how_far_to_trust_a_claim() -> None:
    facts = d1_predictions().facts["predictions"]
    assert [row["where"] for row in facts] == ["tile", "24 a100", *["tile", "tray", "exapod"] * 2]
    assert {row["told"]["grade"] for row in facts} == {"assumption", "secondary"}
    assert facts[-1]["what"] == "policy medium"


def test_resnet50_is_validated_on_rows_that_nothing_was_fitted_on() -> None:
    agreement, outcome = resnet_held_out()
    assert agreement.rows == 6
    assert agreement.mean_abs_error < 0.15
    assert len(outcome.facts["rows"]) == 6
