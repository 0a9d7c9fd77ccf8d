from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dojo.errors import ReleaseError
from dojo.release.archive import pack, unpack

NAMES = st.lists(st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8}){0,2}\.[a-z]{1,3}", fullmatch=True), unique=True, max_size=5)


@settings(max_examples=30, deadline=None)
@given(names=NAMES, data=st.data())
def test_what_was_packed_comes_back_and_the_order_does_not_matter(names: list[str], data: st.DataObject) -> None:
    files = {name: data.draw(st.binary(max_size=2000)) for name in names}
    packed = pack(files)
    assert unpack(packed) == files
    assert pack(dict(reversed(files.items()))) == packed


def test_no_time_no_owner_and_no_mode_goes_in() -> None:
    with tarfile.open(fileobj=io.BytesIO(pack({"a": b"1"}))) as archive:
        (entry,) = archive.getmembers()
    assert (entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname, entry.mode) == (0, 0, 0, "", "", 0o644)


@pytest.mark.parametrize("name", ["../up", "/root", "a/../b", "a//b", "a\\b", "./a", "."])
def test_a_name_that_could_lead_elsewhere_is_refused_both_ways(name: str) -> None:
    with pytest.raises(ReleaseError, match="expected plain"):
        pack({name: b"x"})
    with pytest.raises(ReleaseError, match="expected plain"):
        unpack(_tar(tarfile.TarInfo(name)))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_links_folders_and_devices_are_refused(kind: bytes) -> None:
    entry = tarfile.TarInfo("innocent")
    entry.type, entry.linkname = kind, "elsewhere"
    with pytest.raises(ReleaseError, match=r"bundle_unreadable: expected plain files, each once, got 'innocent'"):
        unpack(_tar(entry))


def test_a_name_twice_is_refused() -> None:
    with pytest.raises(ReleaseError, match="each once"):
        unpack(_tar(tarfile.TarInfo("a"), tarfile.TarInfo("a")))


def test_a_tar_that_is_cut_off_or_none_is_refused() -> None:
    for data in (pack({"a": b"x" * 3000})[:1500], b"not a tar", b"x" * 5000):
        with pytest.raises(ReleaseError, match="expected a whole tar"):
            unpack(data)


def _tar(*entries: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for entry in entries:
            archive.addfile(entry, io.BytesIO())
    return buffer.getvalue()
