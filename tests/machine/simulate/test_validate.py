"""Predictions beside measurements: the rows, the figures, and the bounds on published ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dojo.errors import ConfigError
from dojo.machine.compile.partition import Split
from dojo.machine.compile.transformer import Gpt
from dojo.machine.simulate.calibrate import FITTED, fit, to_fit
from dojo.machine.simulate.constants import load_constants
from dojo.machine.simulate.measured import MEGATRON_2021, Measured, fingerprint, published, vtrain
from dojo.machine.simulate.validate import Predictor, agreement
from dojo.machine.specs import load_machine

HEADER = "# GPUs,global batch,micro batch,hidden size,attention heads,# layers,sequence length,tensor,data,pipeline,"
HEADER += "iteration time (ms)"


@pytest.fixture
def predictor() -> Predictor:
    return Predictor({name: load_machine(name) for name in ("a100", "h100")} | {"a100_vtrain": load_machine("a100")})


def rows_of(seconds: list[float]) -> list[Measured]:
    model = Gpt("one", 64, 2, 2, 64, 64)
    splits = [Split(micro_batch=2**place) for place in range(len(seconds))]
    return [
        Measured("a table", "a100", model, MEGATRON_2021, 8, (split,), took, fitted=False)
        for split, took in zip(splits, seconds, strict=True)
    ]


def test_errors_are_shares_and_the_worst_keeps_its_sign() -> None:
    found = agreement(rows_of([1.0, 2.0, 4.0]), np.array([1.1, 2.0, 2.0]))
    assert found.mean_abs_error == pytest.approx(0.2)
    assert found.median_abs_error == pytest.approx(0.1)
    assert found.worst_error == pytest.approx(-0.5)
    assert found.rows == 3


def test_regret_is_what_the_pick_costs_beyond_the_best() -> None:
    found = agreement(rows_of([1.0, 1.2, 3.0]), np.array([5.0, 4.0, 6.0]))
    assert found.regret == pytest.approx(0.2)
    assert found.rank_correlation == pytest.approx(0.5)


def test_fewer_than_three_rows_of_a_question_tell_nothing_of_order() -> None:
    assert agreement(rows_of([1.0, 2.0]), np.array([1.0, 2.0])).regret is None


def test_the_published_rows_have_their_published_seconds() -> None:
    rows = published()
    # Megatron-LM: 175B of table 5 took 13.75 s; 145.6B of table 1, 24.82 s by equation 3.
    assert [row.seconds for row in rows if row.table == "megatron_2022_selective"][1] == 13.75
    assert next(row.seconds for row in rows if row.model.layers == 80) == pytest.approx(24.82, abs=0.01)
    assert next(row.seconds for row in rows if row.table == "megatron_core_h100") == pytest.approx(0.452, abs=0.001)
    assert all(row.choices for row in rows)
    assert not any(row.fitted for row in rows)


def test_h100s_are_predicted_within_a_tenth_from_their_data_sheet(predictor: Predictor) -> None:
    rows = [row for row in published() if row.machine == "h100"]
    found = agreement(rows, predictor.seconds(rows, load_constants()))
    assert found.mean_abs_error < 0.10


def test_published_a100_rows_that_were_not_fitted_are_predicted_within_a_tenth(predictor: Predictor) -> None:
    rows = [row for row in published() if row.machine == "a100"]
    found = agreement(rows, predictor.seconds(rows, load_constants()))
    assert found.mean_abs_error < 0.10


def test_vtrains_rows_are_predicted_within_the_bounds(real_recording: Callable[[str], Path]) -> None:
    from dojo.recipes.validated import vtrain_machine

    rows = vtrain(real_recording("vtrain_a100"))
    predict = Predictor({"a100_vtrain": vtrain_machine()})
    for table, bound in (("a100_multi_node", 0.08), ("a100_single_node", 0.09)):
        mine = [row for row in rows if row.table == table and not row.fitted]
        assert agreement(mine, predict.seconds(mine, load_constants())).mean_abs_error < bound


def write_tables(folder: Path, line: str, header: str = HEADER) -> Path:
    for name in ("single_node.csv", "multi_node.csv"):
        (folder / name).write_text(f"{header}\n{line}\n", encoding="utf-8-sig")
    return folder


def test_a_row_that_is_not_listed_as_fitted_is_held_out(tmp_path: Path) -> None:
    rows = vtrain(write_tables(tmp_path, "8,16,2,1024,16,24,1024,2,2,2,100.5"))
    assert [row.fitted for row in rows] == [False, False]
    assert rows[0].choices == (Split(2, 2, 2, micro_batch=2, recompute=rows[0].choices[0].recompute),)
    assert rows[0].seconds == 0.1005


def test_missing_tables_and_other_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give their folder as --vtrain"):
        vtrain(tmp_path)
    with pytest.raises(ConfigError, match=re.escape("expected vTrain's columns, got a, b")):
        vtrain(write_tables(tmp_path, "1,2", header="a,b"))


def test_a_fingerprint_decides_alone_which_rows_are_fitted_on() -> None:
    names = [fingerprint([str(number)]) for number in range(400)]
    share = np.mean([to_fit(name, "a100_single_node") for name in names])
    assert share == pytest.approx(0.25, abs=0.06)


def test_a_fit_finds_constants_again_that_made_the_rows(predictor: Predictor) -> None:
    true = load_constants()
    start = type(true)(**{**vars(true), "launch_s": true.launch_s * 1.5, "micro_batch_s": true.micro_batch_s * 2})
    model = Gpt("fit", 1024, 16, 12, 1024, 51200)
    splits = [Split(tensor, 1, 1, micro_batch=micro) for tensor in (1, 2, 4, 8) for micro in (1, 2, 4, 8)]
    asked = [Measured("t", "a100", model, MEGATRON_2021, 16, (split,), 1.0, fitted=True) for split in splits]
    made = predictor.seconds(asked, true)
    rows = [type(row)(**{**vars(row), "seconds": float(took)}) for row, took in zip(asked, made, strict=True)]
    found = fit(rows, predictor, start)
    assert predictor.seconds(rows, found) == pytest.approx(made, rel=0.01)
    assert {name for name in vars(true) if getattr(found, name) != getattr(start, name)} == set(FITTED)
