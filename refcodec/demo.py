"""The demonstration: one photograph and one clip through everything, compared at every step."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from hw.convert import convert_layer
from hw.cosim import cosim
from hw.parameters import EngineParameters
from hw.simulate import simulate_layer
from refcodec import __version__
from refcodec.codecs.inr.codec import InrVideo
from refcodec.codecs.picture import in_colour, read_picture, write_picture
from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.codecs.stream import parse
from refcodec.codecs.video import write_clip
from refcodec.datapath import Decoder, Taps, layer_input, layers, small_input, video_taps
from refcodec.describe import describe_stream, describe_video, stream_text, table
from refcodec.errors import HardwareError
from refcodec.files import fill_folder, new_folder, read_bytes
from refcodec.metrics.psnr import psnr
from refcodec.models.encoder import encode_picture
from refcodec.models.shipped import DEFAULT_CLIP, DEFAULT_STREAM, resolve, shipped_path
from refcodec.program.model_file import load_model
from refcodec.vectorgen.case import case_files
from refcodec.vectorgen.decoder import stream_case
from refcodec.vectorgen.suite import build_suite
from refcodec.vectorgen.verify import verify_suite

LANES = (8, 8)
WORKERS = 2
WHOLE_CYCLES = 12_000_000  # a layer of more cycles is simulated on a tile of LARGE_TILE
LARGE_TILE = (64, 64)
COLUMNS = ("definition", "myhdl", "icarus", "ghdl", "verilator")
EQUAL, DIFFERENT, SKIPPED = "equal", "DIFFERENT", "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison: a layer, the implementation it ran in, the outcome, and how much was compared."""

    layer: str
    column: str
    status: str
    values: int
    cycles: int
    reason: str = ""


