"""The machines that come with Dojo."""

from __future__ import annotations

from pathlib import Path

import pytest

import dojo.machine.specs
from dojo.errors import ConfigError
from dojo.machine.chip.spec import Grade
from dojo.machine.specs import load_machine, machine_names
from dojo.machine.specs.check import figure
from dojo.machine.specs.read import read_machine

FOLDER = Path(dojo.machine.specs.__file__).parent


def test_these_machines_come_with_dojo() -> None:
    assert machine_names() == ["a100", "d1", "h100", "h200", "laptop", "toy"]


@pytest.mark.parametrize("name", machine_names())
def test_every_check_of_a_machine_holds_and_there_are_some(name: str) -> None:
    reading = read_machine((FOLDER / f"{name}.toml").read_text(), name)
    assert len(reading.outcomes) >= 4
    assert all(outcome.holds for outcome in reading.outcomes)
    assert reading.machine == load_machine(name)
    assert reading.machine.name == name


def test_dojo_is_counted_as_published() -> None:
    d1 = load_machine("d1")
    # 10 cabinets, 20 trays, 120 tiles, 3,000 dies, 1,062,000 nodes, 400 interface processors.
    parts = ("cabinet", "tray", "tile", "die", "node", "dip")
    assert [d1.count(part, "exapod") for part in parts] == [10, 20, 120, 3000, 1_062_000, 400]
    assert d1.count("die", "cabinet") == 300
    assert figure(d1, "3000 * die.peak.bf16_flop_per_s") == 1.086e18
    assert figure(d1, "node.peak.bf16_flop_per_s * die.parts.node.count") == 362.496e12
    # What makes Dojo what it is: little arithmetic for each byte of fast memory, much for each byte of slow memory.
    assert figure(d1, "node.peak.bf16_flop_per_s / node.sram.load_bytes_per_s") == 2.56
    assert figure(d1, "die.peak.bf16_flop_per_s / (4 * die.links.edge.bandwidth_bytes_per_s)") == 45.25


def test_what_dojo_rests_on_assumptions_for_is_marked() -> None:
    d1 = load_machine("d1")
    assert d1.levels["die"].grid is not None
    assert d1.levels["die"].grid.grade is Grade.ASSUMPTION
    assert d1.levels["tile"].peak is not None
    assert d1.levels["tile"].peak.grade is Grade.PRIMARY


# Doctored specs: a slip in any of these figures must be seen.
@pytest.mark.parametrize(
    ("true", "doctored", "said"),
    [
        ("depth = 4", "depth = 3", "8 x 8 x 4 products at 2 GHz"),
        ("count = 354", "count = 360", "354 nodes are the die's peak"),
        ("clock_hz = 2.0e9", "clock_hz = 2.075e9", "8 x 8 x 4 products at 2 GHz"),
        ("width_bytes = 64", "width_bytes = 32", "16 float32 lanes"),
        ("router_load_bytes = 64", "router_load_bytes = 72", "the ports that load add up"),
        ("store_bytes_per_s = 270.0e9", "store_bytes_per_s = 400.0e9", "the ports that store add up"),
        ("capacity_bytes = 1.25e6", "capacity_bytes = 1.31e6", "the nodes' memory is the die's"),
        ("lane_bits_per_s = 112.0e9", "lane_bits_per_s = 56.0e9", "144 lanes of 112 Gb/s"),
        ("bf16_flop_per_s = 9.0e15", "bf16_flop_per_s = 9.4e15", "25 dies are the tile's peak"),
        ("current_a = 288.0", "current_a = 188.0", "288 A at 52 V"),
        ("power_w = 400.0", "power_w = 700.0", "the tile draws at least what its dies do"),
        ("power_w = 100.0e3", "power_w = 80.0e3", "the tray draws at least what its tiles do"),
        ("count = 20", "count = 24", "20 interface processors are the tray's memory"),
        ("count = 10\n", "count = 9\n", "an ExaPOD has 3,000 dies"),
        ("capacity_bytes = 13.0e12", "capacity_bytes = 14.0e12", "20 trays are the ExaPOD's large memory"),
    ],
)
def test_a_slip_in_a_figure_is_found_by_a_check(true: str, doctored: str, said: str) -> None:
    text = (FOLDER / "d1.toml").read_text()
    assert true in text
    with pytest.raises(ConfigError, match=rf"- FAILS: {said}"):
        read_machine(text.replace(true, doctored), "d1.toml")


@pytest.mark.parametrize("name", ["a100", "h100", "h200"])
def test_a_sparse_peak_passed_off_as_dense_is_found(name: str) -> None:
    text = (FOLDER / f"{name}.toml").read_text()
    dense = next(line for line in text.splitlines() if line.startswith("bf16_flop_per_s"))
    sparse = f"bf16_flop_per_s = {2 * float(dense.split('=')[1])}"
    with pytest.raises(ConfigError, match=r"FAILS: 1\d\d SMs of four tensor cores are the peak"):
        read_machine(text.replace(dense, sparse), name)


def test_the_toy_is_worked_out_in_the_head() -> None:
    toy = load_machine("toy")
    assert toy.count("core", "room") == 1000
    assert figure(toy, "chip.peak.bf16_flop_per_s / chip.memory.bandwidth_bytes_per_s") == 100.0


def test_a_machine_of_ones_own_is_read_from_its_file(tmp_path: Path) -> None:
    own = tmp_path / "mine.toml"
    own.write_text((FOLDER / "toy.toml").read_text().replace('name = "toy"', 'name = "mine"'))
    assert load_machine(own).name == load_machine(str(own)).name == "mine"


def test_a_machine_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    for wanted in ("b200", tmp_path / "b200.toml"):
        with pytest.raises(
            ConfigError, match=r"b200.*: expected one of a100, d1, h100, h200, laptop, toy, or the path of a"
        ):
            load_machine(wanted)
