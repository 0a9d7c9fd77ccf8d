from __future__ import annotations

import json
import os
import random
import signal
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from carmakers import BUNDLE_PATH, NOW, Keys, World, bundle_bytes, licence, targets_of, world_of

import dojo.release.install as installing
from dojo.errors import ReleaseError
from dojo.release.archive import pack
from dojo.release.install import (
    Delivery,
    State,
    commission,
    driving,
    fall_back,
    install,
    memory_of,
    state_of,
    vehicle_of,
)
from dojo.release.verify import Accepted, Refused


def handed(world: World) -> Delivery:
    return Delivery(world.image.served(), world.director.served(), world.bundle, world.licence)


def commissioned(folder: Path, world: World) -> Path:
    commission(folder, world.vehicle, world.memory.image.root, world.memory.director.root)
    return folder


@pytest.fixture
def vehicle(tmp_path: Path, world: World) -> Path:
    return commissioned(tmp_path / "v", world)


@pytest.fixture
def newer(keys: Keys, world: World) -> World:
    """The next release, in the same repositories of the same carmaker."""
    return world_of(keys, targets_of(bundle=bundle_bytes("newer"), counter=2)).but(memory=world.memory)


def rule(verdict: Accepted | Refused) -> str:
    return verdict.rule if isinstance(verdict, Refused) else ""


def model(folder: Path, now: datetime = NOW) -> bytes:
    with driving(folder, now) as installed:
        return (installed.folder / "model.onnx").read_bytes()


def test_a_commissioned_vehicle_knows_itself_and_has_nothing_to_drive_with(vehicle: Path, world: World) -> None:
    assert vehicle_of(vehicle) == world.vehicle
    assert memory_of(vehicle) == world.memory
    with pytest.raises(ReleaseError, match="nothing_installed"), driving(vehicle, NOW):
        pass
    with pytest.raises(ReleaseError, match="vehicle_exists"):
        commissioned(vehicle, world)


def test_what_is_accepted_is_staged_and_in_use_from_the_next_drive_on(vehicle: Path, world: World) -> None:
    assert rule(install(vehicle, handed(world), NOW)) == ""
    assert state_of(vehicle) == State(None, "a", None)
    assert model(vehicle) == b"a bundle"
    assert state_of(vehicle) == State("a", None, None)
    assert memory_of(vehicle).counter == 1


def test_nothing_changes_while_a_drive_is_on(vehicle: Path, world: World, newer: World) -> None:
    install(vehicle, handed(world), NOW)
    with driving(vehicle, NOW) as installed:
        assert rule(install(vehicle, handed(newer), NOW)) == ""
        assert (installed.folder / "model.onnx").read_bytes() == b"a bundle"
        assert state_of(vehicle) == State("a", "b", None)
        with pytest.raises(ReleaseError, match="drive_is_on"):
            fall_back(vehicle)
        with pytest.raises(ReleaseError, match="drive_is_on"), driving(vehicle, NOW):
            pass
    assert model(vehicle) == b"newer"
    assert state_of(vehicle) == State("b", None, "a")


def test_a_licence_is_asked_when_a_drive_begins_and_not_on_the_road(tmp_path: Path, keys: Keys) -> None:
    world = world_of(keys, targets_of(licence(valid_until=NOW + timedelta(hours=1))))
    folder = commissioned(tmp_path / "v", world)
    install(folder, handed(world), NOW)
    with driving(folder, NOW + timedelta(minutes=59)) as installed:
        # Whatever the clock says from here on, nobody asks again.
        assert installed.licence.valid_until == NOW + timedelta(hours=1)
        assert (installed.folder / "model.onnx").exists()
    with pytest.raises(ReleaseError, match="licence_expired"), driving(folder, NOW + timedelta(hours=1)):
        pass


def test_a_clock_set_back_does_not_revive_a_licence(tmp_path: Path, keys: Keys) -> None:
    world = world_of(keys, targets_of(licence(valid_from=NOW, valid_until=NOW + timedelta(hours=1))))
    folder = commissioned(tmp_path / "v", world)
    install(folder, handed(world), NOW)
    # Before its beginning the licence would not be valid: the vehicle knows that it is later.
    assert model(folder, NOW - timedelta(days=400)) == b"a bundle"


def test_what_is_refused_changes_nothing(vehicle: Path, world: World) -> None:
    install(vehicle, handed(world), NOW)
    before = {path: path.read_bytes() for path in vehicle.rglob("*") if path.is_file()}
    assert rule(install(vehicle, replace(handed(world), bundle=world.bundle[:-1]), NOW)) == "truncated_download"
    assert {path: path.read_bytes() for path in vehicle.rglob("*") if path.is_file()} == before


def test_a_signed_bundle_whose_files_are_not_those_of_its_manifest_is_refused(tmp_path: Path, keys: Keys) -> None:
    for data, expected in ((pack({"model.onnx": b"bare"}), "bundle_unreadable"), (b"x" * 2000, "bundle_unreadable")):
        world = world_of(keys, targets_of(bundle=data))
        folder = commissioned(tmp_path / f"v{len(data)}", world)
        assert rule(install(folder, handed(world), NOW)) == expected
        assert state_of(folder) == State()