def run_demo(output: str | Path, image: str | None, model_name: str, clip_name: str = DEFAULT_CLIP) -> bool:
    """Decode, verify, simulate and convert; writes a folder and prints a table.

    output  folder to write;  image  a picture to code instead of the shipped stream;  model_name  file or shipped name
    clip_name  an implicit video, file or shipped name.
    Returns whether everything that ran agreed.  Raises RefcodecError.
    """
    model = load_model(resolve(model_name, ".rcm"))
    codec = ScaleHyperprior.from_model(model)
    original = None if image is None else read_picture(image)
    shipped = shipped_path(DEFAULT_STREAM, ".rcb")
    content = shipped.read_bytes() if original is None else encode_picture(original, model)
    clip = read_bytes(resolve(clip_name, ".rcv"))
    video = InrVideo.from_bytes(clip)
    with new_folder(output) as folder:
        taps: Taps = {}
        picture = codec.decode(content, taps.__setitem__)
        (folder / "stream.rcb").write_bytes(content)
        write_picture(folder / "picture.png", picture)
        write_picture(folder / "overview.png", overview(picture, taps))
        found = {**taps, "picture": picture}
        case = stream_case("demo", "every tensor of the demonstration", content, codec, found, model_name)
        fill_folder(folder / "taps", case_files(case, with_hex=False))
        (folder / "clip.rcv").write_bytes(clip)
        described = {**describe_video(clip), **decode_clip(video, folder)}
        checks = list(_run_jobs([*_picture_jobs(codec, taps, folder), *_clip_jobs(video, folder)], folder))
        vectors = _vectors(folder)
        report = _report(content, picture, original, described, checks, vectors)
        (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    print(_text(report, checks, output))
    return bool(report["passed"])


def decode_clip(video: InrVideo, folder: Path) -> dict[str, Any]:
    """Every frame of an implicit video into `clip.gif`, which shows 256 colours of each, and one as it is.

    Returns frames a second, and the SHA-256 of the samples of all frames.
    """
    video.decode(0)  # so that the time is not that of loading kernels
    begin = time.perf_counter()
    frames = [video.decode(number) for number in range(video.frames)]
    seconds = time.perf_counter() - begin
    write_clip(folder / "clip.gif", range(video.frames), frames)
    write_picture(folder / "frame.png", frames[video.frames // 2])
    digest = hashlib.sha256(b"".join(frame.tobytes() for frame in frames))
    return {"frames_per_second": round(video.frames / seconds, 1), "sha256": digest.hexdigest()}


def overview(picture: np.ndarray, taps: Taps) -> np.ndarray:
    """The decoded picture beside two of its tensors: mean scale index, and mean magnitude of the latent.

    Returns (H, W', 3) uint8.
    """
    height, width = picture.shape[:2]
    panels = [in_colour(picture)]
    for name in ("indexes", "y"):
        plane = np.abs(taps[name].astype(np.int64)).sum(axis=0)
        scaled = 255 * plane // max(1, int(plane.max()))
        large = np.kron(scaled, np.ones((16, 16), np.int64))[:height, :width].astype(np.uint8)
        panels.append(in_colour(large))
    return np.concatenate(panels, axis=1)


Job = Callable[[], list[Check]]


def _picture_jobs(codec: ScaleHyperprior, taps: Taps, folder: Path) -> Iterator[Job]:
    """Every layer in every implementation."""
    yield partial(check_definition, codec, taps)
    for layer in layers(codec):
        yield from _layer_jobs(codec, layer, taps, folder, folder / "wave.vcd" if layer == "h_s.0" else None)


def _clip_jobs(video: InrVideo, folder: Path) -> Iterator[Job]:
    """The frame in the middle by the plain definitions, the layer before the head in hardware."""
    frame = video.frames // 2
    taps = video_taps(video, frame)
    layer = list(layers(video))[-2:][0]
    yield partial(check_frame, video, layer, frame, taps)
    yield from _layer_jobs(video, layer, taps, folder, None)


def _layer_jobs(decoder: Decoder, layer: str, taps: Taps, folder: Path, wave: Path | None) -> Iterator[Job]:
    """A layer in every simulator.  wave  file to write, or None."""
    small, hdl = small_input(decoder, layer, taps), folder / "hdl"
    yield partial(check_whole, decoder, layer, _affordable(decoder, layer, taps), hdl / f"{layer}-verilog-whole")
    yield partial(check_myhdl, decoder, layer, small, wave)
    yield partial(check_converted, decoder, layer, small, "verilog", hdl / f"{layer}-verilog")
    yield partial(check_converted, decoder, layer, small, "vhdl", hdl / f"{layer}-vhdl")


def _run_jobs(jobs: list[Job], folder: Path) -> Iterator[Check]:
    """All checks, two at a time."""
    (folder / "hdl").mkdir()
    with ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
        futures = [pool.submit(job) for job in jobs]
        for future in tqdm(as_completed(futures), "layers", len(jobs), unit="check", disable=None, leave=False):
            yield from future.result()


def _affordable(decoder: Decoder, layer: str, taps: Taps) -> np.ndarray:
    """The whole input, or its middle where a whole run would take too many cycles or too much memory."""
    x = layer_input(decoder, layer, taps, None)
    engine = partial(EngineParameters.from_program, layers(decoder)[layer], layer)
    try:
        if engine(x.shape[1], x.shape[2], *LANES).cycles <= WHOLE_CYCLES:
            return x
    except HardwareError:
        pass
    return small_input(decoder, layer, taps, LARGE_TILE)


def check_definition(codec: ScaleHyperprior, taps: Taps) -> list[Check]:
    """Whole tensors of both programs: the compiled kernels against the plain definitions."""
    plain: Taps = {}
    codec.h_s.run_plain(taps["z"], plain.__setitem__)
    codec.g_s.run_plain(taps["y"], plain.__setitem__)
    found = []
    for name, program in layers(codec).items():
        position = next(n for n, op in enumerate(program.operations) if op.name == name)
        written = [program.operations[n].target for n in (position, position + 1)]
        same = all(np.array_equal(plain[tensor], taps[tensor]) for tensor in written)
        values = sum(taps[tensor].size for tensor in written)
        found.append(Check(name, "definition", EQUAL if same else DIFFERENT, values, 0))
    return found


def check_frame(video: InrVideo, layer: str, frame: int, taps: Taps) -> list[Check]:
    """Every tensor of a frame: the compiled kernels against the plain definitions.

    layer  under which the outcome is shown;  taps  what the kernels gave.
    """
    plain: Taps = {}
    video.decode_plain(frame, plain.__setitem__)
    same = all(np.array_equal(plain[name], taps[name]) for name in video.formats())
    return [Check(layer, "definition", EQUAL if same else DIFFERENT, sum(x.size for x in taps.values()), 0)]


def check_myhdl(decoder: Decoder, layer: str, x: np.ndarray, wave: Path | None) -> list[Check]:
    """A tile of a layer in MyHDL."""
    result = simulate_layer(layers(decoder)[layer], layer, x, *LANES, vcd=wave)
    status = EQUAL if result.equal else DIFFERENT
    return [Check(layer, "myhdl", status, int(result.expected.size), result.cycles)]


def check_converted(decoder: Decoder, layer: str, x: np.ndarray, language: str, folder: Path) -> list[Check]:
    """A tile of a layer as converted HDL, in Icarus or in GHDL."""
    return _cosimulated(decoder, layer, x, language, folder, {"verilog": "icarus", "vhdl": "ghdl"}[language])


def check_whole(decoder: Decoder, layer: str, x: np.ndarray, folder: Path) -> list[Check]:
    """A whole layer as converted Verilog, in Verilator."""
    return _cosimulated(decoder, layer, x, "verilog", folder, "verilator")


def _cosimulated(
    decoder: Decoder, layer: str, x: np.ndarray, language: str, folder: Path, simulator: str
) -> list[Check]:
    manifest = convert_layer(layers(decoder)[layer], layer, x, language, folder, *LANES)
    (result,) = cosim(folder, [simulator])
    status = {"passed": EQUAL, "failed": DIFFERENT, "skipped": SKIPPED}[result.status]
    output = manifest["streams"]["sink"]
    values = output["channels"] * output["height"] * output["width"]
    return [Check(layer, simulator, status, values if status != SKIPPED else 0, result.cycles, result.reason)]


def _vectors(folder: Path) -> dict[str, Any]:
    """Build the conformance suite and verify it."""
    build_suite(folder / "vectors")
    return verify_suite(folder / "vectors").as_json()


def _report(
    content: bytes,
    picture: np.ndarray,
    original: np.ndarray | None,
    clip: dict[str, Any],
    checks: list[Check],
    vectors: dict[str, Any],
) -> dict[str, Any]:
    failed = [check for check in checks if check.status == DIFFERENT]
    report: dict[str, Any] = {
        "version": __version__,
        "passed": not failed and vectors["passed"],
        "stream": describe_stream(parse(content)),
        "clip": clip,
        "checks": [asdict(check) for check in checks],
        "vectors": vectors,
    }
    if original is not None:
        report["psnr_db"] = round(psnr(original, picture), 3)
    return report


def _text(report: dict[str, Any], checks: list[Check], output: str | Path) -> str:
    """The summary table and what it needs to be understood."""
    cells = {(check.layer, check.column): check for check in checks}
    order = ("h_s", "g_s")
    names = sorted({check.layer for check in checks}, key=lambda name: (*(name[:3] != net for net in order), name))
    rows = [[name, *(_cell(cells[name, column]) for column in COLUMNS)] for name in names]
    lines = [stream_text(report["stream"])]
    if "psnr_db" in report:
        lines.append(f"PSNR {report['psnr_db']:.2f} dB")
    lines += [
        _clip_text(report["clip"]),
        "",
        "values compared with the compiled kernels: whole tensors by definition and verilator, a tile elsewhere;",
        "of the clip all tensors of a frame by definition, and one layer",
        table(rows, ["layer", *COLUMNS]),
    ]
    skipped = sorted({f"{check.column}: {check.reason}" for check in checks if check.status == SKIPPED})
    lines += [f"skipped {reason}" for reason in skipped]
    equal = sum(entry["passed"] for entry in report["vectors"]["operations"].values())
    lines += [f"vectors: {equal} cases equal", *report["vectors"]["failures"]]
    verdict = "everything that ran agrees to the bit" if report["passed"] else "MISMATCH, see report.json"
    return "\n".join([*lines, f"{output}: {verdict}"])


def _clip_text(clip: dict[str, Any]) -> str:
    return (
        f"clip: {clip['frames']} frames of {clip['width']}x{clip['height']}, {clip['bytes']} bytes "
        f"({clip['bits_per_pixel']:.4f} bit per pixel), {clip['frames_per_second']:.1f} frames decoded a second"
    )


def _cell(check: Check) -> str:
    return check.status if check.status == SKIPPED else f"{check.values} {check.status}"
