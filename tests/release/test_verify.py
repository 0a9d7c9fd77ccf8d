"""What a vehicle accepts, and an opponent in memory who replays, rolls back, truncates, mixes and forges."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from carmakers import (
    BUNDLE_PATH,
    HARDWARE,
    NOW,
    Keys,
    World,
    bundle_bytes,
    custom,
    licence,
    new_keys,
    order,
    targets_of,
    vehicle,
    world_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from securesystemslib.signer import Signature
from tuf.api.metadata import Metadata, Root

from dojo.release.repository import (
    Repository,
    Target,
    approve,
    assign,
    delegate,
    publish,
    revoke,
    rooted,
    with_new_root,
)
from dojo.release.verify import Accepted, Refused, Served, verify


def test_what_both_repositories_say_and_the_licence_grants_is_accepted(world: World) -> None:
    verdict = world.verdict()
    assert isinstance(verdict, Accepted), verdict
    assert (verdict.bundle, verdict.licence.licence_id) == (BUNDLE_PATH, "l1")
    assert verdict.memory.counter == 1
    assert verdict.memory.latest == NOW
    assert dict(verdict.memory.image.versions) == {"timestamp": 2, "snapshot": 2, "targets": 2, "dojo": 1}


def test_the_same_delivery_is_accepted_again(world: World) -> None:
    assert world.remembering().rule == ""


# Files.


def test_one_flipped_byte_of_the_bundle_is_refused(world: World) -> None:
    data = bytearray(world.bundle)
    data[700] ^= 1
    assert world.but(bundle=bytes(data)).rule == "tampered_file"


def test_a_byte_too_many_is_refused(world: World) -> None:
    assert world.but(bundle=world.bundle + b"!").rule == "tampered_file"


def test_a_truncated_download_is_refused(world: World) -> None:
    verdict = world.but(bundle=world.bundle[:-1]).verdict()
    assert isinstance(verdict, Refused)
    assert verdict.rule == "truncated_download"
    assert verdict.why == f"{BUNDLE_PATH}: expected {len(world.bundle)} bytes, got {len(world.bundle) - 1}"


def test_a_licence_that_somebody_lengthened_is_refused(world: World) -> None:
    longer = licence(valid_until=NOW + timedelta(days=3650)).to_bytes()
    assert world.but(licence=longer).rule == "tampered_file"


# Who and what it is for.


def test_the_licence_of_another_carmaker_is_refused_although_it_was_signed(keys: Keys) -> None:
    assert world_of(keys, targets_of(licence(carmaker="borealis"))).rule == "wrong_carmaker"


def test_a_bundle_made_for_another_carmaker_is_refused(keys: Keys) -> None:
    assert world_of(keys, targets_of(carmaker="borealis")).rule == "wrong_carmaker"


def test_orders_for_another_carmaker_vehicle_or_computer_are_refused(world: World) -> None:
    orders = targets_of()
    for change, rule in (
        ({"carmaker": "borealis"}, "wrong_carmaker"),
        ({"vehicle_id": "v-002"}, "wrong_vehicle"),
        ({"hardware_id": "radio"}, "wrong_hardware"),
    ):
        changed = {path: order(target, **change) for path, target in orders.items()}
        director = assign(rooted(world.keys.director, NOW), changed, world.keys.director, NOW)
        assert world.but(director=director, memory=_trusting(world, director)).rule == rule


def _trusting(world: World, director: Repository) -> object:
    return replace(world.memory, director=replace(world.memory.director, root=director.metadata("root", 1)))


def test_a_vehicle_with_another_computer_refuses(world: World) -> None:
    assert world.but(vehicle=replace(vehicle(), hardware_id="adas-ecu-1")).rule == "wrong_hardware"


def test_a_bundle_for_other_computers_is_refused_although_it_lies_in_the_right_place(keys: Keys) -> None:
    assert world_of(keys, targets_of(hardware_ids=["adas-ecu-9"])).rule == "wrong_hardware"


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"platform": "meteor"}, "wrong_platform"),
        ({"market": "US"}, "wrong_market"),
        ({"operational_domain": "motorway"}, "wrong_domain"),
        ({"valid_from": NOW + timedelta(seconds=1)}, "licence_not_yet_valid"),
        ({"valid_until": NOW}, "licence_expired"),
        ({"minimum_limits_version": 4}, "limits_too_old"),
    ],
)
def test_a_licence_grants_what_it_says_and_nothing_else(keys: Keys, change: dict[str, object], rule: str) -> None:
    assert world_of(keys, targets_of(licence(**change))).rule == rule


def test_a_licence_expires_with_the_clock_and_not_before(keys: Keys) -> None:
    world = world_of(keys, targets_of(licence(valid_until=NOW + timedelta(days=3))))
    assert world.but(now=NOW + timedelta(days=3, seconds=-1)).rule == ""
    assert world.but(now=NOW + timedelta(days=3)).rule == "licence_expired"


def test_a_licence_is_granted_from_its_first_moment_and_for_the_limits_it_names(keys: Keys) -> None:
    assert world_of(keys, targets_of(licence(valid_from=NOW))).rule == ""
    assert world_of(keys, targets_of(licence(minimum_limits_version=vehicle().limits_version))).rule == ""


def test_a_clock_that_was_set_back_revives_nothing(keys: Keys) -> None:
    granted = licence(valid_until=NOW + timedelta(hours=2))
    world = world_of(keys, targets_of(granted)).remembering()
    late = world.but(memory=replace(world.memory, latest=NOW + timedelta(hours=2)))
    assert late.rule == "licence_expired"


def test_a_bundle_that_was_released_for_another_domain_is_refused(keys: Keys) -> None:
    assert world_of(keys, targets_of(domains=["motorway"])).rule == "wrong_domain"


def test_a_bundle_that_asks_for_newer_limits_is_refused(keys: Keys) -> None:
    assert world_of(keys, targets_of(minimum_limits_version=4)).rule == "limits_too_old"


def test_a_licence_under_the_name_of_another_is_refused(keys: Keys) -> None:
    targets = targets_of()
    path = f"dojo/{HARDWARE}/licence-other.json"
    targets[path] = targets.pop(licence().path)
    assert world_of(keys, targets).rule == "licence_unreadable"


def test_a_licence_that_cannot_be_read_is_refused(keys: Keys) -> None:
    targets = targets_of()
    targets[licence().path] = Target(b"{}", targets[licence().path].custom)
    assert world_of(keys, targets).rule == "licence_unreadable"


# Withdrawn.


def _published_again(world: World, image: Repository) -> World:
    return world.but(image=approve(image, world.keys.image, NOW))


@pytest.mark.parametrize(("path", "rule"), [(licence().path, "licence_revoked"), (BUNDLE_PATH, "bundle_revoked")])
def test_what_was_revoked_is_refused_from_the_next_approval_on(world: World, path: str, rule: str) -> None:
    image = revoke(world.image, path, world.keys.supplier, NOW)
    assert world.but(image=image).rule == ""
    assert _published_again(world, image).rule == rule


# Older than what was seen.


def test_an_older_release_is_refused_after_a_newer_one(keys: Keys) -> None:
    newer = world_of(keys, targets_of(bundle=bundle_bytes("newer"), counter=5)).remembering()
    older = world_of(keys, targets_of(counter=4))
    # The carmaker's own repositories go back: newer metadata, an older release.
    assert older.but(memory=replace(older.memory, counter=newer.memory.counter)).rule == "release_rolled_back"
    assert older.but(memory=replace(older.memory, counter=4)).rule == ""


def test_metadata_from_before_is_refused(world: World) -> None:
    after = _published_again(world, world.image).remembering()
    assert after.but(image=world.image).rule == "metadata_replayed"
    renewed = assign(world.director, _orders(world), world.keys.director, NOW)
    after = world.but(director=renewed).remembering()
    assert after.but(director=world.director).rule == "metadata_replayed"


def _orders(_world: World) -> dict[str, Target]:
    return {path: order(target) for path, target in targets_of().items()}


def test_metadata_that_is_held_back_is_refused_once_it_expires(world: World) -> None:
    assert world.but(now=NOW + timedelta(days=7, seconds=-1)).rule == ""
    assert world.but(now=NOW + timedelta(days=7)).rule == "metadata_frozen"
    verdict = world.but(now=NOW + timedelta(days=8)).verdict()
    assert isinstance(verdict, Refused)
    assert verdict.rule == "metadata_frozen"
    assert "image repository: timestamp expired" in verdict.why


def test_an_expired_root_is_refused_before_anything_else(world: World) -> None:
    verdict = world.but(now=NOW + timedelta(days=365)).verdict()
    assert isinstance(verdict, Refused)
    assert verdict.rule == "metadata_frozen"
    assert "the root expired" in verdict.why


# Mixed.


def test_the_image_repository_of_another_carmaker_is_refused(world: World, other_keys: Keys) -> None:
    foreign = world_of(other_keys, targets_of())
    assert world.but(image=foreign.image).rule == "repositories_mixed"
    assert world.but(director=foreign.director).rule == "repositories_mixed"


def test_a_director_that_orders_what_the_image_repository_does_not_have_is_refused(world: World) -> None:
    other = targets_of(bundle=bundle_bytes("another"))
    for orders in (
        {path: order(target) for path, target in other.items()},
        {path: order(target, counter=7) for path, target in targets_of().items()},
        {path.replace("demo-1", "demo-2"): order(target) for path, target in targets_of().items()},
    ):
        director = assign(world.director, orders, world.keys.director, NOW)
        assert world.but(director=director).rule == "repositories_mixed"


@pytest.mark.parametrize("role", ["snapshot", "targets", "supplier"])
def test_parts_of_two_versions_of_one_repository_do_not_go_together(world: World, role: str) -> None:
    more = publish(world.image, targets_of(licence(licence_id="l2")), world.keys.supplier, NOW)
    more = delegate(more, [k.public_key for k in world.keys.supplier], 2, [HARDWARE], world.keys.image, NOW)
    newer = approve(more, world.keys.image, NOW).served()
    mixed = replace(newer, **{role: getattr(world.image.served(), role)})
    assert _rule(world, mixed) == "repositories_mixed"


def test_a_snapshot_of_another_version_than_listed_is_refused(world: World) -> None:
    served = world.image.served()
    timestamp = Metadata.from_bytes(served.timestamp)
    timestamp.signed.snapshot_meta.version += 1
    assert _rule(world, replace(served, timestamp=_signed(timestamp, world.keys.image.online))) == "repositories_mixed"


def _signed(metadata: Metadata, signers: tuple, append: bool = False) -> bytes:
    for number, signer in enumerate(signers):
        metadata.sign(signer, append=append or number > 0)
    return metadata.to_bytes()


def _rule(world: World, image: Served | None = None, director: Served | None = None) -> str:
    verdict = verify(
        world.vehicle,
        world.memory,
        image or world.image.served(),
        director or world.director.served(),
        world.bundle,
        world.licence,
        world.now,
    )
    return verdict.rule if isinstance(verdict, Refused) else ""


# Keys.


def test_one_of_two_keys_is_not_enough(keys: Keys) -> None:
    targets = targets_of()
    world = world_of(keys, targets)
    alone = publish(world.image, targets, keys.supplier[:1], NOW)
    verdict = world.but(image=approve(alone, keys.image, NOW)).verdict()
    assert isinstance(verdict, Refused)
    assert (verdict.rule, verdict.why) == (
        "below_threshold",
        "image repository: dojo: expected signatures of 2 keys, got 1",
    )


def test_a_key_that_signs_twice_counts_once(world: World) -> None:
    served = world.image.served()
    metadata = Metadata.from_bytes(served.supplier)
    only = next(iter(metadata.signatures.values()))
    metadata.signatures = {only.keyid: only, "f" * 64: Signature("f" * 64, only.signature)}
    assert _rule(world, _relisted(world, metadata.to_bytes())) == "below_threshold"


def _relisted(world: World, supplier: bytes) -> Served:
    """A carmaker who approves whatever its supplier handed in."""
    version = world.image.newest("dojo")
    image = approve(world.image.with_files({f"metadata/{version}.dojo.json": supplier}), world.keys.image, NOW)
    return image.served()


def test_content_changed_after_it_was_signed_is_refused(world: World) -> None:
    metadata = json.loads(world.image.served().supplier)
    metadata["signed"]["targets"][BUNDLE_PATH]["custom"]["counter"] = 9
    assert _rule(world, _relisted(world, json.dumps(metadata).encode())) == "tampered_file"


def test_the_supplier_may_sign_only_where_the_carmaker_lets_it(world: World) -> None:
    public = [one.public_key for one in world.keys.supplier]
    image = delegate(world.image, public, 2, ["another-ecu"], world.keys.image, NOW)
    assert _published_again(world, image).rule == "outside_delegation"


def test_a_director_that_delegates_is_refused(world: World) -> None:
    public = [one.public_key for one in world.keys.supplier]
    director = delegate(world.director, public, 2, [HARDWARE], world.keys.director, NOW)
    director = approve(publish(director, targets_of(), world.keys.supplier, NOW), world.keys.director, NOW)
    assert world.but(director=director).rule == "director_delegates"


def test_supplier_metadata_where_nothing_was_delegated_is_refused(world: World) -> None:
    served = replace(world.director.served(), supplier=world.image.served().supplier)
    assert _rule(world, director=served) == "metadata_unreadable"


@pytest.mark.parametrize("assigned", [[], ["bundle"], ["bundle", "licence", "licence"]])
def test_a_vehicle_is_assigned_one_bundle_and_one_licence(world: World, assigned: list[str]) -> None:
    targets = {f"dojo/{HARDWARE}/{n}": order(Target(b"x", custom(kind))) for n, kind in enumerate(assigned)}
    if assigned:
        targets[BUNDLE_PATH] = _orders(world)[BUNDLE_PATH]
        del targets[f"dojo/{HARDWARE}/0"]
    director = assign(world.director, targets, world.keys.director, NOW)
    assert world.but(director=director).rule == "not_assigned"


# New roots.


def test_a_vehicle_follows_its_carmaker_to_new_keys(world: World, other_keys: Keys) -> None:
    old, new = world.keys.image, replace(other_keys.image, targets=world.keys.image.targets)

    def change(root: Root) -> None:
        for role, gone, come in (("root", old.root, new.root), ("timestamp", old.online, new.online)):
            for key in gone:
                root.revoke_key(key.public_key.keyid, role)
            for key in come:
                root.add_key(key.public_key, role)
        for key in old.online:
            root.revoke_key(key.public_key.keyid, "snapshot")
        for key in new.online:
            root.add_key(key.public_key, "snapshot")

    def moved(signers: tuple) -> World:
        return world.but(image=approve(with_new_root(world.image, change, signers, NOW), new, NOW))

    assert moved((*old.root, *new.root)).rule == ""
    assert moved(old.root).rule == "repositories_mixed"
    assert moved(new.root).rule == "repositories_mixed"
    assert moved((*old.root, *new.root[:1])).rule == "below_threshold"
    # Whoever stole the online key may have counted far up; changing the key makes that void.
    stolen = replace(world.memory, image=replace(world.memory.image, versions={"timestamp": 10**6, "targets": 1}))
    assert world.but(memory=stolen).rule == "metadata_replayed"
    assert moved((*old.root, *new.root)).but(memory=stolen).rule == ""


def test_roots_come_one_after_the_other(world: World) -> None:
    signers = world.keys.image.root
    second = with_new_root(world.image, lambda root: None, signers, NOW)
    third = with_new_root(second, lambda root: None, signers, NOW)
    skipped = replace(third.served(), roots=third.served().roots[1:])
    assert _rule(world, third.served()) == ""
    assert _rule(world, skipped) == "metadata_replayed"


# Nonsense.


@pytest.mark.parametrize("name", ["timestamp", "snapshot", "targets", "supplier"])
@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b"null"])
def test_what_is_no_metadata_is_refused(world: World, name: str, data: bytes) -> None:
    assert _rule(world, replace(world.image.served(), **{name: data})) in ("metadata_unreadable", "repositories_mixed")


def test_metadata_of_another_kind_is_refused(world: World) -> None:
    served = world.image.served()
    assert _rule(world, replace(served, timestamp=served.snapshot)) == "metadata_unreadable"


def test_targets_about_which_nothing_is_said_are_refused(world: World) -> None:
    silent = {path: Target(target.data, {}) for path, target in targets_of().items()}
    director = assign(world.director, silent, world.keys.director, NOW)
    assert world.but(director=director).rule == "metadata_unreadable"


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_an_opponent_changes_on_the_way_nothing_changed_is_accepted(data: st.DataObject) -> None:
    world = _WORLD
    served = {"image": world.image.served(), "director": world.director.served()}
    where = data.draw(st.sampled_from(["image", "director"]))
    name = data.draw(st.sampled_from(["timestamp", "snapshot", "targets"]))
    content = getattr(served[where], name)
    at, what = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(0, 255))
    changed = content[:at] + bytes([what]) + content[at + 1 :]
    if data.draw(st.booleans()):
        changed = content[:at]
    served[where] = replace(served[where], **{name: changed})
    rule = _rule(world, served["image"], served["director"])
    assert rule or _means_the_same(changed, content)


def _means_the_same(changed: bytes, content: bytes) -> bool:
    """White space, and names of signatures that nobody asks about, are not signed."""
    try:
        return bool(json.loads(changed)["signed"] == json.loads(content)["signed"])
    except ValueError:
        return False


_WORLD = world_of(new_keys(), targets_of())
