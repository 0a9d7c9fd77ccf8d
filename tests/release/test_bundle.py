from __future__ import annotations

import json

import pytest
from carmakers import SAYS

from dojo.errors import RecordError, ReleaseError
from dojo.release.bundle import MANIFEST, check_files, seal, to_json

FILES = {"model.onnx": b"weights", "reports/a.json": b"{}"}


def test_a_sealed_bundle_says_what_it_was_told_and_the_hash_of_each_file() -> None:
    sealed = seal(FILES, SAYS)
    manifest = check_files(sealed)
    assert manifest.name == "demo"
    assert manifest.camera == SAYS["camera"]
    assert set(manifest.files) == set(FILES)
    assert manifest.files["model.onnx"].size_bytes == 7


def test_the_same_files_in_another_order_give_the_same_bytes() -> None:
    assert seal(dict(reversed(FILES.items())), dict(reversed(SAYS.items()))) == seal(FILES, SAYS)


def test_a_changed_missing_or_added_file_is_named() -> None:
    sealed = seal(FILES, SAYS)
    for changed in ({**sealed, "model.onnx": b"other"}, {**sealed, "more": b""}):
        with pytest.raises(ReleaseError, match=r"tampered_file: .* in (model.onnx|more)"):
            check_files(changed)
    without = {name: data for name, data in sealed.items() if name != "reports/a.json"}
    with pytest.raises(ReleaseError, match=r"reports/a\.json"):
        check_files(without)


@pytest.mark.parametrize("manifest", [None, b"", b"[]", b"{}", b'{"files": {"a": {}}}', b'{"files": 3}'])
def test_a_bundle_without_a_manifest_that_can_be_read_is_refused(manifest: bytes | None) -> None:
    files = {} if manifest is None else {MANIFEST: manifest}
    with pytest.raises(ReleaseError, match="bundle_unreadable"):
        check_files(files)


def test_a_figure_that_is_no_number_is_never_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"worst": float("nan")})
    assert json.loads(to_json({"b": 1, "a": 0.1})) == {"a": 0.1, "b": 1}


def test_a_manifest_that_contradicts_itself_is_neither_sealed_nor_read() -> None:
    with pytest.raises(RecordError, match="expected 4 pictures for 3 anchors"):
        seal(FILES, {**SAYS, "anchors": 3})
    sealed = seal(FILES, SAYS)
    manifest = json.loads(sealed[MANIFEST]) | {"format": 9}
    with pytest.raises(ReleaseError, match=r"(?s)bundle_unreadable: .*expected format 1, got 9"):
        check_files({**sealed, MANIFEST: to_json(manifest)})
