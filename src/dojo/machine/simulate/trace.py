"""A played step as a timeline to look at in Chrome (chrome://tracing) or Perfetto.

In: a `Played` step. Out: JSON of the Trace Event Format.
Idea: a row for each stage, and one for its link; a complete event for each span, in microseconds.
Not here: playing (`events.py`).
Source: "Trace Event Format", Google, 2016: complete events and metadata events.
"""

from __future__ import annotations

import json

from dojo.machine.simulate.events import Played


def chrome_trace(played: Played) -> str:
    """The step as JSON that trace viewers read."""
    stages = sorted({span.stage for span in played.spans})
    names = [
        {"name": "thread_name", "ph": "M", "pid": stage, "tid": link, "args": {"name": "link" if link else "compute"}}
        for stage in stages
        for link in (0, 1)
    ]
    names += [
        {"name": "process_name", "ph": "M", "pid": stage, "tid": 0, "args": {"name": f"stage {stage}"}}
        for stage in stages
    ]
    spans = [
        {
            "name": span.name,
            "ph": "X",
            "ts": span.start_s * 1e6,
            "dur": (span.end_s - span.start_s) * 1e6,
            "pid": span.stage,
            "tid": int(span.on_link),
        }
        for span in played.spans
    ]
    return json.dumps({"displayTimeUnit": "ms", "traceEvents": names + spans})
