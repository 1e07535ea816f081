"""The float twin of the scale hyperprior codec (Balle 2018; CompressAI `ScaleHyperprior`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from refcodec.errors import RangeError, ShapeError
from refcodec.models.architecture import BACKBONE_LAYERS, HYPER_LAYERS, check, identify, parameter_shapes
from refcodec.models.float_layers import (
    BETA_BOUND,
    GAMMA_BOUND,
    convolution,
    gdn,
    inverse_gdn,
    relu,
    resolve_parametrisation,
    transposed_convolution,
)

PICTURE_MULTIPLE = 64  # four halvings to y, two more to z
LATENT_MULTIPLE = 4

Observe = Callable[[str, np.ndarray], None]
Normalise = Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]


def _unobserved(name: str, array: np.ndarray) -> None:
    del name, array


def _resolved(name: str, array: np.ndarray) -> np.ndarray:
    """A parameter as the layers use it: float32, normalisations without their reparametrisation."""
    if name.endswith(".beta"):
        return resolve_parametrisation(array, BETA_BOUND)
    if name.endswith(".gamma"):
        return resolve_parametrisation(array, GAMMA_BOUND)
    return array.astype(np.float32)


class FloatScaleHyperprior:
    """Trained networks as float32 functions.

    parameters    the checkpoint, under CompressAI's names (see `load_parameters`);  metadata  as for `identify`.
    architecture  what it was identified as.
    parameters    afterwards: float32, without buffers, `beta` and `gamma` as the layers use them.
    medians       (N,) float32: z is coded as round(z - median).
    Raises ModelError RC-MODEL-FAMILY, RC-CHECKPOINT-PARAMETER.
    """

    __slots__ = ("architecture", "medians", "parameters")

    def __init__(self, parameters: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> None:
        self.architecture = identify(parameters, metadata)
        check(parameters, self.architecture)
        self.parameters = {name: _resolved(name, parameters[name]) for name in parameter_shapes(self.architecture)}
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
                x = self._activation(f"g_a.{index + 1}", x, gdn, _unobserved)
        return x

    def hyper_analysis(self, y: np.ndarray) -> np.ndarray:
        """The hyper-latent z of a latent, unrounded (h_a of |y|).

        y  (M, h, w) float32, h and w multiples of 4.  Returns (N, h / 4, w / 4) float32.  Raises ShapeError.
        """
        self._check("y", y, self.architecture.m, LATENT_MULTIPLE)
        x = relu(convolution(np.abs(y), *self._layer("h_a", 0), stride=1))
        x = relu(convolution(x, *self._layer("h_a", 2), stride=2))
        return convolution(x, *self._layer("h_a", 4), stride=2)

    def hyper_synthesis(self, z_hat: np.ndarray, observe: Observe | None = None) -> np.ndarray:
        """The scales of the latent's distributions (h_s); the lower bound 0.11 is not yet applied.

        z_hat    (N, h, w) float32;  observe  called with the input of "h_s.0", "h_s.2", "h_s.4", then with "h_s.out".
        Returns (M, 4 h, 4 w) float32 >= 0.  Raises ShapeError.
        """
        self._check("z_hat", z_hat, self.architecture.n, 1)
        watch = _unobserved if observe is None else observe
        x = z_hat
        for index in HYPER_LAYERS:
            watch(f"h_s.{index}", x)
            layer = self._layer("h_s", index)
            x = relu(convolution(x, *layer, stride=1) if index == 4 else transposed_convolution(x, *layer, stride=2))
        watch("h_s.out", x)
        return x

    def synthesis(self, y_hat: np.ndarray, observe: Observe | None = None) -> np.ndarray:
        """The picture of a rounded latent, not clipped (g_s).

        y_hat    (M, h, w) float32;  observe  called with the input of each layer, "g_s.0", "g_s.2", "g_s.4", "g_s.6"
                 and, where they normalise, "g_s.1", "g_s.3", "g_s.5", in order of computation, then with "g_s.out".
        Returns (3, 16 h, 16 w) float32, nominally 0 .. 1.  Raises ShapeError.
        """
        self._check("y_hat", y_hat, self.architecture.m, 1)
        watch = _unobserved if observe is None else observe
        x = y_hat
        for index in BACKBONE_LAYERS:
            watch(f"g_s.{index}", x)
            x = transposed_convolution(x, *self._layer("g_s", index), stride=2)
            if index != BACKBONE_LAYERS[-1]:
                x = self._activation(f"g_s.{index + 1}", x, inverse_gdn, watch)
        watch("g_s.out", x)
        return x

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
