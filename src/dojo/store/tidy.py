"""Housekeeping: many small files joined, old versions let go.

In: a dataset. Out: the same dataset in fewer files and bytes.
Idea: every recording that is received adds files, and every curation keeps the clips of the one before. Joining makes
reading quick again; letting go frees the disk. Contents, and the hash that names them, stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from dojo.store.dataset import Dataset
from dojo.store.embeddings import Embeddings
from dojo.store.search import search


@dataclass(frozen=True)
class Tidied:
    """What housekeeping did: files, bytes and versions before and after."""

    files: tuple[int, int]
    size_bytes: tuple[int, int]
    versions: tuple[int, int]


def tidy(dataset: Dataset, keep: timedelta) -> Tidied:
    """Files joined, and versions older than `keep` removed, of every table.

    Processes that read an older version while it goes must open the dataset again.
    """
    before, versions = search(dataset.uri, (), dataset.storage_options), len(dataset.history())
    dataset.compact()
    dataset.vacuum(keep)
    embeddings = Embeddings.found(dataset)
    if embeddings is not None:
        embeddings.vacuum(keep)
    after = search(dataset.uri, (), dataset.storage_options)
    return Tidied(
        (before.files, after.files), (before.size_bytes, after.size_bytes), (versions, len(dataset.history()))
    )
