"""The datapath on real tensors: picks a layer's input from a decoded stream and hands it to `hw` (SPEC HW-5, HW-7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from hw.convert import convert_layer
from hw.cosim import CosimResult, cosim
from hw.simulate import SimulationResult, simulate_layer
from hw.synthesis import DEVICES, SynthesisResult, synthesise
from refcodec.codecs.codec import Codec, Formats
from refcodec.codecs.family import codec_of
from refcodec.codecs.inr.codec import InrVideo
from refcodec.codecs.inr.stream import MAGIC
from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.describe import table
from refcodec.errors import HardwareError, RangeError
from refcodec.files import read_bytes
from refcodec.models.shipped import DEFAULT_MODEL, DEFAULT_STREAM, resolve, shipped_path
from refcodec.program.model_file import load_model, model_from_bytes
from refcodec.program.operations import Convolution, Linear, TransposedConvolution
from refcodec.program.program import Program

SMALL_TILE = (2, 2)  # what MyHDL and GHDL simulate in seconds; smaller where the tensor is
Taps = dict[str, np.ndarray]
Lanes = tuple[int, int]


class Decoder(Protocol):
    """What a stimulus needs of a decoder of pictures or of an implicit video."""

    @property
    def programs(self) -> Sequence[Program]:
        """The programs, in the order in which a decode runs them first."""

    def formats(self) -> Formats:
        """The format of every tensor that a decode may report, by name."""


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


def video_taps(video: InrVideo, frame: int) -> Taps:
    """Every tensor of a frame's decode.  Raises RangeError."""
    taps: Taps = {}
    video.decode(frame, taps.__setitem__)
    return taps


def named_decode(name: str, stream: str | None = None, frame: int | None = None) -> tuple[Decoder, Taps]:
    """A decoder, and every tensor of one decode.

    name  model (.rcm) or implicit video (.rcv), a file or the shipped name of one
    stream  what a model decodes, None for the shipped photograph;  frame  of a video, None for its first.
    Raises FileError, ModelError, StreamError, HardwareError, RangeError, RC-USAGE for what the other kind takes.
    """
    path = resolve(name, ".rcm", ".rcv")
    content = read_bytes(path)
    if content[: len(MAGIC)] == MAGIC:
        if stream is not None:
            raise RangeError("--stream is for models: an implicit video is a stream by itself", "RC-USAGE")
        video = InrVideo.from_bytes(content)
        return video, video_taps(video, frame or 0)
    if frame is not None:
        raise RangeError("--frame is for implicit videos", "RC-USAGE")
    codec = codec_of(model_from_bytes(content, path.name))
    return codec, stream_taps(codec, stream)


def layers(decoder: Decoder) -> dict[str, Program]:
    """Name of every layer that the engine runs and whose input a decode reports, in order of decoding, its program."""
    reported = decoder.formats()
    return {
        op.name: program
        for program in decoder.programs
        for op in program.operations
        if isinstance(op, Convolution | TransposedConvolution | Linear) and op.source in reported
    }


def layer_input(decoder: Decoder, layer: str, taps: Taps, tile: tuple[int, int] | None) -> np.ndarray:
    """What the layer reads: the whole tensor, or the tile (height, width) in its middle.

    Raises HardwareError RC-HW-CONFIG for an unknown layer or a tile larger than the tensor.
    """
    known = layers(decoder)
    if layer not in known:
        raise HardwareError("RC-HW-CONFIG", f"no layer {layer!r}; there are {', '.join(known)}")
    x = taps[known[layer].operation(layer).reads[0]]
    return middle(x, tile)


def middle(x: np.ndarray, tile: tuple[int, int] | None) -> np.ndarray:
    """The middle (C, height, width) of a tensor (C, H, W), or all of it.

    Raises HardwareError RC-HW-CONFIG for a tile larger than the tensor.
    """
    if tile is None:
        return x
    if not all(1 <= wanted <= size for wanted, size in zip(tile, x.shape[1:], strict=True)):
        raise HardwareError("RC-HW-CONFIG", f"tile {tile[0]}x{tile[1]} does not fit {x.shape[1]}x{x.shape[2]}")
    top, left = ((size - wanted) // 2 for wanted, size in zip(tile, x.shape[1:], strict=True))
    return x[:, top : top + tile[0], left : left + tile[1]]


def small_input(decoder: Decoder, layer: str, taps: Taps, tile: tuple[int, int] = SMALL_TILE) -> np.ndarray:
    """The middle of what the layer reads, no larger than `tile` and no larger than there is."""
    height, width = layer_input(decoder, layer, taps, None).shape[1:]
    return layer_input(decoder, layer, taps, (min(tile[0], height), min(tile[1], width)))


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


@dataclass(frozen=True, slots=True)
class SynthesisReport:
    """Outcome of `synthesise_folder`."""

    result: SynthesisResult

    def as_json(self) -> dict[str, Any]:
        """The report for machines."""
        return asdict(self.result)

    def as_text(self) -> str:
        """The report for people."""
        found = self.result
        rows = [
            ["LUT", found.lut],
            ["flip-flops", found.ff],
            ["multipliers", found.dsp],
            ["block memories", found.bram],
        ]
        if found.fmax is not None:
            rows.append(["MHz", found.fmax])
        tools = ", ".join(f"{name} {version}" for name, version in found.tools.items())
        return f"{found.module} on {DEVICES[found.target]} ({tools})\n{table(rows, ['resource', 'used'])}"


def simulate(
    decoder: Decoder, taps: Taps, layer: str, lanes: Lanes, tile: tuple[int, int] | None, vcd: str | None
) -> SimulationReport:
    """Simulate a layer in MyHDL on a tile of a decode's tensors (see `named_decode`).

    lanes  PI and PO;  tile  height and width, None for 2x2;  vcd  wave file to write, or None.
    Raises HardwareError, FileError.
    """
    x = small_input(decoder, layer, taps) if tile is None else layer_input(decoder, layer, taps, tile)
    return SimulationReport(layer, simulate_layer(layers(decoder)[layer], layer, x, *lanes, vcd=vcd))


def convert(
    decoder: Decoder,
    taps: Taps,
    layer: str,
    lanes: Lanes,
    tile: tuple[int, int] | None,
    language: str,
    output: str,
) -> dict[str, Any]:
    """Write a layer as HDL with its test bench and a decode's tensors as vectors (arguments as of `simulate`).

    tile  None for the whole layer;  language  "verilog" or "vhdl".  Returns the manifest.
    """
    x = layer_input(decoder, layer, taps, tile)
    return convert_layer(layers(decoder)[layer], layer, x, language, output, *lanes)


def cosimulate(folder: str, simulators: Sequence[str] | None = None) -> CosimReport:
    """Run what `convert` wrote in these simulators, or in every one that reads it.  Raises FileError, HardwareError."""
    return CosimReport(cosim(folder, simulators))


def synthesise_folder(folder: str, target: str) -> SynthesisReport:
    """Resources and clock rate of what `convert` wrote (SPEC HW-26).  Raises FileError, HardwareError.

    target  "ecp5" or "xilinx".
    """
    return SynthesisReport(synthesise(folder, target))
