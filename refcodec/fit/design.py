"""Architectures of a wanted size: the rules by which the authors' repositories choose widths (SPEC INR-1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from math import prod

import numpy as np

from refcodec.codecs.inr.architecture import Architecture, Block, Hierarchical, Levels, Shuffled, Stage, parameters
from refcodec.codecs.inr.limits import MAX_PARAMETERS, check_architecture
from refcodec.codecs.inr.nodes import GELU, SIGMOID, SILU, TANH
from refcodec.errors import RangeError
from refcodec.models.inr.phases import phase_increments

STRIDES = ((5, 4, 4, 2, 2), (5, 4, 2, 2), (5, 2, 2, 2), (5, 2, 2), (2, 2), (2,))
LARGEST_BASE = {"hnerv": 16, "nerv": 16, "hinerv": 40}  # samples of the smallest plane
EMBEDDING = 16  # HNeRV: channels of a frame's embedding
REDUCTION, LOWEST_WIDTH = 1.2, 12  # HNeRV: from block to block, and where that ends
FREQUENCIES, FREQUENCY_RATIO = 40, 1.25  # NeRV
STEM_WIDTH, NERV_REDUCTION, NERV_LOWEST = 128, 2, 24
HINERV_GRID, HINERV_LOCAL = (2, 8), (6, 4)  # frames to a tensor, and channels: of base and local grids
EXPANSION, DEPTHS = 4, (2, 2, 2, 1)  # HiNeRV


def parameter_count(architecture: Architecture) -> int:
    """Trained numbers, embeddings and grids included."""
    return sum(prod(parameter.shape) for parameter in parameters(architecture.nodes()))


def strides_for(family: str, height: int, width: int) -> tuple[int, ...]:
    """The fewest strides that leave a small plane to begin with."""
    for strides in reversed(STRIDES):
        base = _base(height, width, strides)
        if base[0] * base[1] <= LARGEST_BASE[family]:
            return strides
    return STRIDES[0]


def _base(height: int, width: int, strides: Sequence[int]) -> tuple[int, int]:
    scale = prod(strides)
    return -(-height // scale), -(-width // scale)


def hnerv(
    width: int, clip: tuple[int, int, int], strides: Sequence[int], kernels: Sequence[int] | None = None
) -> Shuffled:
    """HNeRV with a first layer of so many channels.

    clip  frames, height, width;  kernels  of the blocks (default: 1, 3, then 5).
    """
    frames, height, columns = clip
    channels, blocks = width, []
    for k, stride in enumerate(strides):
        channels = max(round(channels / REDUCTION), LOWEST_WIDTH)
        blocks.append(Block(kernels[k] if kernels else min(1 + 2 * k, 5), stride, channels))
    return Shuffled(
        frames, height, columns, _base(height, columns, strides), (Levels(frames, EMBEDDING),), True, (), False,
        (width,), (True,), tuple(blocks), GELU, 3, TANH,
    )  # fmt: skip


@lru_cache(maxsize=4)
def _increments(frames: int) -> tuple[int, ...]:
    """Phases of NeRV's frequencies, which PyTorch holds as float32."""
    bases = [Fraction(float(np.float32(FREQUENCY_RATIO**k * np.pi))) for k in range(FREQUENCIES)]
    return tuple(phase_increments(bases, frames).tolist())


def nerv(
    width: int, clip: tuple[int, int, int], strides: Sequence[int], kernels: Sequence[int] | None = None
) -> Shuffled:
    """NeRV with so many channels before the first block."""
    frames, height, columns = clip
    base = _base(height, columns, strides)
    channels, blocks = width, []
    for k, stride in enumerate(strides):
        channels = channels if k == 0 else max(channels // NERV_REDUCTION, NERV_LOWEST)
        blocks.append(Block(kernels[k] if kernels else 3, stride, channels))
    return Shuffled(
        frames, height, columns, base, (), True, _increments(frames), True,
        (STEM_WIDTH, width * base[0] * base[1]), (True, True), tuple(blocks), SILU, 1, TANH,
    )  # fmt: skip


def hinerv(
    width: int, clip: tuple[int, int, int], strides: Sequence[int], kernels: Sequence[int] | None = None
) -> Hierarchical:
    """HiNeRV with a stem of so many channels, halved from stage to stage."""
    frames, height, columns = clip
    base = _base(height, columns, strides)
    every, channels = HINERV_GRID
    grids = tuple(Levels(max(frames // (every << k), 1), channels << k) for k in range(2))
    stages, wide = [], width
    for k, factor in enumerate(strides):
        wide = wide if k == 0 else -(-wide // 2)
        every, channels = HINERV_LOCAL
        local = tuple(Levels(max(frames // (every << j), 1), max(channels >> k, 1) << j) for j in range(2))
        stages.append(Stage(factor, wide, local, DEPTHS[min(k, len(DEPTHS) - 1)], EXPANSION * wide))
    return Hierarchical(
        frames, height, columns, base, grids, width, 3, False, kernels[0] if kernels else 3, tuple(stages), SIGMOID
    )


FAMILIES: dict[str, Callable[..., Architecture]] = {"hnerv": hnerv, "nerv": nerv, "hinerv": hinerv}


def _check_lists(family: str, strides: Sequence[int], kernels: Sequence[int] | None) -> None:
    """Raise RangeError RC-USAGE unless there are strides to divide by, and as many kernels as the family has."""
    if not strides or min(strides) < 1:
        raise RangeError(f"wanted one or more strides of 1 or more, got {list(strides)}", "RC-USAGE")
    wanted = 1 if family == "hinerv" else len(strides)
    if kernels is not None and len(kernels) != wanted:
        raise RangeError(
            f"wanted {wanted} kernels for {len(strides)} strides of {family}, got {len(kernels)}", "RC-USAGE"
        )


def design(
    family: str,
    size: int,
    clip: tuple[int, int, int],
    strides: Sequence[int] | None = None,
    kernels: Sequence[int] | None = None,
) -> Architecture:
    """The widest network of a family that has at most so many parameters.

    family  one of FAMILIES;  size  parameters, embeddings and grids included;  clip  frames, height, width
    strides  of the blocks (default: by the picture);  kernels  of the blocks, for HiNeRV one (default: the family's).
    Raises RangeError where even the narrowest has more, where a number leaves its limits (SPEC INR-10), and RC-USAGE
    for an unknown family or lists of the wrong length.
    """
    if family not in FAMILIES:
        raise RangeError(f"the family must be one of {', '.join(FAMILIES)}, got {family!r}", "RC-USAGE")
    if not 1 <= size <= MAX_PARAMETERS:
        raise RangeError(f"the size must be 1..{MAX_PARAMETERS} parameters, got {size}")
    chosen = strides_for(family, *clip[1:]) if strides is None else tuple(strides)
    _check_lists(family, chosen, kernels)

    def of_width(width: int) -> Architecture:
        return FAMILIES[family](width, clip, chosen, kernels)

    narrowest = of_width(1)
    check_architecture(narrowest)
    if parameter_count(narrowest) > size:
        count = parameter_count(narrowest)
        raise RangeError(f"the narrowest {family} for this clip has {count} parameters, more than {size}")
    lo, hi = 1, 2
    while parameter_count(of_width(hi)) <= size:
        lo, hi = hi, 2 * hi
    while hi - lo > 1:
        middle = (lo + hi) // 2
        lo, hi = (middle, hi) if parameter_count(of_width(middle)) <= size else (lo, middle)
    check_architecture(of_width(lo))
    return of_width(lo)
