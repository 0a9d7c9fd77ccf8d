"""TeslaCam: the clips that a car writes to its USB stick, with the telemetry that it embeds in front of every frame.

In: `TeslaCam/{RecentClips,SavedClips/<event>,SentryClips/<event>}/YYYY-MM-DD_HH-MM-SS-<camera>.mp4` anywhere below a
folder, and optionally `dojo-vehicle.toml` beside `TeslaCam` (`teslacam_vehicle.py`). Out: one drive for each run of
consecutive minutes.
Idea: a file name is good to a second, a frame number to a frame. So names only decide which minutes follow each other;
within a drive a file starts where the one before it ended, shifted by the frames that the car's own frame numbers say
are missing, and cameras are laid over each other by the same numbers. The container's time stamps say when each frame
was taken. What a clip does not carry is not made up: without telemetry it is refused.

Decisions, each told in the drive or its rejections:
- vehicle: the name of the folder that holds `TeslaCam`.
- the same bytes twice (a saved copy of a recent clip) are one file; the same minute with other bytes: the copy with
  more intact frames is used, the other refused (`conflicting_minute`).
- time: file names are local; `utc_offset_h` makes them UTC, otherwise the tag `local_time` says that they are not.
- steering: positive to the right in the file (the manufacturer's own viewer turns its wheel clockwise by it:
  teslamotors/dashcam, `sei_explorer_hud.js`), unless the heading of the drive says otherwise: then the tag
  `steering_by_heading`.
- a fix that repeats is not a new measurement: only the first of equal fixes counts, and one a second at a standstill.
- accelerations are taken along ego axes as written; Assumed: the format names no axes.
Not here: one file (`teslacam_clip.py`), its message (`teslacam_sei.py`), signals (`teslacam_telemetry.py`), decoding
(`decode.py`), poses (`ego.py`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dojo.errors import RecordingError
from dojo.fleet.ego import smooth
from dojo.fleet.gates import clean
from dojo.fleet.readers.decode import read_frames, samples
from dojo.fleet.readers.reader import Reading, Recording, SourceFile, drive_id_of, rejection_of, source_file
from dojo.fleet.readers.teslacam_clip import NAME, Clip, Placed, camera_of, parse_name, read_clip, rejections_of
from dojo.fleet.readers.teslacam_telemetry import new_fixes, steered_left, telemetry_of
from dojo.fleet.readers.teslacam_vehicle import CAMERA_NAMES, Vehicle, vehicle_of
from dojo.records import CameraStream, Drive, Frame, Provenance, Rejection

TREE = "TeslaCam"
_COMPANIONS = {"event.json", "event.mp4", "thumb.png"}
_NS = 1_000_000_000

JOIN_TOLERANCE_NS = 2_500_000_000
"""Clips whose names and lengths fit this well are consecutive. Assumed: names are cut to whole seconds and written when
the file is opened, which may be a second or two late."""

GROUP_GAP_NS = 120 * _NS
"""Clips whose names are this close are read together; whether they join is decided once their lengths are known."""

MAX_MINUTES = 60
"""Longest recording, in clips of one camera, so that it stays a small unit of work. Assumed: a car keeps an hour."""

NEW_COUNT_FRAMES = 10
"""Files whose first frame numbers are this close count anew each. Assumed: none of them loses more at its start."""


@dataclass(frozen=True)
class TeslaCamReader:
    """Reads TeslaCam folders."""

    name: str = "teslacam"

    def find(self, root: Path, known: Collection[str]) -> Iterator[Recording]:
        """Runs of clips whose names follow each other; a file that does not belong is a recording by itself."""
        by_vehicle: dict[Path, list[Path]] = {}
        for path in sorted(root.rglob("*")):
            folder = _vehicle_folder(path, root)
            if folder is not None and path.is_file():
                by_vehicle.setdefault(folder, []).append(path)
        for folder, paths in sorted(by_vehicle.items()):
            yield from self._recordings(folder, paths, known)

    def _recordings(self, folder: Path, paths: Sequence[Path], known: Collection[str]) -> Iterator[Recording]:
        new: dict[str, SourceFile] = {}
        for path in sorted(paths, key=_preference):
            file = source_file(path)
            if file.sha256 not in known:
                new.setdefault(file.sha256, file)
        vehicle_id = folder.resolve().name
        groups: list[list[SourceFile]] = []
        started = latest_ns = 0
        for file in sorted(new.values(), key=lambda file: (file.path.name, _preference(file.path))):
            try:
                start_ns, _ = parse_name(file.path)
            except RecordingError:
                yield Recording(self.name, f"{vehicle_id} {file.path.name}", (file,), folder)
                continue
            if not groups or start_ns - latest_ns > GROUP_GAP_NS or started == MAX_MINUTES:
                groups.append([])
                started = 0
            started += start_ns != latest_ns or not groups[-1]
            latest_ns = start_ns
            groups[-1].append(file)
        for group in groups:
            yield Recording(self.name, f"{vehicle_id} {group[0].path.name[:19]}", tuple(group), folder)

    def read(self, recording: Recording) -> Reading:
        """The drives of a run of clips.

        Raises:
            RecordingError: the vehicle file cannot be understood, or no clip can be used; gate of the first refusal.
        """
        vehicle = vehicle_of(recording.folder)
        clips, refused = _clips(recording.files, vehicle)
        minutes, without = _minutes(clips)
        refused += without
        drives = tuple(_drive(vehicle, run, recording) for run in _runs(minutes))
        if drives:
            return Reading(drives, tuple(refused))
        if len(refused) == 1:
            raise RecordingError(refused[0].gate, refused[0].reason, dict(refused[0].figures))
        return Reading((), tuple(refused))

    def frames(self, recording: Recording, drive: Drive, camera_name: str) -> Iterator[Frame]:
        """One frame for each valid time of the camera.

        Raises:
            RecordingError: gate `unknown_camera` or `changed_file`.
        """
        stream = next((stream for stream in drive.cameras if stream.name == camera_name), None)
        if stream is None:
            names = ", ".join(stream.name for stream in drive.cameras)
            raise RecordingError("unknown_camera", f"drive {drive.drive_id}: no camera {camera_name!r}, it has {names}")
        used = {sha256 for _, sha256, _ in drive.provenance.files}
        files = sorted(
            (file for file in recording.files if file.sha256 in used and camera_of(file.path) == camera_name),
            key=lambda file: file.path.name,
        )
        at = 0
        for file in files:
            count = sum(1 for _ in samples(file.path))
            here = slice(at, at + count)
            at += count
            if at > len(stream.valid):
                break
            yield from read_frames(file.path, stream.timestamps_ns[here], stream.valid[here])
        if at != len(stream.valid):
            raise RecordingError(
                "changed_file",
                f"drive {drive.drive_id}: expected {len(stream.valid)} frames of camera {camera_name}, the files hold "
                f"another number; ingest them again",
            )


def _vehicle_folder(path: Path, root: Path) -> Path | None:
    """The folder that holds the `TeslaCam` in which the file lies; None for files that are none of this reader's."""
    if path.name.startswith(".") or path.name in _COMPANIONS:
        return None
    for above in path.parents:
        if above.name == TREE:
            return above.parent
        if above == root:
            break
    # A folder within TeslaCam was given, or clips without their tree.
    above_root = next((above.parent for above in (root, *root.resolve().parents) if above.name == TREE), None)
    return (above_root or root) if above_root or NAME.fullmatch(path.name) else None


