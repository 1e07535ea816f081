#include "entropy.h"

#include "arithmetic.h"
#include "memory.h"
#include "verdict.h"

#define PRECISION 16
#define LOWEST_STATE ((uint64_t)1 << 31)
#define DIGIT_BITS 4
#define MOST_DIGITS 5

/* CDF-1, of one row of `count` entries and its offset. */
static void check_row(const int64_t *row, int64_t count, int64_t offset)
{
    int64_t k;

    require(count >= 3 && row[0] == 0 && row[count - 1] == power_of_two(PRECISION), "RC-MODEL-TABLE",
            "a row does not lead from 0 to 65536 in three entries or more (CDF-1)");
    for (k = 1; k < count; k++) {
        require(row[k - 1] < row[k], "RC-MODEL-TABLE", "a row does not rise (CDF-1)");
    }
    require(offset >= -32768 && offset <= 32767 && offset + count - 3 <= 32767, "RC-MODEL-TABLE",
            "a regular symbol is not s16 (CDF-1)");
}

struct rows checked_rows(struct array values, struct array starts, struct array offsets)
{
    struct rows rows;
    int64_t k;

    require(values.rank == 1 && starts.rank == 1 && offsets.rank == 1 && offsets.count >= 1 &&
                starts.count == offsets.count + 1,
            "RC-MODEL-TABLE", "the rows have not as many starts and offsets as they need (HYP-5)");
    rows.values = values;
    rows.starts = starts;
    rows.offsets = offsets;
    rows.count = (int64_t)offsets.count;
    require(starts.values[0] == 0 && starts.values[rows.count] == (int64_t)values.count, "RC-MODEL-TABLE",
            "the rows are not all values (HYP-5)");
    for (k = 0; k < rows.count; k++) {
        int64_t begin = starts.values[k];
        int64_t end = starts.values[k + 1];

        require(begin >= 0 && begin <= end && end <= (int64_t)values.count, "RC-MODEL-TABLE",
                "the starts fall (HYP-5)");
        check_row(values.values + begin, end - begin, offsets.values[k]);
    }
    return rows;
}

/* The first of the narrowest intervals wider than one, or -1. */
static int64_t narrowest(const int64_t *row, int64_t count)
{
    int64_t found = -1;
    int64_t k;

    for (k = 0; k < count; k++) {
        int64_t width = row[k + 1] - row[k];

        if (width > 1 && (found < 0 || width < row[found + 1] - row[found])) {
            found = k;
        }
    }
    return found;
}

/* Gives the empty interval i a width of one (CDF-2). */
static void widen(int64_t *row, int64_t count, int64_t i)
{
    int64_t j = narrowest(row, count);
    int64_t k;

    require(j >= 0, "RC-RANGE", "there are more intervals than widths (CDF-2)");
    for (k = j + 1; k <= i; k++) {
        row[k]--;
    }
    for (k = i + 1; k <= j; k++) {
        row[k]++;
    }
}

struct array row_of_counts(const struct array *counts)
{
    int64_t count = (int64_t)counts->count;
    struct array row;
    int64_t total = 0;
    int64_t sum = 0;
    int64_t i;

    require(counts->rank == 1 && count >= 2 && count <= power_of_two(PRECISION), "RC-SHAPE",
            "a row has 2 to 65536 intervals");
    require(lies_within(counts, 0, UINT32_MAX), "RC-RANGE", "a count is negative or too large");
    for (i = 0; i < count; i++) {
        total += counts->values[i];
    }
    require(total > 0 && total <= UINT32_MAX, "RC-RANGE", "the sum of counts is not 1 .. 2^32 - 1 (CDF-2)");
    row = new_vector((size_t)count + 1);
    for (i = 0; i < count; i++) {
        sum += power_of_two(PRECISION) * counts->values[i] / total;
        row.values[i + 1] = sum;
    }
    row.values[count] = power_of_two(PRECISION);
    for (i = 0; i < count; i++) {
        if (row.values[i] == row.values[i + 1]) {
            widen(row.values, count, i);
        }
    }
    return row;
}

