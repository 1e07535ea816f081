"""Train an entropy model on frozen latents: `python tools/train_entropy.py MODEL PICTURES --kind KIND -o OUT`.

MODEL holds trained transforms g_a and g_s (CompressAI's names, or the bls2017 archive). Its latents of all pictures and
of their flips are computed once and stay as they are; what is trained is everything that turns a latent into bits: h_a,
h_s, the factorised density and, where the kind has them, the context model and the entropy parameters. The layers are
those of `refcodec.models.layouts`, run in PyTorch. The loss is bits a pixel of y and of z, both under uniform noise; a
context is made of y rounded about its means. Afterwards OUT is measured on the pictures of `--kodak` with refcodec's
own float twin and entropy coder, which share no arithmetic with the training; the figures stand beside it as JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import math
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from refcodec.codecs.latent_coding import channel_rows
from refcodec.codecs.picture import crop, geometry_of_shape, in_colour, read_picture
from refcodec.entropy.rans import encode as rans_encode
from refcodec.errors import FileError, ModelError, RangeError, RefcodecError
from refcodec.files import read_bytes, write_bytes
from refcodec.layers.masked_convolution import live_taps
from refcodec.metrics.psnr import psnr
from refcodec.models.architecture import (
    AUTOREGRESSIVE,
    CHECKERBOARD,
    ENTROPY_PARAMETERS,
    MEAN_SCALE,
    SCALE,
    Architecture,
)
from refcodec.models.checkpoint import load_parameters, read_metadata, save_parameters
from refcodec.models.densities import GAUSSIAN_TAIL, LAYERS, factorised_tables, gaussian_tables
from refcodec.models.encoder import float_planes
from refcodec.models.float_codec import LATENT_STRIDE, FloatCodec, anchors
from refcodec.models.layouts import CONTEXT_KERNEL, networks
from refcodec.models.network import LEAKY_SLOPE, QRELU_LIMIT, SMALLEST_SCALE, Activation, Convolution, Join, Network
from refcodec.models.parameters import density_shapes
from refcodec.quantize.photographs import find_photographs

# kind -> family, layout of its hyperprior, CompressAI's name
KINDS = {
    "scale": (SCALE, "balle2018", "bmshj2018-hyperprior"),
    "mean-scale": (MEAN_SCALE, "mbt2018", "mbt2018-mean"),
    "checkerboard": (CHECKERBOARD, "mbt2018", "mbt2018-mean with the context model of cheng2020-anchor-checkerboard"),
    "autoregressive": (AUTOREGRESSIVE, "mbt2018", "mbt2018"),
    "ssf": (ENTROPY_PARAMETERS, "ssf2020", "img_hyperprior of ssf2020"),
}
BACKBONES = ("relu", "gdn", "gdn1", "bls2017")  # transforms with these layouts take every kind
TRANSFORMS = ("g_a.", "g_s.")
TRAINED = ("h_a", "h_s", "context", "entropy_parameters")
PICTURE_MULTIPLE = 64  # pictures are cropped to it: no padding is learned
WINDOW = 16  # side of what is trained on, in latent positions; every kind's hyper-latent fits
FIRST_RATE, LAST_RATE = 1e-3, 1e-4  # of Adam, along half a cosine
LARGEST_GRADIENT = 1.0  # norm of all of them
SMALLEST_LIKELIHOOD = 1e-9
DENSITY_SCALE = 10.0  # how wide the factorised density starts
FARTHEST_QUANTILE = 1024.0
HALVINGS = 48  # of an interval 2 * FARTHEST_QUANTILE wide: past float32
LOG_EVERY = 500

Tensor = Any  # torch.Tensor: PyTorch is no requirement of the project
Arrays = Mapping[str, np.ndarray]


# --- what is learned, in PyTorch


def import_torch() -> Any:
    """PyTorch, held to one thread.  Raises RefcodecError RC-EXTRA where it is missing."""
    try:
        torch = importlib.import_module("torch")
    except ImportError as error:
        raise RefcodecError("RC-EXTRA", "training needs the package torch: pip install torch") from error
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    return torch


def at_least(torch: Any, x: Tensor, bound: float) -> Tensor:
    """max(x, bound) whose gradient also passes below the bound where it leads upwards (CompressAI `LowerBound`)."""
    held = x + (x.clamp(min=bound) - x).detach()
    if held.requires_grad:
        below = x.detach() < bound
        held.register_hook(lambda gradient: torch.where(below & (gradient > 0), 0.0, gradient))
    return held


@dataclass(frozen=True, slots=True, eq=False)
class EntropyModel:
    """The networks and the factorised density of one architecture with parameters that can learn.

    parameters  tensors by CompressAI's names.
    """

    torch: Any
    architecture: Architecture
    networks: Mapping[str, Network]
    parameters: Mapping[str, Tensor]

    def run(self, network: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Every tensor of a network for a batch (B, C, H, W)."""
        tensors = dict(inputs)
        for node in self.networks[network].nodes:
            if isinstance(node, Convolution):
                tensors[node.name] = self._convolution(node, tensors[node.source])
            elif isinstance(node, Activation):
                tensors[node.name] = self._activation(node.form, tensors[node.source])
            elif isinstance(node, Join):
                tensors[node.name] = self.torch.cat([tensors[name] for name in node.reads], 1)
            else:
                raise TypeError(f"{node.name}: no entropy model has a {type(node).__name__}")
        return tensors

    def _convolution(self, node: Convolution, x: Tensor) -> Tensor:
        functional = self.torch.nn.functional
        used = slice(node.first, node.first + node.outputs)
        weight, bias = self.parameters[f"{node.prefix}.weight"], self.parameters[f"{node.prefix}.bias"][used]
        border = node.kernel // 2
        if node.transposed:
            return functional.conv_transpose2d(x, weight[:, used], bias, node.stride, border, node.stride - 1)
        weight = weight[used]
        if node.mask:
            weight = weight * self.torch.from_numpy(live_taps(node.mask, node.kernel))
        return functional.conv2d(x, weight, bias, node.stride, 0 if node.valid else border)

    def _activation(self, form: str, x: Tensor) -> Tensor:
        if form == "relu":
            return x.relu()
        if form == "leaky":
            return self.torch.nn.functional.leaky_relu(x, float(LEAKY_SLOPE))
        if form == "qrelu":
            return x.clamp(0, float(QRELU_LIMIT))
        return at_least(self.torch, x, float(SMALLEST_SCALE)) if form == "scale" else x

    # the factorised density

    def density_logits(self, values: Tensor) -> Tensor:
        """The cumulative density before its sigmoid, (C, 1, L), at values of that shape."""
        torch, prefix = self.torch, self.architecture.bottleneck
        for i in range(LAYERS):
            matrix = torch.nn.functional.softplus(self.parameters[f"{prefix}matrices.{i}"])
            values = matrix @ values + self.parameters[f"{prefix}biases.{i}"]
            if i < LAYERS - 1:
                values = values + self.parameters[f"{prefix}factors.{i}"].tanh() * values.tanh()
        return values

    def hyper_bits(self, z: Tensor) -> Tensor:
        """Bits of a hyper-latent (B, C, h, w), a scalar."""
        values = z.transpose(0, 1).reshape(z.shape[1], 1, -1)
        lower, upper = self.density_logits(values - 0.5), self.density_logits(values + 0.5)
        side = -(lower + upper).sign().detach()  # a sigmoid is exact where it is small
        likelihood = ((side * upper).sigmoid() - (side * lower).sigmoid()).abs()
        return -at_least(self.torch, likelihood, SMALLEST_LIKELIHOOD).log2().sum()

    # the conditional density

    def latent_bits(self, deviations: Tensor, scales: Tensor) -> Tensor:
        """Bits of deviations from Gaussian means, a scalar."""

        def below(x: Tensor) -> Tensor:
            return 0.5 * (-(2**-0.5) * x).erfc()

        distance = deviations.abs()
        likelihood = below((0.5 - distance) / scales) - below((-0.5 - distance) / scales)
        return -at_least(self.torch, likelihood, SMALLEST_LIKELIHOOD).log2().sum()

    def distribution(self, y: Tensor, z_hat: Tensor) -> tuple[Tensor, Tensor]:
        """Means and scales (B, M, h, w) that a decoder would know of a latent."""
        known = self.run("h_s", {"z_hat": z_hat})
        if self.architecture.mask == "checkerboard":
            return self._two_passes(y, known["side"])
        if self.architecture.mask == "causal":
            return self._raster(y, known["side"])
        return known.get("means", self.torch.zeros_like(y)), known["scales"]

    def _parameters(self, side: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        found = self.run("entropy_parameters", {"side": side, "context": context})
        return found["means"], found["scales"]

    def _context(self, y_hat: Tensor) -> Tensor:
        """Of latents that are constants: rounding passes no gradient to the means that it was about."""
        border = CONTEXT_KERNEL // 2 if self.architecture.mask == "causal" else 0
        padded = self.torch.nn.functional.pad(y_hat.detach(), (border,) * 4)
        return self.run("context", {"y_hat": padded})["context"]

    def _two_passes(self, y: Tensor, side: Tensor) -> tuple[Tensor, Tensor]:
        """Anchors from side information alone; the others from the anchors as well."""
        height, width = y.shape[2:]
        first = self.torch.from_numpy(anchors(height, width, 0))
        means, scales = self._parameters(side, self.torch.zeros_like(side))
        context = self._context(first * rounded_about(y, means))
        later_means, later_scales = self._parameters(side, context)
        return self.torch.where(first, means, later_means), self.torch.where(first, scales, later_scales)

    def _raster(self, y: Tensor, side: Tensor) -> tuple[Tensor, Tensor]:
        """All positions at once: the means that neighbours were rounded about are foretold from unrounded ones."""
        with self.torch.no_grad():
            foretold, _ = self._parameters(side, self._context(y))
        return self._parameters(side, self._context(rounded_about(y, foretold)))


def rounded_about(y: Tensor, means: Tensor) -> Tensor:
    """What a decoder makes of y."""
    return (y - means).round() + means


def starting_value(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """A parameter before training: convolutions keep the variance, the density is DENSITY_SCALE wide."""
    kind = name.rsplit(".", 2)[-2]
    if kind == "matrices":
        return np.full(shape, math.log(math.expm1(DENSITY_SCALE ** (-1 / LAYERS) / shape[1])), np.float32)
    if kind == "biases":
        return rng.uniform(-0.5, 0.5, shape).astype(np.float32)
    if not name.endswith(".weight"):
        return np.zeros(shape, np.float32)
    reach = math.sqrt(3 / math.prod(shape[1:]))
    return rng.uniform(-reach, reach, shape).astype(np.float32)


def trained_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """The parameters that training finds, by name; quantiles are computed afterwards."""
    found = networks(architecture)
    shapes = {name: shape for net in TRAINED if net in found for name, shape in found[net].shapes().items()}
    shapes |= density_shapes(architecture.bottleneck, architecture.density_channels)
    return {name: shape for name, shape in shapes.items() if not name.endswith(".quantiles")}


def bare(name: str) -> str:
    """A parameter's name without the home that the checkerboard codec gives it."""
    return re.sub(r"^latent_codec\.(hyper|y)\.", "", name)


def start(torch: Any, architecture: Architecture, earlier: Arrays, rng: np.random.Generator) -> EntropyModel:
    """A model whose parameters are those of an earlier one where bare name and shape agree, and random elsewhere."""
    known = {bare(name): array for name, array in earlier.items()}
    parameters = {}
    for name, shape in trained_shapes(architecture).items():
        value = starting_value(name, shape, rng)
        if bare(name) in known and known[bare(name)].shape == shape:
            value = known[bare(name)].astype(np.float32)
        parameters[name] = torch.from_numpy(value).requires_grad_()
    return EntropyModel(torch, architecture, networks(architecture), parameters)


# --- latents


def flips(picture: np.ndarray) -> Iterator[np.ndarray]:
    """A picture (H, W, 3) and its three mirror images."""
    for across in (picture, picture[:, ::-1]):
        yield from (across, across[::-1])


def compute_latents(source: FloatCodec, folders: Sequence[Path]) -> dict[str, np.ndarray]:
    """Latents (M, h, w) float32 of every picture and of its flips, sides cropped to multiples of PICTURE_MULTIPLE."""
    latents: dict[str, np.ndarray] = {}
    paths = [path for folder in folders for path in find_photographs(folder, sys.maxsize)]
    for path in tqdm(paths, desc="latents", unit="picture", disable=None, leave=False):
        for picture in flips(in_colour(read_picture(path))):
            height, width = (n - n % PICTURE_MULTIPLE for n in picture.shape[:2])
            planes = float_planes(np.ascontiguousarray(picture[:height, :width]), PICTURE_MULTIPLE)
            latents[f"{len(latents):06}"] = source.analysis(planes)
    return latents


def find_latents(source: FloatCodec, folders: Sequence[Path], kept: Path | None, digest: str) -> list[np.ndarray]:
    """The latents to train on; `kept` holds those of an earlier run of the same model, or is written.

    Raises FileError RC-FILE-READ where `kept` belongs to another model, or no latent is large enough.
    """
    if kept is None or not kept.exists():
        latents = compute_latents(source, folders)
        if kept is not None:
            save_parameters(kept, latents, {"model_sha256": digest})
    elif read_metadata(kept).get("model_sha256") == digest:
        latents = load_parameters(kept)
    else:
        raise FileError("RC-FILE-READ", f"{kept} holds the latents of another model")
    usable = [latent for latent in latents.values() if min(latent.shape[1:]) >= WINDOW]
    if not usable:
        raise FileError("RC-FILE-READ", f"no picture has {WINDOW * LATENT_STRIDE} samples a side")
    return usable


def batch(latents: Sequence[np.ndarray], size: int, rng: np.random.Generator) -> np.ndarray:
    """Random windows of random latents, (B, M, WINDOW, WINDOW) float32."""
    windows = []
    for index in rng.integers(len(latents), size=size):
        top, left = (rng.integers(n - WINDOW + 1) for n in latents[index].shape[1:])
        windows.append(latents[index][:, top : top + WINDOW, left : left + WINDOW])
    return np.stack(windows)


# --- training


def losses(model: EntropyModel, y: Tensor) -> tuple[Tensor, Tensor]:
    """Bits a pixel of a batch of latents and of its hyper-latents, both under noise."""
    torch = model.torch
    read = y.abs() if model.architecture.hyper == "balle2018" else y
    z = model.run("h_a", {"y": read})["z"]
    noisy = z + torch.rand_like(z) - 0.5
    means, scales = model.distribution(y, noisy)
    deviations = y + torch.rand_like(y) - 0.5 - means
    pixels = y[:, 0].numel() * LATENT_STRIDE**2
    return model.latent_bits(deviations, scales) / pixels, model.hyper_bits(noisy) / pixels


def train(
    model: EntropyModel, latents: Sequence[np.ndarray], iterations: int, windows: int, rng: np.random.Generator
) -> None:
    """Fit the parameters of a model in place, to batches of `windows`, with a line of progress now and then."""
    torch = model.torch
    weights = list(model.parameters.values())
    adam = torch.optim.Adam(weights, FIRST_RATE)
    began, sums = time.monotonic(), np.zeros(2)
    for iteration in range(iterations):
        done = iteration / iterations
        adam.param_groups[0]["lr"] = LAST_RATE + (FIRST_RATE - LAST_RATE) * (1 + math.cos(math.pi * done)) / 2
        y = torch.from_numpy(batch(latents, windows, rng))
        y_loss, z_loss = losses(model, y)
        adam.zero_grad()
        (y_loss + z_loss).backward()
        torch.nn.utils.clip_grad_norm_(weights, LARGEST_GRADIENT)
        adam.step()
        sums += (y_loss.item(), z_loss.item())
        if (iteration + 1) % LOG_EVERY == 0:
            y_rate, z_rate = sums / LOG_EVERY
            spent = f"{time.monotonic() - began:.0f} s"
            print(f"{iteration + 1:>7}  y {y_rate:.4f}  z {z_rate:.4f}  bpp  {spent}", flush=True)
            sums[:] = 0


def quantiles(model: EntropyModel) -> np.ndarray:
    """Where the factorised density leaves half a tail below, has its median, and leaves half a tail above.

    Returns (C, 1, 3) float32, by bisection of the rising logits.
    """
    torch = model.torch
    tail = math.log(2 / GAUSSIAN_TAIL - 1)
    wanted = torch.tensor([-tail, 0.0, tail])
    low = torch.full((model.architecture.density_channels, 1, 3), -FARTHEST_QUANTILE)
    high = -low
    with torch.no_grad():
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            under = model.density_logits(middle) < wanted
            low, high = torch.where(under, middle, low), torch.where(under, high, middle)
    return high.numpy()


def trained_parameters(model: EntropyModel) -> dict[str, np.ndarray]:
    """What was learned, with quantiles and masks, dead weights zero."""
    arrays = {name: tensor.detach().numpy().copy() for name, tensor in model.parameters.items()}
    arrays[f"{model.architecture.bottleneck}quantiles"] = quantiles(model)
    if model.architecture.mask:
        prefix = model.architecture.context_prefix
        live = live_taps(model.architecture.mask, CONTEXT_KERNEL)
        arrays[f"{prefix}.weight"] *= live
        arrays[f"{prefix}.mask"] = np.broadcast_to(live, arrays[f"{prefix}.weight"].shape).astype(np.float32)
    return arrays


# --- figures


@dataclass(frozen=True, slots=True)
class Figures:
    """One picture: PSNR in dB of its 8-bit reconstruction, and real bytes of its two payloads as bits a pixel."""

    name: str
    psnr: float
    y_rate: float
    z_rate: float

    @property
    def rate(self) -> float:
        """Bits a pixel of both."""
        return self.y_rate + self.z_rate


def measure(source: FloatCodec, codec: FloatCodec, path: Path) -> Figures:
    """Code a picture with the float twin of a codec; the transforms of `source` serve one that has none."""
    outer = codec if "g_a" in codec.networks else source
    picture = in_colour(read_picture(path))
    planes = float_planes(picture, codec.multiple)
    coded = codec.code(outer.analysis(planes))
    if coded.z is None or coded.indexes is None:
        raise TypeError("a codec without hyperprior has no entropy model to measure")
    rows = channel_rows(coded.z.shape[0], coded.z.shape[1:])
    z_bytes = rans_encode(coded.z, rows, factorised_tables(codec.parameters, codec.architecture.bottleneck))
    y_bytes = rans_encode(coded.y, coded.indexes, gaussian_tables())
    decoded = np.clip(np.rint(outer.synthesis(coded.y_hat) * 255), 0, 255).astype(np.uint8)
    bits = 8 / (picture.shape[0] * picture.shape[1])
    decoded = crop(decoded, geometry_of_shape(picture.shape))
    return Figures(path.stem, psnr(picture, decoded), len(y_bytes) * bits, len(z_bytes) * bits)


def mean(figures: Sequence[Figures]) -> Figures:
    """The mean over pictures."""
    columns = [[f.psnr, f.y_rate, f.z_rate] for f in figures]
    return Figures("mean", *(float(column) for column in np.mean(columns, 0)))


def report(metadata: Mapping[str, str], figures: Sequence[Figures]) -> str:
    """Metadata and figures as JSON: a row is a picture's name, PSNR in dB, and bits a pixel in all, of y and of z."""
    rows = [[f.name, round(f.psnr, 3), *(round(rate, 4) for rate in (f.rate, f.y_rate, f.z_rate))] for f in figures]
    return json.dumps({"meta": metadata, "kodak": rows}, indent=1) + "\n"


# --- the command


def wanted_architecture(kind: str, source: Architecture, channels: int) -> Architecture:
    """The architecture of a kind for the latents of `source`; `channels` of the hyper-latent, but for ssf."""
    family, hyper, _ = KINDS[kind]
    if kind == "ssf":
        return Architecture(family, "none", hyper, 1, source.m, source.m, "img")
    return Architecture(family, source.backbone, hyper, source.n, source.m, channels)


def transforms(parameters: Arrays) -> dict[str, np.ndarray]:
    """The parameters of g_a and g_s."""
    return {name: array for name, array in parameters.items() if name.startswith(TRANSFORMS)}


def compact(parameters: Arrays) -> dict[str, np.ndarray]:
    """Convolutions rounded to float16, without masks: half the file; the density stays as it is."""
    kept = {name: array for name, array in parameters.items() if not name.endswith(".mask")}
    return {name: array.astype(np.float16) if array.ndim == 4 else array for name, array in kept.items()}


def description(args: argparse.Namespace, architecture: Architecture, digest: str) -> dict[str, str]:
    """The texts stored with a trained model; iterations count those of the runs that it was started from."""
    earlier = int(read_metadata(args.start).get("iterations", 0)) if args.start else 0
    inherited = {key: text for key, text in read_metadata(args.model).items() if key in ("backbone", "lambda_")}
    return inherited | {
        "architecture": KINDS[args.kind][2],
        "N": str(architecture.n),
        "M": str(architecture.m),
        "hyper_channels": str(architecture.z),
        "iterations": str(earlier + args.iterations),
        "loss": "bpp of y and z on frozen latents",
        "optimizer": f"Adam {FIRST_RATE} to {LAST_RATE} cosine, clip {LARGEST_GRADIENT}, batch {args.windows}, "
        f"{WINDOW}x{WINDOW} windows of latents, flips, seed {args.seed}",
        "transforms_sha256": digest,
    }


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="train an entropy model on the frozen latents of trained transforms")
    parser.add_argument("model", type=Path, help="checkpoint whose g_a and g_s are kept")
    parser.add_argument("pictures", type=Path, nargs="+", help="folders of pictures to train on")
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--iterations", type=int, default=20000)
    parser.add_argument("--windows", type=int, default=8, help="windows of latents in a batch")
    parser.add_argument("--channels", type=int, default=32, help="channels of the hyper-latent")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=Path, help="checkpoint to start from where names and shapes agree")
    parser.add_argument("--latents", type=Path, help="keep the latents in this file, or take them from it")
    parser.add_argument("--kodak", type=Path, help="folder of the odd Kodak pictures, for the final figures")
    parser.add_argument("--parts", action="store_true", help="write the entropy model without g_a and g_s")
    parser.add_argument("--compact", action="store_true", help="round convolutions to float16, leave masks out")
    parser.add_argument("-o", "--output", type=Path, required=True)
    return parser.parse_args()


