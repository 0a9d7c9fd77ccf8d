"""What may never be exceeded, whatever a model says: the safety envelope.

In: what is wished, how the vehicle moves, what the driver does, the time. Out: what is given to the vehicle.
Idea: one pure function of small values, `limit`, without memory but what it gave last. It does not know where a wish
comes from and believes none of it: what is not a number, too old or from the future is not followed but held; what is
too much is cut; and while the driver acts, nothing is engaged. It needs nothing but the standard library and only sums,
products, quotients and comparisons, so that `limits.c`, which runs in the vehicle's own control unit, is the same
function to the last bit.
Not here: whether driving is allowed at all (`states.py`), the bytes on the bus (`adapter.py`).

Times are nanoseconds of one clock between -2^62 and 2^62, so that their differences fit 64 bits.
"""

from dataclasses import dataclass, fields

VERSION = 1
"""Grows with every change to what leaves the envelope; a bundle and a licence name the least that they need."""

SPEED_UNKNOWN = 1
WISH_UNUSABLE = 2
WISH_STALE = 4
CLOCK = 8
DRIVER_ACTS = 16
DRIVER_UNKNOWN = 32
CUT = 64
"""Reasons, as bits: why what is given is not what was wished."""

_ABSURD_PER_M = 1.0
_ABSURD_MPS2 = 20.0
"""Assumed: no road bends and no tyre brakes like that; whoever wishes for more has failed, and is ignored, not cut."""

_GENTLE_JERK_FROM_MPS, _HARD_JERK_BELOW_MPS = 20.0, 5.0


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds; a vehicle may have tighter ones than these, never wider.

    Args:
        max_lateral_mps2, max_lateral_jerk_mps3: source: ISO 11270:2014, lane keeping, as in opendbc/car/lateral.py.
        max_acceleration_mps2, max_braking_mps2: source: ISO 15622:2018, adaptive cruise control; braking is positive.
        max_rising_jerk_mps3: of acceleration. Assumed: comfort; it delays only what is not urgent.
        max_braking_jerk_mps3: below 5 m/s; half of it above 20 m/s, in between in proportion. Assumed: what ISO 15622
            is quoted to allow on average over a second, here held at every instant; not read in the original.
        max_curvature_per_m: source: openpilot drive_helpers.py (MAX_CURVATURE).
        max_curvature_rate_per_m_s: Assumed: at walking pace, 4 rad/s at the steering wheel of a passenger car.
        max_speed_mps: faster is taken for a failed sensor.
        max_slowing_mps2: no vehicle loses speed faster; a sensor that says so does not widen the bounds of a turn.
        override_torque_nm: of the driver on the steering wheel. Assumed: above the weight of a hand, below a push.
        stale_after_ns: older values are not used. Assumed: five messages of 50 Hz.
        wish_stale_after_ns: the same for wishes, of which 20 come a second.
        release_after_ns: when speed or driver have been unknown for so long, nothing is engaged.
        longest_cycle_ns: a longer one counts as this long, so that a stall is not followed by a leap.
    """

    max_lateral_mps2: float = 3.0
    max_lateral_jerk_mps3: float = 5.0
    max_acceleration_mps2: float = 2.0
    max_braking_mps2: float = 3.5
    max_rising_jerk_mps3: float = 2.5
    max_braking_jerk_mps3: float = 5.0
    max_curvature_per_m: float = 0.2
    max_curvature_rate_per_m_s: float = 0.1
    max_speed_mps: float = 70.0
    max_slowing_mps2: float = 12.0
    override_torque_nm: float = 3.0
    stale_after_ns: int = 100_000_000
    wish_stale_after_ns: int = 150_000_000
    release_after_ns: int = 500_000_000
    longest_cycle_ns: int = 100_000_000

    def __post_init__(self) -> None:
        wrong = [
            f"{field.name} = {getattr(self, field.name)}"
            for field in fields(self)
            if not 0 < getattr(self, field.name) <= field.default
        ]
        if wrong:
            raise ValueError(
                f"limits: expected values above 0 and at most those of the envelope, got {', '.join(wrong)}; a vehicle "
                "may only be more careful"
            )


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wished, and when that was found."""

    curvature_per_m: float
    acceleration_mps2: float
    time_ns: int


