"""What a study of implicit videos is asked to compare."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from refcodec.errors import RangeError
from refcodec.quantize.inr.calibrate import METHODS

MIXED = (
    "2"  # at two bits the small layers need more: bits are chosen by Omega for that size (NeuroQuant's mixed precision)
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to study.

    models  float parameters, one network each, all of one clip;  separate  networks fitted for other rates
    clip, crop  the frames they were fitted to;  output  folder, new or of an earlier run
    methods  of quantisation, of METHODS;  bits  such as "4";  rates  streams of each model from one network, 0 for none
    evaluations  of a network that each method is given;  batch, seed  of them.
    Raises RangeError RC-USAGE.
    """

    models: tuple[Path, ...]
    clip: Path
    output: Path
    methods: tuple[str, ...]
    crop: tuple[int, int] | None = None
    separate: tuple[Path, ...] = ()
    bits: tuple[str, ...] = ("6", "4", "2")
    rates: int = 6
    evaluations: int = 1000
    batch: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("models", "methods", "bits"):
            values = [str(value) for value in getattr(self, name)]
            if not values or len(set(values)) < len(values):
                raise RangeError(f"wanted one or more {name}, none twice, got {', '.join(values)}", "RC-USAGE")
        unknown = [method for method in self.methods if method not in METHODS]
        if unknown:
            raise RangeError(f"a method is one of {', '.join(METHODS)}, got {unknown[0]}", "RC-USAGE")
        if any(not bits.isdigit() or not 2 <= int(bits) <= 8 for bits in self.bits):
            raise RangeError(f"wanted 2..8 bits, got {', '.join(self.bits)}", "RC-USAGE")
        if self.rates < 0 or self.evaluations < 1 or self.batch < 1:
            raise RangeError("wanted 0 or more rates, 1 or more evaluations and frames to a step", "RC-USAGE")
