"""Where and by how much a tensor differs from the expected one."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np

from refcodec.vectorgen.values import Values

GRID = 32  # rows and columns of an error map, at most


@dataclass(frozen=True, slots=True)
class Place:
    """A tensor of a case: its role (tap or out), its name and the clause that defines it."""

    role: str
    name: str
    clause: str

    def __str__(self) -> str:
        return f"{self.role}.{self.name}"


@dataclass(frozen=True, slots=True)
class Difference:
    """The first differing value of a tensor, and what all of them have in common.

    differing  how many of `total` values differ;  largest  the largest absolute difference
    remarks  what holds for every differing value
    grid  largest absolute difference of each block of a map, at most 32 x 32, of the last two axes longer than one.
    """

    place: Place
    shape: tuple[int, ...]
    index: tuple[int, ...]
    expected: int
    got: int
    differing: int
    total: int
    largest: int
    remarks: tuple[str, ...]
    grid: tuple[tuple[int, ...], ...]

    def __str__(self) -> str:
        counted = f"{self.differing} of {self.total} values differ"
        if self.total == 1:
            counted = "the value differs"
        first = f"{self.place}{list(self.index)} is {self.got}, expected {self.expected}"
        return "; ".join([f"{first} ({self.place.clause})", f"{counted} by at most {self.largest}", *self.remarks])

    def as_json(self) -> dict[str, Any]:
        """The difference for machines, without the map."""
        return {
            "tensor": str(self.place),
            "clause": self.place.clause,
            "shape": list(self.shape),
            "index": list(self.index),
            "expected": self.expected,
            "got": self.got,
            "differing": self.differing,
            "total": self.total,
            "largest": self.largest,
            "remarks": list(self.remarks),
        }


def measure(place: Place, wanted: Values, got: np.ndarray) -> Difference:
    """How `got`, int64 of the expected shape, differs from what was wanted; at least one value must differ."""
    expected = wanted.array.astype(np.int64)
    wrong = got != expected
    magnitude = _magnitude(got, expected)
    at = tuple(int(n) for n in np.argwhere(wrong)[0])
    return Difference(
        place,
        expected.shape,
        at,
        int(expected[at]),
        int(got[at]),
        int(wrong.sum()),
        expected.size,
        int(magnitude.max()),
        tuple(_remarks(wanted, got, wrong)),
        _grid(magnitude),
    )


def _magnitude(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    # modulo 2**64 both differences are exact, and the true one is below it
    left, right = a.astype(np.uint64), b.astype(np.uint64)
    return np.where(a > b, left - right, right - left)


def _remarks(wanted: Values, got: np.ndarray, wrong: np.ndarray) -> list[str]:
    expected = wanted.array
    limits = np.isin(expected, (wanted.format.lo, wanted.format.hi))
    remarks = [_direction(expected, got, wrong)]
    if got.size > 1 and (got == got.flat[0]).all():
        remarks.append(f"every value is {got.flat[0]}")
    elif got.size > 1 and np.array_equal(np.sort(got, None), np.sort(expected, None)):
        remarks.append("the same values in another order")
    if wanted.format.signed and (expected[wrong] < 0).all() and (expected >= 0).any():
        remarks.append("only where the expected value is negative")
    if limits[wrong].all() and not limits.all():
        remarks.append(f"only where the expected value is a limit of {wanted.format}")
    return [remark for remark in [*remarks, *_where(wrong)] if remark]


def _direction(expected: np.ndarray, got: np.ndarray, wrong: np.ndarray) -> str:
    up, down = bool((got > expected).any()), bool((got < expected).any())
    if int(_magnitude(got, expected).max()) == 1:
        return "every difference is " + " or ".join(["+1"] * up + ["-1"] * down)
    if wrong.sum() == 1 or (up and down):
        return ""
    return "every differing value is too large" if up else "every differing value is too small"


def _where(wrong: np.ndarray) -> list[str]:
    """Whether all that differs lies in one channel, or on the border of the last two axes."""
    if wrong.ndim < 2:
        return []
    remarks = []
    channels = np.flatnonzero(wrong.reshape(wrong.shape[0], -1).any(1))
    if wrong.ndim > 2 and wrong.shape[0] > 1 and channels.size == 1:
        remarks.append(f"only in channel {channels[0]}")
    inner = wrong[..., 1:-1, 1:-1]
    if inner.size and not inner.any():
        remarks.append("only in the outermost rows and columns")
    return remarks


def _grid(magnitude: np.ndarray) -> tuple[tuple[int, ...], ...]:
    """Axes of length one are left out; what is then a line is folded into rows of about its square root."""
    magnitude = magnitude.squeeze()
    if magnitude.ndim < 2:
        width = isqrt(magnitude.size - 1) + 1
        flat = np.zeros(-(-magnitude.size // width) * width, np.uint64)
        flat[: magnitude.size] = magnitude.ravel()
        plane = flat.reshape(-1, width)
    else:
        plane = magnitude.reshape(-1, *magnitude.shape[-2:]).max(0)
    for axis in (0, 1):
        blocks = min(GRID, plane.shape[axis])
        plane = np.maximum.reduceat(plane, np.arange(blocks) * plane.shape[axis] // blocks, axis)
    return tuple(tuple(row) for row in plane.tolist())
