"""Ingest on a cluster whose processes are killed at random, from and to object storage, equals a serial ingest.

Run as a program for as many clips of a simulated fleet as wanted: `test_ingest_cluster.py CLIPS [SEED]`.
"""

from __future__ import annotations

import random
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import psutil
import pytest
from pyarrow import fs

from dojo.errors import ConfigError
from dojo.recipes import engine
from dojo.recipes.ingest import IngestConfig, IngestReport, ingest
from dojo.recipes.receive import Gateway
from dojo.recipes.workers import Died
from dojo.store import Dataset

pytest.importorskip("ray", reason="needs Ray: pip install '.[cluster]'")

HERE = Path(__file__).parent


@contextmanager
def killing(kills: int, chance: random.Random, every_s: float) -> Iterator[list[int]]:
    """Kills so many working processes of the cluster, one at a time, while the block runs."""
    killed: list[int] = []
    over = threading.Event()

    def kill() -> None:
        while len(killed) < kills and not over.wait(chance.uniform(0.3, 1.7) * every_s):
            at_work = [child for child in psutil.Process().children(recursive=True) if _works(child)]
            if at_work:
                victim = chance.choice(at_work)
                killed.append(victim.pid)
                victim.kill()

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def _works(process: psutil.Process) -> bool:
    try:
        return "ray::_served" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def contents(uri: str) -> tuple[object, ...]:
    """Everything that must be equal; fails where something is damaged."""
    dataset = Dataset.open(uri)
    assert dataset.verify() == []
    refused = sorted((item.gate, item.figures) for item in dataset.rejections())
    return dataset.content_hash(), dataset.drive_ids(), sorted(dataset.known_files()), refused


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket in an S3 service on this machine, for every library that asks the environment."""
    moto = pytest.importorskip("moto.server", reason="needs a local S3 service: pip install '.[dev]'")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    urllib.request.urlopen(urllib.request.Request(f"{address}/bucket", method="PUT")).close()
    settings = dict.fromkeys(("AWS_ENDPOINT", "AWS_ENDPOINT_URL"), address)
    settings |= dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "any")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (settings | {"AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"}).items():
            patch.setenv(name, value)
        yield "s3://bucket"
    server.stop()


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
    cluster: ModuleType, stick: Path, serial: str, tmp_path: Path
) -> None:
    config = IngestConfig(stick, str(tmp_path / "data"), cluster="local")
    with killing(2, random.Random(0), 0.4) as killed:
        ingest(config, gateway=cluster.GATEWAY)
    assert killed, "nothing was killed, so nothing was shown"
    assert contents(str(tmp_path / "data")) == contents(serial)
    again = ingest(config, gateway=cluster.GATEWAY)
    assert (again.found, again.drives) == (0, 0)


@pytest.mark.slow
def test_the_same_from_and_to_object_storage(cluster: ModuleType, stick: Path, serial: str, bucket: str) -> None:
    fs.copy_files(str(stick), f"{bucket}/fleet")
    with killing(1, random.Random(1), 1.0):
        ingest(IngestConfig(f"{bucket}/fleet", f"{bucket}/data", cluster="local"), gateway=cluster.GATEWAY)
    assert contents(f"{bucket}/data") == contents(serial)
    named = [path for drive in Dataset.open(f"{bucket}/data").drives() for path, *_ in drive.provenance.files]
    assert named
    assert all(path.startswith(f"{bucket}/fleet/car-") for path in named)


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


# -- as a program --------------------------------------------------------------------------------------------------


def simulated(clips: int, seed: int) -> str:
    """A line on the ingest of so many short drives of a simulated fleet, killed at random, against a serial one."""
    from dojo.fleet.limits import Limits
    from dojo.recipes.receive import fleet
    from dojo.world.fleet import FleetConfig, simulate_fleet

    gateway: Gateway = fleet(Limits())
    with tempfile.TemporaryDirectory() as folder:
        stick, work = Path(folder) / "fleet", Path(folder)
        drives = max(1, clips // 25)
        config = FleetConfig(
            vehicles=-(-clips // drives), regions=8, drives_per_vehicle=drives, seconds_per_drive=4.0, fps=5.0
        )
        simulate_fleet(config, stick)

        def timed(dataset: str, **options: str | int) -> tuple[IngestReport, float]:
            begun = time.monotonic()
            report = ingest(IngestConfig(stick, str(work / dataset), **options), gateway=gateway)  # type: ignore[arg-type]
            return report, time.monotonic() - begun

        serial, serial_s = timed("serial", processes=1)
        every_s = 4 * serial_s / clips
        with engine.connected("local"), killing(clips // 10, random.Random(seed), every_s) as killed:
            report, cluster_s = timed("cluster", cluster="local")
        assert contents(str(work / "cluster")) == contents(str(work / "serial"))
        assert report.drives == serial.drives > clips // 2
        return (
            f"{report.found} recordings, {report.drives} drives of {serial.drives}; {len(killed)} processes killed; "
            f"equal to serial; {serial_s:.0f} s serial, {cluster_s:.0f} s on the cluster"
        )


if __name__ == "__main__":
    print(simulated(int(sys.argv[1]), int((sys.argv[2:] or ["0"])[0])))
