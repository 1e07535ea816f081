/* The adaptive binary coder, decoding (SPEC ABIN). */
#ifndef BINARY_CODER_H
#define BINARY_CODER_H

#include <stddef.h>
#include <stdint.h>

#include "files.h"

/* How likely a bit of one context is a one (ABIN-1). */
struct context {
    int64_t probability;
    int64_t count;
};

struct context new_context(void);

struct binary_decoder {
    struct bytes payload;
    size_t taken; /* bits of the payload */
    int64_t value;
    int64_t interval;
    int slowest; /* the rate of all contexts */
};

/* Takes the first bits (ABIN-5). */
struct binary_decoder begin_bits(struct bytes payload, int slowest);

/* The next bit with its context (ABIN-1, ABIN-3), or without one (ABIN-4). */
int decode_bit(struct binary_decoder *decoder, struct context *context);
int decode_even_bit(struct binary_decoder *decoder);

/* Checks the end (ABIN-5); gives the number of bytes that were taken. */
size_t end_bits(const struct binary_decoder *decoder);

#endif
