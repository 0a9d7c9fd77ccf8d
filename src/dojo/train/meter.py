"""How well a run uses what it runs on: operations, waiting for data, cost, and which rank is slow.

In: what each rank saw of the steps since the last point. Out: figures for the curves.
Idea: a step does as many operations as the policy's products and convolutions take, counted once on the first batch;
their rate, over that of one large product on the same device and in the same number format, is the utilisation. How
long a rank waited for its batch is known without asking; whether its device is slow is asked with the same product.
Not here: what a machine should reach (`machine/`).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from dojo.records import Batch

_SIDE = {"cpu": 1024, "cuda": 8192}
"""Of the square matrices of the large product: milliseconds on either device."""

_SLOW = 1.5
"""Assumed: a rank that takes this many times as long as the median one is named."""

ANCHOR_S = 0.2
"""Time between anchors as `curate` cuts them by default; what an hour of video is counted in."""


class Meter:
    """The figures of one rank's run.

    Args:
        precision: what the steps compute in.
        price_per_device_hour: 0 where it is not known; then there is no cost.
    """

    def __init__(
        self, device: torch.device, precision: Callable[[], AbstractContextManager[Any]], price_per_device_hour: float
    ) -> None:
        self._device = device
        self._precision = precision
        self._price = price_per_device_hour
        self._peak_per_s = 0.0
        self._per_sample = 0.0
        self._waited_s = 0.0
        self._since = time.perf_counter()

    @property
    def counted(self) -> bool:
        """Whether the operations of a step are known."""
        return self._per_sample > 0

    def count(self, answer: Callable[[Batch], Any], batch: Batch) -> None:
        """Operations of a step with this batch, forwards and backwards, per sample; takes one pass of the policy.

        Source of the factor 3: a backward pass has twice the products of a forward pass.
        """
        with FlopCounterMode(display=False) as counter, torch.no_grad(), self._precision():
            answer(batch)
        self._per_sample = 3.0 * counter.get_total_flops() / batch.valid.shape[0] / batch.valid.shape[1]
        self._peak_per_s = self._large_product(5)
        self._since, self._waited_s = time.perf_counter(), 0.0

    def waited(self, seconds: float) -> None:
        """So long the next batch was waited for."""
        self._waited_s += seconds

    def figures(self, samples: int, gather: Callable[[Sequence[float]], list[list[float]]]) -> dict[str, float]:
        """What happened since the last time this was asked.

        Args:
            samples: of all ranks, since then.
            gather: what each rank has, by rank.
        """
        took_s = time.perf_counter() - self._since
        ranks = gather([self._waited_s / took_s, 1.0 / self._large_product(1)])
        self._since, self._waited_s = time.perf_counter(), 0.0
        rate = samples / took_s
        found = {
            "samples_per_s": rate,
            "data_wait_share": statistics.fmean(rank[0] for rank in ranks),
            "flop_utilisation": rate * self._per_sample / len(ranks) / max(self._peak_per_s, 1.0),
            "slow_rank": float(slow_rank(ranks)),
        }
        if self._price > 0:
            found["cost_per_video_hour"] = self._price * len(ranks) / (rate * ANCHOR_S)
        return found

    def _large_product(self, times: int) -> float:
        """Operations per second of a large product, the best of some."""
        side = _SIDE.get(self._device.type, 1024)
        with self._precision():
            kind = torch.get_autocast_dtype(self._device.type) if torch.is_autocast_enabled(self._device.type) else None
        matrix = torch.ones(side, side, device=self._device, dtype=kind or torch.float32)
        best = float("inf")
        for _ in range(times + 1):  # the first one warms up
            self._wait()
            began = time.perf_counter()
            matrix @ matrix
            self._wait()
            best = min(best, time.perf_counter() - began)
        return 2.0 * side**3 / best

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def slow_rank(ranks: Sequence[Sequence[float]]) -> int:
    """The rank that holds up the others, -1 where none does.

    Args:
        ranks: of each, the share of its time that it waited for data, and how long a fixed product takes on it.
    """
    usual_wait, usual_s = (statistics.median(rank[column] for rank in ranks) for column in (0, 1))
    # A rank that waits for data a tenth of its time more than the others costs all of them that tenth.
    excess = [max(wait - usual_wait - 0.1, 0.0) + max(took / usual_s - _SLOW, 0.0) for wait, took in ranks]
    return excess.index(max(excess)) if max(excess) > 0 else -1
