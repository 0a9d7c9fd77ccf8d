"""Where recordings lie before they are received: a folder, or a place in object storage.

In: an address. Out: recordings that wait, and what receives one of them in whatever process.
Idea: a reader knows only files. So a recording in object storage is found, and later received, in a scratch folder that
mirrors the few objects it needs, and is known afterwards by its address there. The address is listed once; what lies
below one name under it (one vehicle's stick, usually) is looked through as one task, and each recording found is then
one of its own, which knows the objects that it needs: to list a fleet again for each of them would take as long as the
square of the fleet. Small files that lie beside or above a recording (the vehicle's description, intrinsics) come with
it.
Not here: what a recording is (`fleet/`), processes and clusters (`workers.py`, `engine.py`).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from pyarrow import fs

from dojo.errors import ConfigError, StoreError
from dojo.fleet.readers.reader import Recording
from dojo.recipes.receive import Gateway, Received, Receiver
from dojo.recipes.scratch import scratch
from dojo.recipes.workers import Died
from dojo.records import Drive, Rejection
from dojo.store.dataset import Files
from dojo.store.search import file_system

_COMPANION_BYTES = 1 << 20
"""Assumed: what describes a vehicle or a camera is smaller than a megabyte, a recording's video is not."""


@dataclass(frozen=True)
class Found:
    """A recording that waits to be received.

    Args:
        files: as the dataset will name them.
        recording: as its reader knows it; where it lies in object storage, as if `/` were the scratch folder.
        objects: in object storage, those that receiving it takes, named below the address.
    """

    label: str
    files: Files
    recording: Recording
    objects: tuple[str, ...] = ()


Work = Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[tuple[Any, Any]]]
"""Runs a function over tasks somewhere, see `workers.work_through`."""


@dataclass(frozen=True)
class Folder:
    """Recordings in a folder that every process can read."""

    path: Path

    def find(self, gateway: Gateway, known: set[str], work: Work) -> list[Found]:
        """Recordings without the files that are known."""
        return [_found(recording, str) for recording in gateway.find(self.path, known)]

    def received(self, receiver: Receiver) -> Callable[[Found], Received]:
        """What receives one of them."""
        return FromFolder(receiver)


@dataclass(frozen=True)
class FromFolder:
    """Receives a recording where it lies."""

    receiver: Receiver

    def __call__(self, found: Found) -> Received:
        """What came of it."""
        return self.receiver(found.recording)


