/* Payloads of integers: weights and other parameters (SPEC DQ, WC). */
#ifndef INTEGERS_H
#define INTEGERS_H

#include "files.h"
#include "tensor.h"

/* The integers of a payload, of the shape (outputs, inputs, taps); `dependent` if they are levels of the trellis. */
struct array decode_integers(struct bytes payload, const int64_t shape[3], int dependent);

#endif