def _preference(path: Path) -> tuple[int, str]:
    """Saved copies first: the car overwrites the recent ones."""
    kinds = ("SavedClips", "SentryClips", "RecentClips")
    return next((i for i, kind in enumerate(kinds) if kind in path.parts), len(kinds)), str(path)


def _clips(files: Iterable[SourceFile], vehicle: Vehicle) -> tuple[list[Clip], list[Rejection]]:
    """The clips that hold together, one for each camera and minute, and the refused files."""
    best: dict[tuple[int, str], Clip] = {}
    refused = []
    for file in files:
        try:
            clip = read_clip(file)
            vehicle.camera(clip.camera, clip.check.width_px, clip.check.height_px)
        except RecordingError as error:
            refused.append(rejection_of(str(file.path), error))
            continue
        key = clip.start_ns, clip.camera
        rival = best.get(key)
        if rival is not None:
            loser = clip if clip.check.intact.sum() <= rival.check.intact.sum() else rival
            refused.append(_conflict(loser, rival if loser is clip else clip))
            clip = rival if loser is clip else clip
        best[key] = clip
    return list(best.values()), refused


def _conflict(loser: Clip, winner: Clip) -> Rejection:
    frames, better = int(loser.check.intact.sum()), int(winner.check.intact.sum())
    return Rejection(
        str(loser.file.path),
        "conflicting_minute",
        f"{loser.file.path.name}: expected one recording of a minute, got two that differ; {winner.file.path} with "
        f"{better} intact frames is used instead of this one with {frames}",
        (("frames", float(frames)), ("frames_of_other", float(better))),
    )


