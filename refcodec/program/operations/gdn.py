"""Divisive normalisation and its inverse as operations (SPEC GDN-1 to GDN-5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from refcodec.formats import IntFormat
from refcodec.layers.division import rounding_division
from refcodec.layers.gdn import (
    Affine,
    Norm,
    check_affine,
    check_norm,
    gdn,
    gdn_divisor,
    gdn_fault,
    gdn_plain,
    inverse_gdn,
    inverse_gdn_plain,
    norm_fault,
    product_fault,
)
from refcodec.layers.requantise import check_scales
from refcodec.program.operations.operation import (
    Arrays,
    Pointwise,
    Reaches,
    Tensor,
    Tensors,
    freeze,
    require,
    require_channels,
)
from refcodec.program.operations.requantise import requantised
from refcodec.program.reach import Reach


def check_formats(name: str, gamma: IntFormat, widths: tuple[IntFormat, ...], source: Tensor, target: Tensor) -> None:
    """Raise ModelError unless gamma, norm and product, source and target have legal formats (SPEC GDN-5, INT-2)."""
    require(
        not gamma.signed and gamma.bits <= 16 and all(fmt.signed for fmt in widths),
        "RC-MODEL-RANGE",
        f"{name}: gamma of 1..16 unsigned bits and signed sums wanted, got {gamma}, {', '.join(map(str, widths))}",
    )
    require(
        2 <= source.format.bits <= 16 and target.format.bits <= 16,
        "RC-MODEL-RANGE",
        f"{name}: activations of 2..16 bits wanted, got {source.format}, {target.format}",
    )


def check_columns(name: str, channels: int, **columns: np.ndarray) -> None:
    """Raise ModelError unless every constant holds one number for each channel."""
    for label, column in columns.items():
        require(
            column.shape == (channels,), "RC-MODEL-TENSOR", f"{name}: {label} {column.shape} for {channels} channels"
        )


def check_width(name: str, fault: str | None) -> None:
    """Raise ModelError if there is a fault."""
    require(fault is None, "RC-MODEL-OVERFLOW", f"{name}: {fault}")


def check_divisor(
    name: str, norm: Norm, gamma: IntFormat, widths: tuple[IntFormat, ...], source: Tensor, target: Tensor
) -> None:
    """Raise RefcodecError unless the divisor of every channel is legal (SPEC GDN-5)."""
    require_channels(name, source, target)
    channels = source.channels
    require(
        norm.gamma.shape == (channels, channels),
        "RC-MODEL-TENSOR",
        f"{name}: gamma {norm.gamma.shape} for {channels} channels",
    )
    check_columns(name, channels, beta=norm.beta)
    check_formats(name, gamma, widths, source, target)
    gamma.check(norm.gamma, f"{name}.gamma")
    check_norm(norm, channels)
    check_width(name, norm_fault(norm, source.format.magnitude, widths[0]))


def power(value: np.ndarray, squared: bool) -> np.ndarray:
    """What samples add to a norm for each unit of gamma, int64."""
    return value * value if squared else np.abs(value)


def other_ends(norm: Norm, reach: Reach) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and the largest part of each channel's norm that the other channels and beta make, (C,) int64."""
    nearest = np.maximum(np.maximum(reach.lo, -reach.hi), 0)
    own = norm.gamma.diagonal().astype(np.int64)
    near, far = (power(end, norm.squared) for end in (nearest, reach.magnitude))
    return norm.beta + norm.gamma @ near - own * near, norm.beta + norm.gamma @ far - own * far


def largest_norms(norm: Norm, reach: Reach) -> np.ndarray:
    """The largest norm of each channel, (C,) int64 (SPEC GDN-1)."""
    return norm.beta + norm.gamma @ power(reach.magnitude, norm.squared)


def norm_intermediates(norm: Norm, reach: Reach) -> dict[str, int]:
    """The largest norm, divisor and, under a root, radicand."""
    largest = int(largest_norms(norm, reach).max())
    found = {"norm": largest, "divisor": norm.divisor(largest)}
    return found | {"radicand": largest << norm.shift} if norm.squared else found


