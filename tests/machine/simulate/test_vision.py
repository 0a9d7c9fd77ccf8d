"""How long a captured step takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dojo.errors import ConfigError
from dojo.machine.compile.batches import Batches
from dojo.machine.compile.graph import Graph, Kind, Operator, Phase
from dojo.machine.simulate.constants import load_constants
from dojo.machine.simulate.here import measure_here, processor
from dojo.machine.simulate.mlperf_vision import predict_resnet, resnet_agreement, resnet_rows
from dojo.machine.simulate.own_training import OwnStep, training_on
from dojo.machine.simulate.said_of_speed import predictions
from dojo.machine.simulate.vision import (
    Feed,
    Fusion,
    Library,
    on_gpus,
    roofline,
)
from dojo.machine.specs import load_machine

CONSTANTS = load_constants()
MACHINES = {name: load_machine(name) for name in ("a100", "h100", "d1")}


def test_resnet50_is_as_fast_as_mlperf_measured_within_15_percent(resnet: Batches) -> None:
    rows = resnet_rows()
    found = [predict_resnet(row, resnet, MACHINES, CONSTANTS) for row in rows]
    agreement = resnet_agreement(rows, found)
    assert agreement.rows == len(rows) == 6
    assert agreement.mean_abs_error < 0.15
    assert agreement.mean_abs_error <= abs(agreement.worst_error)


def test_a_row_made_up_slower_is_found_to_be_off(resnet: Batches) -> None:
    rows = [replace(row, samples_per_s_each=row.samples_per_s_each / 2) for row in resnet_rows()]
    found = [predict_resnet(row, resnet, MACHINES, CONSTANTS) for row in rows]
    assert resnet_agreement(rows, found).mean_abs_error > 0.5


def test_what_a_library_fuses_saves_time(resnet: Batches) -> None:
    graph = resnet.at(64)
    times = [on_gpus(graph, MACHINES["a100"], 1, CONSTANTS, Library(fusion)).total_s for fusion in Fusion]
    assert times == sorted(times, reverse=True)
    assert times[0] > times[-1]


def test_a_hidden_exchange_costs_less_than_a_bare_one(resnet: Batches) -> None:
    graph = resnet.at(64)
    hidden, bare = (on_gpus(graph, MACHINES["a100"], 64, CONSTANTS, Library(overlap=how)) for how in (True, False))
    assert 0 < hidden.seconds["exchange"] < bare.seconds["exchange"]


def test_a_starved_step_waits_for_its_feed(resnet: Batches) -> None:
    fed = on_gpus(resnet.at(64), MACHINES["h100"], 8, CONSTANTS, feed=Feed(150528.0))
    starved = on_gpus(resnet.at(64), MACHINES["h100"], 8, CONSTANTS, feed=Feed(150528.0, decoded_per_s=1000.0))
    assert fed.seconds["feeding"] == 0
    assert starved.limiter == "feeding"
    assert starved.samples_per_s == pytest.approx(8 * 1000.0)


def one_operator(kind: Kind, matrix: tuple[int, ...], flops: float, moved: float) -> Graph:
    operator = Operator("one", kind, Phase.FORWARD, flops, moved / 2, moved / 2, "float32", matrix)
    return Graph("one", 1, 1, (operator,))


def test_a_roofline_by_hand() -> None:
    machine = processor("small", 100.0, 10.0, 0.5, "made up").machine
    computing = roofline(one_operator(Kind.MATMUL, (1, 5, 10, 10), 1000.0, 20.0), machine)
    assert computing.seconds["products"] == pytest.approx(10.0)
    moving = roofline(one_operator(Kind.ELEMENTWISE, (), 1000.0, 20.0), machine, kernel_s=0.5)
    assert moving.seconds["memory"] == pytest.approx(2.5)
    bare = replace(machine.levels["processor"], peak=None)
    without = replace(machine, name="bare", levels={"processor": bare})
    with pytest.raises(ConfigError, match="machine bare: expected the rate of products in 32 bits, found none"):
        roofline(one_operator(Kind.MATMUL, (1, 1, 1, 1), 2.0, 8.0), without)


def test_d1_is_predicted_from_its_figures_beside_what_was_said(resnet: Batches) -> None:
    d1, a100 = MACHINES["d1"], MACHINES["a100"]
    found = predictions(d1, resnet, resnet, {"resnet50": Feed(150528.0)}, a100, CONSTANTS)
    reduce, gpus, tile, tray, pod = found[:5]
    assert len(found) == 8
    # Said to be thirty times as long on GPUs as on a tile.
    assert 15 < gpus.value / reduce.value < 200
    # Said to be 5 us: the way there and back alone is 0.9 us, so software had four fifths of the time.
    assert 0.9e-6 < reduce.value < 5e-6
    assert reduce.limiter == "latency of the way"
    assert reduce.told is not None
    assert reduce.told.value == 5e-6
    # Said to be 3.2 to 4 A100s a die: the published figures allow less of ResNet-50.
    assert 150_000 < tile.value < 272_000
    assert tile.told is not None
    assert tile.told.value == pytest.approx(3.2 * 3399 * 25)
    assert tray.value == pytest.approx(6 * tile.value, rel=0.02)
    assert 110 * tile.value < pod.value <= 120.001 * tile.value
    with pytest.raises(ConfigError, match="predictions: expected machine d1, got a100"):
        predictions(a100, resnet, resnet, {}, a100, CONSTANTS)


def test_the_same_training_elsewhere(resnet: Batches) -> None:
    here = processor("here", 100e9, 10e9, 5e-6, "made up")
    laptop = processor("laptop", 800e9, 80e9, 5e-6, "made up")
    rows = training_on(
        OwnStep(resnet.at(4), resnet, Feed(150528.0)),
        1000,
        here=here,
        measured_s=2.0,
        laptop=laptop,
        gpu=MACHINES["h100"],
        dojo=MACHINES["d1"],
        constants=CONSTANTS,
    )
    assert [row.where for row in rows] == ["here", "laptop", "h100", "tile", "exapod"]
    times = [row.training_s for row in rows]
    assert times == sorted(times, reverse=True)
    assert rows[0].measured_s == 2.0
    # The laptop's rates are eight times as high, and it is as far from its roofline.
    assert rows[1].step_s == pytest.approx(2.0 / 8, rel=0.05)
    assert "with more, this batch takes no less" in rows[-1].says
    with pytest.raises(ConfigError, match=r"expected steps and a time measured, got 0 steps of 1\.0 s"):
        training_on(
            OwnStep(resnet.at(4), resnet),
            0,
            here=here,
            measured_s=1.0,
            laptop=laptop,
            gpu=MACHINES["h100"],
            dojo=MACHINES["d1"],
            constants=CONSTANTS,
        )


def test_a_processor_is_measured() -> None:
    found = measure_here(1)
    level = found.machine.levels["processor"]
    assert level.peak is not None
    assert level.peak.fp32_flop_per_s is not None
    assert level.peak.fp32_flop_per_s > 1e9
    assert level.memory is not None
    assert level.memory.bandwidth_bytes_per_s is not None
    assert level.memory.bandwidth_bytes_per_s > 1e8
    assert 1e-7 < found.operator_s < 1e-2
