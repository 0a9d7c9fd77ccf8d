"""The constants that data sheets do not give: how software and wires behave, frozen on A100 measurements.

In: `constants.toml`. Out: `Constants`.
Idea: few, each with a meaning, each with what it was fitted on. Nothing in them depends on a machine: another one is
predicted from its data sheet and these.
Not here: the operators' own efficiency (`operators.py`), the fit (`calibrate.py`).
"""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path

from dojo.errors import ConfigError
from dojo.machine.chip.spec import Machine
from dojo.machine.simulate.fabric import Wires

_FILE = Path(__file__).with_name("constants.toml")


@dataclass(frozen=True)
class Constants:
    """What was fitted, or assumed, once for all machines.

    Args:
        near_share, far_share, start_s, near_hop_s, far_hop_s: see `Wires`.
        scores_share: of memory bandwidth, what kernels over attention scores reach.
        launch_s: of the host for one operator of a graph, with all that the framework does around it.
        rank_skew: by how much the host's time grows with each doubling of a tensor group, whose members wait for the
            slowest host in every exchange.
        mixing: how sharply the longer of host and accelerator hides the other: 1 not at all, infinite entirely.
        micro_batch_s: of the host for one micro-batch, whatever is in it.
        optimiser_bytes: moved for each parameter.
        energy_share: energy of an operation on a five-nanometre process, one on seven being 1.
        reference_joule_per_flop: of an operation in sixteen bits on seven nanometres, the whole board's power included.
        spread_calibrated, spread_transferred: by how much four measured steps of five differ from predictions at most,
            on the machine that constants were fitted on and on another.
        spread_captured: the same for captured steps, of which none was fitted on.
    """

    near_share: float
    far_share: float
    start_s: float
    near_hop_s: float
    far_hop_s: float
    scores_share: float
    launch_s: float
    rank_skew: float
    mixing: float
    micro_batch_s: float
    optimiser_bytes: float
    energy_share: float
    reference_joule_per_flop: float
    spread_calibrated: float
    spread_transferred: float
    spread_captured: float

    @property
    def wires(self) -> Wires:
        """Those of the networks."""
        return Wires(self.near_share, self.far_share, self.start_s, self.near_hop_s, self.far_hop_s)

    def sustained_share(self, machine: Machine) -> float:
        """Of the published matrix peak, what the board's power sustains; 1 where no power or process is published.

        A chip at its limit gives up clock until its power fits. An A100 is known at its limit; on the next process an
        operation costs less by `energy_share`, and one in eight bits half of one in sixteen, as its peak says.
        """
        chip = machine.levels[machine.accelerator]
        silicon, power, peak = chip.silicon, chip.power, chip.peak
        flop_per_s = None if peak is None else peak.bf16_flop_per_s
        # A die that works from its own SRAM spends its power otherwise than one with memory beside it.
        if silicon is None or power is None or flop_per_s is None or chip.memory is None:
            return 1.0
        energy = self.reference_joule_per_flop * (self.energy_share if silicon.process_nm < 7 else 1.0)
        return min(1.0, power.power_w / (flop_per_s * energy))


def load_constants() -> Constants:
    """The constants that come with Dojo.

    Raises:
        ConfigError: the file does not hold exactly the constants that there are.
    """
    table = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    expected = [field.name for field in dataclasses.fields(Constants)]
    if sorted(table) != sorted(expected):
        raise ConfigError(f"{_FILE.name}: expected the tables {', '.join(expected)}, got {', '.join(table)}")
    return Constants(**{name: float(table[name]["value"]) for name in expected})
