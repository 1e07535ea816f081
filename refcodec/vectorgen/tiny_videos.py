"""Small implicit videos of every architecture with pseudo-random integers; nothing was trained (SPEC VEC-2)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from refcodec.codecs.inr.architecture import Architecture, Block, Hierarchical, Levels, Shuffled, Stage, parameters
from refcodec.codecs.inr.nodes import GELU, GRID, SIGMOID, SILU, TANH, WEIGHT, Parameter
from refcodec.codecs.inr.quantised import ACTIVATIONS, Quantised, Video, step_channels
from refcodec.formats import IntFormat
from refcodec.vectorgen.draw import draw, draw_between

TURN = 1 << 40
INCREMENTS = (TURN // 9, TURN // 7, TURN - 1, 12345678901)
GAIN = 2.0  # of a layer's sums over what it reads, about: the next layer then sees both ends of its table's bend
GRID_SIZE, BIAS_SIZE = 3.0, 1.0  # largest real values

# No side is a multiple of the network's scale, so that every picture is cropped.
NERV = Shuffled(
    6, 11, 15, (2, 2), (), True, INCREMENTS, True, (5, 24), (True, True),
    (Block(3, 2, 4), Block(3, 2, 3), Block(3, 2, 3)), SILU, 1, TANH,
)  # fmt: skip
NERV_CONCATENATED = Shuffled(
    4, 9, 12, (3, 4), (), True, INCREMENTS[1:], False, (36,), (True,),
    (Block(3, 3, 2), Block(1, 1, 3)), GELU, 3, TANH,
)  # fmt: skip
HNERV = Shuffled(
    5, 12, 17, (2, 3), (Levels(5, 4),), True, (), False, (6,), (True,),
    (Block(1, 2, 5), Block(3, 1, 4), Block(5, 3, 3)), GELU, 3, TANH,
)  # fmt: skip
FFNERV = Shuffled(
    7, 7, 9, (2, 3), (Levels(3, 2), Levels(7, 1), Levels(1, 2)), False, (), False, (), (),
    (Block(3, 2, 4), Block(3, 2, 3)), GELU, 1, SIGMOID,
)  # fmt: skip
HINERV = Hierarchical(
    8, 11, 17, (2, 3), (Levels(4, 2), Levels(2, 3)), 6, 3, True, 3,
    (
        Stage(3, 6, (Levels(4, 2), Levels(3, 1)), 2, 8),
        Stage(2, 3, (Levels(8, 1),), 1, 7),
        Stage(1, 3, (), 1, 4),
    ),
)  # fmt: skip
ARCHITECTURES: dict[str, Architecture] = {
    "nerv": NERV,
    "nerv-concatenated": NERV_CONCATENATED,
    "hnerv": HNERV,
    "ffnerv": FFNERV,
    "hinerv": HINERV,
}


def tiny_video(
    architecture: Architecture,
    seed: int,
    bits: int = 6,
    dependent: bool = False,
    activations: IntFormat = ACTIVATIONS,
    several_steps: bool = True,
    changes: Mapping[str, int] | None = None,
) -> Video:
    """A video of pseudo-random parameters, equal for equal arguments.

    bits  of all parameters but those that `changes` names;  several_steps  a step for each channel where there may be.
    """
    found = {}
    for number, parameter in enumerate(parameters(architecture.nodes())):
        width = (changes or {}).get(parameter.name, bits)
        values = draw(seed + 1000 * number, parameter.shape, IntFormat(width, True))
        count = step_channels(parameter) if several_steps else 1
        step = _largest(parameter) / (1 << width - 1 + dependent)
        parts = draw_between(seed + 1000 * number + 500, (count,), 50, 150) / 100
        steps = np.maximum(step * parts, np.finfo(np.float16).smallest_subnormal).astype(np.float16).view(np.uint16)
        found[parameter.name] = Quantised(values, steps, width, dependent)
    return Video(architecture, found, activations)


def _largest(parameter: Parameter) -> float:
    """The largest real value of a parameter: weights are smaller where more of them meet in a sum."""
    if parameter.kind == WEIGHT:
        return GAIN * math.sqrt(3 / math.prod(parameter.shape[1:]))
    return GRID_SIZE if parameter.kind == GRID else BIAS_SIZE
