"""Streams of a wanted size from one trained network, every byte counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from refcodec.codecs.inr.architecture import Architecture, parameters
from refcodec.codecs.inr.nodes import BIAS, GRID, WEIGHT
from refcodec.codecs.inr.quantised import Video
from refcodec.codecs.inr.stream import pack
from refcodec.errors import RangeError
from refcodec.models.inr.trained import TrainedVideo
from refcodec.quantize.inr.allocation import TOLERANCE, Table, find_bits, measure
from refcodec.quantize.inr.hessian import Tick
from refcodec.quantize.inr.objective import Objective, spread_frames
from refcodec.quantize.inr.uniform import BIAS_BITS, CHANNEL

CHOICES = tuple(range(2, 9))
USUAL_LEAST = 3  # bits; fewer are tried only where a size asks for it
OMEGA_FRAMES = 4
SPARE = 0.01  # of a size, left for what roundings add to it
PROBE_TRIES, MAKE_TRIES = 4, 3


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


class Maker(Protocol):
    """Makes videos of any bits of every parameter.

    probe  something sooner made that is of about the same size;  make  the video itself.
    """

    def probe(self, bits: Mapping[str, int]) -> Video: ...

    def make(self, bits: Mapping[str, int]) -> Video: ...


@dataclass(frozen=True, slots=True, eq=False)
class VariableRate:
    """A trained network about to become streams of any size.

    maker  of its videos;  table  of the layers that choose their bits;  others  bits of those that have no choice.
    """

    maker: Maker
    table: Table
    others: Mapping[str, int]

    @classmethod
    def of(
        cls,
        trained: TrainedVideo,
        objective: Objective,
        maker: Maker,
        biases: int = BIAS_BITS,
        grids: int | None = None,
        granularity: str = CHANNEL,
        tick: Tick | None = None,
    ) -> VariableRate:
        """Measure what bits cost: Omega and bytes.

        objective  whose error Omega is about;  biases  their bits
        grids  theirs, or None to choose them with those of weights
        tick  called after each of `products` products.  Raises RangeError.
        """
        architecture = trained.architecture
        wanted = parameters(architecture.nodes())
        others = {p.name: biases for p in wanted if p.kind == BIAS}
        if grids is not None:
            others |= {p.name: grids for p in wanted if p.kind == GRID}
        batches = [[number] for number in spread_frames(architecture.frames, OMEGA_FRAMES)]
        names = choosing(architecture, grids is None)
        table = measure(trained, objective, names, batches, CHOICES, others, granularity, tick)
        return cls(maker, table, others)

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

        What integers cost changes with calibrated steps, and again with roundings: where that leaves the sizes wanted,
        bits are chosen anew by what was found.  Raises RangeError where there are too few bytes.
        """
        growth = 1.0
        for _ in range(MAKE_TRIES):
            bits, growth = self._probed(size, growth)
            video = self.maker.make(bits)
            found = len(pack(video))
            picks = self.table.picks(bits)
            if found <= size:
                return Point(video, found, bits, self.table.omega(picks))
            growth = found / self.table.size(picks)
        raise RangeError(f"no stream of {size} bytes was found: the nearest has {found}")

    def _probed(self, size: int, growth: float) -> tuple[dict[str, int], float]:
        """Bits whose probe has the size wanted, and what it grew over the naive stream.

        growth  what videos grow by as far as is known.
        """
        tried: dict[str, int] = {}
        for _ in range(PROBE_TRIES):
            bits = self.bits_for((1 - TOLERANCE) * size / growth, (1 - SPARE) * size / growth)
            found = len(pack(self.maker.probe(bits)))
            if bits == tried or (1 - TOLERANCE) * size <= found <= (1 - SPARE) * size:
                break
            tried, growth = bits, found / self.table.size(self.table.picks(bits))
        return bits, growth


def choosing(architecture: Architecture, grids: bool) -> list[str]:
    """The parameters that choose their bits: weights, and grids or not."""
    return [p.name for p in parameters(architecture.nodes()) if p.kind == WEIGHT or (p.kind == GRID and grids)]


def products(architecture: Architecture, grids: bool) -> int:
    """How many products with the Hessian a table needs."""
    return len(choosing(architecture, grids)) * len(CHOICES) * min(OMEGA_FRAMES, architecture.frames)


def variable_rate(rates: VariableRate, sizes: Iterable[int]) -> Iterator[Point]:
    """Streams of several sizes from one trained network, without training it again.  Raises RangeError."""
    return map(rates.at, sizes)
