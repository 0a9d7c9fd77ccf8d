/* The safety envelope for a control unit; see `limits.h`. Functions in the order of `limits.py`. */
#include "limits.h"

#define ABSURD_PER_M 1.0
#define ABSURD_MPS2 20.0
#define GENTLE_JERK_FROM_MPS 20.0
#define HARD_JERK_BELOW_MPS 5.0

const dojo_limits DOJO_LIMITS = {
    3.0, 5.0, 2.0, 3.5, 2.5, 5.0, 0.2, 0.1, 70.0, 12.0, 3.0, 100000000, 150000000, 500000000, 100000000,
};

static int within(double value, double most)
{
    return value > 0.0 && value <= most;
}

static int within_ns(int64_t value, int64_t most)
{
    return value > 0 && value <= most;
}

int dojo_limits_hold(const dojo_limits *limits)
{
    const dojo_limits *most = &DOJO_LIMITS;
    return within(limits->max_lateral_mps2, most->max_lateral_mps2) &&
           within(limits->max_lateral_jerk_mps3, most->max_lateral_jerk_mps3) &&
           within(limits->max_acceleration_mps2, most->max_acceleration_mps2) &&
           within(limits->max_braking_mps2, most->max_braking_mps2) &&
           within(limits->max_rising_jerk_mps3, most->max_rising_jerk_mps3) &&
           within(limits->max_braking_jerk_mps3, most->max_braking_jerk_mps3) &&
           within(limits->max_curvature_per_m, most->max_curvature_per_m) &&
           within(limits->max_curvature_rate_per_m_s, most->max_curvature_rate_per_m_s) &&
           within(limits->max_speed_mps, most->max_speed_mps) &&
           within(limits->max_slowing_mps2, most->max_slowing_mps2) &&
           within(limits->override_torque_nm, most->override_torque_nm) &&
           within_ns(limits->stale_after_ns, most->stale_after_ns) &&
           within_ns(limits->wish_stale_after_ns, most->wish_stale_after_ns) &&
           within_ns(limits->release_after_ns, most->release_after_ns) &&
           within_ns(limits->longest_cycle_ns, most->longest_cycle_ns);
}

dojo_given dojo_start(const dojo_limits *limits)
{
    dojo_given given = {0.0, 0.0, limits->max_speed_mps, 0, 0, DOJO_SPEED_UNKNOWN | DOJO_DRIVER_UNKNOWN};
    return given;
}

static double clamp(double value, double low, double high)
{
    if (value < low) {
        return low;
    }
    if (value > high) {
        return high;
    }
    return value;
}

static int fresh(int64_t now_ns, int64_t then_ns, int64_t most_ns)
{
    return then_ns <= now_ns && now_ns - then_ns <= most_ns;
}

static double curvature_bound(const dojo_limits *limits, double speed_mps)
{
    const double squared = speed_mps * speed_mps;
    if (limits->max_curvature_per_m * squared <= limits->max_lateral_mps2) {
        return limits->max_curvature_per_m;
    }
    return limits->max_lateral_mps2 / squared;
}

static double curvature_rate_bound(const dojo_limits *limits, double speed_mps)
{
    const double squared = speed_mps * speed_mps;
    if (limits->max_curvature_rate_per_m_s * squared <= limits->max_lateral_jerk_mps3) {
        return limits->max_curvature_rate_per_m_s;
    }
    return limits->max_lateral_jerk_mps3 / squared;
}

static double braking_jerk_bound(const dojo_limits *limits, double speed_mps)
{
    const double span = GENTLE_JERK_FROM_MPS - HARD_JERK_BELOW_MPS;
    const double share = clamp((speed_mps - HARD_JERK_BELOW_MPS) / span, 0.0, 1.0);
    return limits->max_braking_jerk_mps3 * (1.0 - 0.5 * share);
}

static double believed_speed(const dojo_limits *limits, const dojo_given *last, double measured_mps, double dt_s)
{
    const double slowest = last->speed_mps - limits->max_slowing_mps2 * dt_s;
    if (last->engaged && measured_mps < slowest) {
        return slowest;
    }
    return measured_mps;
}

static double turn(const dojo_limits *limits, const dojo_given *last, double wished_per_m, double speed_mps,
                   double dt_s)
{
    const double most = curvature_bound(limits, speed_mps);
    const double step = curvature_rate_bound(limits, speed_mps) * dt_s;
    const double held = clamp(last->curvature_per_m, -most, most);
    return clamp(clamp(wished_per_m, held - step, held + step), -most, most);
}

static double push(const dojo_limits *limits, const dojo_given *last, double wished_mps2, double speed_mps,
                   double dt_s)
{
    const double low = last->acceleration_mps2 - braking_jerk_bound(limits, speed_mps) * dt_s;
    const double high = last->acceleration_mps2 + limits->max_rising_jerk_mps3 * dt_s;
    return clamp(clamp(wished_mps2, low, high), -limits->max_braking_mps2, limits->max_acceleration_mps2);
}

