"""A camera of a drive, from its checked file and the times that the recording gives its frames.

In: `VideoCheck`, times, the camera. Out: `CameraStream`, and a `Rejection` for everything of it that is not used.
Idea: frame i was taken at time i. Fewer frames than times is a file cut short, of which the beginning still holds; more
frames than times cannot be matched at all.
Not here: formats whose files carry their own times and telemetry (`teslacam.py`).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from dojo.errors import RecordingError
from dojo.fleet.readers.decode import VideoCheck
from dojo.geometry import Camera
from dojo.records import CameraStream, Rejection


def stream_of(
    name: str, where: str, camera: Camera, checked: VideoCheck, times_ns: Int64[np.ndarray, " n"]
) -> tuple[CameraStream, tuple[Rejection, ...]]:
    """The stream, and what of it cannot be used.

    Args:
        where: file or folder, for messages.
        times_ns: one for each frame that the recording should have.

    Raises:
        RecordingError: gate `unknown_camera`, `clock_jump` or `clock_backwards`.
    """
    if (checked.width_px, checked.height_px) != (camera.width_px, camera.height_px):
        raise RecordingError(
            "unknown_camera",
            f"{where}: expected {camera.width_px} x {camera.height_px} pictures for the intrinsics at hand, got "
            f"{checked.width_px} x {checked.height_px}; give the intrinsics of these pictures",
            {"width_px": float(checked.width_px), "height_px": float(checked.height_px)},
        )
    frames = checked.frame_count
    if frames > len(times_ns):
        raise RecordingError(
            "clock_jump",
            f"{where}: expected {len(times_ns)} frames, one for each frame time, got {frames}; which is which cannot "
            "be told; copy the recording again",
            {"frames": float(frames), "frame_times": float(len(times_ns))},
        )
    backwards = int((np.diff(times_ns) <= 0).sum())
    if backwards:
        raise RecordingError(
            "clock_backwards",
            f"{where}: expected increasing frame times, {backwards} do not increase; copy the recording again",
            {"backwards": float(backwards)},
        )
    rejections = [
        Rejection(
            where,
            fault.gate,
            f"{where}: {fault.reason}; not used",
            (("frames", float(fault.last_frame - fault.first_frame + 1)),),
            int(times_ns[fault.first_frame]),
            int(times_ns[fault.last_frame]),
        )
        for fault in checked.faults
    ]
    intact = checked.intact
    if frames < len(times_ns):
        if checked.timestamps_ns is None:  # a raw stream may be cut within a picture, and nothing in it would show
            intact = intact & (np.arange(frames) < frames - 1)
        first_lost = int(np.flatnonzero(intact)[-1]) + 1 if intact.any() else 0
        rejections.append(
            Rejection(
                where,
                "truncated_file",
                f"{where}: expected {len(times_ns)} frames, got {frames}; what follows the last whole one is not used",
                (("frames", float(frames)), ("frame_times", float(len(times_ns)))),
                int(times_ns[first_lost]),
                int(times_ns[-1]),
            )
        )
    return CameraStream(name, camera, times_ns[:frames].copy(), intact), tuple(rejections)
