"""A carmaker, its supplier and one of its vehicles, in memory; keys are made once, as they cost the most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from securesystemslib.signer import CryptoSigner

from dojo.geometry import MODEL_VIEW
from dojo.records import TensorContract
from dojo.release.archive import pack
from dojo.release.bundle import seal
from dojo.release.contracts import SIGNALS, camera_contract
from dojo.release.licence import Licence
from dojo.release.repository import (
    Repository,
    Signers,
    Target,
    approve,
    assign,
    delegate,
    found,
    publish,
    rooted,
)
from dojo.release.verify import Accepted, Memory, Refused, Remembered, Vehicle, verify

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HARDWARE = "adas-ecu-2"


def signer() -> CryptoSigner:
    return CryptoSigner.generate_ed25519()


@dataclass(frozen=True)
class Keys:
    """Of one carmaker; two must sign its root, two of the supplier's what the supplier publishes."""

    image: Signers
    director: Signers
    supplier: tuple[CryptoSigner, ...]


def new_keys() -> Keys:
    root, online = (signer(), signer()), (signer(),)
    return Keys(Signers(root, (signer(),), online), Signers(root, online, online), (signer(), signer()))


SAYS = {
    "format": 1,
    "name": "demo",
    "counter": 1,
    "domains": ("simulation",),
    "made_on": "2026-03-01",
    "dojo_version": "0.1.0",
    "checkpoint_sha256": "ab" * 32,
    "step": 7,
    "minimum_limits_version": 1,
    "anchors": 2,
    "tick_s": 0.2,
    "inputs": (TensorContract("frames", "uint8", (1, 3, 6, 128, 256)),),
    "outputs": (TensorContract("position_m", "float32", (1, 5, 33, 3)),),
    "tolerance": {"absolute": 1e-4, "relative": 1e-4},
    "camera": camera_contract(MODEL_VIEW, {"up_m": (1.2, 1.6)}, 0.2, 2, 0.0),
    "signals": SIGNALS,
}
"""A manifest without its files."""


def bundle_bytes(says: str = "a bundle") -> bytes:
    return pack(seal({"model.onnx": says.encode()}, SAYS))


@dataclass(frozen=True)
class World:
    """Everything about one vehicle of one carmaker, changed by making another."""

    keys: Keys
    vehicle: Vehicle
    memory: Memory
    image: Repository
    director: Repository
    bundle: bytes
    licence: bytes
    now: datetime = NOW

    def but(self, **changes: Any) -> World:
        return replace(self, **changes)

    def verdict(self) -> Accepted | Refused:
        return verify(
            self.vehicle, self.memory, self.image.served(), self.director.served(), self.bundle, self.licence, self.now
        )

    @property
    def rule(self) -> str:
        """The rule that refuses, empty where it is accepted."""
        verdict = self.verdict()
        return verdict.rule if isinstance(verdict, Refused) else ""

    def remembering(self) -> World:
        """The vehicle after it has accepted what it was handed."""
        verdict = self.verdict()
        assert isinstance(verdict, Accepted), verdict
        return self.but(memory=verdict.memory)


def vehicle() -> Vehicle:
    return Vehicle("v-001", "aurora", "comet", HARDWARE, "EU", 3, ("simulation",))


def licence(**changes: Any) -> Licence:
    granted = Licence(
        licence_id="l1",
        carmaker="aurora",
        platform="comet",
        hardware_id=HARDWARE,
        operational_domain="simulation",
        features=("lane_centring", "leader_following"),
        market="EU",
        valid_from=NOW - timedelta(days=1),
        valid_until=NOW + timedelta(days=365),
        minimum_limits_version=2,
    )
    return replace(granted, **changes)


BUNDLE_PATH = f"dojo/{HARDWARE}/demo-1.tar"


def custom(kind: str, **changes: Any) -> dict[str, Any]:
    said = {"kind": kind, "carmaker": "aurora", "hardware_ids": [HARDWARE], "counter": 1, "revoked": False}
    if kind == "bundle":
        said |= {"domains": ["simulation"], "minimum_limits_version": 2}
    return {**said, **changes}


def order(target: Target, **changes: Any) -> Target:
    """What the director says of a file of the image repository."""
    said = {
        "kind": target.custom["kind"],
        "carmaker": "aurora",
        "vehicle_id": "v-001",
        "hardware_id": HARDWARE,
        "counter": target.custom["counter"],
    }
    return Target(target.data, {**said, **changes})


def delivered(keys: Keys, targets: Mapping[str, Target], now: datetime = NOW) -> tuple[Repository, Repository]:
    """An image repository in which these are published, and a director that assigns them."""
    image = found(keys.image, now)
    public = [one.public_key for one in keys.supplier]
    image = delegate(image, public, len(public), [HARDWARE], keys.image, now)
    image = approve(publish(image, targets, keys.supplier, now), keys.image, now)
    orders = {path: order(target) for path, target in targets.items()}
    return image, assign(rooted(keys.director, now), orders, keys.director, now)


def targets_of(granted: Licence | None = None, bundle: bytes | None = None, **said: Any) -> dict[str, Target]:
    granted = granted or licence()
    return {
        BUNDLE_PATH: Target(bundle or bundle_bytes(), custom("bundle", **said)),
        granted.path: Target(
            granted.to_bytes(), custom("licence", **{k: v for k, v in said.items() if k == "counter"})
        ),
    }


def world_of(keys: Keys, targets: Mapping[str, Target], now: datetime = NOW) -> World:
    image, director = delivered(keys, targets, now)
    by_kind = {target.custom["kind"]: target.data for target in targets.values()}
    memory = Memory(Remembered(image.metadata("root", 1)), Remembered(director.metadata("root", 1)))
    return World(keys, vehicle(), memory, image, director, by_kind["bundle"], by_kind["licence"], now)
