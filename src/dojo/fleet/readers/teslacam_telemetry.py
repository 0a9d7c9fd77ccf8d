"""The car's messages as signals in SI units, left and east positive.

In: the clips whose telemetry counts. Out: `Telemetry`.
Idea: the format's table gives units but not the sense of the steering, and repeats a fix until the next one. Both are
decided from the drive itself where it can tell, and otherwise as the manufacturer's own viewer shows them.
Not here: the message on the wire (`teslacam_sei.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dojo.fleet.readers import teslacam_sei
from dojo.fleet.readers.teslacam_clip import Placed
from dojo.records import Signal, Telemetry

_NS = 1_000_000_000
_REPEATED_FIX_NS = _NS

# Assumed: below this the heading says nothing about the sense of the steering: a straight road, or walking pace.
_TURN_RADPS, _TURN_SAMPLES, _TURN_AGREEMENT = 0.03, 20, 0.5


def telemetry_of(leads: Sequence[Placed], steering_sign: int | None) -> Telemetry:
    """Signals of the frames that carry a message, in SI units; steering positive to the left if the sign is right."""
    times_ns = np.concatenate([lead.times_ns[lead.clip.heard] for lead in leads])
    columns = np.concatenate([lead.clip.columns[lead.clip.heard] for lead in leads])

    def signal(name: str, factor: float = 1.0) -> Signal:
        return Signal.measured(times_ns, columns[:, teslacam_sei.COLUMNS.index(name)] * factor)

    heading = signal("heading_deg")
    latitude, longitude = signal("latitude_deg"), signal("longitude_deg")
    # Exactly (0, 0) lies in the Gulf of Guinea: there are no roads, but it is what an absent field reads as.
    fixed = (latitude.values != 0) | (longitude.values != 0)
    return Telemetry(
        speed_mps=signal("vehicle_speed_mps"),
        steering_wheel_angle_rad=signal("steering_wheel_angle", np.pi / 180 * (steering_sign or -1)),
        acceleration_x_mps2=signal("linear_acceleration_mps2_x"),
        acceleration_y_mps2=signal("linear_acceleration_mps2_y"),
        acceleration_z_mps2=signal("linear_acceleration_mps2_z"),
        accelerator_pedal=signal("accelerator_pedal_position"),
        brake_applied=signal("brake_applied"),
        blinker_left=signal("blinker_on_left"),
        blinker_right=signal("blinker_on_right"),
        gear=signal("gear_state"),
        assist_state=signal("autopilot_state"),
        latitude_deg=replace(latitude, valid=latitude.valid & fixed),
        longitude_deg=replace(longitude, valid=longitude.valid & fixed),
        heading_rad=replace(heading, values=np.radians(90.0 - heading.values), valid=heading.valid & fixed),
    )


def steered_left(telemetry: Telemetry, declared: int | None) -> tuple[Telemetry, tuple[str, ...]]:
    """Steering with its sense taken from the heading, where the drive turns enough to tell and nobody declared it."""
    steering, heading = telemetry.steering_wheel_angle_rad, telemetry.heading_rad
    at_s = np.arange(0, 0 if not len(steering.timestamps_ns) else np.ptp(steering.timestamps_ns), _NS // 2)
    times_ns = at_s + (steering.timestamps_ns[0] if len(at_s) else 0)
    unwrapped = Signal.measured(heading.timestamps_ns[heading.valid], np.unwrap(heading.values[heading.valid]))
    later, known_later = unwrapped.at(times_ns + _NS // 2)
    now, known_now = unwrapped.at(times_ns)
    angle, steered = steering.at(times_ns + _NS // 4)
    rate_radps = (later - now) * 2
    turning = known_later & known_now & steered & (np.abs(rate_radps) > _TURN_RADPS)
    if declared is not None or turning.sum() < _TURN_SAMPLES:
        return telemetry, ()
    agreement = float(np.sign(rate_radps[turning] * angle[turning]).mean())
    if agreement > -_TURN_AGREEMENT:
        return telemetry, ()
    flipped = replace(steering, values=-steering.values)
    return replace(telemetry, steering_wheel_angle_rad=flipped), ("steering_by_heading",)


def new_fixes(signal: Signal, telemetry: Telemetry) -> Signal:
    """The coordinate with only those samples valid at which the fix is new, or a second old and still the same."""
    latitude, longitude = telemetry.latitude_deg, telemetry.longitude_deg
    both = latitude.valid & longitude.valid
    new = np.zeros(len(both), np.bool_)
    latest_ns, place = -_REPEATED_FIX_NS, (np.nan, np.nan)
    for i in np.flatnonzero(both).tolist():
        here, now_ns = (latitude.values[i], longitude.values[i]), int(latitude.timestamps_ns[i])
        if here != place or now_ns - latest_ns >= _REPEATED_FIX_NS:
            new[i], place, latest_ns = True, here, now_ns
    return replace(signal, valid=new)
