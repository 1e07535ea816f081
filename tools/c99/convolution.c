/* Layers with weights (SPEC CONV, TCONV, LIN, DW, MASK, ACC-1). The constants are weight and bias. */
#include <stdint.h>
#include <string.h>

#include "arithmetic.h"
#include "kinds.h"
#include "verdict.h"

#define LARGEST_KERNEL 9

/* The numbers of a layer, from its parameters and the shape of its weights. */
struct geometry {
    int64_t kernel;
    int64_t stride;
    int64_t padding;
    int64_t output_padding;
};

/* INT-2, and weights and biases within their formats. */
static void check_formats(const struct operation *op)
{
    struct format weight = format_of(op, "weight_format");
    struct format source = op->sources[0]->format;

    require(weight.is_signed && weight.bits >= 2 && weight.bits <= 16 && source.bits >= 2 && source.bits <= 16,
            "RC-MODEL-RANGE", "signed weights and activations have 2 .. 16 bits (INT-2)");
    require(lies_in(&op->constants[0], weight), "RC-MODEL-RANGE", "a weight leaves its format");
    require(lies_in(&op->constants[1], op->target->format), "RC-MODEL-RANGE", "a bias leaves the accumulator's format");
}

/* CONV-3, TCONV-4 */
static void check_geometry(struct geometry g)
{
    require(g.kernel >= 1 && g.kernel <= LARGEST_KERNEL && g.stride >= 1 && g.stride <= 4 && g.padding >= 0 &&
                g.padding < g.kernel,
            "RC-MODEL-RANGE", "kernel, stride or padding is outside its limits (CONV-3)");
    require(g.output_padding >= 0 && g.output_padding < g.stride, "RC-MODEL-RANGE",
            "the output padding is not below the stride (TCONV-4)");
}

/* ACC-1, of one output: the bound and the format that must hold it. */
static void check_bound(const struct operation *op, uint64_t bound)
{
    require(op->target->format.is_signed && bound <= (uint64_t)format_hi(op->target->format), "RC-MODEL-OVERFLOW",
            "an accumulator can leave its format (ACC-1)");
}

/* ACC-1, where all weights of an output channel count: `count` weights for each. */
static void check_accumulators(const struct operation *op, int64_t count)
{
    uint64_t most = format_magnitude(op->sources[0]->format);
    int64_t o;
    int64_t k;

    for (o = 0; o < op->target->channels; o++) {
        uint64_t bound = magnitude(op->constants[1].values[o]);

        for (k = 0; k < count; k++) {
            bound = bounded_sum(bound, magnitude(op->constants[0].values[o * count + k]) * most);
        }
        check_bound(op, bound);
    }
}

static void check_shapes(const struct operation *op)
{
    const struct array *weight = &op->constants[0];

    require(has_shape(weight, 4, op->target->channels, op->sources[0]->channels, -1, -1) &&
                weight->shape[2] == weight->shape[3],
            "RC-MODEL-TENSOR", "the weights do not lead from source to target");
    require_vector(op, 1, op->target->channels);
}

static struct geometry convolution_geometry(const struct operation *op)
{
    struct geometry g = {0, 1, 0, 0};

    g.kernel = op->constants[0].shape[op->constants[0].rank - 1];
    g.stride = integer_of(op, "stride");
    g.padding = integer_of(op, "padding");
    return g;
}

static void check_convolution(const struct operation *op)
{
    check_shapes(op);
    check_geometry(convolution_geometry(op));
    check_formats(op);
    check_accumulators(op, (int64_t)(op->constants[0].count / (size_t)op->target->channels));
}

/* CONV-1 */
static int64_t convolution_side(int64_t side, struct geometry g)
{
    return floor_division(side + 2 * g.padding - g.kernel, g.stride) + 1;
}

/* A size with at least one row and one column. */
static struct size checked_size(const struct operation *op, int64_t height, int64_t width)
{
    struct size size;

    require_size(op, height >= 1 && width >= 1, "the input is too small (CONV-3, TCONV-4)");
    size.height = height;
    size.width = width;
    return size;
}

static struct size size_convolution(const struct operation *op, struct size source)
{
    struct geometry g = convolution_geometry(op);

    return checked_size(op, convolution_side(source.height, g), convolution_side(source.width, g));
}

/* The part of an accumulator that comes from one plane of the source (CONV-2). */
static int64_t correlate(const struct array *x, int64_t c, const int64_t *weight, struct geometry g, int64_t oy,
                         int64_t ox)
{
    int64_t acc = 0;
    int64_t ky;
    int64_t kx;

    for (ky = 0; ky < g.kernel; ky++) {
        int64_t iy = oy * g.stride - g.padding + ky;

        for (kx = 0; kx < g.kernel; kx++) {
            int64_t ix = ox * g.stride - g.padding + kx;

            if (iy >= 0 && iy < x->shape[1] && ix >= 0 && ix < x->shape[2]) {
                acc += *at(x, c, iy, ix) * weight[ky * g.kernel + kx];
            }
        }
    }
    return acc;
}