def test_an_installation_that_is_killed_leaves_the_one_in_use(
    vehicle: Path, world: World, newer: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(vehicle, handed(world), NOW)
    assert model(vehicle) == b"a bundle"
    whole = installing._fill

    def killed(slot: Path, files: dict[str, bytes]) -> None:
        whole(slot, dict(list(files.items())[:1]))
        raise KeyboardInterrupt

    monkeypatch.setattr(installing, "_fill", killed)
    with pytest.raises(KeyboardInterrupt):
        install(vehicle, handed(newer), NOW)
    assert model(vehicle) == b"a bundle"
    monkeypatch.undo()
    assert rule(install(vehicle, handed(newer), NOW)) == ""
    assert model(vehicle) == b"newer"


def test_a_staged_bundle_that_is_being_replaced_is_never_half_used(
    vehicle: Path, world: World, newer: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(vehicle, handed(world), NOW)

    def killed(slot: Path, files: dict[str, bytes]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(installing, "_fill", killed)
    with pytest.raises(KeyboardInterrupt):
        install(vehicle, handed(newer), NOW)
    with pytest.raises(ReleaseError, match="nothing_installed"), driving(vehicle, NOW):
        pass


def test_a_bundle_that_fails_its_first_check_is_left_for_the_one_before(
    vehicle: Path, world: World, newer: World
) -> None:
    install(vehicle, handed(world), NOW)
    with pytest.raises(ReleaseError, match="nothing_installed"):
        fall_back(vehicle)
    assert model(vehicle) == b"a bundle"
    install(vehicle, handed(newer), NOW)
    assert model(vehicle) == b"newer"
    assert fall_back(vehicle) == State("a")
    assert model(vehicle) == b"a bundle"


def test_nothing_goes_back_into_a_slot_that_is_being_filled(
    vehicle: Path, world: World, newer: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for handed_over, expected in ((world, b"a bundle"), (newer, b"newer")):
        install(vehicle, handed(handed_over), NOW)
        assert model(vehicle) == expected
    whole = installing._fill

    def killed(slot: Path, files: dict[str, bytes]) -> None:
        with pytest.raises(ReleaseError, match="installation_is_on"):
            fall_back(vehicle)
        whole(slot, dict(list(files.items())[:1]))
        raise KeyboardInterrupt

    monkeypatch.setattr(installing, "_fill", killed)
    with pytest.raises(KeyboardInterrupt):
        install(vehicle, handed(newer), NOW)
    monkeypatch.undo()
    # What was before is overwritten by half: there is nothing to go back to, and what is in use stays.
    with pytest.raises(ReleaseError, match="nothing_installed"):
        fall_back(vehicle)
    assert model(vehicle) == b"newer"
    install(vehicle, handed(newer), NOW)
    with pytest.raises(ReleaseError, match="nothing_installed"):
        fall_back(vehicle)


def test_a_vehicle_that_is_killed_while_it_installs_drives_with_one_or_the_other(
    vehicle: Path, world: World, newer: World, pytestconfig: pytest.Config
) -> None:
    """`kill -9` of a process that installs over and over, at moments drawn by chance."""
    install(vehicle, handed(world), NOW)
    draw, drove = random.Random(6), [model(vehicle)]
    for _ in range(3 * pytestconfig.getoption("--kills")):
        child = os.fork()
        if child == 0:
            try:
                while True:
                    install(vehicle, handed(newer), NOW)
            finally:
                os._exit(1)
        time.sleep(draw.uniform(0.0, 0.08))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        drove.append(model(vehicle))
    assert set(drove) <= {b"a bundle", b"newer"}
    first = drove.index(b"newer") if b"newer" in drove else len(drove)
    assert b"a bundle" not in drove[first:]
    install(vehicle, handed(newer), NOW)
    assert model(vehicle) == b"newer"


def test_a_file_that_was_changed_in_its_slot_is_noticed_before_driving(vehicle: Path, world: World) -> None:
    install(vehicle, handed(world), NOW)
    (vehicle / "slots" / "a" / "model.onnx").write_bytes(b"another")
    with pytest.raises(ReleaseError, match=r"tampered_file: .*model\.onnx"), driving(vehicle, NOW):
        pass


def test_an_older_release_is_refused_by_what_the_vehicle_remembers(vehicle: Path, world: World, newer: World) -> None:
    install(vehicle, handed(newer), NOW)
    assert memory_of(vehicle).counter == 2
    assert rule(install(vehicle, handed(world), NOW)) == "release_rolled_back"


def test_a_vehicle_whose_files_cannot_be_read_installs_nothing(vehicle: Path, world: World) -> None:
    (vehicle / "trusted.json").write_text("{}")
    with pytest.raises(ReleaseError, match="vehicle_unreadable"):
        install(vehicle, handed(world), NOW)


def test_the_licence_lies_beside_the_bundle_it_is_for(vehicle: Path, world: World) -> None:
    verdict = install(vehicle, handed(world), NOW)
    assert isinstance(verdict, Accepted)
    assert verdict.bundle == BUNDLE_PATH
    with driving(vehicle, NOW) as installed:
        assert (installed.folder / "licence.json").read_bytes() == world.licence
        assert json.loads((installed.folder / "manifest.json").read_bytes())["name"] == "demo"
