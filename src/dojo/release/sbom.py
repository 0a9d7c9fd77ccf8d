"""What a bundle is made of, and what it needs: a bill of materials in CycloneDX.

In: the model's hash and the libraries by name, version and role. Out: JSON, the same for the same.
Idea: the tool that writes such bills gives each a random number and the time of day; here both follow from what is
listed, or two bundles with the same content would have different hashes.
Source: CycloneDX 1.6 (ECMA-424).
Not here: the licences of training data (`card.py`).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib import metadata

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

RUNS_WITH = ("numpy", "onnxruntime")
"""Libraries that a bundle needs to be driven."""

MADE_WITH = ("torch", "onnx", "onnxscript")
"""Libraries that made it, and are not needed any more."""


@dataclass(frozen=True)
class Contents:
    """What is listed; `sha256` is that of the model file."""

    name: str
    version: str
    sha256: str
    size_bytes: int
    made_on: date
    dojo_version: str


def versions(names: tuple[str, ...]) -> dict[str, str]:
    """The versions installed here."""
    return {name: metadata.version(name) for name in names}


def bill(contents: Contents, runs_with: Mapping[str, str], made_with: Mapping[str, str]) -> bytes:
    """The bill of materials."""
    model = Component(
        name=contents.name,
        version=contents.version,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref="model.onnx",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=contents.sha256)],
        properties=[Property(name="dojo:size_bytes", value=str(contents.size_bytes))],
    )
    needed = [_library(name, version, ComponentScope.REQUIRED) for name, version in sorted(runs_with.items())]
    used = {**made_with, "dojo-driving": contents.dojo_version}
    tools = [_library(name, version, ComponentScope.EXCLUDED) for name, version in sorted(used.items())]
    moment = datetime(contents.made_on.year, contents.made_on.month, contents.made_on.day, tzinfo=UTC)
    bom = Bom(
        serial_number=uuid.uuid5(uuid.NAMESPACE_OID, repr((contents, sorted(runs_with.items()), sorted(used.items())))),
        metadata=BomMetaData(component=model, timestamp=moment),
        components=[*needed, *tools],
    )
    bom.register_dependency(model, needed)
    return JsonV1Dot6(bom).output_as_string(indent=1).encode() + b"\n"


def _library(name: str, version: str, scope: ComponentScope) -> Component:
    purl = PackageURL("pypi", None, name, version)
    return Component(
        name=name, version=version, type=ComponentType.LIBRARY, bom_ref=f"{name}@{version}", purl=purl, scope=scope
    )
