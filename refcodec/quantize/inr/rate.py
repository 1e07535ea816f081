"""Streams of a wanted size from one trained network, every byte counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from refcodec.codecs.inr.architecture import Architecture, parameters
from refcodec.codecs.inr.nodes import BIAS, GRID, WEIGHT
from refcodec.codecs.inr.quantised import Video
from refcodec.codecs.inr.stream import pack
from refcodec.errors import RangeError
from refcodec.quantize.inr.allocation import TOLERANCE, Table, find_bits, measure
from refcodec.quantize.inr.hessian import Tick
from refcodec.quantize.inr.neuroquant import Calibration
from refcodec.quantize.inr.objective import spread_frames
from refcodec.quantize.inr.uniform import BIAS_BITS

CHOICES = tuple(range(2, 9))
USUAL_LEAST = 3  # bits; fewer are tried only where a size asks for it
OMEGA_FRAMES = 4
SPARE = 0.01  # of a size, left for what roundings add to it
STEP_TRIES, ROUNDING_TRIES = 4, 3


class Point(NamedTuple):
    """A stream of a wanted size.

    video, size  what was made, and its bytes;  bits  of every parameter;  omega  of its choice.
    """

    video: Video
    size: int
    bits: Mapping[str, int]
    omega: float


def size_of_rate(rate: float, architecture: Architecture) -> int:
    """The bytes that so many bits per pixel of a clip are.  Raises RangeError for a rate that is not positive."""
    if not rate > 0:
        raise RangeError(f"a rate must be positive, got {rate}")
    return int(rate * architecture.frames * architecture.height * architecture.width / 8)


@dataclass(frozen=True, slots=True, eq=False)
class VariableRate:
    """A trained network about to become streams of any size.

    table  of the layers that choose their bits;  others  bits of those that have no choice.
    """

    calibration: Calibration
    table: Table
    others: Mapping[str, int]

    @classmethod
    def of(
        cls,
        calibration: Calibration,
        biases: int = BIAS_BITS,
        grids: int | None = None,
        frames: int = OMEGA_FRAMES,
        choices: Sequence[int] = CHOICES,
        tick: Tick | None = None,
    ) -> VariableRate:
        """Measure what bits cost: Omega and bytes.

        biases  their bits;  grids  theirs, or None to choose them with those of weights
        frames  how many Omega is taken over;  tick  called after each product.  Raises RangeError.
        """
        trained = calibration.trained
        batches = [[number] for number in spread_frames(trained.architecture.frames, frames)]
        wanted = parameters(trained.architecture.nodes())
        others = {p.name: biases for p in wanted if p.kind == BIAS}
        if grids is not None:
            others |= {p.name: grids for p in wanted if p.kind == GRID}
        names = [p.name for p in wanted if p.kind == WEIGHT or (p.kind == GRID and grids is None)]
        granularity = calibration.settings.granularity
        table = measure(trained, calibration.objective, names, batches, choices, others, granularity, tick)
        return cls(calibration, table, others)

    def bits_for(self, least: float, most: float) -> dict[str, int]:
        """The bits of the least Omega whose naive stream has a size from `least` to `most`, of every parameter.

        Where there are none, those whose stream is smaller still. Layers have USUAL_LEAST bits or more if that gives
        streams as small.  Raises RangeError where no stream is as small.
        """
        usual = self.table.at_least(USUAL_LEAST)
        for table, lowest in ((usual, least), (self.table, least), (usual, 0.0), (self.table, 0.0)):
            bits = find_bits(table, lowest, most) if table.choices else None
            if bits:
                return {**self.others, **bits}
        raise RangeError(f"{most:.0f} bytes are too few: the smallest stream needs {self.table.smallest:.0f}")

    def at(self, size: int) -> Point:
        """A stream of at most so many bytes, and within TOLERANCE of them where bits are fine enough for that.

        Calibrated steps change what integers cost, and roundings do so again: where that leaves the sizes wanted,
        bits are chosen anew by what was found.  Raises RangeError where there are too few bytes.
        """
        growth, tried = 1.0, None
        for _ in range(ROUNDING_TRIES):
            for _ in range(STEP_TRIES):
                bits = self.bits_for((1 - TOLERANCE) * size / growth, (1 - SPARE) * size / growth)
                if bits == tried:
                    break
                tried, naive = bits, self.table.size(self.table.picks(bits))
                patterns = self.calibration.steps(bits)
                found = len(pack(self.calibration.nearest(bits, patterns)))
                if (1 - TOLERANCE) * size <= found <= (1 - SPARE) * size:
                    break
                growth = found / naive
            video = self.calibration.rounded(bits, patterns)
            found = len(pack(video))
            if found <= size:
                return Point(video, found, bits, self.table.omega(self.table.picks(bits)))
            growth = max(growth, found / naive)
        raise RangeError(f"no stream of {size} bytes was found: the nearest has {found}")


def variable_rate(rates: VariableRate, sizes: Iterable[int]) -> Iterator[Point]:
    """Streams of several sizes from one trained network, without training it again.  Raises RangeError."""
    return map(rates.at, sizes)
