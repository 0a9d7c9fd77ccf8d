"""What a bundle says of itself: the manifest, as whoever drives with it reads it.

Idea: the runtime trusts nothing that it cannot check against this: hashes of the files, shapes of the network's inputs,
how often pictures must come, which safety envelope it needs at least. What people read (cards, reports) is only hashed.
Not here: making and judging bundles (`release/`), running them (`drive/`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from dojo.errors import RecordError

FORMAT = 1
"""Of the manifest; a reader refuses any other."""


@dataclass(frozen=True)
class BundleFile:
    """One file of a bundle: SHA-256 in hexadecimal, and its size."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class TensorContract:
    """One input or output of the network; `shape` begins with a batch of one."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ViewContract:
    """The virtual camera: see `geometry.MODEL_VIEW`; `looks` says whither, in words."""

    width_px: int
    height_px: int
    focal_px: tuple[float, float]
    centre_px: tuple[float, float]
    looks: str


@dataclass(frozen=True)
class CameraContract:
    """What the camera must deliver.

    Args:
        layout: of the packed planes, in words. `mounting`: ranges that were trained on, unit in the name.
        pictures: that the network sees at once, `picture_every_s` apart.
        tested_latency_s: the longest from exposure to plan under which it was judged.
        time_base: in words.
    """

    view: ViewContract
    layout: str
    mounting: Mapping[str, tuple[float, float]]
    pictures: int
    picture_every_s: float
    tested_latency_s: float
    time_base: str


@dataclass(frozen=True)
class SignalContract:
    """One signal between bundle and vehicle; anything outside `low` to `high` is taken for missing.

    Args:
        rate_hz: at least so often, evenly.
        stale_after_s: no newer value for so long, and the signal counts as missing.
        protected: carries an alive counter and a checksum.
        when_missing: what the runtime does, in words.
    """

    name: str
    direction: Literal["in", "out"]
    unit: str
    low: float
    high: float
    rate_hz: float
    stale_after_s: float
    protected: bool
    when_missing: str


@dataclass(frozen=True)
class BundleManifest:
    """A bundle in a page.

    Args:
        format: of this page. `counter`: of the release; it only grows.
        domains: operational domains that it may be used in.
        minimum_limits_version: of the safety envelope.
        anchors: moments of which the network is told the speed and the driver's wish; one picture more than these.
        tick_s: between them.
        tolerance: `absolute` and `relative`, within which the golden vectors must be answered.
        files: every other file of the bundle.

    Raises:
        RecordError: it contradicts itself; every fault is in the message.
    """

    format: int
    name: str
    counter: int
    domains: tuple[str, ...]
    made_on: str
    dojo_version: str
    checkpoint_sha256: str
    step: int
    minimum_limits_version: int
    anchors: int
    tick_s: float
    inputs: tuple[TensorContract, ...]
    outputs: tuple[TensorContract, ...]
    tolerance: Mapping[str, float]
    camera: CameraContract
    signals: tuple[SignalContract, ...]
    files: Mapping[str, BundleFile]

    def __post_init__(self) -> None:
        if faults := _faults(self):
            raise RecordError(f"bundle {self.name!r}: {'; '.join(faults)}")

    def input(self, name: str) -> TensorContract | None:
        """The input of that name."""
        return next((one for one in self.inputs if one.name == name), None)


def _faults(manifest: BundleManifest) -> list[str]:
    """Everything in which the manifest contradicts itself."""
    camera, anchors = manifest.camera, manifest.anchors
    planes = (1, anchors + 1, 6, camera.view.height_px // 2, camera.view.width_px // 2)
    frames = manifest.input("frames")
    empty = [signal.name for signal in manifest.signals if not signal.low < signal.high]
    unhashed = [name for name, file in manifest.files.items() if len(file.sha256) != 64 or file.size_bytes < 0]
    checks = {
        f"expected format {FORMAT}, got {manifest.format}; install the Dojo that reads it": manifest.format != FORMAT,
        f"expected anchors of at least 1, got {anchors}": anchors < 1,
        f"expected a tick_s above 0, got {manifest.tick_s}": not 0 < manifest.tick_s < math.inf,
        f"expected {anchors + 1} pictures for {anchors} anchors, got {camera.pictures}": camera.pictures != anchors + 1,
        f"expected a picture every {manifest.tick_s} s, got every {camera.picture_every_s} s": (
            camera.picture_every_s != manifest.tick_s
        ),
        f"expected an input frames of shape {planes}, got {frames and frames.shape}": (
            frames is None or frames.shape != planes
        ),
        f"expected signals with a range, got none in {', '.join(empty)}": bool(empty),
        f"expected a SHA-256 and a size of each file, got others of {', '.join(unhashed)}": bool(unhashed),
        "expected the hash of model.onnx among the files, got none": "model.onnx" not in manifest.files,
    }
    return [fault for fault, found in checks.items() if found]
