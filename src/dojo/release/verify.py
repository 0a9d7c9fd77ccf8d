"""The verdict of a vehicle over what it was handed: bytes and a clock in, accepted or refused out.

In: what the two repositories of its carmaker serve, a bundle and a licence as bytes, what the vehicle remembers, and
the time. Out: `Accepted` with what to remember from now on, or `Refused` with the name of the rule.
Idea: no file, no socket, no clock and no random number is touched here, so every rule can be tried by a test, and by an
opponent in memory. Two repositories must agree, as in Uptane: the image repository says what exists (its keys lie
offline; Dojo may sign there, for the paths and kinds of computer that the carmaker delegated), the director says what
this vehicle is to have. Whoever holds one of the two can install nothing. Whatever is not understood is refused.
Source: TUF specification 1.0.34, section 5 (the order of the checks, and each of them); Uptane Standard 2.1.0, section
5.4.4.2 (full verification). Signatures, thresholds and the form of metadata are python-tuf's.
Not here: files and slots (`install.py`), making repositories (`repository.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from tuf.api.exceptions import LengthOrHashMismatchError, RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Signed, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from dojo.errors import ReleaseError
from dojo.release.licence import Licence, read_licence

SUPPLIER = "dojo"
"""Name of the role that a carmaker delegates."""

SomeSigned = TypeVar("SomeSigned", bound=Signed)


@dataclass(frozen=True)
class Served:
    """The metadata of one repository, as fetched.

    Args:
        roots: every root after the one that the vehicle trusts, oldest first.
        supplier: metadata of the delegated role; empty where there is none, as in a director.
    """

    roots: tuple[bytes, ...]
    timestamp: bytes
    snapshot: bytes
    targets: bytes
    supplier: bytes = b""


@dataclass(frozen=True)
class Remembered:
    """What a vehicle remembers of one repository: the root it trusts, and the newest version seen of each role."""

    root: bytes
    versions: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Memory:
    """What a vehicle remembers.

    Args:
        counter: of the newest release it ever accepted.
        latest: the latest time at which it accepted anything; a clock that was set back does not go behind it.
    """

    image: Remembered
    director: Remembered
    counter: int = 0
    latest: datetime | None = None


@dataclass(frozen=True)
class Vehicle:
    """Who the vehicle is, as its carmaker wrote into it.

    Args:
        hardware_id: the kind of its computer.
        limits_version: of the safety envelope that runs in it.
        domains: operational domains it may be used in.
    """

    vehicle_id: str
    carmaker: str
    platform: str
    hardware_id: str
    market: str
    limits_version: int
    domains: tuple[str, ...]


@dataclass(frozen=True)
class Accepted:
    """It may be installed."""

    bundle: str
    licence: Licence
    memory: Memory


@dataclass(frozen=True)
class Refused:
    """It may not, by this rule."""

    rule: str
    why: str


def verify(
    vehicle: Vehicle, memory: Memory, image: Served, director: Served, bundle: bytes, licence: bytes, now: datetime
) -> Accepted | Refused:
    """The verdict; see the module. `now` in UTC."""
    now = max(now, memory.latest or now)
    try:
        images = _repository(image, memory.image, now, "image repository")
        orders = _repository(director, memory.director, now, "director")
        counter, bundle_path = _pair("bundle", vehicle, images, orders, bundle)
        _, licence_path = _pair("licence", vehicle, images, orders, licence)
        granted = read_licence(licence)
        _require(
            granted.path == licence_path, "licence_unreadable", f"expected {granted.path}, it lies at {licence_path}"
        )
        judge_licence(granted, vehicle, now)
        judge_bundle(images.custom(bundle_path), granted, vehicle)
        _require(
            counter >= memory.counter,
            "release_rolled_back",
            f"expected release counter {memory.counter} or later, got {counter}",
        )
    except ReleaseError as refusal:
        return Refused(refusal.rule, refusal.message)
    except (DeserializationError, RepositoryError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Refused("metadata_unreadable", f"expected metadata of TUF: {type(error).__name__}: {error}")
    kept = Memory(images.remembered, orders.remembered, max(counter, memory.counter), now)
    return Accepted(bundle_path, granted, kept)


def judge_licence(licence: Licence, vehicle: Vehicle, now: datetime) -> None:
    """Nothing, if the licence is this vehicle's and valid now; asked at installation, and once as each drive begins.

    Raises:
        ReleaseError: with the rule.
    """
    for rule, name, granted, own in (
        ("wrong_carmaker", "carmaker", licence.carmaker, vehicle.carmaker),
        ("wrong_platform", "platform", licence.platform, vehicle.platform),
        ("wrong_hardware", "hardware id", licence.hardware_id, vehicle.hardware_id),
        ("wrong_market", "market", licence.market, vehicle.market),
    ):
        _require(granted == own, rule, f"expected a licence for {name} {own}, got one for {granted}")
    _require(
        licence.operational_domain in vehicle.domains,
        "wrong_domain",
        f"expected a licence for {' or '.join(vehicle.domains)}, got one for {licence.operational_domain}",
    )
    _require(licence.valid_from <= now, "licence_not_yet_valid", f"expected {licence.valid_from} or later, it is {now}")
    _require(now < licence.valid_until, "licence_expired", f"expected before {licence.valid_until}, it is {now}")
    _judge_limits(licence.minimum_limits_version, vehicle)


def judge_bundle(custom: Mapping[str, Any], licence: Licence, vehicle: Vehicle) -> None:
    """Nothing, if what is said of the bundle fits the licence and the vehicle.

    Raises:
        ReleaseError: with the rule.
    """
    _require(
        licence.operational_domain in custom["domains"],
        "wrong_domain",
        f"expected a bundle released for {licence.operational_domain}, got one for {custom['domains']}",
    )
    _judge_limits(custom["minimum_limits_version"], vehicle)


def _judge_limits(minimum: int, vehicle: Vehicle) -> None:
    _require(
        vehicle.limits_version >= minimum,
        "limits_too_old",
        f"expected limits of version {minimum} or later, the vehicle runs version {vehicle.limits_version}",
    )


def _require(holds: bool, rule: str, why: str) -> None:
    if not holds:
        raise ReleaseError(rule, why)


# One repository.


@dataclass(frozen=True)
class _Repository:
    """Metadata of which every signature, version, date and hash has been checked."""

    targets: Targets
    supplier: Targets | None
    remembered: Remembered

    def lists(self) -> Mapping[str, TargetFile]:
        """The targets of the supplier where one is delegated, else the repository's own."""
        return self.targets.targets if self.supplier is None else self.supplier.targets

    def custom(self, path: str) -> Mapping[str, Any]:
        """What is said of a target beside its hash."""
        said: Mapping[str, Any] = self.lists()[path].custom
        return said


