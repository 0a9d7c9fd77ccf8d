"""In: clips. Out: batches."""

from dojo.load.augment import NO_AUGMENT, AugmentConfig
from dojo.load.cache import FrameCache
from dojo.load.listing import Listing, OnDemand
from dojo.load.loader import LoadConfig, Loader, LoaderState, beside, in_order
from dojo.load.mixing import Mixing, mixing
from dojo.load.order import Order
from dojo.load.recover import NO_RECOVER, Offset, RecoverConfig
from dojo.load.source import Cameras, FrameSource, cameras_of, recorded_cameras_of
from dojo.records.pack import mirror, pack, unpack

__all__ = [
    "NO_AUGMENT",
    "NO_RECOVER",
    "AugmentConfig",
    "Cameras",
    "FrameCache",
    "FrameSource",
    "Listing",
    "LoadConfig",
    "Loader",
    "LoaderState",
    "Mixing",
    "Offset",
    "OnDemand",
    "Order",
    "RecoverConfig",
    "beside",
    "cameras_of",
    "in_order",
    "mirror",
    "mixing",
    "pack",
    "recorded_cameras_of",
    "unpack",
]
