"""A captured step cut into pieces for the stages of a pipeline: who computes what, and what travels between them.

In: a graph as it was captured, places at which its forward pass is cut. Out: `Pieces`.
Idea: the order in which a step was captured is an order in which it can run, so any place in it can be a cut. What is
live across a cut has to travel: results that somebody behind it reads, handed on from piece to piece, and on the way
back the gradients that somebody before it reads. A backward operator runs where the forward operator ran that it
belongs to. Nobody has to say which layers are alike. What is made from weights alone, or from nothing, does not
travel: each piece makes it for itself; a piece has the weights that it reads, also where another has them too. A tensor
of which only a part is read is counted whole.
Not here: where to cut (`machine/simulate/balance.py`), how long a stage takes (`machine/simulate/pipeline.py`).
Source: Huang et al. 2019, "GPipe", section 2 (consecutive layers, activations at their borders).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from jaxtyping import Float64, Int64

from dojo.errors import ConfigError
from dojo.machine.compile.fuse import groups, merged
from dojo.machine.compile.graph import WEIGHT_GRADIENT, Graph, Operator, Phase

PerPlace = Float64[np.ndarray, " places"]
UPDATE = -1
"""The piece of the optimiser's operators: each stage does its share of them."""


@dataclass(frozen=True)
class Pieces:
    """A step in pieces, in the order of the forward pass.

    Args:
        graph: fused, no kernel across a cut.
        piece: of each of its operators; `UPDATE` of the optimiser's.
        weights: which of the graph's each piece reads.
        kept_bytes: that a micro-batch leaves in each piece for its backward pass, what came from before among them.
        onwards_bytes: of a micro-batch over each cut. `back_bytes`: of gradients.
    """

    graph: Graph
    piece: tuple[int, ...]
    weights: tuple[frozenset[int], ...]
    kept_bytes: tuple[float, ...]
    onwards_bytes: tuple[float, ...]
    back_bytes: tuple[float, ...]


