"""What an opponent tries on a vehicle that is about to install, each try with the rule that must refuse it.

In: the folders of two carmakers, a vehicle of the first, the supplier's keys. Out: for each try what the vehicle said.
Idea: every attack goes through `install`, as a delivery would, against a copy of the real vehicle and of the real
repositories. Where the opponent is the network or the stick, bytes are changed on the way; where it is a careless party
with keys, the party's own functions are called with what they should not be called with.
Not here: the same in every detail, and random changes (`tests/release/test_verify.py`).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from pathlib import Path

from dojo.recipes.install import delivery
from dojo.recipes.licence import IssueRun, RevokeRun, issue, revoke_licence
from dojo.recipes.publish import (
    AssignRun,
    PublishRun,
    approve_image,
    assign_to_vehicle,
    director_of,
    publish_bundle,
)
from dojo.release.archive import pack, unpack
from dojo.release.bundle import MANIFEST, check_files, seal
from dojo.release.install import Delivery, install, vehicle_of
from dojo.release.keys import load_keys
from dojo.release.repository import Target, publish, read_repository, write_repository
from dojo.release.verify import Accepted, Refused


@dataclass(frozen=True)
class Stage:
    """Where an attack plays: copies of everything, thrown away afterwards.

    Args:
        carmaker, other: folders of the vehicle's carmaker, and of another one.
        vehicle: folder of the vehicle, which has installed `order` already.
        supplier: addresses of the supplier's keys.
        order: what the carmaker last assigned to the vehicle.
        bundle: the file of the bundle.
    """

    carmaker: Path
    other: Path
    vehicle: Path
    supplier: tuple[str, ...]
    order: AssignRun
    licence: IssueRun
    bundle: Path
    now: datetime

    def handed(self, carmaker: Path | None = None) -> Delivery:
        """What the vehicle would fetch now."""
        folder = carmaker or self.carmaker
        image = read_repository(folder / "image")
        return delivery(self.vehicle, image, director_of(folder, vehicle_of(self.vehicle).vehicle_id))

    def with_licence(self, **changes: object) -> Delivery:
        """What the vehicle would fetch, had it been assigned a licence with other terms."""
        terms = replace(self.licence, licence_id="other-terms", **changes)  # type: ignore[arg-type]
        return self.assigned(licence=issue(terms, self.now).path)

    def assigned(self, **changes: str) -> Delivery:
        """What the vehicle would fetch under other orders."""
        assign_to_vehicle(replace(self.order, carmaker=self.carmaker, **changes), self.now)
        return self.handed()


@dataclass(frozen=True)
class Tried:
    """What came of an attack; `rule` is empty where it was not refused."""

    name: str
    refused: bool
    rule: str
    expected: str


def _tampered(stage: Stage) -> Delivery:
    handed = stage.handed()
    middle = len(handed.bundle) // 2
    flipped = bytes([handed.bundle[middle] ^ 1])
    return replace(handed, bundle=handed.bundle[:middle] + flipped + handed.bundle[middle + 1 :])


def _truncated(stage: Stage) -> Delivery:
    handed = stage.handed()
    return replace(handed, bundle=handed.bundle[:-4096])


def _wrong_carmaker(stage: Stage) -> Delivery:
    """The supplier signs, in this carmaker's repository, a licence that it granted to the other."""
    image = read_repository(stage.carmaker / "image")
    foreign = read_repository(stage.other / "image")
    path, target = next((p, t) for p, t in foreign.listed("dojo").items() if (t.custom or {})["kind"] == "licence")
    own_path = f"dojo/{stage.order.hardware_id}/{path.rpartition('/')[2]}"
    data = foreign.target(path, target.hashes["sha256"])
    said = {**(target.custom or {}), "hardware_ids": [stage.order.hardware_id]}
    published = publish(image, {own_path: Target(data, said)}, load_keys(stage.supplier), stage.now)
    write_repository(stage.carmaker / "image", published)
    return stage.assigned(licence=own_path)


def _wrong_hardware(stage: Stage) -> Delivery:
    """The carmaker assigns the bundle for another kind of computer."""
    return stage.assigned(hardware_id="another-computer")


