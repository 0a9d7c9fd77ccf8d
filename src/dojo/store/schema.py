"""The tables of a dataset: their columns, and the number that says which Dojo can read them.

Idea: series are list columns, one drive or clip a row, so that a query on light columns (hours, tags, splits) reads
nothing heavy. Signals are a list of named series rather than one column each: a new signal needs no new schema.
`intake` is the ledger: one row for each recording that was received, and what exists is what it names.
Not here: turning records into rows (`rows.py`).
"""

from __future__ import annotations

import pyarrow as pa

SCHEMA_VERSION = 1
"""Raised when an older Dojo could misread what a newer one wrote."""

SCHEMA_KEY = b"dojo.schema"

_I64, _F64, _F32, _BOOL = pa.list_(pa.int64()), pa.list_(pa.float64()), pa.list_(pa.float32()), pa.list_(pa.bool_())
_TEXT = pa.list_(pa.string())

FILE = pa.struct([("path", pa.string()), ("sha256", pa.string()), ("size_bytes", pa.int64())])
REJECTION = pa.struct(
    [
        ("where", pa.string()),
        ("gate", pa.string()),
        ("reason", pa.string()),
        ("figures", pa.list_(pa.struct([("name", pa.string()), ("value", pa.float64())]))),
        ("start_ns", pa.int64()),
        ("end_ns", pa.int64()),
    ]
)
CAMERA = pa.struct(
    [
        ("width_px", pa.int64()),
        ("height_px", pa.int64()),
        ("focal_px", _F64),
        ("centre_px", _F64),
        ("rotation", _F64),
        ("translation_m", _F64),
        ("distortion", _F64),
    ]
)
STREAM = pa.struct(
    [
        ("name", pa.string()),
        ("camera", CAMERA),
        ("recorded_camera", CAMERA),
        ("timestamps_ns", _I64),
        ("valid", _BOOL),
    ]
)
SIGNAL = pa.struct([("name", pa.string()), ("timestamps_ns", _I64), ("values", _F64), ("valid", _BOOL)])
EGO = pa.struct(
    [
        ("timestamps_ns", _I64),
        ("rotation", _F64),
        ("translation_m", _F64),
        ("speed_mps", _F64),
        ("yaw_rate_radps", _F64),
        ("covariance", _F64),
        ("covariance_valid", _BOOL),
        ("valid", _BOOL),
        ("origin_deg_m", _F64),
        ("source", pa.string()),
    ]
)

TABLES: dict[str, pa.Schema] = {
    "chunks": pa.schema(
        [
            ("recording_id", pa.string()),
            ("drive_id", pa.string()),
            ("camera", pa.string()),
            ("first_frame", pa.int64()),
            ("frame_count", pa.int64()),
            ("sha256", pa.string()),
            pa.field("data", pa.large_binary(), metadata={b"lance-encoding:blob": b"true"}),
        ]
    ),
    "drives": pa.schema(
        [
            ("drive_id", pa.string()),
            ("recording_id", pa.string()),
            ("content_hash", pa.string()),
            ("vehicle_id", pa.string()),
            ("route", pa.string()),
            ("tags", _TEXT),
            ("duration_s", pa.float64()),
            ("distance_m", pa.float64()),
            ("frame_count", pa.int64()),
            ("video_bytes", pa.int64()),
            ("ego_valid_share", pa.float64()),
            ("wheelbase_m", pa.float64()),
            ("steering_ratio", pa.float64()),
            ("cameras", pa.list_(STREAM)),
            ("signals", pa.list_(SIGNAL)),
            ("ego", EGO),
            ("reader", pa.string()),
            ("files", pa.list_(FILE)),
            ("licence", pa.string()),
            ("rejections", pa.list_(REJECTION)),
        ]
    ),
    "clips": pa.schema(
        [
            ("clip_id", pa.string()),
            ("drive_id", pa.string()),
            ("vehicle_id", pa.string()),
            ("camera", pa.string()),
            ("split", pa.string()),
            ("tags", _TEXT),
            ("tiles", _TEXT),
            ("weight", pa.float64()),
            ("frame_indices", _I64),
            ("anchor_timestamps_ns", _I64),
            ("position_m", _F32),
            ("yaw_rad", _F32),
            ("speed_mps", _F32),
            ("valid", _BOOL),
            ("curvature_per_m", _F32),
            ("acceleration_mps2", _F32),
            ("action_valid", _BOOL),
            ("ego_rates", _F32),
            ("desire", _I64),
        ]
    ),
    "intake": pa.schema(
        [
            ("recording_id", pa.string()),
            ("content_hash", pa.string()),
            ("files", pa.list_(FILE)),
            ("drive_ids", _TEXT),
            ("chunk_count", pa.int64()),
            ("rejections", pa.list_(REJECTION)),
        ]
    ),
}
"""Column types of each table, in the order in which the tables are made: a dataset exists once `intake` does."""

ERASED = pa.schema([("erasure_id", pa.string()), ("kind", pa.string()), ("salt", pa.string()), ("digest", pa.string())])
"""Tombstones, in a table made by the first erasure: what may not come in again, known by salted hashes alone."""


def vector_schema(size: int) -> pa.Schema:
    """Columns of the table of embeddings, made when clips are first embedded; half precision halves a search's time."""
    return pa.schema(
        [
            ("clip_id", pa.string()),
            ("vehicle_id", pa.string()),
            ("vector", pa.list_(pa.float16(), size)),
        ]
    )
