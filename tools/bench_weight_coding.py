"""Bits a weight costs: `python tools/bench_weight_coding.py [MODEL.safetensors ...]`; the shipped models by default.

Weights of the decoder networks of a codec, or weights and grids of an implicit video, are rounded to steps that share
the largest magnitude of each channel. Columns, in bits a weight, tables and first bytes included:

entropy   of order 0, each tensor by itself, nothing for tables
static    refcodec's payloads by rANS alone;  ours  the shortest of all modes of each tensor
nncodec   NNCodec's payloads, the best of 1, 4 and 10 flags for each tensor; missing without `make oracles`
dq        levels of the trellis at such steps that the squared error is that of the rounded weights, by ours
nncodec dq  the same integers by NNCodec
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sysconfig
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from refcodec.codecs.inr.architecture import parameters
from refcodec.codecs.inr.nodes import BIAS, GRID
from refcodec.codecs.inr.stream import coded_shape
from refcodec.describe import table
from refcodec.entropy.trellis import reconstruct
from refcodec.entropy.weight_coding import decode_integers, encode_integers, mode_sizes
from refcodec.models.checkpoint import read_metadata
from refcodec.models.inr.trained import ARCHITECTURE, load_video
from refcodec.models.network import Convolution
from refcodec.models.shipped import shipped_names, shipped_path
from refcodec.models.trained import load_trained
from refcodec.quantize.layers import decoder_networks
from refcodec.quantize.trellis import dependent_levels

ORACLES = Path(__file__).parents[1] / ".oracles"
FLAGS = (1, 4, 10)
SEARCHES = 7  # halvings of what is known about the step of equal error
MAX_DEPENDENT_BITS = 16


class Weights(NamedTuple):
    """A float tensor (O, I, K) and the axis of its channels."""

    name: str
    values: np.ndarray
    axis: int


def load_nncodec() -> Any:
    """NNCodec's extension module, or None where `tools/fetch_oracles.py` has not brought it."""
    path = ORACLES / f"deepCABAC{sysconfig.get_config_var('EXT_SUFFIX')}"
    spec = importlib.util.spec_from_file_location("deepCABAC", path) if path.is_file() else None
    if spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def nncodec_payload(module: Any, values: np.ndarray, flags: int, dependent: bool) -> np.ndarray:
    """NNCodec's bytes of (O, I, K) integers, in profile 0; those that levels stand for, if they are dependent."""
    encoder = module.Encoder()
    encoder.initCtxModels(flags, 1)
    rows = np.ascontiguousarray(values.reshape(len(values), -1), np.int32)
    none = module.HdspMode.AlwaysOff, np.zeros(1, np.int8)
    encoder.encodeLayer(rows, int(dependent), 0, 0, 0, 0, np.zeros(len(rows), np.int32), *none, 0, 0)
    return encoder.finish()


def nncodec_integers(
    module: Any, payload: np.ndarray, shape: tuple[int, ...], flags: int, dependent: bool
) -> np.ndarray:
    """The integers of such bytes."""
    decoder = module.Decoder()
    content = np.concatenate([payload, np.zeros(16, np.uint8)])  # it reads ahead
    decoder.setStream(content)
    decoder.initCtxModels(flags)
    rows = np.zeros((shape[0], int(np.prod(shape[1:]))), np.int32)
    decoder.decodeLayer(rows, int(dependent), 0, 0, 0, module.HdspMode.AlwaysOff, np.zeros(1, np.int8), 0, 0)
    decoder.finish()
    return rows.reshape(shape)


def nncodec_size(module: Any, values: np.ndarray, dependent: bool = False) -> int:
    """The bytes of its shortest payload."""
    return min(len(nncodec_payload(module, values, flags, dependent)) for flags in FLAGS)


def load_weights(path: Path) -> list[Weights]:
    """What is coded of a float checkpoint: its decoder's convolutions, or an implicit video's weights and grids."""
    if read_metadata(path).get(ARCHITECTURE, "").startswith("{"):  # of a codec, it is a name
        video = load_video(path)
        wanted = [p for p in parameters(video.architecture.nodes()) if p.kind != BIAS]
        return [Weights(p.name, video.parameters[p.name].reshape(coded_shape(p)), int(p.kind == GRID)) for p in wanted]
    codec = load_trained(path).twin
    nodes = [node for name in decoder_networks(codec) for node in codec.networks[name].nodes]
    layers = [node for node in nodes if isinstance(node, Convolution)]
    return [Weights(n.prefix, w.reshape(*w.shape[:2], -1), 0) for n in layers for w in [n.weight(codec.parameters)]]


