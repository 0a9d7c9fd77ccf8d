from __future__ import annotations

import numpy as np
import pytest

from dojo.errors import ReleaseError
from dojo.geometry import MODEL_VIEW
from dojo.release.contracts import SIGNALS, camera_contract, mounting_range


def test_each_signal_has_a_unit_a_range_a_rate_and_a_time_after_which_it_is_stale() -> None:
    assert len({signal.name for signal in SIGNALS}) == len(SIGNALS)
    for signal in SIGNALS:
        assert signal.unit
        assert signal.low < signal.high
        assert signal.protected
        assert 1 / signal.rate_hz < signal.stale_after_s <= 0.5
        assert signal.when_missing
    assert {signal.direction for signal in SIGNALS} == {"in", "out"}


def test_the_mounting_range_is_what_the_training_cameras_covered() -> None:
    streams = [np.array([1.6, 0.0, 1.3, 0.0, 0.05, -0.01]), np.array([1.9, 0.1, 1.5, 0.01, 0.06, 0.02])]
    found = mounting_range(streams)
    assert found["up_m"] == (1.3, 1.5)
    assert found["yaw_left_rad"] == (-0.01, 0.02)


def test_without_cameras_there_is_no_range() -> None:
    with pytest.raises(ReleaseError, match="cameras_unknown"):
        mounting_range([])


def test_the_camera_contract_is_about_the_view_that_every_model_sees() -> None:
    found = camera_contract(MODEL_VIEW, {"up_m": (1.2, 1.6)}, 0.2, 5, 0.1)
    assert (found.view.width_px, found.view.height_px) == (512, 256)
    assert (found.pictures, found.picture_every_s, found.tested_latency_s) == (6, 0.2, 0.1)
