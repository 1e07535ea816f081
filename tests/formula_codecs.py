"""Parameters, pictures and latents that follow a rule, so that results can be compared without storing inputs."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np

SYNTHESIS = ("g_s.", "img_decoder.")
MIDDLE = ("g_s.4.bias", "g_s.6.bias", "g_s.7.0.bias", "img_decoder.6.bias")  # layers that give samples


def formula(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers from -1 to 1 in float64, of a name and nothing else: ((crc32 + 37 k) mod 101 - 50) / 50."""
    k = np.arange(int(np.prod(shape)), dtype=np.int64)
    return (((zlib.crc32(name.encode()) + 37 * k + k * k // 101) % 101 - 50) / 50).reshape(shape)


def formula_parameter(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A float32 parameter as large as a trained one, by what its name and rank say."""
    u, kind = formula(name, shape), name.rpartition(".")[2]
    if kind == "quantiles":
        values = np.array([-12.0, 0.0, 12.0]) + u * np.array([1.0, 0.4, 1.0])
    elif kind == "beta":
        values = 1 + 0.3 * u
    elif kind == "gamma":
        values = 0.1 + 0.1 * u + 0.2 * np.eye(shape[0])
    elif "entropy_bottleneck" in name:
        values = 0.3 * u + 0.2 * ("matrices" in name)
    elif len(shape) == 4:
        gain = _gain(name, shape[2])
        values = gain * u / np.sqrt(np.sqrt(float(shape[0] * shape[1])) * shape[2] * shape[2])
    else:
        values = 0.2 * u + 0.5 * (name in MIDDLE)
    return values.astype(np.float32)


def _gain(name: str, kernel: int) -> float:
    """Of a convolution, so that latents are some steps large, samples about one, and a recursion forgets."""
    if "context_prediction" in name or "entropy_parameters" in name:
        return 1.5
    if kernel == 9 and not name.startswith(SYNTHESIS):
        return 12.0
    residual = kernel < 5 and "g_" in name
    if name.startswith(SYNTHESIS):
        return 1.4 if residual else 2.2
    return 2.0 if residual else 3.6


def formula_parameters(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """All parameters of an architecture."""
    return {name: formula_parameter(name, tuple(shape)) for name, shape in shapes.items()}


def formula_picture(height: int, width: int) -> np.ndarray:
    """Planes (3, H, W) float32, 0 .. 1: ramps, blocks and a little texture."""
    y, x = np.mgrid[:height, :width]
    planes = [(3 * x + y) % 256, np.where((x // 11 + y // 13) % 2, 220, 30), (x * y // 7 + 5 * y) % 199]
    return (np.stack(planes) / 255).astype(np.float32)
