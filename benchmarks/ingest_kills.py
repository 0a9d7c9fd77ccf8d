"""Does a cluster whose processes are killed at random store what one process stores in peace?

In: a number of clips. Out: a table, and JSON: clips, kills and seconds of each way, and whether contents are equal.
Idea: the same recordings of a simulated fleet go into three datasets: by one process that nothing disturbs; by a Ray
cluster of this machine, whose working processes are killed one after the other; and by such a cluster from an object
store into an object store (an S3 service on this machine). Contents are compared as they are read back: every drive,
the bytes of every chunk of video against their hash, what was refused and why, how many rows there are. The clips are
short and their pictures small, for what is asked is not what they show. Each part keeps what it found in `folder`, so a
run that was interrupted goes on behind the last part that is done; the object store itself is gone with the process.
Not measured here: machines that vanish, which to Ray are processes that die together.

    python benchmarks/ingest_kills.py --clips 500 --out benchmarks/results/ingest_kills.json
"""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import tyro
from pyarrow import fs
from rich.console import Console
from rich.table import Table as Sheet

from dojo.recipes import engine
from dojo.recipes.ingest import IngestConfig, ingest
from dojo.store import Dataset
from dojo.store.fingerprint import fingerprint
from dojo.store.table import Table
from dojo.world.fleet import FleetConfig, simulate_fleet


@dataclass(frozen=True)
class Config:
    """How much is ingested, and how often a process is killed meanwhile.

    Args:
        clips: recordings of the fleet, each a short drive of its own.
        kills: of working processes, in each of the two disturbed ways.
        folder: for everything; made if there is none, kept afterwards.
        seed: of the fleet, and of when and whom to kill.
        out: file for the JSON; printed alone if not given.
    """

    clips: int = 500
    kills: int = 40
    folder: Path = Path("runs/ingest-kills")
    seed: int = 0
    out: Path | None = None


