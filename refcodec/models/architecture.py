"""Which codec a set of trained parameters belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from refcodec.errors import ModelError

FACTORISED, SCALE, MEAN_SCALE = "factorised", "scale-hyperprior", "mean-scale-hyperprior"
CHECKERBOARD, AUTOREGRESSIVE, ENTROPY_PARAMETERS = "checkerboard", "autoregressive", "entropy-parameters"
MASKS = {CHECKERBOARD: "checkerboard", AUTOREGRESSIVE: "causal"}
FAMILIES = (FACTORISED, SCALE, MEAN_SCALE, CHECKERBOARD, AUTOREGRESSIVE, ENTROPY_PARAMETERS)
BACKBONES = ("relu", "gdn", "gdn1", "bls2017", "cheng2020", "none")
HYPERS = ("none", "balle2018", "mbt2018", "cheng2020", "ssf2020")
STEMS = ("img", "motion", "res")  # the three codecs within ssf2020
MAX_CHANNELS = 4096


def unknown(message: str) -> ModelError:
    """The error for a codec that is not known."""
    return ModelError("RC-MODEL-FAMILY", message)


@dataclass(frozen=True, slots=True)
class Architecture:
    """A codec's family, layout and size.

    family    one of FAMILIES, as model files have it
    backbone  of g_a and g_s: four 5x5 convolutions with rectifiers ("relu"), GDN with squares under a root ("gdn") or
              with magnitudes ("gdn1") between them; "bls2017", 9x9, 5x5, 5x5 with magnitudes; "cheng2020", residual
              blocks; "none", no transforms
    hyper     layout of h_a and h_s: "balle2018", "mbt2018", "cheng2020", "ssf2020" or "none"
    n, m, z   channels of the hidden layers, of the latent and of the hyper-latent, 1 .. 4096; those that the layout
              lacks are 1
    stem      of ssf2020, which of its codecs: "img", "motion" or "res"; else "".
    Raises ModelError RC-MODEL-FAMILY.
    """

    family: str
    backbone: str
    hyper: str
    n: int
    m: int
    z: int
    stem: str = ""

    def __post_init__(self) -> None:
        if self.family not in FAMILIES or self.backbone not in BACKBONES or self.hyper not in HYPERS:
            kind = f"backbone {self.backbone!r} and hyperprior {self.hyper!r}"
            raise unknown(f"family {self.family!r} with {kind} is not known")
        if not all(1 <= channels <= MAX_CHANNELS for channels in (self.n, self.m, self.z)):
            sizes = f"{self.n}, {self.m} and {self.z}"
            raise unknown(f"hidden, latent and hyper-latent channels must be 1 .. {MAX_CHANNELS}, got {sizes}")

    @property
    def text(self) -> str:
        """What it is, for people."""
        hyper = "" if self.hyper == "none" else f", {self.hyper} hyperprior of {self.z} channels"
        transforms = "no transforms" if self.backbone == "none" else f"{self.backbone} backbone of {self.n} channels"
        return f"{self.family}, {transforms}, latent of {self.m} channels{hyper}"

    @property
    def mask(self) -> str:
        """The mask of its context model, "" where it has none."""
        return MASKS.get(self.family, "")

    @property
    def join(self) -> tuple[str, str]:
        """In which order its entropy parameters read context and side information."""
        return ("context", "side") if self.family == CHECKERBOARD else ("side", "context")

    @property
    def exponent(self) -> int:
        """Of its normalisations: 1 for magnitudes, 2 for squares under a root."""
        return 1 if self.backbone in ("gdn1", "bls2017") else 2

    @property
    def is_reparametrised(self) -> bool:
        """Whether beta and gamma are stored as CompressAI's non-negative parametrisation."""
        return self.backbone in ("gdn", "gdn1", "cheng2020")

    @property
    def density_channels(self) -> int:
        """Channels of the factorised density, 0 where tables take its place."""
        if self.family == FACTORISED:
            return 0 if self.backbone == "bls2017" else self.m
        return self.z

    # where a checkpoint has the parameters

    @property
    def transform_prefixes(self) -> tuple[str, str]:
        """Names of analysis and synthesis."""
        return (f"{self.stem}_encoder", f"{self.stem}_decoder") if self.stem else ("g_a", "g_s")

    @property
    def hyper_prefix(self) -> str:
        """What stands before the hyperprior's layers and its factorised density."""
        if self.stem:
            return f"{self.stem}_hyperprior."
        return "latent_codec.hyper." if self.family == CHECKERBOARD else ""

    @property
    def bottleneck(self) -> str:
        """What stands before the parameters of the factorised density."""
        return f"{self.hyper_prefix}entropy_bottleneck."

    @property
    def context_prefix(self) -> str:
        """Name of the context model's convolution."""
        return f"{'latent_codec.y.' if self.family == CHECKERBOARD else ''}context_prediction"

    @property
    def parameters_prefix(self) -> str:
        """Name of the entropy-parameter network."""
        return f"{'latent_codec.y.' if self.family == CHECKERBOARD else ''}entropy_parameters"


def _seen(parameters: Mapping[str, np.ndarray]) -> str:
    """The modules and layers present, as in `g_a.0 g_a.2 h_s.0 entropy_bottleneck`."""
    layers = {".".join(name.split(".")[: 2 if name[1:2] == "_" else 1]) for name in parameters}
    return f"{' '.join(sorted(layers))!r:.400}"


