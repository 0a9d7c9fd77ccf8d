"""In: drives. Out: clips with labels, tags and splits."""

from dojo.curate.balance import balance, effective_sample_size
from dojo.curate.config import CurateConfig
from dojo.curate.curate import Curation, curate
from dojo.curate.cut import cut
from dojo.curate.split import Split, assign_splits, require_disjoint

__all__ = [
    "CurateConfig",
    "Curation",
    "Split",
    "assign_splits",
    "balance",
    "curate",
    "cut",
    "effective_sample_size",
    "require_disjoint",
]
