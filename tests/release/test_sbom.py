from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

from dojo.release.sbom import RUNS_WITH, Contents, bill, versions

CONTENTS = Contents("demo", "3", "ab" * 32, 5000, date(2026, 3, 1), "0.1.0")


def test_the_same_contents_give_the_same_bytes_and_others_another_serial_number() -> None:
    runs, made = {"numpy": "2.4"}, {"torch": "2.13"}
    first = bill(CONTENTS, runs, made)
    assert bill(CONTENTS, dict(runs), dict(made)) == first
    changed = bill(replace(CONTENTS, sha256="cd" * 32), runs, made)
    assert json.loads(first)["serialNumber"] != json.loads(changed)["serialNumber"]


def test_it_lists_the_model_what_it_needs_and_what_made_it() -> None:
    said = json.loads(bill(CONTENTS, {"numpy": "2.4"}, {"torch": "2.13"}))
    assert (said["bomFormat"], said["specVersion"]) == ("CycloneDX", "1.6")
    assert said["metadata"]["timestamp"] == "2026-03-01T00:00:00+00:00"
    model = said["metadata"]["component"]
    assert (model["type"], model["hashes"][0]["content"]) == ("machine-learning-model", "ab" * 32)
    assert {one["name"]: one["scope"] for one in said["components"]} == {
        "numpy": "required",
        "torch": "excluded",
        "dojo-driving": "excluded",
    }
    needs = next(one["dependsOn"] for one in said["dependencies"] if one["ref"] == "model.onnx")
    assert needs == ["numpy@2.4"]


def test_versions_are_those_installed() -> None:
    assert set(versions(RUNS_WITH)) == {"numpy", "onnxruntime"}
