"""A repository of signed metadata, as a carmaker keeps it: the image repository, and one director for each vehicle.

In: keys, targets, the time. Out: the files of a TUF repository, and what a vehicle fetches of them.
Idea: a repository is a mapping of names to bytes that only grows: every change is a newer version beside the old ones,
so it can be kept in a folder, on any web server, on a stick, or in the memory of a test. Each function needs only the
keys of who acts: the carmaker founds, delegates and approves; the supplier publishes below the paths delegated to it,
and what it publishes is seen by no vehicle until the carmaker has approved it.
Source: TUF specification 1.0.34, sections 4 and 6; Uptane Standard 2.1.0, section 5.2.
Not here: what a vehicle makes of it (`verify.py`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from securesystemslib.signer import Key, Signer
from tuf.api.exceptions import RepositoryError, UnsignedMetadataError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Signed,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization import DeserializationError

from dojo.errors import ReleaseError
from dojo.release.verify import SUPPLIER, Served

Some = TypeVar("Some", bound=Signed)


@dataclass(frozen=True)
class Expiry:
    """How long metadata counts. A vehicle without a network for longer keeps what it has, and accepts nothing new.

    Assumed: keys that lie offline sign once a year, those that are online every week, so that what was withdrawn is
    known to every vehicle that asked within one.
    """

    root: timedelta = timedelta(days=365)
    targets: timedelta = timedelta(days=365)
    supplier: timedelta = timedelta(days=180)
    snapshot: timedelta = timedelta(days=7)
    timestamp: timedelta = timedelta(days=7)


@dataclass(frozen=True)
class Signers:
    """Who signs for a carmaker; as many must sign as there are.

    Args:
        root, targets: lie offline. `online`: signs snapshot and timestamp, and the orders of a director.
    """

    root: tuple[Signer, ...]
    targets: tuple[Signer, ...]
    online: tuple[Signer, ...]


@dataclass(frozen=True)
class Target:
    """A file to be published, or assigned, and what is said of it."""

    data: bytes
    custom: Mapping[str, Any]


@dataclass(frozen=True)
class Repository:
    """Names and bytes, as TUF lays them: `metadata/2.root.json`, `targets/dojo/hw/<sha256>.bundle.tar`."""

    files: Mapping[str, bytes]

    def newest(self, role: str) -> int:
        """The highest version of a role, 0 where there is none."""
        found = [re.fullmatch(rf"metadata/(\d+)\.{re.escape(role)}\.json", name) for name in self.files]
        return max((int(match[1]) for match in found if match), default=0)

    def metadata(self, role: str, version: int) -> bytes:
        """The file of one version of a role.

        Raises:
            ReleaseError: `repository_incomplete`.
        """
        return self._file(f"metadata/{version}.{role}.json")

    def _file(self, name: str) -> bytes:
        try:
            return self.files[name]
        except KeyError:
            raise ReleaseError(
                "repository_incomplete", f"expected {name}, it is not there; copy the whole repository"
            ) from None

    def served(self, trusted_root: int = 1) -> Served:
        """What a vehicle fetches that trusts root of this version.

        Raises:
            ReleaseError: `repository_incomplete`, or `metadata_unreadable`.
        """
        timestamp = self._file("metadata/timestamp.json")
        with_snapshot = _read(timestamp).snapshot_meta.version
        snapshot = self.metadata("snapshot", with_snapshot)
        listed = _read(snapshot).meta
        return Served(
            tuple(self.metadata("root", version) for version in range(trusted_root + 1, self.newest("root") + 1)),
            timestamp,
            snapshot,
            self.metadata("targets", listed["targets.json"].version),
            self.metadata(SUPPLIER, listed[f"{SUPPLIER}.json"].version) if f"{SUPPLIER}.json" in listed else b"",
        )

    def target(self, path: str, sha256: str) -> bytes:
        """The bytes of a target.

        Raises:
            ReleaseError: `repository_incomplete`.
        """
        return self._file(_target_name(path, sha256))

    def listed(self, role: str) -> Mapping[str, TargetFile]:
        """The targets of the newest version of a role, whether approved or not."""
        targets: Targets = _read(self.metadata(role, self.newest(role)))
        return targets.targets

    def with_files(self, files: Mapping[str, bytes]) -> Repository:
        """The repository with these files as well."""
        return replace(self, files={**self.files, **files})


def _read(data: bytes) -> Any:
    try:
        return Metadata.from_bytes(data).signed
    except (DeserializationError, RepositoryError) as error:
        raise ReleaseError("metadata_unreadable", f"expected metadata of TUF: {error}") from error


def version_of(metadata: bytes) -> int:
    """The version of a file of metadata.

    Raises:
        ReleaseError: `metadata_unreadable`.
    """
    return int(_read(metadata).version)


def _target_name(path: str, sha256: str) -> str:
    folder, _, name = path.rpartition("/")
    return "/".join(part for part in ("targets", folder, f"{sha256}.{name}") if part)


def _sign(signed: Signed, signers: Sequence[Signer]) -> bytes:
    metadata: Metadata[Any] = Metadata(signed)
    for signer in signers:
        try:
            metadata.sign(signer, append=True)
        except UnsignedMetadataError as error:
            cause = type(error.__cause__ or error).__name__
            raise ReleaseError(
                "not_signed",
                f"{signed.type}: expected a signature of key {signer.public_key.keyid[:12]}, got {cause}; a token asks "
                "for its PIN",
            ) from None
    return metadata.to_bytes()


def _named(role: str, signed: Signed) -> str:
    return "metadata/timestamp.json" if role == "timestamp" else f"metadata/{signed.version}.{role}.json"


def _describes(data: bytes, version: int) -> MetaFile:
    return MetaFile(version, len(data), {"sha256": hashlib.sha256(data).hexdigest()})


# What the carmaker does.


def found(signers: Signers, now: datetime, expiry: Expiry | None = None) -> Repository:
    """A new repository without targets."""
    return assign(rooted(signers, now, expiry), {}, signers, now, expiry)


def rooted(signers: Signers, now: datetime, expiry: Expiry | None = None) -> Repository:
    """A repository that has nothing but its root: what several directors of one carmaker begin with."""
    root = Root(version=1, expires=now + (expiry or Expiry()).root)
    for role, who in (
        ("root", signers.root),
        ("targets", signers.targets),
        ("snapshot", signers.online),
        ("timestamp", signers.online),
    ):
        for signer in who:
            root.add_key(signer.public_key, role)
        root.roles[role].threshold = len(who)
    return Repository({_named("root", root): _sign(root, signers.root)})


def with_new_root(
    repository: Repository, change: Callable[[Root], None], signers: Sequence[Signer], now: datetime
) -> Repository:
    """The repository with one more root; it must be signed by the keys of the old root, and by its own."""
    root: Root = _read(repository.metadata("root", repository.newest("root")))
    root.version, root.expires = root.version + 1, now + Expiry().root
    change(root)
    return repository.with_files({_named("root", root): _sign(root, signers)})


def delegate(
    repository: Repository,
    supplier: Sequence[Key],
    threshold: int,
    hardware_ids: Sequence[str],
    signers: Signers,
    now: datetime,
    expiry: Expiry | None = None,
) -> Repository:
    """The repository in which a supplier may sign for these kinds of computer: paths `dojo/HARDWARE_ID/*`."""
    expiry = expiry or Expiry()
    paths = [f"{SUPPLIER}/{hardware_id}/*" for hardware_id in hardware_ids]
    role = DelegatedRole(SUPPLIER, [key.keyid for key in supplier], threshold, True, paths)
    targets: Targets = _read(repository.metadata("targets", repository.newest("targets")))
    targets.delegations = Delegations({key.keyid: key for key in supplier}, {SUPPLIER: role})
    targets.version, targets.expires = targets.version + 1, now + expiry.targets
    return repository.with_files({_named("targets", targets): _sign(targets, signers.targets)})


def assign(
    repository: Repository,
    targets: Mapping[str, Target],
    signers: Signers,
    now: datetime,
    expiry: Expiry | None = None,
) -> Repository:
    """The repository whose own targets are these and no others; for a director, what its vehicle is to have."""
    expiry = expiry or Expiry()
    listed = {path: _target(path, target) for path, target in targets.items()}
    changed = Targets(
        version=repository.newest("targets") + 1, expires=now + expiry.targets, targets=listed, delegations=None
    )
    data = {_named("targets", changed): _sign(changed, signers.targets)}
    return approve(repository.with_files(data), signers, now, expiry)


def approve(repository: Repository, signers: Signers, now: datetime, expiry: Expiry | None = None) -> Repository:
    """The repository whose newest targets, its own and the supplier's, are what vehicles see from now on."""
    expiry = expiry or Expiry()
    meta = {}
    for role in ("targets", SUPPLIER):
        if version := repository.newest(role):
            meta[f"{role}.json"] = _describes(repository.metadata(role, version), version)
    snapshot = Snapshot(version=repository.newest("snapshot") + 1, expires=now + expiry.snapshot, meta=meta)
    signed = _sign(snapshot, signers.online)
    earlier = repository.files.get("metadata/timestamp.json")
    timestamp = Timestamp(
        version=_read(earlier).version + 1 if earlier else 1,
        expires=now + expiry.timestamp,
        snapshot_meta=_describes(signed, snapshot.version),
    )
    return repository.with_files(
        {_named("snapshot", snapshot): signed, _named("timestamp", timestamp): _sign(timestamp, signers.online)}
    )


