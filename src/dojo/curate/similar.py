"""Which clips show the same thing as another: near-duplicates among embeddings.

In: a vector for each clip. Out: which clips to keep, and for each that goes the one it resembles.
Idea: a fleet records the same queue and the same empty motorway over and over. Of clips whose vectors point the same
way the first is kept. To compare all pairs of a million is too much, so vectors are first gathered about centres
(k-means on the sphere) and compared within a gathering only, the way `cosmos-curate` does it; a pair that falls on two
sides of a border is missed, a pair that is reported is always exact.
Not here: the vectors (`store/embeddings.py`).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Int64

from dojo.errors import ConfigError

_TOGETHER = 4000
"""Assumed: clips compared all with all; 4,000 of them take 64 MB and a tenth of a second."""

_ROUNDS = 5
"""Assumed: of k-means; the centres need only be sensible, not best."""


def near_duplicates(vectors: Float32[np.ndarray, "n size"], above: float, seed: int = 0) -> Int64[np.ndarray, " n"]:
    """For each clip the index of the one that stands for it: its own where it is kept.

    Args:
        vectors: of any length but zero; earlier ones are kept rather than later ones.
        above: cosine similarity from which two clips count as one.

    Raises:
        ConfigError: `above` is no similarity, or a vector is zero.
    """
    if not 0 < above <= 1:
        raise ConfigError(f"near-duplicates: expected a cosine similarity in (0, 1], got {above}")
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (length > 0).all():
        raise ConfigError("near-duplicates: expected vectors of some length, got a zero vector; embed the clips again")
    unit = vectors / length
    stands_for = np.arange(len(unit))
    gathering = _gatherings(unit, seed)
    for number in range(int(gathering.max(initial=-1)) + 1):
        members = np.flatnonzero(gathering == number)
        for first in range(0, len(members), _TOGETHER):
            some = members[first : first + _TOGETHER]
            stands_for[some] = some[_first_alike(unit[some], above)]
    return stands_for


def kept(stands_for: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Which clips stand for themselves."""
    return stands_for == np.arange(len(stands_for))


def _first_alike(unit: Float32[np.ndarray, "n size"], above: float) -> Int64[np.ndarray, " n"]:
    """For each the earliest kept one that it is like, or itself."""
    # Rounding may put a vector's product with itself a hair below one.
    alike = unit @ unit.T >= above - 1e-6
    result = np.arange(len(unit))
    is_kept = np.zeros(len(unit), np.bool_)
    for row in range(len(unit)):
        earlier = np.flatnonzero(alike[row, :row] & is_kept[:row])
        if len(earlier):
            result[row] = earlier[0]
        else:
            is_kept[row] = True
    return result


def _gatherings(unit: Float32[np.ndarray, "n size"], seed: int) -> Int64[np.ndarray, " n"]:
    """Which centre each vector is nearest to; one centre for every few thousand vectors."""
    count = -(-len(unit) // (_TOGETHER // 2))
    if count <= 1:
        return np.zeros(len(unit), np.int64)
    rng = np.random.default_rng(seed)
    sample = unit[rng.choice(len(unit), min(len(unit), 256 * count), replace=False)]
    centres = sample[:count].copy()
    for _ in range(_ROUNDS):
        nearest = (sample @ centres.T).argmax(1)
        for number in range(count):
            if (mine := nearest == number).any():
                mean = sample[mine].sum(0)
                centres[number] = mean / max(float(np.linalg.norm(mean)), 1e-12)
    parts = np.array_split(np.arange(len(unit)), -(-len(unit) // 100_000))
    return np.concatenate([(unit[part] @ centres.T).argmax(1) for part in parts])
