"""Which codec a set of trained parameters belongs to, and whether it is complete."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from refcodec.errors import ModelError

SCALE_HYPERPRIOR = "scale-hyperprior"
BACKBONES = ("relu", "gdn", "gdn1")
MAX_CHANNELS = 4096

# The factorised density's layer widths in CompressAI: 1 -> 3 -> 3 -> 3 -> 3 -> 1.
DENSITY_WIDTHS = (1, 3, 3, 3, 3, 1)
BACKBONE_LAYERS = (0, 2, 4, 6)
NORMALISATIONS = (1, 3, 5)
HYPER_LAYERS = (0, 2, 4)

# Buffers CompressAI registers beside the parameters: constants, and tables that are rebuilt.
_BUFFER = re.compile(
    r"gaussian_conditional\..+"
    r"|entropy_bottleneck\.(_quantized_cdf|_cdf_length|_offset|target|likelihood_lower_bound\.bound)"
)
_GDN_BUFFER = re.compile(r"g_[as]\.[135]\.(beta|gamma)_reparam\.(pedestal|lower_bound\.bound)")


def _unknown(message: str) -> ModelError:
    return ModelError("RC-MODEL-FAMILY", message)


@dataclass(frozen=True, slots=True)
class Architecture:
    """A codec's family and size.

    family    "scale-hyperprior": CompressAI's bmshj2018-hyperprior (Balle 2018).
    backbone  what follows the inner convolutions of g_a and g_s: "relu"; "gdn", n = beta + gamma x**2 under a square
              root; or "gdn1", n = beta + gamma |x|.
    n, m      channels of the hidden layers and of the latent, 1 .. 4096.
    Raises ModelError RC-MODEL-FAMILY.
    """

    family: str
    backbone: str
    n: int
    m: int

    def __post_init__(self) -> None:
        if self.family != SCALE_HYPERPRIOR or self.backbone not in BACKBONES:
            raise _unknown(f"family {self.family!r} with backbone {self.backbone!r} is not known")
        if not (1 <= self.n <= MAX_CHANNELS and 1 <= self.m <= MAX_CHANNELS):
            raise _unknown(f"N and M must be 1 .. {MAX_CHANNELS}, got {self.n} and {self.m}")


# --- identification


def _seen(parameters: Mapping[str, np.ndarray]) -> str:
    """The modules and layers present, as in `g_a.0 g_a.2 h_s.0 entropy_bottleneck`."""
    layers = {".".join(name.split(".")[: 2 if name[1:2] == "_" else 1]) for name in parameters}
    return f"{' '.join(sorted(layers))!r:.400}"


def _backbone(parameters: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    normalised = any(re.fullmatch(r"g_[as]\.[135]\.(beta|gamma)", name) for name in parameters)
    if "backbone" not in metadata:
        return "gdn" if normalised else "relu"
    words = re.split(r"\W+", metadata["backbone"].strip().lower(), maxsplit=1)
    if words[0] not in BACKBONES or (words[0] != "relu") != normalised:
        kind = "GDN" if normalised else "ReLU"
        raise _unknown(f"the metadata name backbone {metadata['backbone']!r:.80}, the parameters are of {kind}")
    return words[0]


def identify(parameters: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> Architecture:
    """The architecture that `parameters`, under CompressAI's names, belong to.

    metadata  texts stored with them; the first word of `backbone` ("ReLU", "GDN", "GDN1") tells GDN from GDN1, which
              have the same parameters. Without it, normalised layers are taken for "gdn", the form of CompressAI's zoo.
    Raises ModelError RC-MODEL-FAMILY naming the layers seen. Use `check` to verify every parameter.
    """
    wanted = {f"{net}.{index}.weight" for net in ("g_a", "g_s") for index in BACKBONE_LAYERS}
    wanted |= {f"{net}.{index}.weight" for net in ("h_a", "h_s") for index in HYPER_LAYERS}
    wanted |= {"entropy_bottleneck.quantiles"}
    layers = {name for name in parameters if re.fullmatch(r"(?!gaussian).+\.(weight|quantiles)", name)}
    if layers != wanted or any(parameters[name].ndim == 0 for name in wanted):
        raise _unknown(f"not a scale hyperprior (CompressAI bmshj2018-hyperprior): {_seen(parameters)}")
    n, m = parameters["g_a.0.weight"].shape[0], parameters["g_a.6.weight"].shape[0]
    if parameters["h_s.4.weight"].shape[0] != m:  # mbt2018-mean has the same names and 2M outputs here
        outputs = parameters["h_s.4.weight"].shape[0]
        raise _unknown(f"h_s gives {outputs} channels for a latent of {m}: not a scale hyperprior")
    return Architecture(SCALE_HYPERPRIOR, _backbone(parameters, metadata if metadata is not None else {}), n, m)


# --- verification


def _convolution_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Weights (out, in, k, k), transposed ones (in, out, k, k), and biases (out,)."""
    n, m = architecture.n, architecture.m
    shapes: dict[str, tuple[int, ...]] = {}

    def add(layer: str, inputs: int, outputs: int, size: int, transposed: bool) -> None:
        shapes[f"{layer}.weight"] = (inputs, outputs, size, size) if transposed else (outputs, inputs, size, size)
        shapes[f"{layer}.bias"] = (outputs,)

    for index, inputs, outputs in zip(BACKBONE_LAYERS, (3, n, n, n), (n, n, n, m), strict=True):
        add(f"g_a.{index}", inputs, outputs, 5, transposed=False)
    for index, inputs, outputs in zip(BACKBONE_LAYERS, (m, n, n, n), (n, n, n, 3), strict=True):
        add(f"g_s.{index}", inputs, outputs, 5, transposed=True)
    add("h_a.0", m, n, 3, transposed=False)
    add("h_a.2", n, n, 5, transposed=False)
    add("h_a.4", n, n, 5, transposed=False)
    add("h_s.0", n, n, 5, transposed=True)
    add("h_s.2", n, n, 5, transposed=True)
    add("h_s.4", n, m, 3, transposed=False)
    return shapes


