"""`dojo release keys | carmaker | publish | assign`: a bundle on its way to a carmaker, and on to a vehicle.

In: a bundle as one file, the folder of a carmaker. Out: that carmaker's repositories, signed.
Idea: each verb is what one party does with its own keys, and needs no other's. Dojo publishes into the image repository
that the carmaker lent it; no vehicle sees it until the carmaker assigns it, in the director that only the carmaker has.
A carmaker's folder: `carmaker.json`, `keys/`, `image/`, `director/VEHICLE/`. In life the parties are on different
machines, and keys of root and targets on none that has a network.
Not here: the metadata (`release/repository.py`), licences (`licence.py`), the vehicle's side (`install.py`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from tyro.conf import Positional

from dojo.errors import ReleaseError
from dojo.recipes.run import Outcome, write_whole
from dojo.release.archive import unpack
from dojo.release.bundle import check_files
from dojo.release.keys import create_key, load_keys, public_path, read_public_key
from dojo.release.repository import (
    Repository,
    Signers,
    Target,
    approve,
    assign,
    delegate,
    found,
    publish,
    read_repository,
    rooted,
    write_repository,
)
from dojo.release.verify import SUPPLIER

_ROLES = {"root": ("root-1", "root-2"), "targets": ("targets-1",), "online": ("online-1",)}
"""Keys of a carmaker. Assumed: two people for the root, which says who everybody is."""


@dataclass(frozen=True)
class KeysRun:
    """Make the keys of a supplier; all of them must sign what it publishes.

    Args:
        out: folder for the keys; only its owner may read it.
        names: one key each. Assumed: who built a release and who approved it are two people.
    """

    out: Path
    names: tuple[str, ...] = ("build", "approve")


@dataclass(frozen=True)
class CarmakerRun:
    """Found the repositories of a carmaker: its keys, its image repository, the root of its directors.

    Args:
        out: folder of the carmaker.
        name: of the carmaker, as in its licences.
        hardware_ids: kinds of computer for which the supplier may sign.
        supplier: public keys of the supplier (`*.pub.json`); all of them must sign.
    """

    out: Path
    name: str
    hardware_ids: tuple[str, ...]
    supplier: tuple[Path, ...]


@dataclass(frozen=True)
class PublishRun:
    """Publish a bundle to a carmaker, for the kinds of computer that it delegated.

    Args:
        bundle: the file that `dojo release` made.
        to: folder of the carmaker.
        keys: of the supplier: key files, or `hsm:ID?label=TOKEN`.
        hardware_ids: kinds of computer; all that the carmaker delegated if not given.
    """

    bundle: Positional[Path]
    to: Path
    keys: tuple[str, ...]
    hardware_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class AssignRun:
    """As the carmaker, approve what was published, and order a bundle and a licence for one vehicle.

    Args:
        carmaker: its folder.
        vehicle_id: for which vehicle. `hardware_id`: of the computer that is to run it.
        bundle, licence: their paths in the image repository, as `dojo release publish` and `dojo licence issue` print.
    """

    carmaker: Positional[Path]
    vehicle_id: str
    hardware_id: str
    bundle: str
    licence: str


CONFIGS = {"keys": KeysRun, "carmaker": CarmakerRun, "publish": PublishRun, "assign": AssignRun}
Config = KeysRun | CarmakerRun | PublishRun | AssignRun


@dataclass(frozen=True)
class Carmaker:
    """What `carmaker.json` says."""

    name: str
    hardware_ids: tuple[str, ...]


def carmaker_of(folder: Path) -> Carmaker:
    """Whose folder it is.

    Raises:
        ReleaseError: `carmaker_unknown`.
    """
    try:
        said = json.loads((folder / "carmaker.json").read_bytes())
        return Carmaker(str(said["name"]), tuple(said["hardware_ids"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReleaseError(
            "carmaker_unknown", f"{folder}: expected the folder of a carmaker: {error}; dojo release carmaker makes one"
        ) from error


def _signers(folder: Path, *, director: bool = False) -> Signers:
    """The keys of a carmaker. A director signs with the key that is online, as it answers each vehicle."""
    of = {role: load_keys([str(folder / "keys" / name) for name in names]) for role, names in _ROLES.items()}
    return Signers(of["root"], of["online" if director else "targets"], of["online"])


def make_keys(config: KeysRun) -> tuple[Path, ...]:
    """The public halves of new keys."""
    for name in config.names:
        create_key(config.out / name)
    return tuple(public_path(config.out / name) for name in config.names)


def found_carmaker(config: CarmakerRun, now: datetime) -> None:
    """The folder of a carmaker that has delegated to its supplier."""
    for names in _ROLES.values():
        for name in names:
            create_key(config.out / "keys" / name)
    signers = _signers(config.out)
    supplier = [read_public_key(path) for path in config.supplier]
    image = delegate(found(signers, now), supplier, len(supplier), config.hardware_ids, signers, now)
    write_repository(config.out / "image", approve(image, signers, now))
    write_repository(config.out / "director" / "root", rooted(_signers(config.out, director=True), now))
    said = asdict(Carmaker(config.name, config.hardware_ids))
    write_whole(config.out / "carmaker.json", json.dumps(said, indent=1) + "\n")


def publish_bundle(config: PublishRun, now: datetime) -> tuple[str, ...]:
    """Paths of the bundle in the carmaker's image repository, one for each kind of computer."""
    data, owner = config.bundle.read_bytes(), carmaker_of(config.to)
    manifest = check_files(unpack(data))
    paths = {
        f"{SUPPLIER}/{hardware_id}/{manifest.name}-{manifest.counter}.tar": hardware_id
        for hardware_id in config.hardware_ids or owner.hardware_ids
    }
    said = {
        "kind": "bundle",
        "carmaker": owner.name,
        "counter": manifest.counter,
        "domains": list(manifest.domains),
        "minimum_limits_version": manifest.minimum_limits_version,
        "revoked": False,
    }
    targets = {path: Target(data, {**said, "hardware_ids": [hardware_id]}) for path, hardware_id in paths.items()}
    image = publish(read_repository(config.to / "image"), targets, load_keys(config.keys), now)
    write_repository(config.to / "image", image)
    return tuple(paths)