@dataclass(frozen=True)
class Line:
    """A captured graph along its forward pass: what stands where, and what is live in between.

    Raises:
        ConfigError: it was not captured, so that nobody knows where its weights and gradients belong.
    """

    graph: Graph

    def __post_init__(self) -> None:
        backward = [one for one in self.graph.operators if one.phase is Phase.BACKWARD]
        if not self.graph.weights or all(one.belongs_to is None for one in backward):
            raise ConfigError(
                f"pipeline of {self.graph.model}: expected a graph that `capture` made, with its weights and a "
                "backward pass, got one without"
            )

    @cached_property
    def length(self) -> int:
        """How many operators the forward pass has; a cut is a place from 1 to one less."""
        return sum(one.phase is Phase.FORWARD for one in self.graph.operators)

    @cached_property
    def homes(self) -> Int64[np.ndarray, " operators"]:
        """Of each operator, the forward operator beside which it runs; -1 of the optimiser's.

        A backward operator never runs behind one whose gradient it needs.
        """
        found = np.full(len(self.graph.operators), -1, dtype=np.int64)
        for place, one in enumerate(self.graph.operators):
            if one.phase is Phase.FORWARD:
                found[place] = place
            elif one.phase is Phase.BACKWARD:
                own = self.length - 1 if one.belongs_to is None else one.belongs_to
                needed = [int(found[at]) for at in one.after if self._travels(at) and at >= self.length]
                found[place] = min([own, *needed])
        return found

    def _travels(self, place: int) -> bool:
        """Whether a result belongs to samples: neither made by each piece for itself nor a gradient of weights."""
        one = self.graph.operators[place]
        return not one.name.endswith(WEIGHT_GRADIENT) and not _made_anywhere(one)

    @cached_property
    def onwards_bytes(self) -> PerPlace:
        """Of results that travel over a cut at each place; none at the first."""
        last = np.arange(len(self.graph.operators))
        for reader, one in enumerate(self.graph.operators):
            for at in one.after:
                last[at] = max(last[at], self.homes[reader])
        return self._over_cuts([(place, int(last[place]), place) for place in range(self.length)])

    @cached_property
    def back_bytes(self) -> PerPlace:
        """Of gradients that travel back over a cut at each place."""
        first = self.homes.copy()
        for reader, one in enumerate(self.graph.operators):
            if one.phase is Phase.BACKWARD:
                for at in one.after:
                    first[at] = min(first[at], self.homes[reader])
        return self._over_cuts(
            [(int(low), int(high), at) for at, (low, high) in enumerate(zip(first, self.homes, strict=True))]
        )

    def _over_cuts(self, spans: Sequence[tuple[int, int, int]]) -> PerPlace:
        """Sums of results that are live from behind one operator to before another."""
        change = np.zeros(self.length + 1)
        for low, high, place in spans:
            if low < high and self._travels(place):
                change[low + 1] += self.graph.operators[place].written_bytes
                change[high + 1] -= self.graph.operators[place].written_bytes
        # What is left of sums and differences of large numbers is not traffic.
        return np.maximum(np.round(np.cumsum(change)[:-1]), 0.0)

    @cached_property
    def candidates(self) -> Int64[np.ndarray, " cuts"]:
        """Places to cut at: where no neighbour has less to carry."""
        carried = self.onwards_bytes + self.back_bytes
        carried[0] = np.inf
        least = (carried <= np.append(carried[1:], np.inf)) & (carried <= np.insert(carried[:-1], 0, np.inf))
        return np.flatnonzero(least & np.isfinite(carried)).astype(np.int64)

    @cached_property
    def kernels(self) -> tuple[tuple[int, ...], ...]:
        """Which operators run as one kernel where nothing is cut."""
        return tuple(map(tuple, groups(self.graph, [0] * len(self.graph.operators))))

    def beside(self, seconds: Sequence[float]) -> PerPlace:
        """Both passes of the uncut step along the forward pass: seconds of its kernels where each would run."""
        found = np.zeros(self.length)
        for kernel, time in zip(self.kernels, seconds, strict=True):
            if (home := self.homes[kernel[-1]]) >= 0:
                found[home] += time
        return found

    def cut(self, cuts: Sequence[int]) -> Pieces:
        """The pieces between some cuts; none is the whole.

        Raises:
            ConfigError: cuts are not places inside the forward pass, one after the other.
        """
        edges = [0, *cuts, self.length]
        if any(low >= high for low, high in pairwise(edges)):
            raise ConfigError(f"cuts: expected rising places from 1 to {self.length - 1}, got {list(cuts)}")
        where = np.where(self.homes < 0, UPDATE, np.searchsorted(np.array(cuts, dtype=np.int64), self.homes, "right"))
        kernels = groups(self.graph, where.tolist())
        fused, piece = merged(self.graph, kernels), tuple(int(where[group[0]]) for group in kernels)
        weights = [frozenset[int]()] * (len(cuts) + 1)
        for one, at in zip(fused.operators, piece, strict=True):
            weights[at] |= frozenset(one.weights) if at != UPDATE else frozenset()
        # What nobody reads is learned by nobody, but lies somewhere.
        weights[0] |= frozenset(range(len(fused.weights))) - frozenset().union(*weights)
        places = list(cuts)
        return Pieces(
            graph=fused,
            piece=piece,
            weights=tuple(weights),
            kept_bytes=_kept(fused, piece, len(weights)),
            onwards_bytes=tuple(self.onwards_bytes[places].tolist()),
            back_bytes=tuple(self.back_bytes[places].tolist()),
        )


def _kept(fused: Graph, piece: Sequence[int], count: int) -> tuple[float, ...]:
    """Of each piece, the forward results that its backward pass reads, copies of weights not counted."""
    read = {
        (at, piece[place])
        for place, one in enumerate(fused.operators)
        if one.phase is Phase.BACKWARD
        for at in one.after
        if fused.operators[at].phase is Phase.FORWARD and not _copies_weights(fused.operators[at])
    }
    kept = [0.0] * count
    for at, where in read:
        kept[where] += fused.operators[at].written_bytes
    return tuple(kept)


def _copies_weights(one: Operator) -> bool:
    """Whether all that it reads are weights: its result is as large whatever the batch."""
    return 0 < one.read_bytes <= one.weight_bytes


def _made_anywhere(one: Operator) -> bool:
    """Whether a forward operator reads weights at most."""
    return one.phase is Phase.FORWARD and one.read_bytes <= one.weight_bytes
