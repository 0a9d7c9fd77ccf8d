"""What a plan assumes: prices, power, failures, and what each rests on.

In: a machine, its price if the caller knows it. Out: `Assumptions`, every figure a `Range` with source and grade.
Idea: what nobody published is a range and is called an assumption, on the page as here. A price is that of one
accelerator with its share of the system around it; the building and the electricity are figures of their own, so that a
price "all in" has the building taken out of it first.
Not here: figures of the machine itself (`dojo.machine.specs`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dojo.errors import ConfigError
from dojo.machine.chip.spec import Grade, Machine
from dojo.machine.plan.ranges import Range

_MUSK = "E. Musk, January 2024: 500 million dollars are a 10,000 H100 system (ca.news.yahoo.com/tesla-spend-500m)"
_DEVELOPMENT_GUIDE = "Cushman & Wakefield, Data Center Development Cost Guide 2025, page 8"

# The only prices that anyone at Tesla named: a tile costs less than one GPU box (AI Day 2022), a DGX A100 then listed
# at 199,000 dollars; and 50,000 dollars all in for what does the work of an H100 (January 2024), from which the
# building at the guide's average is taken: 50,000 x 362/989.4 - 667 W x 11.7 $/W = 10,500 a die, and
# 50,000 - 1,275 W x 11.7 $/W = 35,100 an H100.
PRICES_USD: Mapping[str, Range] = {
    "d1": Range(
        2000.0,
        7960.0,
        10500.0,
        "likely: a tile of 25 for less than a DGX A100 (AI Day 2022, techstory.in; 199,000 dollars, gadgetmix.com); "
        f"high: {_MUSK}, less the building; low: silicon, packaging, memory and hosts, estimated from below",
        Grade.DERIVED,
    ),
    "a100": Range(15000.0, 24875.0, 30000.0, "an eighth of a DGX A100 in 2020 (gadgetmix.com)", Grade.DERIVED),
    "h100": Range(28000.0, 35100.0, 42000.0, f"{_MUSK}, less the building", Grade.DERIVED),
    "h200": Range(30000.0, 38000.0, 46000.0, "as an H100 with more memory; no price found", Grade.ASSUMPTION),
}
"""Of one accelerator with its share of server, network and racks, by machine."""

OWN_CHIP = Range(
    8e6,
    15e6,
    25e6,
    "200 to 500 people at half a million dollars a year, with tools and tape-outs; Tesla said that its billion "
    "is split "
    "between research and capital, and not how (livemint.com 11689821160576)",
    Grade.ASSUMPTION,
)
BOUGHT_CHIPS = Range(0.5e6, 1.5e6, 4e6, "some tens of people who bring bought systems into operation", Grade.ASSUMPTION)
DESIGNED_BY_THE_PLANNER = ("d1",)
WAFERS_7_NM = Range(
    8500.0, 9800.0, 11000.0, "7 nm, 2018: nearly 10,000 (DigiTimes, after smbom.com/news/11445)", Grade.SECONDARY
)
WAFERS_5_NM = Range(
    13000.0, 16000.0, 18000.0, "5 nm, 2020: above 16,000 (DigiTimes, after smbom.com/news/11445)", Grade.SECONDARY
)


@dataclass(frozen=True)
class Assumptions:
    """What a plan assumes, beyond the figures of the machine.

    Args:
        price_usd: of one accelerator with its share of server, network and racks, without the building.
        research_usd_per_month: of the people, and of the tape-outs where the chip is one's own.
        building_usd_per_w: of IT load.
        power_usage: power taken from the grid by power of the IT load.
        load_share: mean draw by largest draw.
        electricity_usd_per_kwh: what it says.
        utilisation: share of peak that useful arithmetic reaches while a job runs.
        mtbf_each_h: hours of one accelerator, with what hangs on it, between failures that stop a job.
        checkpoint_s: that a job stands while its state is written.
        restart_s: from a failure until the job runs again.
        hpl_share: of FP64 peak that the LINPACK benchmark reaches.
        wafer_usd: of one wafer of the accelerator's process; shown, and part of no other figure.
        defects_per_cm2: of silicon; likewise.
    """

    price_usd: Range
    research_usd_per_month: Range
    building_usd_per_w: Range = field(
        default_factory=lambda: Range(
            5.0,
            11.7,
            15.0,
            f"{_DEVELOPMENT_GUIDE}: 11.7 on average over 19 markets, 15.0 in the dearest; low: a hall that stands "
            "already",
            Grade.SECONDARY,
        )
    )
    power_usage: Range = field(
        default_factory=lambda: Range(
            1.08,
            1.2,
            1.58,
            "high: industry average of 2023 (Uptime Institute); likely: cooled by liquid, as trays of Dojo are",
            Grade.SECONDARY,
        )
    )
    load_share: Range = field(
        default_factory=lambda: Range(0.5, 0.7, 0.9, "no measurement of such a machine found", Grade.ASSUMPTION)
    )
    electricity_usd_per_kwh: Range = field(
        default_factory=lambda: Range(
            0.066,
            0.08,
            0.186,
            "EIA, Electric Power Annual 2023, industrial: Texas, United States, California",
            Grade.PRIMARY,
        )
    )
    utilisation: Range = field(
        default_factory=lambda: Range(
            0.17,
            0.35,
            0.52,
            "high: GPT-3 on 64 A100, 51 % (arXiv 2205.05198, table 5); low: ResNet-50 on 8 H100, 7,008 images a second "
            "of 24.6 Gflop (MLPerf Training 3.0); video lies between",
            Grade.DERIVED,
        )
    )
    mtbf_each_h: Range = field(
        default_factory=lambda: Range(
            17_000.0,
            50_700.0,
            150_000.0,
            "419 unexpected interruptions in 54 days on 16,384 H100 (Dubey et al. 2024, arXiv 2407.21783); a third and "
            "three times that as bounds; nothing is published of Dojo",
            Grade.DERIVED,
        )
    )
    checkpoint_s: Range = field(
        default_factory=lambda: Range(5.0, 30.0, 120.0, "from memory to memory, or to disks", Grade.ASSUMPTION)
    )
    restart_s: Range = field(
        default_factory=lambda: Range(
            120.0, 600.0, 1800.0, "minutes where it is automatic, more where it is not", Grade.ASSUMPTION
        )
    )
    wafer_usd: Range = field(default_factory=lambda: WAFERS_7_NM)
    defects_per_cm2: Range = field(
        default_factory=lambda: Range(0.07, 0.09, 0.15, "TSMC at the VLSI Symposium 2019: 0.09 in N7", Grade.SECONDARY)
    )
    hpl_share: Range = field(
        default_factory=lambda: Range(
            0.5,
            0.64,
            0.72,
            "El Capitan: 1.742 of 2.746 exaflops (TOP500, November 2024); bounds from other systems of the list",
            Grade.SECONDARY,
        )
    )


Given = tuple[float, float, float] | None


def assumptions_for(machine: Machine, price_usd: Given = None, research_usd_per_month: Given = None) -> Assumptions:
    """What is assumed of a machine.

    Args:
        price_usd: low, likely and high, from whoever knows better than `PRICES_USD` or the machine's own file.
        research_usd_per_month: likewise.

    Raises:
        ConfigError: nobody knows what the machine costs.
    """
    usual = OWN_CHIP if machine.name in DESIGNED_BY_THE_PLANNER else BOUGHT_CHIPS
    research = usual if research_usd_per_month is None else _given(research_usd_per_month)
    silicon = machine.levels[machine.accelerator].silicon
    wafers = WAFERS_5_NM if silicon is not None and silicon.process_nm <= 5 else WAFERS_7_NM
    price = _price_of(machine, price_usd)
    return Assumptions(price_usd=price, research_usd_per_month=research, wafer_usd=wafers)


def _given(bounds: tuple[float, float, float]) -> Range:
    return Range(*bounds, "given by whoever asked for this plan", Grade.ASSUMPTION)


def _price_of(machine: Machine, given: Given) -> Range:
    if given is not None:
        return _given(given)
    if machine.name in PRICES_USD:
        return PRICES_USD[machine.name]
    for name, level in machine.levels.items():
        held = machine.count(machine.accelerator, name)
        if level.price is not None and held:
            each = level.price.price_usd / held
            return Range(
                0.7 * each, each, 1.3 * each, f"{level.price.source}; bounds of 30 % assumed", level.price.grade
            )
    raise ConfigError(
        f"plan: expected a price of machine {machine.name}, found none in its file; give one "
        f"{machine.accelerator}'s as "
        "price_usd: low, likely and high"
    )
