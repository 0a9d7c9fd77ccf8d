"""The cheat test of a trained policy: what it reports, and that it finds more with the disguise off."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from dojo.errors import ConfigError
from dojo.evaluate.markup import document, region, write_text
from dojo.recipes import cheat
from dojo.recipes.cheat import CheatRun, spread_over
from dojo.recipes.train import load_policy
from dojo.store.dataset import Dataset

QUIET = Console(quiet=True)


def test_clips_are_taken_evenly_from_all(miniature_run: Path) -> None:
    clips = Dataset.open(str(json.loads((miniature_run / "run.json").read_text())["config"]["dataset"])).clips()
    taken = spread_over(clips, 5)
    assert len(taken) == 5
    assert (taken[0], taken[-1]) == (clips[0], clips[-1])
    assert spread_over(clips, 10_000) == clips


def test_settings_that_cannot_work_are_refused(miniature_run: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected clips, batch_size and threads of at least 1 .* got 0, 16, 2"):
        CheatRun(miniature_run, clips=0)
    with pytest.raises(ConfigError, match=r"expected excluded clips to probe, found none; name another --split"):
        cheat.run(CheatRun(miniature_run, split="excluded"), QUIET)


@pytest.fixture(scope="module")
def report(miniature_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the probe finds with everything on, and with everything off."""
    root = tmp_path_factory.mktemp("cheat")
    (root / "report.json").write_text("{}")
    write_text(root / "report.html", document("Report", "", region("cheat", "not probed"), ""))
    for name, switch in (("on", True), ("off", False)):
        cheat.run(
            CheatRun(
                miniature_run, out=root / name, resampler=switch, bottleneck=switch, threads=1, report=root, name=name
            ),
            QUIET,
        )
    return root


def test_with_the_disguise_off_the_probe_finds_the_offset(report: Path) -> None:
    on, off = (json.loads((report / name / "cheat.json").read_text())["cheat"] for name in ("on", "off"))
    assert on["lateral"]["value"] < 0.1
    assert off["lateral"]["value"] > on["lateral"]["high"], "even a policy that has learned nothing shows black edges"
    assert off["without"] == ["the disguise of the resampler", "the noise of the bottleneck"]
    assert (on["without"], on["noise_std"], off["noise_std"]) == ([], 0.42, 0.0)
    assert not off["passed"]


def test_who_was_trained_on_undisguised_pictures_is_probed_on_such(
    report: Path, miniature_run: Path, tmp_path: Path
) -> None:
    shutil.copytree(miniature_run, tmp_path / "run")
    path = tmp_path / "run" / "run.json"
    described = json.loads(path.read_text())
    described["config"]["load"]["recover"]["disguised"] = False
    path.write_text(json.dumps(described))
    cheat.run(CheatRun(tmp_path / "run", bottleneck=False, threads=1), QUIET)
    found = json.loads((tmp_path / "run" / "cheat" / "cheat.json").read_text())["cheat"]
    assert found["lateral"] == json.loads((report / "off" / "cheat.json").read_text())["cheat"]["lateral"]
    assert found["without"] == ["the noise of the bottleneck"]


def test_the_report_says_where_it_comes_from_and_stands_in_the_page(report: Path, miniature_run: Path) -> None:
    found = json.loads((report / "on" / "cheat.json").read_text())
    assert found["cheat"]["lateral"]["groups"] == 6
    assert found["provenance"]["checkpoint_sha256"] == load_policy(miniature_run).sha256
    assert found["provenance"]["evaluation"]["resampler"] is True
    told = json.loads((report / "report.json").read_text())
    assert told["cheat"]["on"] == found["cheat"]
    page = (report / "report.html").read_text()
    assert "Made without the disguise of the resampler and the noise of the bottleneck" in page, "the last one told"
    assert "not probed" not in page


def test_the_probe_reads_what_the_memory_and_the_heads_are_given(miniature_run: Path) -> None:
    policy = load_policy(miniature_run).policy.eval()
    given: dict[str, torch.Tensor] = {}
    policy.memory.register_forward_pre_hook(lambda _, inputs: given.update(feature=inputs[0]))
    policy.heads.register_forward_pre_hook(lambda _, inputs: given.update(sight=inputs[1].sight))
    dataset = Dataset.open(str(json.loads((miniature_run / "run.json").read_text())["config"]["dataset"]))
    from dojo.load.loader import in_order
    from dojo.load.source import cameras_of

    (batch, *_) = in_order(dataset.clips()[:4], cameras_of(dataset.drives()), dataset, 4, workers=0)
    with torch.inference_mode():
        policy.answer(batch)
    feature, sight = cheat._seen(policy, batch)
    np.testing.assert_array_equal(feature, given["feature"][:, -1].numpy())
    np.testing.assert_array_equal(sight, given["sight"][:, -1].numpy())
