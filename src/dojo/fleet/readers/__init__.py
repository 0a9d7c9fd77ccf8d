"""One file per recording format; each knows one way in which vehicles write what they saw."""

from dojo.fleet.readers.reader import Reader
from dojo.fleet.readers.teslacam import TeslaCamReader

READERS: tuple[Reader, ...] = (TeslaCamReader(),)

__all__ = ["READERS"]
