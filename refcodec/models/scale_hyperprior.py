"""The float twin of the scale hyperprior codec (Balle 2018; CompressAI `ScaleHyperprior`)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refcodec.models.analysis import FloatAnalysis, Observe, unobserved
from refcodec.models.architecture import BACKBONE_LAYERS, HYPER_LAYERS, check, identify, parameter_shapes
from refcodec.models.float_layers import (
    BETA_BOUND,
    GAMMA_BOUND,
    convolution,
    inverse_gdn,
    relu,
    resolve_parametrisation,
    transposed_convolution,
)


def _resolved(name: str, array: np.ndarray) -> np.ndarray:
    """A parameter as the layers use it: float32, normalisations without their reparametrisation."""
    if name.endswith(".beta"):
        return resolve_parametrisation(array, BETA_BOUND)
    if name.endswith(".gamma"):
        return resolve_parametrisation(array, GAMMA_BOUND)
    return array.astype(np.float32)


class FloatScaleHyperprior(FloatAnalysis):
    """Trained networks as float32 functions, made of a checkpoint (`load_parameters`) and its metadata (`identify`).

    Raises ModelError RC-MODEL-FAMILY, RC-CHECKPOINT-PARAMETER. Attributes:
    architecture  what the checkpoint was identified as.
    parameters    its arrays as the layers use them: float32, `beta` and `gamma` resolved, no buffers.
    medians       (N,) float32: z is coded as round(z - median).
    """

    __slots__ = ()

    def __init__(self, parameters: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> None:
        architecture = identify(parameters, metadata)
        check(parameters, architecture)
        super().__init__(
            architecture, {name: _resolved(name, parameters[name]) for name in parameter_shapes(architecture)}
        )

    def hyper_synthesis(self, z_hat: np.ndarray, observe: Observe | None = None) -> np.ndarray:
        """The scales of the latent's distributions (h_s); the lower bound 0.11 is not yet applied.

        z_hat    (N, h, w) float32;  observe  called with the input of "h_s.0", "h_s.2", "h_s.4", then with "h_s.out".
        Returns (M, 4 h, 4 w) float32 >= 0.  Raises ShapeError.
        """
        self._check("z_hat", z_hat, self.architecture.n, 1)
        watch = unobserved if observe is None else observe
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
        watch = unobserved if observe is None else observe
        x = y_hat
        for index in BACKBONE_LAYERS:
            watch(f"g_s.{index}", x)
            x = transposed_convolution(x, *self._layer("g_s", index), stride=2)
            if index != BACKBONE_LAYERS[-1]:
                x = self._activation(f"g_s.{index + 1}", x, inverse_gdn, watch)
        watch("g_s.out", x)
        return x
