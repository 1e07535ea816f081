"""The datapath on real tensors: picks a layer's input from a decoded stream and hands it to `hw` (SPEC HW-5, HW-7)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hw.convert import convert_layer
from hw.cosim import CosimResult, cosim
from hw.simulate import SimulationResult, simulate_layer
from refcodec.codecs.codec import Codec
from refcodec.codecs.family import codec_of
from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.describe import table
from refcodec.errors import HardwareError
from refcodec.files import read_bytes
from refcodec.models.shipped import DEFAULT_MODEL, DEFAULT_STREAM, shipped_path
from refcodec.program.model_file import Model, load_model
from refcodec.program.operations import Convolution, TransposedConvolution
from refcodec.program.program import Program

SMALL_TILE = (2, 2)  # what MyHDL and GHDL simulate in seconds; smaller where the tensor is
Taps = dict[str, np.ndarray]
Lanes = tuple[int, int]


def photograph_latents() -> tuple[np.ndarray, np.ndarray]:
    """The symbols y and z of the shipped photograph; they do not depend on the precision of the decoder."""
    codec = ScaleHyperprior.from_model(load_model(shipped_path(DEFAULT_MODEL, ".rcm")))
    taps: Taps = {}
    latents, _ = codec.decode_latents(shipped_path(DEFAULT_STREAM, ".rcb").read_bytes(), taps.__setitem__)
    return latents.y, taps[codec.h_s.input.name]


def run_programs(codec: ScaleHyperprior, y: np.ndarray, z: np.ndarray) -> Taps:
    """Every tensor of both programs on these latents."""
    taps: Taps = {}
    codec.h_s.run(z, taps.__setitem__)
    codec.g_s.run(y, taps.__setitem__)
    return taps


def stream_taps(codec: Codec, stream: str | None) -> Taps:
    """Every tensor of a stream's decode, or of the shipped photograph's latents in this model.

    Raises FileError RC-FILE-READ, StreamError, HardwareError RC-HW-CONFIG where the photograph does not fit the model.
    """
    if stream is None:
        y, z = photograph_latents()
        if not isinstance(codec, ScaleHyperprior) or (y.shape[0], z.shape[0]) != (
            codec.g_s.input.channels,
            codec.h_s.input.channels,
        ):
            raise HardwareError("RC-HW-CONFIG", "the shipped photograph does not fit this model, give --stream")
        return run_programs(codec, y, z)
    taps: Taps = {}
    codec.decode(read_bytes(stream), taps.__setitem__)
    return taps


def layers(codec: Codec) -> dict[str, Program]:
    """Name of every layer that the engine runs and whose input a decode reports, in order of decoding, its program."""
    reported = codec.formats()
    return {
        op.name: program
        for program in codec.programs
        for op in program.operations
        if isinstance(op, Convolution | TransposedConvolution) and op.source in reported
    }


def layer_input(codec: Codec, layer: str, taps: Taps, tile: tuple[int, int] | None) -> np.ndarray:
    """What the layer reads: the whole tensor, or the tile (height, width) in its middle.

    Raises HardwareError RC-HW-CONFIG for an unknown layer or a tile larger than the tensor.
    """
    known = layers(codec)
    if layer not in known:
        raise HardwareError("RC-HW-CONFIG", f"no layer {layer!r}; there are {', '.join(known)}")
    x = taps[known[layer].operation(layer).reads[0]]
    if tile is None:
        return x
    if not all(1 <= wanted <= size for wanted, size in zip(tile, x.shape[1:], strict=True)):
        raise HardwareError("RC-HW-CONFIG", f"tile {tile[0]}x{tile[1]} does not fit {x.shape[1]}x{x.shape[2]}")
    top, left = ((size - wanted) // 2 for wanted, size in zip(tile, x.shape[1:], strict=True))
    return x[:, top : top + tile[0], left : left + tile[1]]


def small_input(codec: Codec, layer: str, taps: Taps, tile: tuple[int, int] = SMALL_TILE) -> np.ndarray:
    """The middle of what the layer reads, no larger than `tile` and no larger than there is."""
    height, width = layer_input(codec, layer, taps, None).shape[1:]
    return layer_input(codec, layer, taps, (min(tile[0], height), min(tile[1], width)))


@dataclass(frozen=True, slots=True)
class SimulationReport:
    """Outcome of `simulate`."""

    layer: str
    result: SimulationResult

    @property
    def passed(self) -> bool:
        """Whether values and cycle count agree with the golden layer and the formula."""
        return self.result.equal

    def as_json(self) -> dict[str, Any]:
        """The report for machines."""
        found = self.result
        return {
            "layer": self.layer,
            "passed": self.passed,
            "values": int(found.expected.size),
            "different": found.mismatches,
            "cycles": found.cycles,
            "expected_cycles": found.expected_cycles,
            "load_cycles": found.load_cycles,
        }

    def as_text(self) -> str:
        """The report for people."""
        found = self.result
        return (
            f"{self.layer}: {found.expected.size} values, {found.mismatches} different, "
            f"{found.cycles} cycles, {found.expected_cycles} by the formula"
        )


@dataclass(frozen=True, slots=True)
class CosimReport:
    """Outcome of `cosimulate`: one entry per simulator."""

    results: list[CosimResult]

    @property
    def passed(self) -> bool:
        """Whether at least one simulator ran, and all that ran agree."""
        states = {result.status for result in self.results}
        return "passed" in states and "failed" not in states

    def as_json(self) -> dict[str, Any]:
        """The report for machines."""
        return {"passed": self.passed, "simulators": [asdict(result) for result in self.results]}

    def as_text(self) -> str:
        """The report for people."""
        rows = [[r.simulator, r.status, r.mismatches, r.cycles, r.expected_cycles, r.reason] for r in self.results]
        return table(rows, ["simulator", "status", "different", "cycles", "expected", "reason"])


def simulate(
    model: Model, layer: str, lanes: Lanes, stream: str | None, tile: tuple[int, int] | None, vcd: str | None
) -> SimulationReport:
    """Simulate a layer in MyHDL on a tile of a stream's tensors.

    lanes  PI and PO;  stream  path or None for the shipped photograph;  tile  height and width, None for 2x2
    vcd  wave file to write, or None.  Raises HardwareError, FileError, StreamError.
    """
    codec = codec_of(model)
    taps = stream_taps(codec, stream)
    x = small_input(codec, layer, taps) if tile is None else layer_input(codec, layer, taps, tile)
    return SimulationReport(layer, simulate_layer(layers(codec)[layer], layer, x, *lanes, vcd=vcd))


def convert(
    model: Model,
    layer: str,
    lanes: Lanes,
    stream: str | None,
    tile: tuple[int, int] | None,
    language: str,
    output: str,
) -> dict[str, Any]:
    """Write a layer as HDL with its test bench and a stream's tensors as vectors (arguments as of `simulate`).

    tile  None for the whole layer;  language  "verilog" or "vhdl".  Returns the manifest.
    """
    codec = codec_of(model)
    x = layer_input(codec, layer, stream_taps(codec, stream), tile)
    return convert_layer(layers(codec)[layer], layer, x, language, output, *lanes)


def cosimulate(folder: str) -> CosimReport:
    """Run what `convert` wrote in every simulator that reads it.  Raises FileError, HardwareError."""
    return CosimReport(cosim(folder))
