/* Scalar arithmetic (SPEC section 5). The callers keep the domains that the clauses state. */
#ifndef ARITHMETIC_H
#define ARITHMETIC_H

#include <stdint.h>

int64_t power_of_two(int exponent);                           /* 0 .. 62 */
int64_t floor_shift(int64_t value, int shift);                /* 0 .. 63; C99 leaves >> of negative values open */
int64_t floor_division(int64_t numerator, int64_t denominator);
int64_t floor_remainder(int64_t numerator, int64_t denominator);

int64_t rounding_shift(int64_t value, int shift);             /* RND-1 */
int64_t clip(int64_t value, int64_t lo, int64_t hi);          /* CLIP-1 */
int64_t relu(int64_t value);                                  /* CLIP-2 */
int64_t requantise(int64_t accumulator, int64_t multiplier, int shift, int64_t lo, int64_t hi); /* RQ-1 */
int64_t rounding_division(int64_t numerator, int64_t denominator); /* DIV-1 */
int64_t isqrt(int64_t value);                                 /* ISQRT-1 */
int64_t thresholds_below(int64_t accumulator, const int64_t *thresholds, int count); /* SCALE-1, HEAD-1 */

/* An index pair with whole weights (RES-1). */
struct line_taps {
    int64_t first;
    int64_t second;
    int64_t part;
};

struct line_taps line_taps(int64_t offset, int64_t unit, int64_t size);

/* Bounds for proofs (ACC-3): magnitudes without sign that stop at UINT64_MAX instead of overflowing. */
uint64_t magnitude(int64_t value);
uint64_t bounded_sum(uint64_t a, uint64_t b);
uint64_t bounded_product(uint64_t a, uint64_t b);
uint64_t bounded_shift(uint64_t value, int shift);
uint64_t larger(uint64_t a, uint64_t b);

#endif
