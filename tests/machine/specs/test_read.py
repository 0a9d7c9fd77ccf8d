"""The file of a machine, and everything that can be wrong with it."""

from __future__ import annotations

import pytest

from dojo.errors import ConfigError
from dojo.machine.specs.read import read_machine

GOOD = """
name = "one"
title = "One chip"
accelerator = "chip"

[core.clock]
clock_hz = 1e9
source = "made up"
grade = "assumption"

[chip.parts.core]
count = 4
source = "made up"
grade = "assumption"

[chip.memory]
capacity_bytes = 8e9
source = "made up"
grade = "primary"
note = "no bandwidth known"

[[check]]
says = "four cores"
left = "core.clock.clock_hz * chip.parts.core.count"
equals = "4e9"
"""


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as refused:
        read_machine(text, "one.toml")
    return str(refused.value)


def test_a_figure_that_nobody_published_is_absent() -> None:
    reading = read_machine(GOOD, "one.toml")
    memory = reading.machine.levels["chip"].memory
    assert memory is not None
    assert memory.bandwidth_bytes_per_s is None
    assert reading.machine.levels["core"].memory is None
    assert [str(outcome) for outcome in reading.outcomes] == ["holds: four cores: 4e+09 = 4e+09"]


@pytest.mark.parametrize(
    ("true", "faulty", "fault"),
    [
        ('title = "One chip"', "", "title: expected text, got None"),
        ('title = "One chip"', 'title = " "', "title: expected text, got ' '"),
        (
            'title = "One chip"',
            'title = "One"\nprice = 3',
            "price: expected a level, which is a table, or one of name,",
        ),
        (
            "clock_hz = 1e9",
            "clock_hz = 1e9\nclock_mhz = 1000",
            "core.clock.clock_mhz: unknown; expected one of source, grade, note,",
        ),
        ("clock_hz = 1e9", "", "core.clock.clock_hz: missing"),
        ("clock_hz = 1e9", 'clock_hz = "1 GHz"', "core.clock.clock_hz: expected a positive number, got '1 GHz'"),
        ("clock_hz = 1e9", "clock_hz = true", "core.clock.clock_hz: expected a positive number, got True"),
        ("clock_hz = 1e9", "clock_hz = inf", "core.clock.clock_hz: expected a positive number, got inf"),
        ("clock_hz = 1e9", "clock_hz = 0", "core.clock.clock_hz: expected a positive number, got 0"),
        ("count = 4", "count = 4.5", "chip.parts.core.count: expected a positive whole number, got 4.5"),
        ("count = 4", "count = -4", "chip.parts.core.count: expected a positive whole number, got -4"),
        ('source = "made up"\ngrade = "primary"', 'grade = "primary"', "chip.memory.source: missing"),
        ('source = "made up"\ngrade = "primary"', 'source = "made up"', "chip.memory.grade: missing"),
        ('grade = "primary"', 'grade = "A"', "chip.memory.grade: expected one of primary, secondary, derived, assump"),
        ("[chip.memory]", "[chip.hbm]", "chip.hbm: expected one of parts, links, grid, clock, matrix,"),
        ("[core.clock]", "[core]\nsram = 3\n[core.clock]", "core.sram: expected a table of figures with their source,"),
        ("[core.clock]", "[core]\nlinks = 3\n[core.clock]", "core.links: expected one of parts, links"),
        ('says = "four cores"', "", "check 1.says: expected text, got None"),
        (
            'equals = "4e9"',
            'equals = "4e9"\nat_most = "5e9"',
            "check 1: expected says, left, within and one of equals,",
        ),
        ('equals = "4e9"', "", "check 1: expected says, left, within and one of equals, at_least, at_most, got says,"),
        ('equals = "4e9"', 'equals = "4e9"\nbecause = "x"', "check 1: expected says, left, within and one of equals,"),
        ('equals = "4e9"', 'equals = "4e9"\nwithin = 1', "check 1.within: expected a share of 0.0 to 1.0, got 1"),
        ('equals = "4e9"', 'equals = "4e9"\nwithin = 2.0', "check 1.within: expected a share of 0.0 to 1.0, got 2.0"),
        ("[[check]]", "[check]", "check: expected [[check]], got {"),
    ],
)
def test_a_fault_is_named_with_its_place(true: str, faulty: str, fault: str) -> None:
    assert true in GOOD
    said = refusal(GOOD.replace(true, faulty))
    assert said.startswith("machine file one.toml: expected a machine as in docs/extend/machine.md, got 1 fault(s)")
    assert f"\n  - {fault}" in said


def test_every_fault_is_told_at_once() -> None:
    said = refusal(GOOD.replace("clock_hz", "clock").replace('grade = "primary"', ""))
    assert "got 3 fault(s); correct them all:" in said
    assert all(fault in said for fault in ("core.clock.clock: unknown", "core.clock.clock_hz: missing", "memory.grade"))


def test_a_check_that_fails_is_told_with_both_sides() -> None:
    said = refusal(GOOD.replace("count = 4", "count = 5"))
    assert said.endswith("\n  - FAILS: four cores: 5e+09 = 4e+09")


def test_text_that_is_no_toml_is_refused() -> None:
    assert refusal("name = ").startswith("machine file one.toml: expected TOML, got ")


def test_levels_that_do_not_hang_together_are_refused() -> None:
    assert refusal(GOOD.replace('accelerator = "chip"', 'accelerator = "die"')).startswith("machine one: accelerator")
