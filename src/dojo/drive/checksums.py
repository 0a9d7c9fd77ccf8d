"""How platforms protect a message: the checksums in use, by name.

In: the bytes of a message without the byte that holds the checksum, its identifier on the bus, a number that both sides
know. Out: the checksum.
Idea: the number (`data_id`) makes a message that lands in another's place fail. A platform with another checksum names
a function of this form by its import path.
Not here: where in a message the checksum is (`platform.py`).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping

from dojo.drive.limits import crc8
from dojo.errors import ConfigError

Checksum = Callable[[bytes, int, int], int]
"""(bytes, identifier on the bus, data_id) -> 0 to 255."""


def crc8_j1850(data: bytes, frame_id: int, data_id: int) -> int:
    """CRC-8 of SAE J1850 over the number, high byte first, and the bytes."""
    return crc8(bytes((data_id >> 8 & 0xFF, data_id & 0xFF)) + data)


def sum8(data: bytes, frame_id: int, data_id: int) -> int:
    """What is missing from the sum of the bytes, of the identifier's and of the number's to 255."""
    return 0xFF - (sum(data) + (frame_id >> 8) + (frame_id & 0xFF) + (data_id >> 8 & 0xFF) + (data_id & 0xFF)) % 256


CHECKSUMS: Mapping[str, Checksum] = {"crc8_j1850": crc8_j1850, "sum8": sum8}


def checksum_of(kind: str) -> Checksum:
    """The checksum of that name, or at that import path (`package.module:function`).

    Raises:
        ConfigError: there is none.
    """
    if kind in CHECKSUMS:
        return CHECKSUMS[kind]
    module, _, name = kind.partition(":")
    try:
        found: Checksum = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"checksum {kind!r}: expected one of {', '.join(CHECKSUMS)} or package.module:function: {error}"
        ) from error
    return found
