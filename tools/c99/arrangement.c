/* Operations that move samples (SPEC CAT, CROP, PAD, PS, NEAR, TILE). */
#include <stdint.h>
#include <string.h>

#include "kinds.h"
#include "verdict.h"

/* CAT-1 */
static void check_concatenate(const struct operation *op)
{
    int64_t channels = 0;
    size_t k;

    require(op->count >= 2, "RC-MODEL-TENSOR", "two or more tensors are concatenated (CAT-1)");
    for (k = 0; k < op->count; k++) {
        channels += op->sources[k]->channels;
    }
    require(channels == op->target->channels, "RC-MODEL-TENSOR", "the channels of the sources are not the target's");
    require_same_format(op);
}

static void run_concatenate(const struct operation *op, const struct array *const *sources, struct array *target)
{
    int64_t *end = target->values;
    size_t k;

    for (k = 0; k < op->count; k++) {
        memcpy(end, sources[k]->values, sources[k]->count * sizeof *end);
        end += sources[k]->count;
    }
}

const struct kind concatenate_kind = {"concatenate", "", "", 0, check_concatenate, keep_size, run_concatenate};

/* CROP-1, PAD-1 */
static void check_sides(const struct operation *op)
{
    require_same_channels(op);
    require_same_format(op);
    integer_within(op, "top", 0, 65535);
    integer_within(op, "bottom", 0, 65535);
    integer_within(op, "left", 0, 65535);
    integer_within(op, "right", 0, 65535);
}

static struct size size_crop(const struct operation *op, struct size source)
{
    struct size target;

    target.height = source.height - integer_of(op, "top") - integer_of(op, "bottom");
    target.width = source.width - integer_of(op, "left") - integer_of(op, "right");
    require_size(op, target.height >= 1 && target.width >= 1, "a crop leaves nothing (CROP-1)");
    return target;
}

static struct size size_pad(const struct operation *op, struct size source)
{
    struct size target;

    target.height = source.height + integer_of(op, "top") + integer_of(op, "bottom");
    target.width = source.width + integer_of(op, "left") + integer_of(op, "right");
    return target;
}

/* CROP-1 */
static void run_crop(const struct operation *op, const struct array *const *sources, struct array *target)
{
    int64_t top = integer_of(op, "top");
    int64_t left = integer_of(op, "left");
    int64_t c;
    int64_t y;

    for (c = 0; c < target->shape[0]; c++) {
        for (y = 0; y < target->shape[1]; y++) {
            memcpy(at(target, c, y, 0), at(sources[0], c, y + top, left),
                   (size_t)target->shape[2] * sizeof *target->values);
        }
    }
}

/* PAD-1 */
static void run_pad(const struct operation *op, const struct array *const *sources, struct array *target)
{
    int64_t top = integer_of(op, "top");
    int64_t left = integer_of(op, "left");
    const struct array *x = sources[0];
    int64_t c;
    int64_t y;

    for (c = 0; c < x->shape[0]; c++) {
        for (y = 0; y < x->shape[1]; y++) {
            memcpy(at(target, c, y + top, left), at(x, c, y, 0), (size_t)x->shape[2] * sizeof *x->values);
        }
    }
}

const struct kind crop_kind = {"crop", "bottom left right top", "", 1, check_sides, size_crop, run_crop};
const struct kind pad_kind = {"pad", "bottom left right top", "", 1, check_sides, size_pad, run_pad};

/* PS-2 */
static void check_pixel_shuffle(const struct operation *op)
{
    int64_t rows = integer_within(op, "rows", 1, 64);
    int64_t columns = integer_within(op, "columns", 1, 64);

    require(op->sources[0]->channels == op->target->channels * rows * columns, "RC-MODEL-TENSOR",
            "the channels are not a block for each of the target (PS-2)");
    require_same_format(op);
}

/* The size of what is `rows` times as high and `columns` times as wide. */
static struct size size_enlarged(const struct operation *op, struct size source)
{
    struct size target;

    target.height = source.height * integer_of(op, "rows");
    target.width = source.width * integer_of(op, "columns");
    return target;
}

/* PS-1 */
static void run_pixel_shuffle(const struct operation *op, const struct array *const *sources, struct array *target)
{
    int64_t rows = integer_of(op, "rows");
    int64_t columns = integer_of(op, "columns");
    int64_t c;
    int64_t y;
    int64_t i;

    for (c = 0; c < target->shape[0]; c++) {
        for (y = 0; y < target->shape[1]; y++) {
            for (i = 0; i < target->shape[2]; i++) {
                int64_t source = (c * rows + y % rows) * columns + i % columns;

                *at(target, c, y, i) = *at(sources[0], source, y / rows, i / columns);
            }
        }
    }
}

const struct kind pixel_shuffle_kind = {"pixel_shuffle", "columns rows", "", 1, check_pixel_shuffle, size_enlarged,
                                        run_pixel_shuffle};

static void check_factors(const struct operation *op, int64_t most)
{
    require_same_channels(op);
    require_same_format(op);
    integer_within(op, "rows", 1, most);
    integer_within(op, "columns", 1, most);
}

static void check_nearest(const struct operation *op)
{
    check_factors(op, 64);
}

/* TILE-2 */
static void check_tile(const struct operation *op)
{
    check_factors(op, 4096);
}

/* NEAR-1 */
static void run_nearest(const struct operation *op, const struct array *const *sources, struct array *target)
{
    int64_t rows = integer_of(op, "rows");
    int64_t columns = integer_of(op, "columns");
    int64_t c;
    int64_t y;
    int64_t i;

    for (c = 0; c < target->shape[0]; c++) {
        for (y = 0; y < target->shape[1]; y++) {
            for (i = 0; i < target->shape[2]; i++) {
                *at(target, c, y, i) = *at(sources[0], c, y / rows, i / columns);
            }
        }
    }
}

/* TILE-1 */
static void run_tile(const struct operation *op, const struct array *const *sources, struct array *target)
{
    int64_t c;
    int64_t y;
    int64_t i;

    (void)op;
    for (c = 0; c < target->shape[0]; c++) {
        for (y = 0; y < target->shape[1]; y++) {
            for (i = 0; i < target->shape[2]; i++) {
                *at(target, c, y, i) = *at(sources[0], c, y % sources[0]->shape[1], i % sources[0]->shape[2]);
            }
        }
    }
}

const struct kind nearest_kind = {"nearest", "columns rows", "", 1, check_nearest, size_enlarged, run_nearest};
const struct kind tile_kind = {"tile", "columns rows", "", 1, check_tile, size_enlarged, run_tile};
