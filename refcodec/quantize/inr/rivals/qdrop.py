"""QDrop: block reconstruction from inputs of which each sample is that of the float network as often as not.

Source: Wei et al. 2022, "QDrop: Randomly Dropping Quantization for Extremely Low-bit Post-Training Quantization": what
a block reads loses its quantisation sample by sample with probability 1/2, anew in each step. Activations of 16 bits
have no noise worth dropping, so what is dropped is that of the rounded blocks before. Errors count as in BRECQ.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refcodec.codecs.inr.quantised import Video
from refcodec.models.inr.trained import TrainedVideo
from refcodec.quantize.inr.rivals.reconstruction import Form, reconstruct
from refcodec.quantize.inr.rivals.settings import Settings
from refcodec.quantize.inr.rivals.units import block_units

KEPT = 0.5  # probability that a sample keeps its quantisation


def qdrop(trained: TrainedVideo, frames: np.ndarray, bits: int | Mapping[str, int], settings: Settings) -> Video:
    """Learn the roundings block by block; arguments and errors as of `reconstruct`."""
    return reconstruct(trained, frames, bits, settings, Form(block_units, True, KEPT))
