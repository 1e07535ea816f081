"""Float twins: the trained networks of a codec as float32 functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from refcodec.errors import RangeError, ShapeError
from refcodec.layers.latent_mean import SYMBOL_FORMAT
from refcodec.models.architecture import Architecture, identify
from refcodec.models.densities import scale_table
from refcodec.models.layouts import CONTEXT_KERNEL, networks
from refcodec.models.network import Network, Observe, Parameters
from refcodec.models.parameters import check, resolved

LATENT_STRIDE = 16  # picture samples to one y sample, along each axis
HYPER_STRIDES = {"none": 1, "balle2018": 4, "mbt2018": 4, "cheng2020": 4, "ssf2020": 8}  # y samples to one z sample
INDEX_BOUNDS = 63  # of the scale table: the last row has none


def rounded(latent: np.ndarray) -> np.ndarray:
    """Symbols int16 of a float latent, halves to even as when trained, saturated."""
    return np.clip(np.rint(latent), SYMBOL_FORMAT.lo, SYMBOL_FORMAT.hi).astype(SYMBOL_FORMAT.dtype)


def scale_indexes(scales: np.ndarray) -> np.ndarray:
    """Rows of the scale table, 0..63, of float scales (CompressAI `build_indexes`); no number gives 63."""
    return np.searchsorted(scale_table()[:INDEX_BOUNDS], scales, side="left").astype(np.uint8)


class FloatAnalysis:
    """Trained analysis networks, all that an encoder needs.

    architecture  what the parameters belong to
    parameters    float32 by CompressAI's names, `beta` and `gamma` as the layers use them; at least those of g_a, h_a
                  and of the medians
    medians       afterwards: (C,) float32 of the factorised density, zeros where tables take its place
    networks      afterwards: every network by name.
    """

    __slots__ = ("architecture", "medians", "networks", "parameters")

    def __init__(self, architecture: Architecture, parameters: Parameters) -> None:
        self.architecture = architecture
        self.parameters = dict(parameters)
        self.networks: Mapping[str, Network] = networks(architecture)
        if architecture.density_channels:
            self.medians = self.parameters[f"{architecture.bottleneck}quantiles"][:, 0, 1].copy()
        else:
            self.medians = np.zeros(architecture.m, np.float32)

    @property
    def hyper_stride(self) -> int:
        """y samples to one z sample, along each axis."""
        return HYPER_STRIDES[self.architecture.hyper]

    @property
    def multiple(self) -> int:
        """What the sides of a picture must be multiples of."""
        return LATENT_STRIDE * self.hyper_stride

    def analysis(self, picture: np.ndarray) -> np.ndarray:
        """The latent y of a picture, unrounded (g_a).

        picture  (3, H, W) float32, 0 .. 1, H and W multiples of `multiple`.
        Returns (M, H / 16, W / 16) float32.  Raises ShapeError, RangeError.
        """
        _check_sides("picture", picture, self.multiple)
        if not (picture.min() >= 0 and picture.max() <= 1):
            raise RangeError(f"picture: wanted 0 .. 1, got {picture.min()} .. {picture.max()}")
        return self.networks["g_a"].run(self.parameters, {"picture": picture})["y"]

    def hyper_analysis(self, y: np.ndarray) -> np.ndarray:
        """The hyper-latent z of a latent, unrounded (h_a; of |y| in Balle's layout).

        y  (M, h, w) float32, sides multiples of `hyper_stride`.  Returns (Z, h', w') float32.  Raises ShapeError.
        """
        _check_sides("y", y, self.hyper_stride)
        read = np.abs(y) if self.architecture.hyper == "balle2018" else y
        return self.networks["h_a"].run(self.parameters, {"y": read})["z"]

    def hyper_symbols(self, y: np.ndarray) -> np.ndarray | None:
        """Rounded z, (Z, h', w') int16, of a latent; None for a family without."""
        if "h_a" not in self.networks:
            return None
        return rounded(self.hyper_analysis(y) - self.medians[:, None, None])


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """What a float codec makes of a latent.

    z        (Z, h', w') int16 symbols, None for a family without;  y  (M, h, w) int16 symbols
    indexes  (M, h, w) uint8 rows of the scale table, None for a family without;  y_hat  (M, h, w) float32.
    """

    z: np.ndarray | None
    y: np.ndarray
    indexes: np.ndarray | None
    y_hat: np.ndarray


class FloatCodec(FloatAnalysis):
    """Trained networks as float32 functions, made of a checkpoint (`load_parameters`) and its metadata (`identify`).

    Raises ModelError RC-MODEL-FAMILY, RC-CHECKPOINT-PARAMETER. Attributes as FloatAnalysis; the parameters are those
    that the layers use: float32, `beta` and `gamma` resolved, no buffers.
    """

    __slots__ = ()

    def __init__(self, parameters: Parameters, metadata: Mapping[str, str] | None = None) -> None:
        architecture = identify(parameters, metadata)
        check(parameters, architecture)
        super().__init__(architecture, resolved(parameters, architecture))

    def hyper_synthesis(self, z: np.ndarray, observe: Observe | None = None) -> dict[str, np.ndarray]:
        """What the hyper-decoder h_s says of a latent.

        z        (Z, h, w) symbols;  observe  called with every tensor's name and values.
        Returns `scales`, `scales` and `means`, or `side`, each (C, h', w') float32; scales are 0.11 or more.
        Raises ShapeError.
        """
        _check_channels("z", z, self.architecture.z)
        z_hat = (z + self.medians[:, None, None]).astype(np.float32)
        return self.networks["h_s"].run(self.parameters, {"z_hat": z_hat}, observe)

    def entropy_parameters(
        self, side: np.ndarray, context: np.ndarray, observe: Observe | None = None
    ) -> dict[str, np.ndarray]:
        """`scales` and `means` (M, h, w) float32 from side information and context, each (2 M, h, w) float32."""
        inputs = {"side": side, "context": context}
        return self.networks["entropy_parameters"].run(self.parameters, inputs, observe)

    def context(self, y_hat: np.ndarray, observe: Observe | None = None) -> np.ndarray:
        """The context of a latent (M, h, w) float32; one that reads windows is given zeros outside."""
        border = CONTEXT_KERNEL // 2 if self.architecture.mask == "causal" else 0
        padded = np.pad(y_hat, ((0, 0), (border, border), (border, border)))
        return self.networks["context"].run(self.parameters, {"y_hat": padded}, observe)["context"]

    def synthesis(self, y_hat: np.ndarray, observe: Observe | None = None) -> np.ndarray:
        """The picture of a decoded latent, not clipped (g_s).

        y_hat    (M, h, w) float32;  observe  called with every tensor's name and values, y_hat first.
        Returns (3, 16 h, 16 w) float32, nominally 0 .. 1.  Raises ShapeError.
        """
        return self.networks["g_s"].run(self.parameters, {"y_hat": y_hat}, observe)["x_hat"]

    def code(self, y: np.ndarray) -> Coded:
        """Round a latent as an encoder would, through the float decoder.

        y  (M, h, w) float32, sides multiples of `hyper_stride`.  Raises ShapeError.
        """
        _check_channels("y", y, self.architecture.m)
        z = self.hyper_symbols(y)
        if z is None:
            symbols = rounded(y - self.medians[:, None, None])
            return Coded(None, symbols, None, (symbols + self.medians[:, None, None]).astype(np.float32))
        known = self.hyper_synthesis(z)
        if self.architecture.mask == "checkerboard":
            return _two_passes(self, y, z, known["side"])
        if self.architecture.mask == "causal":
            return _raster(self, y, z, known["side"])
        symbols, y_hat = _about(y, known["means"]) if "means" in known else _about(y, np.zeros_like(y))
        return Coded(z, symbols, scale_indexes(known["scales"]), y_hat)


def _check_sides(name: str, x: np.ndarray, multiple: int) -> None:
    if x.ndim != 3 or not all(n > 0 and n % multiple == 0 for n in x.shape[1:]):
        raise ShapeError(f"{name}: wanted (C, H, W) with H and W multiples of {multiple}, got {x.shape}")


def _check_channels(name: str, x: np.ndarray, channels: int) -> None:
    if x.ndim != 3 or x.shape[0] != channels or 0 in x.shape:
        raise ShapeError(f"{name}: wanted ({channels}, H, W), got {x.shape}")


def _about(y: np.ndarray, means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Symbols of y about its means, and what a decoder makes of them."""
    symbols = rounded(y - means)
    return symbols, symbols + means


def anchors(height: int, width: int, parity: int) -> np.ndarray:
    """Which positions of a checkerboard come first, (h, w) bool: row + column has this parity."""
    return np.add.outer(np.arange(height), np.arange(width)) % 2 == parity


def _two_passes(codec: FloatCodec, y: np.ndarray, z: np.ndarray, side: np.ndarray) -> Coded:
    """Anchors know no context, the bias of its network neither; the others know the anchors (He 2021)."""
    first = anchors(y.shape[1], y.shape[2], parity=0)
    found = codec.entropy_parameters(side, np.zeros_like(side))
    symbols, y_hat = _about(y, found["means"])
    context = codec.context(y_hat * first)
    later = codec.entropy_parameters(side, context)
    later_symbols, later_y_hat = _about(y, later["means"])
    indexes = [scale_indexes(parameters["scales"]) for parameters in (found, later)]
    return Coded(
        z,
        np.where(first, symbols, later_symbols),
        np.where(first, *indexes),
        np.where(first, y_hat, later_y_hat),
    )


def _raster(codec: FloatCodec, y: np.ndarray, z: np.ndarray, side: np.ndarray) -> Coded:
    """Position by position, each from what is decoded above and to its left (Minnen 2018)."""
    border = CONTEXT_KERNEL // 2
    padded = np.zeros((y.shape[0], *(n + 2 * border for n in y.shape[1:])), np.float32)
    symbols, indexes = np.zeros(y.shape, np.int16), np.zeros(y.shape, np.uint8)
    decoded = np.zeros(y.shape, np.float32)
    for row, column in np.ndindex(*y.shape[1:]):
        window = padded[:, row : row + CONTEXT_KERNEL, column : column + CONTEXT_KERNEL]
        context = codec.networks["context"].run(codec.parameters, {"y_hat": window})["context"]
        here = (slice(None), slice(row, row + 1), slice(column, column + 1))
        found = codec.entropy_parameters(side[here], context)
        symbols[here], decoded[here] = _about(y[here], found["means"])
        indexes[here] = scale_indexes(found["scales"])
        padded[:, row + border, column + border] = decoded[:, row, column]
    return Coded(z, symbols, indexes, decoded)
