"""In: drives. Out: drives and clips by query, versioned, on disk or object storage.

A recording is received whole or not at all: `dataset.py` says how; `table.py` is the only file that knows Lance.
"""

from dojo.store.dataset import Dataset
from dojo.store.describe import describe, facts
from dojo.store.footage import DriveWithVideo
from dojo.store.summary import Summary
from dojo.store.video import decode_chunk, encode_chunks

__all__ = ["Dataset", "DriveWithVideo", "Summary", "decode_chunk", "describe", "encode_chunks", "facts"]