def fleet_of(config: Config) -> FleetConfig:
    """Twenty short drives a vehicle on short roads, small pictures: a seventh of the demo's cost for each frame."""
    drives = min(20, config.clips)
    return FleetConfig(
        vehicles=-(-config.clips // drives),
        regions=8,
        drives_per_vehicle=drives,
        seconds_per_drive=3.0,
        fps=5.0,
        width_px=128,
        height_px=72,
        focal_px=98.0,
        supersampling=(1, 1),
        road_length_m=2500.0,
        seed=config.seed,
    )


@contextmanager
def killing(kills: int, chance: random.Random, every_s: float) -> Iterator[list[int]]:
    """Kills so many working processes of the cluster, one at a time, while the block runs; the list of them."""
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


@contextmanager
def object_store() -> Iterator[str]:
    """A bucket in an S3 service on this machine, for every library and process that asks the environment."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request otherwise
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    urllib.request.urlopen(urllib.request.Request(f"{address}/bucket", method="PUT")).close()
    settings = dict.fromkeys(("AWS_ENDPOINT", "AWS_ENDPOINT_URL"), address)
    settings |= dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "any")
    settings |= {"AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"}
    earlier = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield "s3://bucket"
    finally:
        for name, value in earlier.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        server.stop()


def contents(uri: str) -> dict[str, Any]:
    """All that must be equal, as it is read back; of the video the hashes, to which its bytes were compared."""
    dataset = Dataset.open(uri)
    dataset.compact()  # changes no content; drive by drive, an object store would be asked for every small file
    columns = ["recording_id", "drive_id", "camera", "first_frame", "frame_count", "sha256"]
    chunks = Table(uri, "chunks").read(columns).to_pylist()
    return {
        "damaged": dataset.verify(),
        "content_hash": dataset.content_hash(),
        "drives": {drive.drive_id: fingerprint(drive) for drive in dataset.drives()},
        "chunks": sorted([row[name] for name in columns] for row in chunks),
        "recordings": {key: sorted(row["drive_ids"]) for key, row in sorted(dataset.ledger().items())},
        "files": sorted(dataset.known_files()),
        "refused": sorted([item.gate, list(map(list, item.figures))] for item in dataset.rejections()),
        "rows": {name: Table(uri, name).count() for name in ("intake", "drives", "chunks")},
    }


def serial(config: Config) -> dict[str, Any]:
    """One process, in peace."""
    return _ingested(config.folder / "fleet", str(config.folder / "serial"), processes=1)


def cluster(config: Config) -> dict[str, Any]:
    """A cluster of this machine, killed at random."""
    return _killed(config, config.folder / "fleet", str(config.folder / "cluster"), "local")


def objects(config: Config) -> dict[str, Any]:
    """The same from and to an object store."""
    with object_store() as bucket:
        fs.copy_files(str(config.folder / "fleet"), f"{bucket}/fleet")
        return _killed(config, f"{bucket}/fleet", f"{bucket}/data", "objects")


_EVERY_S = 2.5
"""Between two kills, on average: about as long as a killed process takes to be replaced and to begin again."""

WAYS = {"serial": serial, "cluster": cluster, "objects": objects}


def _killed(config: Config, source: Path | str, dataset: str, way: str) -> dict[str, Any]:
    chance = random.Random(f"{config.seed} {way}")
    with ExitStack() as during:
        during.enter_context(engine.connected("local"))
        killed = during.enter_context(killing(config.kills, chance, _EVERY_S))
        found = _ingested(source, dataset, cluster="local")
    return found | {"kills": len(killed)}


def _ingested(source: Path | str, dataset: str, **how: Any) -> dict[str, Any]:
    began = time.monotonic()
    report = ingest(IngestConfig(source, dataset, **how))
    seconds = round(time.monotonic() - began, 1)
    if report.interrupted:
        raise SystemExit("interrupted; the same command begins this part again")
    return {"clips": report.found, "drives": report.drives, "seconds": seconds, "contents": contents(dataset)}


def part(config: Config, name: str) -> dict[str, Any]:
    """What one way found, now or earlier."""
    path = config.folder / f"{name}.json"
    if not path.exists():
        # A dataset that an interrupted run left would be gone on with, and its clips would not be counted.
        shutil.rmtree(config.folder / name, ignore_errors=True)
        found = WAYS[name](config)
        path.with_suffix(".partial").write_text(json.dumps(found))
        path.with_suffix(".partial").replace(path)
    result: dict[str, Any] = json.loads(path.read_text())
    return result


def main(config: Config) -> None:
    """Every way, compared with the first."""
    began = time.monotonic()
    config.folder.mkdir(parents=True, exist_ok=True)
    asked = json.dumps({**asdict(config), "folder": None, "out": None})
    claim = config.folder / "config.json"
    if claim.exists() and claim.read_text() != asked:
        raise SystemExit(f"{config.folder}: expected an empty folder or this very run; choose another with --folder")
    claim.write_text(asked)
    simulate_fleet(fleet_of(config), config.folder / "fleet")
    parts = {}
    for name in WAYS:
        parts[name] = part(config, name)
        if parts[name]["contents"]["damaged"]:
            raise SystemExit(f"{name}: {parts[name]['contents']['damaged'][0]}")
    truth = parts["serial"]["contents"]
    sheet = Sheet("way", "clips", "drives", "killed", "seconds", "equal to serial", title="the same fleet, three ways")
    result: dict[str, Any] = {"refused": len(truth["refused"]), "chunks": truth["rows"]["chunks"], "ways": {}}
    for name, found in parts.items():
        equal = found["contents"] == truth
        result["ways"][name] = {key: found[key] for key in ("clips", "drives", "seconds")}
        result["ways"][name] |= {"kills": found.get("kills", 0), "equal": equal}
        told = (found["clips"], found["drives"], found.get("kills", 0), found["seconds"])
        sheet.add_row(name, *map(str, told), "yes" if equal else "NO")
    result |= {"content_hash": truth["content_hash"], "seconds": round(time.monotonic() - began, 1)}
    Console().print(sheet)
    if config.out is not None:
        config.out.parent.mkdir(parents=True, exist_ok=True)
        config.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))
    if not all(way["equal"] for way in result["ways"].values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main(tyro.cli(Config))
