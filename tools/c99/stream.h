/* Streams and the codec of the scale hyperprior (SPEC section 10). */
#ifndef STREAM_H
#define STREAM_H

#include "files.h"
#include "program.h"

/* What decoding a stream gives: the picture, and every tensor of both programs. */
struct decoded {
    struct array picture; /* (height, width, 3), or (height, width) if it is grey */
    struct program h_s;
    struct program g_s;
    struct array *h_s_values;
    struct array *g_s_values;
};

/* Reads the model, then the stream, and decodes it (HYP-2). */
struct decoded decode_stream(struct bytes model_file, struct bytes stream);

/* The identity of a model, a byte in each value, with all checks of its family (MODEL-3, MODEL-4, FAM-1). */
struct array model_identity(struct bytes model_file);

#endif
