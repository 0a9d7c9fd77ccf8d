"""Samples of telemetry that cannot be: out of range, apart from both neighbours, or frozen.

In: telemetry before poses are made from it. Out: the same with such samples marked invalid, and a `Rejection` for each
span.
Idea: readers clean what they read, so that one flipped bit does not bend a path.
Not here: checks of whole drives (`gates.py`), signals that contradict one another (`witnesses.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Bool, Float64, Int64

from dojo.fleet.marks import NS_PER_S, runs
from dojo.records import Rejection, Signal, Telemetry


@dataclass(frozen=True)
class Plausible:
    """What one signal can say: its range, and how far one sample may stand out from both neighbours.

    Args:
        stand_out: in the signal's own unit; for a switch any sample that differs from two equal neighbours stands out.
    """

    low: float
    high: float
    stand_out: float
    angle: bool = False


# Assumed: ranges wider than any road car's. A sample that stands out returns to the neighbours' line within one step,
# at 20 Hz at 20 m/s², 7 rad/s at the wheel, 2 rad/s of turning: no car does.
PLAUSIBLE = {
    "speed_mps": Plausible(-30.0, 100.0, 1.0),
    "yaw_rate_radps": Plausible(-3.0, 3.0, 0.3),
    "steering_wheel_angle_rad": Plausible(-20.0, 20.0, 0.35),
    "acceleration_x_mps2": Plausible(-50.0, 50.0, 8.0),
    "acceleration_y_mps2": Plausible(-50.0, 50.0, 8.0),
    "acceleration_z_mps2": Plausible(-50.0, 50.0, 15.0),
    "accelerator_pedal": Plausible(0.0, 101.0, 60.0),  # some log 0 to 1, some per cent
    "brake_applied": Plausible(0.0, 1.0, math.inf),  # a tap may be as short as a frame
    "blinker_left": Plausible(0.0, 1.0, 0.5),
    "blinker_right": Plausible(0.0, 1.0, 0.5),
    "gear": Plausible(0.0, 3.0, 0.5),  # records.Telemetry.GEARS
    "assist_state": Plausible(0.0, 3.0, 0.5),  # records.Telemetry.ASSIST_STATES
    "latitude_deg": Plausible(-90.0, 90.0, 3e-4),  # 33 m
    "longitude_deg": Plausible(-180.0, 180.0, 3e-4),
    "altitude_m": Plausible(-500.0, 9000.0, 30.0),
    "heading_rad": Plausible(-math.inf, math.inf, 0.1, angle=True),
}
NEIGHBOUR_S = 0.25
"""Samples further apart are not compared. Assumed: slower signals move too much between samples."""
_NEVER_STILL = ("speed_mps", "yaw_rate_radps")
"""Signals that a sensor of fine resolution never repeats for long, except at zero."""
# Assumed: of ten steps at least nine change where resolution is fine; a cruise control holds 2 s to no 0.01 m/s.
_FROZEN_S, _ENOUGH_STEPS, _REPEATS_SHARE = 2.0, 10, 0.1
_ROUNDS = 3  # of two wrong samples side by side only one stands out; without it the other does
_MAX_SPANS = 10
"""More refused spans of one signal than this are told as one."""


def clean(telemetry: Telemetry, where: str) -> tuple[Telemetry, tuple[Rejection, ...]]:
    """Telemetry with implausible samples marked invalid, and what was marked.

    Readers call it before they make poses, so that one flipped bit does not bend a path.
    """
    rejections: list[Rejection] = []
    cleaned: dict[str, Signal] = {}
    for field in fields(telemetry):
        signal: Signal = getattr(telemetry, field.name)
        bad = _implausible(signal, PLAUSIBLE[field.name])
        left = replace(signal, valid=signal.valid & ~bad)
        frozen = _frozen(left) if field.name in _NEVER_STILL else np.zeros_like(bad)
        cleaned[field.name] = replace(left, valid=left.valid & ~frozen)
        rejections += _sample_rejections(where, field.name, signal, bad)
        rejections += _frozen_rejections(where, field.name, signal, frozen)
    return Telemetry(**cleaned), tuple(rejections)


def _implausible(signal: Signal, plausible: Plausible) -> Bool[np.ndarray, " n"]:
    """Valid samples out of range, or far from what both neighbours say."""
    bad = signal.valid & ((signal.values < plausible.low) | (signal.values > plausible.high))
    for _ in range(_ROUNDS):
        kept = np.flatnonzero(signal.valid & ~bad)
        if len(kept) < 3:
            break
        found = _standing_out(signal.timestamps_ns[kept], signal.values[kept], plausible)
        bad[kept[found]] = True
        if not found.any():
            break
    return bad


def _standing_out(
    timestamps_ns: Int64[np.ndarray, " n"], values: Float64[np.ndarray, " n"], plausible: Plausible
) -> Bool[np.ndarray, " n"]:
    """Samples further from the line through their neighbours than the signal moves there anyway."""
    t = (timestamps_ns - timestamps_ns[0]) / NS_PER_S
    v = np.unwrap(values) if plausible.angle else values
    # The ends have neighbours on one side only: the line through the next two samples, with twice the allowance.
    before = np.concatenate([[1], np.arange(len(v) - 2), [len(v) - 3]])
    after = np.concatenate([[2], np.arange(2, len(v)), [len(v) - 2]])
    allowance = np.full(len(v), plausible.stand_out)
    allowance[[0, -1]] *= 2
    slope = (v[after] - v[before]) / (t[after] - t[before])
    away = v - (v[before] + slope * (t - t[before]))
    if plausible.angle:
        away = (away + math.pi) % (2 * math.pi) - math.pi
    moved = np.abs(v[after] - v[before])
    near = np.maximum(t[after], t) - np.minimum(t[before], t) <= 2 * NEIGHBOUR_S
    found = near & (np.abs(away) > allowance + 2 * moved)
    # A good sample between a bad one and a good one stands out too, but less: keep only the local worst.
    size = np.where(found, np.abs(away), 0.0)
    return found & (size >= np.maximum(np.append(size[1:], 0.0), np.append(0.0, size[:-1])))


def _sample_rejections(where: str, name: str, signal: Signal, bad: Bool[np.ndarray, " n"]) -> Iterator[Rejection]:
    spans = list(runs(bad))
    if len(spans) > _MAX_SPANS:
        spans = [(spans[0][0], spans[-1][1])]
    for first, last in spans:
        inside = bad[first : last + 1]
        values = signal.values[first : last + 1][inside]
        plausible = PLAUSIBLE[name]
        yield Rejection(
            where,
            "implausible_value",
            f"{name}: expected {plausible.low:g} to {plausible.high:g} and no sample that stands out from both "
            f"neighbours by {plausible.stand_out:g}, got {values[0]:g} ({int(inside.sum())} samples); marked invalid",
            (("samples", float(inside.sum())), ("low", float(values.min())), ("high", float(values.max()))),
            int(signal.timestamps_ns[first]),
            int(signal.timestamps_ns[last]),
        )


def _frozen(signal: Signal) -> Bool[np.ndarray, " n"]:
    """Valid samples of a signal that repeats one value for long although it never does otherwise."""
    frozen = np.zeros_like(signal.valid)
    kept = np.flatnonzero(signal.valid)
    times_ns, values = signal.timestamps_ns[kept], signal.values[kept]
    repeats = np.diff(values) == 0
    stretches = [
        (first, last + 1)
        for first, last in runs(repeats)
        if times_ns[last + 1] - times_ns[first] >= _FROZEN_S * NS_PER_S and values[first] != 0
    ]
    inside = np.zeros_like(repeats)
    for first, last in stretches:
        inside[first:last] = True
    elsewhere = repeats[~inside]
    if len(elsewhere) < _ENOUGH_STEPS or elsewhere.mean() > _REPEATS_SHARE:
        return frozen
    for first, last in stretches:
        frozen[kept[first + 1 : last + 1]] = True
    return frozen


def _frozen_rejections(where: str, name: str, signal: Signal, frozen: Bool[np.ndarray, " n"]) -> Iterator[Rejection]:
    for first, last in runs(frozen):
        length_s = float(signal.timestamps_ns[last] - signal.timestamps_ns[first]) / NS_PER_S
        yield Rejection(
            where,
            "frozen_value",
            f"{name}: expected it to change from sample to sample as elsewhere, got {signal.values[first]:g} for "
            f"{length_s:.1f} s; marked invalid",
            (("length_s", length_s), ("value", float(signal.values[first]))),
            int(signal.timestamps_ns[first]),
            int(signal.timestamps_ns[last]),
        )