def check(args: argparse.Namespace, source: FloatCodec) -> None:
    """Refuse what cannot be trained, before it takes time.  Raises RangeError, ModelError RC-MODEL-FAMILY."""
    if args.iterations < 0 or args.windows < 1 or args.channels < 1:
        raise RangeError("iterations must be 0 or more, windows and channels 1 or more")
    if source.architecture.backbone not in BACKBONES or source.architecture.stem:
        kind = f"{source.architecture.family} with backbone {source.architecture.backbone}"
        raise ModelError("RC-MODEL-FAMILY", f"{args.model}: wanted backbone {', '.join(BACKBONES)}, got {kind}")


def run(args: argparse.Namespace) -> None:
    """Train, measure and write."""
    torch = import_torch()
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    digest = hashlib.sha256(read_bytes(args.model)).hexdigest()
    loaded = load_parameters(args.model)
    source = FloatCodec(loaded, read_metadata(args.model))
    check(args, source)
    latents = find_latents(source, args.pictures, args.latents, digest)
    architecture = wanted_architecture(args.kind, source.architecture, args.channels)
    model = start(torch, architecture, load_parameters(args.start) if args.start else {}, rng)
    print(f"{args.kind}: {sum(t.numel() for t in model.parameters.values())} parameters, {len(latents)} latents")
    train(model, latents, args.iterations, args.windows, rng)
    write(args, source, loaded, trained_parameters(model), description(args, architecture, digest))


def write(
    args: argparse.Namespace, source: FloatCodec, loaded: Arrays, learned: Arrays, metadata: dict[str, str]
) -> None:
    """Write the trained model, and its figures where pictures are given."""
    whole = {**({} if args.kind == "ssf" else transforms(loaded)), **learned}
    if args.compact:
        whole = compact(whole)
    if args.kodak:
        codec = FloatCodec(whole, metadata)
        figures = [measure(source, codec, path) for path in find_photographs(args.kodak, sys.maxsize)]
        all_of_them = mean(figures)
        metadata["kodak_odd_mean_psnr_db"] = f"{all_of_them.psnr:.3f}"
        metadata["kodak_odd_mean_bpp"] = f"{all_of_them.rate:.4f}"
        print(f"{all_of_them.psnr:.3f} dB, {all_of_them.rate:.4f} bpp, of these {all_of_them.z_rate:.4f} for z")
        write_bytes(args.output.with_suffix(".json"), report(metadata, figures).encode())
    kept = {name: array for name, array in whole.items() if not (args.parts and name.startswith(TRANSFORMS))}
    save_parameters(args.output, kept, metadata)


def main() -> None:
    """Parse the command line and train."""
    try:
        run(parse())
    except RefcodecError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
