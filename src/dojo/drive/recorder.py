"""The last minute around every event, as a recording that `dojo ingest` takes.

In: every cycle and its frame. Out: for each event a folder with a video, a table, and the description of both.
Idea: rings that are made once hold a minute of signals and pictures and the time that writing may take; nothing else
grows. Events that follow each other closely share a recording, which ends some seconds after the last of them; then it
is written beside the driving, from the ring itself, while newer cycles fill the room that is left; what was overtaken
meanwhile is not written but counted.
Not here: what is an event (`states.py`, `shadow.py`), reading it again (`fleet/readers/video_table.py`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dojo.drive.clip_files import Clip, write_clip
from dojo.drive.platform import Mounting
from dojo.drive.runtime import Cycle
from dojo.drive.states import STATES
from dojo.records import Frame, ViewContract
from dojo.records.pack import pack

ROW = np.dtype(
    [
        ("time_ns", "<i8"),
        ("known", "?"),
        *((name, "<f8") for name in ("speed_mps", "steering_wheel_rad", "yaw_rate_radps", "torque_nm")),
        *((name, "?") for name in ("brake", "gas", "blinker_left", "blinker_right", "hands_on", "eyes_on_road")),
        ("state", "<i4"),
        *((name, "<f8") for name in ("wished_per_m", "wished_mps2", "given_per_m", "given_mps2")),
        ("engaged", "?"),
        ("take_over_request", "?"),
        ("reasons", "<i4"),
        ("plan_age_s", "<f8"),
    ]
)
"""What is kept of a cycle."""

Job = Callable[[], None]


@dataclass(frozen=True)
class RecorderConfig:
    """How much is kept.

    Args:
        before_s, after_s: around each event; one that comes within `after_s` of another may share its recording.
        writing_s: what writing may take.
        picture_every_s: pictures closer together than this are left out.
    """

    before_s: float = 45.0
    after_s: float = 15.0
    writing_s: float = 15.0
    picture_every_s: float = 0.2


@dataclass(frozen=True)
class Event:
    """Something worth keeping: one word, when, and figures about it."""

    kind: str
    time_ns: int
    figures: dict[str, float]


class Recorder:
    """Keeps the last minute, and writes it where something happened.

    Args:
        vehicle: name of the vehicle, for the recordings.
        run: does a job without making the caller wait; the plain way is to do it at once.
    """

    def __init__(
        self,
        folder: Path,
        vehicle: str,
        view: ViewContract,
        mounting: Mounting,
        cycle_s: float,
        config: RecorderConfig,
        run: Callable[[Job], None] = lambda job: job(),
    ) -> None:
        self._folder, self._vehicle, self._view, self._mounting = folder, vehicle, view, mounting
        self._config, self._run = config, run
        kept_s = config.before_s + 2 * config.after_s + config.writing_s
        self._rows = np.zeros(math.ceil(kept_s / cycle_s), ROW)
        pictures = math.ceil(kept_s / config.picture_every_s)
        self._pictures = np.zeros((pictures, 6, view.height_px // 2, view.width_px // 2), np.uint8)
        self._taken = np.zeros(pictures, np.int64)
        self._cycles = self._shown = 0
        self._open: list[Event] = []
        self.written: list[Path] = []
        self.overtaken = 0

    def take(self, cycle: Cycle, frame: Frame | None, events: tuple[Event, ...] = ()) -> None:
        """Keep a cycle; write what has waited long enough."""
        self._rows[self._cycles % len(self._rows)] = _row(cycle)
        self._cycles += 1
        if frame is not None:
            self._keep(frame)
        self._open += events
        together = self._together()
        if together and cycle.now_ns - together[-1].time_ns >= self._config.after_s * 1e9:
            self._hand_over(together)

    def _together(self) -> tuple[Event, ...]:
        """The first of the open events, and those so soon after it that they share its recording."""
        last_ns = self._open[0].time_ns + round(self._config.after_s * 1e9) if self._open else 0
        return tuple(event for event in self._open if event.time_ns <= last_ns)

    def _keep(self, frame: Frame) -> None:
        last = int(self._taken[(self._shown - 1) % len(self._taken)]) if self._shown else None
        # A camera's clock trembles: what comes a little early is the picture that was due.
        if last is not None and frame.timestamp_ns - last < 0.9e9 * self._config.picture_every_s:
            return
        place = self._shown % len(self._taken)
        pack(frame, self._pictures[place])
        self._taken[place] = frame.timestamp_ns
        self._shown += 1

    def close(self) -> None:
        """Write the events that are still open, with what there is after them."""
        while self._open:
            self._hand_over(self._together())

    def _hand_over(self, events: tuple[Event, ...]) -> None:
        del self._open[: len(events)]
        first_ns = events[0].time_ns - round(self._config.before_s * 1e9)
        rows, pictures = (self._cycles, self._shown)
        self._run(lambda: self._write(events, first_ns, rows, pictures))

    def _write(self, events: tuple[Event, ...], first_ns: int, rows: int, pictures: int) -> None:
        """Write everything since a time, as it was when so many rows and pictures had been kept."""
        numbers = np.arange(max(0, rows - len(self._rows)), rows)
        kept_rows = self._rows[numbers % len(self._rows)]  # copied
        inside = kept_rows["time_ns"] >= first_ns
        kept_rows, numbers = kept_rows[inside], numbers[inside]
        torn = len(numbers) > 0 and self._cycles - int(numbers[0]) > len(self._rows)
        shown = range(max(0, pictures - len(self._taken)), pictures)
        places = [number % len(self._taken) for number in shown]
        taken = self._taken[places].tolist()  # copied: while it is written, newer pictures may come in their places
        kept = [(n, time_ns) for n, time_ns in zip(shown, taken, strict=True) if time_ns >= first_ns]
        if torn or len(kept_rows) < 2 or not kept or self._is_overtaken(kept[0][0]):
            self.overtaken += 1
            return
        name = f"{self._vehicle}-{events[0].time_ns // 1_000_000:013d}-{events[0].kind}"
        clip = Clip(
            folder=self._folder / name,
            name=name,
            vehicle=self._vehicle,
            view=self._view,
            mounting=self._mounting,
            rows=kept_rows,
            pictures=((time_ns, self._pictures[n % len(self._pictures)]) for n, time_ns in kept),
        )
        write_clip(clip)
        if self._is_overtaken(kept[0][0]):
            self.overtaken += 1
            clip.discard()
            return
        said = {"events": [_said(event, first_ns) for event in events], "states": list(STATES)}
        (clip.folder / "event.json").write_text(json.dumps(said, indent=1) + "\n", "utf-8")
        self.written.append(clip.folder)

    def _is_overtaken(self, number: int) -> bool:
        """Whether a newer picture was put where this one was."""
        return self._shown - number > len(self._taken)


def _said(event: Event, first_ns: int) -> dict[str, Any]:
    return {"kind": event.kind, "after_s": (event.time_ns - first_ns) / 1e9, "figures": event.figures}


def _row(cycle: Cycle) -> tuple[object, ...]:
    state, driver, wish, given = cycle.state, cycle.driver, cycle.wish, cycle.given
    motion = (0.0, 0.0, 0.0) if state is None else (state.speed_mps, state.steering_wheel_rad, state.yaw_rate_radps)
    acts: tuple[object, ...] = (0.0, False, False, False, False, False, False)
    if driver is not None:
        acts = (
            driver.torque_nm,
            driver.brake_pressed,
            driver.gas_pressed,
            driver.blinker > 0,
            driver.blinker < 0,
            driver.hands_on,
            driver.eyes_on_road,
        )
    return (
        cycle.now_ns,
        state is not None,
        *motion,
        *acts,
        STATES.index(cycle.mode.state),
        *((math.nan, math.nan) if wish is None else (wish.curvature_per_m, wish.acceleration_mps2)),
        given.curvature_per_m,
        given.acceleration_mps2,
        given.engaged,
        cycle.command.take_over_request,
        given.reasons,
        math.nan if cycle.plan_age_ns is None else cycle.plan_age_ns / 1e9,
    )
