from __future__ import annotations

import pickle
import re

import dojo.errors
from dojo.errors import DojoError, RecordingError


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    drawn = re.findall(r"^ {4}(?:\|-- |`-- )?(\w+Error)\b", dojo.errors.__doc__ or "", flags=re.MULTILINE)
    defined = [name for name, value in vars(dojo.errors).items() if getattr(value, "__module__", "") == "dojo.errors"]
    assert drawn == defined
    assert all(issubclass(getattr(dojo.errors, name), DojoError) for name in defined)


def test_a_recording_error_keeps_its_gate_and_figures_across_processes() -> None:
    error = pickle.loads(pickle.dumps(RecordingError("clock_jump", "expected a; got b", {"gap_s": 3.0})))
    assert (error.gate, str(error), error.figures) == ("clock_jump", "expected a; got b", {"gap_s": 3.0})
