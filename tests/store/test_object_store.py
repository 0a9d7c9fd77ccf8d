"""A dataset on an object store behaves like one on disk."""

from __future__ import annotations

import pickle
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dojo.errors import StoreError
from dojo.store import Dataset


@pytest.fixture(scope="module")
def bucket() -> Iterator[dict[str, str]]:
    """Options for a bucket named `bucket` in an S3 service on this machine."""
    moto = pytest.importorskip("moto.server", reason="needs a local S3 service: pip install '.[dev]'")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/bucket", method="PUT")).close()
    yield {
        "aws_endpoint": f"http://{host}:{port}",
        "allow_http": "true",
        "aws_access_key_id": "any",
        "aws_secret_access_key": "any",
        "aws_region": "us-east-1",
    }
    server.stop()


def test_drives_frames_clips_and_versions_live_in_a_bucket_too(
    bucket: dict[str, str], tmp_path: Path, small: SimpleNamespace
) -> None:
    uri = "s3://bucket/fleet/data"
    remote, local = Dataset.create(uri, bucket), Dataset.create(str(tmp_path))
    for name in "ab":
        remote.add(small.drive(name), small.chunks(small.drive(name)))
    remote.put_clips([small.clip(small.drive("a"))], {})
    early = Dataset.open(uri, remote.version, bucket)
    remote.add(small.drive("c"), small.chunks(small.drive("c")))
    for name in "cba":
        local.add(small.drive(name), small.chunks(small.drive(name)))
    local.put_clips([small.clip(small.drive("a"))], {})

    again = Dataset.open(uri, storage_options=bucket)
    assert again.content_hash() == local.content_hash()
    assert again.verify() == []
    frames = again.frames(small.drive("b").drive_id, "front", np.array([77, 3]))
    assert [small.number_of(frame) for frame in frames] == [77, 3]
    past = pickle.loads(pickle.dumps(early))
    assert (len(past.drives()), len(past.clips())) == (2, 1)


def test_an_empty_place_in_a_bucket_is_named(bucket: dict[str, str]) -> None:
    with pytest.raises(StoreError, match=r"s3://bucket/nothing/intake\.lance: expected a dataset, found none"):
        Dataset.open("s3://bucket/nothing", storage_options=bucket)