@dataclass(frozen=True)
class Tree:
    """Recordings in object storage.

    Args:
        uri: for example `s3://bucket/fleet`. Endpoint, region and credentials come from the environment.
    """

    uri: str

    def find(self, gateway: Gateway, known: set[str], work: Work) -> list[Found]:
        """Recordings without the files that are known; looked for by `work`, which reads every object once."""
        found: dict[tuple[str, ...], Found] = {}
        for branch, some in work(Finder(gateway, self, frozenset(known)), self._branches()):
            if isinstance(some, Died):
                raise StoreError(
                    f"{self.uri}: expected to look through {branch.name or 'its own files'}, every process that tried "
                    "ended; use fewer processes"
                )
            found |= {tuple(sorted(sha256 for _, sha256, _ in item.files)): item for item in some}
        return sorted(found.values(), key=lambda item: item.files)

    def _branches(self) -> list[Branch]:
        """Everything below the address, by the first part of its name; what lies at the address itself is the last."""
        by_name: dict[str, list[tuple[str, int]]] = {}
        for name, size in sorted(self._listing().items()):
            by_name.setdefault(name.partition("/")[0] if "/" in name else "", []).append((name, size))
        if not by_name:
            raise ConfigError(f"ingest: expected recordings at {self.uri}, found nothing there; check the address")
        above = by_name.pop("", [])
        small = [(name, size) for name, size in above if size <= _COMPANION_BYTES]
        branches = [Branch(name, (*small, *objects)) for name, objects in by_name.items()]
        return [*branches, Branch("", tuple(above))] if above else branches

    def received(self, receiver: Receiver) -> Callable[[Found], Received]:
        """What receives one of them."""
        return FromTree(receiver, self)

    def address(self, path: Path, folder: Path) -> str:
        """Where the object lies of which this, below a scratch folder, is a copy."""
        return f"{self.uri.partition('://')[0]}://{path.relative_to(folder).as_posix()}"

    @contextmanager
    def copy(self, objects: Iterable[str]) -> Iterator[tuple[Path, Path]]:
        """A scratch folder, and in it the folder that mirrors the address, with these objects."""
        system, root = self._system()
        with scratch("objects") as folder:
            (folder / root).mkdir(parents=True)
            for name in objects:
                target = folder / root / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with system.open_input_stream(f"{root}/{name}") as source, target.open("wb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
            yield folder, folder / root

    def _listing(self) -> dict[str, int]:
        """Size of each object by its name below the address."""
        system, root = self._system()
        try:
            infos = system.get_file_info(fs.FileSelector(root, recursive=True))
        except OSError as error:
            raise ConfigError(f"ingest: expected recordings at {self.uri}: {error}; check the address") from error
        return {info.path.removeprefix(root).lstrip("/"): info.size for info in infos if info.is_file}

    def _system(self) -> tuple[Any, str]:
        system, root = file_system(self.uri)
        return system, root.rstrip("/")


@dataclass(frozen=True)
class Branch:
    """What lies below one name under an address, with the small files at the address itself; no name for those alone.

    Args:
        objects: name below the address, and size in bytes, of each.
    """

    name: str
    objects: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Finder:
    """Finds the recordings of one branch of a tree, in whatever process."""

    gateway: Gateway
    tree: Tree
    known: frozenset[str]

    def __call__(self, branch: Branch) -> list[Found]:
        """Those below one name, or those that lie directly at the address."""
        with self.tree.copy(name for name, _ in branch.objects) as (folder, root):
            recordings = list(self.gateway.find(root, self.known))
            names = [{file.path.relative_to(root).as_posix() for file in recording.files} for recording in recordings]
            taken = set().union(*names)
            return [
                replace(
                    _found(_moved(recording, folder, Path("/")), lambda path: self.tree.address(path, Path("/"))),
                    objects=_needed(mine, taken, branch.objects),
                )
                for recording, mine in zip(recordings, names, strict=True)
            ]


def _needed(mine: set[str], taken: set[str], objects: Iterable[tuple[str, int]]) -> tuple[str, ...]:
    """A recording's own objects, and small ones beside or above them that are no recording's."""
    above = {str(folder) for name in mine for folder in PurePosixPath(name).parents}
    return tuple(
        name
        for name, size in objects
        if name in mine or (name not in taken and size <= _COMPANION_BYTES and str(PurePosixPath(name).parent) in above)
    )


@dataclass(frozen=True)
class FromTree:
    """Receives a recording out of object storage, in whatever process."""

    receiver: Receiver
    tree: Tree

    def __call__(self, found: Found) -> Received:
        """What came of it; paths in it are addresses."""
        with self.tree.copy(found.objects) as (folder, _):
            received = self.receiver(_moved(found.recording, Path("/"), folder))

            def said(text: str) -> str:
                return text.replace(f"{folder}/", f"{self.tree.uri.partition('://')[0]}://")

            return replace(
                received,
                drives=tuple(_renamed(drive, said) for drive in received.drives),
                rejections=tuple(_reworded(item, said) for item in received.rejections),
            )


def source_of(source: str | Path) -> Folder | Tree:
    """The source at an address.

    Raises:
        ConfigError: it is no folder and no address of object storage.
    """
    if "://" in str(source):
        return Tree(str(source).rstrip("/"))
    if not Path(source).is_dir():
        raise ConfigError(f"ingest: expected a folder with recordings, {source} is none; check the path")
    return Folder(Path(source))


def _found(recording: Recording, name: Callable[[Path], str]) -> Found:
    files = tuple((name(file.path), file.sha256, file.size_bytes) for file in recording.files)
    return Found(recording.label, files, recording)


def _moved(recording: Recording, before: Path, after: Path) -> Recording:
    """The same recording below another folder."""
    return replace(
        recording,
        folder=after / recording.folder.relative_to(before),
        files=tuple(replace(file, path=after / file.path.relative_to(before)) for file in recording.files),
    )


def _renamed(drive: Drive, said: Callable[[str], str]) -> Drive:
    files = tuple((said(path), sha256, size) for path, sha256, size in drive.provenance.files)
    return replace(
        drive,
        provenance=replace(drive.provenance, files=files),
        rejections=tuple(_reworded(item, said) for item in drive.rejections),
    )


def _reworded(item: Rejection, said: Callable[[str], str]) -> Rejection:
    return replace(item, where=said(item.where), reason=said(item.reason))
