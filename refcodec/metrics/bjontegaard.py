"""Average differences between rate-distortion curves.

G. Bjontegaard, VCEG-M33 (2001), with that paper's third-order polynomial, or with the piecewise cubic Hermite
interpolation (Fritsch and Carlson) of the HEVC and VVC common test conditions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.polynomial import Polynomial
from scipy.interpolate import PchipInterpolator

from refcodec.errors import RangeError

FEWEST_POINTS = {"pchip": 2, "cubic": 4}  # by method
LARGEST_DISTORTION = 1000.0  # dB either way
CLOSEST = 1e-9  # dB, or decades of rate: the slope between points nearer than that is only rounding
LARGEST_RATIO = 300.0  # decades of rate between two curves; only a polynomial that runs wild goes there

Values = Sequence[float] | np.ndarray
Points = tuple[list[float], list[float]]  # abscissas, rising, and ordinates


@dataclass(frozen=True, slots=True)
class Curve:
    """The measured points of one codec, in any order.

    rates        positive, no two the same
    distortions  as many, -1000 .. 1000 dB or another measure that grows with quality
    unit         of the rates
    Raises RangeError.
    """

    rates: tuple[float, ...]
    distortions: tuple[float, ...]
    unit: str = "rate"

    def __post_init__(self) -> None:
        if len(self.rates) != len(self.distortions):
            raise RangeError(f"a curve has {len(self.rates)} rates and {len(self.distortions)} distortions")
        for rate, distortion in zip(self.rates, self.distortions, strict=True):
            if not 0 < rate < math.inf:
                raise RangeError(f"a rate must be positive and finite, got {rate}")
            if not abs(distortion) <= LARGEST_DISTORTION:
                raise RangeError(f"a distortion must lie within {LARGEST_DISTORTION:g} dB, got {distortion}")
        for lower, upper in pairwise(sorted(self.rates)):
            if math.log10(upper) - math.log10(lower) < CLOSEST:
                raise RangeError(f"two points have the rate {lower}")

    def by_rate(self) -> Points:
        """Rising log10 rates, and the distortions there."""
        order = sorted(range(len(self.rates)), key=self.rates.__getitem__)
        return [math.log10(self.rates[i]) for i in order], [self.distortions[i] for i in order]

    def by_distortion(self) -> Points:
        """Rising distortions, and the log10 rates there.  Raises RangeError where more rate gives no more quality."""
        rates, distortions = self.by_rate()
        for lower, upper in pairwise(distortions):
            if upper - lower < CLOSEST:
                raise RangeError(f"the distortion must rise with the rate, got {lower} then {upper}")
        return distortions, rates


def bd_rate(
    reference_rates: Values,
    reference_psnr: Values,
    rates: Values,
    psnr: Values,
    method: str = "pchip",
) -> float:
    """Average difference in rate at equal PSNR.

    rates   positive, no two of a curve the same, in one unit for both curves; points in any order
    psnr    dB, rising with the rate; any other measure that grows with quality will do
    method  pchip (2 points or more) or cubic (4 or more; a least-squares fit beyond 4)
    Returns per cent of the reference's rate, negative for a saving.
    Raises RangeError, also for curves whose PSNRs do not overlap.
    """
    reference, test = _curves(reference_rates, reference_psnr, rates, psnr, method)
    decades = _mean_difference(reference.by_distortion(), test.by_distortion(), method, "distortion")
    if abs(decades) > LARGEST_RATIO:
        raise RangeError(f"the {method} fit puts the rates {decades:.0f} decades apart")
    return 100 * math.expm1(decades * math.log(10))


def bd_psnr(
    reference_rates: Values,
    reference_psnr: Values,
    rates: Values,
    psnr: Values,
    method: str = "pchip",
) -> float:
    """Average difference in PSNR at equal rate, averaged over the logarithm of the rate.

    Arguments as for `bd_rate`, but the PSNR need not rise.
    Returns dB, positive for a gain.  Raises RangeError, also for curves whose rates do not overlap.
    """
    reference, test = _curves(reference_rates, reference_psnr, rates, psnr, method)
    return _mean_difference(reference.by_rate(), test.by_rate(), method, "log10 rate")


def _curves(
    reference_rates: Values,
    reference_psnr: Values,
    rates: Values,
    psnr: Values,
    method: str,
) -> tuple[Curve, Curve]:
    if method not in FEWEST_POINTS:
        raise RangeError(f"the method must be one of {', '.join(FEWEST_POINTS)}, got {method!r}")
    fewest = min(len(reference_rates), len(rates))
    if fewest < FEWEST_POINTS[method]:
        raise RangeError(f"{method} needs {FEWEST_POINTS[method]} points of each curve, got {fewest}")
    return Curve(tuple(reference_rates), tuple(reference_psnr)), Curve(tuple(rates), tuple(psnr))


def _mean_difference(reference: Points, test: Points, method: str, axis: str) -> float:
    """Mean of test minus reference where the abscissas overlap."""
    low, high = max(reference[0][0], test[0][0]), min(reference[0][-1], test[0][-1])
    if high - low < CLOSEST:
        spans = " and ".join(f"{points[0][0]:g} .. {points[0][-1]:g}" for points in (reference, test))
        raise RangeError(f"the curves do not overlap in {axis}: {spans}")
    return float((_integral(test, method, low, high) - _integral(reference, method, low, high)) / (high - low))


def _integral(points: Points, method: str, low: float, high: float) -> float:
    if method == "pchip":
        return float(PchipInterpolator(*points).integrate(low, high))
    fit, (_, rank, _, _) = Polynomial.fit(*points, deg=3, full=True)
    if rank < 4:
        raise RangeError("the points lie too close together for a third-order polynomial")
    antiderivative = fit.integ()
    return float(antiderivative(high) - antiderivative(low))
