from __future__ import annotations

import pytest

from dojo.errors import ReleaseError
from dojo.release.words import overclaims, require_modest


@pytest.mark.parametrize(
    "claim",
    [
        "a self-driving car",
        "Self driving",
        "fully autonomous operation",
        "driverless",
        "better than Autopilot",
        "is compliant with UN R171",
        "complies with ISO 21448",
        "certified by nobody",
        "an approved system",
        "we guarantee it",
        "fail-safe",
        "accident-free",
        "zero collisions",
        "proven in simulation",
        "safer than a human",
        "the system is safe",
        "never crashes",
        "hands-free",
        "SAE level 3",
        "level 4 ready",
        "fully automated",
    ],
)
def test_a_word_that_no_figure_bears_is_refused(claim: str) -> None:
    assert overclaims(claim)
    with pytest.raises(ReleaseError, match=r"overclaims: page: expected words of driver assistance, got '"):
        require_modest("page", f"This is {claim}.")


@pytest.mark.parametrize(
    "said",
    [
        "driver assistance at SAE level 2",
        "evidence towards UN Regulation No. 171 and ISO 21448",
        "0 interventions in 20 km: at 95 % confidence fewer than 1 in 6.7 km",
        "It has not been approved; it is not approved.",
        "the licence names the operational domain; safety envelope; the safety case",
    ],
)
def test_what_was_tested_may_be_said(said: str) -> None:
    assert require_modest("page", said) == said