Minute = Mapping[str, Clip]


def _minutes(clips: Iterable[Clip]) -> tuple[list[Minute], list[Rejection]]:
    """Clips of the same minute by camera, in order, and the refusals of minutes in which no camera heard the car."""
    by_start: dict[int, dict[str, Clip]] = {}
    for clip in clips:
        by_start.setdefault(clip.start_ns, {})[clip.camera] = clip
    minutes: list[Minute] = []
    refused = []
    for _, minute in sorted(by_start.items()):
        if any(clip.heard.any() for clip in minute.values()):
            minutes.append(minute)
        else:
            refused += [
                Rejection(
                    str(clip.file.path),
                    "no_telemetry",
                    f"{clip.file.path.name}: expected telemetry in front of the frames, found none in "
                    f"{clip.check.frame_count} frames; it takes firmware 2025.44.25 or later and a car that drives",
                    (("frames", float(clip.check.frame_count)),),
                )
                for clip in minute.values()
            ]
    return minutes, refused


def _lead(minute: Minute) -> Clip:
    """The camera whose telemetry counts: the first, in the car's order, that has any."""
    return next(minute[name] for name in CAMERA_NAMES if name in minute and minute[name].heard.any())


def _runs(minutes: Iterable[Minute]) -> Iterator[list[tuple[Minute, int]]]:
    """Minutes that follow each other, each with the time at which its lead camera starts."""
    run: list[tuple[Minute, int]] = []
    for minute in minutes:
        start_ns = _follows(run[-1], minute) if run else None
        if run and start_ns is None:
            yield run
            run = []
        run.append((minute, _lead(minute).start_ns if start_ns is None else start_ns))
    if run:
        yield run


def _follows(before: tuple[Minute, int], minute: Minute) -> int | None:
    """When the minute starts if it continues the one before, else None."""
    earlier, later = _lead(before[0]), _lead(minute)
    if earlier.camera != later.camera or any(
        (minute[name].check.width_px, minute[name].check.height_px) != (clip.check.width_px, clip.check.height_px)
        for name, clip in before[0].items()
        if name in minute
    ):
        return None
    end_ns = before[1] + earlier.length_ns
    # Both starts are known to the second at best, from names.
    if abs(later.start_ns - end_ns) > JOIN_TOLERANCE_NS:
        return None
    missing = _missing_frames(earlier, later)
    if missing is None or missing * earlier.step_ns > JOIN_TOLERANCE_NS:
        return None
    return end_ns + missing * earlier.step_ns


def _missing_frames(earlier: Clip, later: Clip) -> int | None:
    """Frames that the car counted between two files and that neither holds; None where the count runs backwards."""
    count, next_count = earlier.column("frame_seq_no"), later.column("frame_seq_no")
    before, after = np.flatnonzero(earlier.heard), np.flatnonzero(later.heard)
    # Assumed: a car that counts anew in every file starts from the same number, give or take a few frames.
    if abs(next_count[after[0]] - after[0] - (count[before[0]] - before[0])) <= NEW_COUNT_FRAMES:
        return 0
    between = next_count[after[0]] - count[before[-1]]
    present = len(earlier.heard) - before[-1] + after[0]
    return int(between - present) if between >= present else None


