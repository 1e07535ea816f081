"""The corner families that cases name, and the mistakes that each of them catches (SPEC VEC-8)."""

from __future__ import annotations

from collections.abc import Mapping

FLAGS: Mapping[str, str] = {
    "Border": "zeros outside the input replaced by something else, or reads beyond it",
    "DivisorOne": "a division that treats a divisor of one apart",
    "DoubleRounding": "a result rounded twice, at an intermediate step too",
    "EmptyInterval": "frequency tables with symbols that cannot be coded",
    "Equal": "a variance of zero that is divided by",
    "EqualThresholds": "a search that stops at the first of several equal thresholds",
    "Escape": "escapes with digits in another order, or of another sign",
    "ExtremeAccumulator": "sums, products or roots kept in fewer bits than they need",
    "ExtremeSymbol": "latents beyond 16 bits that wrap",
    "Invalid": "input that must be rejected and is decoded",
    "Negative": "magnitudes rounded, or shifts that round towards zero",
    "RealWeights": "layers that are right on small numbers only",
    "RootStep": "square roots that are rounded, or found in floating point",
    "SaturateHigh": "a missing or misplaced upper limit",
    "SaturateLow": "a missing or misplaced lower limit",
    "TapOrder": "kernels that are flipped or transposed, channels and strides exchanged",
    "ThresholdEdge": "thresholds compared with or without equality",
    "Tie": "halves rounded to even, away from zero, towards zero or down",
    "Witness": "accumulators of fewer bits than the audit proves to be needed",
    "TieNeighbour": "a rounding constant that is one too small or too large",
}