static uint64_t next_word(struct decoder *decoder)
{
    const uint8_t *at = decoder->payload.at + decoder->taken;

    require(decoder->payload.count - decoder->taken >= 4, "RC-STREAM-TRUNCATED", "a payload ends too early (RANS-2)");
    decoder->taken += 4;
    return (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24;
}

struct decoder begin_decoding(struct bytes payload)
{
    struct decoder decoder;

    require(payload.count % 4 == 0, "RC-STREAM-TRUNCATED", "a payload is no whole number of words (RANS-2)");
    decoder.payload = payload;
    decoder.taken = 0;
    decoder.state = next_word(&decoder);
    decoder.state |= next_word(&decoder) << 32;
    require(decoder.state >= LOWEST_STATE && decoder.state <= INT64_MAX, "RC-STREAM-RANS",
            "the first state is not 2^31 .. 2^63 - 1 (RANS-2)");
    return decoder;
}

static void refill(struct decoder *decoder)
{
    if (decoder->state < LOWEST_STATE) {
        decoder->state = decoder->state << 32 | next_word(decoder);
    }
}

static int64_t raw_digit(struct decoder *decoder)
{
    int64_t digit = (int64_t)(decoder->state & ((1 << DIGIT_BITS) - 1));

    decoder->state >>= DIGIT_BITS;
    refill(decoder);
    return digit;
}

/* The value that an escape stands for; there are `most` regular ones (RANS-1, RANS-2). */
static int64_t decode_escape(struct decoder *decoder, int64_t most)
{
    int64_t digits = raw_digit(decoder);
    int64_t digit = 0;
    int64_t raw = 0;
    int64_t k;

    require(digits <= MOST_DIGITS, "RC-STREAM-SYMBOL", "an escape has more than five digits (RANS-2)");
    for (k = 0; k < digits; k++) {
        digit = raw_digit(decoder);
        raw += digit * power_of_two((int)k * DIGIT_BITS);
    }
    require(digits == 0 || digit != 0, "RC-STREAM-SYMBOL", "the last digit of an escape is zero (RANS-2)");
    return raw % 2 == 1 ? -(raw + 1) / 2 : raw / 2 + most;
}

/* The interval of a row that holds a frequency. */
static int64_t interval_of(const int64_t *row, int64_t count, int64_t frequency)
{
    int64_t low = 0;
    int64_t high = count;

    while (high - low > 1) {
        int64_t middle = (low + high) / 2;

        if (row[middle] <= frequency) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

int64_t decode_symbol(struct decoder *decoder, const struct rows *rows, int64_t index)
{
    const int64_t *row = rows->values.values + rows->starts.values[index];
    int64_t intervals = rows->starts.values[index + 1] - rows->starts.values[index] - 1;
    int64_t frequency = (int64_t)(decoder->state & ((1 << PRECISION) - 1));
    int64_t value = interval_of(row, intervals, frequency);
    uint64_t width = (uint64_t)(row[value + 1] - row[value]);

    decoder->state = width * (decoder->state >> PRECISION) + (uint64_t)(frequency - row[value]);
    refill(decoder);
    if (value == intervals - 1) {
        value = decode_escape(decoder, intervals - 1);
    }
    value += rows->offsets.values[index];
    require(value >= -32768 && value <= 32767, "RC-STREAM-SYMBOL", "a symbol is not s16 (RANS-2)");
    return value;
}

void end_decoding(const struct decoder *decoder)
{
    require(decoder->state == LOWEST_STATE, "RC-STREAM-RANS", "the last state is not 2^31 (RANS-3)");
    require(decoder->taken == decoder->payload.count, "RC-STREAM-TRAILING", "words follow the last symbol (RANS-3)");
}

/* One step of the encoder: an interval of 2^bits. */
struct step {
    uint64_t start;
    uint64_t width;
    int bits;
};

struct encoder {
    struct step *steps; /* in the order of decoding */
    size_t count;
    uint64_t *words; /* the last one first */
    size_t taken;
    uint64_t state;
};

static void add_step(struct encoder *encoder, int64_t start, int64_t width, int bits)
{
    struct step *step = &encoder->steps[encoder->count++];

    step->start = (uint64_t)start;
    step->width = (uint64_t)width;
    step->bits = bits;
}

/* The digits of an escape; the value is no regular one (RANS-1). */
static void add_escape(struct encoder *encoder, int64_t value, int64_t most)
{
    int64_t raw = value < 0 ? -2 * value - 1 : 2 * (value - most);
    int64_t digits = 0;
    int64_t k;

    while (raw >> digits * DIGIT_BITS > 0) {
        digits++;
    }
    add_step(encoder, digits, 1, DIGIT_BITS);
    for (k = 0; k < digits; k++) {
        add_step(encoder, raw >> k * DIGIT_BITS & ((1 << DIGIT_BITS) - 1), 1, DIGIT_BITS);
    }
}

static void add_symbol(struct encoder *encoder, const struct rows *rows, int64_t index, int64_t symbol)
{
    const int64_t *row = rows->values.values + rows->starts.values[index];
    int64_t most = rows->starts.values[index + 1] - rows->starts.values[index] - 2;
    int64_t value = symbol - rows->offsets.values[index];
    int64_t interval = value < 0 || value >= most ? most : value;

    add_step(encoder, row[interval], row[interval + 1] - row[interval], PRECISION);
    if (interval == most) {
        add_escape(encoder, value, most);
    }
}

/* Undoes one step of the decoder. */
static void take_step(struct encoder *encoder, struct step step)
{
    if (encoder->state >= (LOWEST_STATE << 32 >> step.bits) * step.width) {
        encoder->words[encoder->taken++] = encoder->state & UINT32_MAX;
        encoder->state >>= 32;
    }
    encoder->state = (encoder->state / step.width << step.bits) + encoder->state % step.width + step.start;
}

/* The state and the words in the order of decoding, as bytes. */
static struct array payload_of(struct encoder *encoder)
{
    struct array payload;
    size_t k;

    encoder->words[encoder->taken++] = encoder->state >> 32;
    encoder->words[encoder->taken++] = encoder->state & UINT32_MAX;
    payload = new_vector(4 * encoder->taken);
    for (k = 0; k < payload.count; k++) {
        payload.values[k] = (int64_t)(encoder->words[encoder->taken - 1 - k / 4] >> 8 * (k % 4) & 0xFF);
    }
    return payload;
}

struct array encode_symbols(const struct array *symbols, const struct array *indexes, const struct rows *rows)
{
    size_t room = symbols->count * (2 + MOST_DIGITS) + 2;
    struct encoder encoder;
    size_t k;

    encoder.steps = allocate(room, sizeof *encoder.steps);
    encoder.words = allocate(room, sizeof *encoder.words);
    encoder.count = 0;
    encoder.taken = 0;
    encoder.state = LOWEST_STATE;
    for (k = 0; k < symbols->count; k++) {
        add_symbol(&encoder, rows, indexes->values[k], symbols->values[k]);
    }
    while (encoder.count > 0) {
        take_step(&encoder, encoder.steps[--encoder.count]);
    }
    return payload_of(&encoder);
}
