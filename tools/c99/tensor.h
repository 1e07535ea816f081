/* Integer formats and arrays of integers (SPEC INT-1, VEC-1). */
#ifndef TENSOR_H
#define TENSOR_H

#include <stddef.h>
#include <stdint.h>

#include "files.h"

struct format {
    int bits;
    int is_signed;
};

int64_t format_lo(struct format format);
int64_t format_hi(struct format format);
uint64_t format_magnitude(struct format format); /* the largest magnitude of its values */
int format_holds(struct format format, int64_t value);
int same_format(struct format a, struct format b);

/* The format that a text such as s8 names; its bits are 0 if it names none. */
struct format format_named(const char *text);

#define MOST_AXES 4

/* Integers in row-major order. */
struct array {
    int rank;
    int64_t shape[MOST_AXES];
    size_t count;
    int64_t *values;
};

/* An array of zeros; the case is broken if it is too large. */
struct array new_array(int rank, const int64_t *shape);
struct array new_volume(int64_t channels, int64_t height, int64_t width);
struct array new_vector(size_t count);

/* Whether an array has this rank and these sides; a side of -1 stands for any. */
int has_shape(const struct array *array, int rank, int64_t a, int64_t b, int64_t c, int64_t d);

/* Whether all values lie in lo .. hi. */
int lies_within(const struct array *array, int64_t lo, int64_t hi);
int lies_in(const struct array *array, struct format format);

/* A stored type: bytes of a word, 1, 2, 4 or 8, and its sign. */
struct storage {
    size_t bytes;
    int is_signed;
};

/* The narrowest type that holds a format; of more than 32 bits always the signed one of 64. */
struct storage storage_of(struct format format);

/* Little-endian words as an array. The number of bytes is that of the shape. */
struct array array_from_bytes(struct bytes bytes, struct storage storage, int rank, const int64_t *shape);

/* The bytes of an array. */
struct bytes bytes_of_array(const struct array *array, struct storage storage);

#endif