def _repository(served: Served, remembered: Remembered, now: datetime, where: str) -> _Repository:
    """The repository, every check passed in TUF's order: root, timestamp, snapshot, targets, delegated targets."""
    root, root_bytes = _root(served, remembered, now, where)
    seen = _still_binding(remembered, root)
    timestamp = _signed(Timestamp, served.timestamp, root, f"{where}: timestamp")
    _fresh(timestamp, "timestamp", seen, now, where)
    _as_listed(served.snapshot, timestamp.snapshot_meta, f"{where}: snapshot")
    snapshot = _signed(Snapshot, served.snapshot, root, f"{where}: snapshot")
    _is_version(snapshot, timestamp.snapshot_meta, f"{where}: snapshot")
    _fresh(snapshot, "snapshot", seen, now, where)
    targets = _listed(Targets.type, served.targets, snapshot, root, seen, now, where)
    supplier = None
    if served.supplier or targets.delegations:
        supplier = _listed(SUPPLIER, served.supplier, snapshot, targets, seen, now, where)
        _within_delegation(supplier, targets, where)
    return _Repository(targets, supplier, Remembered(root_bytes, seen))


def _root(served: Served, remembered: Remembered, now: datetime, where: str) -> tuple[Root, bytes]:
    """The newest root, each signed by the keys of the one before it and by its own."""
    trusted: Metadata[Root] = Metadata[Root].from_bytes(remembered.root)
    data = remembered.root
    for newer in served.roots:
        candidate: Metadata[Root] = Metadata[Root].from_bytes(newer)
        _check_signatures(trusted.signed, Root.type, candidate, f"{where}: root")
        _check_signatures(candidate.signed, Root.type, candidate, f"{where}: root")
        expected = trusted.signed.version + 1
        _require(
            candidate.signed.version == expected,
            "metadata_replayed",
            f"{where}: expected root version {expected}, got {candidate.signed.version}",
        )
        trusted, data = candidate, newer
    _require(
        now < trusted.signed.expires, "metadata_frozen", f"{where}: the root expired on {trusted.signed.expires}; fetch"
    )
    return trusted.signed, data


def _still_binding(remembered: Remembered, root: Root) -> dict[str, int]:
    """The versions seen, without those of roles whose keys changed: whoever stole one may have counted far up."""
    before = Metadata[Root].from_bytes(remembered.root).signed.roles
    return {
        role: version
        for role, version in remembered.versions.items()
        if role not in before or before[role].keyids == root.roles[role].keyids
    }


def _signed(kind: type[SomeSigned], data: bytes, by: Root | Targets, where: str, role: str = "") -> SomeSigned:
    """The signed part, of the right kind, signed by enough of the keys of its role."""
    metadata: Metadata[Any] = Metadata.from_bytes(data)
    _require(isinstance(metadata.signed, kind), "metadata_unreadable", f"{where}: expected {kind.type}")
    _check_signatures(by, role or kind.type, metadata, where)
    signed: SomeSigned = metadata.signed
    return signed


