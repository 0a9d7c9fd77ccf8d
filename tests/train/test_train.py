from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from rich.console import Console

from dojo.errors import CheckpointError, ConfigError, DojoError
from dojo.model.plans import plans
from dojo.model.policy import Policy
from dojo.records import Batch
from dojo.train import checkpoint
from dojo.train.optimise import OptimiseConfig
from dojo.train.train import Interrupted, TrainConfig, train

PROGRAM = Path(__file__).with_name("training_run.py")


@pytest.fixture(scope="module")
def program() -> ModuleType:
    specification = importlib.util.spec_from_file_location("training_run", PROGRAM)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def undisturbed(program: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    program.run(folder)
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found = checkpoint.newest(folder / "checkpoints")
    assert found is not None
    return {**found.state["model"], **{f"average {k}": v for k, v in found.state["averages"].items()}}


def assert_same_end(folder: Path, other: Path) -> None:
    ours, theirs = weights(folder), weights(other)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours), "bit for bit"
    assert (folder / "curves.jsonl").read_text() == (other / "curves.jsonl").read_text()


def test_training_lowers_the_loss_and_leaves_curves(undisturbed: Path) -> None:
    curve = [json.loads(line) for line in (undisturbed / "curves.jsonl").read_text().splitlines()]
    assert [point["step"] for point in curve] == list(range(5, 61, 5))
    assert curve[-1]["plan"] < 0.8 * curve[0]["plan"]
    assert list((undisturbed / "tensorboard").iterdir())


def test_the_same_run_twice_ends_the_same(program: ModuleType, undisturbed: Path, tmp_path: Path) -> None:
    program.run(tmp_path)
    assert_same_end(tmp_path, undisturbed)


def test_a_run_that_was_interrupted_politely_goes_on_exactly(
    program: ModuleType, undisturbed: Path, tmp_path: Path
) -> None:
    def interrupting(state: Mapping[str, str | int] | None) -> Iterator[tuple[Batch, Mapping[str, str | int]]]:
        for number, (batch, after) in enumerate(program.batches(state)):
            if number == 9:
                os.kill(os.getpid(), signal.SIGINT)
            yield batch, after

    torch.manual_seed(0)
    with pytest.raises(Interrupted, match=r"saved at step 10 of 60; the same command goes on"):
        train(Policy(program.MINIATURE), interrupting, program.CONFIG, tmp_path)
    program.run(tmp_path)
    assert_same_end(tmp_path, undisturbed)


