"""Training with a narrow memory: what it changes, and that a run goes on with it exactly."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from dojo.errors import ConfigError
from dojo.machine.numbers.storage import Storage
from dojo.model.policy import Policy
from dojo.records import Batch
from dojo.train import checkpoint
from dojo.train.numerics import Numerics
from dojo.train.train import Interrupted, TrainConfig, TrainResult, train

PROGRAM = Path(__file__).with_name("training_run.py")


@pytest.fixture(scope="module")
def program() -> ModuleType:
    specification = importlib.util.spec_from_file_location("training_run", PROGRAM)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def run(program: ModuleType, folder: Path, config: TrainConfig, batches: Any = None) -> TrainResult:
    torch.manual_seed(config.seed)
    narrow = Storage(config.cfloat8_bias, learn_every=4) if config.numerics == "cfloat8" else None
    return train(Policy(program.MINIATURE), batches or program.batches, config, folder, numerics=narrow)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found = checkpoint.newest(folder / "checkpoints")
    assert found is not None
    return dict(found.state["model"])


def curve(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "curves.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def narrow(program: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("narrow")
    run(program, folder, replace(program.CONFIG, steps=24, numerics="cfloat8"))
    return folder


def test_storage_is_a_narrow_memory() -> None:
    assert isinstance(Storage(), Numerics)


def test_a_narrow_run_learns_and_its_curves_say_what_was_lost(narrow: Path) -> None:
    points = curve(narrow)
    assert points[-1]["plan"] < points[0]["plan"]
    names = ("weights", "activations", "gradients")
    assert {f"{name}_{what}" for name in names for what in ("bias", "clamped", "vanished")} <= set(points[-1])
    assert points[-1]["gradients_clamped"] < 0.01


def test_it_is_not_the_wide_run(program: ModuleType, narrow: Path, tmp_path: Path) -> None:
    run(program, tmp_path, replace(program.CONFIG, steps=24, numerics="fp32"))
    ours, theirs = weights(narrow), weights(tmp_path)
    assert any(not torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_narrow_run_that_was_interrupted_goes_on_exactly(program: ModuleType, narrow: Path, tmp_path: Path) -> None:
    config = replace(program.CONFIG, steps=24, numerics="cfloat8")

    def interrupting(state: Mapping[str, str | int] | None) -> Iterator[tuple[Batch, Mapping[str, str | int]]]:
        for number, (batch, after) in enumerate(program.batches(state)):
            if number == 9:
                os.kill(os.getpid(), signal.SIGINT)
            yield batch, after

    with pytest.raises(Interrupted):
        run(program, tmp_path, config, interrupting)
    run(program, tmp_path, config)
    ours, theirs = weights(tmp_path), weights(narrow)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours), "bit for bit"
    assert curve(tmp_path) == curve(narrow)


def test_a_bad_bias_does_not_learn_what_a_good_one_does(program: ModuleType, narrow: Path, tmp_path: Path) -> None:
    run(program, tmp_path, replace(program.CONFIG, steps=24, numerics="cfloat8", cfloat8_bias=0))
    assert curve(tmp_path)[-1]["activations_vanished"] > 0.05
    assert curve(tmp_path)[-1]["plan"] > 1.05 * curve(narrow)[-1]["plan"]


def test_bfloat16_is_computed_in_wherever_it_is_asked_for(program: ModuleType, tmp_path: Path) -> None:
    ends = {}
    for numerics in ("fp32", "bf16"):
        run(program, tmp_path / numerics, replace(program.CONFIG, steps=3, numerics=numerics))
        ends[numerics] = weights(tmp_path / numerics)
    assert any(not torch.equal(ends["fp32"][name], ends["bf16"][name]) for name in ends["fp32"])


def test_a_narrow_memory_and_its_name_come_together(program: ModuleType, tmp_path: Path) -> None:
    for numerics, memory in (("cfloat8", None), ("auto", Storage())):
        config = replace(program.CONFIG, numerics=numerics)
        with pytest.raises(ConfigError, match=r"^train.numerics: expected a narrow memory with cfloat8, on one rank"):
            train(Policy(program.MINIATURE), program.batches, config, tmp_path, numerics=memory)


@pytest.mark.parametrize(("numerics", "bias"), [("auto", 3), ("cfloat8", 64), ("cfloat8", -1)])
def test_a_bias_without_its_format_or_out_of_range_is_refused(numerics: Any, bias: int) -> None:
    with pytest.raises(ConfigError, match=r"^train.cfloat8_bias: expected a bias of 0 to 63 with train.numerics"):
        TrainConfig(numerics=numerics, cfloat8_bias=bias)