def _check_signatures(by: Root | Targets, role: str, metadata: Metadata[Any], where: str) -> None:
    """Nothing, if enough keys of the role signed; otherwise one of three rules says what is the matter."""
    result = by.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
    signed_by_role = set(metadata.signatures) & {*result.signed, *result.unsigned}
    _require(bool(signed_by_role), "repositories_mixed", f"{where}: signed by keys of another repository")
    _require(signed_by_role == set(result.signed), "tampered_file", f"{where}: its content is not what its keys signed")
    _require(
        result.verified,
        "below_threshold",
        f"{where}: expected signatures of {result.threshold} keys, got {len(result.signed)}",
    )


def _fresh(signed: Signed, role: str, seen: dict[str, int], now: datetime, where: str) -> None:
    """Not older than what was seen before, and not expired; writes down what is seen now."""
    _require(
        signed.version >= seen.get(role, 0),
        "metadata_replayed",
        f"{where}: expected version {seen.get(role, 0)} or later of {role}, got {signed.version}",
    )
    _require(now < signed.expires, "metadata_frozen", f"{where}: {role} expired on {signed.expires}, it is {now}")
    seen[role] = signed.version


def _as_listed(data: bytes, listed: MetaFile, where: str) -> None:
    try:
        listed.verify_length_and_hashes(data)
    except LengthOrHashMismatchError as error:
        raise ReleaseError("repositories_mixed", f"{where}: not the one that the repository lists: {error}") from error


def _is_version(signed: Signed, listed: MetaFile, where: str) -> None:
    _require(
        signed.version == listed.version,
        "repositories_mixed",
        f"{where}: expected version {listed.version} as listed, got {signed.version}",
    )


def _listed(
    role: str, data: bytes, snapshot: Snapshot, by: Root | Targets, seen: dict[str, int], now: datetime, where: str
) -> Targets:
    """Targets of a role that the snapshot lists."""
    listed = snapshot.meta[f"{role}.json"]
    _as_listed(data, listed, f"{where}: {role}")
    targets = _signed(Targets, data, by, f"{where}: {role}", role)
    _is_version(targets, listed, f"{where}: {role}")
    _fresh(targets, role, seen, now, where)
    return targets


def _within_delegation(supplier: Targets, targets: Targets, where: str) -> None:
    """Every target of the supplier lies where the carmaker lets it sign."""
    delegations = targets.delegations
    role = delegations.roles.get(SUPPLIER) if delegations and delegations.roles else None
    outside = [path for path in supplier.targets if role is None or not role.is_delegated_path(path)]
    _require(not outside, "outside_delegation", f"{where}: {SUPPLIER} signed {', '.join(outside)}")


# What the two repositories say of one file.


def _pair(kind: str, vehicle: Vehicle, images: _Repository, orders: _Repository, data: bytes) -> tuple[int, str]:
    """Release counter and path of the file that both repositories have for this vehicle, its bytes checked."""
    _require(orders.supplier is None, "director_delegates", "director: expected no delegation, got one")
    assigned = {path: target for path, target in orders.targets.targets.items() if target.custom["kind"] == kind}
    _require(len(assigned) == 1, "not_assigned", f"director: expected one {kind}, got {len(assigned)}")
    ((path, ordered),) = assigned.items()
    for rule, name, own in (
        ("wrong_carmaker", "carmaker", vehicle.carmaker),
        ("wrong_vehicle", "vehicle_id", vehicle.vehicle_id),
        ("wrong_hardware", "hardware_id", vehicle.hardware_id),
    ):
        said = ordered.custom[name]
        _require(said == own, rule, f"director: expected a {kind} for {own}, got one for {said}")
    _require(path in images.lists(), "repositories_mixed", f"{path}: assigned, but not in the image repository")
    image = images.lists()[path]
    same = (image.length, image.hashes, image.custom["counter"]) == (
        *(ordered.length, ordered.hashes),
        ordered.custom["counter"],
    )
    _require(same, "repositories_mixed", f"{path}: the two repositories do not mean the same file")
    _require(
        image.custom["carmaker"] == vehicle.carmaker,
        "wrong_carmaker",
        f"{path}: expected a {kind} for {vehicle.carmaker}, got one for {image.custom['carmaker']}",
    )
    _require(
        vehicle.hardware_id in image.custom["hardware_ids"],
        "wrong_hardware",
        f"{path}: expected a {kind} for {vehicle.hardware_id}, got one for {image.custom['hardware_ids']}",
    )
    _require(not image.custom["revoked"], f"{kind}_revoked", f"{path}: withdrawn by its supplier")
    _whole(path, data, image)
    return int(image.custom["counter"]), path


def _whole(path: str, data: bytes, target: TargetFile) -> None:
    _require(
        len(data) >= target.length, "truncated_download", f"{path}: expected {target.length} bytes, got {len(data)}"
    )
    digest = hashlib.sha256(data).hexdigest()
    _require(
        len(data) == target.length and target.hashes.get("sha256") == digest,
        "tampered_file",
        f"{path}: expected SHA-256 {target.hashes.get('sha256')}, got {digest}",
    )
