"""`dojo install`: a vehicle takes what its carmaker assigned to it, if every rule holds; without a network.

`dojo install commission` makes a vehicle, `dojo install back` returns to the bundle before.
In: the folder of a vehicle, the repositories of its carmaker as folders (fetched, or on a stick). Out: the bundle in
the idle slot, staged for the next drive.
Idea: see `release/verify.py`; what is refused names its rule and changes nothing.
Not here: the verdict and the slots (`release/`), driving with what was installed (`drive.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from tyro.conf import Positional

from dojo.drive.limits import VERSION
from dojo.errors import ReleaseError
from dojo.recipes.publish import carmaker_of, director_of
from dojo.recipes.run import Outcome
from dojo.release.install import Delivery, commission, fall_back, install, memory_of, state_of, vehicle_of
from dojo.release.repository import Repository, read_repository, version_of
from dojo.release.verify import Accepted, Refused, Vehicle


@dataclass(frozen=True)
class InstallRun:
    """Install what the carmaker assigned to a vehicle.

    Args:
        vehicle: folder of the vehicle.
        source: folder of the carmaker's repositories.
    """

    vehicle: Positional[Path]
    source: Path


@dataclass(frozen=True)
class CommissionRun:
    """Give a vehicle its identity and the roots that it trusts, where it is built.

    Args:
        vehicle: folder of the vehicle.
        source: folder of the carmaker that builds it.
        limits_version: of the safety envelope that runs in it.
        domains: operational domains it may be used in.
    """

    vehicle: Positional[Path]
    source: Path
    vehicle_id: str
    platform: str
    hardware_id: str
    market: str = "EU"
    limits_version: int = VERSION
    domains: tuple[str, ...] = ("simulation",)


@dataclass(frozen=True)
class BackRun:
    """Go back to the bundle that was in use before, for one that does not pass its first check.

    Args:
        vehicle: folder of the vehicle.
    """

    vehicle: Positional[Path]


CONFIG = InstallRun | CommissionRun | BackRun
CONFIGS = {"": InstallRun, "commission": CommissionRun, "back": BackRun}


def commission_vehicle(config: CommissionRun) -> Vehicle:
    """The vehicle, with the first root of both repositories."""
    vehicle = Vehicle(
        vehicle_id=config.vehicle_id,
        carmaker=carmaker_of(config.source).name,
        platform=config.platform,
        hardware_id=config.hardware_id,
        market=config.market,
        limits_version=config.limits_version,
        domains=config.domains,
    )
    image = read_repository(config.source / "image")
    director = director_of(config.source, config.vehicle_id)
    commission(config.vehicle, vehicle, image.metadata("root", 1), director.metadata("root", 1))
    return vehicle


def delivery(vehicle: Path, image: Repository, director: Repository) -> Delivery:
    """What the repositories serve this vehicle: their metadata, and the files that the director names."""
    memory = memory_of(vehicle)
    files = {}
    for path, target in director.listed("targets").items():
        files[str((target.custom or {}).get("kind"))] = image.target(path, target.hashes["sha256"])

    return Delivery(
        image.served(version_of(memory.image.root)),
        director.served(version_of(memory.director.root)),
        files.get("bundle", b""),
        files.get("licence", b""),
    )


def install_from(vehicle: Path, source: Path, now: datetime) -> Accepted | Refused:
    """The verdict over what the carmaker's folder holds for this vehicle."""
    image = read_repository(source / "image")
    director = director_of(source, vehicle_of(vehicle).vehicle_id)
    return install(vehicle, delivery(vehicle, image, director), now)


def run(config: CONFIG, console: Console) -> Outcome:
    """Install, commission, or go back, with the clock of now.

    Raises:
        ReleaseError: with the rule that refused it.
    """
    if isinstance(config, CommissionRun):
        vehicle = commission_vehicle(config)
        return Outcome.listing("commissioned", {"vehicle": vehicle.vehicle_id, "carmaker": vehicle.carmaker})
    if isinstance(config, BackRun):
        return Outcome.listing("went back", {"slot": str(fall_back(config.vehicle).active)})
    verdict = install_from(config.vehicle, config.source, datetime.now(UTC))
    if isinstance(verdict, Refused):
        raise ReleaseError(verdict.rule, verdict.why)
    facts = {
        "bundle": verdict.bundle,
        "licence": verdict.licence.licence_id,
        "until": str(verdict.licence.valid_until),
        "slot": str(state_of(config.vehicle).staged),
        "in use from": "the next drive on",
    }
    return Outcome.listing("installed", facts)
