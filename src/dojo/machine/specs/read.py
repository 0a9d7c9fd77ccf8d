"""Reading the file of a machine.

In: TOML. Out: a `Machine` and the outcome of its checks, or one error that lists every fault.
Idea: the dataclasses of `dojo.machine.chip.spec` are the schema: a table `[die.memory]` becomes the group `memory` of
the level `die`, and a key that the group does not have is refused, because a misspelt figure would be a missing one.
Not here: what the checks compare (`check.py`).
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
import types
import typing
from dataclasses import dataclass
from typing import Any

from dojo.errors import ConfigError
from dojo.machine.chip import spec
from dojo.machine.chip.spec import Grade, Group, Level, Machine
from dojo.machine.specs.check import RELATIONS, Check, Outcome, run_checks

_NAMED = {"parts": spec.Part, "links": spec.Link}
_HEAD = ("name", "title", "accelerator")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A machine, and what its own checks found."""

    machine: Machine
    outcomes: tuple[Outcome, ...]


def read_machine(text: str, file: str) -> Reading:
    """The machine that a file describes, all of its checks true.

    Raises:
        ConfigError: the text is no TOML, a figure is missing, misspelt, of the wrong kind or without source, or a
            check fails; every fault is listed.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"machine file {file}: expected TOML, got {error}") from error
    faults: list[str] = []
    head = {key: _text(table.pop(key, None), key, faults) for key in _HEAD}
    checks = _checks(table.pop("check", []), faults)
    levels = {name: level for name, body in table.items() if (level := _level(name, body, faults))}
    _refuse(file, faults)
    machine = Machine(**head, levels=levels)
    outcomes = run_checks(machine, checks)
    _refuse(file, [str(outcome) for outcome in outcomes if not outcome.holds])
    return Reading(machine=machine, outcomes=outcomes)


def _refuse(file: str, faults: list[str]) -> None:
    if faults:
        listed = "".join(f"\n  - {fault}" for fault in faults)
        raise ConfigError(
            f"machine file {file}: expected a machine as in docs/extend/machine.md, got {len(faults)} fault(s); "
            f"correct them all:{listed}"
        )


def _level(name: str, body: object, faults: list[str]) -> Level | None:
    if not isinstance(body, dict):
        faults.append(f"{name}: expected a level, which is a table, or one of {', '.join(_HEAD)}, got {body!r}")
        return None
    kinds = _group_kinds()
    groups: dict[str, Any] = {}
    for group, figures in body.items():
        where = f"{name}.{group}"
        if group in _NAMED and isinstance(figures, dict):
            groups[group] = {
                key: _group(_NAMED[group], part, f"{where}.{key}", faults) for key, part in figures.items()
            }
        elif group in kinds:
            groups[group] = _group(kinds[group], figures, where, faults)
        else:
            faults.append(f"{where}: expected one of {', '.join([*_NAMED, *kinds])}")
    return Level(name=name, **groups) if not faults else None


def _group_kinds() -> dict[str, type[Group]]:
    """The groups that a level may have once, by name."""
    hints = typing.get_type_hints(Level)
    return {name: typing.get_args(kind)[0] for name, kind in hints.items() if isinstance(kind, types.UnionType)}


def _group(kind: type[Group], figures: object, where: str, faults: list[str]) -> Group | None:
    if not isinstance(figures, dict):
        faults.append(f"{where}: expected a table of figures with their source, got {figures!r}")
        return None
    fields = {field.name: field for field in dataclasses.fields(kind)}
    hints = typing.get_type_hints(kind)
    before = len(faults)
    for key in figures.keys() - fields.keys():
        faults.append(f"{where}.{key}: unknown; expected one of {', '.join(fields)}")
    values: dict[str, Any] = {}
    for key, field in fields.items():
        if key in figures:
            values[key] = _figure(figures[key], hints[key], f"{where}.{key}", faults)
        elif field.default is dataclasses.MISSING:
            faults.append(f"{where}.{key}: missing")
    return kind(**values) if len(faults) == before else None


def _figure(value: object, kind: Any, where: str, faults: list[str]) -> Any:
    """A value of the kind that a field wants; figures are positive."""
    if kind is Grade:
        grades = [grade.value for grade in Grade]
        if value in grades:
            return Grade(value)
        faults.append(f"{where}: expected one of {', '.join(grades)}, got {value!r}")
        return None
    if kind is str:
        return _text(value, where, faults)
    whole = int in (kind, *typing.get_args(kind))
    numeric = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not numeric or not math.isfinite(value) or value <= 0:  # type: ignore[arg-type,operator]
        faults.append(f"{where}: expected a positive {'whole number' if whole else 'number'}, got {value!r}")
        return None
    return value


def _text(value: object, where: str, faults: list[str]) -> str:
    if not isinstance(value, str) or not value.strip():
        faults.append(f"{where}: expected text, got {value!r}")
        return ""
    return value


def _checks(tables: object, faults: list[str]) -> tuple[Check, ...]:
    if not isinstance(tables, list):
        faults.append(f"check: expected [[check]], got {tables!r}")
        return ()
    checks = []
    for number, table in enumerate(tables, start=1):
        where = f"check {number}"
        relations = [key for key in RELATIONS if key in table]
        surplus = table.keys() - {"says", "left", "within", *RELATIONS}
        within = table.get("within", 0.0)
        if len(relations) != 1 or surplus:
            faults.append(
                f"{where}: expected says, left, within and one of {', '.join(RELATIONS)}, got {', '.join(table)}"
            )
        elif not isinstance(within, float) or not 0 <= within < 1:
            faults.append(f"{where}.within: expected a share of 0.0 to 1.0, got {within!r}")
        else:
            (relation,) = relations
            says, left, right = (_text(table.get(key), f"{where}.{key}", faults) for key in ("says", "left", relation))
            checks.append(Check(says=says, left=left, relation=relation, right=right, within=within))
    return tuple(checks)