def assign_to_vehicle(config: AssignRun, now: datetime) -> None:
    """The vehicle's director with new orders, and the image repository with everything published approved.

    Raises:
        ReleaseError: `not_published`.
    """
    image = read_repository(config.carmaker / "image")
    listed = image.listed(SUPPLIER) if image.newest(SUPPLIER) else {}
    missing = [path for path in (config.bundle, config.licence) if path not in listed]
    if missing:
        raise ReleaseError(
            "not_published", f"expected one of {', '.join(listed) or 'no files'}, got {', '.join(missing)}"
        )
    own = {"carmaker": carmaker_of(config.carmaker).name, "hardware_id": config.hardware_id}
    orders = {}
    for path in (config.bundle, config.licence):
        data = image.target(path, listed[path].hashes["sha256"])
        custom = listed[path].custom or {}
        said = {"kind": custom["kind"], "counter": custom["counter"], "vehicle_id": config.vehicle_id}
        orders[path] = Target(data, {**said, **own})
    director = assign(
        director_of(config.carmaker, config.vehicle_id), orders, _signers(config.carmaker, director=True), now
    )
    write_repository(config.carmaker / "director" / config.vehicle_id, director)
    approve_image(config.carmaker, now)


def approve_image(folder: Path, now: datetime) -> None:
    """As the carmaker, make what was published the newest that vehicles see."""
    image = read_repository(folder / "image")
    write_repository(folder / "image", approve(image, _signers(folder), now))


def director_of(folder: Path, vehicle_id: str) -> Repository:
    """The director of one vehicle, new if it never had orders."""
    own = folder / "director" / vehicle_id
    return read_repository(own if (own / "metadata").is_dir() else folder / "director" / "root")


def run(config: Config, console: Console) -> Outcome:
    """What one party does, with the clock of now."""
    now = datetime.now(UTC)
    match config:
        case KeysRun():
            return Outcome.listing("keys", {"public": ", ".join(map(str, make_keys(config)))})
        case CarmakerRun():
            found_carmaker(config, now)
            return Outcome.listing("carmaker", {"folder": str(config.out), "name": config.name})
        case PublishRun():
            paths = publish_bundle(config, now)
            return Outcome.listing("published", {"to": carmaker_of(config.to).name, "paths": ", ".join(paths)})
        case AssignRun():
            assign_to_vehicle(config, now)
            return Outcome.listing("assigned", {"vehicle": config.vehicle_id, "bundle": config.bundle})
