/* Divisive and layer normalisation (SPEC GDN, LN). */
#include <stdint.h>

#include "arithmetic.h"
#include "kinds.h"
#include "memory.h"
#include "profile.h"
#include "verdict.h"

#define GAMMA 0
#define BETA 1

/* The largest norm of a channel, for all values of the source format (GDN-5). */
static uint64_t largest_norm(const struct operation *op, int64_t c)
{
    uint64_t most = format_magnitude(op->sources[0]->format);
    uint64_t weight = flag_of(op, "squared") ? bounded_product(most, most) : most;
    uint64_t norm = (uint64_t)op->constants[BETA].values[c];
    int64_t channels = op->target->channels;
    int64_t k;

    for (k = 0; k < channels; k++) {
        uint64_t gamma = (uint64_t)op->constants[GAMMA].values[c * channels + k];

        norm = bounded_sum(norm, bounded_product(gamma, weight));
    }
    return norm;
}

/* GDN-2 */
static int64_t divisor_of(int64_t norm, int squared, int shift)
{
    return squared ? isqrt(norm * power_of_two(shift)) : rounding_shift(norm, shift);
}

/* The largest divisor of a channel, with the checks of GDN-5 on norm, radicand and smallest divisor. */
static uint64_t check_divisor(const struct operation *op, int64_t c)
{
    int squared = flag_of(op, "squared");
    int shift = (int)integer_of(op, "norm_shift");
    uint64_t norm = largest_norm(op, c);

    require(norm <= (uint64_t)format_hi(format_of(op, "norm_format")), "RC-MODEL-OVERFLOW",
            "a norm can leave its format (GDN-5)");
    require(!squared || bounded_shift(norm, shift) < (uint64_t)1 << 62, "RC-MODEL-OVERFLOW",
            "a shifted norm can reach 2^62 (GDN-5)");
    require(divisor_of(op->constants[BETA].values[c], squared, shift) >= 1, "RC-MODEL-RANGE",
            "the smallest divisor is 0 (GDN-5)");
    return (uint64_t)divisor_of((int64_t)norm, squared, shift);
}

/* What both directions have in common (GDN-5, INT-2). */
static void check_norm(const struct operation *op)
{
    int64_t channels = op->target->channels;
    struct format gamma = format_of(op, "gamma_format");
    struct format norm = format_of(op, "norm_format");

    require_same_channels(op);
    require(has_shape(&op->constants[GAMMA], 2, channels, channels, -1, -1), "RC-MODEL-TENSOR",
            "gamma has not the channels of the tensor");
    require_vector(op, BETA, channels);
    require(op->sources[0]->format.bits >= 2, "RC-MODEL-RANGE", "activations have at least 2 bits (INT-2)");
    require_activations(op->sources[0]->format);
    require_activations(op->target->format);
    require(!gamma.is_signed && gamma.bits <= 16 && norm.is_signed, "RC-MODEL-RANGE",
            "gamma is unsigned, of 1 to 16 bits, and the norm signed (GDN-5)");
    require(lies_in(&op->constants[GAMMA], gamma), "RC-MODEL-RANGE", "gamma leaves its format");
    require(lies_within(&op->constants[BETA], 1, power_of_two(47) - 1), "RC-MODEL-RANGE",
            "beta is at least 1 and has at most 48 signed bits (GDN-5)");
    integer_within(op, "norm_shift", 0, flag_of(op, "squared") ? 16 : 47);
}

/* The divisors of all channels of a sample (GDN-1, GDN-2). */
static void divisors(const struct operation *op, const struct array *x, int64_t place, int64_t *out)
{
    int squared = flag_of(op, "squared");
    int shift = (int)integer_of(op, "norm_shift");
    int64_t channels = op->target->channels;
    int64_t plane = plane_size(x);
    int64_t c;
    int64_t k;

    for (c = 0; c < channels; c++) {
        int64_t norm = op->constants[BETA].values[c];

        for (k = 0; k < channels; k++) {
            int64_t value = x->values[k * plane + place];
            int64_t part = squared ? value * value : value < 0 ? -value : value;

            norm += op->constants[GAMMA].values[c * channels + k] * part;
        }
        out[c] = divisor_of(norm, squared, shift);
    }
}

