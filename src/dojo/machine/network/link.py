"""A link: how long a message takes on it.

In: latency, bandwidth, sometimes a window. Out: seconds.
Idea: alpha + size / beta. A sender that may have only so much unacknowledged is held to a window each round trip,
however fast the wire.
Not here: several messages at once (`schedule.py`).
Source: Hockney 1994, "The communication challenge for MPP".
"""

from __future__ import annotations

from dataclasses import dataclass

from dojo.errors import ConfigError
from dojo.machine.chip.spec import Link


@dataclass(frozen=True, slots=True)
class LinkCost:
    """What a message costs: `latency_s` once, and its bytes at a rate.

    Raises:
        ConfigError: the latency is negative, or the bandwidth is not positive.
    """

    latency_s: float
    bandwidth_bytes_per_s: float

    def __post_init__(self) -> None:
        if self.latency_s < 0 or self.bandwidth_bytes_per_s <= 0:
            raise ConfigError(
                "link: expected a latency of 0 s or more and a positive bandwidth, got "
                f"{self.latency_s} s and {self.bandwidth_bytes_per_s} bytes/s"
            )

    def seconds(self, size_bytes: float, hops: int = 1) -> float:
        """The time of one message over some equal hops, its bytes following each other without waiting."""
        return hops * self.latency_s + size_bytes / self.bandwidth_bytes_per_s

    def windowed(self, window_bytes: float, round_trip_s: float) -> LinkCost:
        """The link as a sender sees it that stops after a window until it is acknowledged."""
        return LinkCost(self.latency_s, min(self.bandwidth_bytes_per_s, window_bytes / round_trip_s))


def link_cost(link: Link, *, latency_s: float | None = None) -> LinkCost:
    """All links of a group, used together; the latency may be given where nobody published it.

    Raises:
        ConfigError: the latency is neither published nor given.
    """
    known = link.latency_s if latency_s is None else latency_s
    if known is None:
        raise ConfigError(f"link ({link.source}): expected a latency, which is not published; pass latency_s")
    return LinkCost(known, link.count * link.bandwidth_bytes_per_s)
