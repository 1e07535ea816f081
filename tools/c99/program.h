/* Programs: lists of operations, checked whole before they run (SPEC section 7). */
#ifndef PROGRAM_H
#define PROGRAM_H

#include "operation.h"

struct program {
    size_t inputs;  /* the first of the tensors */
    size_t tensors; /* one for each input and each operation */
    size_t operations;
    struct declaration *tensor;
    struct operation *operation;
};

/* Gives the constant of an operation, and rejects with RC-MODEL-TENSOR where there is none. */
typedef struct array (*constant_source)(const void *context, const char *operation, const char *constant);

/* Fills the constants of an operation whose kind is set. */
void find_constants(struct operation *operation, constant_source source, const void *context);

/* A program from its description (MODEL-2), checked (PROG-2, PROG-3, PROG-5). */
struct program program_from_json(const struct json *description, constant_source source, const void *context);

/* Checks that the operation reads as many tensors as its kind says, then all of its clauses. */
void check_operation(const struct operation *operation);

/* Runs one operation on values that lie in its sources' formats. */
struct array run_operation(const struct operation *operation, const struct array *const *sources);

/* The height and width of every tensor for those of the inputs. */
void propagate_sizes(const struct program *program, struct size *sizes);

/* Runs a program; the first `inputs` of the values are given, the others filled in (PROG-4). */
void run_program(const struct program *program, struct array *values);

/* The only tensor that no operation reads (PROG-5); rejects with RC-MODEL-SCHEMA if there are more. */
size_t only_output(const struct program *program);

#endif
