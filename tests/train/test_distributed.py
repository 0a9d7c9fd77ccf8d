"""Two ranks make the steps that one makes; killed and joined by others, they learn from every sample once."""

from __future__ import annotations

import json
import multiprocessing
import random
import runpy
import socket
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch

from dojo.errors import CheckpointError
from dojo.train import checkpoint, pieces
from dojo.train.ledger import Ledger, ledger_of

PROGRAM = Path(__file__).with_name("ranks_program.py")
STEPS = 50


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["dojo.train.distributed", "dojo.train.train", "dojo.model.policy"])


def start(folder: Path, ranks: int, strategy: str, steps: int = STEPS, delay_s: float = 0.0) -> list[BaseProcess]:
    """Ranks forked from a process that has torch already, which spares each of them some seconds."""
    port = free_port()
    arguments = ([str(v) for v in (folder, rank, ranks, port, strategy, steps, delay_s)] for rank in range(ranks))
    processes = [
        FORKS.Process(target=runpy.run_path, args=(str(PROGRAM), {"ARGUMENTS": given}, "__main__"))
        for given in arguments
    ]
    for process in processes:
        process.start()
    return processes


def finished(processes: list[BaseProcess], steps: int = STEPS) -> None:
    try:
        for process in processes:
            process.join(timeout=120 + steps)
            assert process.exitcode == 0
    finally:
        killed(processes)


def killed(processes: list[BaseProcess]) -> None:
    for process in processes:
        process.kill()
        process.join(timeout=30)


def curve(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "curves.jsonl").read_text().splitlines()]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found = checkpoint.newest(folder / "checkpoints")
    assert found is not None
    return {**found.state["model"], **{f"average {k}": v for k, v in found.state["averages"].items()}}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same run by one process, by two with a copy each, and by two with a share each."""
    found = {name: tmp_path_factory.mktemp(name) for name in ("alone", "ddp", "fsdp")}
    for name, folder in found.items():
        finished(start(folder, 1 if name == "alone" else 2, name))
    return found


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_ranks_make_the_steps_that_one_makes(runs: dict[str, Path], strategy: str) -> None:
    # Sums of 32-bit numbers in another order differ in the seventh digit, and each step carries that on: Adam divides
    # by how large gradients usually are, so rounding grows from step to step, and more where hypotheses change places.
    one, two = curve(runs["alone"]), curve(runs[strategy])
    assert [point["step"] for point in two] == list(range(1, STEPS + 1))
    away = [abs(b["total"] / a["total"] - 1) for a, b in zip(one, two, strict=True)]
    assert away[0] < 3e-6
    assert max(away[:10]) < 1e-4
    assert max(away) < 5e-3
    assert all(b["samples"] == a["samples"] for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_the_last_step_is_one_file_that_one_process_can_read(runs: dict[str, Path], strategy: str) -> None:
    ours, theirs = weights(runs[strategy]), weights(runs["alone"])
    assert {name: value.shape for name, value in ours.items()} == {name: v.shape for name, v in theirs.items()}
    assert all(torch.isfinite(value.float()).all() for value in ours.values())


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_stopped_and_gone_on_with_as_many_ranks_the_weights_are_equal_bit_for_bit(
    runs: dict[str, Path], tmp_path: Path, strategy: str
) -> None:
    processes = start(tmp_path, 2, strategy, delay_s=0.02)
    while not list((tmp_path / "checkpoints").glob("step-*")):
        time.sleep(0.05)
    killed(processes)
    finished(start(tmp_path, 2, strategy))
    ours, theirs = weights(tmp_path), weights(runs[strategy])
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert ledger_of(tmp_path) == ledger_of(runs["alone"])


def last_step(folder: Path) -> int:
    """Of its checkpoints."""
    return max((step for step, _ in pieces.steps_in(folder / "checkpoints")), default=0)


def test_killed_again_and_again_and_joined_by_other_ranks_every_sample_is_learned_from_once(
    runs: dict[str, Path],
    tmp_path: Path,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    chance = random.Random(5)
    kills = int(request.config.getoption("--kills"))
    # Long enough that hardly a kill comes after the last step, however many there are.
    steps, undisturbed = max(STEPS, 12 * kills), runs["alone"]
    if steps > STEPS:
        undisturbed = tmp_path / "undisturbed"
        finished(start(undisturbed, 1, "alone", steps), steps)
    killed_run, hit, ranks = tmp_path / "killed", 0, []
    for kill in range(kills):
        begun_at = last_step(killed_run)
        ranks.append(chance.choice((1, 2, 3, 4)))
        processes = start(killed_run, ranks[-1], "ddp", steps, delay_s=0.05)
        deadline = time.monotonic() + 30
        # Every second one dies wherever it is, mostly while it finds out where to go on; the others have gone further.
        while kill % 2 == 0 and time.monotonic() < deadline and all(process.is_alive() for process in processes):
            if last_step(killed_run) > begun_at:
                break
            time.sleep(0.05)
        time.sleep(chance.uniform(0.0, 1.0))
        hit += processes[0].is_alive()
        killed(processes)
    reached = last_step(killed_run)
    finished(start(killed_run, chance.choice((1, 2, 3)), "ddp", steps), steps)
    record_property("kills", {"tried": kills, "hit": hit, "ranks": ranks, "reached": reached, "steps": steps})
    assert hit >= (kills + 1) // 2, "most kills must hit a run under way, or little was tested"
    assert ledger_of(killed_run) == ledger_of(undisturbed)
    assert curve(killed_run)[-1]["samples"] == curve(undisturbed)[-1]["samples"]


def test_a_damaged_checkpoint_in_pieces_is_passed_over_and_named(runs: dict[str, Path], tmp_path: Path) -> None:
    (step, whole), *_ = reversed(pieces.steps_in(runs["fsdp"] / "checkpoints"))
    for number in (step, step + 10):
        copy = tmp_path / f"step-{number:08d}"
        copy.mkdir()
        for file in whole.iterdir():
            (copy / file.name).write_bytes(file.read_bytes())
    torn = tmp_path / f"step-{step + 10:08d}" / "__1_0.distcp"
    torn.write_bytes(torn.read_bytes()[:-1] + b"\0\0")
    found = pieces.newest(tmp_path)
    assert found is not None
    assert found.step == step
    with pytest.raises(CheckpointError, match=r"expected the files that its manifest names, __1_0.distcp are missing"):
        pieces.check(torn.parent)
    (tmp_path / f"step-{step:08d}" / "manifest.json").unlink()
    with pytest.raises(CheckpointError, match=r"expected a whole checkpoint among 2, got none"):
        pieces.newest(tmp_path)


def test_the_ledger_forgets_the_steps_after_the_one_that_is_gone_on_from(tmp_path: Path) -> None:
    first, second = Ledger(tmp_path, 0, 0), Ledger(tmp_path, 1, 0)
    for step in (1, 2, 3):
        first.add(step, ["a", "c"])
        second.add(step, ["b"])
    with (tmp_path / "ledger" / "rank-0001.jsonl").open("a") as file:
        file.write('{"step": 4, "cl')  # killed in the middle of a line
    Ledger(tmp_path, 0, 2).add(3, ["d"])
    assert ledger_of(tmp_path) == {1: ["a", "b", "c"], 2: ["a", "b", "c"], 3: ["d"]}