@dataclass(frozen=True, slots=True)
class _Shapes:
    """Shapes of a checkpoint's parameters; a missing or scalar one is refused by name."""

    parameters: Mapping[str, np.ndarray]

    def has(self, name: str) -> bool:
        return name in self.parameters

    def __call__(self, name: str, axis: int) -> int:
        array = self.parameters.get(name)
        if array is None or array.ndim != 4:
            found = "none" if array is None else f"{array.dtype} {array.shape}"
            raise ModelError("RC-CHECKPOINT-PARAMETER", f"{name}: wanted the weight of a convolution, found {found}")
        return int(array.shape[axis])


def identify(parameters: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> Architecture:
    """The architecture that `parameters`, under CompressAI's names, belong to.

    metadata  texts stored with them; the first word of `backbone` ("ReLU", "GDN", "GDN1") tells GDN from GDN1, which
              have the same parameters. Without it, normalised layers are taken for "gdn", the form of CompressAI's zoo.
    Raises ModelError RC-MODEL-FAMILY naming the layers seen, RC-CHECKPOINT-PARAMETER naming a missing parameter.
    Use `parameters.check` to verify every parameter.
    """
    shape = _Shapes(parameters)
    stems = [stem for stem in STEMS if shape.has(f"{stem}_hyperprior.hyper_decoder_scale.deconv1.weight")]
    if stems:
        return _scale_space_flow(shape, stems)
    if shape.has("g_a.0.conv1.weight"):
        return _residual(shape)
    if shape.has("g_a.0.weight"):
        return _plain(shape, metadata if metadata is not None else {})
    raise unknown(f"not a codec that is known: {_seen(parameters)}")


def _scale_space_flow(shape: _Shapes, stems: list[str]) -> Architecture:
    if len(stems) > 1:
        raise unknown(f"an ssf2020 checkpoint holds the codecs {', '.join(stems)}: choose a part")
    (stem,) = stems
    m = shape(f"{stem}_hyperprior.hyper_decoder_scale.deconv1.weight", 0)
    if not shape.has(f"{stem}_decoder.0.weight"):
        return Architecture(ENTROPY_PARAMETERS, "none", "ssf2020", 1, m, m, stem)
    if stem != "img":
        raise unknown(f"{stem}_decoder gives no picture: take its hyperprior alone")
    return Architecture(MEAN_SCALE, "relu", "ssf2020", shape("img_encoder.0.weight", 0), m, m, stem)


def _context_family(shape: _Shapes) -> str:
    """The family that a context model makes, "" where there is none."""
    if shape.has("latent_codec.y.context_prediction.weight"):
        return CHECKERBOARD
    return AUTOREGRESSIVE if shape.has("context_prediction.weight") else ""


def _residual(shape: _Shapes) -> Architecture:
    family, n = _context_family(shape), shape("g_a.0.conv1.weight", 0)
    if not family:
        raise unknown(f"residual blocks without a context model: {_seen(shape.parameters)}")
    return Architecture(family, "cheng2020", "cheng2020", n, n, n)


def _plain(shape: _Shapes, metadata: Mapping[str, str]) -> Architecture:
    n = shape("g_a.0.weight", 0)
    wide = shape("g_a.0.weight", 2) == 9
    m = shape(f"g_a.{4 if wide else 6}.weight", 0)
    backbone = "bls2017" if wide else _backbone(shape.parameters, metadata)
    family = _context_family(shape)
    prefix = "latent_codec.hyper." if family == CHECKERBOARD else ""
    if not any(name.startswith(f"{prefix}h_") for name in shape.parameters):
        return Architecture(FACTORISED, backbone, "none", n, m, 1)
    z, outputs = shape(f"{prefix}h_a.4.weight", 0), shape(f"{prefix}h_s.4.weight", 0)
    if outputs not in (m, 2 * m):
        raise unknown(f"h_s gives {outputs} channels for a latent of {m}")
    if outputs == m:
        return Architecture(SCALE, backbone, "balle2018", n, m, z)
    return Architecture(family or MEAN_SCALE, backbone, "mbt2018", n, m, z)


def _backbone(parameters: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    normalised = any(re.fullmatch(r"g_[as]\.[135]\.(beta|gamma)", name) for name in parameters)
    if "backbone" not in metadata:
        return "gdn" if normalised else "relu"
    words = re.split(r"\W+", metadata["backbone"].strip().lower(), maxsplit=1)
    if words[0] not in ("relu", "gdn", "gdn1") or (words[0] != "relu") != normalised:
        kind = "GDN" if normalised else "ReLU"
        raise unknown(f"the metadata name backbone {metadata['backbone']!r:.80}, the parameters are of {kind}")
    return words[0]


def part_of(parameters: Mapping[str, np.ndarray], part: str) -> dict[str, np.ndarray]:
    """The parameters of one codec within an ssf2020 checkpoint.

    part  "img" (key frames), or a hyperprior alone: "img_hyperprior", "motion_hyperprior", "res_hyperprior".
    Raises ModelError RC-MODEL-FAMILY where there are none.
    """
    heads = ("img_encoder.", "img_decoder.", "img_hyperprior.") if part == "img" else (f"{part}.",)
    found = {name: array for name, array in parameters.items() if name.startswith(heads)}
    if not found:
        raise unknown(f"the checkpoint holds no part {part}: {_seen(parameters)}")
    return found
