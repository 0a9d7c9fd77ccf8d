"""The vehicle's side: two slots, one in use, one to be filled; what is in use changes only between drives.

In: what a vehicle fetched, or was handed on a stick. Out: a bundle in the idle slot, and the one in use as a folder.
Idea: everything is decided by `verify.py`; here is what it decides about on disk. A new bundle goes whole into the slot
that nobody drives with, then one small file says which slot is staged; the switch happens as the next drive begins.
While a drive is on, a lock is held: nothing is switched, and the licence, asked once at the beginning, is not asked
again, so that it cannot run out on the road. A bundle that fails before it has driven is left for the one before it.
Not here: the verdict (`verify.py`), where the bytes came from (`recipes/install.py`).
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from dojo.errors import ReleaseError
from dojo.release.archive import unpack
from dojo.release.bundle import check_files
from dojo.release.licence import Licence, read_licence
from dojo.release.verify import Accepted, Memory, Refused, Remembered, Served, Vehicle, judge_licence, verify

Slot = Literal["a", "b"]
Kind = TypeVar("Kind")


@dataclass(frozen=True)
class State:
    """Which slot is in use, which is to be used from the next drive on, and which was used before."""

    active: Slot | None = None
    staged: Slot | None = None
    previous: Slot | None = None


@dataclass(frozen=True)
class Installed:
    """What drives: the folder of the bundle, and the licence under which."""

    folder: Path
    licence: Licence


@dataclass(frozen=True)
class Delivery:
    """What a vehicle fetched: the metadata of both repositories, and the two files assigned to it."""

    image: Served
    director: Served
    bundle: bytes
    licence: bytes


@dataclass(frozen=True)
class _MemoryFile:
    """`Memory` as JSON holds it."""

    image_root: str
    image_versions: dict[str, int]
    director_root: str
    director_versions: dict[str, int]
    counter: int
    latest: datetime | None


def commission(folder: Path, vehicle: Vehicle, image_root: bytes, director_root: bytes) -> None:
    """Give a vehicle its identity and the two roots that it trusts; done once, where it is built.

    Raises:
        ReleaseError: `vehicle_exists`.
    """
    if (folder / "vehicle.json").exists():
        raise ReleaseError("vehicle_exists", f"{folder}: expected no vehicle, found one; choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    _write_memory(folder, Memory(Remembered(image_root), Remembered(director_root)))
    _write_state(folder, State())
    _write(folder / "vehicle.json", TypeAdapter(Vehicle).dump_json(vehicle, indent=1))


def vehicle_of(folder: Path) -> Vehicle:
    """Who the vehicle is."""
    return _loaded(Vehicle, folder / "vehicle.json")


def memory_of(folder: Path) -> Memory:
    """What it remembers."""
    kept = _loaded(_MemoryFile, folder / "trusted.json")
    return Memory(
        Remembered(kept.image_root.encode(), kept.image_versions),
        Remembered(kept.director_root.encode(), kept.director_versions),
        kept.counter,
        kept.latest,
    )


def state_of(folder: Path) -> State:
    """Which slot does what."""
    return _loaded(State, folder / "state.json")


def install(folder: Path, delivery: Delivery, now: datetime) -> Accepted | Refused:
    """The verdict; where it is accepted, the bundle is whole in the idle slot and staged for the next drive.

    May run while a drive is on: the slot in use is not touched.
    """
    with _alone(folder / "install.lock", "installation_is_on"):
        verdict = verify(
            vehicle_of(folder),
            memory_of(folder),
            delivery.image,
            delivery.director,
            delivery.bundle,
            delivery.licence,
            now,
        )
        if isinstance(verdict, Refused):
            return verdict
        try:
            files = unpack(delivery.bundle)
            check_files(files)
        except ReleaseError as refusal:
            return Refused(refusal.rule, refusal.message)
        state = state_of(folder)
        slot: Slot = "b" if state.active == "a" else "a"
        # From here on the slot is not whole: what was staged in it, or driven with before, is there no longer.
        _write_state(folder, State(state.active))
        _fill(folder / "slots" / slot, {**files, "licence.json": delivery.licence})
        _write_memory(folder, verdict.memory)
        _write_state(folder, State(state.active, slot))
    return verdict


@contextmanager
def driving(folder: Path, now: datetime) -> Iterator[Installed]:
    """What to drive with, for the whole drive; a staged bundle is switched to first.

    Raises:
        ReleaseError: `drive_is_on`, `nothing_installed`, `tampered_file`, or a rule of the licence.
    """
    with _alone(folder / "drive.lock", "drive_is_on"):
        state = state_of(folder)
        if state.staged is not None:
            # Nobody may begin to fill a slot while it is switched to.
            with _alone(folder / "install.lock", "installation_is_on"):
                state = state_of(folder)
                state = State(state.staged, None, state.active)
                _write_state(folder, state)
        if state.active is None:
            raise ReleaseError("nothing_installed", f"{folder}: expected an installed bundle, found none; install one")
        slot = folder / "slots" / state.active
        files = {path.relative_to(slot).as_posix(): path.read_bytes() for path in slot.rglob("*") if path.is_file()}
        licence = read_licence(files.pop("licence.json", b""))
        check_files(files)
        judge_licence(licence, vehicle_of(folder), max(now, memory_of(folder).latest or now))
        yield Installed(slot, licence)


def fall_back(folder: Path) -> State:
    """The vehicle drives again with what it had before the last switch; for a bundle that fails its first check.

    Raises:
        ReleaseError: `drive_is_on`, `installation_is_on`, or `nothing_installed`: there is nothing to fall back to.
    """
    with _alone(folder / "drive.lock", "drive_is_on"), _alone(folder / "install.lock", "installation_is_on"):
        state = state_of(folder)
        if state.previous is None:
            raise ReleaseError("nothing_installed", f"{folder}: expected an earlier bundle to fall back to, found none")
        back = State(state.previous)
        _write_state(folder, back)
        return back


def _fill(slot: Path, files: Mapping[str, bytes]) -> None:
    """Exactly these files, on the disk before anything points at them."""
    shutil.rmtree(slot, ignore_errors=True)
    for name, data in files.items():
        path = slot / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    for path in (*(path for path in slot.rglob("*") if path.is_dir()), slot, slot.parent, slot.parent.parent):
        _settle(path)


def _settle(folder: Path) -> None:
    """The names in a folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _alone(path: Path, rule: str) -> Iterator[None]:
    """Hold a lock that the system gives back when the process ends, however it ends."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ReleaseError(rule, f"{path.parent}: expected nobody else at it; wait until it is over") from None
        yield


def _write_memory(folder: Path, memory: Memory) -> None:
    kept = _MemoryFile(
        memory.image.root.decode(),
        dict(memory.image.versions),
        memory.director.root.decode(),
        dict(memory.director.versions),
        memory.counter,
        memory.latest,
    )
    _write(folder / "trusted.json", TypeAdapter(_MemoryFile).dump_json(kept, indent=1))


def _write_state(folder: Path, state: State) -> None:
    _write(folder / "state.json", json.dumps(TypeAdapter(State).dump_python(state), indent=1).encode())


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, also through a power cut."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    _settle(path.parent)


def _loaded(kind: type[Kind], path: Path) -> Kind:
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ReleaseError(
            "vehicle_unreadable", f"{path}: expected the file of a commissioned vehicle: {error}; commission it"
        ) from error
