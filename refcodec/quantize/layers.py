"""The decoder networks of a codec, as quantisation sees them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from refcodec.formats import IntFormat
from refcodec.models.architecture import FACTORISED, SCALE, Architecture
from refcodec.models.float_codec import FloatCodec
from refcodec.models.network import Activation, Convolution, Network, Node, Normalisation, Sum

DECODER = ("h_s", "context", "entropy_parameters", "g_s")  # networks that a decoder runs, where it has them
HEADS = {"h_s": "z_hat", "context": "y_hat", "g_s": "y_hat"}  # networks that begin by quantising a latent
UNSIGNED = ("relu", "qrelu")
QUANTISED = ("linear", "leaky", *UNSIGNED)  # forms of activations whose steps a recipe chooses


def decoder_networks(codec: FloatCodec) -> dict[str, Network]:
    """The networks that a decoder runs, by name."""
    return {name: codec.networks[name] for name in DECODER if name in codec.networks}


def convolutions(codec: FloatCodec) -> Iterator[Convolution]:
    """Every convolution of the decoder."""
    for network in decoder_networks(codec).values():
        yield from network.convolutions()


def has_means(architecture: Architecture) -> bool:
    """Whether the decoder computes a mean for every symbol of y."""
    return architecture.family not in (FACTORISED, SCALE)


def is_quantised(node: Node) -> bool:
    """Whether a node gives a tensor with steps of a recipe."""
    return isinstance(node, Normalisation | Sum) or (isinstance(node, Activation) and node.form in QUANTISED)


def activation_format(node: Node | None, bits: int) -> IntFormat:
    """Format of a tensor: what a rectifier gives has no sign; None stands for a latent."""
    return IntFormat(bits, not (isinstance(node, Activation) and node.form in UNSIGNED))


def quantised_tensors(codec: FloatCodec) -> dict[str, Node | None]:
    """The tensors whose steps a recipe holds, with the nodes that give them; None stands for a latent."""
    found: dict[str, Node | None] = {}
    for name, network in decoder_networks(codec).items():
        if name in HEADS:
            found[HEADS[name]] = None
        found |= {node.name: node for node in network.nodes if is_quantised(node)}
    return found


def readers(codec: FloatCodec, tensor: str) -> list[Node]:
    """Every node of the decoder that reads a tensor, those that read it through a concatenation among them."""
    direct = [node for network in decoder_networks(codec).values() for node in network.readers(tensor)]
    through = [
        reader
        for node in direct
        if len(node.reads) > 1 and not isinstance(node, Sum)
        for reader in readers(codec, node.name)
    ]
    return [node for node in direct if len(node.reads) == 1 or isinstance(node, Sum)] + through


def takes_steps_per_channel(codec: FloatCodec, tensor: str) -> bool:
    """Whether all readers of a tensor fold a step for each channel into their own constants."""
    node = quantised_tensors(codec)[tensor]
    if isinstance(node, Sum) or (isinstance(node, Activation) and node.form == "qrelu"):  # it has one number for all
        return False
    return all(isinstance(reader, Convolution | Normalisation) for reader in readers(codec, tensor))


def round_half_up(values: np.ndarray) -> np.ndarray:
    """Nearest integers, halves towards +infinity, as int64."""
    return np.floor(values + 0.5).astype(np.int64)


def folded_weight(weight: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Weights (O, C, K, K) times the step of their input channel (C,) over the largest one."""
    return weight.astype(np.float64) * (steps / steps.max())[None, :, None, None]


def integer_weights(weight: np.ndarray, steps: np.ndarray, fmt: IntFormat) -> np.ndarray:
    """Weights (O, C, K, K) in units of their channel's step (O,), rounded and saturated to `fmt`, int64."""
    return np.clip(round_half_up(weight / steps[:, None, None, None]), fmt.lo, fmt.hi)