def _expired(stage: Stage) -> Delivery:
    return stage.with_licence(valid_from="2001-01-01", valid_until="2001-02-01")


def _revoked(stage: Stage) -> Delivery:
    revoke_licence(RevokeRun(stage.licence.licence_id, stage.carmaker, stage.supplier), stage.now)
    return stage.handed()


def _rolled_back(stage: Stage) -> Delivery:
    """After the next release was installed, the carmaker assigns the one before it."""
    files = unpack(stage.bundle.read_bytes())
    says = check_files(files)
    newer = {field.name: getattr(says, field.name) for field in fields(says) if field.name != "files"}
    newer["counter"] = says.counter + 1
    del files[MANIFEST]
    path = stage.carmaker / "newer.tar"
    path.write_bytes(pack(seal(files, newer)))
    paths = publish_bundle(PublishRun(path, stage.carmaker, stage.supplier, (stage.order.hardware_id,)), stage.now)
    accepted = install(stage.vehicle, stage.assigned(bundle=paths[0]), stage.now)
    assert isinstance(accepted, Accepted), accepted
    return stage.assigned()


def _replayed(stage: Stage) -> Delivery:
    """Metadata from before the last one that the vehicle accepted."""
    before = stage.handed()
    approve_image(stage.carmaker, stage.now)
    accepted = install(stage.vehicle, stage.handed(), stage.now)
    assert isinstance(accepted, Accepted), accepted
    return before


def _mixed(stage: Stage) -> Delivery:
    """The director of its own carmaker, the image repository of another."""
    foreign = read_repository(stage.other / "image").served()
    return replace(stage.handed(), image=replace(foreign, roots=()))


def _below_threshold(stage: Stage) -> Delivery:
    """One of the two keys of the supplier signs alone."""
    alone = replace(stage.licence, licence_id="signed-alone", keys=stage.supplier[:1])
    return stage.assigned(licence=issue(alone, stage.now).path)


def _limits(stage: Stage) -> Delivery:
    return stage.with_licence(minimum_limits_version=vehicle_of(stage.vehicle).limits_version + 1)


def _as_it_is(stage: Stage) -> Delivery:
    return stage.handed()


_WEEKS = timedelta(days=30)

ATTACKS: tuple[tuple[str, str, Callable[[Stage], Delivery], timedelta], ...] = (
    ("tampered file", "tampered_file", _tampered, timedelta()),
    ("truncated download", "truncated_download", _truncated, timedelta()),
    ("wrong carmaker", "wrong_carmaker", _wrong_carmaker, timedelta()),
    ("wrong hardware id", "wrong_hardware", _wrong_hardware, timedelta()),
    ("expired licence", "licence_expired", _expired, timedelta()),
    ("revoked licence", "licence_revoked", _revoked, timedelta()),
    ("rolled-back release", "release_rolled_back", _rolled_back, timedelta()),
    ("replayed metadata", "metadata_replayed", _replayed, timedelta()),
    ("frozen metadata", "metadata_frozen", _as_it_is, _WEEKS),
    ("mixed repositories", "repositories_mixed", _mixed, timedelta()),
    ("key below threshold", "below_threshold", _below_threshold, timedelta()),
    ("limits version too old", "limits_too_old", _limits, timedelta()),
)
"""Name, the rule that must refuse it, what is handed over, and how much later."""


def try_attacks(stage: Stage) -> Iterator[Tried]:
    """What a vehicle says to each attack; each has copies of its own."""
    for name, expected, attack, later in ATTACKS:
        with tempfile.TemporaryDirectory(dir=stage.vehicle.parent) as scratch:
            parts = {part: Path(scratch) / part for part in ("carmaker", "other", "vehicle")}
            for part, copy in parts.items():
                shutil.copytree(getattr(stage, part), copy)
            own = replace(
                stage,
                carmaker=parts["carmaker"],
                other=parts["other"],
                vehicle=parts["vehicle"],
                licence=replace(stage.licence, to=parts["carmaker"]),
            )
            verdict = install(own.vehicle, attack(own), own.now + later)
        rule = verdict.rule if isinstance(verdict, Refused) else ""
        yield Tried(name, isinstance(verdict, Refused), rule, expected)
