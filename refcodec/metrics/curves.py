"""Rate-distortion curves from files, and what two of them differ by."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refcodec.errors import FileError, RangeError
from refcodec.files import read_bytes
from refcodec.metrics.bjontegaard import Curve, bd_psnr, bd_rate

RATES = ("bpp", "kbps", "rate")  # columns, of which a file has one
DISTORTION = "psnr_db"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Bjontegaard's figures of a test curve against a reference.

    bd_rate  per cent of the reference's rate, negative for a saving;  bd_psnr  dB, positive for a gain
    """

    method: str
    points: tuple[int, int]
    bd_rate: float
    bd_psnr: float

    def as_json(self) -> dict[str, Any]:
        """The comparison for machines."""
        return {
            "method": self.method,
            "reference_points": self.points[0],
            "test_points": self.points[1],
            "bd_rate_percent": self.bd_rate,
            "bd_psnr_db": self.bd_psnr,
        }

    def as_text(self) -> str:
        """The comparison for people."""
        return f"BD-rate {self.bd_rate:+.3f} %, BD-PSNR {self.bd_psnr:+.4f} dB ({self.method})"


def compare(reference: str | Path, test: str | Path, method: str = "pchip") -> Comparison:
    """Bjontegaard's figures of two files (`read_curve`) whose rates have the same unit.

    Raises FileError RC-FILE-READ, RangeError.
    """
    one, other = read_curve(reference), read_curve(test)
    if one.unit != other.unit:
        raise RangeError(f"the rates of {reference} are {one.unit}, those of {test} are {other.unit}")
    points = one.rates, one.distortions, other.rates, other.distortions
    counts = len(one.rates), len(other.rates)
    return Comparison(method, counts, bd_rate(*points, method), bd_psnr(*points, method))


def read_curve(path: str | Path) -> Curve:
    """Read a table with comma-separated values and a line of column names.

    The columns are psnr_db and one of bpp, kbps, rate; others are left alone. One line is one point.
    Raises FileError RC-FILE-READ for what is no such table, RangeError for its numbers.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
        head, *rows = (row for row in csv.reader(text.splitlines(), strict=True) if row)
    except (ValueError, csv.Error) as error:
        raise FileError("RC-FILE-READ", f"{path} is not a table of comma-separated values") from error
    names = [name.strip() for name in head]
    rates = [name for name in names if name in RATES]
    if len(rates) != 1 or names.count(DISTORTION) != 1:
        raise FileError("RC-FILE-READ", f"{path} must have the column {DISTORTION} and one of {', '.join(RATES)}")
    try:
        columns = [tuple(_number(row, names.index(name)) for row in rows) for name in (*rates, DISTORTION)]
        return Curve(columns[0], columns[1], rates[0])
    except RangeError as error:
        raise RangeError(f"{path}: {error.message}") from error


def _number(row: list[str], column: int) -> float:
    try:
        return float(row[column])
    except (IndexError, ValueError) as error:
        raise RangeError(f"no number in column {column + 1} of the line {','.join(row)!r}") from error
