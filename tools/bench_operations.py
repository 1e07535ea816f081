"""Every operation on a 64x64x64 tensor, kernel against definition: `python tools/bench_operations.py [KIND ...]`.

The definition is that of SPEC.md on Python integers. First runs, which may compile a kernel, do not count.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from bench import best
from refcodec import fixed
from refcodec.describe import table
from refcodec.formats import IntFormat
from refcodec.program import operations as ops
from refcodec.program.program import Program
from refcodec.quantize.activations import sine_nodes

SIDE = 64
S8, S16, S32, S48, U8, U16 = (
    *(IntFormat(bits, True) for bits in (8, 16, 32, 48)),
    IntFormat(8, False),
    IntFormat(16, False),
)
Sample = tuple[ops.AnyOperation, dict[str, IntFormat], int]  # operation, formats of its tensors, target channels


def samples() -> dict[str, Callable[[np.random.Generator], Sample]]:
    """One typical operation of each kind that reads a 64x64x64 tensor, by its kind."""
    each = np.arange(SIDE)
    ones = np.ones(SIDE, np.int64)
    names = ("layer", "x", "y")

    def weights(rng: np.random.Generator, *shape: int) -> tuple[np.ndarray, np.ndarray]:
        return rng.integers(-128, 128, shape), np.zeros(shape[0], np.int64)

    def masked(rng: np.random.Generator) -> Sample:
        weight, bias = weights(rng, SIDE, SIDE, 5, 5)
        weight[:, :, (np.arange(5)[:, None] + np.arange(5)) % 2 == 0] = 0
        return ops.MaskedConvolution(*names, S8, "checkerboard", 2, weight, bias), {"x": S8, "y": S32}, SIDE

    def norm(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return rng.integers(0, 256, (SIDE, SIDE)), 1000 * ones

    ready = {
        "requantise": (ops.Requantise(*names, 12345 * ones, 20 * ones), {"x": S32, "y": S8}, SIDE),
        "leaky_requantise": (
            ops.LeakyRequantise(*names, 12345 * ones, 123 * ones, 20 * ones),
            {"x": S32, "y": S8},
            SIDE,
        ),
        "clip": (ops.Clip(*names, -100, 100), {"x": S16, "y": S16}, SIDE),
        "threshold_head": (
            ops.ThresholdHead(*names, np.arange(255)[None] * 100 - 12700 + each[:, None]),
            {"x": S16, "y": U8},
            SIDE,
        ),
        "scale_index": (
            ops.ScaleIndex(*names, np.arange(63)[None] * 500 - 15000 + each[:, None]),
            {"x": S16, "y": IntFormat(6, False)},
            SIDE,
        ),
        "table": (ops.Table(*names, np.arange(-128, 128) // 2), {"x": S8, "y": S8}, SIDE),
        "interpolated_table": (
            ops.InterpolatedTable(*names, 4, np.arange(4097) * 7 - 9000),
            {"x": S16, "y": S16},
            SIDE,
        ),
        "latent_mean": (ops.LatentMean(*names, 8, each), {"x": S16, "y": IntFormat(25, True)}, SIDE),
        "latent_means": (
            ops.LatentMeans("layer", ("x", "means"), "y", 8),
            {"x": S16, "means": S16, "y": IntFormat(25, True)},
            SIDE,
        ),
        "add": (
            ops.Add("layer", ("x", "other"), "y", 15, np.array([12345, 23456])),
            {"x": S16, "other": S16, "y": S16},
            SIDE,
        ),
        "concatenate": (ops.Concatenate("layer", ("x", "other"), "y"), {"x": S8, "other": S8, "y": S8}, 2 * SIDE),
        "crop": (ops.Crop(*names, 1, 2, 3, 4), {"x": S8, "y": S8}, SIDE),
        "pad": (ops.Pad(*names, 1, 2, 3, 4), {"x": S8, "y": S8}, SIDE),
        "pixel_shuffle": (ops.PixelShuffle(*names, 2, 2), {"x": S8, "y": S8}, SIDE // 4),
        "nearest": (ops.Nearest(*names, 2, 2), {"x": S8, "y": S8}, SIDE),
        "tile": (ops.Tile(*names, 2, 2), {"x": S8, "y": S8}, SIDE),
        "resize": (ops.Resize(*names, 2, 2), {"x": S16, "y": S16}, SIDE),
        "scale_space": (ops.ScaleSpace(*names, 3), {"x": S16, "y": S16}, 4 * SIDE),
        "warp": (
            ops.Warp("layer", ("x", "flow"), "y", 8),
            {"x": S16, "flow": IntFormat(10, True), "y": S16},
            SIDE // 4,
        ),
        "layer_norm": (ops.LayerNorm(*names, 64, 8, 8, 50000 * ones, each), {"x": S16, "y": S16}, SIDE),
    }
    drawn: dict[str, Callable[[np.random.Generator], Sample]] = {
        "convolution": lambda rng: (
            ops.Convolution(*names, S8, 1, 1, *weights(rng, SIDE, SIDE, 3, 3)),
            {"x": S8, "y": S32},
            SIDE,
        ),
        "transposed_convolution": lambda rng: (
            ops.TransposedConvolution(*names, S8, 2, 2, 1, *weights(rng, SIDE, SIDE, 5, 5)),
            {"x": S8, "y": S32},
            SIDE,
        ),
        "depthwise_convolution": lambda rng: (
            ops.DepthwiseConvolution(*names, S8, 1, 1, *weights(rng, SIDE, 3, 3)),
            {"x": S8, "y": S32},
            SIDE,
        ),
        "masked_convolution": masked,
        "linear": lambda rng: (ops.Linear(*names, S8, *weights(rng, SIDE, SIDE)), {"x": S8, "y": S32}, SIDE),
        "gdn": lambda rng: (
            ops.Gdn(*names, U8, S48, True, 8, 4, *norm(rng), 10**6 * ones, each),
            {"x": S8, "y": S8},
            SIDE,
        ),
        "inverse_gdn": lambda rng: (
            ops.InverseGdn(*names, U8, S48, S32, False, 8, *norm(rng), each, 12345 * ones, 28 * ones),
            {"x": S8, "y": S8},
            SIDE,
        ),
        "positional_encoding": lambda rng: (
            ops.PositionalEncoding(*names, True, 14, rng.integers(0, 1 << 40, SIDE**3 // 8), sine_nodes()),
            {"x": U16, "y": S16},
            SIDE**3 // 4,
        ),
        "embedding": lambda rng: (
            ops.Embedding(*names, 1 << 16, True, rng.integers(-99, 99, (2, SIDE, SIDE, SIDE))),
            {"x": U16, "y": S16},
            SIDE,
        ),
    }
    return {kind: (lambda rng, sample=sample: sample) for kind, sample in ready.items()} | drawn


def source_shape(op: ops.AnyOperation, name: str) -> tuple[int, int, int]:
    """What the operation reads: a frame number, a flow, or the tensor of 64x64x64."""
    if op.kind in ("positional_encoding", "embedding"):
        return 1, 1, 1
    return (3 if name == "flow" else SIDE), SIDE, SIDE


def measure(sample: Sample, rng: np.random.Generator) -> tuple[float, float]:
    """Seconds of the definition, once, and of the kernel, the best of five."""
    op, formats, channels = sample
    inputs = {
        name: rng.integers(formats[name].lo, formats[name].hi, source_shape(op, name), endpoint=True)
        for name in op.reads
    }
    tensors = [ops.Tensor(name, inputs[name].shape[0], formats[name]) for name in op.reads]
    program = Program(op.kind, (*tensors, ops.Tensor("y", channels, formats["y"])), (op,))
    wanted = program.run_all(inputs)["y"]
    kernel = best(partial(program.run_all, inputs))
    begin = time.perf_counter()
    found = definition(program, inputs)
    plain = time.perf_counter() - begin
    if not np.array_equal(found, wanted):
        raise SystemExit(f"{op.kind}: kernel and definition differ")
    return plain, kernel


def definition(program: Program, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """The result by SPEC.md's own functions; `run_plain` takes NumPy for the two that need a minute here."""
    op = program.operations[0]
    if isinstance(op, ops.Convolution):
        x = inputs["x"].tolist()
        return np.array(fixed.convolution(x, op.weight.tolist(), op.bias.tolist(), op.stride, op.padding))
    if isinstance(op, ops.TransposedConvolution):
        x, weight, bias = inputs["x"].tolist(), op.weight.tolist(), op.bias.tolist()
        return np.array(fixed.transposed_convolution(x, weight, bias, op.stride, op.padding, op.output_padding))
    return program.run_all_plain(inputs)["y"]


def main() -> int:
    """Measure the kinds that are asked for, or all, and print one table."""
    parser = argparse.ArgumentParser(description="kernels against definitions")
    parser.add_argument("kinds", nargs="*", help="kinds of operation (default: all)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    known = samples()
    rows = []
    for kind in args.kinds or sorted(known):
        rng = np.random.default_rng(1)
        plain, kernel = measure(known[kind](rng), rng)
        rows.append((kind, 1000 * plain, 1000 * kernel, plain / kernel))
    if args.json:
        print(json.dumps({row[0]: row[1:] for row in rows}, indent=1))
    else:
        head = ["operation", "definition, ms", "kernel, ms", "times faster"]
        print(table([[row[0], *(f"{value:.3g}" for value in row[1:])] for row in rows], head))
    return 0


if __name__ == "__main__":
    sys.exit(main())
