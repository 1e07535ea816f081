/* Model files: safetensors with a description, checked (SPEC section 8). */
#ifndef MODEL_H
#define MODEL_H

#include "files.h"
#include "json.h"
#include "tensor.h"

/* A tensor of the file. */
struct stored {
    const char *name;
    const char *dtype;  /* int8, int16, int32 or int64, otherwise NULL */
    size_t item;        /* bytes of a value */
    const struct json *shape;
    uint64_t begin;
    uint64_t end;
    int used;           /* by an operation or as a table */
};

struct model {
    const struct json *description;
    const char *family;
    const char *identity;
    struct bytes data;
    struct stored *stored; /* by name */
    size_t count;
};

/* The file's description and tensors, with all checks of MODEL-1 and MODEL-2. */
struct model read_model(struct bytes content);

/* A program of the model, checked; its constants count as used. */
struct program model_program(struct model *model, const char *name);

/* A table of the model; it counts as used. */
struct array model_table(struct model *model, const char *name);

/* No tensor of the decoder part but tables is left unused (MODEL-4). */
void require_no_surplus_constant(const struct model *model);

/* No table is left unused (MODEL-4). */
void require_no_surplus_table(const struct model *model);

/* The recorded identity is that of the content (MODEL-3). */
void require_identity(const struct model *model);

#endif
