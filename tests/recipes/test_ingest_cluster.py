"""Ingest on a cluster whose processes are killed at random, from and to object storage, equals a serial ingest.

`benchmarks/ingest_kills.py` shows the same for as many clips of a simulated fleet as wanted.
"""

from __future__ import annotations

import importlib.util
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from pyarrow import fs

from dojo.errors import ConfigError
from dojo.recipes import engine
from dojo.recipes.ingest import IngestConfig, ingest
from dojo.recipes.sources import Tree, _needed
from dojo.recipes.workers import Died
from dojo.store import Dataset

pytest.importorskip("ray", reason="needs Ray: pip install '.[cluster]'")

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def kills() -> ModuleType:
    """The benchmark, which kills, compares contents, and has an object store."""
    spec = importlib.util.spec_from_file_location("ingest_kills", HERE.parents[1] / "benchmarks" / "ingest_kills.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["ingest_kills"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bucket(kills: ModuleType) -> Iterator[str]:
    """A bucket in an S3 service on this machine, for every library that asks the environment."""
    pytest.importorskip("moto.server", reason="needs a local S3 service: pip install '.[dev]'")
    with kills.object_store() as uri:
        yield uri


@pytest.fixture(scope="module")
def cluster(bucket: str) -> Iterator[ModuleType]:
    """A cluster on this machine, and the fake format, which its processes can import too, as they can the tasks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(HERE))
        patch.setenv("PYTHONPATH", str(HERE))
        import fake_fleet

        with engine.connected("local", 2):
            yield fake_fleet


@pytest.fixture(scope="module")
def stick(cluster: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of one and two drives, one refused."""
    folder = tmp_path_factory.mktemp("fleet")
    for number in range(8):
        vice = {2: "refuse", 3: "half"}.get(number, "")
        drives = 1 + number % 2
        cluster.write(folder / f"car-{number % 3}", f"r{number}", drives=drives, frames=30, does=vice, slow_s=0.005)
    return folder


@pytest.fixture(scope="module")
def serial(cluster: ModuleType, stick: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A dataset that one process made in peace."""
    uri = str(tmp_path_factory.mktemp("serial"))
    ingest(IngestConfig(stick, uri, processes=1), gateway=cluster.GATEWAY)
    return uri


@pytest.mark.slow
def test_a_cluster_whose_processes_are_killed_stores_what_a_serial_ingest_stores(
    kills: ModuleType, cluster: ModuleType, stick: Path, serial: str, tmp_path: Path
) -> None:
    config = IngestConfig(stick, str(tmp_path / "data"), cluster="local")
    with kills.killing(2, random.Random(0), 0.4) as killed:
        ingest(config, gateway=cluster.GATEWAY)
    assert killed, "nothing was killed, so nothing was shown"
    found = kills.contents(str(tmp_path / "data"))
    assert found == kills.contents(serial)
    assert (found["damaged"], len(found["refused"]), found["rows"]["intake"]) == ([], 2, 8)
    again = ingest(config, gateway=cluster.GATEWAY)
    assert (again.found, again.drives) == (0, 0)


@pytest.mark.slow
def test_the_same_from_and_to_object_storage(
    kills: ModuleType, cluster: ModuleType, stick: Path, serial: str, bucket: str
) -> None:
    fs.copy_files(str(stick), f"{bucket}/fleet")
    with kills.killing(1, random.Random(1), 1.0):
        ingest(IngestConfig(f"{bucket}/fleet", f"{bucket}/data", cluster="local"), gateway=cluster.GATEWAY)
    assert kills.contents(f"{bucket}/data") == kills.contents(serial)
    named = [path for drive in Dataset.open(f"{bucket}/data").drives() for path, *_ in drive.provenance.files]
    assert named
    assert all(path.startswith(f"{bucket}/fleet/car-") for path in named)


def test_a_recording_takes_its_own_objects_and_small_ones_near_it_that_are_no_recordings() -> None:
    objects = [
        ("about.toml", 10),
        ("car/about.toml", 10),
        ("car/a.mp4", 5_000_000),
        ("car/b.mp4", 10),
        ("car/large", 5_000_000),
        ("car/deeper/note", 10),
    ]
    taken = {"car/a.mp4", "car/b.mp4"}
    assert _needed({"car/a.mp4"}, taken, objects) == ("about.toml", "car/about.toml", "car/a.mp4")


def test_a_recording_in_object_storage_is_received_without_listing_the_fleet_again(
    cluster: ModuleType, stick: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fs.copy_files(str(stick), f"{bucket}/listed")
    listed = 0
    real = Tree._listing

    def counted(self: Tree) -> dict[str, int]:
        nonlocal listed
        listed += 1
        return real(self)

    monkeypatch.setattr(Tree, "_listing", counted)
    report = ingest(IngestConfig(f"{bucket}/listed", f"{bucket}/once", processes=1), gateway=cluster.GATEWAY)
    assert (report.found, listed) == (8, 1)


# -- tasks on a cluster --------------------------------------------------------------------------------------------


def test_every_task_is_done_once(cluster: ModuleType) -> None:
    import chores

    assert dict(engine.work_through(chores.square, list(range(12)))) == {n: n * n for n in range(12)}


@pytest.mark.slow
def test_a_task_that_always_kills_its_process_is_given_up_and_stops_no_other(
    cluster: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    import chores

    monkeypatch.setattr(engine, "ATTEMPTS", 2)
    results = dict(engine.work_through(chores.die_at_three, list(range(5))))
    died = results.pop(3)
    assert isinstance(died, Died)
    assert died.attempts == 2
    assert results == {n: n for n in range(5) if n != 3}


def test_an_error_in_a_task_is_raised_here(cluster: ModuleType) -> None:
    import chores

    with pytest.raises(ValueError, match="three is too much"):
        list(engine.work_through(chores.refuse_three, list(range(8))))


def test_asked_to_stop_it_stops_without_waiting_for_the_tasks_at_hand(cluster: ModuleType) -> None:
    import chores

    done: list[object] = []
    started = time.monotonic()
    for task, _ in engine.work_through(chores.doze, [0.0, 0.0, 60.0, 60.0], lambda: len(done) >= 2):
        done.append(task)
    assert done == [0.0, 0.0]
    assert time.monotonic() - started < 30


def test_without_ray_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(ConfigError, match="expected Ray, which is not installed; pip install 'dojo-driving"),
        engine.connected("local"),
    ):
        pass
