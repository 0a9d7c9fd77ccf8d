"""The randomness of stochastic rounding."""

from __future__ import annotations

import pytest

from dojo.errors import ConfigError
from dojo.machine.numbers.rounding import Flag, Stochastic, dither_numerator, random_word


def test_random_words_are_splitmix64s() -> None:
    # The first five outputs for this seed, as listed on Rosetta Code, "Pseudo-random numbers/Splitmix64".
    assert [random_word(1234567, index) for index in range(5)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_dithers_are_odd_and_spread_over_their_range() -> None:
    dithers = [dither_numerator(3, index) for index in range(4096)]
    assert all(dither % 2 == 1 and 0 < dither < 1 << 24 for dither in dithers)
    # Each sixteenth of the range expects 256; five standard deviations are 77.
    counts = [sum(dither >> 20 == part for dither in dithers) for part in range(16)]
    assert all(abs(count - 256) < 77 for count in counts)


@pytest.mark.parametrize(("seed", "first_index"), [(-1, 0), (1 << 64, 0), (0, -1), (0, 1 << 62)])
def test_a_seed_or_an_index_out_of_range_is_refused(seed: int, first_index: int) -> None:
    with pytest.raises(ConfigError, match=rf"expected a seed of 0 to 2\^64 - 1 .* got {seed} and {first_index}$"):
        Stochastic(seed, first_index)


def test_a_dither_is_the_upper_bits_of_its_word() -> None:
    assert dither_numerator(1234567, 0) == 2 * (6457827717110365317 >> 41) + 1


def test_the_ends_of_the_range_of_seeds_and_indices_are_allowed() -> None:
    assert Stochastic(0) == Stochastic(0, 0)
    assert Stochastic((1 << 64) - 1, (1 << 62) - 1).first_index == (1 << 62) - 1


def test_flags_can_be_told_apart_however_they_are_joined() -> None:
    assert sorted(flag.value for flag in Flag) == [1, 2, 4, 8, 16]
