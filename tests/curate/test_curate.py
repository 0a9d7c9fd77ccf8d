"""From drives to stored clips in one call."""

from __future__ import annotations

import numpy as np

from dojo.curate import CurateConfig, curate, require_disjoint


def drives(make_drive, made, paths, count=6):
    return [
        make_drive(
            made(
                paths["circle"](8.0 + number, 0.002 * number + 1e-6),
                drive_id=f"d{number}",
                vehicle_id=f"v{number}",
                origin=(48.0 + number, 11.0, 500.0),
            )
        )
        for number in range(count)
    ]


def test_the_order_of_the_drives_changes_nothing(make_drive, made, paths):
    given = drives(make_drive, made, paths)
    first, second = curate(given, CurateConfig()), curate(iter(given[::-1]), CurateConfig())
    assert [(c.clip_id, c.split, c.weight) for c in first.clips] == [
        (c.clip_id, c.split, c.weight) for c in second.clips
    ]
    assert first.notes == second.notes


def test_every_clip_has_a_side_and_the_sides_share_nothing(make_drive, made, paths):
    made_clips = curate(drives(make_drive, made, paths), CurateConfig())
    require_disjoint(made_clips.clips)
    assert {clip.split for clip in made_clips.clips} == {"train", "validation"}
    training = [clip for clip in made_clips.clips if clip.split == "train"]
    assert np.isclose(np.mean([clip.weight for clip in training]), 1)
    assert 0 < made_clips.effective_samples <= len(training)
    assert made_clips.notes[0].startswith("6 groups of vehicles share no road")


def test_drives_that_give_no_clips_are_named_with_the_reason(make_drive, made, paths):
    short = make_drive(made(paths["straight"](10.0), length_s=1.5, drive_id="short"))
    notes = curate([short], CurateConfig()).notes
    assert notes == (
        "drive short: no clips, nowhere are 1.0 s of frames, poses and 1.0 s of known future together; a short "
        "recording needs fewer anchors_per_clip or a shorter min_future_s",
    )
    notes = curate([short], CurateConfig(camera="back")).notes
    assert notes == ("drive short: no clips, it has no camera 'back', only ['front']",)


def test_no_drives_give_no_clips():
    assert curate([], CurateConfig()).clips == ()
