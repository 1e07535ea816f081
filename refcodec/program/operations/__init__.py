"""The frozen operations of an integer program (SPEC PROG-1).

An operation names the tensors it reads and writes, holds its constants, and knows: its output size, whether its
constants are legal, what values it can give, and how to run itself, on the kernels or by the definition.
"""

from __future__ import annotations

from refcodec.program.operations.add import Add
from refcodec.program.operations.clip import Clip
from refcodec.program.operations.concatenate import Concatenate
from refcodec.program.operations.convolution import Convolution
from refcodec.program.operations.crop import Crop
from refcodec.program.operations.depthwise_convolution import DepthwiseConvolution
from refcodec.program.operations.embedding import Embedding
from refcodec.program.operations.gdn import Gdn, InverseGdn
from refcodec.program.operations.latent_mean import LatentMean, LatentMeans
from refcodec.program.operations.layer_norm import LayerNorm
from refcodec.program.operations.leaky_requantise import LeakyRequantise
from refcodec.program.operations.linear import Linear
from refcodec.program.operations.masked_convolution import MaskedConvolution
from refcodec.program.operations.nearest import Nearest
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
from refcodec.program.operations.pad import Pad
from refcodec.program.operations.pixel_shuffle import PixelShuffle
from refcodec.program.operations.positional_encoding import PositionalEncoding
from refcodec.program.operations.requantise import Requantise
from refcodec.program.operations.resize import Resize
from refcodec.program.operations.scale_index import ScaleIndex
from refcodec.program.operations.scale_space import ScaleSpace
from refcodec.program.operations.table import InterpolatedTable, Table
from refcodec.program.operations.threshold_head import ThresholdHead
from refcodec.program.operations.tile import Tile
from refcodec.program.operations.transposed_convolution import TransposedConvolution
from refcodec.program.operations.warp import Warp

__all__ = [
    "KINDS",
    "MAX_CHANNELS",
    "Add",
    "AnyOperation",
    "Arrays",
    "Clip",
    "Concatenate",
    "Convolution",
    "Crop",
    "DepthwiseConvolution",
    "Embedding",
    "Gdn",
    "InterpolatedTable",
    "InverseGdn",
    "LatentMean",
    "LatentMeans",
    "LayerNorm",
    "LeakyRequantise",
    "Linear",
    "MaskedConvolution",
    "Nearest",
    "Operation",
    "Pad",
    "PixelShuffle",
    "PositionalEncoding",
    "Reaches",
    "Requantise",
    "Resize",
    "ScaleIndex",
    "ScaleSpace",
    "Size",
    "Table",
    "Tensor",
    "Tensors",
    "ThresholdHead",
    "Tile",
    "TransposedConvolution",
    "Warp",
    "check_operation",
]

AnyOperation = (
    Add
    | Clip
    | Concatenate
    | Convolution
    | Crop
    | DepthwiseConvolution
    | Embedding
    | Gdn
    | InterpolatedTable
    | InverseGdn
    | LatentMean
    | LatentMeans
    | LayerNorm
    | LeakyRequantise
    | Linear
    | MaskedConvolution
    | Nearest
    | Pad
    | PixelShuffle
    | PositionalEncoding
    | Requantise
    | Resize
    | ScaleIndex
    | ScaleSpace
    | Table
    | ThresholdHead
    | Tile
    | TransposedConvolution
    | Warp
)
KINDS: dict[str, type[Operation]] = {op.kind: op for op in AnyOperation.__args__}