@dataclass(frozen=True, slots=True)
class Motion:
    """How the vehicle moves, and when that was measured."""

    speed_mps: float
    curvature_per_m: float
    time_ns: int


@dataclass(frozen=True, slots=True)
class Driver:
    """What the driver does, and when that was measured; the torque is left positive."""

    brake: bool
    gas: bool
    torque_nm: float
    time_ns: int


@dataclass(frozen=True, slots=True)
class Given:
    """What is given to the vehicle; also all that `limit` remembers.

    Args:
        engaged: the vehicle is to follow. Where it is not, the curvature is the vehicle's own, so that to engage is to
            go on from there.
        speed_mps: for which the bounds were made.
        reasons: bits, see above.
    """

    curvature_per_m: float
    acceleration_mps2: float
    engaged: bool
    speed_mps: float
    time_ns: int
    reasons: int


def start(limits: Limits) -> Given:
    """What is given before anything is known: nothing, bounded as at the highest speed."""
    return Given(0.0, 0.0, False, limits.max_speed_mps, 0, SPEED_UNKNOWN | DRIVER_UNKNOWN)


def clamp(value: float, low: float, high: float) -> float:
    """The value, or the end of the range that it lies beyond."""
    if value < low:
        return low
    if value > high:
        return high
    return value


def fresh(now_ns: int, then_ns: int, most_ns: int) -> bool:
    """Whether a value of `then` may be used now: it is neither too old nor from the future."""
    return then_ns <= now_ns and now_ns - then_ns <= most_ns


def curvature_bound(limits: Limits, speed_mps: float) -> float:
    """The tightest turn at a speed (1/m)."""
    squared = speed_mps * speed_mps
    if limits.max_curvature_per_m * squared <= limits.max_lateral_mps2:
        return limits.max_curvature_per_m
    return limits.max_lateral_mps2 / squared


def curvature_rate_bound(limits: Limits, speed_mps: float) -> float:
    """How fast a turn may tighten or open at a speed (1/m/s): the lateral jerk that comes of it is bounded."""
    squared = speed_mps * speed_mps
    if limits.max_curvature_rate_per_m_s * squared <= limits.max_lateral_jerk_mps3:
        return limits.max_curvature_rate_per_m_s
    return limits.max_lateral_jerk_mps3 / squared


def braking_jerk_bound(limits: Limits, speed_mps: float) -> float:
    """How fast braking may grow at a speed (m/s³)."""
    span = _GENTLE_JERK_FROM_MPS - _HARD_JERK_BELOW_MPS
    share = clamp((speed_mps - _HARD_JERK_BELOW_MPS) / span, 0.0, 1.0)
    return limits.max_braking_jerk_mps3 * (1.0 - 0.5 * share)


def _believed_speed(limits: Limits, last: Given, measured_mps: float, dt_s: float) -> float:
    """The measured speed, unless the vehicle would have slowed down to it faster than vehicles do."""
    slowest = last.speed_mps - limits.max_slowing_mps2 * dt_s
    if last.engaged and measured_mps < slowest:
        return slowest
    return measured_mps


def _turn(limits: Limits, last: Given, wished_per_m: float, speed_mps: float, dt_s: float) -> float:
    """The curvature within its bound and near enough to the last one.

    When the vehicle has become faster, the last one may lie beyond the bound of now; from the bound on is then counted,
    because a turn that opens as the speed grows keeps its lateral acceleration.
    """
    most = curvature_bound(limits, speed_mps)
    step = curvature_rate_bound(limits, speed_mps) * dt_s
    held = clamp(last.curvature_per_m, -most, most)
    return clamp(clamp(wished_per_m, held - step, held + step), -most, most)


def _push(limits: Limits, last: Given, wished_mps2: float, speed_mps: float, dt_s: float) -> float:
    """The acceleration within its bounds and near enough to the last one."""
    low = last.acceleration_mps2 - braking_jerk_bound(limits, speed_mps) * dt_s
    high = last.acceleration_mps2 + limits.max_rising_jerk_mps3 * dt_s
    return clamp(clamp(wished_mps2, low, high), -limits.max_braking_mps2, limits.max_acceleration_mps2)


