/* Enlargement, scale spaces and warps (SPEC RES, BLUR, WARP). */
#include <stdint.h>
#include <string.h>

#include "arithmetic.h"
#include "kinds.h"
#include "memory.h"
#include "verdict.h"

/* A plane of a volume or of its own. */
struct plane {
    int64_t height;
    int64_t width;
    int64_t *values;
};

static struct plane new_plane(int64_t height, int64_t width)
{
    struct plane plane;

    plane.height = height;
    plane.width = width;
    plane.values = new_volume(1, height, width).values;
    return plane;
}

static struct plane plane_of(const struct array *volume, int64_t c)
{
    struct plane plane;

    plane.height = volume->shape[1];
    plane.width = volume->shape[2];
    plane.values = at(volume, c, 0, 0);
    return plane;
}

static int64_t sample(struct plane plane, int64_t y, int64_t x)
{
    return plane.values[y * plane.width + x];
}

/* RES-3 */
static void check_resize(const struct operation *op)
{
    require_same_channels(op);
    require_same_format(op);
    require(op->target->format.bits <= 32, "RC-MODEL-RANGE", "at most 32 bits are resized (RES-3)");
    integer_within(op, "rows", 1, 5);
    integer_within(op, "columns", 1, 5);
}

static struct size size_resize(const struct operation *op, struct size source)
{
    struct size target;

    target.height = source.height * integer_of(op, "rows");
    target.width = source.width * integer_of(op, "columns");
    return target;
}

/* RES-2 */
static void resize(struct plane x, struct plane out, int64_t rows, int64_t columns)
{
    int64_t y;
    int64_t i;

    for (y = 0; y < out.height; y++) {
        struct line_taps down = line_taps(2 * y + 1 - rows, 2 * rows, x.height);

        for (i = 0; i < out.width; i++) {
            struct line_taps right = line_taps(2 * i + 1 - columns, 2 * columns, x.width);
            int64_t left = 2 * columns - right.part;
            int64_t upper =
                left * sample(x, down.first, right.first) + right.part * sample(x, down.first, right.second);
            int64_t lower =
                left * sample(x, down.second, right.first) + right.part * sample(x, down.second, right.second);
            int64_t sum = (2 * rows - down.part) * upper + down.part * lower;

            out.values[y * out.width + i] = rounding_division(sum, 4 * rows * columns);
        }
    }
}

static void run_resize(const struct operation *op, const struct array *const *sources, struct array *target)
{
    int64_t c;

    for (c = 0; c < target->shape[0]; c++) {
        resize(plane_of(sources[0], c), plane_of(target, c), integer_of(op, "rows"), integer_of(op, "columns"));
    }
}

const struct kind resize_kind = {"resize", "columns rows", "", 1, check_resize, size_resize, run_resize};

/* One sample of BLUR-1. */
static int64_t blurred(struct plane x, int64_t y, int64_t i)
{
    static const int gaussian[11] = {17, 124, 590, 1792, 3490, 4358, 3490, 1792, 590, 124, 17};
    int64_t acc = 0;
    int ky;
    int kx;

    for (ky = 0; ky < 11; ky++) {
        int64_t iy = clip(y + ky - 5, 0, x.height - 1);

        for (kx = 0; kx < 11; kx++) {
            acc += (int64_t)gaussian[ky] * gaussian[kx] * sample(x, iy, clip(i + kx - 5, 0, x.width - 1));
        }
    }
    return rounding_shift(acc, 28);
}

/* BLUR-1 */
static struct plane blur(struct plane x)
{
    struct plane out = new_plane(x.height, x.width);
    int64_t y;
    int64_t i;

    for (y = 0; y < x.height; y++) {
        for (i = 0; i < x.width; i++) {
            out.values[y * x.width + i] = blurred(x, y, i);
        }
    }
    return out;
}

/* BLUR-2 */
static struct plane halve(struct plane x)
{
    struct plane out = new_plane(x.height / 2, x.width / 2);
    int64_t y;
    int64_t i;

    for (y = 0; y < out.height; y++) {
        for (i = 0; i < out.width; i++) {
            int64_t upper = sample(x, 2 * y, 2 * i) + sample(x, 2 * y, 2 * i + 1);
            int64_t lower = sample(x, 2 * y + 1, 2 * i) + sample(x, 2 * y + 1, 2 * i + 1);

            out.values[y * out.width + i] = rounding_shift(upper + lower, 2);
        }
    }
    return out;
}

/* BLUR-4 */
static void check_scale_space(const struct operation *op)
{
    int64_t levels = integer_within(op, "levels", 1, 6);

    require(op->sources[0]->channels * (levels + 1) == op->target->channels, "RC-MODEL-TENSOR",
            "the target has not a slice for each level and one more (BLUR-3)");
    require_same_format(op);
    require(op->target->format.bits <= 16, "RC-MODEL-RANGE", "a scale space has at most 16 bits (BLUR-4)");
}