/* CONV-2 of the channels first .. last - 1 of the source into one channel of the target. */
static void convolve(const struct operation *op, const struct array *x, struct array *target, struct geometry g,
                     int64_t o, int64_t first, int64_t last)
{
    int64_t taps = g.kernel * g.kernel;
    const int64_t *weight = op->constants[0].values + o * (last - first) * taps;
    int64_t oy;
    int64_t ox;
    int64_t c;

    for (oy = 0; oy < target->shape[1]; oy++) {
        for (ox = 0; ox < target->shape[2]; ox++) {
            int64_t acc = op->constants[1].values[o];

            for (c = first; c < last; c++) {
                acc += correlate(x, c, weight + (c - first) * taps, g, oy, ox);
            }
            *at(target, o, oy, ox) = acc;
        }
    }
}

static void run_convolution(const struct operation *op, const struct array *const *sources, struct array *target)
{
    int64_t o;

    for (o = 0; o < target->shape[0]; o++) {
        convolve(op, sources[0], target, convolution_geometry(op), o, 0, sources[0]->shape[0]);
    }
}

const struct kind convolution_kind = {
    "convolution", "padding stride weight_format", "weight bias", 1, check_convolution, size_convolution,
    run_convolution};

/* DW-2 */
static void check_depthwise(const struct operation *op)
{
    const struct array *weight = &op->constants[0];

    require_same_channels(op);
    require(has_shape(weight, 3, op->target->channels, -1, -1, -1) && weight->shape[1] == weight->shape[2],
            "RC-MODEL-TENSOR", "the weights do not lead from source to target");
    require_vector(op, 1, op->target->channels);
    check_geometry(convolution_geometry(op));
    check_formats(op);
    check_accumulators(op, weight->shape[1] * weight->shape[2]);
}

/* DW-1 */
static void run_depthwise(const struct operation *op, const struct array *const *sources, struct array *target)
{
    int64_t c;

    for (c = 0; c < target->shape[0]; c++) {
        convolve(op, sources[0], target, convolution_geometry(op), c, c, c + 1);
    }
}

const struct kind depthwise_convolution_kind = {
    "depthwise_convolution", "padding stride weight_format", "weight bias", 1, check_depthwise, size_convolution,
    run_depthwise};

static struct geometry masked_geometry(const struct operation *op)
{
    struct geometry g = {0, 1, 0, 0};

    g.kernel = op->constants[0].shape[op->constants[0].rank - 1];
    g.padding = integer_of(op, "padding");
    return g;
}

/* MASK-1, MASK-2 */
static int is_live(int causal, int64_t kernel, int64_t ky, int64_t kx)
{
    if (causal) {
        return ky < kernel / 2 || (ky == kernel / 2 && kx < kernel / 2);
    }
    return (ky + kx) % 2 == 1;
}

/* MASK-3 */
static void check_dead_taps(const struct operation *op, int causal)
{
    const struct array *weight = &op->constants[0];
    int64_t kernel = weight->shape[3];
    size_t k;

    for (k = 0; k < weight->count; k++) {
        int64_t tap = (int64_t)(k % (size_t)(kernel * kernel));

        require(weight->values[k] == 0 || is_live(causal, kernel, tap / kernel, tap % kernel), "RC-MODEL-RANGE",
                "a weight of a dead tap is not zero (MASK-3)");
    }
}

static void check_masked(const struct operation *op)
{
    int causal = strcmp(text_of(op, "mask"), "causal") == 0;

    require(causal || strcmp(text_of(op, "mask"), "checkerboard") == 0, "RC-MODEL-RANGE", "an unknown mask (MASK-1)");
    check_shapes(op);
    check_geometry(masked_geometry(op));
    require(op->constants[0].shape[3] % 2 == 1, "RC-MODEL-RANGE", "a masked kernel is odd (MASK-3)");
    check_formats(op);
    check_dead_taps(op, causal);
    check_accumulators(op, (int64_t)(op->constants[0].count / (size_t)op->target->channels));
}

static struct size size_masked(const struct operation *op, struct size source)
{
    struct geometry g = masked_geometry(op);

    return checked_size(op, convolution_side(source.height, g), convolution_side(source.width, g));
}

static void run_masked(const struct operation *op, const struct array *const *sources, struct array *target)
{
    int64_t o;

    for (o = 0; o < target->shape[0]; o++) {
        convolve(op, sources[0], target, masked_geometry(op), o, 0, sources[0]->shape[0]);
    }
}

const struct kind masked_convolution_kind = {
    "masked_convolution", "mask padding weight_format", "weight bias", 1, check_masked, size_masked, run_masked};

/* LIN-2 */
static void check_linear(const struct operation *op)
{
    require(has_shape(&op->constants[0], 2, op->target->channels, op->sources[0]->channels, -1, -1), "RC-MODEL-TENSOR",
            "the weights do not lead from source to target");
    require_vector(op, 1, op->target->channels);
    check_formats(op);
    check_accumulators(op, op->sources[0]->channels);
}