def _normalisation_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    if architecture.backbone != "relu":
        for layer in (f"{net}.{index}" for net in ("g_a", "g_s") for index in NORMALISATIONS):
            shapes |= {f"{layer}.beta": (architecture.n,), f"{layer}.gamma": (architecture.n, architecture.n)}
    return shapes


def _density_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    n = architecture.n
    shapes: dict[str, tuple[int, ...]] = {"entropy_bottleneck.quantiles": (n, 1, 3)}
    for index, (inputs, outputs) in enumerate(pairwise(DENSITY_WIDTHS)):
        shapes[f"entropy_bottleneck.matrices.{index}"] = (n, outputs, inputs)
        shapes[f"entropy_bottleneck.biases.{index}"] = (n, outputs, 1)
        if index < len(DENSITY_WIDTHS) - 2:
            shapes[f"entropy_bottleneck.factors.{index}"] = (n, outputs, 1)
    return shapes


def parameter_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """The name and shape of every trained parameter, as CompressAI's `ScaleHyperprior` has them."""
    return _convolution_shapes(architecture) | _normalisation_shapes(architecture) | _density_shapes(architecture)


def _is_buffer(name: str, architecture: Architecture) -> bool:
    if architecture.backbone != "relu" and _GDN_BUFFER.fullmatch(name):
        return True
    return _BUFFER.fullmatch(name) is not None


def _check_parameter(name: str, array: np.ndarray | None, shape: tuple[int, ...]) -> None:
    wanted = f"{name}: wanted floating point {shape}"
    if array is None:
        raise ModelError("RC-CHECKPOINT-PARAMETER", f"{wanted}, found none")
    if array.dtype.kind != "f" or array.shape != shape:
        raise ModelError("RC-CHECKPOINT-PARAMETER", f"{wanted}, found {array.dtype} {array.shape}")
    if not np.isfinite(array).all():
        first = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ModelError("RC-CHECKPOINT-PARAMETER", f"{wanted}, found {array[first]} at {first}")


def check(parameters: Mapping[str, np.ndarray], architecture: Architecture) -> None:
    """Verify that every parameter is there, floating point, of the right shape and finite, and that none is surplus.

    CompressAI's buffers (bounds, pedestals, entropy tables) may be there or not and are not looked at.
    Raises ModelError RC-CHECKPOINT-PARAMETER naming the parameter, what was wanted and what was found.
    """
    shapes = parameter_shapes(architecture)
    for name, shape in shapes.items():
        _check_parameter(name, parameters.get(name), shape)
    for name in sorted(parameters.keys() - shapes.keys()):
        if not _is_buffer(name, architecture):
            found = f"{parameters[name].dtype} {parameters[name].shape}"
            raise ModelError("RC-CHECKPOINT-PARAMETER", f"{name!r:.120}: wanted none, found {found}")