def channel_steps(weights: Weights, bits: int) -> np.ndarray:
    """Steps that bring the largest magnitude of each channel to the largest integer, in a shape that broadcasts."""
    others = tuple(axis for axis in range(3) if axis != weights.axis)
    largest = np.abs(weights.values.astype(np.float64)).max(axis=others, keepdims=True)
    return np.where(largest > 0, largest, 1) / ((1 << bits - 1) - 1)


def entropy(values: np.ndarray) -> float:
    """Bits of order 0."""
    counts = np.unique(values, return_counts=True)[1]
    return float(-(counts * np.log2(counts / values.size)).sum())


def dependent_at(weights: list[Weights], steps: list[np.ndarray], factor: float) -> tuple[list[np.ndarray], float]:
    """Levels at steps times a factor, and their squared error."""
    levels, error = [], 0.0
    for w, step in zip(weights, steps, strict=True):
        half = step * factor / 2
        levels.append(dependent_levels(w.values / half, MAX_DEPENDENT_BITS))
        error += float(np.square(reconstruct(levels[-1]) * half - w.values).sum())
    return levels, error


def dependent_of_error(weights: list[Weights], steps: list[np.ndarray], error: float) -> list[np.ndarray]:
    """The levels of the largest steps whose squared error is no more than that."""
    low, high = 1.0, 1.6
    best = dependent_at(weights, steps, low)[0]
    for _ in range(SEARCHES):
        middle = (low + high) / 2
        levels, found = dependent_at(weights, steps, middle)
        if found <= error:
            low, best = middle, levels
        else:
            high = middle
    return best


def measure(weights: list[Weights], bits: int, nncodec: Any) -> dict[str, float]:
    """Bits a weight in every column."""
    steps = [channel_steps(w, bits) for w in weights]
    values = [np.rint(w.values / step).astype(np.int32) for w, step in zip(weights, steps, strict=True)]
    count = sum(v.size for v in values)
    error = sum(float(np.square(v * s - w.values).sum()) for v, s, w in zip(values, steps, weights, strict=True))
    sizes = [mode_sizes(v) for v in values]
    levels = dependent_of_error(weights, steps, error)
    found = {
        "entropy": sum(entropy(v) for v in values) / 8,
        "static": sum(size.get("static", min(size.values())) for size in sizes),
        "ours": sum(min(size.values()) for size in sizes),
        "dq": sum(len(encode_integers(k, True)) for k in levels),
    }
    if nncodec is not None:
        found["nncodec"] = sum(nncodec_size(nncodec, v) for v in values)
        found["nncodec dq"] = sum(nncodec_size(nncodec, reconstruct(k), True) for k in levels)
    return {name: 8 * size / count for name, size in found.items()}


def speed(weights: list[Weights], bits: int) -> dict[str, float]:
    """Weights a second, in 10^6: all modes encoded, the shortest decoded, levels found."""
    values = [np.rint(w.values / channel_steps(w, bits)).astype(np.int32) for w in weights]
    count = sum(v.size for v in values) / 1e6
    begin = time.perf_counter()
    payloads = [encode_integers(v) for v in values]
    encoded = time.perf_counter()
    for payload, v in zip(payloads, values, strict=True):
        decode_integers(payload, (v.shape[0], v.shape[1], v.shape[2]), False)
    decoded = time.perf_counter()
    dependent_at(weights, [channel_steps(w, bits) for w in weights], 1.0)
    return {
        "encode": count / (encoded - begin),
        "decode": count / (decoded - encoded),
        "search": count / (time.perf_counter() - decoded),
    }


COLUMNS = ("entropy", "static", "nncodec", "ours", "dq", "nncodec dq")


def main() -> None:
    """Measure every model at every number of bits, and print one table."""
    parser = argparse.ArgumentParser(description="bits a weight costs")
    parser.add_argument("models", nargs="*", type=Path, help="float checkpoints, the shipped ones by default")
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 6, 5, 4, 3])
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    shipped = [shipped_path(name) for name in shipped_names(".safetensors")]
    nncodec, found = load_nncodec(), dict[str, Any]()
    for path in args.models or shipped:
        weights = load_weights(path)
        rows = {str(bits): measure(weights, bits, nncodec) for bits in args.bits}
        found[path.stem] = {"weights": sum(w.values.size for w in weights), "bits": rows, "speed": speed(weights, 6)}
    if args.json:
        print(json.dumps(found, indent=1))
        return
    for name, model in found.items():
        print(f"{name}: {model['weights']} weights")
        lines = [[bits, *(f"{row[c]:.3f}" if c in row else "" for c in COLUMNS)] for bits, row in model["bits"].items()]
        print(table(lines, ["bits", *COLUMNS]))
        print(", ".join(f"{key} {value:.2f} M/s" for key, value in model["speed"].items()), end="\n\n")


if __name__ == "__main__":
    main()
