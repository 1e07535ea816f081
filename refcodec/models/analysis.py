"""The float analysis half of the scale hyperprior codec, all that an encoder needs (Balle 2018; CompressAI)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from refcodec.errors import RangeError, ShapeError
from refcodec.models.architecture import BACKBONE_LAYERS, Architecture
from refcodec.models.float_layers import convolution, gdn, relu

PICTURE_MULTIPLE = 64  # four halvings to y, two more to z
LATENT_MULTIPLE = 4

Observe = Callable[[str, np.ndarray], None]
Normalise = Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]


def unobserved(name: str, array: np.ndarray) -> None:
    del name, array


class FloatAnalysis:
    """Trained analysis networks g_a and h_a as float32 functions.

    architecture  what the parameters belong to
    parameters    float32 by CompressAI's names, `beta` and `gamma` as the layers use them; at least those of g_a, h_a
                  and `entropy_bottleneck.quantiles`
    medians       afterwards: (N,) float32: z is coded as round(z - median).
    """

    __slots__ = ("architecture", "medians", "parameters")

    def __init__(self, architecture: Architecture, parameters: Mapping[str, np.ndarray]) -> None:
        self.architecture = architecture
        self.parameters = dict(parameters)
        self.medians = self.parameters["entropy_bottleneck.quantiles"][:, 0, 1].copy()

    def analysis(self, picture: np.ndarray) -> np.ndarray:
        """The latent y of a picture, unrounded (g_a).

        picture  (3, H, W) float32, 0 .. 1, H and W multiples of 64.
        Returns (M, H / 16, W / 16) float32.  Raises ShapeError, RangeError.
        """
        self._check("picture", picture, 3, PICTURE_MULTIPLE)
        if not (picture.min() >= 0 and picture.max() <= 1):
            raise RangeError(f"picture: wanted 0 .. 1, got {picture.min()} .. {picture.max()}")
        x = picture
        for index in BACKBONE_LAYERS:
            x = convolution(x, *self._layer("g_a", index), stride=2)
            if index != BACKBONE_LAYERS[-1]:
                x = self._activation(f"g_a.{index + 1}", x, gdn, unobserved)
        return x

    def hyper_analysis(self, y: np.ndarray) -> np.ndarray:
        """The hyper-latent z of a latent, unrounded (h_a of |y|).

        y  (M, h, w) float32, h and w multiples of 4.  Returns (N, h / 4, w / 4) float32.  Raises ShapeError.
        """
        self._check("y", y, self.architecture.m, LATENT_MULTIPLE)
        x = relu(convolution(np.abs(y), *self._layer("h_a", 0), stride=1))
        x = relu(convolution(x, *self._layer("h_a", 2), stride=2))
        return convolution(x, *self._layer("h_a", 4), stride=2)

    def _layer(self, net: str, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self.parameters[f"{net}.{index}.weight"], self.parameters[f"{net}.{index}.bias"]

    def _activation(self, layer: str, x: np.ndarray, normalise: Normalise, watch: Observe) -> np.ndarray:
        if self.architecture.backbone == "relu":
            return relu(x)
        watch(layer, x)
        exponent = 1 if self.architecture.backbone == "gdn1" else 2
        return normalise(x, self.parameters[f"{layer}.beta"], self.parameters[f"{layer}.gamma"], exponent)

    @staticmethod
    def _check(name: str, x: np.ndarray, channels: int, multiple: int) -> None:
        shaped = x.ndim == 3 and x.shape[0] == channels and all(n > 0 and n % multiple == 0 for n in x.shape[1:])
        if not shaped or x.dtype != np.float32:
            wanted = f"float32 ({channels}, H, W) with H and W multiples of {multiple}"
            raise ShapeError(f"{name}: wanted {wanted}, got {x.dtype} {x.shape}")
