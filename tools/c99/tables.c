/* Tables, positional encodings and embeddings (SPEC TAB, PE, EMB). */
#include <stdint.h>

#include "arithmetic.h"
#include "kinds.h"
#include "verdict.h"

/* TAB-3, of both kinds of tables: the source has 2 to `widest` bits, all entries lie in the target. */
static void check_entries(const struct operation *op, int widest, int64_t count)
{
    int bits = op->sources[0]->format.bits;

    require_same_channels(op);
    require(bits >= 2 && bits <= widest && op->target->format.bits <= 32, "RC-MODEL-RANGE",
            "the source or the target of a table is too wide or too narrow (TAB-3)");
    require(has_shape(&op->constants[0], 1, count, -1, -1, -1), "RC-MODEL-TENSOR",
            "a table has not an entry for each value of its source (TAB-1, TAB-2)");
    require(lies_in(&op->constants[0], op->target->format), "RC-MODEL-RANGE", "an entry leaves the target (TAB-3)");
}

static void check_table(const struct operation *op)
{
    check_entries(op, 10, power_of_two(op->sources[0]->format.bits));
}

/* TAB-1 */
static void run_table(const struct operation *op, const struct array *const *sources, struct array *target)
{
    int64_t lo = format_lo(op->sources[0]->format);
    size_t k;

    for (k = 0; k < target->count; k++) {
        target->values[k] = op->constants[0].values[sources[0]->values[k] - lo];
    }
}

const struct kind table_kind = {"table", "", "table", 1, check_table, keep_size, run_table};

static void check_interpolated_table(const struct operation *op)
{
    int bits = op->sources[0]->format.bits;
    int spacing = (int)integer_within(op, "spacing", 1, bits - 1);

    check_entries(op, 16, power_of_two(bits - spacing) + 1);
}

/* TAB-2 */
static void run_interpolated_table(const struct operation *op, const struct array *const *sources, struct array *target)
{
    int64_t lo = format_lo(op->sources[0]->format);
    int spacing = (int)integer_of(op, "spacing");
    size_t k;

    for (k = 0; k < target->count; k++) {
        int64_t place = sources[0]->values[k] - lo;
        const int64_t *nodes = op->constants[0].values + (place >> spacing);
        int64_t part = place % power_of_two(spacing);

        target->values[k] = nodes[0] + rounding_shift((nodes[1] - nodes[0]) * part, spacing);
    }
}

const struct kind interpolated_table_kind = {"interpolated_table", "spacing", "nodes", 1, check_interpolated_table,
                                             keep_size, run_interpolated_table};

/* PE-1 */
static int64_t sine(int64_t phase, const int64_t *nodes, int fraction)
{
    int64_t half = power_of_two(39);
    int64_t place = phase % half;
    int64_t index;
    int64_t value;

    if (place > half >> 1) {
        place = half - place;
    }
    index = place >> 28;
    value = nodes[index] * power_of_two(28);
    value += (nodes[index < 1024 ? index + 1 : 1024] - nodes[index]) * (place % power_of_two(28));
    return rounding_shift(phase < half ? value : -value, 52 - fraction);
}

/* A frame number is one unsigned value of at most `bits` bits, in one channel (PE-3, EMB-2). */
static void check_frame_number(const struct operation *op, int bits)
{
    struct format format = op->sources[0]->format;

    require(op->sources[0]->channels == 1, "RC-MODEL-TENSOR", "a frame number has one channel");
    require(!format.is_signed && format.bits <= bits, "RC-MODEL-RANGE", "a frame number is unsigned (PE-3, EMB-2)");
}

