#include "binary_coder.h"

#include "arithmetic.h"
#include "verdict.h"

#define ONE 65535
#define EVEN 32768
#define FIRST_INTERVAL 510
#define LEAST_INTERVAL 256
#define FIRST_BITS 9

struct context new_context(void)
{
    struct context context;

    context.probability = EVEN;
    context.count = 0;
    return context;
}

/* ABIN-1 */
static void adapt(struct context *context, int slowest, int bit)
{
    int64_t most = power_of_two(slowest - 1) - 1;
    int shift = 2;

    while (shift < slowest && context->count + 1 >= power_of_two(shift)) {
        shift++;
    }
    context->probability += floor_shift((bit ? ONE : 0) - context->probability, shift);
    context->count = context->count + 1 < most ? context->count + 1 : most;
}

/* ABIN-2 */
static int64_t rare_width(int64_t probability, int64_t interval)
{
    int64_t rare = probability < EVEN ? probability : ONE - probability;
    int64_t width = (rare >> 6) * interval >> 10;

    return width < 2 ? 2 : width;
}

/* The bits of the bytes, the highest first (ABIN-5). */
static int64_t next_bit(struct binary_decoder *decoder)
{
    size_t place = decoder->taken;

    require(place / 8 < decoder->payload.count, "RC-STREAM-TRUNCATED", "a bit beyond the end is taken (ABIN-5)");
    decoder->taken++;
    return decoder->payload.at[place / 8] >> (7 - place % 8) & 1;
}

struct binary_decoder begin_bits(struct bytes payload, int slowest)
{
    struct binary_decoder decoder;
    int k;

    decoder.payload = payload;
    decoder.taken = 0;
    decoder.value = 0;
    decoder.interval = FIRST_INTERVAL;
    decoder.slowest = slowest;
    for (k = 0; k < FIRST_BITS; k++) {
        decoder.value = 2 * decoder.value + next_bit(&decoder);
    }
    require(decoder.value < FIRST_INTERVAL, "RC-STREAM-WEIGHTS", "the first value is not below the interval (ABIN-5)");
    return decoder;
}

int decode_bit(struct binary_decoder *decoder, struct context *context)
{
    int likely = context->probability >= EVEN;
    int64_t rare = rare_width(context->probability, decoder->interval);
    int64_t rest = decoder->interval - rare;
    int bit = decoder->value < rest ? likely : !likely;

    if (decoder->value < rest) {
        decoder->interval = rest;
    } else {
        decoder->value -= rest;
        decoder->interval = rare;
    }
    while (decoder->interval < LEAST_INTERVAL) {
        decoder->interval *= 2;
        decoder->value = 2 * decoder->value + next_bit(decoder);
    }
    adapt(context, decoder->slowest, bit);
    return bit;
}

int decode_even_bit(struct binary_decoder *decoder)
{
    int bit;

    decoder->value = 2 * decoder->value + next_bit(decoder);
    bit = decoder->value >= decoder->interval;
    if (bit) {
        decoder->value -= decoder->interval;
    }
    return bit;
}

size_t end_bits(const struct binary_decoder *decoder)
{
    size_t bytes = (decoder->taken + 7) / 8;
    unsigned untaken = (unsigned)(8 * bytes - decoder->taken);

    require(decoder->value == 0, "RC-STREAM-WEIGHTS", "a value is left after the last bit (ABIN-5)");
    require((decoder->payload.at[bytes - 1] & ((1U << untaken) - 1)) == 0, "RC-STREAM-WEIGHTS",
            "a bit of the last byte that is not taken is one (ABIN-5)");
    return bytes;
}
