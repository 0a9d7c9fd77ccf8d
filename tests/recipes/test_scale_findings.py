"""What is said of a scaling study follows from its points, and what they cannot say is not said."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from dojo.evaluate.intervals import wilson
from dojo.recipes.scale_findings import Point, _difference, findings
from dojo.recipes.scale_page import page_of

ERROR = "lateral_error_3s_m"


def points(
    exponent: float = 0.4,
    floor: float = 0.0,
    noise: float = 0.03,
    doublings: int = 8,
    suites: bool = False,
    steady: bool = False,
    flat: bool = True,
    model: str = "tiny",
) -> list[Point]:
    rng = np.random.default_rng(1)
    made = []
    for size in range(doublings + 1):
        for seed in range(3):
            hours = 0.1 * 2.0**size * float(rng.uniform(0.98, 1.02))
            value = (floor + hours**-exponent) * float(np.exp(rng.normal(0, noise)))
            told = {"value": value, "low": value * 0.9, "high": value * 1.1, "samples": 100, "groups": 12}
            made.append(
                Point(
                    model=model,
                    routes=2**size,
                    seed=seed,
                    hours=hours,
                    kilometres=60 * hours,
                    vehicles=3,
                    clips=10,
                    steps=200,
                    tried=[(100, 1.0), (200, 0.9)],
                    flat=flat,
                    run=f"runs/{size}-{seed}",
                    figures={ERROR: told},
                    by_tag={"curve": told | {"value": 2 * value}},
                    baselines={"constant_velocity": 1.5},
                    closed_loop={"lane_centring": [20 if steady else max(0, 20 - 3 * size), 24]} if suites else None,
                )
            )
    return made


def said(**how: Any) -> str:
    return " ".join(findings(points(**how), ERROR, ())["verdict"])


def test_a_law_is_found_told_and_predicts_the_size_that_was_left_out() -> None:
    report = findings(points(), ERROR, (0.2,))
    law = report["curves"]["tiny"]["laws"]["power"]
    assert law["exponent"]["low"] < 0.4 < law["exponent"]["high"]
    assert law["held_out"]["inside"]
    (needed,) = law["needed"]
    assert needed["low"] < 0.2 ** (-1 / 0.4) < needed["high"]
    assert "tiny: more data helps: over 2.4 decades of data the error falls as D^-0." in report["verdict"][0]
    assert json.dumps(report, allow_nan=False)


def test_data_of_no_use_are_said_to_say_nothing() -> None:
    assert "the data cannot say whether more of it helps" in said(exponent=0.0, noise=0.1)


def test_a_short_range_is_not_called_a_law() -> None:
    text = said(doublings=5)
    assert "1.5 decades are too few to call this a law" in text


def test_a_target_below_the_floor_has_no_hours() -> None:
    report = findings(points(exponent=0.8, floor=0.5, noise=0.01), ERROR, (0.3,))
    floored = report["curves"]["tiny"]["laws"]["floor"]["needed"][0]
    assert (floored["value"], floored["unreachable"]) == (None, 1.0)
    assert "how many hours an error of 0.300 takes, the data cannot say: in 100 % of what they allow" in " ".join(
        report["verdict"]
    )
    assert re.search(r"the error may stop falling at 0\.(49|50)", " ".join(report["verdict"]))


def test_the_plain_law_is_seen_not_to_hold_where_there_is_a_floor() -> None:
    assert "it does not hold" in said(exponent=0.9, floor=0.5, noise=0.01)


def test_hours_far_beyond_the_data_are_not_told() -> None:
    text = " ".join(findings(points(noise=0.005), ERROR, (0.02,))["verdict"])
    assert "the data cannot say" in text.split("an error of 0.020 takes")[-1]


def test_runs_that_were_not_done_are_owned_up_to() -> None:
    assert "some runs were still improving when their steps ran out" in said(flat=False)
    assert "some runs were still improving" not in said()


def test_too_few_sizes_are_refused_in_words() -> None:
    report = findings(points(doublings=1), ERROR, ())
    assert "nothing can be said: scaling: expected more than 2 sizes" in report["verdict"][0]
    assert page_of(report | {"provenance": {}})


def test_failures_are_set_beside_errors_and_what_they_cannot_say_is_not_said() -> None:
    text = said(suites=True)
    assert "driving, lane centring: 60 of 72 cases failed at the smallest size, 0 of 72 at the largest" in text
    assert "more data helps there too" in text
    assert "whether more data helps there, the data cannot say" in said(suites=True, doublings=4, steady=True)


def test_the_interval_of_a_difference_is_newcombes() -> None:
    # Newcombe 1998, Statistics in Medicine 17:873, table II, method 10: 56 of 70 against 48 of 80.
    one, other = ({"share": f / n, "interval": wilson(f, n)} for f, n in ((56, 70), (48, 80)))
    assert _difference(one, other) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_two_decades_are_set_beside_published_exponents_and_less_are_not() -> None:
    assert "not told apart from the published 0.396 to 0.417" in said(exponent=0.4, floor=0.3, noise=0.01)
    assert "above the published" in said(exponent=1.2, floor=0.3, noise=0.005)
    assert "the published 0.396 to 0.417" not in said(doublings=5, floor=0.3, noise=0.01)


@pytest.mark.parametrize("suites", [False, True])
def test_the_page_holds_every_part_and_needs_no_network(suites: bool) -> None:
    made = points(suites=suites) + points(exponent=0.2, suites=suites, model="small")
    page = page_of(findings(made, ERROR, ()) | {"provenance": {"commit": "abc"}})
    assert ("cases failed, %" in page) == suites
    assert ("nothing was driven" in page) != suites
    assert all(part in page for part in ("Error by hours of data", "By manoeuvre", "2504.04338", "small", "no amount"))
    assert "http://" not in page.replace("http://www.w3.org", "")


def main() -> None:
    """Write the page of made-up points, to be looked at."""
    made = points(suites=True) + points(exponent=0.2, floor=0.2, suites=True, model="small")
    print(page_of(findings(made, ERROR, ()) | {"provenance": {"commit": "none"}}))


if __name__ == "__main__":
    main()
