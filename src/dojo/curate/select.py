"""A balanced selection: so many clips, the rare kinds as well as the common.

In: the kind of each clip. Out: which clips to take.
Idea: within a kind every clip has the same chance; between kinds the chance falls with frequency ** tempering, but
never above one, so a rare kind is taken whole before any clip is taken twice. Systematic sampling gives every kind its
share rounded up or down.
Not here: how often chosen clips are drawn in training (`balance.py`).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64

from dojo.errors import ConfigError


def balanced(
    kind: Int64[np.ndarray, " n"], count: int, tempering: float = 0.5, seed: int = 0
) -> Int64[np.ndarray, " count"]:
    """Indices of the clips that are chosen, each once, ascending.

    Args:
        kind: number of the kind of each clip, from zero.
        tempering: 0 keeps the natural mix, 1 gives every kind the same number as far as it has so many.

    Raises:
        ConfigError: more clips are wanted than there are.
    """
    if not 0 <= count <= len(kind):
        raise ConfigError(f"select: expected a count from 0 to the {len(kind)} clips there are, got {count}")
    frequency = np.bincount(kind)
    weight = np.zeros(len(frequency))
    weight[frequency > 0] = (frequency[frequency > 0] / len(kind)) ** -tempering
    chance = _chances(weight, frequency, count)[kind]
    rng = np.random.default_rng(seed)
    # Kinds lie together and clips within them in random sequence: each kind gets its share, and any of its clips.
    laid = np.lexsort((rng.random(len(kind)), kind))
    ends = np.cumsum(chance[laid])
    if count:
        ends *= count / ends[-1]
    taken = np.searchsorted(ends, np.arange(count) + rng.random(), side="right")
    return np.sort(laid[np.minimum(taken, len(kind) - 1)])


def _chances(
    weight: Float64[np.ndarray, " kinds"], frequency: Int64[np.ndarray, " kinds"], count: int
) -> Float64[np.ndarray, " kinds"]:
    """The chance of each clip of a kind: in proportion to its weight but at most one, adding up to `count`."""
    full = np.zeros(len(weight), np.bool_)
    while True:
        rest = count - frequency[full].sum()
        mass = float((weight * frequency)[~full].sum())
        chance = np.where(full, 1.0, weight * (rest / mass if mass else 0.0))
        over = ~full & (chance > 1)
        if not over.any():
            return chance
        full |= over
