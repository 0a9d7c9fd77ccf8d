from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from carmakers import (
    BUNDLE_PATH,
    HARDWARE,
    NOW,
    Keys,
    World,
    bundle_bytes,
    custom,
    delivered,
    licence,
    targets_of,
)
from securesystemslib.signer import CryptoSigner, Signature
from tuf.api.exceptions import BadVersionNumberError, DownloadHTTPError, ExpiredMetadataError, RepositoryError
from tuf.ngclient import FetcherInterface, Updater

from dojo.errors import ReleaseError
from dojo.release.repository import (
    Expiry,
    Repository,
    Target,
    approve,
    assign,
    delegate,
    found,
    publish,
    read_repository,
    revoke,
    version_of,
    write_repository,
)


class Folder(FetcherInterface):
    """python-tuf's client, fed from files; nothing goes over a network."""

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = Path(url.removeprefix("file://"))
        if not path.is_file():
            raise DownloadHTTPError("not there", 404)
        yield path.read_bytes()


def client(repository: Path, scratch: Path, root: bytes) -> Updater:
    scratch.mkdir(exist_ok=True)
    (scratch / "targets").mkdir(exist_ok=True)
    return Updater(
        str(scratch),
        f"file://{repository / 'metadata'}",
        str(scratch / "targets"),
        f"file://{repository / 'targets'}",
        Folder(),
        bootstrap=root,
    )


@pytest.fixture
def today(keys: Keys) -> tuple[Repository, Repository]:
    """Repositories of today, as python-tuf's client reads the clock itself."""
    return delivered(keys, targets_of(), datetime.now(UTC))


def test_python_tufs_own_client_accepts_both_repositories_and_their_files(
    today: tuple[Repository, Repository], tmp_path: Path
) -> None:
    for name, repository in zip(("image", "director"), today, strict=True):
        write_repository(tmp_path / name, repository)
        reader = client(tmp_path / name, tmp_path / f"{name}-client", repository.metadata("root", 1))
        reader.refresh()
        target = reader.get_targetinfo(BUNDLE_PATH)
        assert target is not None
        assert target.custom["kind"] == "bundle"
        if name == "image":  # files lie in the image repository alone
            assert Path(reader.download_target(target)).read_bytes() == bundle_bytes()
            assert reader.get_targetinfo(f"dojo/{HARDWARE}/nothing") is None
            assert reader.get_targetinfo("dojo/another-ecu/demo-1.tar") is None


def test_python_tufs_own_client_refuses_what_was_rolled_back_or_is_of_another(
    today: tuple[Repository, Repository], keys: Keys, other_keys: Keys, tmp_path: Path
) -> None:
    image, _ = today
    write_repository(tmp_path / "newer", approve(image, keys.image, datetime.now(UTC)))
    write_repository(tmp_path / "older", image)
    root = image.metadata("root", 1)
    client(tmp_path / "newer", tmp_path / "vehicle", root).refresh()
    with pytest.raises(BadVersionNumberError):
        client(tmp_path / "older", tmp_path / "vehicle", root).refresh()
    foreign, _ = delivered(other_keys, targets_of(), datetime.now(UTC))
    write_repository(tmp_path / "foreign", foreign)
    with pytest.raises(RepositoryError):
        client(tmp_path / "foreign", tmp_path / "another", root).refresh()


def test_python_tufs_own_client_refuses_what_expired(world: World, tmp_path: Path) -> None:
    long_ago, _ = delivered(world.keys, targets_of(), datetime(2020, 1, 1, tzinfo=UTC))
    write_repository(tmp_path / "old", long_ago)
    with pytest.raises(ExpiredMetadataError):
        client(tmp_path / "old", tmp_path / "vehicle", long_ago.metadata("root", 1)).refresh()


def test_what_lies_in_a_folder_is_what_was_written_and_only_grows(world: World, tmp_path: Path) -> None:
    write_repository(tmp_path, world.image)
    assert read_repository(tmp_path) == world.image
    later = approve(world.image, world.keys.image, NOW)
    write_repository(tmp_path, later)
    assert set(world.image.files) <= set(read_repository(tmp_path).files)
    assert version_of(read_repository(tmp_path).served().timestamp) == 3


