"""Films of rollouts on disk: pictures that wait until it is known what is worth a film, and the films themselves.

In: rollouts, and their last pictures in a folder. Out: an MP4 of each, and a list of them.
Idea: whoever drives knows only its own rollouts; which of all are filmed is decided later, elsewhere, so that pictures
change hands as files. Making a film takes longer than driving it did, so films are made side by side.
Not here: which rollouts, and what a film shows (`evaluate/rollout_video.py`).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dojo.evaluate.closed_loop_page import Film
from dojo.evaluate.rollout_video import RolloutStyle, rollout_video, to_film
from dojo.recipes.run import write_whole
from dojo.recipes.spread import spread
from dojo.records import Frame, Rollout


def save_pictures(path: Path, frames: Sequence[Frame]) -> None:
    """Pictures as they are, in one file."""
    times_ns = np.array([frame.timestamp_ns for frame in frames], np.int64)
    y, u, v = (np.stack([getattr(frame, plane) for frame in frames]) for plane in ("y", "u", "v"))
    np.savez(path, timestamp_ns=times_ns, y=y, u=u, v=v)


def load_pictures(path: Path) -> list[Frame]:
    """The pictures of `save_pictures`."""
    with np.load(path) as found:
        planes = zip(found["timestamp_ns"].tolist(), found["y"], found["u"], found["v"], strict=True)
        return [Frame(time_ns, y, u, v) for time_ns, y, u, v in planes]


def forget_the_rest(rollouts: Iterable[Rollout], pictures: Path, count: int) -> tuple[list[Rollout], list[Rollout]]:
    """All rollouts, and those of them to film; the pictures of the others are removed as soon as that is certain."""
    every: list[Rollout] = []
    chosen: list[Rollout] = []
    for rollout in rollouts:
        every.append(rollout)
        before, chosen = [*chosen, rollout], to_film(every, count)
        kept = {one.scenario.scenario_id for one in chosen}
        for one in before:
            if one.scenario.scenario_id not in kept:
                (pictures / f"{one.scenario.scenario_id}.npz").unlink(missing_ok=True)
    return every, chosen


@contextmanager
def waiting_room(folder: Path) -> Iterator[Path]:
    """A folder for pictures that are removed in the end."""
    place = folder / ".pictures"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


@dataclass(frozen=True)
class _Shot:
    """A film to make."""

    rollout: Rollout
    pictures: Path
    film: Path
    style: RolloutStyle


def _filmed(shot: _Shot) -> Film:
    mp4 = rollout_video(shot.rollout, shot.style, load_pictures(shot.pictures))
    shot.film.write_bytes(mp4)
    return Film.of(shot.rollout, mp4)


def film(
    rollouts: Sequence[Rollout],
    pictures: Path,
    out: Path,
    style: RolloutStyle,
    processes: int,
    cluster: str | None = None,
) -> list[Film]:
    """A film of each of these rollouts, in the folder `films` of `out`, and a list of them."""
    shutil.rmtree(out / "films", ignore_errors=True)
    (out / "films").mkdir(parents=True)
    shots = [
        _Shot(one, pictures / f"{name}.npz", out / "films" / f"{name}.mp4", style)
        for one in rollouts
        for name in [one.scenario.scenario_id]
    ]
    found = list(spread(_filmed, shots, processes, cluster))
    listed = [
        {"file": f"films/{shot.film.name}", "outcome": one.outcome, "title": one.title, "caption": one.caption}
        for shot, one in zip(shots, found, strict=True)
    ]
    write_whole(out / "films" / "films.json", json.dumps(listed, indent=1) + "\n")
    return found


def films_in(folder: Path) -> list[Film]:
    """The films that `film` made there."""
    listing = folder / "films" / "films.json"
    listed = json.loads(listing.read_text("utf-8")) if listing.exists() else []
    return [Film(one["outcome"], one["title"], one["caption"], (folder / one["file"]).read_bytes()) for one in listed]
