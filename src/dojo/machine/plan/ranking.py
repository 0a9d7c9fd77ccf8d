"""Where a machine stands among published ones, in one unit at a time.

In: a peak and a date; the systems below. Out: its place among those in force, or the reason why it has none.
Idea: "top five" means nothing without its unit. Dense BF16 peak stands beside dense BF16 peak, computed for all from
number of accelerators times data sheet; LINPACK in FP64 beside LINPACK in FP64, and a machine without FP64 has no place
there at all. The list is of systems whose number of accelerators is published, so a place in it is the best that can
be.
Not here: how long anything takes on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from dojo.machine.chip.spec import Grade, Machine

_A100, _H100, _MI250X, _MI300A, _MAX_1550 = 312.0e12, 989.4e12, 383.0e12, 980.6e12, 832.0e12


@dataclass(frozen=True)
class System:
    """A published system at one size, from a month on.

    Args:
        site: what it is called; the same at every size.
        parts: what it is made of.
        bf16_flop_per_s: dense peak, accelerators times data sheet; None where it has no BF16.
        hpl_flop_per_s: of the LINPACK benchmark in FP64; None where none was run.
    """

    site: str
    parts: str
    since: date
    bf16_flop_per_s: float | None
    hpl_flop_per_s: float | None
    source: str
    grade: Grade

    @property
    def name(self) -> str:
        """Site and size."""
        return f"{self.site} ({self.parts})"


_LIST = "TOP500, November 2023"
_META = "engineering.fb.com/2024/03/12"

SYSTEMS = (
    System("Fugaku", "A64FX", date(2020, 11, 1), None, 442.01e15, _LIST, Grade.PRIMARY),
    System(
        *("Tesla's GPU cluster", "5,760 A100", date(2021, 6, 1), 5760 * _A100, None),
        *("A. Karpathy, CVPR 2021 (vpk.name/en/517807)", Grade.SECONDARY),
    ),
    System(
        *("Frontier", "37,632 MI250X", date(2022, 6, 1), 37_632 * _MI250X, 1194.0e15),
        *(f"9,408 nodes of four; {_LIST}", Grade.SECONDARY),
    ),
    System(
        *("LUMI", "11,912 MI250X", date(2022, 11, 1), 11_912 * _MI250X, 379.7e15),
        *(f"number of accelerators from recollection; {_LIST}", Grade.ASSUMPTION),
    ),
    System(
        *("Eagle", "14,400 H100", date(2023, 11, 1), 14_400 * _H100, 561.2e15),
        *(f"M. Russinovich, May 2024 (baxtel.com); {_LIST}", Grade.SECONDARY),
    ),
    System(
        *("Aurora", "half of 63,744 Max 1550", date(2023, 11, 1), 63_744 / 2 * _MAX_1550, 585.34e15),
        *(f"{_LIST}: about half of it; BF16 peak of the accelerator from recollection", Grade.ASSUMPTION),
    ),
    System("Meta, first cluster", "24,576 H100", date(2024, 3, 1), 24_576 * _H100, None, _META, Grade.SECONDARY),
    System("Meta, second cluster", "24,576 H100", date(2024, 3, 1), 24_576 * _H100, None, _META, Grade.SECONDARY),
    System(
        *("Aurora", "63,744 Max 1550", date(2024, 5, 1), 63_744 * _MAX_1550, 1012.0e15),
        *("TOP500, June 2024; BF16 peak of the accelerator from recollection", Grade.ASSUMPTION),
    ),
    System(
        *("xAI Colossus", "100,000 H100", date(2024, 9, 1), 100_000 * _H100, None),
        *("Tom's Hardware, September 2024; how many ran at once was disputed", Grade.SECONDARY),
    ),
    System(
        *("El Capitan", "44,544 MI300A", date(2024, 11, 1), 44_544 * _MI300A, 1742.0e15),
        *("Tom's Hardware, November 2024; BF16 peak of the accelerator from recollection", Grade.ASSUMPTION),
    ),
    System(
        *("Tesla Cortex", "50,000 H100", date(2024, 12, 1), 50_000 * _H100, None),
        *("datacenterdynamics.com: in operation in the last quarter of 2024", Grade.SECONDARY),
    ),
)
"""By date; a system that grew is there once for each size, and the newest in force counts."""


@dataclass(frozen=True)
class Standing:
    """A place among published systems.

    Args:
        unit: what is compared.
        flop_per_s: of the machine in that unit; None where it has none.
        place: from 1; None where it has none.
        why_not: the reason, then.
        larger: the listed systems in force that are larger, largest first.
        among: how many listed systems in force have a figure in this unit.
    """

    unit: str
    flop_per_s: float | None
    place: int | None
    why_not: str
    larger: tuple[str, ...]
    among: int


BF16, HPL = "dense BF16 peak", "FP64 LINPACK"


def in_force(on: date) -> tuple[System, ...]:
    """The listed systems on a date, each at its size then."""
    known = sorted(SYSTEMS, key=lambda system: system.since)
    return tuple({system.site: system for system in known if system.since <= on}.values())


def fifth_place_flop_per_s(on: date, hpl: bool = False) -> float:
    """What the fifth of the listed systems has on a date: the least that a place among five takes."""
    return sorted(_figures(on, hpl).values(), reverse=True)[4]


def _figures(on: date, hpl: bool) -> dict[str, float]:
    found = {system.name: system.hpl_flop_per_s if hpl else system.bf16_flop_per_s for system in in_force(on)}
    return {name: figure for name, figure in found.items() if figure is not None}


def standings(machine: Machine, accelerators: float, hpl_share: float, on: date) -> tuple[Standing, ...]:
    """The places of so many accelerators on a date, in each unit."""
    peak = machine.levels[machine.accelerator].peak
    bf16 = peak.bf16_flop_per_s if peak else None
    fp64 = (peak.fp64_matrix_flop_per_s or peak.fp64_flop_per_s) if peak else None
    without = f"{machine.title} has no {{}} in its published figures, so it cannot be compared in it"
    return (
        _standing(BF16, bf16 and bf16 * accelerators, _figures(on, hpl=False), without.format("BF16 peak")),
        _standing(
            HPL,
            fp64 and fp64 * accelerators * hpl_share,
            _figures(on, hpl=True),
            without.format("FP64 arithmetic, which LINPACK needs,"),
        ),
    )


def _standing(unit: str, mine: float | None, others: dict[str, float], why_not: str) -> Standing:
    if mine is None:
        return Standing(unit, None, None, why_not, (), len(others))
    larger = sorted((name for name, figure in others.items() if figure > mine), key=lambda name: -others[name])
    return Standing(unit, mine, 1 + len(larger), "", tuple(larger), len(others))
