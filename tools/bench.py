"""Speed and memory: `python tools/bench.py`. Ratios against a peer in the same run; absolute figures drift.

decode      a 768x512 picture, warm, against the float twin's decoder networks (NumPy BLAS) on the same cores
kernels     one 5x5 transposed convolution, 32 to 32 channels, against its NumPy definition and float64 BLAS
coder       rANS symbols a second
videos      a frame of implicit videos of 0.3 M parameters, warm, against their float32 twins; coding of their weights
audit       proofs of a model of 5 M parameters, from its bytes to the document
processes   peak memory and time of `refcodec decode`, time to import the package
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from refcodec.audit.document import audit
from refcodec.audit.subject import subject
from refcodec.codecs.inr.codec import InrVideo
from refcodec.codecs.inr.stream import pack
from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.datapath import run_programs
from refcodec.describe import table
from refcodec.entropy.rans import decode as rans_decode
from refcodec.entropy.rans import encode as rans_encode
from refcodec.entropy.weight_coding import decode_integers, encode_integers
from refcodec.fit.design import design
from refcodec.layers.transposed_convolution import transposed_convolution, transposed_convolution_plain
from refcodec.models.densities import gaussian_tables
from refcodec.models.float_layers import transposed_convolution as float_transposed
from refcodec.models.inr.twin import run as run_twin
from refcodec.models.shipped import DEFAULT_FLOAT, DEFAULT_MODEL, DEFAULT_STREAM, RECIPES, recipe_name, shipped_path
from refcodec.models.trained import load_trained
from refcodec.program.model_file import load_model
from refcodec.quantize.inr.uniform import dequantise
from refcodec.quantize.integerise import integerise
from refcodec.quantize.recipe import load_recipe
from refcodec.vectorgen.tiny_videos import tiny_video

RUNS = 5
FAMILIES = ("hnerv", "nerv", "hinerv")
PARAMETERS, CLIP = 300_000, (132, 160, 320)  # of the videos; frames, height and width
DECODE = """
import sys
from refcodec.cli import main
main(sys.argv[1:])
with open("/proc/self/status") as lines:  # the peak that getrusage gives is inherited from this process
    print(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
"""  # a command, and the most memory in kB that it held


def best(work: Callable[[], object], runs: int = RUNS) -> float:
    """Shortest of several runs after one that is not counted, in seconds."""
    work()
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


def bench_decode() -> dict[str, float]:
    """Whole decode of the shipped stream, and both integer programs at every precision, in seconds."""
    content = shipped_path(DEFAULT_STREAM, ".rcb").read_bytes()
    codec = ScaleHyperprior.from_model(load_model(shipped_path(DEFAULT_MODEL, ".rcm")))
    found = {"whole decode w8a8": best(lambda: codec.decode(content))}
    taps: dict[str, np.ndarray] = {}
    codec.decode(content, taps.__setitem__)
    trained = load_trained(shipped_path(DEFAULT_FLOAT))
    y = taps["y"].astype(np.float32)
    found["float32 twin, h_s and g_s"] = best(
        lambda: (trained.twin.hyper_synthesis(taps["z"]), trained.twin.synthesis(y))
    )
    for precision in RECIPES:
        recipe = load_recipe(shipped_path(recipe_name(precision), ".json"))
        other = ScaleHyperprior.from_model(integerise(trained, recipe))
        found[f"h_s and g_s {precision}"] = best(partial(run_programs, other, taps["y"], taps["z"]))
    return found


def bench_kernel() -> dict[str, float]:
    """Multiplications a second, in 10^9, of one layer on a 128x192 input."""
    rng = np.random.default_rng(1)
    giga = 128 * 192 * 25 * 32 * 32 / 1e9
    bias = np.zeros(32, np.int64)
    found = {}
    for bits in (8, 12, 16):
        x = rng.integers(0, 1 << bits, (32, 128, 192)).astype(np.int32)
        weight = rng.integers(-(1 << bits - 1), 1 << bits - 1, (32, 32, 5, 5)).astype(np.int16)
        found[f"compiled w{bits}a{bits}"] = giga / best(partial(transposed_convolution, x, weight, bias, 2, 2, 1))
    found["definition w16a16"] = giga / best(partial(transposed_convolution_plain, x, weight, bias, 2, 2, 1), 1)
    single, taps = x.astype(np.float32), weight.astype(np.float32).transpose(1, 0, 2, 3)
    found["float32 BLAS"] = giga / best(partial(float_transposed, single, taps, bias.astype(np.float32), 2))
    return found


def bench_coder() -> dict[str, float]:
    """Symbols a second, in 10^6, of Gaussian symbols on rows 0 to 31."""
    rng = np.random.default_rng(1)
    tables = gaussian_tables()
    indexes = rng.integers(0, 32, 1_000_000)
    symbols = np.rint(rng.normal(size=indexes.size) * 0.11 * 1.1309464**indexes).astype(np.int16)
    payload = rans_encode(symbols, indexes, tables)
    return {
        "encode": symbols.size / 1e6 / best(lambda: rans_encode(symbols, indexes, tables)),
        "decode": symbols.size / 1e6 / best(lambda: rans_decode(payload, indexes, tables)),
    }


def bench_videos() -> dict[str, float]:
    """Frames a second and nanoseconds a pixel of implicit videos with pseudo-random weights of 8 bits."""
    found = {}
    for family in FAMILIES:
        video = tiny_video(design(family, PARAMETERS, CLIP), seed=1, bits=8)
        decoder, real, network = InrVideo.of(video), dequantise(video), video.architecture.nodes()
        seconds = best(partial(decoder.decode, 5))
        twin = best(partial(run_twin, network, real, [5], video.architecture.frames))
        found[f"{family}, frames/s"] = 1 / seconds
        found[f"{family}, ns/pixel"] = 1e9 * seconds / (CLIP[1] * CLIP[2])
        found[f"{family}, float32 twin, frames/s"] = 1 / twin
    return found


def bench_weights() -> dict[str, float]:
    """Integers a second, in 10^6, of Laplacian weights about as large as those of 5 bits, levels of the trellis too."""
    values = np.random.default_rng(1).laplace(scale=3, size=(100, 100, 25)).round().clip(-16, 15).astype(np.int32)
    found = {}
    for dependent, name in ((False, ""), (True, ", levels")):
        payload = encode_integers(values, dependent)
        million = values.size / 1e6
        found[f"encode{name}"] = million / best(partial(encode_integers, values, dependent), 2)
        found[f"decode{name}"] = million / best(partial(decode_integers, payload, values.shape, dependent), 2)
    return found


def bench_audit() -> dict[str, float]:
    """Seconds to parse and to audit an implicit video of 5 M parameters with pseudo-random weights of 8 bits."""
    video = tiny_video(design("hnerv", 5_000_000, CLIP), seed=1, bits=8)
    content = pack(video)
    found = subject(content, "5 M parameters")
    return {
        "parameters, M": sum(parameter.values.size for parameter in video.parameters.values()) / 1e6,
        "parse": best(partial(subject, content, "5 M parameters"), 1),
        "audit": best(partial(audit, found), 2),
    }


def bench_processes() -> dict[str, float]:
    """Time of an import and of a decode in a process of their own, and the decode's peak memory in MiB."""
    found = {}
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import refcodec"], check=True)
    found["import refcodec, s"] = time.perf_counter() - begin
    with tempfile.TemporaryDirectory() as folder:
        stream, picture = shipped_path(DEFAULT_STREAM, ".rcb"), Path(folder) / "picture.png"
        begin = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", DECODE, "decode", str(stream), "-o", str(picture)],
            check=True,
            capture_output=True,
            text=True,
        )
        found["refcodec decode, s"] = time.perf_counter() - begin
    found["refcodec decode, peak MiB"] = int(done.stdout.split()[-1]) / 1024
    return found


def main() -> None:
    """Run every bench and print one table each."""
    parser = argparse.ArgumentParser(description="speed and memory of refcodec")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    found = {
        "processes": bench_processes(),
        "decode of 768x512, s": bench_decode(),
        "transposed convolution, GMAC/s": bench_kernel(),
        "rANS, M symbols/s": bench_coder(),
        "implicit videos, 320x160": bench_videos(),
        "audit, s": bench_audit(),
        "weight coding, M integers/s": bench_weights(),
    }
    if args.json:
        print(json.dumps(found, indent=1))
        return
    for title, rows in found.items():
        print(table([[name, f"{value:.3g}"] for name, value in rows.items()], [title, "figure"]), end="\n\n")


if __name__ == "__main__":
    main()
