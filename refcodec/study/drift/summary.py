"""All outcomes of one decoder together, and how near scales lie to the bounds that decide their indexes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from refcodec.study.drift.measure import BOUNDS, SPACING, Outcome

MILLION = 1_000_000
SIZES = tuple(10.0 ** (half / 2) for half in range(-18, -1))  # of a relative difference: 1e-9, 3.2e-9 .. 0.1


@dataclass(frozen=True, slots=True)
class Total:
    """All pictures under one decoder.

    pictures, broken, refused  how many, how many with a wrong symbol, how many that a checked entropy decoder refuses
    differing   share of the values before the scale table
    mean_difference, largest_difference  of scales, relative
    flips_per_million, expected_per_million  of the indexes, counted and expected
    wrong, psnr_db, read_psnr_db  share of symbols, PSNR as sent and as read, of the broken pictures; None for none.
    """

    arithmetic: str
    decoder: str
    found_in: str
    pictures: int
    broken: int
    refused: int
    differing: float
    mean_difference: float
    largest_difference: float
    flips: int
    flips_per_million: float
    expected_per_million: float
    wrong: float | None
    psnr_db: float | None
    read_psnr_db: float | None


def total(outcomes: Sequence[Outcome], found_in: str) -> Total:
    """The total of one decoder's outcomes, one or more."""
    indexes = sum(outcome.indexes for outcome in outcomes)
    flips = sum(outcome.flips for outcome in outcomes)
    broken = [outcome for outcome in outcomes if outcome.wrong]
    return Total(
        outcomes[0].arithmetic, outcomes[0].decoder, found_in,
        len(outcomes), len(broken), sum(outcome.refused for outcome in outcomes),
        sum(outcome.differing for outcome in outcomes) / sum(outcome.values for outcome in outcomes),
        float(np.mean([outcome.mean_difference for outcome in outcomes])),
        max(outcome.largest_difference for outcome in outcomes),
        flips, MILLION * flips / indexes, MILLION * sum(outcome.expected_flips for outcome in outcomes) / indexes,
        _mean([outcome.wrong / outcome.indexes for outcome in broken]),
        _mean([outcome.psnr_db for outcome in broken]),
        _mean([outcome.read_psnr_db for outcome in broken]),
    )  # fmt: skip


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


# --- how near scales lie to bounds


def nearer_than(scales: np.ndarray) -> np.ndarray:
    """How many scales lie nearer to a bound of the table than each of SIZES, relative; (len(SIZES),) int64."""
    inside = scales[(scales > BOUNDS[0] * np.exp(-SPACING)) & (scales < BOUNDS[-1] * np.exp(SPACING))]
    steps = np.log(inside.astype(np.float64) / BOUNDS[0]) / SPACING
    nearest = np.clip(np.rint(steps), 0, len(BOUNDS) - 1).astype(np.int64)
    distances = np.sort(np.abs(np.log(inside.astype(np.float64) / BOUNDS[nearest])))
    return np.searchsorted(distances, SIZES, side="left").astype(np.int64)


@dataclass(frozen=True, slots=True)
class Exposure:
    """Pictures against a relative difference of this size in all their scales, each up or down at random.

    nearer    scales a picture that lie nearer to a bound than that
    exposed   share of pictures that have one or more
    damaged   probability that at least one index of a picture flips: 1 - 2**-nearer, mean over the pictures.
    """

    size: float
    nearer: float
    exposed: float
    damaged: float


def exposures(counts: Sequence[np.ndarray]) -> tuple[Exposure, ...]:
    """One for each of SIZES, of what `nearer_than` found in one or more pictures."""
    table = np.stack(counts).astype(np.float64)
    columns = zip(SIZES, table.mean(axis=0), (table > 0).mean(axis=0), (1 - 2**-table).mean(axis=0), strict=True)
    return tuple(Exposure(float(s), float(n), float(e), float(d)) for s, n, e, d in columns)