def test_a_supplier_may_publish_only_where_it_was_delegated(world: World) -> None:
    for path in ("dojo/another-ecu/demo-1.tar", f"dojo/{HARDWARE}/sub/demo-1.tar", f"other/{HARDWARE}/demo-1.tar"):
        target = {path: Target(b"x", custom("bundle"))}
        with pytest.raises(ReleaseError, match=r"outside_delegation: expected paths below dojo/adas-ecu-2/\*, got"):
            publish(world.image, target, world.keys.supplier, NOW)
    with pytest.raises(ReleaseError, match="expected paths below a delegation"):
        publish(found(world.keys.image, NOW), {"dojo/x/y": Target(b"", {})}, world.keys.supplier, NOW)


def test_what_was_published_is_seen_only_once_it_is_approved(world: World) -> None:
    second = licence(licence_id="l2")
    more = publish(world.image, {second.path: Target(second.to_bytes(), custom("licence"))}, world.keys.supplier, NOW)
    assert more.served() == world.image.served()
    assert set(more.listed("dojo")) == {*world.image.listed("dojo"), second.path}
    assert approve(more, world.keys.image, NOW).served().supplier == more.metadata("dojo", 2)


def test_what_was_revoked_stays_listed_and_stays_revoked_when_more_is_published(world: World) -> None:
    gone = revoke(world.image, licence().path, world.keys.supplier, NOW)
    more = publish(gone, {BUNDLE_PATH: Target(b"next", custom("bundle"))}, world.keys.supplier, NOW)
    assert more.listed("dojo")[licence().path].custom["revoked"] is True
    with pytest.raises(ReleaseError, match="not_published: expected one of"):
        revoke(world.image, "dojo/x/y", world.keys.supplier, NOW)
    with pytest.raises(ReleaseError, match="expected one of no files"):
        revoke(found(world.keys.image, NOW), "dojo/x/y", world.keys.supplier, NOW)


def test_a_repository_of_which_a_part_is_missing_says_which(world: World, tmp_path: Path) -> None:
    files = {name: data for name, data in world.image.files.items() if name != "metadata/2.snapshot.json"}
    with pytest.raises(ReleaseError, match=r"repository_incomplete: expected metadata/2\.snapshot\.json"):
        Repository(files).served()
    with pytest.raises(ReleaseError, match="found no metadata"):
        read_repository(tmp_path)
    with pytest.raises(ReleaseError, match="repository_incomplete: expected targets/dojo/adas"):
        world.image.target(BUNDLE_PATH, "0" * 64)


def test_a_key_that_does_not_sign_is_named_and_nothing_it_said_is_quoted(world: World) -> None:
    class Token(CryptoSigner):
        def sign(self, payload: bytes) -> Signature:
            raise RuntimeError("the PIN 1234 is wrong")

    token = Token(world.keys.supplier[0]._private_key)
    with pytest.raises(
        ReleaseError, match=r"not_signed: targets: expected a signature of key .*RuntimeError"
    ) as refused:
        publish(world.image, {BUNDLE_PATH: Target(b"x", custom("bundle"))}, (token,), NOW)
    assert "1234" not in "".join(traceback.format_exception(refused.value))


def test_what_is_no_metadata_is_named(world: World) -> None:
    broken = world.image.with_files({"metadata/timestamp.json": b"{}"})
    with pytest.raises(ReleaseError, match="metadata_unreadable"):
        broken.served()


def test_a_second_delegation_replaces_the_first(world: World) -> None:
    public = [one.public_key for one in world.keys.supplier]
    image = delegate(world.image, public, 2, [HARDWARE, "radio"], world.keys.image, NOW)
    added = publish(image, {"dojo/radio/demo-1.tar": Target(b"x", custom("bundle"))}, world.keys.supplier, NOW)
    assert "dojo/radio/demo-1.tar" in added.listed("dojo")


def test_expiry_is_the_carmakers_choice(world: World) -> None:
    soon = replace(Expiry(), timestamp=Expiry().timestamp / 7)
    director = assign(world.director, {}, world.keys.director, NOW, soon)
    assert director.served().timestamp != world.director.served().timestamp
