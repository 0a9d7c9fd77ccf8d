"""What the intervals allow one to say, in plain words.

In: an open-loop result. Out: one word per comparison, and sentences.
Idea: the words follow from the paired interval of (model - baseline) by rule, so nobody can write a kinder sentence
than the figures bear: an interval that leaves zero out says better or worse, one that holds zero says that the two
are not distinguishable. A comparison that rests on one drive says so.
"""

from __future__ import annotations

from typing import Literal

from dojo.evaluate.metrics import Metric
from dojo.evaluate.open_loop import OpenLoopResult
from dojo.records import Estimate

Word = Literal["better", "worse", "not distinguishable"]

HEADLINE = ("lateral_error_3s_m", "hit_30_50m", "hit_50m")
"""The metrics that the verdict is about: where the model steers to, and whether it holds far ahead."""

SPOKEN = {
    "model": "the model",
    "constant_velocity": "going straight on at constant speed",
    "constant_turn_rate": "holding speed and turn rate",
    "mean_trajectory": "the mean training trajectory",
    "driven": "the driven path",
}


def label(who: str) -> str:
    """A predictor's name for columns and legends: `constant turn rate`."""
    return who.replace("_", " ")


def word(difference: Estimate, metric: Metric) -> Word:
    """What the interval of (model - baseline) says about the model."""
    if difference.low <= 0 <= difference.high:
        return "not distinguishable"
    lower_is_better = metric.better == "lower"
    return "better" if (difference.value < 0) == lower_is_better else "worse"


def words(result: OpenLoopResult, name: str) -> dict[str, Word]:
    """The word for each baseline that can be compared in a metric."""
    metric = next(metric for metric in result.metrics if metric.name == name)
    return {who: word(found[name], metric) for who, found in result.versus.items() if name in found}


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def sentence(result: OpenLoopResult, name: str) -> str:
    """One sentence about one metric: against which baselines the model is better, worse, or neither."""
    metric = next(metric for metric in result.metrics if metric.name == name)
    title = metric.title[0].lower() + metric.title[1:]
    if metric.share:
        title = title.replace("hit rate, ", "hit rate at ").replace("at beyond", "beyond")
    found = words(result, name)
    if not found:
        return f"For {title} there is nothing to compare with."
    said = []
    for one in ("better", "not distinguishable", "worse"):
        names = [SPOKEN.get(who, who) for who, what in found.items() if what == one]
        if names:
            link = "from" if one == "not distinguishable" else "than"
            said.append(f"{one} {link} {_listed(names)}")
    return f"In {title} the model is {'; '.join(said)}."


def verdict(result: OpenLoopResult) -> tuple[Word, tuple[str, ...]]:
    """The word over all headline comparisons, and the sentences it stands on.

    `better` only if the model is better than every baseline in every headline metric; `worse` as soon as it is worse
    than one in one of them; otherwise not distinguishable.
    """
    found = [one for name in HEADLINE for one in words(result, name).values()]
    sentences = tuple(sentence(result, name) for name in HEADLINE if words(result, name))
    if not found:
        return "not distinguishable", ("There is no baseline to compare with.",)
    if "worse" in found:
        return "worse", sentences
    return ("better" if set(found) == {"better"} else "not distinguishable"), sentences


def headline(result: OpenLoopResult) -> str:
    """The first sentence of a report."""
    one, _ = verdict(result)
    where = f"on the {result.extent.anchors:,} moments judged here"
    if result.extent.drives == 1:
        where += ", all from one drive"
    if one == "better":
        return f"Better than every baseline {where}, in lateral error and in hit rate far ahead."
    if one == "worse":
        return f"Worse than at least one baseline {where}: see which below."
    return f"Not distinguishable from every baseline {where}: see which below."
