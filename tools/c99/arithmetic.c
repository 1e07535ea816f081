#include "arithmetic.h"

int64_t power_of_two(int exponent)
{
    return (int64_t)1 << exponent;
}

int64_t floor_shift(int64_t value, int shift)
{
    return value < 0 ? ~(~value >> shift) : value >> shift;
}

int64_t floor_division(int64_t numerator, int64_t denominator)
{
    return numerator / denominator - (numerator % denominator < 0);
}

int64_t floor_remainder(int64_t numerator, int64_t denominator)
{
    return numerator - floor_division(numerator, denominator) * denominator;
}

int64_t rounding_shift(int64_t value, int shift)
{
    return floor_shift(value + (power_of_two(shift) >> 1), shift);
}

int64_t clip(int64_t value, int64_t lo, int64_t hi)
{
    return value < lo ? lo : value > hi ? hi : value;
}

int64_t relu(int64_t value)
{
    return value > 0 ? value : 0;
}

int64_t requantise(int64_t accumulator, int64_t multiplier, int shift, int64_t lo, int64_t hi)
{
    return clip(rounding_shift(accumulator * multiplier, shift), lo, hi);
}

int64_t rounding_division(int64_t numerator, int64_t denominator)
{
    return floor_division(2 * numerator + denominator, 2 * denominator);
}

int64_t isqrt(int64_t value)
{
    int64_t root = 0;
    int bit;

    for (bit = 30; bit >= 0; bit--) {
        int64_t candidate = root + power_of_two(bit);

        if (candidate * candidate <= value) {
            root = candidate;
        }
    }
    return root;
}

int64_t thresholds_below(int64_t accumulator, const int64_t *thresholds, int count)
{
    int64_t index = 0;
    int k;

    for (k = 0; k < count; k++) {
        index += accumulator > thresholds[k];
    }
    return index;
}

struct line_taps line_taps(int64_t offset, int64_t unit, int64_t size)
{
    struct line_taps taps;
    int64_t first = floor_division(offset, unit);

    taps.first = clip(first, 0, size - 1);
    taps.second = clip(first + 1, 0, size - 1);
    taps.part = floor_remainder(offset, unit);
    return taps;
}

uint64_t magnitude(int64_t value)
{
    return value < 0 ? ~(uint64_t)value + 1 : (uint64_t)value;
}

uint64_t bounded_sum(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

uint64_t bounded_product(uint64_t a, uint64_t b)
{
    return b > 0 && a > UINT64_MAX / b ? UINT64_MAX : a * b;
}

uint64_t bounded_shift(uint64_t value, int shift)
{
    return value > UINT64_MAX >> shift ? UINT64_MAX : value << shift;
}

uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}
