"""Machines as data: one TOML file each, which checks itself when it is read.

In: a name or a file. Out: a `Machine`. Adding a machine is adding a file: docs/extend/machine.md.
Idea: a file holds figures, their sources, and the arithmetic that must hold between them. A machine whose figures
contradict each other is refused, so an answer is never computed from one.
Not here: what the figures mean (`dojo.machine.chip.spec`).
"""

from __future__ import annotations

from pathlib import Path

from dojo.errors import ConfigError
from dojo.machine.chip.spec import Machine
from dojo.machine.specs.read import read_machine

_FOLDER = Path(__file__).parent


def machine_names() -> list[str]:
    """The machines that come with Dojo."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def load_machine(name_or_path: str | Path) -> Machine:
    """A machine by name, or from a file of one's own.

    Raises:
        ConfigError: there is no such machine, or its file is faulty or contradicts itself.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = _FOLDER / f"{name_or_path}.toml"
    if not path.is_file():
        raise ConfigError(
            f"machine {str(name_or_path)!r}: expected one of {', '.join(machine_names())}, or the path of a .toml file"
        )
    return read_machine(path.read_text(encoding="utf-8"), path.name).machine
