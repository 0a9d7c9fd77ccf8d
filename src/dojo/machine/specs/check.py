"""Arithmetic that must hold between the figures of a machine.

In: a machine, and checks written as expressions such as `node.sram.capacity_bytes * die.parts.node.count`.
Out: for each check, what came out on both sides, and whether it holds.
Idea: published figures are rounded, counted in different ways, or wrong. Whoever writes a machine down says how they
hang together, so that a slip of a digit cannot go unseen. An expression knows figures, numbers, + - * / and brackets.
Not here: reading (`read.py`).
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dojo.errors import ConfigError
from dojo.machine.chip.spec import Machine

_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
RELATIONS = ("equals", "at_least", "at_most")


@dataclass(frozen=True, kw_only=True)
class Check:
    """One relation between figures.

    Args:
        says: what it means, in words.
        left, right: expressions.
        relation: `equals`, `at_least` or `at_most`: what left is to right.
        within: the share by which they may differ, because published figures are rounded.
    """

    says: str
    left: str
    relation: str
    right: str
    within: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a check."""

    check: Check
    left: float
    right: float

    @property
    def holds(self) -> bool:
        """Whether the relation is true, within what rounding allows."""
        # A few units in the last place are the arithmetic's own.
        slack = (self.check.within + 1e-12) * abs(self.right)
        if self.check.relation == "equals":
            return abs(self.left - self.right) <= slack
        distance = self.left - self.right
        return distance >= -slack if self.check.relation == "at_least" else distance <= slack

    def __str__(self) -> str:
        words = {"equals": "=", "at_least": ">=", "at_most": "<="}[self.check.relation]
        verdict = "holds" if self.holds else "FAILS"
        allowed = f" within {self.check.within:.2%}" if self.check.within else ""
        return f"{verdict}: {self.check.says}: {self.left:.6g} {words} {self.right:.6g}{allowed}"


def run_checks(machine: Machine, checks: tuple[Check, ...]) -> tuple[Outcome, ...]:
    """The outcome of every check.

    Raises:
        ConfigError: an expression names a figure that is not there, or is not an expression.
    """
    return tuple(
        Outcome(check=check, left=figure(machine, check.left), right=figure(machine, check.right)) for check in checks
    )


def figure(machine: Machine, expression: str) -> float:
    """The value of an expression over a machine's figures.

    Raises:
        ConfigError: as `run_checks`.
    """
    try:
        return _value(machine, ast.parse(expression, mode="eval").body)
    except (SyntaxError, ConfigError, ZeroDivisionError) as error:
        raise ConfigError(f"machine {machine.name}: cannot work out {expression!r}: {error}") from error


def _value(machine: Machine, node: ast.expr) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return float(node.value)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(machine, node.left), _value(machine, node.right))
    if isinstance(node, ast.Attribute):
        return _look_up(machine, ast.unparse(node))
    raise ConfigError(f"expected figures, numbers, + - * / and brackets, got {ast.unparse(node)!r}")


def _look_up(machine: Machine, path: str) -> float:
    found: object = machine.levels
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else getattr(found, name, None)
    if not isinstance(found, int | float):
        raise ConfigError(f"expected a figure, got {path!r}, which this machine does not have")
    return float(found)
