"""From a trained implicit video and its clip to a stream of a wanted size or of wanted bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from refcodec.codecs.inr.architecture import Architecture
from refcodec.codecs.inr.quantised import Video
from refcodec.codecs.inr.stream import pack
from refcodec.errors import RangeError
from refcodec.models.inr.trained import TrainedVideo
from refcodec.quantize.inr.allocation import TOLERANCE, allocate
from refcodec.quantize.inr.dependent import DependentMaker
from refcodec.quantize.inr.evaluate import Score, score, twin_psnr
from refcodec.quantize.inr.neuroquant import RECIPE, Calibration, Recipe
from refcodec.quantize.inr.objective import Objective
from refcodec.quantize.inr.rate import Maker, VariableRate, products
from refcodec.quantize.inr.rivals.methods import RIVALS
from refcodec.quantize.inr.rivals.settings import Method, Settings
from refcodec.quantize.inr.uniform import (
    BIAS_BITS,
    GRID_BITS,
    parameter_bits,
    quantise,
    weight_names,
)

NEUROQUANT = "neuroquant"
METHODS = (NEUROQUANT, *RIVALS)
STEPPED = (NEUROQUANT, "naive")  # methods that find steps before roundings

Stage = Callable[[str, float], None]  # told the name of what is done, and which part of it


@dataclass(frozen=True, slots=True)
class Target:
    """What a stream should be: one of these.

    size  bytes at most;  bits  of all weights, or of each in the network's order;  mean  bits, chosen by Omega.
    """

    size: int | None = None
    bits: tuple[int, ...] | None = None
    mean: float | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What to make.

    method  one of METHODS;  biases, grids  their bits; those of grids are chosen with a size's where they are None
    trellis  whether weights are levels of dependent quantisation on the method's steps, in the place of its roundings.
    """

    target: Target
    settings: Settings
    method: str = NEUROQUANT
    recipe: Recipe = RECIPE
    biases: int = BIAS_BITS
    grids: int | None = None
    trellis: bool = False


class Calibrated(NamedTuple):
    """A stream and what it is worth.

    content  its bytes;  bits  of every parameter;  float_psnr  of the network as trained, in dB
    naive, calibrated  what naive quantisation of the same bits gives, and the stream.
    """

    content: bytes
    bits: Mapping[str, int]
    float_psnr: float
    naive: Score
    calibrated: Score


@dataclass(frozen=True, slots=True, eq=False)
class _MethodMaker:
    """Videos by any method, probed by naive ones."""

    trained: TrainedVideo
    frames: np.ndarray
    settings: Settings
    method: Method

    def probe(self, bits: Mapping[str, int]) -> Video:
        return quantise(self.trained, bits, self.settings.granularity, self.settings.activations)

    def make(self, bits: Mapping[str, int]) -> Video:
        return self.method(self.trained, self.frames, bits, self.settings)


def calibrate(trained: TrainedVideo, frames: np.ndarray, request: Request, stage: Stage | None = None) -> Calibrated:
    """Quantise a network for its clip.

    frames  (T, H, W, 3) uint8;  stage  told what is done.
    Raises ShapeError; RangeError for sizes and bits that no stream has, and for an unknown method.
    """
    objective = Objective.of(trained, frames, request.settings.target)
    maker = maker_of(trained, frames, objective, request)
    video = _video(trained, objective, maker, request, stage or (lambda name, part: None))
    bits = {name: parameter.bits for name, parameter in video.parameters.items()}
    naive = quantise(trained, bits, request.settings.granularity, request.settings.activations)
    float_psnr = twin_psnr(trained.architecture, trained.parameters, frames)
    return Calibrated(pack(video), bits, float_psnr, score(naive, frames), score(video, frames))


def maker_of(trained: TrainedVideo, frames: np.ndarray, objective: Objective, request: Request) -> Maker:
    """What makes the videos of a request, whatever their bits.

    frames  (T, H, W, 3) uint8.  Raises RangeError for an unknown method, and for one that has no trellis.
    """
    if request.method not in METHODS:
        raise RangeError(f"unknown method {request.method!r}, known are {', '.join(METHODS)}")
    if request.trellis and request.method not in STEPPED:
        raise RangeError(f"a trellis goes with {' and '.join(STEPPED)}, whose steps are no matter of roundings")
    maker: Maker
    if request.method == NEUROQUANT:
        maker = Calibration(trained, objective, request.settings, request.recipe)
    else:
        maker = _MethodMaker(trained, frames, request.settings, RIVALS[request.method])
    return DependentMaker(trained, maker) if request.trellis else maker


def _video(trained: TrainedVideo, objective: Objective, maker: Maker, request: Request, stage: Stage) -> Video:
    target, architecture = request.target, trained.architecture
    grids = GRID_BITS if request.grids is None else request.grids
    if target.bits is not None:
        named = named_bits(architecture, target.bits)
        return maker.make(parameter_bits(architecture, named, request.biases, grids))
    chosen = request.grids if target.mean is None else grids
    total, done = products(architecture, chosen is None), 0

    def tick() -> None:
        nonlocal done
        done += 1
        stage("Omega", done / total)

    granularity = request.settings.granularity
    rates = VariableRate.of(trained, objective, maker, request.biases, chosen, granularity, tick)
    if target.mean is not None:
        return maker.make({**rates.others, **mean_bits(rates, trained, target.mean)})
    if target.size is None:
        raise RangeError("wanted a size, bits or mean bits", "RC-USAGE")
    return rates.at(target.size).video


def named_bits(architecture: Architecture, bits: Sequence[int]) -> dict[str, int]:
    """Bits of all weights, or of each in the network's order, by name.  Raises RangeError."""
    names = weight_names(architecture)
    if len(bits) not in {1, len(names)}:
        raise RangeError(f"wanted bits of all weights or of {len(names)}, got {len(bits)}")
    return dict(zip(names, [*bits] * len(names) if len(bits) == 1 else bits, strict=True))


def mean_bits(rates: VariableRate, trained: TrainedVideo, mean: float) -> dict[str, int]:
    """The bits of the least Omega whose mean over all weights is within TOLERANCE of a number.  Raises RangeError."""
    table = rates.table.in_bits(trained)
    count = sum(trained.parameters[name].size for name in table.names)
    return allocate(table, (1 - TOLERANCE) * mean * count, (1 + TOLERANCE) * mean * count)
