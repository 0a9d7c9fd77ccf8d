"""A small curated dataset of the fake format, for recipes that need one."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from dojo.curate import CurateConfig
from dojo.recipes import curate
from dojo.recipes.ingest import IngestConfig, ingest
from dojo.recipes.receive import Gateway


@pytest.fixture(scope="session")
def gateway() -> Iterator[Gateway]:
    """What finds and reads the fake format."""
    sys.path.insert(0, str(Path(__file__).parent))
    import fake_fleet

    yield fake_fleet.GATEWAY
    sys.path.remove(str(Path(__file__).parent))


@pytest.fixture(scope="session")
def master(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six vehicles that drove two routes each, five seconds of them, in `data`; their recordings in `stick`."""
    import fake_fleet

    folder = tmp_path_factory.mktemp("master")
    for vehicle in range(6):
        for route in range(2):
            fake_fleet.write(folder / "stick", f"r{vehicle}{route}", frames=50, vehicle=vehicle)
    ingest(IngestConfig(folder / "stick", str(folder / "data"), processes=1, max_fps=5.0), gateway=gateway)
    config = CurateConfig(anchors_per_clip=2, validation_share=0.3, min_future_s=1.0)
    curate.run(curate.CurateRun(dataset=str(folder / "data"), curate=config), Console(quiet=True))
    return folder


@pytest.fixture
def data(master: Path, tmp_path: Path) -> str:
    """A dataset of one's own, as in `master`."""
    shutil.copytree(master / "data", tmp_path / "data")
    return str(tmp_path / "data")


@pytest.fixture
def quiet() -> Console:
    """A console that shows nothing."""
    return Console(quiet=True)


Trained = Callable[[str], Path]


@pytest.fixture
def trained(tmp_path: Path, quiet: Console) -> Trained:
    """Trains a policy for two steps on a dataset; the folder of the run."""
    from dataclasses import replace

    from dojo.recipes import train

    def folder_of(dataset: str) -> Path:
        recipe = train.tiny().into(dataset=dataset, out=tmp_path / "runs" / "train")
        short = replace(recipe.train, steps=2, threads=1)
        train.run(replace(recipe, train=short, cache_gb=0.0, load=replace(recipe.load, batch_size=4)), quiet)
        return tmp_path / "runs" / "train"

    return folder_of


@pytest.fixture(scope="session")
def miniature_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a training run of two steps; its dataset has eight drives, six of them held out."""
    sys.path.insert(0, str(Path(__file__).parent))
    import miniature

    yield miniature.trained(tmp_path_factory.mktemp("miniature"))
    sys.path.remove(str(Path(__file__).parent))
