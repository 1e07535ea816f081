"""Layer normalisation that autograd can differentiate twice.

Arrays are (channel, frame, row, column), float32 or float64; every sample is normalised over its channels. With
deviations d from the mean, variance v = mean(d * d) and r = 1 / sqrt(v + EPSILON), a sample becomes y = r * d. The
matrix of its derivatives, J = r * (1 - 1/C - y y^T / C), is symmetric.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from autograd.extend import defvjp, primitive

EPSILON = 1e-6


class _Normal(NamedTuple):
    """What a tensor becomes, (C, N, H, W), and by which factor, (N, H, W)."""

    y: np.ndarray
    factor: np.ndarray


def _centred(x: np.ndarray) -> np.ndarray:
    return x - x.mean(axis=0)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean over the channels of products, (N, H, W)."""
    return np.einsum("cnyx,cnyx->nyx", a, b) / len(a)


def _normal(x: np.ndarray) -> _Normal:
    deviations = _centred(x)
    factor = 1 / np.sqrt(_dot(deviations, deviations) + x.dtype.type(EPSILON))
    deviations *= factor
    return _Normal(deviations, factor)


def _slope(normal: _Normal, g: np.ndarray) -> np.ndarray:
    """J g."""
    found = _centred(g)
    found -= normal.y * _dot(normal.y, g)
    found *= normal.factor
    return found


@primitive
def normalise(x: np.ndarray) -> np.ndarray:
    """Every sample without its mean, divided by its deviation: y."""
    return _normal(x).y


@primitive
def normalise_slope(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The derivative of <g, y> in x: J g."""
    return _slope(_normal(x), g)


@primitive
def normalise_curvature(h: np.ndarray, g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The derivative of <h, J g> in x, of which autograd knows no derivative.

    <h, J g> = r * <h, g - mean(g)> - r * <h, y> * <y, g> / C, and r and y have the derivatives -r * r * y / C and J.
    """
    normal = _normal(x)
    to_h, to_g = _dot(normal.y, h), _dot(normal.y, g)
    found = normal.y * (normal.factor * (_dot(h, _centred(g)) - to_h * to_g))
    found += to_g * _slope(normal, h)
    found += to_h * _slope(normal, g)
    found *= -normal.factor
    return found


defvjp(normalise, lambda ans, x: lambda g: normalise_slope(g, x))
defvjp(
    normalise_slope,
    lambda ans, g, x: lambda h: normalise_slope(h, x),
    lambda ans, g, x: lambda h: normalise_curvature(h, g, x),
)
