/* Operations on each sample by itself (SPEC RQ, LEAKY, CLIP, HEAD, SCALE, MEAN, ADD). */
#include <stdint.h>

#include "arithmetic.h"
#include "kinds.h"
#include "profile.h"
#include "verdict.h"

void require_profile(struct format accumulator, const struct array *multiplier)
{
    int bits = accumulator.bits + !accumulator.is_signed;

    require(bits <= 48, "RC-MODEL-RANGE", "an accumulator has at most 48 bits (RQ-2)");
    require(lies_within(multiplier, 0, power_of_two(bits <= 32 ? 31 : 15) - 1), "RC-MODEL-RANGE",
            "a multiplier is outside its profile (RQ-2)");
}

void require_shifts(const struct array *shift)
{
    require(lies_within(shift, 1, 62), "RC-MODEL-RANGE", "a shift is not 1 .. 62 (RQ-2)");
}

void require_activations(struct format format)
{
    require(format.bits <= 16, "RC-MODEL-RANGE", "activations have at most 16 bits (INT-2)");
}

/* RQ-2, RQ-3; the constants are multiplier and shift. */
static void check_requantise(const struct operation *op)
{
    require_same_channels(op);
    require_vector(op, 0, op->target->channels);
    require_vector(op, 1, op->target->channels);
    require_activations(op->target->format);
    require_profile(op->sources[0]->format, &op->constants[0]);
    require_shifts(&op->constants[1]);
}

/* RQ-1 */
static void run_requantise(const struct operation *op, const struct array *const *sources, struct array *target)
{
    int64_t lo = format_lo(op->target->format);
    int64_t hi = format_hi(op->target->format);
    int64_t plane = plane_size(target);
    int64_t k;

    for (k = 0; k < (int64_t)target->count; k++) {
        int64_t c = k / plane;

        target->values[k] = requantise(sources[0]->values[k], op->constants[0].values[c],
                                       (int)op->constants[1].values[c], lo, hi);
    }
}

const struct kind requantise_kind = {"requantise", "", "multiplier shift", 1, check_requantise, keep_size,
                                     run_requantise};

/* LEAKY-2; the constants are multiplier, negative_multiplier and shift. */
static void check_leaky(const struct operation *op)
{
    int64_t c;

    require_same_channels(op);
    for (c = 0; c < 3; c++) {
        require_vector(op, (int)c, op->target->channels);
    }
    require_activations(op->target->format);
    require_profile(op->sources[0]->format, &op->constants[0]);
    require_profile(op->sources[0]->format, &op->constants[1]);
    require_shifts(&op->constants[2]);
    for (c = 0; c < op->target->channels; c++) {
        require(op->constants[1].values[c] <= op->constants[0].values[c], "RC-MODEL-RANGE",
                "a negative multiplier exceeds the other (LEAKY-2)");
    }
}

/* LEAKY-1 */
static void run_leaky(const struct operation *op, const struct array *const *sources, struct array *target)
{
    int64_t lo = format_lo(op->target->format);
    int64_t hi = format_hi(op->target->format);
    int64_t plane = plane_size(target);
    int64_t k;

    for (k = 0; k < (int64_t)target->count; k++) {
        int64_t c = k / plane;
        int64_t accumulator = sources[0]->values[k];
        int64_t multiplier = op->constants[accumulator < 0 ? 1 : 0].values[c];

        target->values[k] = requantise(accumulator, multiplier, (int)op->constants[2].values[c], lo, hi);
    }
}

const struct kind leaky_requantise_kind = {
    "leaky_requantise", "", "multiplier negative_multiplier shift", 1, check_leaky, keep_size, run_leaky};

/* CLIP-3 */
static void check_clip(const struct operation *op)
{
    int64_t lo = integer_of(op, "lo");
    int64_t hi = integer_of(op, "hi");

    require_same_channels(op);
    require(lo <= hi && format_holds(op->sources[0]->format, lo) && format_holds(op->sources[0]->format, hi) &&
                format_holds(op->target->format, lo) && format_holds(op->target->format, hi),
            "RC-MODEL-RANGE", "the limits of a clip lie in both formats (CLIP-3)");
}

/* CLIP-1 */
static void run_clip(const struct operation *op, const struct array *const *sources, struct array *target)
{
    int64_t lo = integer_of(op, "lo");
    int64_t hi = integer_of(op, "hi");
    size_t k;

    for (k = 0; k < target->count; k++) {
        target->values[k] = clip(sources[0]->values[k], lo, hi);
    }
}

const struct kind clip_kind = {"clip", "lo hi", "", 1, check_clip, keep_size, run_clip};

/* HEAD-2, SCALE-2: each channel has thresholds that never decrease. */
static void check_thresholds(const struct operation *op, int64_t count, int bits)
{
    const struct array *thresholds = &op->constants[0];
    struct format target = {0, 0};
    size_t k;

    target.bits = bits;
    require_same_channels(op);
    require(has_shape(thresholds, 2, op->target->channels, count, -1, -1), "RC-MODEL-TENSOR",
            "the thresholds are not those of all channels (HEAD-2, SCALE-2)");
    require(same_format(op->target->format, target), "RC-MODEL-RANGE", "the target of thresholds is u8 or u6");
    for (k = 1; k < thresholds->count; k++) {
        require(k % (size_t)count == 0 || thresholds->values[k - 1] <= thresholds->values[k], "RC-MODEL-RANGE",
                "the thresholds of a channel decrease (HEAD-2, SCALE-2)");
    }
}

