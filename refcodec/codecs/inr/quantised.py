"""Quantised parameters, and the implicit video that they make (SPEC INR-3, INR-4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from refcodec.codecs.inr.architecture import Architecture, parameters
from refcodec.codecs.inr.limits import check_architecture
from refcodec.codecs.inr.nodes import BIAS, GRID, Parameter
from refcodec.entropy.trellis import reconstruct
from refcodec.errors import RangeError, ShapeError
from refcodec.fixed import binary16
from refcodec.formats import IntFormat
from refcodec.program.standard_tables import standard_tables

MIN_BITS, MAX_BITS = 2, 16
LARGEST_STEP = 0x63FF  # the binary16 number just below 1024: every exponent stays below zero
ACTIVATIONS = IntFormat(16, True)
# The fraction of the activations of each width for which tables are shipped (SPEC INR-5).
FRACTIONS = {table.source.bits: table.source_fraction for table in standard_tables()}


@dataclass(frozen=True, slots=True, eq=False)
class Quantised:
    """A parameter as integers and steps: its real values are `integers` times the step of their channel (SPEC INR-3).

    values  integers of the parameter's shape, of `bits` signed bits
    steps   (n,) binary16 bit patterns of positive numbers below 1024; one for each channel, or a single one
    bits    2..16;  dependent  whether values are levels of the trellis, which then have 15 bits at most.
    Raises ShapeError, RangeError.
    """

    values: np.ndarray
    steps: np.ndarray
    bits: int
    dependent: bool = False

    def __post_init__(self) -> None:
        if not MIN_BITS <= self.bits <= MAX_BITS - self.dependent:
            raise RangeError(f"a parameter has {MIN_BITS}..{MAX_BITS - self.dependent} bits, got {self.bits}")
        IntFormat(self.bits, True).check(self.values, "values")
        if self.steps.ndim != 1 or not self.steps.size:
            raise ShapeError(f"steps are (n,), one or more, got {self.steps.shape}")
        if self.steps.dtype.kind not in "iu" or not ((self.steps > 0) & (self.steps <= LARGEST_STEP)).all():
            raise RangeError("a step is the binary16 pattern of a positive number below 1024")
        for name, dtype in (("values", np.int32), ("steps", np.uint16)):
            frozen = np.array(getattr(self, name), dtype, order="C")
            frozen.flags.writeable = False
            object.__setattr__(self, name, frozen)

    @property
    def format(self) -> IntFormat:
        """Of `integers`: one bit more than values have where these are levels of the trellis."""
        return IntFormat(self.bits + self.dependent, True)

    @property
    def integers(self) -> np.ndarray:
        """What a decoder multiplies with: the values, or what levels of the trellis stand for."""
        return reconstruct(self.values) if self.dependent else self.values

    def scales(self, channels: int) -> list[tuple[int, int]]:
        """Mantissa and exponent of the step of each channel."""
        found = [binary16(pattern) for pattern in self.steps.tolist()]
        return found * channels if len(found) == 1 else found


def step_channels(parameter: Parameter) -> int:
    """How many steps a parameter may have beside a single one: output channels of a weight, channels of a grid."""
    return 1 if parameter.kind == BIAS else parameter.shape[1 if parameter.kind == GRID else 0]


@dataclass(frozen=True, slots=True, eq=False)
class Video:
    """An implicit video: a network and its quantised parameters (SPEC INR-4).

    parameters   by name, exactly those of the network, in any order; kept in the network's order
    activations  signed, of a width for which tables are shipped (SPEC INR-5).
    Raises ShapeError, RangeError.
    """

    architecture: Architecture
    parameters: Mapping[str, Quantised]
    activations: IntFormat = ACTIVATIONS

    def __post_init__(self) -> None:
        check_architecture(self.architecture)
        check_activations(self.activations)
        wanted = parameters(self.architecture.nodes())
        if {parameter.name for parameter in wanted} != set(self.parameters):
            odd = min({parameter.name for parameter in wanted} ^ set(self.parameters))
            raise ShapeError(f"the network and its parameters differ in {odd}")
        for parameter in wanted:
            check_parameter(parameter, self.parameters[parameter.name])
        ordered = {parameter.name: self.parameters[parameter.name] for parameter in wanted}
        object.__setattr__(self, "parameters", ordered)

    @property
    def fraction(self) -> int:
        """Activations are in units of 2**-fraction."""
        return FRACTIONS[self.activations.bits]


def check_activations(activations: IntFormat) -> None:
    """Raise RangeError unless tables are shipped for activations of a format (SPEC INR-5)."""
    if not activations.signed or activations.bits not in FRACTIONS:
        known = ", ".join(f"s{bits}" for bits in sorted(FRACTIONS))
        raise RangeError(f"activations are of one of {known}, got {activations}")


def check_parameter(parameter: Parameter, given: Quantised) -> None:
    """Raise ShapeError unless a quantised tensor is that of a parameter."""
    channels = step_channels(parameter)
    if given.values.shape != parameter.shape or len(given.steps) not in {1, channels}:
        wanted = f"{parameter.shape} and 1 or {channels} steps" if channels > 1 else f"{parameter.shape} and one step"
        raise ShapeError(f"{parameter.name}: wanted {wanted}, got {given.values.shape} and {len(given.steps)}")