def kill_and_resume(folder: Path, kills: int, seed: int) -> int:
    """Start the program, kill it with SIGKILL at a random moment, again and again; then let it end. Kills that hit."""
    moments, hit = random.Random(seed), 0
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for _ in range(kills):
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(folder), "0.02"], env=environment, stdout=subprocess.DEVNULL
        )
        started, before = time.monotonic(), len(list(folder.glob("checkpoints/*")))
        while (
            process.poll() is None
            and time.monotonic() - started < 60
            and len(list(folder.glob("checkpoints/*"))) == before == 0
        ):
            time.sleep(0.02)
        time.sleep(moments.uniform(0.0, 0.8) if before == 0 else moments.uniform(2.0, 3.2))
        hit += process.poll() is None
        process.kill()
        process.wait(timeout=30)
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder), "0"], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return hit


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_weights(
    undisturbed: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    kills = int(request.config.getoption("--kills"))
    hit = kill_and_resume(tmp_path, kills, seed=4)
    assert hit >= 1, "at least one kill must hit a run under way, or nothing was tested"
    assert_same_end(tmp_path, undisturbed)


def test_a_finished_run_is_not_trained_again(program: ModuleType, undisturbed: Path) -> None:
    before = weights(undisturbed)
    result = program.run(undisturbed)
    assert result.steps == 60
    assert all(torch.equal(value, before[name]) for name, value in weights(undisturbed).items())


def test_the_checkpoint_of_another_policy_is_refused(program: ModuleType, undisturbed: Path) -> None:
    other = Policy(dataclasses.replace(program.MINIATURE, hidden=24))
    with pytest.raises(CheckpointError, match=r"expected the weights of this policy, got those of another"):
        train(other, program.batches, program.CONFIG, undisturbed)


def test_a_loss_that_is_no_number_stops_the_run_and_says_what_to_do(program: ModuleType, tmp_path: Path) -> None:
    def poisoned(state: Mapping[str, str | int] | None) -> Iterator[tuple[Batch, Mapping[str, str | int]]]:
        for batch, after in program.batches(state):
            yield dataclasses.replace(batch, speed_now_mps=batch.speed_now_mps * float("nan")), after

    with pytest.raises(DojoError, match=r"NaN or infinity in total, plan.* at step 5; the last checkpoint is whole"):
        train(Policy(program.MINIATURE), poisoned, program.CONFIG, tmp_path)


def test_weights_that_are_no_numbers_are_never_saved(program: ModuleType, tmp_path: Path) -> None:
    def poisoned(state: Mapping[str, str | int] | None) -> Iterator[tuple[Batch, Mapping[str, str | int]]]:
        for number, (batch, after) in enumerate(program.batches(state)):
            bad = dataclasses.replace(batch, speed_now_mps=batch.speed_now_mps * float("nan"))
            yield bad if number == 6 else batch, after

    with pytest.raises(DojoError, match=r"NaN or infinity in total.* at step 7"):
        train(Policy(program.MINIATURE), poisoned, program.CONFIG, tmp_path)
    assert checkpoint.newest(tmp_path / "checkpoints") is None


def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one_and_says_so(
    program: ModuleType, undisturbed: Path, tmp_path: Path
) -> None:
    program.run(tmp_path)
    newest = checkpoint.steps_in(tmp_path / "checkpoints")[-1][1]
    newest.write_bytes(newest.read_bytes()[:-100])
    console = Console(record=True, width=200)
    torch.manual_seed(0)
    train(Policy(program.MINIATURE), program.batches, program.CONFIG, tmp_path, console)
    said = console.export_text()
    assert "going on from step 56 of 60" in said
    assert "damaged and were passed over" in said
    assert_same_end(tmp_path, undisturbed)


def test_every_generator_goes_on_where_it_was(program: ModuleType, tmp_path: Path) -> None:
    drawn: list[tuple[float, float]] = []  # not Python's own generator: the checker of types in these tests uses it

    def drawing(state: Mapping[str, str | int] | None) -> Iterator[tuple[Batch, Mapping[str, str | int]]]:
        for batch, after in program.batches(state):
            drawn.append((float(np.random.random()), float(torch.rand(()))))
            yield batch, after

    short = dataclasses.replace(program.CONFIG, checkpoint_every=1, keep_checkpoints=10)
    train(Policy(program.MINIATURE), drawing, dataclasses.replace(short, steps=6), tmp_path)
    whole, drawn[:] = list(drawn), []
    for step in (5, 6):
        (tmp_path / "checkpoints" / f"step-{step:08d}.pt").unlink()
    train(Policy(program.MINIATURE), drawing, dataclasses.replace(short, steps=6), tmp_path)
    assert drawn == whole[4:]


def test_a_policy_learns_one_batch_by_heart(program: ModuleType, tmp_path: Path) -> None:
    batch = program.made_up(1, batch=4)

    def same(state: Mapping[str, str | int] | None) -> Iterator[tuple[Batch, Mapping[str, str | int]]]:
        while True:
            yield batch, {"number": 0}

    torch.manual_seed(0)
    policy = Policy(dataclasses.replace(program.MINIATURE, speed_dropout=0.0))
    config = TrainConfig(steps=150, threads=1, optimise=OptimiseConfig(learning_rate=5e-3, warmup_steps=10))
    before = plans(policy.eval().answer(batch)).best()
    train(policy, same, config, tmp_path)
    after = plans(policy.answer(batch)).best()  # as in training, with the norms of this very batch
    target = batch.position_m.reshape(-1, 33, 3)
    missed = [float(np.abs(plan - target)[:, 17, 1].mean()) for plan in (before, after)]  # about 3 s ahead
    assert missed[1] < 0.1 * missed[0]


def test_an_absurd_configuration_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"train.steps: expected at least 1, got 0"):
        TrainConfig(steps=0)
