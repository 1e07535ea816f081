/* An operation of a program, as its description and its constants give it (SPEC PROG-1, PROG-2, VEC-4). */
#ifndef OPERATION_H
#define OPERATION_H

#include "json.h"
#include "tensor.h"

struct declaration {
    const char *name;
    int64_t channels;
    struct format format;
};

struct size {
    int64_t height;
    int64_t width;
};

#define MOST_CONSTANTS 5

struct operation {
    const char *name;
    const struct kind *kind;
    const struct json *parameters;
    int names_formats; /* formats are texts, as in a case, and not objects, as in a model */
    size_t count;      /* of sources */
    const struct declaration **sources;
    const struct declaration *target;
    struct array constants[MOST_CONSTANTS]; /* in the order of the kind's names */
};

/* What an implementation of a kind consists of. */
struct kind {
    const char *name;
    const char *numbers;   /* keys of its parameters, separated by spaces */
    const char *constants; /* names of its constants, separated by spaces */
    size_t sources;        /* 0 for two or more */
    void (*check)(const struct operation *operation);
    struct size (*size)(const struct operation *operation, struct size source);
    void (*run)(const struct operation *operation, const struct array *const *sources, struct array *target);
};

/* The kind of a name, or NULL. */
const struct kind *kind_named(const char *name);

/* Parameters; a missing one or one of another type is rejected with RC-MODEL-SCHEMA. */
int64_t integer_of(const struct operation *operation, const char *key);
int64_t integer_within(const struct operation *operation, const char *key, int64_t lo, int64_t hi);
int flag_of(const struct operation *operation, const char *key);
const char *text_of(const struct operation *operation, const char *key);
struct format format_of(const struct operation *operation, const char *key);

/* The format of a model's description, an object of bits and sign (SPEC INT-1, MODEL-2). */
struct format format_from_json(const struct json *value);

/* Checks that many operations share. */
void require_channels(const struct operation *operation, int64_t source, int64_t target);
void require_same_channels(const struct operation *operation);
void require_same_format(const struct operation *operation);
void require_size(const struct operation *operation, int holds, const char *message); /* a size that can be computed */
void require_vector(const struct operation *operation, int constant, int64_t count);

/* The size of the source; of operations on each sample by itself. */
struct size keep_size(const struct operation *operation, struct size source);

/* The value at a place of a volume. */
static inline int64_t *at(const struct array *volume, int64_t c, int64_t y, int64_t x)
{
    return volume->values + (c * volume->shape[1] + y) * volume->shape[2] + x;
}

/* The number of samples in a plane. */
static inline int64_t plane_size(const struct array *volume)
{
    return volume->shape[1] * volume->shape[2];
}

#endif
