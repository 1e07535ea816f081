/* The entropy coder of symbols (SPEC CDF, RANS). */
#ifndef ENTROPY_H
#define ENTROPY_H

#include <stddef.h>
#include <stdint.h>

#include "files.h"
#include "tensor.h"

/* Rows of cumulative frequencies, one after another (CDF-1, HYP-5). */
struct rows {
    struct array values;
    struct array starts;  /* one more than there are rows */
    struct array offsets; /* one for each row */
    int64_t count;
};

/* Checks CDF-1; rejects with RC-MODEL-TABLE. */
struct rows checked_rows(struct array values, struct array starts, struct array offsets);

/* The row of counts, the last one the escape's (CDF-2). */
struct array row_of_counts(const struct array *counts);

struct decoder {
    struct bytes payload;
    size_t taken;
    uint64_t state;
};

/* Begins, decodes one symbol with a row, and ends (RANS-2, RANS-3). */
struct decoder begin_decoding(struct bytes payload);
int64_t decode_symbol(struct decoder *decoder, const struct rows *rows, int64_t index);
void end_decoding(const struct decoder *decoder);

/* The payload of symbols, each with the row that its index names (RANS-1), a byte in each value. */
struct array encode_symbols(const struct array *symbols, const struct array *indexes, const struct rows *rows);

#endif
