"""Where plausible ends: the numbers that the gates compare with.

Idea: all of them are far from what roads and cars do, so that only faults cross them.
Not here: ranges of single signals (`gates.PLAUSIBLE`), what is done with what crosses them (`gates.py`,
`witnesses.py`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a drive may do.

    Args:
        gap_factor: frames further apart than this many median intervals were dropped. Source: the value of the
            project's issue on ingest; auto exposure stretches intervals by up to 2.
        hurry_factor: a frame that follows sooner than this share of the median interval has a wrong time. Assumed: no
            exposure control halves an interval twice.
        max_lost_share: a camera that misses more of the drive's time than this is refused. Assumed.
        pose_gap_s: over longer frame gaps the poses are refused too, and longer stretches without poses are told.
            Assumed: equal to the smoother's longest gap.
        clock_jump_s: a longer gap is a jump of the clock, not dropped frames. Assumed.
        min_duration_s: a shorter drive is refused. Assumed: four anchors at 5 Hz and the frames around them.
        min_clock_overlap: share of frames that must lie within the telemetry's time. Assumed.
        gnss_window_s: speeds are compared over this time. Assumed: fixes 3 m out change the mean over 5 s by 1 m/s.
        gnss_speed_mps, gnss_speed_share: allowed difference, the larger of the two. Assumed: see `gnss_window_s`; a
            speedometer may show 10 % too much (UN R39), wheel speed less.
        max_contradicting_share: more of the compared time contradicting refuses the drive. Assumed.
        pose_step_m, pose_step_share: how far a pose may lie from where speed would carry it. Assumed: 1 m is beyond
            what a smoothed pose moves between samples, and far below a wrong fix.
        pose_aside_m, pose_aside_rad: how far a pose may lie from the line between its neighbours in time. Assumed: at
            10 Hz, 10 m/s² of acceleration make 5 cm and 5 rad/s² of angular acceleration 0.025 rad.
        tilt_rad: how far a vehicle may lean. Source: the steepest street rises by 35 % (Baldwin Street, Dunedin), 0.34
            rad; Assumed: and half as much again.
        acceleration_mps2: of speed, between neighbouring samples at least 0.05 s apart. Source: tyres give about
            10 m/s² (Gillespie, Fundamentals of Vehicle Dynamics, ch. 3); Assumed: twice that for noise.
    """

    gap_factor: float = 2.5
    hurry_factor: float = 0.4
    max_lost_share: float = 0.3
    pose_gap_s: float = 1.0
    clock_jump_s: float = 5.0
    min_duration_s: float = 2.0
    min_clock_overlap: float = 0.5
    gnss_window_s: float = 5.0
    gnss_speed_mps: float = 3.0
    gnss_speed_share: float = 0.2
    max_contradicting_share: float = 0.5
    pose_step_m: float = 1.0
    pose_step_share: float = 0.5
    pose_aside_m: float = 0.5
    pose_aside_rad: float = 0.05
    tilt_rad: float = 0.5
    acceleration_mps2: float = 20.0
