"""How a damaged copy of a recording is judged, for every format: what ingest would store, and how it differs.

"Silently wrong" is whatever reading marks valid and differs materially from the good copy. Materially: beyond what the
gates themselves call standing out, so that neither a person nor a policy could tell.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dojo.fleet.gates import PLAUSIBLE, Limits
from dojo.fleet.gateway import find_recordings, frames, receive
from dojo.records import CameraStream, Drive, EgoMotion, Frame, Rejection

PIXELS = 12.0
"""A block of 16 x 16 pixels whose luma is off by more on average: a repainted block. A flip in the last bits of a slice
may shift one block by a few levels, and nobody could know."""
FRAME_TIME_SHARE = 0.7
"""Of the usual interval: what a frame's time may be off by without breaking the camera's rhythm."""
AHEAD_S, PATH_M, PATH_SHARE = 2.0, 1.5, 0.05
"""The path ahead may be off by so much, or by this share of its length: twice what a single pose may stand out by."""

LOST_S = Limits().pose_gap_s
"""Pictures commonly begin before and end after the log by so much."""


@dataclass(frozen=True)
class Stored:
    drive: Drive
    pictures: dict[str, list[Frame]]


@dataclass(frozen=True)
class Damage:
    """One thing done to a copy of a recording: `do` changes the files below the folder it is given."""

    kind: str
    what: str
    do: Callable[[Path], None]


@dataclass(frozen=True)
class Verdict:
    """What came of the damage.

    Args:
        wrong: what would be stored and is materially not so.
        lost: what is missing although nothing was refused.
        nameless: refusals that do not say why, or that only say that the reader failed.
    """

    gates: tuple[str, ...]
    wrong: tuple[str, ...]
    lost: tuple[str, ...]
    nameless: tuple[str, ...]


def everything(root: Path, limits: Limits | None = None) -> tuple[list[Stored], list[Rejection]]:
    """What ingest would store of a folder, and what it would refuse."""
    stored, refused = [], []
    for recording in find_recordings(root):
        reading = receive(recording, limits)
        refused += reading.rejections
        for drive in reading.drives:
            refused += drive.rejections
            pictures = {camera.name: list(frames(recording, drive, camera.name)) for camera in drive.cameras}
            stored.append(Stored(drive, pictures))
    return stored, refused


def judged(root: Path, good: Stored, limits: Limits | None = None) -> Verdict:
    """What comes of the recordings in a folder, all of which claim to be the good one."""
    stored, refused = everything(root, limits)
    nameless = [str(r) for r in refused if not r.gate or not r.reason or r.gate == "reader_failed"]
    wrong = [difference for one in stored for difference in differences(good, one)]
    lost = [] if refused else missing(good, stored)
    return Verdict(tuple(r.gate for r in refused), tuple(wrong), tuple(lost), tuple(nameless))


def differences(good: Stored, stored: Stored) -> list[str]:
    """Everything that is materially other than in the good copy."""
    found = _telemetry_differences(good.drive, stored.drive) + _path_differences(good.drive.ego, stored.drive.ego)
    for camera in stored.drive.cameras:
        reference = next((one for one in good.drive.cameras if one.name == camera.name), None)
        if reference is None:
            found.append(f"camera {camera.name}, which the good copy does not have")
            continue
        found += _camera_differences(reference, camera)
        found += _picture_differences(good.pictures[camera.name], stored.pictures[camera.name])
    return found


def missing(good: Stored, stored: Iterable[Stored]) -> list[str]:
    """Frames that the good copy has and nothing stored has, and seconds of poses beyond `LOST_S`."""
    drives = [one.drive for one in stored]
    found = []
    for camera in good.drive.cameras:
        count = sum(int(one.valid.sum()) for drive in drives for one in drive.cameras if one.name == camera.name)
        if count < camera.valid.sum():
            found.append(f"{int(camera.valid.sum()) - count} frames of {camera.name}")
    lost_s = _length_s(good.drive.ego) - sum(_length_s(drive.ego) for drive in drives)
    return [*found, f"{lost_s:.1f} s of poses"] if lost_s > LOST_S else found


def _length_s(ego: EgoMotion) -> float:
    return float(ego.valid.sum() * np.median(np.diff(ego.timestamps_ns))) / 1e9


def _telemetry_differences(good: Drive, drive: Drive) -> list[str]:
    found = []
    for name, plausible in PLAUSIBLE.items():
        signal, reference = getattr(drive.telemetry, name), getattr(good.telemetry, name)
        times_ns, values = signal.timestamps_ns[signal.valid], signal.values[signal.valid]
        truth, known = reference.at(times_ns, held=name in ("gear", "assist_state", "brake_applied"))
        if name.startswith("blinker"):
            continue  # a switch between two samples is as good as either
        # Both neighbours may move by as much as they differ without standing out; the ends have one side only.
        off = np.abs(values - truth)
        if plausible.angle:
            off = np.abs((values - truth + np.pi) % (2 * np.pi) - np.pi)
        bad = known & (off > 2.5 * plausible.stand_out)
        if len(times_ns) and not known.any():
            bad |= True
        if bad.any():
            first = int(np.argmax(bad))
            found.append(f"{name}: {int(bad.sum())} samples, {values[first]:g} instead of {truth[first]:g}")
    return found


def _path_differences(good: EgoMotion, ego: EgoMotion) -> list[str]:
    """Where the vehicle is `AHEAD_S` after each valid pose, seen from that pose."""
    if not ego.valid.any():
        return []
    kept = np.flatnonzero(ego.valid)
    times_ns = ego.timestamps_ns[kept]
    later = np.searchsorted(times_ns, times_ns + round(AHEAD_S * 1e9))
    inside = later < len(kept)
    # Across a gap nobody looks ahead, and at a time of which there are no pictures nobody looks at all.
    inside[inside] = times_ns[later[inside]] - times_ns[inside] < (AHEAD_S + LOST_S) * 1e9
    inside &= (times_ns >= good.timestamps_ns[0] - LOST_S * 1e9) & (times_ns <= good.timestamps_ns[-1] + LOST_S * 1e9)
    now, then = kept[inside], kept[later[inside]]
    ahead = _seen_from(ego, now, then)
    truth = _seen_from(good, _nearest(good, ego.timestamps_ns[now]), _nearest(good, ego.timestamps_ns[then]))
    off = np.linalg.norm((ahead - truth)[:, :2], axis=1)
    bad = off > PATH_M + PATH_SHARE * np.linalg.norm(truth, axis=1)
    return [f"path: {int(bad.sum())} poses, up to {off.max():.1f} m off"] if bad.any() else []


def _seen_from(ego: EgoMotion, now: np.ndarray, then: np.ndarray) -> np.ndarray:
    return np.einsum("nji,nj->ni", ego.rotation[now], ego.translation_m[then] - ego.translation_m[now])


def _nearest(ego: EgoMotion, times_ns: np.ndarray) -> np.ndarray:
    return np.abs(ego.timestamps_ns[None] - times_ns[:, None]).argmin(1)


def _camera_differences(good: CameraStream, stream: CameraStream) -> list[str]:
    one, other = good.camera, stream.camera
    found = []
    if np.abs(np.array(one.focal_px) / np.array(other.focal_px) - 1).max() > 0.01:
        found.append(f"{stream.name}: focal length {other.focal_px}, not {one.focal_px}")
    if np.abs(np.array(one.centre_px) - np.array(other.centre_px)).max() > 5:
        found.append(f"{stream.name}: centre {other.centre_px}, not {one.centre_px}")
    turned = one.ego_from_camera.rotation.T @ other.ego_from_camera.rotation
    angle = np.arccos(np.clip((np.trace(turned) - 1) / 2, -1, 1))
    if angle > 0.01:
        found.append(f"{stream.name}: mounting turned by {np.degrees(angle):.1f} degrees")
    moved = np.abs(one.ego_from_camera.translation_m - other.ego_from_camera.translation_m).max()
    if moved > 0.2:
        found.append(f"{stream.name}: mounting moved by {moved:.2f} m")
    return found


def _picture_differences(good: list[Frame], pictures: list[Frame]) -> list[str]:
    times_ns = np.array([frame.timestamp_ns for frame in good])
    usual_ns = float(np.median(np.diff(times_ns)))
    found = []
    for frame in pictures:
        # The picture that was taken then, or a neighbour within what a frame's time may be off by.
        near = np.flatnonzero(np.abs(times_ns - frame.timestamp_ns) <= FRAME_TIME_SHARE * usual_ns)
        off = min((_block_off(frame, good[place]) for place in near), default=np.inf)
        if off > PIXELS:
            found.append(f"the picture at {frame.timestamp_ns} ns: a block off by {off:.0f}")
    return found


def _block_off(one: Frame, other: Frame) -> float:
    """The worst difference of a block of luma, or the mean difference of colour."""
    if one.y.shape != other.y.shape:
        return float("inf")
    rows, columns = (size // 16 * 16 for size in one.y.shape)
    luma = np.abs(one.y.astype(int) - other.y)[:rows, :columns].reshape(rows // 16, 16, columns // 16, 16)
    colour = max(np.abs(a.astype(int) - b).mean() for a, b in ((one.u, other.u), (one.v, other.v)))
    return float(max(luma.mean((1, 3)).max(), colour))


def truncated(good: bytes, rng: random.Random) -> bytes:
    return good[: rng.randrange(1, len(good))]


def flipped(good: bytes, rng: random.Random) -> bytes:
    data = bytearray(good)
    for _ in range(rng.choice((1, 1, 1, 4, 16))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)
