"""A licence: which bundle a carmaker may drive with, on which computer of which platform, where, and until when.

In: plain values. Out: bytes that are signed as a target, and the record back from them.
Idea: a vehicle must be able to decide alone, without a network, so a licence says everything that decides, and its
signature is that of the repository it lies in. Whether it was revoked is said beside it, in the signed list of targets,
because a licence once handed out cannot be taken back, and the list can be made anew.
Not here: signatures (`repository.py`), the verdict (`verify.py`).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import TypeAdapter, ValidationError

from dojo.errors import ReleaseError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Licence:
    """What a carmaker was granted.

    Args:
        licence_id: unique; part of the name of the file.
        carmaker, platform, hardware_id: who, which vehicle line, which kind of computer in it.
        operational_domain: where it may be used, for example `motorway`, or `simulation` for what is not for the road.
        features: what may be switched on, for example `lane_centring`.
        market: country or region, for example `EU`.
        valid_from, valid_until: UTC; the end is excluded.
        minimum_limits_version: of the safety envelope (`drive/limits.py`) that the vehicle must run.
    """

    licence_id: str
    carmaker: str
    platform: str
    hardware_id: str
    operational_domain: str
    features: tuple[str, ...]
    market: str
    valid_from: datetime
    valid_until: datetime
    minimum_limits_version: int

    def __post_init__(self) -> None:
        named = ("licence_id", "carmaker", "platform", "hardware_id", "operational_domain", "market")
        wrong = [name for name in named if not _NAME.fullmatch(getattr(self, name))]
        wrong += [f"features {feature!r}" for feature in self.features if not _NAME.fullmatch(feature)]
        if wrong:
            raise ReleaseError(
                "licence_unreadable",
                f"expected names of letters, digits, dot, dash and underscore, got others in {', '.join(wrong)}",
            )
        if not self.features:
            raise ReleaseError("licence_unreadable", "expected at least one feature, got none")
        if None in (self.valid_from.tzinfo, self.valid_until.tzinfo) or not self.valid_from < self.valid_until:
            raise ReleaseError(
                "licence_unreadable",
                f"expected a validity in UTC with its beginning before its end, got {self.valid_from} to "
                f"{self.valid_until}",
            )
        if self.minimum_limits_version < 1:
            raise ReleaseError(
                "licence_unreadable", f"expected a limits version from 1, got {self.minimum_limits_version}"
            )

    @property
    def path(self) -> str:
        """Where it lies in an image repository."""
        return f"dojo/{self.hardware_id}/licence-{self.licence_id}.json"

    def to_bytes(self) -> bytes:
        """The same bytes for the same licence."""
        values = TypeAdapter(Licence).dump_python(self, mode="json")
        values |= {name: _utc(getattr(self, name)) for name in ("valid_from", "valid_until")}
        return (json.dumps(values, indent=1, sort_keys=True) + "\n").encode()


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_licence(data: bytes) -> Licence:
    """The licence that `to_bytes` wrote.

    Raises:
        ReleaseError: `licence_unreadable`.
    """
    try:
        return TypeAdapter(Licence).validate_json(data)
    except ValidationError as error:
        raise ReleaseError(
            "licence_unreadable", f"expected the file of a licence, got {len(data)} other bytes: {error}"
        ) from error
