"""The levels of a machine."""

from __future__ import annotations

import pytest

from dojo.errors import ConfigError
from dojo.machine.chip.spec import Grade, Level, Link, Machine, Part

MADE_UP = {"source": "made up", "grade": Grade.ASSUMPTION}


def two_levels(*, accelerator: str = "chip", part: str = "core", within: str = "box") -> Machine:
    core = Level(name="core")
    link = Link(bandwidth_bytes_per_s=1.0, count=1, within=within, **MADE_UP)  # type: ignore[arg-type]
    parts = {part: Part(count=4, **MADE_UP)}  # type: ignore[arg-type]
    chip = Level(name="chip", parts=parts, links={"cable": link})
    helper = Level(name="helper", parts={"core": Part(count=1, **MADE_UP)})  # type: ignore[arg-type]
    box = Level(
        name="box",
        parts={"chip": Part(count=3, **MADE_UP), "helper": Part(count=2, **MADE_UP)},  # type: ignore[arg-type]
    )
    levels = {level.name: level for level in (core, chip, helper, box)}
    return Machine(name="small", title="Small", accelerator=accelerator, levels=levels)


def test_parts_are_counted_along_every_way_down() -> None:
    machine = two_levels()
    assert machine.count("core", "box") == 3 * 4 + 2 * 1
    assert machine.count("chip", "chip") == 1
    assert machine.count("box", "chip") == 0


def test_counting_a_level_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^machine small: expected a level, one of .*'box'\], got 'die'$"):
        two_levels().count("die", "box")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"accelerator": "die"}, "accelerator: expected one of .*, got 'die'$"),
        ({"part": "box"}, r"chip.parts.box: expected a level written above it, one of \['core'\]$"),
        ({"within": "core"}, r"chip.links.cable.within: .* below it, one of \['helper', 'box'\], got 'core'$"),
    ],
)
def test_levels_that_do_not_hang_together_are_refused(fault: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^machine small: {message}"):
        two_levels(**fault)


def test_links_that_leave_the_largest_level_are_within_nothing() -> None:
    assert two_levels(within="").levels["chip"].links["cable"].within == ""


def test_only_an_assumption_is_no_fact() -> None:
    assert [grade for grade in Grade if not grade.is_fact] == [Grade.ASSUMPTION]
