"""A bundle's way from the supplier to a vehicle, by the verbs that the parties call; and an opponent on the way."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from carmakers import HARDWARE as ECU
from carmakers import SAYS

from dojo import cli
from dojo.errors import ReleaseError
from dojo.recipes.attacks import ATTACKS, Stage, try_attacks
from dojo.recipes.licence import IssueRun, issue
from dojo.recipes.publish import AssignRun, PublishRun, carmaker_of, publish_bundle
from dojo.release.archive import pack
from dojo.release.bundle import seal
from dojo.release.install import State, driving, state_of


def dojo(*arguments: object) -> int:
    return cli.main([str(argument) for argument in arguments])


def founded(folder: Path, name: str, ecu: str = ECU) -> Path:
    public = [folder / "supplier" / f"{key}.pub.json" for key in ("build", "approve")]
    own = folder / name
    assert dojo("release", "carmaker", "--out", own, "--name", name, "--hardware-ids", ecu, "--supplier", *public) == 0
    return own


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A supplier with a bundle, two carmakers to whom it published and granted, a vehicle of the first."""
    folder = tmp_path_factory.mktemp("parties")
    assert dojo("release", "keys", "--out", folder / "supplier") == 0
    (folder / "demo-1.tar").write_bytes(pack(seal({"model.onnx": b"weights" * 2000}, SAYS)))
    keys = [folder / "supplier" / name for name in ("build", "approve")]
    for name, ecu in (("aurora", ECU), ("borealis", "central-1")):
        own = founded(folder, name, ecu)
        assert dojo("release", "publish", folder / "demo-1.tar", "--to", own, "--keys", *keys) == 0
        terms = ["--platform", "comet", "--hardware-id", ecu, "--market", "EU", "--licence-id", f"{name}-1"]
        dates = ["--valid-from", "2020-01-01", "--valid-until", "2100-01-01"]
        assert dojo("licence", "issue", "--to", own, "--keys", *keys, *terms, *dates) == 0
    order = ["--vehicle-id", "v1", "--hardware-id", ECU]
    paths = ["--bundle", f"dojo/{ECU}/demo-1.tar", "--licence", f"dojo/{ECU}/licence-aurora-1.json"]
    assert dojo("release", "assign", folder / "aurora", *order, *paths) == 0
    vehicle = folder / "vehicle"
    assert dojo("install", "commission", vehicle, "--source", folder / "aurora", "--platform", "comet", *order) == 0
    assert dojo("install", vehicle, "--source", folder / "aurora") == 0
    return folder


def test_what_was_published_granted_and_assigned_drives(parties: Path) -> None:
    with driving(parties / "vehicle", datetime.now(UTC)) as installed:
        assert (installed.folder / "model.onnx").read_bytes() == b"weights" * 2000
        assert installed.licence.carmaker == "aurora"


