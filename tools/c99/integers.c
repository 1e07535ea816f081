#include "integers.h"

#include "arithmetic.h"
#include "binary_coder.h"
#include "entropy.h"
#include "memory.h"
#include "verdict.h"

#define WEIGHTS "RC-STREAM-WEIGHTS"
#define SYMBOL "RC-STREAM-SYMBOL"
#define MOST_INTEGERS ((uint64_t)1 << 25) /* INR-10 */
#define MOST_DIGITS 16
#define NEAR_CLASSES 12
#define SIGN_CLASSES 9
#define DIFFERENCES 7 /* the mode */
#define MOST_ENTRIES 4096

/* All contexts of a tensor (WC-5), and what the integer at hand is. */
struct integer_decoder {
    struct binary_decoder bits;
    int digits; /* of the largest magnitude */
    struct context zero[NEAR_CLASSES][2];
    struct context sign[SIGN_CLASSES];
    struct context fewer[NEAR_CLASSES][MOST_DIGITS + 1];
    struct context fewer_than_two[NEAR_CLASSES][2];
    struct context second[MOST_DIGITS + 1];
    struct context third[MOST_DIGITS + 1][2];
};

/* What the contexts of an integer depend on (WC-4). */
struct surroundings {
    int near;
    int sign;
    int odd;
};

static void clear(struct context *context, size_t count)
{
    size_t k;

    for (k = 0; k < count; k++) {
        context[k] = new_context();
    }
}

static struct integer_decoder *begin_integers(struct bytes payload, int digits, int slowest)
{
    struct integer_decoder *decoder = allocate(1, sizeof *decoder);

    decoder->bits = begin_bits(payload, slowest);
    decoder->digits = digits;
    clear(decoder->zero[0], NEAR_CLASSES * 2);
    clear(decoder->sign, SIGN_CLASSES);
    clear(decoder->fewer[0], NEAR_CLASSES * (MOST_DIGITS + 1));
    clear(decoder->fewer_than_two[0], NEAR_CLASSES * 2);
    clear(decoder->second, MOST_DIGITS + 1);
    clear(decoder->third[0], (MOST_DIGITS + 1) * 2);
    return decoder;
}

/* WC-3 */
static int digits_of(int64_t value)
{
    int count = 0;

    while (value >> count > 0) {
        count++;
    }
    return count;
}

/* The number of digits of an integer that is not zero. */
static int decode_digits(struct integer_decoder *decoder, struct surroundings around)
{
    int n;

    for (n = decoder->digits; n >= 2; n--) {
        struct context *context =
            n == 2 ? &decoder->fewer_than_two[around.near][around.odd] : &decoder->fewer[around.near][n];

        if (!decode_bit(&decoder->bits, context)) {
            break;
        }
    }
    return n;
}

/* A magnitude of so many digits. */
static int64_t decode_magnitude(struct integer_decoder *decoder, int digits)
{
    int64_t value = 1;
    int k;

    if (digits >= 2) {
        value = 2 + decode_bit(&decoder->bits, &decoder->second[digits]);
    }
    if (digits >= 3) {
        int64_t before = value % 2;

        value = 2 * value + decode_bit(&decoder->bits, &decoder->third[digits][before]);
    }
    for (k = 3; k < digits; k++) {
        value = 2 * value + decode_even_bit(&decoder->bits);
    }
    return value;
}

/* WC-5 */
static int64_t decode_integer(struct integer_decoder *decoder, struct surroundings around)
{
    int64_t value;
    int negative;

    if (!decode_bit(&decoder->bits, &decoder->zero[around.near][around.odd])) {
        return 0;
    }
    negative = decode_bit(&decoder->bits, &decoder->sign[around.sign]);
    value = decode_magnitude(decoder, decode_digits(decoder, around));
    require(value <= 32767 + negative, SYMBOL, "an integer is not s16 (WC-5)");
    return negative ? -value : value;
}

/* WC-2 */
static int sign_class(int64_t value)
{
    return value == 0 ? 0 : value < 0 ? 1 : 2;
}

/* WC-3 */
static int magnitude_class(int64_t left, int64_t inner, int64_t outer)
{
    int64_t total = (int64_t)(magnitude(left) + magnitude(inner) + 2 * magnitude(outer));
    int digits = digits_of(total + (total >> 1));

    return digits < NEAR_CLASSES - 1 ? digits : NEAR_CLASSES - 1;
}

/* WC-2, WC-4, of the integer at a place; `odd` is left zero. */
static struct surroundings surroundings_at(const struct array *integers, size_t place, int neighbours)
{
    size_t taps = (size_t)integers->shape[2];
    size_t row = (size_t)integers->shape[1] * taps;
    const int64_t *at = integers->values + place;
    int64_t left = place % row > 0 ? at[-1] : 0;
    struct surroundings around = {0, 0, 0};

