from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch

from dojo.errors import CheckpointError
from dojo.train import checkpoint


def state(step: int) -> dict[str, object]:
    return {"step": step, "model": {"w": torch.full((3,), float(step))}}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    saved = checkpoint.save(tmp_path, 7, state(7))
    found = checkpoint.newest(tmp_path)
    assert found is not None
    assert (found.path, found.step, found.state["step"]) == (saved, 7, 7)
    torch.testing.assert_close(found.state["model"]["w"], torch.full((3,), 7.0))


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, step, state(step), keep=2)
    assert [step for step, _ in checkpoint.steps_in(tmp_path)] == [2, 3]


@pytest.mark.parametrize("damage", ["torn", "flipped", "empty", "other"])
def test_a_damaged_newest_is_passed_over(tmp_path: Path, damage: str) -> None:
    checkpoint.save(tmp_path, 1, state(1))
    path = checkpoint.save(tmp_path, 2, state(2))
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 1
    path.write_bytes({"torn": data[: len(data) // 2], "flipped": data, "empty": b"", "other": b"GIF89a" * 50}[damage])
    found = checkpoint.newest(tmp_path)
    assert found is not None
    assert found.step == 1
    with pytest.raises(CheckpointError, match=r"step-00000002.pt: expected"):
        checkpoint.load(path)


def test_a_folder_whose_checkpoints_are_all_damaged_is_not_taken_for_a_new_run(tmp_path: Path) -> None:
    for step in (1, 2):
        checkpoint.save(tmp_path, step, state(step)).write_bytes(b"torn")
    with pytest.raises(
        CheckpointError, match=r"expected a whole checkpoint among 2, got none: .*step-00000002.pt.*01.pt"
    ):
        checkpoint.newest(tmp_path)


def test_what_a_kill_left_half_written_is_removed_by_the_next_save(tmp_path: Path) -> None:
    (tmp_path / ".step-00000009.pt.partial").write_bytes(b"half")
    checkpoint.save(tmp_path, 10, state(10))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000010.pt"]


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, 1, {"model": Path("anything that is no tensor and no plain value")})
    with pytest.raises(Exception, match=r"[Ww]eights.only"):
        checkpoint.load(path)


def test_a_folder_without_checkpoints_has_none(tmp_path: Path) -> None:
    assert checkpoint.newest(tmp_path / "nothing") is None


def test_a_full_disk_leaves_the_earlier_checkpoint_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(tmp_path, 1, state(1))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match=r"No space left on device; earlier checkpoints are whole"):
        checkpoint.save(tmp_path, 2, state(2))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001.pt"]
