"""The fit of the constants that nobody publishes, on a stated part of vTrain's A100 rows.

In: measured rows, machines. Out: `Constants`; rows to fit on, chosen by their fingerprint.
Idea: few constants, and every one has a meaning that would let one guess its size. The two tables weigh the same, and
an error beyond a few percent pulls with constant force, because single runs on shared clusters are off by a third for
reasons of their own. What is not in `FITTED` is not fitted, on any row.
Not here: the values (`constants.toml`), what they achieve (`validate.py`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from scipy.optimize import least_squares

from dojo.machine.simulate.constants import Constants
from dojo.machine.simulate.measured import Measured
from dojo.machine.simulate.validate import Predictor, Rows

FITTED = ("launch_s", "rank_skew", "mixing", "micro_batch_s", "scores_share")
"""The constants that are fitted."""
FIT_SHARES = {"a100_single_node": 0.25, "a100_multi_node": 0.5}
"""Of the rows of each table, how many are fitted on."""
_KNEE = 0.05


def fit(rows: Sequence[Measured], predictor: Predictor, start: Constants) -> Constants:
    """The constants under which the rows are predicted best."""
    measured = np.array([row.seconds for row in rows])
    tables = np.array([row.table for row in rows])
    weights = np.sqrt(1.0 / np.array([np.count_nonzero(tables == table) for table in tables]))

    def residuals(logarithms: Float64[np.ndarray, " constants"]) -> Float64[np.ndarray, " rows"]:
        errors = np.log(predictor.seconds(rows, _with(start, logarithms)) / measured)
        return weights * np.sign(errors) * _KNEE * np.sqrt(2 * (np.sqrt(1 + (errors / _KNEE) ** 2) - 1))

    first = np.log([getattr(start, name) for name in FITTED])
    return _with(start, least_squares(residuals, first, diff_step=1e-3, max_nfev=30).x)


def _with(constants: Constants, logarithms: Rows) -> Constants:
    values = [float(value) for value in np.exp(logarithms)]
    return dataclasses.replace(constants, **dict(zip(FITTED, values, strict=True)))


def to_fit(fingerprint: str, table: str) -> bool:
    """Whether a row is one to fit on: by its fingerprint, so nobody chooses."""
    return int(fingerprint, 16) / 16 ** len(fingerprint) < FIT_SHARES[table]


def cross_validated(rows: Sequence[Measured], predictor: Predictor, start: Constants) -> dict[str, float]:
    """Mean error on each question's model when it was left out of the fit, by model."""
    found = {}
    for model in sorted({row.model.name for row in rows}):
        rest = [row for row in rows if row.model.name != model]
        mine = [row for row in rows if row.model.name == model]
        predicted = predictor.seconds(mine, fit(rest, predictor, start))
        found[model] = float(np.mean(np.abs(predicted / np.array([row.seconds for row in mine]) - 1)))
    return found
