"""Records to table rows and back, without loss.

In: drives, clips, rejections. Out: dictionaries that Arrow turns into rows; and records from rows.
Idea: arrays go through NumPy on both ways, never through Python lists, so an hour of telemetry costs milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import pyarrow as pa

from dojo.geometry import Camera, Rigid
from dojo.records import CameraStream, Clip, Drive, EgoMotion, Provenance, Rejection, Signal, Telemetry

Row = dict[str, Any]

_CLIP_SHAPES: dict[str, tuple[int, ...]] = {
    "frame_indices": (-1,),
    "anchor_timestamps_ns": (-1,),
    "position_m": (-1, 33, 3),
    "yaw_rad": (-1, 33),
    "speed_mps": (-1, 33),
    "valid": (-1, 33),
    "curvature_per_m": (-1,),
    "acceleration_mps2": (-1,),
    "action_valid": (-1,),
    "ego_rates": (-1, 6),
    "desire": (-1,),
}
_EGO_SHAPES: dict[str, tuple[int, ...]] = {
    "timestamps_ns": (-1,),
    "rotation": (-1, 3, 3),
    "translation_m": (-1, 3),
    "speed_mps": (-1,),
    "yaw_rate_radps": (-1,),
    "covariance": (-1, 3, 3),
    "covariance_valid": (-1,),
    "valid": (-1,),
}


def drive_row(drive: Drive) -> Row:
    """The columns of a drive that come from the drive alone."""
    return {
        "drive_id": drive.drive_id,
        "vehicle_id": drive.vehicle_id,
        "route": drive.route,
        "tags": list(drive.tags),
        "duration_s": _duration_s(drive),
        "distance_m": _distance_m(drive.ego),
        "frame_count": sum(len(stream.timestamps_ns) for stream in drive.cameras),
        "ego_valid_share": float(drive.ego.valid.mean()) if len(drive.ego.valid) else 0.0,
        "wheelbase_m": drive.wheelbase_m,
        "steering_ratio": drive.steering_ratio,
        "cameras": [_stream_row(stream) for stream in drive.cameras],
        "signals": [
            {"name": name, "timestamps_ns": signal.timestamps_ns, "values": signal.values, "valid": signal.valid}
            for name, signal in ((f.name, getattr(drive.telemetry, f.name)) for f in fields(Telemetry))
            if len(signal.timestamps_ns)
        ],
        "ego": {
            **{name: getattr(drive.ego, name).ravel() for name in _EGO_SHAPES},
            "origin_deg_m": drive.ego.origin_deg_m,
            "source": drive.ego.source,
        },
        "reader": drive.provenance.reader,
        "files": file_rows(drive.provenance.files),
        "licence": drive.provenance.licence,
        "rejections": [rejection_row(rejection) for rejection in drive.rejections],
    }


def drive_from(row: Mapping[str, Any]) -> Drive:
    """The drive of a row given as Arrow scalars by column."""
    known = {f.name for f in fields(Telemetry)}
    signals = {item["name"].as_py(): item for item in _items(row["signals"])}
    ego = row["ego"]
    origin = ego["origin_deg_m"].as_py()
    return Drive(
        drive_id=row["drive_id"].as_py(),
        vehicle_id=row["vehicle_id"].as_py(),
        route=row["route"].as_py(),
        cameras=tuple(stream_from(item) for item in _items(row["cameras"])),
        telemetry=Telemetry(
            **{
                name: Signal(
                    array(item["timestamps_ns"], np.int64), array(item["values"], np.float64), _mask(item["valid"])
                )
                for name, item in signals.items()
                if name in known
            }
        ),
        ego=EgoMotion(
            **{name: _shaped(ego[name], shape) for name, shape in _EGO_SHAPES.items()},
            origin_deg_m=None if origin is None else (origin[0], origin[1], origin[2]),
            source=ego["source"].as_py(),
        ),
        provenance=Provenance(row["reader"].as_py(), files_from(row["files"].as_py()), row["licence"].as_py()),
        wheelbase_m=row["wheelbase_m"].as_py(),
        steering_ratio=row["steering_ratio"].as_py(),
        tags=tuple(row["tags"].as_py()),
        rejections=tuple(rejection_from(item) for item in row["rejections"].as_py()),
    )


def clip_row(clip: Clip) -> Row:
    """All columns of a clip."""
    row = {f.name: getattr(clip, f.name) for f in fields(Clip)}
    row |= {name: row[name].ravel() for name in _CLIP_SHAPES}
    return row | {"tags": list(clip.tags), "tiles": list(clip.tiles)}


def clip_from(row: Mapping[str, Any]) -> Clip:
    """The clip of a row given as Arrow scalars by column."""
    values: dict[str, Any] = {name: _shaped(row[name], shape) for name, shape in _CLIP_SHAPES.items()}
    values |= {name: row[name].as_py() for name in ("clip_id", "drive_id", "vehicle_id", "camera", "split", "weight")}
    return Clip(**values, tags=tuple(row["tags"].as_py()), tiles=tuple(row["tiles"].as_py()))


def rejection_row(rejection: Rejection) -> Row:
    """All columns of a rejection."""
    figures = [{"name": name, "value": float(value)} for name, value in rejection.figures]
    return {f.name: getattr(rejection, f.name) for f in fields(Rejection)} | {"figures": figures}


def rejection_from(row: Row) -> Rejection:
    """The rejection of a row of plain values."""
    return Rejection(**row | {"figures": tuple((item["name"], item["value"]) for item in row["figures"])})


def file_rows(files: tuple[tuple[str, str, int], ...]) -> list[Row]:
    """(path, sha256, size in bytes) of each file as rows."""
    return [{"path": path, "sha256": sha256, "size_bytes": size} for path, sha256, size in files]


def files_from(rows: list[Row]) -> tuple[tuple[str, str, int], ...]:
    """(path, sha256, size in bytes) of each row."""
    return tuple((row["path"], row["sha256"], row["size_bytes"]) for row in rows)


def stream_from(item: Mapping[str, Any]) -> CameraStream:
    """The camera stream of an Arrow struct."""
    recorded = item["recorded_camera"].as_py()
    return CameraStream(
        name=item["name"].as_py(),
        camera=_camera_from(item["camera"].as_py()),
        timestamps_ns=array(item["timestamps_ns"], np.int64),
        valid=_mask(item["valid"]),
        recorded_camera=None if recorded is None else _camera_from(recorded),
    )


def rows_of(table: pa.Table | pa.RecordBatch) -> list[Mapping[str, Any]]:
    """Each row of a table as Arrow scalars by column."""
    return [{name: table.column(name)[place] for name in table.column_names} for place in range(table.num_rows)]


def array(scalar: Any, dtype: type[np.generic]) -> np.ndarray:
    """The values of an Arrow list as a NumPy array of its own."""
    return np.array(scalar.values.to_numpy(zero_copy_only=False), dtype)


def _mask(scalar: Any) -> np.ndarray:
    return array(scalar, np.bool_)


def _shaped(scalar: Any, shape: tuple[int, ...]) -> np.ndarray:
    values = scalar.values.to_numpy(zero_copy_only=False)
    # An Arrow boolean array may arrive as objects; every other type keeps its own dtype.
    dtype = np.bool_ if pa.types.is_boolean(scalar.type.value_type) else values.dtype
    return np.array(values, dtype).reshape(shape)


def _items(scalar: Any) -> list[Any]:
    return list(scalar.values)


def _stream_row(stream: CameraStream) -> Row:
    return {
        "name": stream.name,
        "camera": _camera_row(stream.camera),
        "recorded_camera": None if stream.recorded_camera is None else _camera_row(stream.recorded_camera),
        "timestamps_ns": stream.timestamps_ns,
        "valid": stream.valid,
    }


def _camera_row(camera: Camera) -> Row:
    return {
        "width_px": camera.width_px,
        "height_px": camera.height_px,
        "focal_px": camera.focal_px,
        "centre_px": camera.centre_px,
        "rotation": camera.ego_from_camera.rotation.ravel(),
        "translation_m": camera.ego_from_camera.translation_m,
        "distortion": camera.distortion,
    }


def _camera_from(row: Row) -> Camera:
    mounting = Rigid(np.array(row["rotation"]).reshape(3, 3), np.array(row["translation_m"]))
    k1, k2, p1, p2, k3 = row["distortion"]
    (focal_x, focal_y), (centre_x, centre_y) = row["focal_px"], row["centre_px"]
    return Camera(
        row["width_px"], row["height_px"], (focal_x, focal_y), (centre_x, centre_y), mounting, (k1, k2, p1, p2, k3)
    )


def _duration_s(drive: Drive) -> float:
    """Time between first and last frame of the camera that saw most; of the poses where there is no camera."""
    series = [stream.timestamps_ns for stream in drive.cameras] or [drive.ego.timestamps_ns]
    return max((float(times[-1] - times[0]) / 1e9 for times in series if len(times)), default=0.0)


def _distance_m(ego: EgoMotion) -> float:
    """Length of the driven path between neighbouring valid poses."""
    steps = np.linalg.norm(np.diff(ego.translation_m, axis=0), axis=1)
    return float(steps[ego.valid[1:] & ego.valid[:-1]].sum())
