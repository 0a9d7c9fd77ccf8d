"""A bench: the runtime and a platform's simulated units on one virtual bus, without a road.

In: an adapter, what the driver does. Out: what the units were asked for, and in which state the runtime is.
Idea: time is counted, not waited for, so that minutes of driving are tried in seconds and every fault happens at the
same moment each time. The vehicle goes straight on at a steady speed, and what is wished for is always the same.
Not here: the units (`ecus.py`), a vehicle that moves (`recipes/drive_sim.py`).
"""

from __future__ import annotations

import itertools
from types import TracebackType

import numpy as np

from dojo.drive.adapter import Adapter
from dojo.drive.can_bus import CanBus
from dojo.drive.ecus import Ecus, values_of
from dojo.drive.gateway import Gateway, Losses
from dojo.drive.model import Arrays, Policy
from dojo.drive.runtime import Cycle, Runtime, RuntimeConfig
from dojo.drive.states import Mode, Timing
from dojo.drive.thinker import AtOnce, Thinker
from dojo.drive.window import Window
from dojo.geometry import MODEL_VIEW
from dojo.records import (
    BundleFile,
    BundleManifest,
    CameraContract,
    Command,
    DriverInput,
    Frame,
    Plans,
    TensorContract,
    VehicleState,
    ViewContract,
)

_TICK_NS = 10_000_000
_numbers = itertools.count()

STAND_IN = BundleManifest(
    format=1,
    name="stand-in",
    counter=1,
    domains=("bench",),
    made_on="",
    dojo_version="",
    checkpoint_sha256="",
    step=0,
    minimum_limits_version=1,
    anchors=1,
    tick_s=0.2,
    inputs=(TensorContract("frames", "uint8", (1, 2, 6, 128, 256)),),
    outputs=(),
    tolerance={},
    camera=CameraContract(
        ViewContract(512, 256, MODEL_VIEW.focal_px, MODEL_VIEW.centre_px, ""), "", {}, 2, 0.2, 0.0, ""
    ),
    signals=(),
    files={"model.onnx": BundleFile("0" * 64, 0)},
)
"""The manifest of a network that is not there."""


class StandIn:
    """Plans to go straight on, whatever it sees."""

    def __call__(self, inputs: Arrays) -> Plans:
        """One plan."""
        times_s = 10.0 * (np.arange(33) / 32) ** 2
        ahead = np.stack([times_s * float(inputs["speed_mps"][0, -1]), 0 * times_s, 0 * times_s], -1)
        return Plans(
            ahead[None, None].astype(np.float32),
            np.ones((1, 1, 33, 3), np.float32),
            np.ones((1, 1), np.float32),
            np.zeros(1, np.float32),
            np.zeros(1, np.float32),
        )


class Steady:
    """Wishes for the same at all times, whatever is planned."""

    def __init__(self, curvature_per_m: float, acceleration_mps2: float) -> None:
        self.wish = (curvature_per_m, acceleration_mps2)

    def begin(self, curvature_per_m: float) -> None:
        """Nothing to begin."""

    def follow(
        self, plans: Plans, taken_ns: int, state: VehicleState, last: tuple[float, float], now_ns: int, dt_s: float
    ) -> tuple[float, float]:
        """The wish."""
        return self.wish


class Bench:
    """One bench; leave it with `close`, or use it in a `with`.

    `driver` and `speed_mps` are what the units say from now on; `camera` is False while no picture comes, and its clock
    is `ahead_ns` before that of the runtime.
    """

    wished_per_m = 0.001

    def __init__(
        self,
        adapter: Adapter,
        policy: Policy | None = None,
        thinker: Thinker | None = None,
        shadow: bool = False,
        timing: Timing | None = None,
    ) -> None:
        channel = f"bench-{next(_numbers)}"
        self._ends = (CanBus.open("virtual", channel), CanBus.open("virtual", channel))
        self.ecus = Ecus(adapter, self._ends[1])
        self.driver = DriverInput(hands_on=True, eyes_on_road=True)
        self.speed_mps, self.camera, self.stalled = 15.0, True, False
        self.accepts, self.ahead_ns = True, 0
        self.cycle_s = 0.05
        self.cycles: list[Cycle] = []
        self._adapter, self._now_ns, self._step = adapter, 1_000_000_000, 0
        self.follower = Steady(self.wished_per_m, 0.1)
        self._thinker = thinker or AtOnce(policy or StandIn())
        self._config = RuntimeConfig(self.cycle_s, shadow=shadow, timing=timing or Timing())
        self.start()

    def start(self) -> None:
        """A runtime that knows nothing yet, on the same bus: the first, or after one that was killed."""
        body, limits = self._adapter.platform.file.body, self._adapter.platform.limits
        self._gateway = Gateway(self._adapter, self._ends[0])
        self.runtime = Runtime(
            self._gateway,
            Window(STAND_IN, self._config.frame_every_s),
            self._thinker,
            self.follower,
            body,
            limits,
            self._config,
            self._now_ns,
        )

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Take the bus apart."""
        for end in self._ends:
            end.close()

    @property
    def mode(self) -> Mode:
        """State of the runtime."""
        return self.cycles[-1].mode

    @property
    def losses(self) -> Losses:
        """Messages that the runtime could not use."""
        return self._gateway.losses

    def run(self, seconds: float) -> None:
        """Let so much time pass, whole ticks of 10 ms."""
        per_cycle = round(self.cycle_s * 1e9) // _TICK_NS
        for _ in range(round(seconds * 1e9) // _TICK_NS):
            self._now_ns += _TICK_NS
            self._step += 1
            self.ecus.broadcast(self._now_ns, values_of(self._state(), self.driver))
            if self._step % per_cycle == 0 and not self.stalled:
                self.cycles.append(self.runtime.cycle(self._now_ns, self._frame() if self.camera else None))
            self.ecus.listen(self._now_ns)

    def engage(self) -> bool:
        """Wait until all is known, press the button, and let go of it; whether it is engaged."""
        self.run(0.6)
        hands = self.driver
        self.driver = DriverInput(hands_on=True, eyes_on_road=True, engage_pressed=True)
        self.run(0.3)
        self.driver = hands
        self.run(0.3)
        return self.mode.state == "engaged"

    def asked(self) -> Command | None:
        """What the units are asked for now."""
        return self.ecus.asked(self._now_ns, self.speed_mps)

    def slowest_s(self, signals: tuple[str, ...]) -> float:
        """How long it takes at most until these are on the bus."""
        specs = self._adapter.platform.file.inputs
        return max(self._adapter.spec(specs[name].message).cycle_ms for name in signals) / 1000

    def _state(self) -> VehicleState:
        return VehicleState(self._now_ns, self.speed_mps, 0.0, 0.0, self.accepts)

    def _frame(self) -> Frame:
        grey = np.full((128, 256), 128, np.uint8)
        return Frame(self._now_ns + self.ahead_ns, np.full((256, 512), 100, np.uint8), grey, grey)
