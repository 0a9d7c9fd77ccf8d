"""Open-loop evaluation: every metric, for the model and the baselines, with intervals, in all and by tag.

In: samples, plans of the model and of the baselines. Out: an `OpenLoopResult`, and its JSON form.
Idea: each predictor is measured once per sample and metric; everything else is sums of rows of that table. Open loop
asks "where would you go from here?" along a path somebody else drove; it is evidence towards good driving, not proof:
the published record has the best open-loop model as the worst driver (arXiv 2504.19077, table 2).
Not here: the page (`page.py`), which clips to show (`showcase.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from jaxtyping import Bool, Float64

from dojo.errors import ConfigError, EvaluationError
from dojo.evaluate.bootstrap import Groups, differences, estimates, groups_of
from dojo.evaluate.metrics import METRICS, Metric
from dojo.evaluate.metrics.jerk import JERK
from dojo.evaluate.samples import Extent, Samples
from dojo.records import Estimate, Plans

MODEL = "model"
DRIVEN = "driven"

Figures = Mapping[str, Mapping[str, Estimate]]
"""predictor -> metric -> estimate; a metric that no sample can answer is absent."""


@dataclass(frozen=True)
class EvaluateConfig:
    """How intervals are drawn.

    Args:
        resamples: of the bootstrap; the ends of a 95 % interval are steady to about 2 % of its width at 2,000.
        seed: of the bootstrap.
    """

    resamples: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.resamples < 1000:
            raise ConfigError(
                f"evaluate.resamples: expected at least 1000, got {self.resamples}; fewer leave the ends of the "
                "intervals to chance"
            )


@dataclass(frozen=True)
class OpenLoopResult:
    """What an open-loop evaluation found.

    Args:
        figures: of `model` and each baseline; `driven` holds what the driven paths themselves have (jerk).
        by_tag: the same, over the samples that carry a tag.
        tag_extent: how many anchors and drives carry each tag.
        versus: baseline -> metric -> model minus baseline, both on the same resamples of drives.
        warnings: what a reader must know before believing the figures.
    """

    figures: Figures
    by_tag: Mapping[str, Figures]
    tag_extent: Mapping[str, Extent]
    versus: Figures
    extent: Extent
    config: EvaluateConfig
    metrics: tuple[Metric, ...] = METRICS
    warnings: tuple[str, ...] = field(default=())

    @property
    def baselines(self) -> tuple[str, ...]:
        """Names of the baselines, in the order in which they were given."""
        return tuple(self.versus)

    def to_json(self, provenance: Mapping[str, object]) -> dict[str, object]:
        """The content of `report.json`; figures as value, low, high, samples, groups."""
        return {
            "open_loop": _json(self.figures),
            "open_loop_by_tag": {tag: _json(figures) for tag, figures in self.by_tag.items()},
            "open_loop_versus": _json(self.versus),
            "metrics": {
                m.name: {"title": m.title, "unit": m.unit, "better": m.better, "nominal": m.nominal}
                for m in self.metrics
            },
            "extent": asdict(self.extent),
            "extent_by_tag": {tag: asdict(extent) for tag, extent in self.tag_extent.items()},
            "interval": {
                "level": 0.95,
                "method": "bootstrap over drives, expanded percentile (Hesterberg 2015)",
                **asdict(self.config),
            },
            "warnings": list(self.warnings),
            "provenance": dict(provenance),
        }


def _json(figures: Figures) -> dict[str, dict[str, dict[str, float | int]]]:
    return {who: {name: asdict(estimate) for name, estimate in found.items()} for who, found in figures.items()}


@dataclass(frozen=True)
class _Table:
    """Every metric of one predictor, per sample."""

    metrics: tuple[Metric, ...]
    total: Float64[np.ndarray, "n metrics"]
    weight: Float64[np.ndarray, "n metrics"]


def _table(samples: Samples, plans: Plans, metrics: Sequence[Metric]) -> _Table:
    measured = [metric.measure(samples, plans) for metric in metrics]
    return _Table(tuple(metrics), np.stack([m.total for m in measured], 1), np.stack([m.weight for m in measured], 1))


def _figures(
    table: _Table, rows: Bool[np.ndarray, " n"], groups: Groups, config: EvaluateConfig
) -> dict[str, Estimate]:
    some = Groups(groups.drive[rows], groups.block[rows])
    share = np.array([metric.share for metric in table.metrics], np.bool_)
    found = estimates(table.total[rows], table.weight[rows], some, share, config.resamples, config.seed)
    return {m.name: e for m, e in zip(table.metrics, found, strict=True) if e is not None}


def _versus(model: _Table, other: _Table, groups: Groups, config: EvaluateConfig) -> dict[str, Estimate]:
    names = [metric.name for metric in model.metrics]
    columns = [names.index(metric.name) for metric in other.metrics]
    found = differences(
        model.total[:, columns],
        model.weight[:, columns],
        other.total,
        other.weight,
        groups,
        config.resamples,
        config.seed,
    )
    return {m.name: e for m, e in zip(other.metrics, found, strict=True) if e is not None}


def _driven(samples: Samples) -> Plans:
    """The driven path itself, as if somebody had planned it."""
    path = samples.position_m[:, None]
    probability = np.ones((len(samples), 1), np.float32)
    nothing = np.zeros(len(samples), np.float32)
    return Plans(path, np.ones_like(path), probability, nothing, nothing)


def _warnings(samples: Samples, extent: Extent) -> tuple[str, ...]:
    found = []
    if extent.drives == 1:
        found.append(
            "All samples come from one drive. Intervals are drawn over blocks of time within it and say nothing about "
            "other drives."
        )
    elif extent.drives < 10:  # Assumed: Hesterberg (2015) has percentile intervals at fault below about 15 to 30.
        found.append(
            f"The intervals rest on {extent.drives} drives. They are widened for so few, but fewer than ten drives "
            "cannot show what is rare."
        )
    reach = samples.valid[:, -1].mean()
    if reach < 0.5:
        found.append(
            f"Only {100 * reach:.0f} % of the anchors have a known path for the full 10 s, so far ranges rest on fast "
            "driving and early moments."
        )
    return tuple(found)


def evaluate(
    samples: Samples,
    plans: Plans,
    baselines: Mapping[str, Plans],
    config: EvaluateConfig | None = None,
    warnings: Sequence[str] = (),
) -> OpenLoopResult:
    """Every metric of the model and of each baseline, with intervals over drives, in all and by tag.

    Args:
        plans: the model's, one per sample and in the same order.
        baselines: by name; `baselines.standard_baselines` makes the usual three.
        warnings: of the caller, for example `samples.shared_with_training(...)`; kept ahead of those found here.

    Raises:
        EvaluationError: plans and samples do not correspond, or no driven path is valid anywhere.
    """
    config = config or EvaluateConfig()
    for who, answer in ((MODEL, plans), *baselines.items()):
        if len(answer.position_m) != len(samples):
            raise EvaluationError(
                f"{who}: expected one plan per sample, got {len(answer.position_m)} plans for {len(samples)} samples; "
                "make both from the same clips, in the same order, every anchor once"
            )
    if not samples.valid[:, 1:].any():
        raise EvaluationError(
            f"no sample of {len(samples)} has a valid driven path; check the poses of drives "
            f"{', '.join(samples.drive_ids[:3])}"
        )
    groups = groups_of(samples.drive, samples.timestamp_ns)
    plain = [metric for metric in METRICS if not metric.needs_scale]
    tables = {MODEL: _table(samples, plans, METRICS)}
    tables |= {name: _table(samples, answer, plain) for name, answer in baselines.items()}
    tables[DRIVEN] = _table(samples, _driven(samples), [JERK])
    everything = np.ones(len(samples), np.bool_)
    by_tag: dict[str, Figures] = {}
    tag_extent: dict[str, Extent] = {}
    for column, tag in enumerate(samples.tags):
        rows = samples.tagged[:, column]
        by_tag[tag] = {who: _figures(table, rows, groups, config) for who, table in tables.items()}
        tag_extent[tag] = samples.only(rows).extent()
    extent = samples.extent()
    return OpenLoopResult(
        figures={who: _figures(table, everything, groups, config) for who, table in tables.items()},
        by_tag=by_tag,
        tag_extent=tag_extent,
        versus={name: _versus(tables[MODEL], tables[name], groups, config) for name in baselines},
        extent=extent,
        config=config,
        warnings=(*warnings, *_warnings(samples, extent)),
    )