# What the supplier does.


def publish(
    repository: Repository,
    targets: Mapping[str, Target],
    signers: Sequence[Signer],
    now: datetime,
    expiry: Expiry | None = None,
) -> Repository:
    """The repository with these targets beside those that the supplier published before.

    Raises:
        ReleaseError: `outside_delegation`: a path that the carmaker did not delegate.
    """
    own: Targets = _read(repository.metadata("targets", repository.newest("targets")))
    role = own.delegations.roles.get(SUPPLIER) if own.delegations and own.delegations.roles else None
    outside = [path for path in targets if role is None or not role.is_delegated_path(path)]
    if outside:
        raise ReleaseError(
            "outside_delegation",
            f"expected paths below {', '.join(role.paths or ()) if role else 'a delegation'}, got "
            f"{', '.join(outside)}; ask the carmaker to delegate them",
        )
    earlier = repository.listed(SUPPLIER) if repository.newest(SUPPLIER) else {}
    listed = {**earlier, **{path: _target(path, target) for path, target in targets.items()}}
    files = {_target_name(path, _sha256(target.data)): target.data for path, target in targets.items()}
    return _supplied(repository.with_files(files), listed, signers, now, expiry or Expiry())


def revoke(
    repository: Repository, path: str, signers: Sequence[Signer], now: datetime, expiry: Expiry | None = None
) -> Repository:
    """The repository in which this target of the supplier is withdrawn; it stays listed, so that it cannot return.

    Raises:
        ReleaseError: `not_published`.
    """
    listed = dict(repository.listed(SUPPLIER)) if repository.newest(SUPPLIER) else {}
    if path not in listed:
        raise ReleaseError("not_published", f"expected one of {', '.join(listed) or 'no files'}, got {path}")
    custom = {**(listed[path].custom or {}), "revoked": True}
    listed[path] = TargetFile(listed[path].length, listed[path].hashes, path, {"custom": custom})
    return _supplied(repository, listed, signers, now, expiry or Expiry())


