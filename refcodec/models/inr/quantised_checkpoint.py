"""Quantised videos as HNeRV's code stores them: codes with a minimum and a step along any axes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from refcodec.models.inr.tensors import refusal

CODES, MINIMUM, STEP = ".quant", ".min", ".scale"
MODEL, EMBEDDINGS = "model.", "embed"


def is_quantised(names: Iterable[str]) -> bool:
    """Whether parameters are called as those of a quantised video."""
    return any(name.endswith(CODES) for name in names)


def dequantised(codes: np.ndarray, minimum: np.ndarray, step: np.ndarray) -> np.ndarray:
    """What codes stand for, minimum + step * code, float64 of their shape.

    codes  uint8;  minimum, step  float16 or float32 of shapes that broadcast to theirs.
    A product has 32 bits at most and is exact. So is the sum of float16 numbers, whose bits lie between 2**24 and
    2**-24; that of float32 numbers is unless one is 2**20 times the other.
    """
    return minimum.astype(np.float64) + step.astype(np.float64) * codes


def _broadcasts(array: np.ndarray, shape: tuple[int, ...]) -> bool:
    padded = (1,) * (len(shape) - array.ndim) + array.shape
    return len(padded) == len(shape) and all(size in (1, wanted) for size, wanted in zip(padded, shape, strict=True))


def dequantise(parameters: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The parameters of a quantised video under the names of its network, and its embeddings as `embed`; float64.

    parameters  as a checkpoint has them.  Raises ModelError RC-CHECKPOINT-PARAMETER.
    """
    left, found = dict(parameters), {}
    for name in [name for name in parameters if name.endswith(CODES)]:
        owner = name.removesuffix(CODES)
        codes, minimum, step = (left.pop(owner + part, np.empty(0)) for part in (CODES, MINIMUM, STEP))
        if codes.dtype != np.uint8:
            raise refusal(f"{name}: wanted uint8, got {codes.dtype}")
        for part, array in ((MINIMUM, minimum), (STEP, step)):
            if array.dtype not in (np.float16, np.float32) or not _broadcasts(array, codes.shape):
                raise refusal(
                    f"{owner}{part}: wanted float16 or float32 for codes {codes.shape}, got {array.dtype} {array.shape}"
                )
        found[owner.removeprefix(MODEL)] = dequantised(codes, minimum, step)
    for name in sorted(left):
        raise refusal(f"{name}: surplus; only codes, minima and steps are read")
    return found
