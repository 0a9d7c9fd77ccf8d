"""`dojo tidy`: join the small files of a dataset and let old versions of it go.

In: a dataset. Out: the same contents in fewer files and bytes.
Not here: how (`store/tidy.py`); removing contents (`erase.py`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta

import tyro
from rich.console import Console

from dojo.errors import ConfigError
from dojo.recipes.run import Outcome
from dojo.store.dataset import Dataset
from dojo.store.tidy import tidy


@dataclass(frozen=True)
class TidyRun:
    """Join the small files of a dataset and let old versions of it go.

    Args:
        dataset: folder or object-store URI of the dataset.
        keep_days: versions younger than this stay, so that runs which name them can be repeated, and processes that
            read them go on; 0 keeps the newest alone.
    """

    dataset: tyro.conf.Positional[str]
    keep_days: float = 14.0

    def __post_init__(self) -> None:
        if not 0 <= self.keep_days < 36500:
            raise ConfigError(f"tidy: expected keep_days from 0 to 36,500, got {self.keep_days}")


CONFIG = TidyRun
CONFIGS = {"tidy": TidyRun}


def run(config: TidyRun, console: Console) -> Outcome:
    """Join and let go; may be interrupted at any moment and repeated."""
    started = time.monotonic()
    dataset = Dataset.open(config.dataset)
    with console.status("tidying"):
        done = tidy(dataset, timedelta(days=config.keep_days))
    facts = {
        "dataset_version": dataset.version,
        "files": {"before": done.files[0], "after": done.files[1]},
        "megabytes": {name: size / 1e6 for name, size in zip(("before", "after"), done.size_bytes, strict=True)},
        "versions": {"before": done.versions[0], "after": done.versions[1]},
        "seconds": round(time.monotonic() - started, 1),
    }
    return Outcome.listing("tidied", facts)
