"""Clips are found by tag, place, condition, likeness and SQL; copies leave training; tidying changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from dojo.errors import ConfigError, StoreError
from dojo.recipes import embed, tidy
from dojo.recipes.find import FindRun, run
from dojo.store import Dataset
from dojo.store.embeddings import Embeddings


def embedded(data: str) -> Dataset:
    """The dataset with vectors that turn slowly from clip to clip."""
    dataset = Dataset.open(data)
    clips = dataset.clips()
    angle = np.arange(len(clips)) * 0.05
    vectors = np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)
    ids, vehicles = [clip.clip_id for clip in clips], [clip.vehicle_id for clip in clips]
    Embeddings.put(dataset, [(ids[:7], vehicles[:7], vectors[:7]), (ids[7:], vehicles[7:], vectors[7:])], 2, "model")
    return dataset


def test_conditions_are_met_together(data: str, quiet: Console) -> None:
    clips = Dataset.open(data).clips()
    some = clips[0]
    expected = [c.clip_id for c in clips if c.vehicle_id == some.vehicle_id and set(some.tags) <= set(c.tags)]
    wish = FindRun(data, tags=some.tags, split=some.split, where=f"vehicle_id = '{some.vehicle_id}'", count=100)
    facts = run(wish, quiet).facts
    assert [row["clip_id"] for row in facts["rows"]] == expected
    assert facts["found"] == len(expected)


def test_a_shorter_tile_is_a_larger_place(data: str, quiet: Console) -> None:
    tile = "u0qj12"
    dataset = Dataset.open(data)
    from dataclasses import replace

    clips = dataset.clips()
    clips[3] = replace(clips[3], tiles=("u0qj00", tile))
    dataset.put_clips(clips, {})
    for wanted, found in ((tile, 1), ("u0q", 1), ("0qj", 0), ("u0qj13", 0)):
        assert run(FindRun(data, tile=wanted), quiet).facts["found"] == found
    with pytest.raises(ConfigError, match="expected a geohash such as u0qj12"):
        run(FindRun(data, tile="a' OR true"), quiet)


def test_the_most_similar_come_first_and_the_clip_itself_not_at_all(data: str, quiet: Console) -> None:
    clips = embedded(data).clips()
    rows = run(FindRun(data, like=clips[10].clip_id, count=4), quiet).facts["rows"]
    assert {row["clip_id"] for row in rows} == {clips[place].clip_id for place in (8, 9, 11, 12)}
    assert [row["similarity"] for row in rows] == sorted((row["similarity"] for row in rows), reverse=True)
    assert rows[0]["similarity"] == pytest.approx(np.cos(0.05), abs=1e-3)


def test_likeness_and_conditions_together_look_as_far_as_they_must(data: str, quiet: Console) -> None:
    clips = embedded(data).clips()
    far = clips[-1].vehicle_id
    rows = run(FindRun(data, like=clips[0].clip_id, where=f"vehicle_id = '{far}'", count=2), quiet).facts["rows"]
    expected = [clip.clip_id for clip in clips[1:] if clip.vehicle_id == far][:2]
    assert [row["clip_id"] for row in rows] == expected


def test_sql_answers_over_clips_and_drives_and_reads_no_file(data: str, quiet: Console, tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    query = "SELECT d.vehicle_id, count(*) AS clips FROM clips c JOIN drives d USING (drive_id) GROUP BY 1 ORDER BY 1"
    rows = run(FindRun(data, sql=query), quiet).facts["rows"]
    assert sum(row["clips"] for row in rows) == len(Dataset.open(data).clips())
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with pytest.raises(StoreError, match="expected SQL over clips"):
        run(FindRun(data, sql=f"SELECT * FROM '{tmp_path / 'secret.csv'}'"), quiet)


def test_a_balanced_choice_is_written_down(data: str, quiet: Console, tmp_path: Path) -> None:
    run(FindRun(data, balanced=True, count=5, out=tmp_path / "ids"), quiet)
    ids = (tmp_path / "ids").read_text().split()
    assert len(set(ids)) == 5
    assert set(ids) <= {clip.clip_id for clip in Dataset.open(data).clips()}


def test_all_that_was_found_is_written_down_however_little_is_shown(data: str, quiet: Console, tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    clips = [clip.clip_id for clip in Dataset.open(data).clips()]
    facts = run(FindRun(data, count=2, out=tmp_path / "ids"), quiet).facts
    assert (len(facts["rows"]), facts["ids"]) == (2, len(clips))
    assert (tmp_path / "ids").read_text().split() == clips
    run(FindRun(data, sql="SELECT clip_id FROM clips ORDER BY clip_id", count=2, out=tmp_path / "ids"), quiet)
    assert (tmp_path / "ids").read_text().split() == sorted(clips)
    with pytest.raises(ConfigError, match="expected a query with the column clip_id"):
        run(FindRun(data, sql="SELECT count(*) FROM clips", out=tmp_path / "ids"), quiet)


def test_where_nothing_is_found_the_reason_is_told(data: str, quiet: Console, tmp_path: Path) -> None:
    dataset = Dataset.open(data)
    (tag, *_) = sorted({tag for clip in dataset.clips() for tag in clip.tags})
    note = run(FindRun(data, tags=(tag, "curvy")), quiet).facts["note"]
    assert note.startswith("no clip has the tag curvy; there are ")
    assert tag in note
    assert "no clip is in the tile u0qj12" in run(FindRun(data, tile="u0qj12"), quiet).facts["note"]
    assert run(FindRun(data, where="weight < 0"), quiet).facts["note"] == "no clip meets all of these together"
    assert "note" not in run(FindRun(data, tags=(tag,)), quiet).facts
    empty = Dataset.create(str(tmp_path / "empty"))
    assert run(FindRun(empty.uri), quiet).facts["note"] == "the dataset has no clips yet: run dojo curate"


@pytest.mark.parametrize("where", ["colour = 'red'", "weight >", "vehicle_id = car-003"])
def test_a_condition_that_is_none_is_not_blamed_on_the_dataset(data: str, quiet: Console, where: str) -> None:
    with pytest.raises(ConfigError, match=r"expected a condition on clip_id, .*, for example weight > 1 AND"):
        run(FindRun(data, where=where), quiet)


def test_a_clip_that_resembles_only_what_is_not_drawn_stays(data: str) -> None:
    dataset = embedded(data)
    assert embed.leave_out_copies(dataset, Embeddings(dataset), 0.99, 1.0) > 0
    before = {clip.clip_id: clip.weight for clip in dataset.clips()}
    assert embed.leave_out_copies(dataset, Embeddings(dataset), 0.99, 1.0) == 0
    assert {clip.clip_id: clip.weight for clip in dataset.clips()} == before


def test_a_policy_that_takes_all_clips_for_the_same_leaves_none_out(data: str) -> None:
    dataset = embedded(data)
    before = [clip.weight for clip in dataset.clips()]
    with pytest.raises(
        ConfigError, match=r"expected at most 50% of the \d+ training clips .*; all are drawn as before"
    ):
        embed.leave_out_copies(dataset, Embeddings(dataset), 0.5, 0.5)
    assert [clip.weight for clip in dataset.clips()] == before


def test_wishes_that_contradict_each_other_are_refused(data: str) -> None:
    with pytest.raises(ConfigError, match="expected sql alone"):
        FindRun(data, sql="SELECT 1", tags=("curve",))
    with pytest.raises(ConfigError, match="got both; leave one out"):
        FindRun(data, tile="u0q", near=(47.0, 8.0))


def test_without_embeddings_likeness_says_what_to_run(data: str, quiet: Console) -> None:
    with pytest.raises(ConfigError, match="run dojo embed first"):
        run(FindRun(data, like="x"), quiet)


@pytest.mark.slow
def test_every_clip_gets_a_vector_and_copies_leave_training(
    data: str, quiet: Console, trained: Callable[[str], Path]
) -> None:
    model = trained(data)
    facts = embed.run(embed.EmbedRun(model, duplicates_above=0.9999, at_most=1.0, threads=1), quiet).facts
    dataset = Dataset.open(data)
    clips = dataset.clips()
    assert facts["clips"] == len(clips)
    training = [clip for clip in clips if clip.split == "train"]
    # The fake camera paints every frame evenly, so many clips look the same.
    assert 0 < facts["near_duplicates"] < len(training)
    assert sum(clip.weight == 0 for clip in training) == facts["near_duplicates"]
    assert (dataset.clip_settings() or {})["near_duplicates_above"] == 0.9999
    found = Embeddings.found(dataset)
    assert found is not None
    assert np.allclose(np.linalg.norm(found.all()[1], axis=1), 1, atol=2e-3)


def test_tidying_joins_and_lets_go_and_changes_no_content(data: str, quiet: Console) -> None:
    before = Dataset.open(data).content_hash()
    facts = tidy.run(tidy.TidyRun(data, keep_days=0.0), quiet).facts
    again = Dataset.open(data)
    assert again.content_hash() == before
    assert again.verify() == []
    assert facts["files"]["after"] < facts["files"]["before"]
    assert facts["versions"]["after"] == 1 < facts["versions"]["before"]


def test_young_versions_are_kept(data: str, quiet: Console) -> None:
    facts = tidy.run(tidy.TidyRun(data, keep_days=1.0), quiet).facts
    assert facts["versions"]["after"] >= facts["versions"]["before"]
