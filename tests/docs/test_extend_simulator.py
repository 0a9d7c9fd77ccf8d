"""The code of docs/extend/simulator.md does what the page says; its simulator is held to the contract elsewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from dojo.geometry import MODEL_VIEW
from dojo.geometry.rigid import Rigid
from dojo.records import CameraStream, Drive, EgoMotion, Frame, Provenance, Telemetry

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extend" / "simulator.md"


class Grey:
    def frames(self, drive_id: str, camera: str, indices: np.ndarray) -> Sequence[Frame]:
        chroma = np.full((128, 256), 128, np.uint8)
        return [Frame(0, np.full((256, 512), 120, np.uint8), chroma, chroma) for _ in indices]


def straight_drive() -> Drive:
    count = 200
    times_ns = np.arange(count) * 50_000_000
    ego = EgoMotion(
        times_ns,
        np.stack([Rigid.from_euler(0.0, 0.0, 0.5).rotation] * count),
        np.outer(np.arange(count) * 0.5, [np.cos(0.5), np.sin(0.5), 0.0]),
        np.full(count, 10.0),
        np.zeros(count),
        np.zeros((count, 3, 3)),
        np.zeros(count, np.bool_),
        np.ones(count, np.bool_),
        None,
        "recorded",
    )
    stream = CameraStream("front", MODEL_VIEW, times_ns, np.ones(count, np.bool_))
    return Drive("d", "v", "r", (stream,), Telemetry(), ego, Provenance("test", ()))


def test_a_drive_of_one_s_own_is_driven_beside_as_the_page_shows(capsys: pytest.CaptureFixture[str]) -> None:
    def blocks(kind: str) -> list[str]:
        return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)

    exec(blocks("python")[0], {"drives": [straight_drive()], "source": Grey()})
    assert capsys.readouterr().out == blocks("text")[0]


def test_every_file_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`((?:src|tests)/[\w/]+\.py|(?:src|tests)/[\w/]+/)`", PAGE.read_text()))
    root = PAGE.parents[2]
    assert len(named) >= 5
    assert [name for name in sorted(named) if not (root / name).exists()] == []
