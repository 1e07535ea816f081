"""The decoder layers of the scale hyperprior, as quantisation sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from refcodec.formats import IntFormat
from refcodec.models.architecture import Architecture


@dataclass(frozen=True, slots=True)
class Layer:
    """One convolution and the activation it reads and writes.

    name  parameter prefix, also the accumulator's tensor;  source, target  activation tensors;  transposed  kind.
    """

    name: str
    source: str
    target: str
    transposed: bool
    stride: int

    def weight(self, parameters: Mapping[str, np.ndarray]) -> np.ndarray:
        """Weights (O, C, K, K) in float64, output channel first."""
        weight = parameters[f"{self.name}.weight"].astype(np.float64)
        return weight.transpose(1, 0, 2, 3) if self.transposed else weight

    def bias(self, parameters: Mapping[str, np.ndarray]) -> np.ndarray:
        """Biases (O,) in float64."""
        return parameters[f"{self.name}.bias"].astype(np.float64)

    def mean_response(self, weight: np.ndarray, means: np.ndarray) -> np.ndarray:
        """Mean output (O,) that weights (O, C, K, K) give to inputs with these channel means (C,).

        An output of a transposed convolution meets 1 / stride**2 of the taps on average.
        """
        total = np.einsum("ockl,c->o", weight, means)
        return total / self.stride**2 if self.transposed else total


H_S = (
    Layer("h_s.0", "z_hat", "h_s.1", True, 2),
    Layer("h_s.2", "h_s.1", "h_s.3", True, 2),
    Layer("h_s.4", "h_s.3", "indexes", False, 1),
)
G_S = (
    Layer("g_s.0", "y_hat", "g_s.1", True, 2),
    Layer("g_s.2", "g_s.1", "g_s.3", True, 2),
    Layer("g_s.4", "g_s.3", "g_s.5", True, 2),
    Layer("g_s.6", "g_s.5", "x_hat", True, 2),
)
LATENTS = {"z_hat": -8, "y_hat": 0}  # latent tensors and the smallest power of two of their steps


NORMALISATIONS = ("g_s.1", "g_s.3", "g_s.5")  # inverse GDN, where the backbone is no rectifier


def normalisations(architecture: Architecture) -> tuple[str, ...]:
    """Names of the layers of g_s that normalise; each is also the tensor that it writes."""
    return () if architecture.backbone == "relu" else NORMALISATIONS


def activation_format(name: str, bits: int, architecture: Architecture) -> IntFormat:
    """Format of an activation: rectified ones have no sign."""
    return IntFormat(bits, name in LATENTS or name in normalisations(architecture))


def round_half_up(values: np.ndarray) -> np.ndarray:
    """Nearest integers, halves towards +infinity, as int64."""
    return np.floor(values + 0.5).astype(np.int64)


def integer_weights(weight: np.ndarray, steps: np.ndarray, fmt: IntFormat) -> np.ndarray:
    """Weights (O, C, K, K) in units of their channel's step (O,), rounded and saturated to `fmt`, int64."""
    return np.clip(round_half_up(weight / steps[:, None, None, None]), fmt.lo, fmt.hi)
