/* The safety envelope for a control unit: `limits.py` in C, the same function to the last bit.
 *
 * C99, doubles as IEEE 754 has them, no allocation, no library, no state but what the caller keeps. Compile without
 * contraction of products and sums (-ffp-contract=off) and without -ffast-math. What each value means is said in
 * `limits.py`, whose order of fields this follows. */
#ifndef DOJO_LIMITS_H
#define DOJO_LIMITS_H

#include <stdint.h>

#define DOJO_LIMITS_VERSION 1

enum {
    DOJO_SPEED_UNKNOWN = 1,
    DOJO_WISH_UNUSABLE = 2,
    DOJO_WISH_STALE = 4,
    DOJO_CLOCK = 8,
    DOJO_DRIVER_ACTS = 16,
    DOJO_DRIVER_UNKNOWN = 32,
    DOJO_CUT = 64
};

typedef struct {
    double max_lateral_mps2, max_lateral_jerk_mps3;
    double max_acceleration_mps2, max_braking_mps2;
    double max_rising_jerk_mps3, max_braking_jerk_mps3;
    double max_curvature_per_m, max_curvature_rate_per_m_s;
    double max_speed_mps, max_slowing_mps2;
    double override_torque_nm;
    int64_t stale_after_ns, wish_stale_after_ns, release_after_ns, longest_cycle_ns;
} dojo_limits;

typedef struct {
    double curvature_per_m, acceleration_mps2;
    int64_t time_ns;
} dojo_wish;

typedef struct {
    double speed_mps, curvature_per_m;
    int64_t time_ns;
} dojo_motion;

typedef struct {
    int32_t brake, gas;
    double torque_nm;
    int64_t time_ns;
} dojo_driver;

typedef struct {
    double curvature_per_m, acceleration_mps2;
    double speed_mps;
    int64_t time_ns;
    int32_t engaged, reasons;
} dojo_given;

extern const dojo_limits DOJO_LIMITS;

/* Whether limits are those of the envelope or tighter: 1 or 0. Check once, at start. */
int dojo_limits_hold(const dojo_limits *limits);

dojo_given dojo_start(const dojo_limits *limits);

dojo_given dojo_limit(const dojo_limits *limits, const dojo_given *last, const dojo_wish *wish,
                      const dojo_motion *motion, const dojo_driver *driver, int engage, int64_t now_ns);

uint8_t dojo_crc8(const uint8_t *data, int32_t length, uint8_t initial);

int dojo_follows(int32_t last, int32_t counter, int32_t modulus, int32_t most_lost);

#endif