def _drive(vehicle: Vehicle, run: Sequence[tuple[Minute, int]], recording: Recording) -> Drive:
    offset_ns = -int((vehicle.utc_offset_h or 0.0) * 3600 * _NS)
    leads = [Placed(_lead(minute), start_ns + offset_ns) for minute, start_ns in run]
    placed: dict[str, list[Placed]] = {}
    told: list[Rejection] = []
    for (minute, _), lead in zip(run, leads, strict=True):
        for name, clip in minute.items():
            beside = _beside(lead, clip)
            row = placed.setdefault(name, [])
            if not isinstance(beside, Rejection) and row and beside.start_ns <= row[-1].times_ns[-1]:
                beside = _refusal(clip, "clock_jump", "expected it to start after the minute before it ends")
            if isinstance(beside, Rejection):
                told.append(beside)
            else:
                row.append(beside)
    placed = {name: row for name, row in placed.items() if row}
    telemetry = telemetry_of(leads, vehicle.steering_sign)
    telemetry, implausible = clean(telemetry, recording.label)
    telemetry, sign_tag = steered_left(telemetry, vehicle.steering_sign)
    telemetry = replace(
        telemetry,
        latitude_deg=new_fixes(telemetry.latitude_deg, telemetry),
        longitude_deg=new_fixes(telemetry.longitude_deg, telemetry),
    )
    streams = tuple(_stream(name, placed[name], vehicle) for name in CAMERA_NAMES if name in placed)
    clips = [item for items in placed.values() for item in items]
    told += [rejection for item in clips for rejection in rejections_of(item)]
    files = sorted((item.clip.file for item in clips), key=lambda file: file.path.name)
    return Drive(
        drive_id_of(files),
        vehicle.vehicle_id,
        f"{vehicle.vehicle_id} {run[0][0][leads[0].clip.camera].file.path.name[:19]}",
        streams,
        telemetry,
        smooth(telemetry, vehicle.wheelbase_m, vehicle.steering_ratio),
        Provenance("teslacam", tuple((str(file.path), file.sha256, file.size_bytes) for file in files)),
        vehicle.wheelbase_m,
        vehicle.steering_ratio,
        _tags(vehicle, placed, files, sign_tag),
        (*told, *implausible),
    )


def _beside(lead: Placed, clip: Clip) -> Placed | Rejection:
    """The clip laid over the lead camera's by common frame numbers; at the same start where it has none."""
    if clip is lead.clip:
        return lead
    theirs, ours = lead.clip.heard, clip.heard
    numbers, of_lead, of_clip = np.intersect1d(
        lead.clip.column("frame_seq_no")[theirs], clip.column("frame_seq_no")[ours], return_indices=True
    )
    if len(numbers) == 0:
        return Placed(clip, lead.start_ns)
    shifts_ns = lead.times_ns[theirs][of_lead] - clip.times_ns[ours][of_clip]
    start_ns = int(np.median(shifts_ns))
    if abs(start_ns - lead.start_ns) <= JOIN_TOLERANCE_NS:
        return Placed(clip, start_ns)
    shift_s = (start_ns - lead.start_ns) / _NS
    expected = (
        f"expected the same frame numbers at the same time as {lead.clip.file.path.name}, got {shift_s:.1f} s apart"
    )
    return _refusal(clip, "clock_jump", expected, shift_s=shift_s)


def _refusal(clip: Clip, gate: str, expected: str, **figures: float) -> Rejection:
    """A whole file left out of its drive."""
    name = clip.file.path.name
    return Rejection(str(clip.file.path), gate, f"{name}: {expected}; copy the file again", tuple(figures.items()))


def _stream(name: str, placed: Sequence[Placed], vehicle: Vehicle) -> CameraStream:
    check = placed[0].clip.check
    return CameraStream(
        name,
        vehicle.camera(name, check.width_px, check.height_px),
        np.concatenate([item.times_ns for item in placed]),
        np.concatenate([item.clip.check.intact for item in placed]),
    )


def _tags(
    vehicle: Vehicle, placed: Mapping[str, object], files: Sequence[SourceFile], sign_tag: tuple[str, ...]
) -> tuple[str, ...]:
    tags = set(sign_tag)
    if not set(placed) <= {name for name, _ in vehicle.cameras}:
        tags.add("assumed_calibration")
    if vehicle.utc_offset_h is None:
        tags.add("local_time")
    if vehicle.traffic is not None:
        tags.add(f"traffic_{vehicle.traffic}")
    for folder in {file.path.parent for file in files}:
        tags |= _event_tags(folder / "event.json")
    return tuple(sorted(tags))


def _event_tags(path: Path) -> set[str]:
    """What the car noted about a saved event: why, and in which city; hints only, so an unreadable note is no fault."""
    try:
        event = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    if not isinstance(event, dict):
        return set()
    noted = {key: str(event.get(key, "")).strip() for key in ("reason", "city")}
    return {f"event_{key}:{value}" for key, value in noted.items() if value}