/* LIN-1 */
static void run_linear(const struct operation *op, const struct array *const *sources, struct array *target)
{
    struct geometry g = {1, 1, 0, 0};
    int64_t o;

    for (o = 0; o < target->shape[0]; o++) {
        convolve(op, sources[0], target, g, o, 0, sources[0]->shape[0]);
    }
}

const struct kind linear_kind = {"linear", "weight_format", "weight bias", 1, check_linear, keep_size, run_linear};

static struct geometry transposed_geometry(const struct operation *op)
{
    struct geometry g = convolution_geometry(op);

    g.output_padding = integer_of(op, "output_padding");
    return g;
}

/* The taps of a phase along an axis, and what each adds to the place in the source (TCONV-2). */
struct phase {
    int count;
    int64_t tap[LARGEST_KERNEL];
    int64_t offset[LARGEST_KERNEL];
};

static struct phase phase_taps(struct geometry g, int64_t number)
{
    struct phase phase;
    int64_t k;

    phase.count = 0;
    for (k = 0; k < g.kernel; k++) {
        int64_t place = number + g.padding - k;

        if (floor_remainder(place, g.stride) == 0) {
            phase.tap[phase.count] = k;
            phase.offset[phase.count++] = floor_division(place, g.stride);
        }
    }
    return phase;
}

/* ACC-1 of one output channel and phase. */
static uint64_t phase_bound(const struct operation *op, int64_t o, struct phase rows, struct phase columns)
{
    const struct array *weight = &op->constants[0];
    int64_t kernel = weight->shape[3];
    uint64_t most = format_magnitude(op->sources[0]->format);
    uint64_t bound = magnitude(op->constants[1].values[o]);
    int64_t c;
    int a;
    int b;

    for (c = 0; c < weight->shape[1]; c++) {
        const int64_t *taps = weight->values + (o * weight->shape[1] + c) * kernel * kernel;

        for (a = 0; a < rows.count; a++) {
            for (b = 0; b < columns.count; b++) {
                bound = bounded_sum(bound, magnitude(taps[rows.tap[a] * kernel + columns.tap[b]]) * most);
            }
        }
    }
    return bound;
}

static void check_transposed(const struct operation *op)
{
    struct geometry g;
    int64_t o;
    int64_t py;
    int64_t px;

    check_shapes(op);
    g = transposed_geometry(op);
    check_geometry(g);
    check_formats(op);
    for (o = 0; o < op->target->channels; o++) {
        for (py = 0; py < g.stride; py++) {
            for (px = 0; px < g.stride; px++) {
                check_bound(op, phase_bound(op, o, phase_taps(g, py), phase_taps(g, px)));
            }
        }
    }
}

/* TCONV-1 */
static int64_t transposed_side(int64_t side, struct geometry g)
{
    return (side - 1) * g.stride - 2 * g.padding + g.kernel + g.output_padding;
}

static struct size size_transposed(const struct operation *op, struct size source)
{
    struct geometry g = transposed_geometry(op);

    return checked_size(op, transposed_side(source.height, g), transposed_side(source.width, g));
}

/* One output without its bias (TCONV-3); (my, mx) is the place that the offsets of the phases start from. */
static int64_t gather(const struct array *x, const struct array *weight, int64_t o, const struct phase *rows,
                      const struct phase *columns, int64_t my, int64_t mx)
{
    int64_t kernel = weight->shape[3];
    int64_t acc = 0;
    int64_t c;
    int a;
    int b;

    for (a = 0; a < rows->count; a++) {
        for (b = 0; b < columns->count; b++) {
            int64_t iy = my + rows->offset[a];
            int64_t ix = mx + columns->offset[b];
            const int64_t *tap =
                weight->values + (o * weight->shape[1] * kernel + rows->tap[a]) * kernel + columns->tap[b];

            if (iy >= 0 && iy < x->shape[1] && ix >= 0 && ix < x->shape[2]) {
                for (c = 0; c < x->shape[0]; c++) {
                    acc += *at(x, c, iy, ix) * tap[c * kernel * kernel];
                }
            }
        }
    }
    return acc;
}

/* TCONV-3 */
static void run_transposed(const struct operation *op, const struct array *const *sources, struct array *target)
{
    struct geometry g = transposed_geometry(op);
    int64_t o;
    int64_t oy;
    int64_t ox;

    for (oy = 0; oy < target->shape[1]; oy++) {
        struct phase rows = phase_taps(g, oy % g.stride);

        for (ox = 0; ox < target->shape[2]; ox++) {
            struct phase columns = phase_taps(g, ox % g.stride);

            for (o = 0; o < target->shape[0]; o++) {
                *at(target, o, oy, ox) = op->constants[1].values[o] +
                                         gather(sources[0], &op->constants[0], o, &rows, &columns, oy / g.stride,
                                                ox / g.stride);
            }
        }
    }
}

const struct kind transposed_convolution_kind = {
    "transposed_convolution", "output_padding padding stride weight_format", "weight bias", 1, check_transposed,
    size_transposed, run_transposed};
