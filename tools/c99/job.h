/* The files of a case: its description and inputs, and the results (SPEC VEC-1, VEC-4). */
#ifndef JOB_H
#define JOB_H

#include "case.h"
#include "json.h"
#include "tensor.h"

#define LONGEST_FILE ((size_t)1 << 28)

struct input {
    const char *name;
    struct format format;
    struct storage storage;
    struct array array;
};

/* A case that was read, and where its results go. */
struct job {
    const struct request *request;
    struct written *written;
    const struct json *parameters;
    const struct json *taps;
    struct input *inputs;
    size_t count;
};

/* A case as case.json describes it; `operation` is set to its operation. */
struct job read_job(const struct request *request, struct written *written, const char **operation);

/* A name that may be part of a file's name; otherwise the case is broken. */
const char *safe_name(const struct json *value);

/* The input whose name is the first `length` characters, or NULL. */
struct input *found_input(const struct job *job, const char *name, size_t length);

/* An input; rejects with RC-MODEL-TENSOR if there is none. */
struct input *input_named(const struct job *job, const char *name);

/* An input of one axis. */
struct array vector_named(const struct job *job, const char *name);

/* Writes out.NAME.le. */
void write_output(const struct job *job, const char *name, const struct array *array, struct storage storage);

/* Writes tap.NAME.le if the case has that tap. */
void write_tap(const struct job *job, const char *name, const struct array *array, struct storage storage);

#endif
