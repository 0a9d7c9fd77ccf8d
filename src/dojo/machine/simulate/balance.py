"""Where to cut a step so that the slowest stage of its pipeline is as fast as can be.

In: seconds of both passes along the forward pass, and of what a cut at each place would send. Out: cuts.
Idea: a step in stages goes at the pace of the slowest piece, which computes and sends over both of its borders. Dynamic
programming over places finds the cuts whose slowest piece is the fastest of all, and of those the ones whose pieces are
most alike, by the sum of their squares.
Not here: what a cut divides (`machine/compile/stages.py`), the step's time (`pipeline.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int64

from dojo.errors import ConfigError

PerPlace = Float64[np.ndarray, " places"]
_TIE = 1 + 1e-9
"""Two sums of the same times in another order are the same."""


@dataclass(frozen=True)
class Balance:
    """Places to cut at, and what lies between.

    Args:
        work: seconds of both passes at each place.
        send: seconds of what a cut before each place sends both ways.
        candidates: places that may be cut, rising.
        overlap: sends hide behind computing, so that the longer of the two counts.
    """

    work: PerPlace
    send: PerPlace
    candidates: Int64[np.ndarray, " cuts"]
    overlap: bool

    @property
    def most(self) -> int:
        """How many pieces there can be."""
        return len(self.candidates) + 1

    @cached_property
    def _edges(self) -> Int64[np.ndarray, " edges"]:
        return np.concatenate([[0], self.candidates, [len(self.work)]]).astype(np.int64)

    @cached_property
    def _cost(self) -> Float64[np.ndarray, "edges edges"]:
        """Of a piece from one edge to another; infinite where that is not behind it."""
        until = np.concatenate([[0.0], np.cumsum(self.work)])[self._edges]
        send = np.concatenate([[0.0], self.send[self.candidates], [0.0]])
        computing, sending = until[None, :] - until[:, None], send[:, None] + send[None, :]
        cost = np.maximum(computing, sending) if self.overlap else computing + sending
        cost[np.tril_indices(len(until))] = np.inf
        return cost

    def cuts(self, pieces: int) -> list[int]:
        """The best cuts into so many.

        Raises:
            ConfigError: there are fewer places than that.
        """
        if not 1 <= pieces <= self.most:
            raise ConfigError(f"pieces: expected 1 to {self.most}, got {pieces}")
        slowest = self._cost[0]
        for _ in range(pieces - 1):
            slowest = np.maximum(slowest[:, None], self._cost).min(axis=0)
        allowed = np.where(self._cost <= slowest[-1] * _TIE, self._cost**2, np.inf)
        sums, before = allowed[0], []
        for _ in range(pieces - 1):
            through = sums[:, None] + allowed
            before.append(through.argmin(axis=0))
            sums = through.min(axis=0)
        at, found = len(self._edges) - 1, []
        for chosen in reversed(before):
            at = int(chosen[at])
            found.append(int(self._edges[at]))
        return found[::-1]
