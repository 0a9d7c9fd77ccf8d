"""The errors that Dojo raises on purpose.

    DojoError                 everything below; `except DojoError` is enough for a caller who only reports
    |-- RecordError           a record was built from values that contradict each other
    |-- RecordingError        a recording cannot be used; carries the gate that refused it and the figures
    |-- StoreError            the dataset is missing, damaged, or was written by a newer Dojo
    |-- ConfigError           a configuration that cannot work: field, value and way out are in the message
    |-- CheckpointError       a checkpoint is missing, torn, or belongs to another model
    |-- EvaluationError       an evaluation cannot be made from what is at hand
    `-- ReleaseError          a release, an installation or a licence is refused; carries the rule that refused it

Idea: a message says what was expected, what came, where, and what to do about it, in that order, so that the
reader never needs the source code to go on. `tests/test_errors.py` reads the tree above against the classes.
"""

from __future__ import annotations

from collections.abc import Mapping


class DojoError(Exception):
    """Everything that Dojo refuses on purpose."""


class RecordError(DojoError, ValueError):
    """A record was built from values that contradict each other."""


class RecordingError(DojoError):
    """A recording, or a span of it, cannot be used.

    Args:
        gate: the name of the check that refused it, for example `truncated_file`; one word, stable, counted in
            the table that ingest prints.
        message: what was expected, what came, where, and what to do.
        figures: the numbers behind the decision, by name with unit, for example `{"gap_s": 3.2}`.
    """

    def __init__(self, gate: str, message: str, figures: Mapping[str, float] | None = None) -> None:
        super().__init__(message)
        self.gate = gate
        self.message = message
        self.figures = dict(figures or {})

    def __reduce__(self) -> tuple[type[RecordingError], tuple[str, str, dict[str, float]]]:
        """Keep all three arguments when the error crosses a process boundary."""
        return type(self), (self.gate, self.message, self.figures)


class StoreError(DojoError):
    """The dataset is missing, damaged, or was written by a newer Dojo."""


class ConfigError(DojoError, ValueError):
    """A configuration cannot work."""


class CheckpointError(DojoError):
    """A checkpoint is missing, torn, or belongs to another model."""


class EvaluationError(DojoError):
    """An evaluation cannot be made from what is at hand."""


class ReleaseError(DojoError):
    """A release, an installation or a licence is refused.

    Args:
        rule: the name of the rule that refused it, for example `licence_expired`; one word, stable, the same in the
            documentation, in the tests and in what a carmaker reads.
        message: what was expected, what came, where, and what to do.
    """

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule
        self.message = message

    def __str__(self) -> str:
        return f"{self.rule}: {self.message}"

    def __reduce__(self) -> tuple[type[ReleaseError], tuple[str, str]]:
        """Keep both arguments when the error crosses a process boundary."""
        return type(self), (self.rule, self.message)