def _distrust(limits: Limits, wish: Wish, now_ns: int) -> int:
    """Why a wish is not followed at all; 0 where it is."""
    reasons = 0
    # Written so that what is not a number compares false.
    if not (-_ABSURD_PER_M <= wish.curvature_per_m <= _ABSURD_PER_M):
        reasons |= WISH_UNUSABLE
    if not (-_ABSURD_MPS2 <= wish.acceleration_mps2 <= _ABSURD_MPS2):
        reasons |= WISH_UNUSABLE
    if not fresh(now_ns, wish.time_ns, limits.wish_stale_after_ns):
        reasons |= WISH_STALE
    return reasons


def _driver_reasons(limits: Limits, driver: Driver, now_ns: int) -> int:
    """What of the driver forbids to engage; 0 where nothing does."""
    reasons = 0
    if not fresh(now_ns, driver.time_ns, limits.release_after_ns):
        reasons |= DRIVER_UNKNOWN
    hands_off = -limits.override_torque_nm <= driver.torque_nm <= limits.override_torque_nm
    if driver.brake or driver.gas or not hands_off:
        reasons |= DRIVER_ACTS
    return reasons


def limit(limits: Limits, last: Given, wish: Wish, motion: Motion, driver: Driver, engage: bool, now_ns: int) -> Given:
    """What is given to the vehicle now, after `last`; within the bounds whatever the other arguments hold.

    Args:
        engage: whether whoever decides about that wants the vehicle to follow.
    """
    reasons = 0
    elapsed_ns = now_ns - last.time_ns
    if elapsed_ns <= 0:
        reasons |= CLOCK
        elapsed_ns = 0
    if elapsed_ns > limits.longest_cycle_ns:
        reasons |= CLOCK
        elapsed_ns = limits.longest_cycle_ns
    dt_s = elapsed_ns * 1e-9

    plausible = 0.0 <= motion.speed_mps <= limits.max_speed_mps
    if plausible and fresh(now_ns, motion.time_ns, limits.stale_after_ns):
        speed_mps = _believed_speed(limits, last, motion.speed_mps, dt_s)
    else:
        reasons |= SPEED_UNKNOWN
        speed_mps = last.speed_mps

    reasons |= _driver_reasons(limits, driver, now_ns)
    known = plausible and fresh(now_ns, motion.time_ns, limits.release_after_ns)
    if not engage or not known or reasons & (DRIVER_ACTS | DRIVER_UNKNOWN):
        most = curvature_bound(limits, speed_mps)
        own = motion.curvature_per_m if -most <= motion.curvature_per_m <= most else 0.0
        return Given(own, 0.0, False, speed_mps, now_ns, reasons)

    distrust = _distrust(limits, wish, now_ns)
    if distrust:
        # The turn goes on and braking is not let off, but nothing is added.
        wished_per_m, wished_mps2 = last.curvature_per_m, clamp(last.acceleration_mps2, -limits.max_braking_mps2, 0.0)
    else:
        wished_per_m, wished_mps2 = wish.curvature_per_m, wish.acceleration_mps2
    curvature_per_m = _turn(limits, last, wished_per_m, speed_mps, dt_s)
    acceleration_mps2 = _push(limits, last, wished_mps2, speed_mps, dt_s)
    if curvature_per_m != wished_per_m or acceleration_mps2 != wished_mps2:
        reasons |= CUT
    return Given(curvature_per_m, acceleration_mps2, True, speed_mps, now_ns, reasons | distrust)


def crc8(data: bytes, initial: int = 0xFF) -> int:
    """CRC-8 as SAE J1850 has it: polynomial 0x1D, initial value and final inversion 0xFF."""
    crc = initial
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1) ^ 0x11D if crc & 0x80 else crc << 1
    return crc ^ 0xFF


def follows(last: int, counter: int, modulus: int, most_lost: int) -> bool:
    """Whether an alive counter has moved on, by no more than so many lost messages; a repeated one has not."""
    return 1 <= (counter - last) % modulus <= 1 + most_lost
