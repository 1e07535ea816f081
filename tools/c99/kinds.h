/* All kinds of operations (SPEC PROG-1), by the file that holds them. */
#ifndef KINDS_H
#define KINDS_H

#include "operation.h"

/* convolution.c */
extern const struct kind convolution_kind, transposed_convolution_kind, depthwise_convolution_kind;
extern const struct kind masked_convolution_kind, linear_kind;
/* pointwise.c */
extern const struct kind requantise_kind, leaky_requantise_kind, clip_kind, threshold_head_kind, scale_index_kind;
extern const struct kind latent_mean_kind, latent_means_kind, add_kind;
/* normalisation.c */
extern const struct kind gdn_kind, inverse_gdn_kind, layer_norm_kind;
/* tables.c */
extern const struct kind table_kind, interpolated_table_kind, positional_encoding_kind, embedding_kind;
/* arrangement.c */
extern const struct kind concatenate_kind, crop_kind, pad_kind, pixel_shuffle_kind, nearest_kind, tile_kind;
/* resampling.c */
extern const struct kind resize_kind, scale_space_kind, warp_kind;

extern const struct kind *const all_kinds[]; /* ends with NULL */

#endif
