"""AdaRound: the roundings of each layer learned so that its output is that of the float network.

Source: Nagel et al. 2020, "Up or Down? Adaptive Rounding for Post-Training Quantization", Eq. 21 to 25: one layer
after another, from the outputs of the rounded layers before it, its activation included. The layer's bias is rounded
with it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refcodec.codecs.inr.quantised import Video
from refcodec.models.inr.trained import TrainedVideo
from refcodec.quantize.inr.rivals.reconstruction import Form, reconstruct
from refcodec.quantize.inr.rivals.settings import Settings
from refcodec.quantize.inr.rivals.units import layer_units


def adaround(trained: TrainedVideo, frames: np.ndarray, bits: int | Mapping[str, int], settings: Settings) -> Video:
    """Learn the roundings layer by layer; arguments and errors as of `reconstruct`."""
    return reconstruct(trained, frames, bits, settings, Form(layer_units, False, 1.0))