@dataclass(frozen=True, slots=True, eq=False)
class Gdn(Pointwise):
    """Divisive normalisation: value * scale / divisor + offset (SPEC GDN-3).

    gamma  (C, C) in gamma_format, output channel first;  beta  (C,), 1 or more;  norm_format  holds every norm
    squared, norm_shift  how the divisor follows from the norm;  scale, offset  (C,) in units of 2**-fraction.
    """

    kind: ClassVar[str] = "gdn"
    constants: ClassVar[dict[str, str]] = {"gamma": "int32", "beta": "int64", "scale": "int64", "offset": "int64"}
    name: str
    source: str
    target: str
    gamma_format: IntFormat
    norm_format: IntFormat
    squared: bool
    norm_shift: int
    fraction: int
    gamma: np.ndarray
    beta: np.ndarray
    scale: np.ndarray
    offset: np.ndarray

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def norm(self) -> Norm:
        """How the divisor is made."""
        return Norm(self.gamma, self.beta, self.squared, self.norm_shift)

    @property
    def affine(self) -> Affine:
        """What follows the division."""
        return Affine(self.scale, self.offset, self.fraction)

    def check(self, sources: Tensors, target: Tensor) -> None:
        """Raise RefcodecError unless no step can leave its width and no divisor is zero (SPEC GDN-5)."""
        (source,) = sources
        check_divisor(self.name, self.norm, self.gamma_format, (self.norm_format,), source, target)
        check_columns(self.name, source.channels, scale=self.scale, offset=self.offset)
        check_affine(self.affine, source.channels)
        check_width(self.name, gdn_fault(self.norm, source.format.magnitude, self.affine))

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """Exactly what can occur: each value with the smallest and the largest divisor that it can meet.

        The quotient of a given value is monotonic in the divisor, and the norm takes both ends, because the other
        channels are free. In the value itself it is not: the divisor is an integer and rises in steps.
        """
        (reach,) = reaches
        others = other_ends(self.norm, reach)
        ends = [self._quotient_ends(c, reach, [int(rest[c]) for rest in others]) for c in range(len(self.beta))]
        lo, hi = np.array(ends, np.int64).T
        return Reach(lo, hi).clipped(target.format.lo, target.format.hi)

    def _quotient_ends(self, c: int, reach: Reach, others: list[int]) -> tuple[int, int]:
        """The smallest and the largest quotient of a channel, where the other channels add one of `others`."""
        value = np.arange(reach.lo[c], reach.hi[c] + 1)
        own = self.gamma[c, c] * power(value, self.squared)
        found = []
        for rest in others:
            divisor = gdn_divisor(own + rest, self.squared, self.norm_shift)
            numerator = value * self.scale[c] + self.offset[c] * divisor
            found.append(rounding_division(numerator, divisor << self.fraction))
        return int(np.min(found)), int(np.max(found))

    def intermediates(self, reaches: Reaches) -> dict[str, int]:
        """Norm, radicand, divisor, numerator, denominator, and the doubled numerator with the rounding constant."""
        (reach,) = reaches
        divisors = [self.norm.divisor(n) for n in largest_norms(self.norm, reach).tolist()]
        rows = zip(reach.magnitude.tolist(), self.scale.tolist(), self.offset.tolist(), divisors, strict=True)
        numerator = max(v * abs(s) + abs(o) * d for v, s, o, d in rows)
        denominator = max(divisors) << self.fraction
        return {
            **norm_intermediates(self.norm, reach),
            "numerator": numerator,
            "denominator": denominator,
            "rounded": 2 * numerator + denominator,
        }

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Activations by the compiled kernels."""
        return gdn(inputs[0], self.norm, self.affine, target.format)

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Activations by the definition."""
        return gdn_plain(inputs[0], self.norm, self.affine, target.format)


@dataclass(frozen=True, slots=True, eq=False)
class InverseGdn(Pointwise):
    """The inverse of divisive normalisation: value * divisor + offset, requantised (SPEC GDN-4).

    gamma  (C, C) in gamma_format, output channel first;  beta  (C,), 1 or more;  norm_format  holds every norm
    product_format  holds every product, whose profile multiplier and shift (C,) belong to;  offset  (C,)
    squared, norm_shift  how the divisor follows from the norm.
    """

    kind: ClassVar[str] = "inverse_gdn"
    constants: ClassVar[dict[str, str]] = {
        "gamma": "int32",
        "beta": "int64",
        "offset": "int64",
        "multiplier": "int32",
        "shift": "int8",
    }
    name: str
    source: str
    target: str
    gamma_format: IntFormat
    norm_format: IntFormat
    product_format: IntFormat
    squared: bool
    norm_shift: int
    gamma: np.ndarray
    beta: np.ndarray
    offset: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def norm(self) -> Norm:
        """How the divisor is made."""
        return Norm(self.gamma, self.beta, self.squared, self.norm_shift)

    def check(self, sources: Tensors, target: Tensor) -> None:
        """Raise RefcodecError unless no step can leave its width and no divisor is zero (SPEC GDN-5, RQ-2)."""
        (source,) = sources
        widths = self.norm_format, self.product_format
        check_divisor(self.name, self.norm, self.gamma_format, widths, source, target)
        columns = {"offset": self.offset, "multiplier": self.multiplier, "shift": self.shift}
        check_columns(self.name, source.channels, **columns)
        check_scales(self.multiplier, self.shift, self.product_format)
        check_width(self.name, product_fault(self.norm, source.format.magnitude, self.offset, self.product_format))

    def _product_ends(self, reach: Reach) -> Reach:
        """Exactly what products can occur: a larger magnitude makes a larger divisor, so the ends lead to the ends."""
        near, far = other_ends(self.norm, reach)
        own = self.gamma.diagonal().astype(np.int64)
        ends = []
        for value, outward in ((reach.lo, reach.lo < 0), (reach.hi, reach.hi > 0)):
            norms = np.where(outward, far, near) + own * power(value, self.squared)
            ends.append(value * gdn_divisor(norms, self.squared, self.norm_shift) + self.offset)
        return Reach(*ends)

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """Multipliers are not negative, so the extreme products lead to the extreme results."""
        product = self._product_ends(reaches[0])
        ends = (requantised(end, self.multiplier, self.shift, target.format) for end in (product.lo, product.hi))
        return Reach(*ends)

    def intermediates(self, reaches: Reaches) -> dict[str, int]:
        """Norm, radicand, divisor, product with its offset, its multiple, and that with the rounding constant."""
        (reach,) = reaches
        products = self._product_ends(reach).magnitude
        scaled = products.astype(object) * self.multiplier.astype(object)
        halves = np.array([1 << int(s) >> 1 for s in self.shift], object)
        return {
            **norm_intermediates(self.norm, reach),
            "product": int(products.max()),
            "scaled": int(scaled.max()),
            "rounded": int((scaled + halves).max()),
        }

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Activations by the compiled kernels."""
        constants = self.offset, self.multiplier, self.shift, self.product_format, target.format
        return inverse_gdn(inputs[0], self.norm, *constants)

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Activations by the definition."""
        constants = self.offset, self.multiplier, self.shift, self.product_format, target.format
        return inverse_gdn_plain(inputs[0], self.norm, *constants)
