/* Functions of the specification that no operation shows by itself (SPEC VEC-4). */
#ifndef FUNCTIONS_H
#define FUNCTIONS_H

#include "tensor.h"

/* A function of a row of integers. */
struct function {
    const char *name;
    size_t arguments;
    size_t values;
    struct format format; /* of the values */
    void (*compute)(const int64_t *argument, int64_t *value);
};

/* The function of a name, or NULL. */
const struct function *function_named(const char *name);

/* The values of a function, (rows, values); rejects arguments outside its domain with RC-RANGE. */
struct array values_of(const struct function *function, const struct array *arguments);

#endif
