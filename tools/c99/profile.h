/* Checks of the constants of requantisations (SPEC RQ-2, INT-2). */
#ifndef PROFILE_H
#define PROFILE_H

#include "tensor.h"

/* Multipliers of 0 .. 2^31 - 1 where the accumulator has at most 32 bits, 0 .. 2^15 - 1 where it is wider (RQ-2). */
void require_profile(struct format accumulator, const struct array *multiplier);
void require_shifts(const struct array *shift);

/* At most 16 bits (INT-2). */
void require_activations(struct format format);

#endif