/* PE-3; the constants are increments and nodes. */
static void check_positional_encoding(const struct operation *op)
{
    const struct array *nodes = &op->constants[1];
    int64_t unit = power_of_two((int)integer_within(op, "fraction", 0, 14));
    int k;

    check_frame_number(op, 22);
    flag_of(op, "interleaved");
    require(op->constants[0].rank == 1 && (int64_t)op->constants[0].count * 2 == op->target->channels &&
                has_shape(nodes, 1, 1025, -1, -1, -1),
            "RC-MODEL-TENSOR", "increments or nodes are not as many as they should be (PE-1, PE-2)");
    require(lies_within(&op->constants[0], 0, power_of_two(40) - 1), "RC-MODEL-RANGE",
            "an increment is outside 0 .. 2^40 - 1 (PE-3)");
    for (k = 1; k < 1025; k++) {
        require(nodes->values[k - 1] <= nodes->values[k], "RC-MODEL-RANGE", "the nodes fall (PE-3)");
    }
    require(nodes->values[0] == 0 && nodes->values[1024] == power_of_two(24), "RC-MODEL-RANGE",
            "the nodes do not lead from 0 to 2^24 (PE-3)");
    require(format_holds(op->target->format, unit) && format_holds(op->target->format, -unit), "RC-MODEL-RANGE",
            "the target does not hold a sine (PE-3)");
}

/* The only value of a frame number, in a picture of one sample. */
static struct size size_of_encoding(const struct operation *op, struct size source)
{
    require_size(op, source.height == 1 && source.width == 1, "a frame number is one number");
    return source;
}

/* PE-2 */
static void run_positional_encoding(const struct operation *op, const struct array *const *sources,
                                    struct array *target)
{
    int64_t turn = power_of_two(40);
    int64_t count = (int64_t)op->constants[0].count;
    int in_turn = flag_of(op, "interleaved");
    int fraction = (int)integer_of(op, "fraction");
    int64_t k;

    for (k = 0; k < count; k++) {
        int64_t phase = sources[0]->values[0] * op->constants[0].values[k];
        const int64_t *nodes = op->constants[1].values;

        target->values[in_turn ? 2 * k : k] = sine(phase % turn, nodes, fraction);
        target->values[in_turn ? 2 * k + 1 : count + k] = sine((phase + turn / 4) % turn, nodes, fraction);
    }
}

const struct kind positional_encoding_kind = {
    "positional_encoding", "fraction interleaved", "increments nodes", 1, check_positional_encoding, size_of_encoding,
    run_positional_encoding};

/* EMB-2; the constant is the table, (T, C, H, W). */
static void check_embedding(const struct operation *op)
{
    const struct array *table = &op->constants[0];

    check_frame_number(op, 48);
    flag_of(op, "centred");
    require(has_shape(table, 4, -1, op->target->channels, -1, -1) && table->count > 0, "RC-MODEL-TENSOR",
            "the tensors have not the channels of the target");
    integer_within(op, "frames", table->shape[0], power_of_two(20));
    require(op->target->format.bits <= 16 && lies_in(table, op->target->format), "RC-MODEL-RANGE",
            "entries lie in a target of at most 16 bits (EMB-2)");
}

static struct size size_embedding(const struct operation *op, struct size source)
{
    struct size target;

    size_of_encoding(op, source);
    target.height = op->constants[0].shape[2];
    target.width = op->constants[0].shape[3];
    return target;
}

/* EMB-1 */
static void run_embedding(const struct operation *op, const struct array *const *sources, struct array *target)
{
    int64_t frames = integer_of(op, "frames");
    int64_t count = op->constants[0].shape[0];
    int64_t index = sources[0]->values[0];
    struct line_taps taps;
    const int64_t *early;
    const int64_t *late;
    size_t k;

    require(index < frames, "RC-RANGE", "a frame number is not below the number of frames (EMB-2)");
    taps = line_taps(2 * index * count + (flag_of(op, "centred") ? count - frames : 0), 2 * frames, count);
    early = op->constants[0].values + (size_t)taps.first * target->count;
    late = op->constants[0].values + (size_t)taps.second * target->count;
    for (k = 0; k < target->count; k++) {
        int64_t sum = (2 * frames - taps.part) * early[k] + taps.part * late[k];

        target->values[k] = rounding_division(sum, 2 * frames);
    }
}

const struct kind embedding_kind = {"embedding", "centred frames", "table", 1, check_embedding, size_embedding,
                                    run_embedding};