/* GDN-5; the constants are gamma, beta, scale and offset. */
static void check_gdn(const struct operation *op)
{
    uint64_t most = format_magnitude(op->sources[0]->format);
    int fraction;
    int64_t c;

    check_norm(op);
    require_vector(op, 2, op->target->channels);
    require_vector(op, 3, op->target->channels);
    fraction = (int)integer_within(op, "fraction", 0, 16);
    for (c = 0; c < op->target->channels; c++) {
        uint64_t divisor = check_divisor(op, c);
        uint64_t scaled = bounded_product(most, magnitude(op->constants[2].values[c]));
        uint64_t numerator = bounded_sum(scaled, bounded_product(magnitude(op->constants[3].values[c]), divisor));
        uint64_t denominator = bounded_shift(divisor, fraction);

        require(numerator < (uint64_t)1 << 60, "RC-MODEL-OVERFLOW", "a numerator can reach 2^60 (GDN-5)");
        require(larger(bounded_sum(2 * numerator, denominator), bounded_shift(denominator, 1)) <= INT64_MAX,
                "RC-MODEL-OVERFLOW", "a division can leave 64 bits (DIV-2)");
    }
}

/* GDN-3 */
static void run_gdn(const struct operation *op, const struct array *const *sources, struct array *target)
{
    int64_t unit = power_of_two((int)integer_of(op, "fraction"));
    int64_t *divisor = allocate((size_t)op->target->channels, sizeof *divisor);
    int64_t plane = plane_size(target);
    int64_t place;
    int64_t c;

    for (place = 0; place < plane; place++) {
        divisors(op, sources[0], place, divisor);
        for (c = 0; c < op->target->channels; c++) {
            int64_t scaled = sources[0]->values[c * plane + place] * op->constants[2].values[c];
            int64_t numerator = scaled + op->constants[3].values[c] * divisor[c];

            target->values[c * plane + place] = clip(rounding_division(numerator, divisor[c] * unit),
                                                     format_lo(op->target->format), format_hi(op->target->format));
        }
    }
}

const struct kind gdn_kind = {"gdn", "fraction gamma_format norm_format norm_shift squared", "gamma beta scale offset",
                              1, check_gdn, keep_size, run_gdn};

/* GDN-5; the constants are gamma, beta, offset, multiplier and shift. */
static void check_inverse_gdn(const struct operation *op)
{
    uint64_t most = format_magnitude(op->sources[0]->format);
    struct format product = format_of(op, "product_format");
    int64_t c;
    int k;

    check_norm(op);
    for (k = 2; k < 5; k++) {
        require_vector(op, k, op->target->channels);
    }
    require(product.is_signed, "RC-MODEL-RANGE", "the product is signed (GDN-5)");
    require_profile(product, &op->constants[3]);
    require_shifts(&op->constants[4]);
    for (c = 0; c < op->target->channels; c++) {
        uint64_t scaled = bounded_product(most, check_divisor(op, c));
        uint64_t bound = bounded_sum(scaled, magnitude(op->constants[2].values[c]));

        require(bound <= (uint64_t)format_hi(product), "RC-MODEL-OVERFLOW", "a product can leave its format (GDN-5)");
    }
}

/* GDN-4 */
static void run_inverse_gdn(const struct operation *op, const struct array *const *sources, struct array *target)
{
    int64_t *divisor = allocate((size_t)op->target->channels, sizeof *divisor);
    int64_t plane = plane_size(target);
    int64_t place;
    int64_t c;

    for (place = 0; place < plane; place++) {
        divisors(op, sources[0], place, divisor);
        for (c = 0; c < op->target->channels; c++) {
            int64_t product = sources[0]->values[c * plane + place] * divisor[c] + op->constants[2].values[c];

            target->values[c * plane + place] =
                requantise(product, op->constants[3].values[c], (int)op->constants[4].values[c],
                           format_lo(op->target->format), format_hi(op->target->format));
        }
    }
}

