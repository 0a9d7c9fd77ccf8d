"""How drives are cut, split and balanced: one frozen dataclass, defaults that work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dojo.errors import ConfigError


@dataclass(frozen=True)
class CurateConfig:
    """Settings of one curation.

    Args:
        camera: name of the camera that the clips see.
        anchors_per_clip: moments per clip at which a policy must answer.
        anchor_interval_s: time between anchors, and between the two frames that one anchor sees. Source: openpilot
            feeds its policy features at 5 Hz.
        stride_anchors: anchors from the start of one clip to the start of the next; None means no overlap.
        future_s: how far ahead the target path reaches; later times of the trajectory are marked invalid.
        min_future_s: clips are dropped when an anchor knows less of its future than this.
        max_pose_gap_s: poses further apart than this are not interpolated between.
        actuator_delay_s: time from a command to its effect, for the curvature and acceleration targets.
        traffic_right: traffic keeps right in drives that carry neither of the tags `traffic_left` and `traffic_right`.
        tile_precision: geohash characters of a road tile; 6 is about 1.2 km x 0.6 km.
        validation_share: wanted share of validation among the clips that are not excluded.
        force_split: put every clip into this split instead, for recordings that are not to be trained and judged
            on at once.
        standstill_share: most of the training mass that standing still may have.
        tempering: exponent of 1 / frequency in flattening curvature and speed: 0 keeps the natural mix, 1 is flat.
        manoeuvre_boost: factor on the weight of lane changes, hard braking and takeovers.
        max_weight_ratio: no clip weighs more than this many times the median clip before normalising.
        seed: of the split.
    """

    camera: str = "front"
    anchors_per_clip: int = 5
    anchor_interval_s: float = 0.2
    stride_anchors: int | None = None
    future_s: float = 10.0
    min_future_s: float = 1.0
    max_pose_gap_s: float = 0.5
    actuator_delay_s: float = 0.2
    traffic_right: bool = True
    tile_precision: int = 6
    validation_share: float = 0.25
    force_split: Literal["train", "validation", "excluded"] | None = None
    standstill_share: float = 0.10
    tempering: float = 0.5
    manoeuvre_boost: float = 2.0
    max_weight_ratio: float = 8.0
    seed: int = 0

    def __post_init__(self) -> None:
        rules = (
            ("anchors_per_clip", self.anchors_per_clip >= 1, "at least 1"),
            ("anchor_interval_s", 0 < self.anchor_interval_s <= 5, "in (0, 5]"),
            ("stride_anchors", self.stride_anchors is None or self.stride_anchors >= 1, "at least 1, or None"),
            ("future_s", 0 < self.future_s <= 10, "in (0, 10]: trajectories end after 10 s"),
            ("min_future_s", 0 <= self.min_future_s <= self.future_s, "between 0 and future_s"),
            ("max_pose_gap_s", self.max_pose_gap_s > 0, "positive"),
            ("actuator_delay_s", 0 < self.actuator_delay_s <= 1, "in (0, 1]"),
            ("tile_precision", 1 <= self.tile_precision <= 12, "from 1 to 12"),
            ("validation_share", 0 < self.validation_share < 1, "between 0 and 1; use force_split for all or nothing"),
            ("standstill_share", 0 <= self.standstill_share < 1, "in [0, 1)"),
            ("tempering", 0 <= self.tempering <= 1, "in [0, 1]"),
            ("manoeuvre_boost", self.manoeuvre_boost > 0, "positive"),
            ("max_weight_ratio", self.max_weight_ratio >= 1, "at least 1"),
        )
        wrong = [f"{name} must be {rule}, got {getattr(self, name)}" for name, ok, rule in rules if not ok]
        if wrong:
            raise ConfigError("curate: " + "; ".join(wrong))
