"""What a wafer gives."""

from __future__ import annotations

import pytest

from dojo.machine.plan.silicon import dies_per_wafer, good_dies_per_wafer, murphy_yield


def test_a_wafer_holds_the_dies_that_its_area_and_edge_allow() -> None:
    # By hand: pi 300^2 / (4 x 645) = 109.6, less pi 300 / sqrt(2 x 645) = 26.2.
    assert dies_per_wafer(645.0) == pytest.approx(83.4, abs=0.1)


def test_yield_is_murphys() -> None:
    # ((1 - e^-1) / 1)^2 at one expected defect.
    assert murphy_yield(100.0, 1.0) == pytest.approx(0.39958, abs=1e-5)
    assert murphy_yield(645.0, 0.0) == 1.0
    assert murphy_yield(100.0, 1e-9) == pytest.approx(1.0)


def test_good_dies_are_both() -> None:
    assert good_dies_per_wafer(645.0, 0.09) == pytest.approx(dies_per_wafer(645.0) * murphy_yield(645.0, 0.09))