static int32_t distrust_of(const dojo_limits *limits, const dojo_wish *wish, int64_t now_ns)
{
    int32_t reasons = 0;
    if (!(-ABSURD_PER_M <= wish->curvature_per_m && wish->curvature_per_m <= ABSURD_PER_M)) {
        reasons |= DOJO_WISH_UNUSABLE;
    }
    if (!(-ABSURD_MPS2 <= wish->acceleration_mps2 && wish->acceleration_mps2 <= ABSURD_MPS2)) {
        reasons |= DOJO_WISH_UNUSABLE;
    }
    if (!fresh(now_ns, wish->time_ns, limits->wish_stale_after_ns)) {
        reasons |= DOJO_WISH_STALE;
    }
    return reasons;
}

static int32_t driver_reasons(const dojo_limits *limits, const dojo_driver *driver, int64_t now_ns)
{
    int32_t reasons = 0;
    const int hands_off =
        -limits->override_torque_nm <= driver->torque_nm && driver->torque_nm <= limits->override_torque_nm;
    if (!fresh(now_ns, driver->time_ns, limits->release_after_ns)) {
        reasons |= DOJO_DRIVER_UNKNOWN;
    }
    if (driver->brake || driver->gas || !hands_off) {
        reasons |= DOJO_DRIVER_ACTS;
    }
    return reasons;
}

dojo_given dojo_limit(const dojo_limits *limits, const dojo_given *last, const dojo_wish *wish,
                      const dojo_motion *motion, const dojo_driver *driver, int engage, int64_t now_ns)
{
    int32_t reasons = 0, distrust;
    int64_t elapsed_ns = now_ns - last->time_ns;
    double dt_s, speed_mps, wished_per_m, wished_mps2, curvature_per_m, acceleration_mps2;
    int plausible, known;

    if (elapsed_ns <= 0) {
        reasons |= DOJO_CLOCK;
        elapsed_ns = 0;
    }
    if (elapsed_ns > limits->longest_cycle_ns) {
        reasons |= DOJO_CLOCK;
        elapsed_ns = limits->longest_cycle_ns;
    }
    dt_s = (double)elapsed_ns * 1e-9;

    plausible = 0.0 <= motion->speed_mps && motion->speed_mps <= limits->max_speed_mps;
    if (plausible && fresh(now_ns, motion->time_ns, limits->stale_after_ns)) {
        speed_mps = believed_speed(limits, last, motion->speed_mps, dt_s);
    } else {
        reasons |= DOJO_SPEED_UNKNOWN;
        speed_mps = last->speed_mps;
    }

    reasons |= driver_reasons(limits, driver, now_ns);
    known = plausible && fresh(now_ns, motion->time_ns, limits->release_after_ns);
    if (!engage || !known || (reasons & (DOJO_DRIVER_ACTS | DOJO_DRIVER_UNKNOWN))) {
        const double most = curvature_bound(limits, speed_mps);
        const int own = -most <= motion->curvature_per_m && motion->curvature_per_m <= most;
        dojo_given released = {own ? motion->curvature_per_m : 0.0, 0.0, speed_mps, now_ns, 0, reasons};
        return released;
    }

    distrust = distrust_of(limits, wish, now_ns);
    if (distrust) {
        wished_per_m = last->curvature_per_m;
        wished_mps2 = clamp(last->acceleration_mps2, -limits->max_braking_mps2, 0.0);
    } else {
        wished_per_m = wish->curvature_per_m;
        wished_mps2 = wish->acceleration_mps2;
    }
    curvature_per_m = turn(limits, last, wished_per_m, speed_mps, dt_s);
    acceleration_mps2 = push(limits, last, wished_mps2, speed_mps, dt_s);
    if (curvature_per_m != wished_per_m || acceleration_mps2 != wished_mps2) {
        reasons |= DOJO_CUT;
    }
    {
        dojo_given given = {curvature_per_m, acceleration_mps2, speed_mps, now_ns, 1, reasons | distrust};
        return given;
    }
}

uint8_t dojo_crc8(const uint8_t *data, int32_t length, uint8_t initial)
{
    uint8_t crc = initial;
    for (int32_t place = 0; place < length; place++) {
        crc = (uint8_t)(crc ^ data[place]);
        for (int bit = 0; bit < 8; bit++) {
            crc = (uint8_t)((crc & 0x80) ? (crc << 1) ^ 0x1D : crc << 1);
        }
    }
    return (uint8_t)(crc ^ 0xFF);
}

int dojo_follows(int32_t last, int32_t counter, int32_t modulus, int32_t most_lost)
{
    const int32_t moved = ((counter - last) % modulus + modulus) % modulus;
    return 1 <= moved && moved <= 1 + most_lost;
}