def test_a_vehicle_goes_back_to_the_bundle_before(
    parties: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vehicle = tmp_path / "vehicle"
    shutil.copytree(parties / "vehicle", vehicle)
    for _ in range(2):
        assert dojo("install", vehicle, "--source", parties / "aurora") == 0
        with driving(vehicle, datetime.now(UTC)):
            assert dojo("install", "back", vehicle) == 1
            assert "drive_is_on" in capsys.readouterr().err
    before = state_of(vehicle).previous
    assert dojo("install", "back", vehicle, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"slot": before}
    assert state_of(vehicle) == State(before)
    assert dojo("install", "back", vehicle) == 1
    assert "nothing_installed" in capsys.readouterr().err


def stage_of(parties: Path) -> Stage:
    keys = tuple(str(parties / "supplier" / name) for name in ("build", "approve"))
    return Stage(
        carmaker=parties / "aurora",
        other=parties / "borealis",
        vehicle=parties / "vehicle",
        supplier=keys,
        order=AssignRun(parties / "aurora", "v1", ECU, f"dojo/{ECU}/demo-1.tar", f"dojo/{ECU}/licence-aurora-1.json"),
        licence=IssueRun(parties / "aurora", keys, "aurora-1", "comet", ECU, "EU", "2020-01-01", "2100-01-01"),
        bundle=parties / "demo-1.tar",
        now=datetime.now(UTC),
    )


def test_every_attack_is_refused_by_its_own_rule_and_changes_nothing(parties: Path) -> None:
    before = {path: path.read_bytes() for path in sorted(parties.rglob("*")) if path.is_file()}
    tried = list(try_attacks(stage_of(parties)))
    assert {one.name: one.rule for one in tried} == {name: rule for name, rule, _, _ in ATTACKS}
    assert all(one.refused for one in tried)
    assert len(tried) == 12
    assert {path: path.read_bytes() for path in sorted(parties.rglob("*")) if path.is_file()} == before


def test_without_an_attack_the_same_vehicle_accepts(parties: Path) -> None:
    assert dojo("install", parties / "vehicle", "--source", parties / "aurora") == 0


def test_a_licence_is_shown_and_after_its_revocation_shown_as_revoked(
    parties: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = [parties / "supplier" / name for name in ("build", "approve")]
    own = parties / "borealis"
    shown = ["licence", "show", "borealis-1", "--to", own, "--json"]
    assert dojo(*shown) == 0
    assert json.loads(capsys.readouterr().out)["revoked"] == "False"
    assert dojo("licence", "revoke", "borealis-1", "--to", own, "--keys", *keys) == 0
    capsys.readouterr()
    assert dojo(*shown) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["revoked"], said["carmaker"], said["valid_until"]) == ("True", "borealis", "2100-01-01 00:00:00+00:00")
    file = next((own / "image" / "targets").rglob("*licence-borealis-1.json"))
    assert dojo("licence", "show", file) == 0
    assert dojo("licence", "show", tmp_path / "none") == 1
    assert "licence_unreadable" in capsys.readouterr().err


def test_a_refusal_names_its_rule_on_the_command_line(parties: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dojo("install", parties / "vehicle", "--source", parties / "nowhere") == 1
    assert "repository_incomplete" in capsys.readouterr().err
    again = ["--to", parties / "aurora", "--keys", parties / "supplier" / "build", "--licence-id", "aurora-1"]
    terms = ["--platform", "comet", "--hardware-id", ECU, "--market", "EU"]
    assert dojo("licence", "issue", *again, *terms, "--valid-from", "2020-01-01", "--valid-until", "2021-01-01") == 1
    assert "licence_exists" in capsys.readouterr().err
    assert dojo("licence", "issue", *again, *terms, "--valid-from", "soon", "--valid-until", "2021-01-01") == 1
    assert "expected a date such as 2027-03-01, got 'soon'" in capsys.readouterr().err
    order = ["--vehicle-id", "v1", "--hardware-id", ECU, "--licence", "dojo/x/licence-y.json"]
    assert dojo("release", "assign", parties / "aurora", *order, "--bundle", "dojo/x/demo-9.tar") == 1
    assert "not_published" in capsys.readouterr().err


def test_a_bundle_for_computers_that_were_not_delegated_is_not_published(parties: Path) -> None:
    config = PublishRun(
        parties / "demo-1.tar", parties / "aurora", (str(parties / "supplier" / "build"),), ("another-ecu",)
    )
    with pytest.raises(ReleaseError, match="outside_delegation"):
        publish_bundle(config, datetime.now(UTC))


def test_a_folder_that_is_no_carmakers_is_refused(tmp_path: Path, parties: Path) -> None:
    with pytest.raises(ReleaseError, match="carmaker_unknown"):
        carmaker_of(tmp_path)
    terms = IssueRun(parties / "none", (), "x", "comet", ECU, "EU", "2020-01-01", "2100-01-01")
    with pytest.raises(ReleaseError, match="carmaker_unknown"):
        issue(terms, datetime.now(UTC))
