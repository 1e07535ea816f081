"""Latent means as an operation (SPEC MEAN-1 to MEAN-3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from refcodec.layers.latent_mean import (
    SYMBOL_FORMAT,
    check_mean,
    latent_format,
    latent_mean,
    latent_mean_plain,
    latent_means,
    latent_means_plain,
    mean_format,
)
from refcodec.program.operations.concatenate import common_size
from refcodec.program.operations.operation import (
    Arrays,
    Pointwise,
    Reaches,
    Several,
    Size,
    Tensor,
    Tensors,
    freeze,
    require,
)
from refcodec.program.reach import Reach


@dataclass(frozen=True, slots=True, eq=False)
class LatentMean(Pointwise):
    """Decoded symbols plus a fixed-point mean per channel (SPEC MEAN-1).

    mean  (C,) in units of 2**-fraction;  fraction  0..16.
    """

    kind: ClassVar[str] = "latent_mean"
    constants: ClassVar[dict[str, str]] = {"mean": "int32"}
    name: str
    source: str
    target: str
    fraction: int
    mean: np.ndarray

    def __post_init__(self) -> None:
        freeze(self)

    def check(self, sources: Tensors, target: Tensor) -> None:
        """Raise RefcodecError unless the formats hold every sum (SPEC MEAN-2)."""
        (source,) = sources
        check_mean(self.mean, self.fraction)
        require(
            self.mean.shape == (source.channels,) and source.channels == target.channels,
            "RC-MODEL-TENSOR",
            f"{self.name}: mean {self.mean.shape} for {source.channels} channels",
        )
        require(
            source.format == SYMBOL_FORMAT and target.format == latent_format(self.fraction),
            "RC-MODEL-RANGE",
            f"{self.name}: leads from {SYMBOL_FORMAT} to {latent_format(self.fraction)}, "
            f"not from {source.format} to {target.format}",
        )

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """Both ends of the symbols, with the mean."""
        (reach,) = reaches
        mean = self.mean.astype(np.int64)
        return Reach((reach.lo << self.fraction) + mean, (reach.hi << self.fraction) + mean)

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Fixed-point latents."""
        return latent_mean(inputs[0], self.mean, self.fraction)

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Fixed-point latents by the definition."""
        return latent_mean_plain(inputs[0], self.mean, self.fraction)


@dataclass(frozen=True, slots=True, eq=False)
class LatentMeans(Several):
    """Decoded symbols plus a fixed-point mean for each (SPEC MEAN-3).

    sources  the symbols, then the means in units of 2**-fraction;  fraction  0..16.
    """

    kind: ClassVar[str] = "latent_means"
    constants: ClassVar[dict[str, str]] = {}
    name: str
    sources: tuple[str, ...]
    target: str
    fraction: int

    def check(self, sources: Tensors, target: Tensor) -> None:
        """Raise RefcodecError unless the formats hold every sum (SPEC MEAN-2, MEAN-3)."""
        require(len(sources) == 2, "RC-MODEL-TENSOR", f"{self.name}: reads symbols and means, not {len(sources)}")
        symbols, means = sources
        require(
            symbols.channels == means.channels == target.channels,
            "RC-MODEL-TENSOR",
            f"{self.name}: channels {symbols.channels}, {means.channels} and {target.channels} differ",
        )
        widest = mean_format(self.fraction)
        require(
            means.format.signed and means.format.bits <= widest.bits,
            "RC-MODEL-RANGE",
            f"{self.name}: the means are {means.format}, {widest} or narrower wanted",
        )
        require(
            symbols.format == SYMBOL_FORMAT and target.format == latent_format(self.fraction),
            "RC-MODEL-RANGE",
            f"{self.name}: leads from {SYMBOL_FORMAT} to {latent_format(self.fraction)}, "
            f"not from {symbols.format} to {target.format}",
        )

    def size(self, *sizes: Size) -> Size:
        """The size of symbols and means.  Raises ShapeError where they differ."""
        return common_size(self.name, sizes)

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """Both ends of the symbols with both ends of the means."""
        symbols, means = reaches
        return Reach((symbols.lo << self.fraction) + means.lo, (symbols.hi << self.fraction) + means.hi)

    def intermediates(self, reaches: Reaches) -> dict[str, int]:
        """The shifted symbol."""
        return {"shifted": int(reaches[0].magnitude.max()) << self.fraction}

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Fixed-point latents."""
        symbols, means = inputs
        return latent_means(symbols, means, self.fraction)

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Fixed-point latents by the definition."""
        symbols, means = inputs
        return latent_means_plain(symbols, means, self.fraction)
