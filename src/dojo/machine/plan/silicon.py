"""What a wafer gives: dies, those of them that work, and the price of one.

In: a die's area, a wafer's price, defects. Out: dies to a wafer, yield, dollars a good die.
Idea: a floor under every claim about money. A die that may carry broken nodes yields better than one that may not, so
the plain yield is a lower bound for a chip with spare nodes.
Source: gross dies: de Vries 2005, "Investigation of gross die per wafer formulas"; yield: Murphy 1964, "Cost-size
optima of monolithic integrated circuits".
"""

from __future__ import annotations

import math

WAFER_DIAMETER_MM = 300.0


def dies_per_wafer(area_mm2: float) -> float:
    """Whole dies on a wafer, without edge exclusion and scribe lines."""
    across = WAFER_DIAMETER_MM
    return math.pi * across**2 / (4 * area_mm2) - math.pi * across / math.sqrt(2 * area_mm2)


def murphy_yield(area_mm2: float, defects_per_cm2: float) -> float:
    """The share of dies without a defect."""
    expected = area_mm2 / 100 * defects_per_cm2
    return (-math.expm1(-expected) / expected) ** 2 if expected else 1.0


def good_dies_per_wafer(area_mm2: float, defects_per_cm2: float) -> float:
    """Dies without a defect on a wafer."""
    return dies_per_wafer(area_mm2) * murphy_yield(area_mm2, defects_per_cm2)
