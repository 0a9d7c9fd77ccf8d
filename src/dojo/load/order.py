"""Which clip comes when: a pure function of seed, epoch, dataset version and weights.

In: clip ids and weights. Out: for each epoch a sequence of clip indices, as long as there are clips.
Idea: random draws with replacement would leave a third of the clips unseen in an epoch. Systematic resampling instead
gives every clip its weight rounded down or up, never anything else, and right on average over epochs. The sequence
is fixed for the whole run before it is dealt out, so any number of ranks, any stop and any restart see the same one.
Random numbers are the raw output of a keyed counter generator, which NumPy guarantees across versions; its
distributions are not guaranteed, so none is used. Ten million clips are put in order within seconds, none by itself.
Not here: how names are sorted (`names.py`), the dealing (`loader.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64, UInt64

from dojo.errors import ConfigError
from dojo.load.names import Names, bytes_of, places_in_order, sorted_places

_AT_ONCE = 1 << 20
"""Clips that are hashed together: bounds the memory of a copy in their order."""


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

    def __init__(
        self, clip_ids: Names, weights: Sequence[float] | Float64[np.ndarray, " clips"], seed: int, dataset_version: str
    ) -> None:
        each = np.asarray(weights, np.float64)
        mass = float(each.sum())
        rows = bytes_of(clip_ids)
        by_name, distinct = places_in_order(rows)
        if not (len(rows) == len(each) == distinct and 0 < mass < np.inf):
            raise ConfigError(
                f"load: expected clips with distinct ids and a positive sum of weights, got {len(rows)} clips "
                f"({distinct} distinct), {len(each)} weights that sum to {mass}; curate the dataset, and "
                "look at its splits with `dojo ls`"
            )
        self._by_name = by_name
        self._mean_draws = each[by_name] * (len(rows) / mass)
        self._seed = seed
        fingerprint = hashlib.sha256(f"{seed}\x00{dataset_version}\x00{rows.shape[1]}".encode())
        for start in range(0, len(rows), _AT_ONCE):
            some = by_name[start : start + _AT_ONCE]
            fingerprint.update(rows[some].data)
            fingerprint.update(each[some].astype("<f8").data)
        self.fingerprint = fingerprint.hexdigest()[:20]
        """Names the order: equal exactly when seed, dataset version, clips and weights are equal."""

    @property
    def place_by_name(self) -> Int64[np.ndarray, " clips"]:
        """The place of each clip, as they were given, in an order that hangs on their names alone."""
        places = np.empty(len(self), np.int64)
        places[self._by_name] = np.arange(len(self))
        return places

    def __len__(self) -> int:
        """Draws per epoch: as many as there are clips."""
        return len(self._by_name)

    def epoch(self, number: int) -> Int64[np.ndarray, " draws"]:
        """Indices into the clips as they were given, in the order in which they are drawn."""
        draws = self.drawn(number)
        shuffled = sorted_places(random_bits(len(self), self.fingerprint, number, "shuffle"))
        return draws[shuffled].astype(np.int64)

    def drawn(self, number: int) -> Int64[np.ndarray, " draws"]:
        """What an epoch draws, as indices into the clips as they were given, in no order of its own."""
        count = len(self)
        # Laid out in a random sequence first, so that which clips are rounded up together changes every epoch.
        laid = sorted_places(random_bits(count, self.fingerprint, number, "lay"))
        start = random_units(1, self.fingerprint, number, "start")[0]
        ends = np.cumsum(self._mean_draws[laid])
        ends *= count / ends[-1]
        drawn = np.searchsorted(ends, np.arange(count) + start, side="right")
        return self._by_name[laid[np.minimum(drawn, count - 1)]].astype(np.int64)
