"""What a policy gives away is said with its interval and its limit, and what fails is marked."""

from __future__ import annotations

from dojo.evaluate.cheat import CheatReport
from dojo.evaluate.cheat_page import cheat_section
from dojo.records import Estimate

CLEAN = Estimate(0.013, -0.02, 0.05, 800, 60)
FOUND = Estimate(0.42, 0.36, 0.47, 800, 60)


def test_a_clean_policy_is_said_to_be_clean_as_far_as_this_can_tell() -> None:
    said = cheat_section(CheatReport(CLEAN, CLEAN, 0.1))
    assert "It does not cheat, as far as this can tell." in said
    assert "1.3 %" in said
    assert "-2.0 to 5.0 %" in said
    assert "60 drives" in said
    assert said.count('class="good"') == 3


def test_what_fails_is_marked_and_what_was_off_is_named() -> None:
    said = cheat_section(CheatReport(CLEAN, FOUND, 0.91), ("the noise of the bottleneck",))
    assert "It may cheat" in said
    assert said.count('class="bad"') == 2
    assert "Made without the noise of the bottleneck." in said
    assert "0.91 m" in said
