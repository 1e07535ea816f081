#include "kinds.h"

const struct kind *const all_kinds[] = {
    &convolution_kind, &transposed_convolution_kind, &depthwise_convolution_kind, &masked_convolution_kind,
    &linear_kind, &requantise_kind, &leaky_requantise_kind, &clip_kind, &threshold_head_kind, &scale_index_kind,
    &latent_mean_kind, &latent_means_kind, &add_kind, &gdn_kind, &inverse_gdn_kind, &layer_norm_kind, &table_kind,
    &interpolated_table_kind, &positional_encoding_kind, &embedding_kind, &concatenate_kind, &crop_kind, &pad_kind,
    &pixel_shuffle_kind, &nearest_kind, &tile_kind, &resize_kind, &scale_space_kind, &warp_kind, NULL};