const struct kind inverse_gdn_kind = {
    "inverse_gdn", "gamma_format norm_format norm_shift product_format squared", "gamma beta offset multiplier shift",
    1, check_inverse_gdn, keep_size, run_inverse_gdn};

/* LN-2: that no radicand reaches 2^62, nor a sum of squares 2^63; gives the largest radicand. */
static uint64_t check_radicand(const struct operation *op)
{
    struct format source = op->sources[0]->format;
    uint64_t most = format_magnitude(source);
    uint64_t span = (uint64_t)(format_hi(source) - format_lo(source));
    uint64_t square = (uint64_t)(op->target->channels * op->target->channels);
    uint64_t epsilon = (uint64_t)integer_within(op, "epsilon", 1, INT64_MAX);
    int shift = (int)integer_within(op, "root_shift", 0, 31);
    uint64_t spread = bounded_sum(bounded_product(square / 4, span * span), epsilon);

    require(bounded_product(square, most * most) <= INT64_MAX, "RC-MODEL-OVERFLOW",
            "a sum of squares can leave 64 bits (LN-2)");
    require(bounded_shift(spread, shift) < (uint64_t)1 << 62, "RC-MODEL-OVERFLOW", "a radicand can reach 2^62 (LN-2)");
    return bounded_shift(spread, shift);
}

/* LN-2; the constants are scale and offset. */
static void check_layer_norm(const struct operation *op)
{
    struct format source = op->sources[0]->format;
    uint64_t span = (uint64_t)(format_hi(source) - format_lo(source));
    uint64_t spread;
    int fraction;
    int64_t c;

    require_same_channels(op);
    require_vector(op, 0, op->target->channels);
    require_vector(op, 1, op->target->channels);
    require(source.bits >= 2, "RC-MODEL-RANGE", "activations have at least 2 bits (INT-2)");
    require_activations(source);
    require_activations(op->target->format);
    fraction = (int)integer_within(op, "fraction", 0, 16);
    spread = (uint64_t)isqrt((int64_t)check_radicand(op));
    for (c = 0; c < op->target->channels; c++) {
        uint64_t scaled = bounded_product((uint64_t)(op->target->channels - 1) * span,
                                          magnitude(op->constants[0].values[c]));
        uint64_t numerator = bounded_sum(scaled, bounded_product(magnitude(op->constants[1].values[c]), spread));
        uint64_t denominator = bounded_shift(spread, fraction);
        uint64_t sum = bounded_sum(bounded_product(numerator, 2), denominator);

        require(larger(sum, bounded_shift(denominator, 1)) <= INT64_MAX, "RC-MODEL-OVERFLOW",
                "a division can leave 64 bits (DIV-2)");
    }
}

/* LN-1, of the sample at a place */
static void normalise(const struct operation *op, const struct array *x, int64_t place, struct array *target)
{
    int64_t count = op->target->channels;
    int64_t plane = plane_size(x);
    int64_t total = 0;
    int64_t squares = 0;
    int64_t spread;
    int64_t c;

    for (c = 0; c < count; c++) {
        int64_t value = x->values[c * plane + place];

        total += value;
        squares += value * value;
    }
    spread = count * squares - total * total + integer_of(op, "epsilon");
    spread = isqrt(spread * power_of_two((int)integer_of(op, "root_shift")));
    for (c = 0; c < count; c++) {
        int64_t numerator = (count * x->values[c * plane + place] - total) * op->constants[0].values[c];

        numerator += op->constants[1].values[c] * spread;
        target->values[c * plane + place] =
            clip(rounding_division(numerator, spread * power_of_two((int)integer_of(op, "fraction"))),
                 format_lo(op->target->format), format_hi(op->target->format));
    }
}

static void run_layer_norm(const struct operation *op, const struct array *const *sources, struct array *target)
{
    int64_t place;

    for (place = 0; place < plane_size(target); place++) {
        normalise(op, sources[0], place, target);
    }
}

const struct kind layer_norm_kind = {
    "layer_norm", "epsilon fraction root_shift", "scale offset", 1, check_layer_norm, keep_size, run_layer_norm};
