"""The suites, one file each, and all of them by name: add a file, then add its function here.

Their places are those of the simulated world (`world/stage.py` names the parameters).
"""

from collections.abc import Mapping

from dojo.evaluate.suites.curve_speed import curve_speed
from dojo.evaluate.suites.cut_in import cut_in
from dojo.evaluate.suites.dense_traffic import dense_traffic
from dojo.evaluate.suites.free_drive import free_drive
from dojo.evaluate.suites.lane_centring import lane_centring
from dojo.evaluate.suites.lane_change import lane_change
from dojo.evaluate.suites.leader import leader
from dojo.evaluate.suites.suite import Suite, manifest, manifest_hash
from dojo.evaluate.suites.variants import VARIANTS, under
from dojo.evaluate.suites.vehicles import draw_plant

SUITES: Mapping[str, Suite] = {
    "lane_centring": lane_centring,
    "lane_change": lane_change,
    "leader": leader,
    "cut_in": cut_in,
    "curve_speed": curve_speed,
    "dense_traffic": dense_traffic,
    "free_drive": free_drive,
}

__all__ = ["SUITES", "VARIANTS", "Suite", "draw_plant", "manifest", "manifest_hash", "under"]
