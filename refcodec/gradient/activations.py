"""Smooth activations that autograd can differentiate twice.

In float32 the error function and the hyperbolic tangent are Eigen's rational functions of degrees 13 and 8 or 6, within
5e-7; in float64 they are SciPy's.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from autograd.extend import defvjp, primitive
from scipy.special import erf, expit

from refcodec.kernel import parallel_kernel, prange

ROOT_HALF = math.sqrt(0.5)
DENSITY_AT_ZERO = 1 / math.sqrt(2 * math.pi)
ONE = np.float32(1)


@parallel_kernel
def _gelu(x, value, slope):
    """GELU and its derivative in float32, without a branch or a call so that it vectorises."""
    for k in prange(x.size):
        v = x[k]
        # exp(-v * v / 2) as the 256th power of a Taylor polynomial
        z = min(np.float32(0.5 / 256) * v * v, np.float32(0.16))
        bell = ONE - z * (ONE - z * (np.float32(1 / 2) - z * (np.float32(1 / 6) - z * np.float32(1 / 24))))
        bell = bell * bell
        bell = bell * bell
        bell = bell * bell
        bell = bell * bell
        bell = bell * bell
        bell = bell * bell
        bell = bell * bell
        bell = bell * bell
        u = min(max(np.float32(ROOT_HALF) * v, np.float32(-4)), np.float32(4))
        s = u * u
        p = np.float32(-2.72614225801306e-10) * s + np.float32(2.77068142495902e-08)
        p = p * s + np.float32(-2.10102402082508e-06)
        p = p * s + np.float32(-5.69250639462346e-05)
        p = p * s + np.float32(-7.34990630326855e-04)
        p = p * s + np.float32(-2.95459980854025e-03)
        p = p * s + np.float32(-1.60960333262415e-02)
        q = np.float32(-1.45660718464996e-05) * s + np.float32(-2.13374055278905e-04)
        q = q * s + np.float32(-1.68282697438203e-03)
        q = q * s + np.float32(-7.37332916720468e-03)
        q = q * s + np.float32(-1.42647390514189e-02)
        share = np.float32(0.5) * (ONE + u * p / q)
        value[k] = v * share
        slope[k] = share + v * np.float32(DENSITY_AT_ZERO) * bell


def _normal(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """GELU and its derivative."""
    if x.dtype != np.float32:
        share = 0.5 * (1 + erf(x * ROOT_HALF))
        return x * share, share + x * DENSITY_AT_ZERO * np.exp(-0.5 * x * x)
    value, slope = np.empty_like(x), np.empty_like(x)
    _gelu(np.ravel(x), value.reshape(-1), slope.reshape(-1))
    return value, slope


@primitive
def gelu(x: np.ndarray) -> np.ndarray:
    """x times the probability that a normal deviate is below x."""
    return _normal(np.ascontiguousarray(x))[0]


@primitive
def gelu_slope(x: np.ndarray) -> np.ndarray:
    """The derivative of `gelu`."""
    return _normal(np.ascontiguousarray(x))[1]


@primitive
def gelu_curvature(x: np.ndarray) -> np.ndarray:
    """The second derivative of `gelu`."""
    return (2 - x * x) * DENSITY_AT_ZERO * np.exp(-0.5 * x * x)


defvjp(gelu, lambda ans, x: lambda g: g * gelu_slope(x))
defvjp(gelu_slope, lambda ans, x: lambda g: g * gelu_curvature(x))


@parallel_kernel
def _silu(x, value, slope):
    """SiLU and its derivative in float32 by the logistic function (1 + tanh(x / 2)) / 2, vectorised as well."""
    for k in prange(x.size):
        v = x[k]
        u = min(max(np.float32(0.5) * v, np.float32(-9)), np.float32(9))
        s = u * u
        p = np.float32(-2.76076847742355e-16) * s + np.float32(2.00018790482477e-13)
        p = p * s + np.float32(-8.60467152213735e-11)
        p = p * s + np.float32(5.12229709037114e-08)
        p = p * s + np.float32(1.48572235717979e-05)
        p = p * s + np.float32(6.37261928875436e-04)
        p = p * s + np.float32(4.89352455891786e-03)
        q = np.float32(1.19825839466702e-06) * s + np.float32(1.18534705686654e-04)
        q = q * s + np.float32(2.26843463243900e-03)
        q = q * s + np.float32(4.89352518554385e-03)
        share = np.float32(0.5) * (ONE + u * p / q)
        value[k] = v * share
        slope[k] = share + v * share * (ONE - share)


def _logistic(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """SiLU and its derivative."""
    if x.dtype != np.float32:
        share = expit(x)
        return x * share, share + x * share * (1 - share)
    value, slope = np.empty_like(x), np.empty_like(x)
    _silu(np.ravel(x), value.reshape(-1), slope.reshape(-1))
    return value, slope


@primitive
def silu(x: np.ndarray) -> np.ndarray:
    """x / (1 + exp(-x))."""
    return _logistic(np.ascontiguousarray(x))[0]


@primitive
def silu_slope(x: np.ndarray) -> np.ndarray:
    """The derivative of `silu`."""
    return _logistic(np.ascontiguousarray(x))[1]


@primitive
def silu_curvature(x: np.ndarray) -> np.ndarray:
    """The second derivative of `silu`."""
    s = expit(x)
    return s * (1 - s) * (2 + x * (1 - 2 * s))


defvjp(silu, lambda ans, x: lambda g: g * silu_slope(x))
defvjp(silu_slope, lambda ans, x: lambda g: g * silu_curvature(x))

ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"gelu": gelu, "silu": silu}
