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
from dojo.store.embeddings import Embeddings
from dojo.store.erase import erase, rows_left, traces_of
from dojo.store.search import search


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


def test_a_vehicle_is_erased_from_a_bucket_too(bucket: dict[str, str], small: SimpleNamespace) -> None:
    uri = "s3://bucket/erasing/data"
    dataset = Dataset.create(uri, bucket)
    drives = [small.drive(name) for name in "ab"]
    for number, drive in enumerate(drives):
        dataset.add(drive, small.chunks(drive, first_number=7 * number))
    for cut in range(2):
        dataset.put_clips([small.clip(drive, f"{drive.vehicle_id}{cut}") for drive in drives], {"cut": cut})
    clips = dataset.clips()
    vectors = np.random.default_rng(0).normal(size=(len(clips), 16)).astype(np.float32)
    parts = [([clip.clip_id for clip in clips], [clip.vehicle_id for clip in clips], vectors)]
    Embeddings.put(dataset, parts, 16, "model")
    early = dataset.version

    traces = traces_of(dataset, drives[0].vehicle_id)
    patterns = {word.encode() for word in traces.words()} | {bytes.fromhex(probe) for probe in traces.probes}
    vector = vectors[0].astype(np.float16).tobytes()
    assert {hit.pattern for hit in search(uri, {*patterns, vector}, bucket).hits} >= {
        vector,
        *map(bytes.fromhex, traces.probes),
    }
    erase(dataset, traces, "e1")
    assert search(uri, {*patterns, vector}, bucket).hits == ()
    assert rows_left(dataset, traces) == 0
    again = Dataset.open(uri, storage_options=bucket)
    assert again.verify() == []
    assert [drive.drive_id for drive in again.drives()] == [drives[1].drive_id]
    with pytest.raises(StoreError, match="has no version"):
        Dataset.open(uri, early, bucket)
