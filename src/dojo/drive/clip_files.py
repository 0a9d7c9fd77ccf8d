"""A stretch of driving as files: a video, a table, and what they mean.

In: rows of signals, packed pictures. Out: `front.mp4`, `signals.csv`, `<name>.dojo.toml`.
Idea: the formats are those that any fleet may bring (`docs/extend/reader.md`), so what a vehicle recorded goes the way
of all other recordings, through the same gates. Time zero is the first picture; the video's own clock says the rest.
Not here: what is worth writing (`recorder.py`).
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from dojo.drive.platform import Mounting
from dojo.records import ViewContract
from dojo.records.pack import unpack

_MS = Fraction(1, 1000)
_NAMES = {
    "speed_mps": ("speed_mps", 'unit = "m/s"'),
    "steering_wheel_angle_rad": ("steering_wheel_rad", 'unit = "rad", positive = "left"'),
    "yaw_rate_radps": ("yaw_rate_radps", 'unit = "rad/s", positive = "left"'),
    "brake_applied": ("brake", 'unit = "bool"'),
    "accelerator_pedal": ("gas", 'unit = "fraction"'),
    "blinker_left": ("blinker_left", 'unit = "bool"'),
    "blinker_right": ("blinker_right", 'unit = "bool"'),
}
"""Signal of a recording -> column of the rows, and what it means. The pedal is known only as pressed or not."""


@dataclass(frozen=True)
class Clip:
    """What is written.

    Args:
        rows: of `recorder.ROW`, oldest first. `pictures`: when each was taken, and its six channels, oldest first.
    """

    folder: Path
    name: str
    vehicle: str
    view: ViewContract
    mounting: Mounting
    rows: np.ndarray
    pictures: Iterable[tuple[int, np.ndarray]]

    def discard(self) -> None:
        """Take back what was written."""
        shutil.rmtree(self.folder)


def write_clip(clip: Clip) -> None:
    """The three files, in a folder of their own."""
    clip.folder.mkdir(parents=True, exist_ok=True)
    zero_ns = _write_video(clip)
    _write_table(clip, zero_ns)
    (clip.folder / f"{clip.name}.dojo.toml").write_text(description(clip), "utf-8")


def _write_video(clip: Clip) -> int:
    """The pictures, as nearly lossless as is small; when the first was taken."""
    zero_ns: int | None = None
    with av.open(str(clip.folder / "front.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=20, options={"crf": "12", "bf": "0", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = clip.view.width_px, clip.view.height_px, "yuv420p"
        stream.time_base = stream.codec_context.time_base = _MS
        for taken_ns, packed in clip.pictures:
            zero_ns = taken_ns if zero_ns is None else zero_ns
            frame = unpack(packed)
            planes = np.concatenate([plane.reshape(-1, clip.view.width_px) for plane in (frame.y, frame.u, frame.v)])
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(planes), format="yuv420p")
            picture.pts, picture.time_base = round((taken_ns - zero_ns) / 1e6), _MS
            for packet in stream.encode(picture):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    assert zero_ns is not None
    return zero_ns


def _write_table(clip: Clip, zero_ns: int) -> None:
    names = [name for name in clip.rows.dtype.names or () if name != "time_ns"]
    with (clip.folder / "signals.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["t", *names])
        for row in clip.rows:
            seconds = (int(row["time_ns"]) - zero_ns) / 1e9
            cells = (row[name].item() for name in names)
            writer.writerow([f"{seconds:.6f}", *(int(cell) if isinstance(cell, bool) else cell for cell in cells)])


def description(clip: Clip) -> str:
    """What the files mean, as `fleet/readers/video_table_file.py` reads it."""
    signals = [
        f'{signal} = {{ table = "signals", column = "{column}", {meaning}, valid = "known" }}'
        for signal, (column, meaning) in _NAMES.items()
    ]
    view, at = clip.view, clip.mounting
    return "\n".join(
        [
            f'vehicle_id = "{clip.vehicle}"',
            f'route = "{clip.name}"',
            'licence = "recorded while driving"',
            "",
            "[tables.signals]",
            'file = "signals.csv"',
            'time = "t"',
            'time_unit = "s"',
            "",
            "[signals]",
            *signals,
            "",
            "[cameras.front]",
            'video = "front.mp4"',
            'times = "pts"',
            f"width = {view.width_px}",
            f"height = {view.height_px}",
            f"focal_px = [{view.focal_px[0]}, {view.focal_px[1]}]",
            f"centre_px = [{view.centre_px[0]}, {view.centre_px[1]}]",
            f"position_m = [{at.forward_m}, {at.left_m}, {at.up_m}]",
            "pitch_deg = 0.0",
            "",
        ]
    )