def _supplied(
    repository: Repository, listed: Mapping[str, TargetFile], signers: Sequence[Signer], now: datetime, expiry: Expiry
) -> Repository:
    targets = Targets(version=repository.newest(SUPPLIER) + 1, expires=now + expiry.supplier, targets=dict(listed))
    return repository.with_files({_named(SUPPLIER, targets): _sign(targets, signers)})


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _target(path: str, target: Target) -> TargetFile:
    return TargetFile(len(target.data), {"sha256": _sha256(target.data)}, path, {"custom": dict(target.custom)})


# Folders.


def read_repository(folder: Path) -> Repository:
    """The repository that lies in a folder.

    Raises:
        ReleaseError: `repository_incomplete`.
    """
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for part in ("metadata", "targets")
        for path in sorted((folder / part).rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }
    if not files:
        raise ReleaseError("repository_incomplete", f"{folder}: expected a repository, found no metadata")
    return Repository(files)


def write_repository(folder: Path, repository: Repository) -> None:
    """Write what is new; the timestamp, which is what makes the rest visible, comes last and whole."""
    for name, data in sorted(repository.files.items(), key=lambda item: item[0] == "metadata/timestamp.json"):
        path = folder / name
        if path.exists() and path.read_bytes() == data:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        partial.write_bytes(data)
        partial.replace(path)