static void run_thresholds(const struct operation *op, const struct array *const *sources, struct array *target)
{
    int64_t count = op->constants[0].shape[1];
    int64_t plane = plane_size(target);
    int64_t k;

    for (k = 0; k < (int64_t)target->count; k++) {
        const int64_t *thresholds = op->constants[0].values + k / plane * count;

        target->values[k] = thresholds_below(sources[0]->values[k], thresholds, (int)count);
    }
}

static void check_threshold_head(const struct operation *op)
{
    check_thresholds(op, 255, 8);
}

static void check_scale_index(const struct operation *op)
{
    check_thresholds(op, 63, 6);
}

/* HEAD-1 and SCALE-1 */
const struct kind threshold_head_kind = {
    "threshold_head", "", "thresholds", 1, check_threshold_head, keep_size, run_thresholds};
const struct kind scale_index_kind = {"scale_index", "", "thresholds", 1, check_scale_index, keep_size, run_thresholds};

/* MEAN-2: from s16 to s(17 + fraction). */
static void check_latent(const struct operation *op)
{
    struct format symbols = {16, 1};
    struct format sums = {17, 1};

    sums.bits += (int)integer_within(op, "fraction", 0, 16);
    require_same_channels(op);
    require(same_format(op->sources[0]->format, symbols) && same_format(op->target->format, sums), "RC-MODEL-RANGE",
            "latent means go from s16 to s(17 + fraction) (MEAN-2)");
}

static void check_latent_mean(const struct operation *op)
{
    struct format means = {16, 1};

    check_latent(op);
    require_vector(op, 0, op->target->channels);
    means.bits += (int)integer_of(op, "fraction");
    require(lies_in(&op->constants[0], means), "RC-MODEL-RANGE", "a mean has 16 + fraction bits (MEAN-2)");
}

/* MEAN-1 */
static void run_latent_mean(const struct operation *op, const struct array *const *sources, struct array *target)
{
    int64_t unit = power_of_two((int)integer_of(op, "fraction"));
    int64_t plane = plane_size(target);
    int64_t k;

    for (k = 0; k < (int64_t)target->count; k++) {
        target->values[k] = sources[0]->values[k] * unit + op->constants[0].values[k / plane];
    }
}

const struct kind latent_mean_kind = {"latent_mean", "fraction", "mean", 1, check_latent_mean, keep_size,
                                      run_latent_mean};

static void check_latent_means(const struct operation *op)
{
    check_latent(op);
    require(op->sources[1]->format.is_signed && op->sources[1]->format.bits <= 16 + integer_of(op, "fraction"),
            "RC-MODEL-RANGE", "means are signed, of 16 + fraction bits (MEAN-2)");
}

/* MEAN-3 */
static void run_latent_means(const struct operation *op, const struct array *const *sources, struct array *target)
{
    int64_t unit = power_of_two((int)integer_of(op, "fraction"));
    size_t k;

    for (k = 0; k < target->count; k++) {
        target->values[k] = sources[0]->values[k] * unit + sources[1]->values[k];
    }
}

const struct kind latent_means_kind = {"latent_means", "fraction", "", 2, check_latent_means, keep_size,
                                       run_latent_means};

/* ADD-2 */
static void check_add(const struct operation *op)
{
    int shift = (int)integer_within(op, "shift", 0, 62);
    uint64_t bound = magnitude(power_of_two(shift) >> 1);
    int k;

    require_same_channels(op);
    require_vector(op, 0, 2);
    require(lies_within(&op->constants[0], 1 - power_of_two(31), power_of_two(31) - 1), "RC-MODEL-RANGE",
            "a multiplier is below 2^31 in magnitude (ADD-2)");
    for (k = 0; k < 2; k++) {
        uint64_t most = format_magnitude(op->sources[k]->format);

        bound = bounded_sum(bound, bounded_product(magnitude(op->constants[0].values[k]), most));
    }
    require(bound <= INT64_MAX, "RC-MODEL-OVERFLOW", "the sum may leave 64 bits (ADD-2)");
}

/* ADD-1 */
static void run_add(const struct operation *op, const struct array *const *sources, struct array *target)
{
    const int64_t *multipliers = op->constants[0].values;
    int shift = (int)integer_of(op, "shift");
    size_t k;

    for (k = 0; k < target->count; k++) {
        int64_t sum = sources[0]->values[k] * multipliers[0] + sources[1]->values[k] * multipliers[1];

        target->values[k] =
            clip(rounding_shift(sum, shift), format_lo(op->target->format), format_hi(op->target->format));
    }
}

const struct kind add_kind = {"add", "shift", "multipliers", 2, check_add, keep_size, run_add};
