"""Textures: they tile without a seam and follow their seed."""

from __future__ import annotations

import numpy as np
import pytest

from dojo.world import textures


def test_noise_has_no_seam() -> None:
    field = textures.noise(np.random.default_rng(1), 128, 4, 0.5)
    assert field.mean() == pytest.approx(0.0, abs=1e-4)
    assert field.std() == pytest.approx(1.0, abs=1e-3)
    # The step from the last row to the first is like any other step.
    inside, across = np.abs(np.diff(field, axis=0)).mean(), np.abs(field[0] - field[-1]).mean()
    assert across < 1.5 * inside


@pytest.mark.parametrize("make", [textures.meadow, textures.leaves, textures.wall])
def test_the_same_seed_makes_the_same_picture(make: object) -> None:
    one, same, other = (make(np.random.default_rng(seed)) for seed in (1, 1, 2))  # type: ignore[operator]
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    assert one.mean() > 80


def test_rougher_asphalt_has_more_contrast() -> None:
    smooth, rough = (textures.asphalt(np.random.default_rng(3), roughness) for roughness in (0.5, 1.5))
    assert rough.std() > 2 * smooth.std()
    assert abs(rough.mean() - smooth.mean()) < 10


def test_the_panorama_has_hills_at_the_horizon_and_zenith_above() -> None:
    sky = textures.panorama(
        np.random.default_rng(0), (0.0, 0.0, 1.0), (1.0, 1.0, 1.0), (0.5, 0.5, 0.5), 0.0, (0.0, 0.0, 0.0)
    )
    assert sky.shape == (512, 4096, 3)
    assert sky[-1].mean() < 90  # hills, below the horizon
    assert sky[0, :, 2].mean() > sky[0, :, 0].mean() + 100
    assert np.abs(sky[:, 0].astype(int) - sky[:, -1]).mean() < 6
