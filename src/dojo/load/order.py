"""Which clip comes when: a pure function of seed, epoch, dataset version and weights.

In: clip ids and weights. Out: for each epoch a sequence of clip indices, as long as there are clips.
Idea: random draws with replacement would leave a third of the clips unseen in an epoch. Systematic resampling instead
gives every clip its weight rounded down or up, never anything else, and right on average over epochs. The sequence
is fixed for the whole run before it is dealt out, so any number of ranks, any stop and any restart see the same one.
Random numbers are the raw output of a keyed counter generator, which NumPy guarantees across versions; its
distributions are not guaranteed, so none is used.
Not here: the dealing (`loader.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64, UInt64

from dojo.errors import ConfigError


def random_bits(count: int, *key: object) -> UInt64[np.ndarray, " count"]:
    """Random 64-bit numbers that depend on the key alone."""
    digest = hashlib.sha256("\x00".join(map(str, key)).encode()).digest()
    return np.random.Philox(key=int.from_bytes(digest[:16], "big")).random_raw(count)


def random_units(count: int, *key: object) -> Float64[np.ndarray, " count"]:
    """Random numbers in [0, 1) that depend on the key alone."""
    return (random_bits(count, *key) >> np.uint64(11)) * 2.0**-53


class Order:
    """The order of a training run.

    Args:
        clip_ids: names of the clips; the order in which they are given does not matter.
        weights: relative probability of each, not negative.
        seed, dataset_version: two runs with the same of both, and of the above, draw the same.

    Raises:
        ConfigError: there is nothing to draw, or a name comes twice.
    """

    def __init__(self, clip_ids: Sequence[str], weights: Sequence[float], seed: int, dataset_version: str) -> None:
        mass = float(np.sum(weights)) if len(clip_ids) else 0.0
        if not (len(clip_ids) == len(weights) and len(set(clip_ids)) == len(clip_ids) and 0 < mass < np.inf):
            raise ConfigError(
                f"load: expected clips with distinct ids and a positive sum of weights, got {len(clip_ids)} clips "
                f"({len(set(clip_ids))} distinct), {len(weights)} weights that sum to {mass}; curate the dataset, and "
                "look at its splits with `dojo ls`"
            )
        self._by_name = np.argsort(np.array(clip_ids), kind="stable")
        self._mean_draws = np.asarray(weights, np.float64)[self._by_name] * (len(clip_ids) / mass)
        self._seed = seed
        fingerprint = hashlib.sha256(f"{seed}\x00{dataset_version}".encode())
        for index in self._by_name:
            fingerprint.update(f"\x00{clip_ids[index]}\x00{float(weights[index])!r}".encode())
        self.fingerprint = fingerprint.hexdigest()[:20]
        """Names the order: equal exactly when seed, dataset version, clips and weights are equal."""

    @property
    def place_by_name(self) -> Int64[np.ndarray, " clips"]:
        """The place of each clip, as they were given, among all sorted by name."""
        places = np.empty(len(self), np.int64)
        places[self._by_name] = np.arange(len(self))
        return places

    def __len__(self) -> int:
        """Draws per epoch: as many as there are clips."""
        return len(self._by_name)

    def epoch(self, number: int) -> Int64[np.ndarray, " draws"]:
        """Indices into the clips as they were given, in the order in which they are drawn."""
        draws = self.drawn(number)
        shuffled = np.argsort(random_bits(len(self), self.fingerprint, number, "shuffle"), kind="stable")
        return draws[shuffled].astype(np.int64)

    def drawn(self, number: int) -> Int64[np.ndarray, " draws"]:
        """What an epoch draws, as indices into the clips as they were given, in no order of its own."""
        count = len(self)
        # Laid out in a random sequence first, so that which clips are rounded up together changes every epoch.
        laid = np.argsort(random_bits(count, self.fingerprint, number, "lay"), kind="stable")
        start = random_units(1, self.fingerprint, number, "start")[0]
        ends = np.cumsum(self._mean_draws[laid])
        ends *= count / ends[-1]
        drawn = np.searchsorted(ends, np.arange(count) + start, side="right")
        return self._by_name[laid[np.minimum(drawn, count - 1)]].astype(np.int64)
