"""BRECQ: the roundings of each block learned so that its output is that of the float network, where that matters.

Source: Li et al. 2021, "BRECQ: Pushing the Limit of Post-Training Quantization by Block Reconstruction", Eq. 10:
errors of a block's output count by the diagonal of the Fisher information, the squared gradients of the task's loss,
here the squared error of the float network's picture against the clip's. The published code adds 1 to the size of each
gradient; here 1 is added to squares whose mean is 1, since gradients of a mean over a picture are far smaller than 1.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refcodec.codecs.inr.quantised import Video
from refcodec.models.inr.trained import TrainedVideo
from refcodec.quantize.inr.rivals.reconstruction import Form, reconstruct
from refcodec.quantize.inr.rivals.settings import Settings
from refcodec.quantize.inr.rivals.units import block_units


def brecq(trained: TrainedVideo, frames: np.ndarray, bits: int | Mapping[str, int], settings: Settings) -> Video:
    """Learn the roundings block by block; arguments and errors as of `reconstruct`."""
    return reconstruct(trained, frames, bits, settings, Form(block_units, True, 1.0))
