"""Parameters that were quantised along other axes, on steps of their channels: those of the least squared error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from refcodec.codecs.inr.architecture import parameters
from refcodec.codecs.inr.nodes import Parameter
from refcodec.codecs.inr.quantised import ACTIVATIONS, LARGEST_STEP, MAX_BITS, MIN_BITS, Quantised, Video
from refcodec.errors import RangeError
from refcodec.formats import IntFormat
from refcodec.kernel import kernel
from refcodec.models.inr.trained import TrainedVideo
from refcodec.quantize.inr.uniform import binary16_patterns, nearest_integers, parameter_bits, rows, step_values
from refcodec.quantize.observers import minmax_step

# How many binary16 patterns are tried on either side of the step that just saturates nothing: down to a quarter, as the
# best one of a normal deviate in 2 bits is a third of it, and up to 5/4, as the best one of a few numbers may be above.
BELOW, ABOVE = 2048, 256


class Regridded(NamedTuple):
    """A parameter on steps of its channels, and the root of the mean squared error of its real values."""

    quantised: Quantised
    error: float


@kernel
def _best_steps(array, first, steps, lo, hi, best, errors):
    for r in range(array.shape[0]):
        for pattern in range(first[r], max(0, first[r] - ABOVE - BELOW - 1), -1):
            step, error = steps[pattern], 0.0
            for i in range(array.shape[1]):
                code = min(max(np.floor(array[r, i] / step + 0.5), lo), hi)
                error += (code * step - array[r, i]) ** 2
                if error >= errors[r]:
                    break
            if error < errors[r]:
                best[r], errors[r] = pattern, error


def best_steps(array: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """The step of each row that leaves the least squared error of integers of so many signed bits.

    array  (n, N) float.  Returns binary16 patterns (n,) uint16, of equal errors the larger one; errors (n,) float64.

    Raises RangeError for bits beyond 2 .. 16.
    """
    if not MIN_BITS <= bits <= MAX_BITS:
        raise RangeError(f"a parameter has {MIN_BITS}..{MAX_BITS} bits, got {bits}")
    fmt = IntFormat(bits, True)
    values = array.astype(np.float64)
    first = np.minimum(binary16_patterns(minmax_step(values, fmt)).astype(np.int64) + ABOVE, LARGEST_STEP)
    steps = step_values(np.arange(LARGEST_STEP + 1)).astype(np.float64)
    best, errors = first.copy(), np.full(len(values), np.inf)
    _best_steps(values, first, steps, fmt.lo, fmt.hi, best, errors)
    return best.astype(np.uint16), errors


def regrid(parameter: Parameter, array: np.ndarray, bits: int) -> Regridded:
    """A parameter by its best steps and nearest integers.

    array  float of the parameter's shape, such as `dequantise` gives exactly;  bits  2 .. 16.  Raises RangeError.
    """
    patterns, errors = best_steps(rows(parameter, array), bits)
    quantised = Quantised(nearest_integers(parameter, array, patterns, bits), patterns, bits)
    return Regridded(quantised, float(np.sqrt(errors.sum() / array.size)))


def regrid_video(
    trained: TrainedVideo, bits: int | Mapping[str, int], activations: IntFormat = ACTIVATIONS
) -> tuple[Video, dict[str, float]]:
    """A video by best steps, and the error of each parameter by name.

    bits  of all weights, or of parameters by name, as of `parameter_bits`.  Raises RangeError.
    """
    chosen = parameter_bits(trained.architecture, bits)
    found = {
        parameter.name: regrid(parameter, trained.parameters[parameter.name], chosen[parameter.name])
        for parameter in parameters(trained.architecture.nodes())
    }
    video = Video(trained.architecture, {name: each.quantised for name, each in found.items()}, activations)
    return video, {name: each.error for name, each in found.items()}
