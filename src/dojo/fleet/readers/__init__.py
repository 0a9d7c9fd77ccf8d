"""One file per recording format; each knows one way in which vehicles write what they saw."""

from dojo.fleet.readers.comma2k19 import Comma2k19Reader
from dojo.fleet.readers.kitti_raw import KittiRawReader
from dojo.fleet.readers.reader import Reader
from dojo.fleet.readers.teslacam import TeslaCamReader
from dojo.fleet.readers.video_table import VideoTableReader

READERS: tuple[Reader, ...] = (TeslaCamReader(), Comma2k19Reader(), KittiRawReader(), VideoTableReader())

__all__ = ["READERS"]
