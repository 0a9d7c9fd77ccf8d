"""Frames, rigid transforms and cameras: the part of every stage that must never disagree.

Idea: three frames and no others. *World*: local east-north-up, metres, fixed for one drive. *Ego*: x forward,
y left, z up, origin on the ground below the rear axle. *Camera*: x right, y down, z along the optical axis,
origin at the pinhole. Names put the destination first, so products read across:
`world_from_camera = world_from_ego @ ego_from_camera`.
"""

from dojo.geometry.camera import MODEL_VIEW, Camera
from dojo.geometry.resample import Resampler
from dojo.geometry.rigid import Rigid

__all__ = ["MODEL_VIEW", "Camera", "Resampler", "Rigid"]
