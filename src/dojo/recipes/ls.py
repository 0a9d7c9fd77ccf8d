"""`dojo ls`: what a dataset holds."""

from __future__ import annotations

from dataclasses import dataclass

import tyro
from rich.console import Console

from dojo.recipes.run import Outcome
from dojo.store.dataset import Dataset
from dojo.store.describe import describe, facts


@dataclass(frozen=True)
class LsRun:
    """Say what a dataset holds.

    Args:
        dataset: folder or object-store URI of the dataset.
        version: an earlier version of it, as `ls` lists them; the newest if not given.
    """

    dataset: tyro.conf.Positional[str]
    version: str | None = None


CONFIG = LsRun
CONFIGS = {"ls": LsRun}


def run(config: LsRun, console: Console) -> Outcome:
    """Open the dataset and describe it; nothing is written."""
    dataset = Dataset.open(config.dataset, version=config.version)
    return Outcome(facts(dataset), describe(dataset))