static struct size size_scale_space(const struct operation *op, struct size source)
{
    int64_t step = power_of_two((int)integer_of(op, "levels") - 1);

    require_size(op, source.height % step == 0 && source.width % step == 0,
                 "height and width are no multiples of 2^(levels - 1) (BLUR-4)");
    return source;
}

/* Puts a plane into a channel of the target, enlarged by two as often as it was halved (BLUR-3). */
static void put_slice(struct plane low, int64_t level, struct plane out)
{
    struct plane wide = low;
    int64_t k;

    for (k = 0; k < level; k++) {
        struct plane wider = new_plane(2 * wide.height, 2 * wide.width);

        resize(wide, wider, 2, 2);
        wide = wider;
    }
    memcpy(out.values, wide.values, (size_t)(out.height * out.width) * sizeof *out.values);
}

/* BLUR-3 */
static void run_scale_space(const struct operation *op, const struct array *const *sources, struct array *target)
{
    int64_t levels = integer_of(op, "levels");
    int64_t channels = sources[0]->shape[0];
    int64_t c;
    int64_t level;

    for (c = 0; c < channels; c++) {
        struct plane low = blur(plane_of(sources[0], c));

        put_slice(plane_of(sources[0], c), 0, plane_of(target, c));
        put_slice(low, 0, plane_of(target, channels + c));
        for (level = 1; level < levels; level++) {
            low = blur(halve(low));
            put_slice(low, level, plane_of(target, (level + 1) * channels + c));
        }
    }
}

const struct kind scale_space_kind = {"scale_space", "levels", "", 1, check_scale_space, size_scale_space,
                                      run_scale_space};

/* WARP-3 */
static void check_warp(const struct operation *op)
{
    struct format flow = op->sources[1]->format;

    integer_within(op, "fraction", 0, 14);
    require(op->sources[1]->channels == 3 && op->sources[0]->channels % op->target->channels == 0, "RC-MODEL-TENSOR",
            "the volume has no whole slices, or the flow not three channels (WARP-3)");
    require(op->sources[0]->format.bits <= 16 && same_format(op->sources[0]->format, op->target->format) &&
                flow.bits <= 16,
            "RC-MODEL-RANGE", "volume, flow or target has another format (WARP-3)");
}

/* WARP-1 */
static struct line_taps warp_taps(int64_t place, int64_t size, int fraction)
{
    int64_t unit = power_of_two(fraction);

    return line_taps(clip(place, 0, (size - 1) * unit), unit, size);
}

/* One slice of WARP-2, in units of the square of `unit`. */
static int64_t between(struct plane plane, struct line_taps down, struct line_taps right, int64_t unit)
{
    int64_t left = unit - right.part;
    int64_t upper =
        left * sample(plane, down.first, right.first) + right.part * sample(plane, down.first, right.second);
    int64_t lower =
        left * sample(plane, down.second, right.first) + right.part * sample(plane, down.second, right.second);

    return (unit - down.part) * upper + down.part * lower;
}

/* One sample of WARP-2 in all channels. */
static void warp_sample(const struct operation *op, const struct array *const *sources, struct array *target, int64_t y,
                        int64_t i)
{
    int fraction = (int)integer_of(op, "fraction");
    int64_t unit = power_of_two(fraction + 1);
    int64_t channels = target->shape[0];
    int64_t depth = sources[0]->shape[0] / channels;
    const struct array *flow = sources[1];
    int64_t x_place = i * unit + *at(flow, 0, y, i) * target->shape[2];
    int64_t y_place = y * unit + *at(flow, 1, y, i) * target->shape[1];
    int64_t z_place = (depth - 1) * power_of_two(fraction) + *at(flow, 2, y, i) * depth;
    struct line_taps right = warp_taps(x_place, target->shape[2], fraction + 1);
    struct line_taps down = warp_taps(y_place, target->shape[1], fraction + 1);
    struct line_taps deep = warp_taps(z_place, depth, fraction + 1);
    int64_t c;

    for (c = 0; c < channels; c++) {
        int64_t near = between(plane_of(sources[0], deep.first * channels + c), down, right, unit);
        int64_t far = between(plane_of(sources[0], deep.second * channels + c), down, right, unit);
        int64_t acc = (unit - deep.part) * near + deep.part * far;

        *at(target, c, y, i) = rounding_shift(acc, 3 * (fraction + 1));
    }
}

static void run_warp(const struct operation *op, const struct array *const *sources, struct array *target)
{
    int64_t y;
    int64_t i;

    for (y = 0; y < target->shape[1]; y++) {
        for (i = 0; i < target->shape[2]; i++) {
            warp_sample(op, sources, target, y, i);
        }
    }
}

const struct kind warp_kind = {"warp", "fraction", "", 2, check_warp, keep_size, run_warp};
