"""`dojo licence issue | show | revoke`: what a carmaker is granted, and what is taken back.

In: the terms, the folder of a carmaker. Out: a signed target of its image repository.
Idea: a licence reaches a vehicle as its bundle does, by the carmaker's own repositories; so does its revocation, with
the next metadata that the vehicle accepts, and without them it ends when it expires.
Not here: the terms themselves (`release/licence.py`), assigning it to a vehicle (`publish.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from tyro.conf import Positional

from dojo.errors import ConfigError, ReleaseError
from dojo.recipes.publish import approve_image, carmaker_of
from dojo.recipes.run import Outcome
from dojo.release.keys import load_keys
from dojo.release.licence import Licence, read_licence
from dojo.release.repository import Target, publish, read_repository, revoke, write_repository
from dojo.release.verify import SUPPLIER


@dataclass(frozen=True)
class IssueRun:
    """Grant a carmaker a licence, and publish it in its image repository.

    Args:
        to: folder of the carmaker.
        keys: of the supplier: key files, or `hsm:ID?label=TOKEN`.
        licence_id: unique.
        platform, hardware_id, operational_domain, market: what it is for.
        valid_from, valid_until: dates such as 2027-03-01, from midnight UTC to midnight UTC.
    """

    to: Path
    keys: tuple[str, ...]
    licence_id: str
    platform: str
    hardware_id: str
    market: str
    valid_from: str
    valid_until: str
    operational_domain: str = "simulation"
    features: tuple[str, ...] = ("lane_centring", "leader_following")
    minimum_limits_version: int = 1


@dataclass(frozen=True)
class ShowRun:
    """Say what a licence grants, and whether a carmaker's repository says that it was revoked.

    Args:
        licence: its file, or its id where `to` is given.
        to: folder of the carmaker.
    """

    licence: Positional[str]
    to: Path | None = None


@dataclass(frozen=True)
class RevokeRun:
    """Take a licence back; vehicles learn of it with the next metadata that they fetch.

    Args:
        licence_id: which.
        to: folder of the carmaker.
        keys: of the supplier.
    """

    licence_id: Positional[str]
    to: Path
    keys: tuple[str, ...]


CONFIG = IssueRun | ShowRun | RevokeRun
CONFIGS = {"issue": IssueRun, "show": ShowRun, "revoke": RevokeRun}


def _midnight(date: str) -> datetime:
    try:
        return datetime.strptime(date, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise ConfigError(f"licence: expected a date such as 2027-03-01, got {date!r}") from error


def issue(config: IssueRun, now: datetime) -> Licence:
    """The licence, published; the carmaker's next assignment makes it visible."""
    granted = Licence(
        licence_id=config.licence_id,
        carmaker=carmaker_of(config.to).name,
        platform=config.platform,
        hardware_id=config.hardware_id,
        operational_domain=config.operational_domain,
        features=config.features,
        market=config.market,
        valid_from=_midnight(config.valid_from),
        valid_until=_midnight(config.valid_until),
        minimum_limits_version=config.minimum_limits_version,
    )
    image = read_repository(config.to / "image")
    listed = image.listed(SUPPLIER) if image.newest(SUPPLIER) else {}
    if granted.path in listed:
        raise ReleaseError("licence_exists", f"expected a new licence_id, got {config.licence_id}, which was issued")
    custom = {
        "kind": "licence",
        "carmaker": granted.carmaker,
        "hardware_ids": [granted.hardware_id],
        "counter": 1,
        "revoked": False,
    }
    targets = {granted.path: Target(granted.to_bytes(), custom)}
    write_repository(config.to / "image", publish(image, targets, load_keys(config.keys), now))
    return granted


def revoke_licence(config: RevokeRun, now: datetime) -> str:
    """Path of the licence that was taken back; visible at once, as the carmaker's online key approves it."""
    image = read_repository(config.to / "image")
    path = _path_of(config.licence_id, config.to)
    write_repository(config.to / "image", revoke(image, path, load_keys(config.keys), now))
    approve_image(config.to, now)
    return path


def _path_of(licence_id: str, carmaker: Path) -> str:
    image = read_repository(carmaker / "image")
    listed = image.listed(SUPPLIER) if image.newest(SUPPLIER) else {}
    found = [path for path in listed if path.endswith(f"/licence-{licence_id}.json")]
    if not found:
        raise ReleaseError("not_published", f"{carmaker}: expected an issued licence, got {licence_id}")
    return found[0]


def _show(config: ShowRun) -> Outcome:
    if config.to is None:
        try:
            data, revoked = Path(config.licence).read_bytes(), "not known: name the carmaker's folder with --to"
        except OSError as error:
            raise ReleaseError("licence_unreadable", f"{config.licence}: expected a file: {error.strerror}") from error
    else:
        image, path = read_repository(config.to / "image"), _path_of(config.licence, config.to)
        target = image.listed(SUPPLIER)[path]
        data, revoked = image.target(path, target.hashes["sha256"]), str(bool((target.custom or {}).get("revoked")))
    granted = read_licence(data)
    facts = {name: getattr(granted, name) for name in Licence.__dataclass_fields__}
    return Outcome.listing("licence", {**{k: str(v) for k, v in facts.items()}, "revoked": revoked})


def run(config: CONFIG, console: Console) -> Outcome:
    """Issue, show or revoke, with the clock of now."""
    now = datetime.now(UTC)
    match config:
        case IssueRun():
            granted = issue(config, now)
            return Outcome.listing("licence issued", {"path": granted.path, "until": str(granted.valid_until)})
        case RevokeRun():
            return Outcome.listing("licence revoked", {"path": revoke_licence(config, now)})
        case ShowRun():
            return _show(config)
