"""Runs integer programs with the functions of SPEC.md itself, extracted from its text, on nested lists.

Nothing of `refcodec.fixed`, of the layers or of NumPy's arithmetic takes part: what an operation gives here is what a
reader of SPEC.md would compute by hand.
"""

from __future__ import annotations
import __future__

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from checks.specification import spec_blocks

Volume = list[list[list[int]]]
SPEC = Path(__file__).parents[1] / "SPEC.md"


def extract() -> SimpleNamespace:
    """Every function that SPEC.md defines, compiled from its text."""
    names: dict[str, Any] = {}
    for block in spec_blocks(SPEC.read_text(encoding="utf-8")):
        code = compile(block.source, f"SPEC.md {block.clause}", "exec", __future__.annotations.compiler_flag, True)
        exec(code, names)
    return SimpleNamespace(**names)


spec = extract()


def pointwise(x: Volume, function: Callable[[int, int], int]) -> Volume:
    """A function of channel and value, at every sample."""
    return [[[function(c, v) for v in row] for row in plane] for c, plane in enumerate(x)]


def at_each_sample(x: Volume, function: Callable[[list[int]], list[int]]) -> Volume:
    """A function of the vector of channels, at every sample."""
    height, width = len(x[0]), len(x[0][0])
    columns = [[function([plane[y][i] for plane in x]) for i in range(width)] for y in range(height)]
    channels = len(columns[0][0])
    return [[[columns[y][i][c] for i in range(width)] for y in range(height)] for c in range(channels)]


def _requantise(op: Any, x: Sequence[Volume], source: Any, target: Any) -> Volume:
    m, s = op.multiplier.tolist(), op.shift.tolist()
    return pointwise(x[0], lambda c, v: spec.requantise(v, m[c], s[c], target.lo, target.hi))


def _leaky_requantise(op: Any, x: Sequence[Volume], source: Any, target: Any) -> Volume:
    m, n, s = op.multiplier.tolist(), op.negative_multiplier.tolist(), op.shift.tolist()
    return pointwise(x[0], lambda c, v: spec.leaky_requantise(v, m[c], n[c], s[c], target.lo, target.hi))


def _threshold_count(op: Any, x: Sequence[Volume], source: Any, target: Any) -> Volume:
    thresholds = op.thresholds.tolist()
    return pointwise(x[0], lambda c, v: spec.scale_index(v, thresholds[c]))


def _divisors(op: Any, sample: list[int]) -> list[int]:
    return [
        spec.gdn_divisor(spec.gdn_norm(sample, gamma, beta, op.squared), op.squared, op.norm_shift)
        for gamma, beta in zip(op.gamma.tolist(), op.beta.tolist(), strict=True)
    ]


def _gdn(op: Any, x: Sequence[Volume], source: Any, target: Any) -> Volume:
    scale, offset = op.scale.tolist(), op.offset.tolist()

    def divided(sample: list[int]) -> list[int]:
        divisors = _divisors(op, sample)
        return [
            spec.gdn(v, divisors[c], scale[c], offset[c], op.fraction, target.lo, target.hi)
            for c, v in enumerate(sample)
        ]

    return at_each_sample(x[0], divided)


def _inverse_gdn(op: Any, x: Sequence[Volume], source: Any, target: Any) -> Volume:
    offset, m, s = op.offset.tolist(), op.multiplier.tolist(), op.shift.tolist()

    def multiplied(sample: list[int]) -> list[int]:
        divisors = _divisors(op, sample)
        return [
            spec.inverse_gdn(v, divisors[c], offset[c], m[c], s[c], target.lo, target.hi) for c, v in enumerate(sample)
        ]

    return at_each_sample(x[0], multiplied)


def _layer_norm(op: Any, x: Sequence[Volume], source: Any, target: Any) -> Volume:
    constants = op.scale.tolist(), op.offset.tolist(), op.epsilon, op.root_shift, op.fraction
    return at_each_sample(x[0], lambda sample: spec.layer_norm(sample, *constants, target.lo, target.hi))


def _masked_convolution(op: Any, x: Sequence[Volume], source: Any, target: Any) -> Volume:
    kernel = op.weight.shape[2]
    alive = spec.checkerboard_tap if op.mask == "checkerboard" else lambda ky, kx: spec.causal_tap(kernel, ky, kx)
    weight = [
        [[[w if alive(ky, kx) else 0 for kx, w in enumerate(row)] for ky, row in enumerate(plane)] for plane in volume]
        for volume in op.weight.tolist()
    ]
    return spec.convolution(x[0], weight, op.bias.tolist(), 1, op.padding)


def _add(op: Any, x: Sequence[Volume], source: Any, target: Any) -> Volume:
    multipliers = op.multipliers.tolist()
    return [
        [
            [spec.add(a, b, multipliers, op.shift, target.lo, target.hi) for a, b in zip(left, right, strict=True)]
            for left, right in zip(*planes, strict=True)
        ]
        for planes in zip(*x, strict=True)
    ]


