"""The controller that the reports judged, as the runtime asks it.

In: plans as the runtime holds them. Out: wishes.
Idea: a vehicle must be driven by the very controller with which the policy was judged in closed loop; so there is one,
in `evaluate/controller.py`, and here it is only handed over. Fits `drive.runtime.Follower`.
Not here: bounds that hold whatever it wishes (`drive/limits.py`).
"""

from __future__ import annotations

from dojo.evaluate.controller import Asked, ControllerConfig, Plan, Trim, ask
from dojo.records import EgoState, Plans, VehicleState


class PlanFollower:
    """Follows the most probable hypothesis of each plan."""

    def __init__(self, config: ControllerConfig) -> None:
        self._config = config
        self._trim = Trim(0.0)
        self._plan: tuple[Plans, Plan] | None = None

    def begin(self, curvature_per_m: float) -> None:
        """Forget the trim: the vehicle is about to follow, and turns like this."""
        self._trim = Trim(curvature_per_m)

    def follow(
        self, plans: Plans, taken_ns: int, state: VehicleState, last: tuple[float, float], now_ns: int, dt_s: float
    ) -> tuple[float, float]:
        """Curvature and acceleration to wish for now."""
        if self._plan is None or self._plan[0] is not plans:
            best = plans.position_m[0, int(plans.probability[0].argmax())]
            action = Asked(float(plans.curvature_per_m[0]), float(plans.acceleration_mps2[0]))
            self._plan = plans, Plan.of(best, action, 0.0)
        # The plan's own clock begins at its picture, so that no moment is a large number.
        ego = EgoState((now_ns - taken_ns) / 1e9, 0.0, 0.0, 0.0, state.speed_mps, yaw_rate_radps=state.yaw_rate_radps)
        wish, self._trim = ask(self._config, self._plan[1], Asked(*last), self._trim, ego, dt_s)
        return wish.curvature_per_m, wish.acceleration_mps2