    around.sign = sign_class(left);
    if (neighbours) {
        int64_t inner = place % row >= taps ? *(at - taps) : 0;
        int64_t outer = place >= row ? *(at - row) : 0;

        around.near = magnitude_class(left, inner, outer);
        around.sign += 3 * sign_class(outer);
    }
    return around;
}

/* DQ-1 */
static int trellis_state(int state, int64_t level)
{
    static const int trellis[8][2] = {{0, 2}, {7, 5}, {1, 3}, {6, 4}, {2, 0}, {5, 7}, {3, 1}, {4, 6}};

    return trellis[state][level % 2 != 0];
}

/* Modes 1 to 6 (WC-6). Gives the bytes that the payload has taken. */
static size_t decode_adaptively(struct bytes payload, int digits, int mode, int dependent, struct array *integers)
{
    struct integer_decoder *decoder = begin_integers(payload, digits, 7 + (mode - 1) % 3);
    int state = 0;
    size_t k;

    for (k = 0; k < integers->count; k++) {
        struct surroundings around = surroundings_at(integers, k, mode >= 4);

        around.odd = dependent && state % 2 == 1;
        integers->values[k] = decode_integer(decoder, around);
        state = trellis_state(state, integers->values[k]);
    }
    return end_bits(&decoder->bits);
}

static struct bytes bytes_behind(struct bytes bytes, size_t count)
{
    bytes.at += count;
    bytes.count -= count;
    return bytes;
}

/* The beginning of a table (WC-7). */
struct table_header {
    int64_t smallest;
    int64_t largest;
    int fraction;
    int digits;
    size_t bytes;
};

/* The lowest bits of a number in two's complement. */
static int64_t signed_bits(uint64_t number, int bits)
{
    int64_t value = (int64_t)(number & ((uint64_t)power_of_two(bits) - 1));

    return value >= power_of_two(bits - 1) ? value - power_of_two(bits) : value;
}

static void check_header(const struct table_header *header, int digits)
{
    int64_t ends = (int64_t)larger(magnitude(header->smallest), magnitude(header->largest));

    require(digits_of(ends) == digits, WEIGHTS, "the ends of a table have not the digits that its payload says (WC-8)");
    require(header->smallest >= -32768 && header->largest <= 32767, WEIGHTS, "a symbol of a table is not s16 (CDF-1)");
    require(header->smallest <= header->largest && header->largest - header->smallest < MOST_ENTRIES, WEIGHTS,
            "a table has not 1 to 4096 integers (WC-8)");
    require(header->digits > 0, WEIGHTS, "the first level of a table is 0 (WC-8)");
}

static struct table_header read_header(struct bytes payload, int digits)
{
    int bits = 2 * digits + 8;
    struct table_header header;
    uint64_t number = 0;
    size_t k;

    header.bytes = (size_t)(bits + 7) / 8;
    require(payload.count >= header.bytes, "RC-STREAM-TRUNCATED", "a payload ends in its table (WC-7)");
    for (k = 0; k < header.bytes; k++) {
        number = number << 8 | payload.at[k];
    }
    require(number >> bits == 0, WEIGHTS, "a number of a table has surplus bits (WC-7)");
    header.digits = (int)(number & 15);
    header.fraction = (int)(number >> 4 & 3);
    header.largest = signed_bits(number >> 6, digits + 1);
    header.smallest = signed_bits(number >> (digits + 7), digits + 1);
    check_header(&header, digits);
    return header;
}

/* WC-7 */
static int64_t table_frequency(int64_t level, int fraction)
{
    static const int64_t octave[8] = {64, 70, 76, 83, 91, 99, 108, 117};
    int64_t eighths = (level - 1) * power_of_two(3 - fraction);

    return level == 0 ? 0 : octave[eighths % 8] * power_of_two((int)(eighths / 8));
}

/* The levels of a table from their steps (WC-7, WC-8). Gives the bytes that the steps have taken. */
static size_t decode_levels(struct bytes payload, const struct table_header *header, struct array *levels)
{
    struct integer_decoder *decoder = begin_integers(payload, header->digits, 7);
    int64_t most = 1 + 25 * power_of_two(header->fraction);
    struct surroundings around = {0, 0, 0};
    uint64_t largest_step = 0;
    int64_t level = 0;
    size_t k;

    for (k = 0; k < levels->count; k++) {
        int64_t step = decode_integer(decoder, around);

        around.sign = sign_class(step);
        largest_step = larger(largest_step, magnitude(step));
        level += step;
        require(level >= 0 && level <= most, WEIGHTS, "a level of a table is outside its range (WC-8)");
        levels->values[k] = level;
    }
    require(levels->values[0] != 0 && level != 0, WEIGHTS, "the first or the last level of a table is 0 (WC-8)");
    require(digits_of((int64_t)largest_step) == header->digits, WEIGHTS,
            "the largest step of a table has other digits (WC-8)");
    return end_bits(&decoder->bits);
}

