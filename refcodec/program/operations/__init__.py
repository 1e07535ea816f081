"""The frozen operations of an integer program (SPEC PROG-1).

An operation names the tensors it reads and writes, holds its constants, and knows: its output size, whether its
constants are legal, what values it can give, and how to run itself, on the kernels or by the definition.
"""

from __future__ import annotations

from refcodec.program.operations.clip import Clip
from refcodec.program.operations.convolution import Convolution
from refcodec.program.operations.latent_mean import LatentMean
from refcodec.program.operations.operation import (
    MAX_CHANNELS,
    Arrays,
    Operation,
    Reaches,
    Size,
    Tensor,
    Tensors,
    check_operation,
)
from refcodec.program.operations.requantise import Requantise
from refcodec.program.operations.scale_index import ScaleIndex
from refcodec.program.operations.transposed_convolution import TransposedConvolution

__all__ = [
    "KINDS",
    "MAX_CHANNELS",
    "AnyOperation",
    "Arrays",
    "Clip",
    "Convolution",
    "LatentMean",
    "Operation",
    "Reaches",
    "Requantise",
    "ScaleIndex",
    "Size",
    "Tensor",
    "Tensors",
    "TransposedConvolution",
    "check_operation",
]

AnyOperation = Convolution | TransposedConvolution | Requantise | Clip | LatentMean | ScaleIndex
KINDS: dict[str, type[Operation]] = {
    op.kind: op for op in (Convolution, TransposedConvolution, Requantise, Clip, LatentMean, ScaleIndex)
}
