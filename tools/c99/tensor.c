#include "tensor.h"

#include <string.h>

#include "arithmetic.h"
#include "memory.h"
#include "verdict.h"

int64_t format_lo(struct format format)
{
    return format.is_signed ? -power_of_two(format.bits - 1) : 0;
}

int64_t format_hi(struct format format)
{
    return power_of_two(format.is_signed ? format.bits - 1 : format.bits) - 1;
}

uint64_t format_magnitude(struct format format)
{
    return larger(magnitude(format_lo(format)), magnitude(format_hi(format)));
}

int format_holds(struct format format, int64_t value)
{
    return format_lo(format) <= value && value <= format_hi(format);
}

int same_format(struct format a, struct format b)
{
    return a.bits == b.bits && a.is_signed == b.is_signed;
}

struct format format_named(const char *text)
{
    struct format format = {0, 0};
    size_t length = strlen(text);
    int bits = 0;
    size_t k;

    if ((text[0] != 's' && text[0] != 'u') || length < 2 || length > 3 || text[1] == '0') {
        return format;
    }
    for (k = 1; k < length; k++) {
        if (text[k] < '0' || text[k] > '9') {
            return format;
        }
        bits = 10 * bits + text[k] - '0';
    }
    format.bits = bits <= 48 ? bits : 0;
    format.is_signed = text[0] == 's';
    return format;
}

struct array new_array(int rank, const int64_t *shape)
{
    struct array array;
    int axis;

    memset(&array, 0, sizeof array);
    array.rank = rank;
    array.count = 1;
    for (axis = 0; axis < rank; axis++) {
        uint64_t side = (uint64_t)shape[axis];

        if (shape[axis] < 0 || (side > 0 && array.count > MEMORY_LIMIT / side)) {
            broken("an array is too large");
        }
        array.shape[axis] = shape[axis];
        array.count *= (size_t)side;
    }
    array.values = allocate(array.count, sizeof *array.values);
    return array;
}

struct array new_volume(int64_t channels, int64_t height, int64_t width)
{
    int64_t shape[3];

    shape[0] = channels;
    shape[1] = height;
    shape[2] = width;
    return new_array(3, shape);
}

struct array new_vector(size_t count)
{
    int64_t side;

    if (count > MEMORY_LIMIT) {
        broken("an array is too large");
    }
    side = (int64_t)count;
    return new_array(1, &side);
}

int has_shape(const struct array *array, int rank, int64_t a, int64_t b, int64_t c, int64_t d)
{
    int64_t wanted[MOST_AXES];
    int axis;

    wanted[0] = a;
    wanted[1] = b;
    wanted[2] = c;
    wanted[3] = d;
    for (axis = 0; axis < rank; axis++) {
        if (array->rank == rank && wanted[axis] >= 0 && array->shape[axis] != wanted[axis]) {
            return 0;
        }
    }
    return array->rank == rank;
}

int lies_within(const struct array *array, int64_t lo, int64_t hi)
{
    size_t k;

    for (k = 0; k < array->count; k++) {
        if (array->values[k] < lo || array->values[k] > hi) {
            return 0;
        }
    }
    return 1;
}

int lies_in(const struct array *array, struct format format)
{
    return lies_within(array, format_lo(format), format_hi(format));
}

struct storage storage_of(struct format format)
{
    struct storage storage;

    storage.bytes = format.bits <= 8 ? 1 : format.bits <= 16 ? 2 : format.bits <= 32 ? 4 : 8;
    storage.is_signed = format.is_signed || format.bits > 32;
    return storage;
}

/* One word; an unsigned one has at most four bytes. */
static int64_t word_from_bytes(const uint8_t *at, struct storage storage)
{
    uint64_t word = 0;
    size_t k;

    for (k = 0; k < storage.bytes; k++) {
        word |= (uint64_t)at[k] << 8 * k;
    }
    if (storage.is_signed && at[storage.bytes - 1] >= 0x80) {
        uint64_t ones = storage.bytes == 8 ? 0 : UINT64_MAX << 8 * storage.bytes;

        return -(int64_t)(UINT64_MAX - (word | ones)) - 1;
    }
    return (int64_t)word;
}

struct array array_from_bytes(struct bytes bytes, struct storage storage, int rank, const int64_t *shape)
{
    struct array array = new_array(rank, shape);
    size_t k;

    if (bytes.count != array.count * storage.bytes) {
        broken("a file has not the length of its shape");
    }
    for (k = 0; k < array.count; k++) {
        array.values[k] = word_from_bytes(bytes.at + k * storage.bytes, storage);
    }
    return array;
}

struct bytes bytes_of_array(const struct array *array, struct storage storage)
{
    uint8_t *content = allocate(array->count * storage.bytes + 1, 1);
    struct bytes bytes;
    size_t k;
    size_t n;

    for (k = 0; k < array->count; k++) {
        for (n = 0; n < storage.bytes; n++) {
            content[k * storage.bytes + n] = (uint8_t)((uint64_t)array->values[k] >> 8 * n);
        }
    }
    bytes.at = content;
    bytes.count = array->count * storage.bytes;
    return bytes;
}
