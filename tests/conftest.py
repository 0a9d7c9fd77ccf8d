"""Shapes and dtypes of every annotated array are checked while the tests run."""

from __future__ import annotations

from pathlib import Path

import pytest
from jaxtyping import install_import_hook

install_import_hook("dojo", "beartype.beartype").__enter__()

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def real_recording(name: str) -> Path:
    """The folder of a real recording, or a skip that says what is missing."""
    folder = SHARED_DATA / name
    if not folder.is_dir():
        pytest.skip(
            f"real recording {name!r} is not at hand: expected the folder shared/data/{name} beside the checkout"
        )
    return folder
