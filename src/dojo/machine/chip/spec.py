"""What a machine is: levels made of parts, and groups of figures with the source of each.

In: figures. Out: a frozen `Machine`.
Idea: a machine is a tree of levels, from the unit that multiplies up to the room. A level says what it is made of and
has groups of figures (clock, memory, links); a group has one source and one grade, so that whoever reads an answer can
ask which of its inputs is a fact. A figure that nobody published is absent, never zero. All units are SI and in the
name; a link's bandwidth counts one direction, a peak counts dense products.
Not here: files (`dojo.machine.specs`), how long anything takes (`dojo.machine.simulate`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from dojo.errors import ConfigError


class Grade(Enum):
    """How far a figure can be trusted."""

    PRIMARY = "primary"
    """Its maker's own text."""
    SECONDARY = "secondary"
    """Somebody's account of that."""
    DERIVED = "derived"
    """Arithmetic on such figures."""
    ASSUMPTION = "assumption"
    """Recollection or choice; nothing to cite."""

    @property
    def is_fact(self) -> bool:
        """Whether there is something to cite."""
        return self is not Grade.ASSUMPTION


@dataclass(frozen=True, kw_only=True)
class Group:
    """Figures with one source."""

    source: str
    grade: Grade
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Part(Group):
    """How many of one lower level a level has."""

    count: int


@dataclass(frozen=True, kw_only=True)
class Grid(Group):
    """The mesh in which a level's parts lie; without one, they hang on switches."""

    rows: int
    columns: int
    empty: int | None = None


@dataclass(frozen=True, kw_only=True)
class Clock(Group):
    """Cycles per second, of the matrix unit and, where it differs, of the vector unit."""

    clock_hz: float
    vector_clock_hz: float | None = None


@dataclass(frozen=True, kw_only=True)
class MatrixUnit(Group):
    """Multiplies `rows x depth` by `depth x columns` each cycle, `units` times over."""

    rows: int
    columns: int
    depth: int
    units: int


@dataclass(frozen=True, kw_only=True)
class VectorUnit(Group):
    """Bytes that are multiplied and added to each cycle."""

    width_bytes: int


@dataclass(frozen=True, kw_only=True)
class Sram(Group):
    """Memory on the chip."""

    capacity_bytes: float
    load_bytes_per_s: float | None = None
    store_bytes_per_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class SramPorts(Group):
    """Bytes a cycle through each kind of port."""

    vector_load_bytes: int
    router_load_bytes: int
    scalar_load_bytes: int
    vector_store_bytes: int
    router_store_bytes: int
    scalar_store_bytes: int


@dataclass(frozen=True, kw_only=True)
class Memory(Group):
    """Memory off the chip."""

    capacity_bytes: float
    bandwidth_bytes_per_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Peak(Group):
    """Published peaks, dense, by number format."""

    bf16_flop_per_s: float | None = None
    fp16_flop_per_s: float | None = None
    fp8_flop_per_s: float | None = None
    cfloat8_flop_per_s: float | None = None
    tf32_flop_per_s: float | None = None
    fp32_flop_per_s: float | None = None
    fp64_flop_per_s: float | None = None
    fp64_matrix_flop_per_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Link(Group):
    """A connection out of one level, `count` of them; bandwidth of one, in one direction.

    Args:
        within: the level inside which these links join things; empty for links that leave the largest.
    """

    bandwidth_bytes_per_s: float
    count: int
    latency_s: float | None = None
    lanes: int | None = None
    lane_bits_per_s: float | None = None
    within: str = ""


@dataclass(frozen=True, kw_only=True)
class Power(Group):
    """What it draws at most."""

    power_w: float
    voltage_v: float | None = None
    current_a: float | None = None


@dataclass(frozen=True, kw_only=True)
class Silicon(Group):
    """The piece of silicon."""

    area_mm2: float
    transistors: float
    process_nm: float


@dataclass(frozen=True, kw_only=True)
class Host(Group):
    """The computers that feed it."""

    cores: int | None = None
    memory_bytes: float | None = None
    pcie_bytes_per_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Price(Group):
    """What one costs."""

    price_usd: float


@dataclass(frozen=True, kw_only=True)
class Level:
    """One level of a machine, with the groups of figures that are known."""

    name: str
    parts: Mapping[str, Part] = field(default_factory=dict)
    links: Mapping[str, Link] = field(default_factory=dict)
    grid: Grid | None = None
    clock: Clock | None = None
    matrix: MatrixUnit | None = None
    vector: VectorUnit | None = None
    sram: Sram | None = None
    ports: SramPorts | None = None
    memory: Memory | None = None
    peak: Peak | None = None
    power: Power | None = None
    silicon: Silicon | None = None
    host: Host | None = None
    price: Price | None = None


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine: its levels, smallest first.

    Args:
        accelerator: the level that a training step is divided over.

    Raises:
        ConfigError: a level is made of, or linked within, something that is not there.
    """

    name: str
    title: str
    accelerator: str
    levels: Mapping[str, Level]

    def __post_init__(self) -> None:
        names = list(self.levels)
        faults = (
            [] if self.accelerator in names else [f"accelerator: expected one of {names}, got {self.accelerator!r}"]
        )
        for place, level in enumerate(self.levels.values()):
            for part in level.parts:
                if part not in names[:place]:
                    faults.append(
                        f"{level.name}.parts.{part}: expected a level written above it, one of {names[:place]}"
                    )
            for link_name, link in level.links.items():
                if link.within and link.within not in names[place + 1 :]:
                    faults.append(
                        f"{level.name}.links.{link_name}.within: expected a level written below it, one of "
                        f"{names[place + 1 :]}, got {link.within!r}"
                    )
        if faults:
            raise ConfigError(f"machine {self.name}: " + "; ".join(faults))

    def count(self, part: str, whole: str) -> int:
        """How many of a level there are in another; zero if there are none.

        Raises:
            ConfigError: the machine has no such level.
        """
        for name in (part, whole):
            if name not in self.levels:
                raise ConfigError(f"machine {self.name}: expected a level, one of {list(self.levels)}, got {name!r}")
        if part == whole:
            return 1
        return sum(below.count * self.count(part, name) for name, below in self.levels[whole].parts.items())
