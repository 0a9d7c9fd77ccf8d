"""What is no number is no command, no state and no input."""

from __future__ import annotations

import math

import pytest

from dojo.errors import RecordError
from dojo.records import Command, DriverInput, VehicleState


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused(bad):
    with pytest.raises(RecordError, match="command: expected finite values"):
        Command(bad, 0.0, True)
    with pytest.raises(RecordError, match="command: expected finite values"):
        Command(0.0, bad, True)
    with pytest.raises(RecordError, match="driver input: expected a finite torque"):
        DriverInput(torque_nm=bad)
    for values in ((bad, 0.0, 0.0), (0.0, bad, 0.0), (0.0, 0.0, bad)):
        with pytest.raises(RecordError, match="a signal out of range is missing, not a number"):
            VehicleState(0, *values)


def test_nobody_is_taken_to_be_there_until_a_monitor_says_so():
    assert not DriverInput().hands_on
    assert not DriverInput().eyes_on_road
