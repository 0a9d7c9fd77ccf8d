"""Where a machine stands."""

from __future__ import annotations

from datetime import date

from dojo.machine.plan.ranking import BF16, HPL, SYSTEMS, fifth_place_flop_per_s, in_force, standings
from dojo.machine.specs import load_machine

D1, H100 = load_machine("d1"), load_machine("h100")


def test_a_machine_without_fp64_has_no_place_in_linpack_and_is_told_why() -> None:
    bf16, hpl = standings(D1, 3000.0, 0.64, date(2024, 1, 1))
    assert (bf16.unit, hpl.unit) == (BF16, HPL)
    assert bf16.flop_per_s == 3000 * 362e12
    assert hpl.place is None
    assert hpl.flop_per_s is None
    assert "no FP64 arithmetic, which LINPACK needs" in hpl.why_not


def test_a_machine_with_fp64_has_a_place_in_each_unit() -> None:
    # 14,400 H100 are Eagle itself: third of TOP500 in November 2023, with 561 PF; at 0.59 of its peak ours falls short.
    bf16, hpl = standings(H100, 14_400.0, 0.58, date(2024, 1, 1))
    assert bf16.larger == ("Aurora (half of 63,744 Max 1550)", "Frontier (37,632 MI250X)")
    assert bf16.place == 3
    assert hpl.larger == ("Frontier (37,632 MI250X)", "Aurora (half of 63,744 Max 1550)", "Eagle (14,400 H100)")
    assert hpl.place == 4
    assert not hpl.why_not


def test_each_unit_is_ranked_among_the_systems_that_have_a_figure_in_it() -> None:
    bf16, hpl = standings(H100, 1.0, 0.64, date(2024, 1, 1))
    with_bf16 = sum(system.bf16_flop_per_s is not None for system in in_force(date(2024, 1, 1)))
    with_hpl = sum(system.hpl_flop_per_s is not None for system in in_force(date(2024, 1, 1)))
    assert (bf16.among, hpl.among) == (with_bf16, with_hpl)
    assert (bf16.place, hpl.place) == (with_bf16 + 1, with_hpl + 1)


def test_a_system_that_grew_counts_once_at_its_size_then() -> None:
    def sizes(on: date) -> list[str]:
        return [system.parts for system in in_force(on) if system.site == "Aurora"]

    assert sizes(date(2024, 1, 1)) == ["half of 63,744 Max 1550"]
    assert sizes(date(2024, 6, 1)) == ["63,744 Max 1550"]
    assert not any(system.since > date(2024, 1, 1) for system in in_force(date(2024, 1, 1)))


def test_the_fifth_of_linpack_is_the_lists() -> None:
    # TOP500, November 2023: LUMI is fifth with 379.70 PF.
    assert fifth_place_flop_per_s(date(2024, 1, 1), hpl=True) == 379.7e15


def test_every_system_has_a_source_and_says_where_it_rests_on_recollection() -> None:
    for system in SYSTEMS:
        assert system.source
        assert ("recollection" in system.source) == (not system.grade.is_fact), system.name
