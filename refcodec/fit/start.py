"""Where a fit begins: weights as PyTorch draws them, embeddings from the pictures themselves."""

from __future__ import annotations

from math import prod

import numpy as np

from refcodec.codecs.inr.architecture import Architecture, Shuffled, parameters
from refcodec.codecs.inr.nodes import BIAS, GRID, Parameter

GRID_RANGE = 1e-3  # HiNeRV's grids
LEAST_DEVIATION = 1e-6  # of a component; below is what rounding leaves of a constant clip
CELL = 8  # samples along each side of what an embedding's cell sees


def initial_parameters(architecture: Architecture, frames: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Float32 parameters to begin with, by name.

    frames  (T, H, W, 3) uint8;  seed  of the random numbers.

    Weights and biases are uniform within 1 / sqrt(inputs of an output), PyTorch's default. HNeRV has an encoder for its
    embeddings; here they begin as the principal components of the pictures' cells and are trained like weights.
    """
    draw = np.random.default_rng(seed)
    found: dict[str, np.ndarray] = {}
    fan_in = 1
    for parameter in parameters(architecture.nodes()):
        if parameter.kind == GRID:
            found[parameter.name] = _grid(parameter, architecture, frames, draw)
            continue
        if parameter.kind != BIAS:
            fan_in = prod(parameter.shape[1:])
        limit = fan_in**-0.5
        found[parameter.name] = draw.uniform(-limit, limit, parameter.shape).astype(np.float32)
    return found


def _grid(
    parameter: Parameter, architecture: Architecture, frames: np.ndarray, draw: np.random.Generator
) -> np.ndarray:
    if isinstance(architecture, Shuffled) and parameter.shape[0] == architecture.frames == len(frames):
        return principal_components(frames, parameter.shape, architecture.size)
    return draw.uniform(-GRID_RANGE, GRID_RANGE, parameter.shape).astype(np.float32)


def _cells(frames: np.ndarray, grid: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """What each cell of a grid sees of each frame, coarsely: (T, h, w, CELL * CELL * 3) float64."""
    rows, columns = (
        np.linspace(0, size[axis] - 1, grid[axis] * CELL).round().astype(int).clip(0, frames.shape[1 + axis] - 1)
        for axis in (0, 1)
    )
    seen = frames[:, rows][:, :, columns] / 255.0
    split = seen.reshape(len(frames), grid[0], CELL, grid[1], CELL, 3).transpose(0, 1, 3, 2, 4, 5)
    return split.reshape(len(frames), *grid, -1)


def principal_components(frames: np.ndarray, shape: tuple[int, ...], size: tuple[int, int]) -> np.ndarray:
    """Embeddings (T, C, h, w) float32: the strongest components of all cells, each of unit variance, or zero.

    frames  (T, H, W, 3) uint8;  shape  T, C, h, w;  size  height and width that the cells divide evenly.
    """
    count, channels, height, width = shape
    cells = _cells(frames, (height, width), size).reshape(count * height * width, -1)
    centred = cells - cells.mean(axis=0)
    left, strengths, _ = np.linalg.svd(centred, full_matrices=False)
    kept = np.zeros((len(cells), channels))
    scale = len(cells) ** 0.5
    live = min(channels, int((strengths > LEAST_DEVIATION * scale).sum()))
    kept[:, :live] = left[:, :live] * scale
    return np.ascontiguousarray(kept.reshape(count, height, width, channels).transpose(0, 3, 1, 2), np.float32)
