"""A bundle: the files that drive, the evidence about them, and a manifest of hashes over all of it.

In: files by name, and the manifest without their hashes. Out: the same files with their `manifest.json`.
Idea: sealing reads no clock and draws no number; whatever was measured comes in as a stored report. So the same inputs
give the same bytes, anybody can repeat the sealing, and one hash stands for everything.
Not here: what goes in (`recipes/release.py`), the one file it becomes (`archive.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from dojo.errors import RecordError, ReleaseError
from dojo.records import BundleFile, BundleManifest

MANIFEST = "manifest.json"

_MANIFESTS = TypeAdapter(BundleManifest)


def to_json(value: object) -> bytes:
    """JSON for people and for hashing: keys in order, floats as short as they read back."""
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def seal(files: Mapping[str, bytes], says: Mapping[str, Any]) -> dict[str, bytes]:
    """The files, and the manifest with what it says and the hash of each.

    Args:
        says: the fields of `BundleManifest`, all but `files`.

    Raises:
        RecordError: the manifest contradicts itself.
    """
    hashes = {name: BundleFile(hashlib.sha256(data).hexdigest(), len(data)) for name, data in sorted(files.items())}
    manifest = BundleManifest(**says, files=hashes)
    return {**files, MANIFEST: to_json(_MANIFESTS.dump_python(manifest, mode="json"))}


def check_files(files: Mapping[str, bytes]) -> BundleManifest:
    """The manifest, if each file is the one that it lists, and no other is there.

    Raises:
        ReleaseError: `bundle_unreadable` or `tampered_file`.
    """
    try:
        manifest = _MANIFESTS.validate_json(files[MANIFEST])
    except (KeyError, ValidationError, RecordError) as error:
        raise ReleaseError("bundle_unreadable", f"expected a bundle with {MANIFEST}, got none: {error}") from error
    listed = {name: file.sha256 for name, file in manifest.files.items()}
    found = {name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name != MANIFEST}
    wrong = sorted(name for name in listed.keys() | found.keys() if listed.get(name) != found.get(name))
    if wrong:
        raise ReleaseError(
            "tampered_file", f"expected the files that {MANIFEST} lists, got others in {', '.join(wrong)}"
        )
    return manifest
