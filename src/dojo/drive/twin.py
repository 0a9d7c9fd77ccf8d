"""The envelope in C, built with the system's compiler and asked the same as the one in Python.

In: `limits.c`, sequences of steps. Out: what the C one gives, as arrays, and where the two differ.
Idea: what runs in the vehicle's control unit must be what was tested here, so the two are compared bit for bit, by the
tests on a short sequence, by `benchmarks/limits_twin.py` on ten million steps, by a carmaker with its own compiler.
Not here: the sequences (`adversary.py`).
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path

import numpy as np

from dojo.drive.adversary import Steps
from dojo.drive.limits import Given, Limits
from dojo.errors import ConfigError

SOURCE = Path(__file__).with_name("limits.c")
FLAGS = ("-std=c99", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fPIC", "-shared")

_MANY = """
#include "limits.h"

void dojo_many(const dojo_limits *limits, dojo_given *last, int64_t steps, const double *wished_per_m,
               const double *wished_mps2, const int64_t *wish_ns, const double *speed_mps, const double *own_per_m,
               const int64_t *motion_ns, const uint8_t *brake, const uint8_t *gas, const double *torque_nm,
               const int64_t *driver_ns, const uint8_t *engage, const int64_t *now_ns, dojo_given *given)
{
    for (int64_t i = 0; i < steps; i++) {
        const dojo_wish wish = {wished_per_m[i], wished_mps2[i], wish_ns[i]};
        const dojo_motion motion = {speed_mps[i], own_per_m[i], motion_ns[i]};
        const dojo_driver driver = {brake[i], gas[i], torque_nm[i], driver_ns[i]};
        *last = dojo_limit(limits, last, &wish, &motion, &driver, engage[i], now_ns[i]);
        given[i] = *last;
    }
}
"""

_FIELDS = (
    ("curvature_per_m", ctypes.c_double),
    ("acceleration_mps2", ctypes.c_double),
    ("speed_mps", ctypes.c_double),
    ("time_ns", ctypes.c_int64),
    ("engaged", ctypes.c_int32),
    ("reasons", ctypes.c_int32),
)
GIVEN = np.dtype([(name, np.dtype(kind)) for name, kind in _FIELDS])
"""`dojo_given` as an array's row."""


class _CLimits(ctypes.Structure):
    _fields_ = [(f.name, ctypes.c_int64 if f.name.endswith("_ns") else ctypes.c_double) for f in fields(Limits)]


class _CGiven(ctypes.Structure):
    _fields_ = list(_FIELDS)


class Twin:
    """The compiled envelope."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    @staticmethod
    def build(folder: Path, compiler: str = "cc") -> Twin:
        """The envelope, compiled into a folder.

        Raises:
            ConfigError: there is no such compiler, or it refuses the source.
        """
        found = shutil.which(compiler)
        if found is None:
            raise ConfigError(f"limits.c: expected the compiler {compiler!r} to build it, found none; install one")
        many, library = folder / "many.c", folder / "limits.so"
        many.write_text(_MANY)
        command = [found, *FLAGS, f"-I{SOURCE.parent}", str(SOURCE), str(many), "-o", str(library)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ConfigError(f"limits.c: expected {compiler!r} to build it, got: {done.stderr.strip()}")
        return Twin(ctypes.CDLL(str(library)))

    def hold(self, values: Sequence[float | int]) -> bool:
        """Whether limits, in the order of `Limits`, are those of the envelope or tighter."""
        return bool(self._library.dojo_limits_hold(ctypes.byref(_CLimits(*values))))

    def answers(self, limits: Limits, steps: Steps) -> np.ndarray:
        """What it gives at each step: rows of `GIVEN`."""
        own = _CLimits(*astuple(limits))
        last, given = np.zeros(1, GIVEN), np.zeros(len(steps), GIVEN)
        start = self._library.dojo_start
        start.restype = _CGiven
        last[0] = np.frombuffer(bytes(start(ctypes.byref(own))), GIVEN)[0]
        columns = [np.ascontiguousarray(getattr(steps, name)) for name in Steps.__dataclass_fields__]
        pointers = [column.ctypes.data_as(ctypes.c_void_p) for column in (last, *columns, given)]
        self._library.dojo_many(ctypes.byref(own), pointers[0], ctypes.c_int64(len(steps)), *pointers[1:])
        return given

    def crc8(self, data: bytes, initial: int = 0xFF) -> int:
        """Its checksum."""
        answer = self._library.dojo_crc8(data, ctypes.c_int32(len(data)), ctypes.c_uint8(initial))
        return int(answer) & 0xFF

    def follows(self, last: int, counter: int, modulus: int, most_lost: int) -> bool:
        """Its judgement of a counter."""
        return bool(self._library.dojo_follows(last, counter, modulus, most_lost))


def table(given: Sequence[Given]) -> np.ndarray:
    """What the envelope in Python gave, as rows of `GIVEN`."""
    order = [(g.curvature_per_m, g.acceleration_mps2, g.speed_mps, g.time_ns, g.engaged, g.reasons) for g in given]
    return np.array(order, GIVEN)


def differing(ours: np.ndarray, theirs: np.ndarray) -> list[int]:
    """Steps at which any bit differs."""
    raw = [np.frombuffer(rows.tobytes(), np.uint8).reshape(len(rows), -1) for rows in (ours, theirs)]
    steps: list[int] = np.flatnonzero((raw[0] != raw[1]).any(1)).tolist()
    return steps
