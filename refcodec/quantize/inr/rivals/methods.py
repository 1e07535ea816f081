"""The methods that NeuroQuant is compared with, by name; all spend the evaluations of their settings, naive none."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refcodec.codecs.inr.quantised import Video
from refcodec.models.inr.trained import TrainedVideo
from refcodec.quantize.inr.objective import check_frames
from refcodec.quantize.inr.rivals.adaround import adaround
from refcodec.quantize.inr.rivals.brecq import brecq
from refcodec.quantize.inr.rivals.ffnerv import ffnerv
from refcodec.quantize.inr.rivals.hinerv import hinerv_qat
from refcodec.quantize.inr.rivals.qdrop import qdrop
from refcodec.quantize.inr.rivals.rdo_ptq import rdo_ptq
from refcodec.quantize.inr.rivals.settings import Method, Settings
from refcodec.quantize.inr.uniform import quantise


def naive(trained: TrainedVideo, frames: np.ndarray, bits: int | Mapping[str, int], settings: Settings) -> Video:
    """Nearest integers on steps by each row's range; it spends no evaluations.

    frames  (T, H, W, 3) uint8, checked only;  bits  as of `parameter_bits`.  Raises ShapeError, RangeError.
    """
    check_frames(trained.architecture, frames)
    return quantise(trained, bits, settings.granularity, settings.activations)


RIVALS: dict[str, Method] = {
    "naive": naive,
    "adaround": adaround,
    "brecq": brecq,
    "qdrop": qdrop,
    "rdo-ptq": rdo_ptq,
    "ffnerv": ffnerv,
    "hinerv": hinerv_qat,
}
