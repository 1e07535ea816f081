"""What a study of implicit videos measures: one row for each quantised video."""

from __future__ import annotations

from dataclasses import dataclass

METHODS, STEPS, RATES, SEPARATE, CODERS = "methods", "steps", "rates", "separate", "coders"


@dataclass(frozen=True, slots=True)
class Row:
    """One stream.

    model  file of the float parameters;  group  what it was made for: METHODS, STEPS, RATES, SEPARATE or CODERS
    method  of quantisation;  bits  wanted of the weights, or "mixed";  weight_bits  their mean
    granularity  "channel" or "tensor", of the steps;  evaluations  of the network that the method was given
    bytes, bpp  of the whole stream;  psnr_db  mean over all frames, by the integer decoder
    twin_db  the same by the float twin of the same integers;  float_db  of the float parameters;  seconds  it took.
    """

    model: str
    group: str
    method: str
    bits: str
    weight_bits: float
    granularity: str
    evaluations: int
    bytes: int
    bpp: float
    psnr_db: float
    twin_db: float
    float_db: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Timing:
    """What a new rate costs, and what training a network for it would.

    calibration  mean seconds of a stream of RATES;  step  seconds of a training step, measured beside them
    steps  of the fit, as the file of its parameters says.
    """

    model: str
    calibration: float
    step: float
    steps: int

    @property
    def fit(self) -> float:
        """Seconds to fit again."""
        return self.step * self.steps

    @property
    def ratio(self) -> float:
        """How much faster the new rate is."""
        return self.fit / self.calibration