def _latent_means(op: Any, x: Sequence[Volume], source: Any, target: Any) -> Volume:
    return [
        [
            [spec.latent_mean(a, b, op.fraction) for a, b in zip(left, right, strict=True)]
            for left, right in zip(*planes, strict=True)
        ]
        for planes in zip(*x, strict=True)
    ]


def _latent_mean(op: Any, x: Sequence[Volume], source: Any, target: Any) -> Volume:
    mean = op.mean.tolist()
    return pointwise(x[0], lambda c, v: spec.latent_mean(v, mean[c], op.fraction))


def _scale_space(op: Any, x: Sequence[Volume], source: Any, target: Any) -> Volume:
    spaces = [spec.scale_space(plane, op.levels) for plane in x[0]]
    return [space[level] for level in range(op.levels + 1) for space in spaces]


def _warp(op: Any, x: Sequence[Volume], source: Any, target: Any) -> Volume:
    volume, flow = x
    return [spec.warp(volume[c :: target.channels], flow, op.fraction) for c in range(target.channels)]


def _positional_encoding(op: Any, x: Sequence[Volume], source: Any, target: Any) -> Volume:
    values = spec.positional_encoding(
        x[0][0][0][0], op.increments.tolist(), op.interleaved, op.nodes.tolist(), op.fraction
    )
    return [[[value]] for value in values]


EXECUTORS: dict[str, Callable[[Any, Sequence[Volume], Any, Any], Volume]] = {
    "convolution": lambda op, x, s, t: spec.convolution(
        x[0], op.weight.tolist(), op.bias.tolist(), op.stride, op.padding
    ),
    "transposed_convolution": lambda op, x, s, t: spec.transposed_convolution(
        x[0], op.weight.tolist(), op.bias.tolist(), op.stride, op.padding, op.output_padding
    ),
    "depthwise_convolution": lambda op, x, s, t: spec.depthwise_convolution(
        x[0], op.weight.tolist(), op.bias.tolist(), op.stride, op.padding
    ),
    "masked_convolution": _masked_convolution,
    "linear": lambda op, x, s, t: at_each_sample(
        x[0], lambda sample: spec.linear(sample, op.weight.tolist(), op.bias.tolist())
    ),
    "requantise": _requantise,
    "leaky_requantise": _leaky_requantise,
    "clip": lambda op, x, s, t: pointwise(x[0], lambda c, v: spec.clip(v, op.lo, op.hi)),
    "latent_mean": _latent_mean,
    "latent_means": _latent_means,
    "scale_index": _threshold_count,
    "threshold_head": _threshold_count,
    "gdn": _gdn,
    "inverse_gdn": _inverse_gdn,
    "layer_norm": _layer_norm,
    "table": lambda op, x, s, t: pointwise(x[0], lambda c, v: spec.table_lookup(v, s.lo, op.table.tolist())),
    "interpolated_table": lambda op, x, s, t: pointwise(
        x[0], lambda c, v: spec.interpolated_lookup(v, s.lo, op.spacing, op.nodes.tolist())
    ),
    "pixel_shuffle": lambda op, x, s, t: spec.pixel_shuffle(x[0], op.rows, op.columns),
    "add": _add,
    "concatenate": lambda op, x, s, t: spec.concatenate(x),
    "crop": lambda op, x, s, t: spec.crop(x[0], op.top, op.bottom, op.left, op.right),
    "pad": lambda op, x, s, t: spec.pad(x[0], op.top, op.bottom, op.left, op.right),
    "nearest": lambda op, x, s, t: [spec.nearest(plane, op.rows, op.columns) for plane in x[0]],
    "tile": lambda op, x, s, t: [spec.tile(plane, op.rows, op.columns) for plane in x[0]],
    "resize": lambda op, x, s, t: [spec.resize(plane, op.rows, op.columns) for plane in x[0]],
    "scale_space": _scale_space,
    "warp": _warp,
    "positional_encoding": _positional_encoding,
    "embedding": lambda op, x, s, t: spec.embedding(op.table.tolist(), x[0][0][0][0], op.frames, op.centred),
}


def execute(program: Any, inputs: dict[str, Volume]) -> dict[str, Volume]:
    """Every tensor of a program, by name."""
    tensors = {tensor.name: tensor for tensor in program.tensors}
    found = dict(inputs)
    for op in program.operations:
        target = SimpleNamespace(
            lo=tensors[op.target].format.lo, hi=tensors[op.target].format.hi, channels=tensors[op.target].channels
        )
        source = SimpleNamespace(lo=tensors[op.reads[0]].format.lo)
        found[op.target] = EXECUTORS[op.kind](op, [found[name] for name in op.reads], source, target)
    return found
