"""Whole programs and whole decoders as hardware: picks what they are given and hands them to `hw` (SPEC HW-23)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from hw.assemble import Folding, hyperprior_network, program_network
from hw.convert import write_design
from hw.estimate import PartEstimate, estimate_part
from hw.fold import Folded, fold
from hw.network import Network, Part
from hw.rans import RansStage, Tables, payload_words
from hw.simulate import simulate_and_judge
from hw.stage import Images
from hw.stimulus import Stimulus
from refcodec.codecs.codec import Codec
from refcodec.codecs.family import codec_of
from refcodec.codecs.inr.codec import InrVideo
from refcodec.codecs.inr.stream import MAGIC
from refcodec.codecs.latent_coding import channel_rows
from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.codecs.stream import Geometry, parse
from refcodec.datapath import SimulationReport, Taps, middle, named_decode
from refcodec.describe import table
from refcodec.errors import HardwareError, RangeError
from refcodec.files import read_bytes
from refcodec.models.encoder import encode_picture
from refcodec.models.shipped import DEFAULT_MODEL, DEFAULT_STREAM, resolve, shipped_path
from refcodec.program.model_file import load_model, model_from_bytes
from refcodec.program.operations import Size
from refcodec.program.program import Program

PICTURE = (64, 64)  # what a decoder decodes where no stream is given: the middle of the shipped photograph
SMALL = (1, 1)  # input of a program that MyHDL simulates in a minute


@dataclass(frozen=True, slots=True)
class Design:
    """A network and one run of it (SPEC HW-23).

    name  of the program or model;  module  of the HDL.
    """

    name: str
    module: str
    stimulus: Stimulus

    @property
    def network(self) -> Network:
        """The network."""
        stage = self.stimulus.stage
        assert isinstance(stage, Network)
        return stage


def named_program(programs: Mapping[str, Program], name: str) -> Program:
    """The program of that name.  Raises HardwareError RC-HW-CONFIG."""
    if name not in programs:
        raise HardwareError("RC-HW-CONFIG", f"no program {name!r}; there are {', '.join(programs)}")
    return programs[name]


def program_design(
    model: str, name: str, stream: str | None, frame: int | None, tile: Size | None, folding: Folding
) -> Design:
    """One program of a model or an implicit video, run on the tensors of a decode.

    model  file or shipped name;  name  of the program, such as h_s;  stream, frame  whose tensors;  tile  the middle of
    its input, None for all of it.
    Raises FileError, ModelError, StreamError, HardwareError, RangeError.
    """
    decoder, taps = named_decode(model, stream, frame)
    program = named_program({program.name: program for program in decoder.programs}, name)
    x = middle(taps[program.input.name], tile)
    network, images = program_network(program, x.shape[1], x.shape[2], folding)
    return Design(name, module_of(name), Stimulus.of(network, images, [x], program.run(x)))


def decoder_design(model: str, stream: str | None, frame: int | None, folding: Folding) -> Design:
    """A whole decoder: from the payloads of a stream, or from the number of a frame, to the picture.

    model  file or shipped name;  stream  of a model, None for the middle of the shipped photograph, coded by its own
    encoder;  frame  of an implicit video, None for its first.
    Raises FileError, ModelError, StreamError, HardwareError, RangeError, RC-USAGE for what the other kind takes.
    """
    path = resolve(model, ".rcm", ".rcv")
    content = read_bytes(path)
    if content[: len(MAGIC)] == MAGIC:
        if stream is not None:
            raise RangeError("--stream is for models: an implicit video is a stream by itself", "RC-USAGE")
        return program_design(model, InrVideo.from_bytes(content).program.name, None, frame, None, folding)
    if frame is not None:
        raise RangeError("--frame is for implicit videos", "RC-USAGE")
    loaded = model_from_bytes(content, path.name)
    coded = read_bytes(stream) if stream is not None else encode_picture(photograph_middle(), loaded)
    return hyperprior_design(path.stem, hyperprior_of(codec_of(loaded)), coded, folding)


def hyperprior_of(codec: Codec) -> ScaleHyperprior:
    """The decoder, if it is of the family that is built whole.  Raises HardwareError RC-HW-CONFIG."""
    if not isinstance(codec, ScaleHyperprior):
        message = f"decoders of the family {codec.family} are not built whole, only their programs: give --program"
        raise HardwareError("RC-HW-CONFIG", message)
    return codec


def photograph_middle() -> np.ndarray:
    """The middle of the shipped photograph, (64, 64, 3) uint8."""
    codec = codec_of(load_model(shipped_path(DEFAULT_MODEL, ".rcm")))
    picture = codec.decode(shipped_path(DEFAULT_STREAM, ".rcb").read_bytes())
    return middle(picture.transpose(2, 0, 1), PICTURE).transpose(1, 2, 0)


def hyperprior_design(name: str, codec: ScaleHyperprior, content: bytes, folding: Folding) -> Design:
    """A scale-hyperprior decoder and one stream.  Raises StreamError, HardwareError."""
    taps: Taps = {}
    codec.decode(content, taps.__setitem__)
    payloads = parse(content).payloads
    network, images = codec_network(codec, taps["z"].shape[1:], folding)
    rows = channel_rows(codec.z_tables.rows, taps["z"].shape[1:]).ravel().tolist()
    known: dict[str, tuple[bytes, list[int], Tables]] = {
        "z": (payloads["ZSYM"], rows, codec.z_tables),
        "y": (payloads["YSYM"], taps["indexes"].ravel().tolist(), codec.y_tables),
    }
    sources = tuple(payload_words(payloads[key]) for key in ("ZSYM", "YSYM"))
    words = network.sink.pack(taps[codec.g_s.output.name])
    stimulus = Stimulus.of_words(knowing(network, known), images, sources, words)
    return Design(name, module_of("decoder"), stimulus)


def codec_network(codec: ScaleHyperprior, size: Size, folding: Folding) -> tuple[Network, Images]:
    """The network of a scale-hyperprior decoder.  size  of z.  Raises HardwareError RC-HW-CONFIG."""
    return hyperprior_network(codec.h_s, codec.g_s, codec.z_tables, codec.y_tables, size, folding)


def knowing(network: Network, known: Mapping[str, tuple[bytes, list[int], Tables]]) -> Network:
    """The same network, whose entropy decoders can tell when they decode these payloads (SPEC HW-6).

    known  by part: payload, the row of every symbol, tables.
    """
    parts = []
    for part in network.parts:
        stage = part.stage
        if isinstance(stage, RansStage) and part.name in known:
            part = replace(part, stage=stage.knowing(*known[part.name]))
        parts.append(part)
    return replace(network, parts=tuple(parts))


def module_of(name: str) -> str:
    """A legal identifier of both languages."""
    return f"{name}_design"


# --- what the commands do


def simulate_program(
    model: str, name: str, stream: str | None, frame: int | None, tile: Size | None, folding: Folding, vcd: str | None
) -> SimulationReport:
    """Run one program of a decoder in MyHDL (arguments as of `program_design`; tile None for 1x1, vcd a wave to write).

    Raises FileError, ModelError, StreamError, HardwareError, RangeError.
    """
    design = program_design(model, name, stream, frame, tile or SMALL, folding)
    return SimulationReport(name, simulate_and_judge(design.stimulus, vcd))


def convert_design(design: Design, language: str, output: str) -> dict[str, Any]:
    """Write a design as HDL with its test bench and vectors.

    language  "verilog" or "vhdl".  Returns the manifest.  Raises HardwareError, FileError.
    """
    return write_design(design.stimulus, design.name, design.network.title, language, design.module, output)


@dataclass(frozen=True, slots=True)
class EstimateReport:
    """What a decoder or one of its programs takes.

    title  what it is;  parts  in order;  cycles  of one picture;  clock_mhz  that rates are told for
    folded  by program, where a rate was asked for, with the edges that it leaves for a picture, `limit`.
    """

    title: str
    parts: list[PartEstimate]
    cycles: int
    clock_mhz: float
    overlapped: bool
    folded: dict[str, Folded]
    limit: int

    @property
    def interval(self) -> int:
        """Edges between pictures that follow each other."""
        return max(part.interval for part in self.parts) if self.overlapped else self.cycles + 1

    @property
    def passed(self) -> bool:
        """Whether the rate is reached, if one was asked for."""
        return not self.limit or self.interval <= self.limit

    def rate(self, edges: int) -> float:
        """Pictures a second."""
        return round(self.clock_mhz * 1e6 / edges, 3)

    def totals(self) -> dict[str, Any]:
        """The sums, and the rates."""
        bits = sum(part.loaded_bits for part in self.parts), sum(part.buffer_bits for part in self.parts)
        return {
            "cycles": self.cycles,
            "interval": self.interval,
            "clock_mhz": self.clock_mhz,
            "pictures_per_second": self.rate(self.interval),
            "milliseconds": round(self.cycles / (self.clock_mhz * 1e3), 3),
            "macs": sum(part.macs for part in self.parts),
            "multipliers": sum(part.multipliers for part in self.parts),
            "loaded_bytes": -(-bits[0] // 8),
            "buffer_bytes": -(-bits[1] // 8),
        }

    def as_json(self) -> dict[str, Any]:
        """The report for machines."""
        parts = [{**asdict(part), "utilisation": part.utilisation} for part in self.parts]
        found = {"title": self.title, "parts": parts, "total": self.totals(), "passed": self.passed}
        if self.limit:
            found["wanted_interval"] = self.limit
            found["folding"] = {name: dict(result.folding.layers) for name, result in self.folded.items()}
        return found

    def as_text(self) -> str:
        """The report for people."""
        rows = []
        for part in self.parts:
            used = "" if part.utilisation is None else f"{100 * part.utilisation:.1f}"
            sizes = [f"{bits / 8192:.1f}" for bits in (part.loaded_bits, part.buffer_bits)]
            rows.append([part.name, part.cycles, part.interval, part.macs, part.multipliers or "", used, *sizes])
        header = ["part", "cycles", "interval", "MACs", "multipliers", "used %", "loaded KiB", "buffers KiB"]
        total = self.totals()
        lines = [
            self.title,
            "",
            table(rows, header),
            "",
            f"one picture: {self.cycles} cycles, {total['milliseconds']} ms at {self.clock_mhz:g} MHz",
            f"pictures in a row: one in {self.interval} cycles, {total['pictures_per_second']} a second"
            + ("" if self.overlapped else ", one after the other (--overlap doubles the buffers and overlaps them)"),
            f"multipliers {total['multipliers']}, memories {total['loaded_bytes']} bytes loaded and "
            f"{total['buffer_bytes']} bytes of buffers",
        ]
        return "\n".join([*lines, *self._rate_lines()])

    def _rate_lines(self) -> list[str]:
        if not self.limit:
            return []
        lines = []
        for name, found in self.folded.items():
            lanes = ",".join(f"{layer}={count}" for layer, count in found.folding.layers.items())
            lines.append(f"{name}: --fold {lanes}")
        if self.passed:
            return [*lines, f"fast enough: one in {self.limit} cycles was wanted"]
        slow = max(self.parts, key=lambda part: part.interval)
        clock = self.clock_mhz * self.interval / self.limit
        copies = -(-self.interval // self.limit)
        return [
            *lines,
            f"too slow: {slow.name} takes {slow.interval} cycles, {self.limit} are there; a clock of {clock:.0f} MHz "
            f"or {copies} decoders side by side would do",
        ]


def estimate(
    model: str, name: str | None, size: Size | None, folding: Folding, clock_mhz: float, fps: float | None
) -> EstimateReport:
    """What a whole decoder, or one of its programs, takes at a clock.

    model  file or shipped name;  name  of a program, None for the decoder;  size  height and width of the picture,
    None for 64x64 or the size of the video;  fps  pictures a second for which to find the fewest multipliers.
    Raises FileError, ModelError, StreamError, HardwareError, RangeError.
    """
    limit = int(clock_mhz * 1e6 / fps) if fps else 0
    path = resolve(model, ".rcm", ".rcv")
    content = read_bytes(path)
    if content[: len(MAGIC)] == MAGIC:
        video = InrVideo.from_bytes(content)
        if size is not None and size != (video.geometry.height, video.geometry.width):
            raise RangeError("the pictures of an implicit video have one size: leave --size out", "RC-USAGE")
        programs = {video.program.name: (video.program, (1, 1))}
        return _estimate(programs, name, lambda chosen: _network_of(programs, name, chosen), folding, clock_mhz, limit)
    codec = codec_of(model_from_bytes(content, path.name))
    programs = program_inputs(codec, size or PICTURE)
    if name is None:
        whole = hyperprior_of(codec)
        z = programs[whole.h_s.name][1]
        return _estimate(
            programs, None, lambda chosen: bounded(codec_network(whole, z, chosen)[0]), folding, clock_mhz, limit
        )
    return _estimate(programs, name, lambda chosen: _network_of(programs, name, chosen), folding, clock_mhz, limit)


def program_inputs(codec: Codec, picture: Size) -> dict[str, tuple[Program, Size]]:
    """The programs of a codec, and the size of the input of each for a picture, by name."""
    z, y = codec.latent_sizes(Geometry(picture[1], picture[0], 3))
    return {
        program.name: (program, y if program is codec.programs[-1] or z is None else z) for program in codec.programs
    }


def _network_of(programs: Mapping[str, tuple[Program, Size]], name: str | None, folding: Folding) -> Network:
    program = named_program({key: program for key, (program, _) in programs.items()}, name or next(iter(programs)))
    return program_network(program, *programs[program.name][1], folding)[0]


def _estimate(
    programs: Mapping[str, tuple[Program, Size]],
    name: str | None,
    build: Callable[[Folding], Network],
    folding: Folding,
    clock_mhz: float,
    limit: int,
) -> EstimateReport:
    """The report on what `build` makes of a folding, or of that which a rate asks for."""
    folded: dict[str, Folded] = {}
    if limit:
        wanted = {key: value for key, value in programs.items() if name in (None, key)}
        folded = {key: fold(program, *size, limit) for key, (program, size) in wanted.items()}
        layers = {layer: lanes for found in folded.values() for layer, lanes in found.folding.layers.items()}
        folding = Folding(folding.lanes, folding.first, layers, 2)
    network = build(folding)
    parts = [estimate_part(part.name, part.stage) for part in network.parts]
    schedule = network.schedule([range(source.words) for source in network.sources])
    return EstimateReport(network.title, parts, schedule.offered[-1], clock_mhz, folding.banks == 2, folded, limit)


def bounded(network: Network) -> Network:
    """The same network, whose entropy decoders tell the time of symbols without escapes in the longest rows."""
    parts = tuple(
        Part(part.name, part.stage.at_most() if isinstance(part.stage, RansStage) else part.stage, part.feeds)
        for part in network.parts
    )
    return replace(network, parts=parts)