/* The row of the levels and of an escape without a count (WC-8). */
static struct rows rows_of_levels(const struct array *levels, const struct table_header *header)
{
    struct array counts = new_vector(levels->count + 1);
    struct array starts = new_vector(2);
    struct array offsets = new_vector(1);
    int64_t total = 0;
    size_t k;

    for (k = 0; k < levels->count; k++) {
        counts.values[k] = table_frequency(levels->values[k], header->fraction);
        total += counts.values[k];
        require(total <= UINT32_MAX, WEIGHTS, "the sum of the frequencies of a table is not below 2^32 (WC-8)");
    }
    starts.values[1] = (int64_t)counts.count + 1;
    offsets.values[0] = header->smallest;
    return checked_rows(row_of_counts(&counts), starts, offsets);
}

/* Mode 0 (WC-7) */
static void decode_with_table(struct bytes payload, int digits, struct array *integers)
{
    struct table_header header = read_header(payload, digits);
    struct array levels = new_vector((size_t)(header.largest - header.smallest + 1));
    struct decoder decoder;
    struct rows rows;
    size_t k;

    payload = bytes_behind(payload, header.bytes);
    payload = bytes_behind(payload, decode_levels(payload, &header, &levels));
    rows = rows_of_levels(&levels, &header);
    decoder = begin_decoding(payload);
    for (k = 0; k < integers->count; k++) {
        int64_t value = decode_symbol(&decoder, &rows, 0);

        require(value >= header.smallest && value <= header.largest, SYMBOL, "an integer is coded as an escape (WC-8)");
        integers->values[k] = value;
    }
    end_decoding(&decoder);
}

/* The integers from the differences between each and its outer neighbour (WC-6). */
static void add_differences(struct array *integers)
{
    size_t row = (size_t)(integers->shape[1] * integers->shape[2]);
    size_t k;

    for (k = row; k < integers->count; k++) {
        integers->values[k] += integers->values[k - row];
        require(integers->values[k] >= -32768 && integers->values[k] <= 32767, SYMBOL, "an integer is not s16 (WC-5)");
    }
}

/* WC-1: the largest magnitude has the digits that the first byte says. */
static void require_digits(const struct array *integers, int digits)
{
    uint64_t largest = 0;
    size_t k;

    for (k = 0; k < integers->count; k++) {
        largest = larger(largest, magnitude(integers->values[k]));
    }
    require(digits_of((int64_t)largest) == digits, WEIGHTS, "the largest integer has other digits (WC-5)");
}

/* A payload behind its first byte. */
static void decode_body(struct bytes payload, int digits, int mode, int dependent, struct array *integers)
{
    if (mode == 0) {
        decode_with_table(payload, digits, integers);
    } else {
        size_t taken = decode_adaptively(payload, digits, mode, dependent, integers);

        require(taken == payload.count, "RC-STREAM-TRAILING", "bytes follow the integers (WC-6)");
    }
    require_digits(integers, digits);
}

/* A payload from its first byte on (WC-1); one of differences is not `nested` in another (WC-6). */
static void decode_payload(struct bytes payload, int dependent, int nested, struct array *integers)
{
    int digits;
    int mode;

    require(payload.count >= 1, "RC-STREAM-TRUNCATED", "a payload has no first byte (WC-1)");
    digits = payload.at[0] & 31;
    mode = payload.at[0] >> 5;
    payload = bytes_behind(payload, 1);
    require(digits <= MOST_DIGITS && (digits > 0 || mode == 0) && (mode != DIFFERENCES || !nested), WEIGHTS,
            "a first byte that no payload has (WC-1, WC-6)");
    if (digits == 0) {
        require(payload.count == 0, "RC-STREAM-TRAILING", "bytes follow a tensor of zeros (WC-1)");
        return;
    }
    if (mode == DIFFERENCES) {
        decode_payload(payload, 0, 1, integers);
        add_differences(integers);
        require_digits(integers, digits);
        return;
    }
    decode_body(payload, digits, mode, dependent, integers);
}

struct array decode_integers(struct bytes payload, const int64_t shape[3], int dependent)
{
    uint64_t count = 1;
    struct array integers;
    int axis;

    for (axis = 0; axis < 3; axis++) {
        require(shape[axis] >= 1, "RC-SHAPE", "a tensor of integers has no entries");
        count = bounded_product(count, (uint64_t)shape[axis]);
    }
    if (count > MOST_INTEGERS) {
        broken("more integers than this decoder takes");
    }
    integers = new_array(3, shape);
    decode_payload(payload, dependent, 0, &integers);
    return integers;
}
