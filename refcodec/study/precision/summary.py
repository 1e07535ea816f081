"""From rows to Bjontegaard figures: each picture's curve against its float curve, then the mean over pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from refcodec.errors import RangeError
from refcodec.metrics.bjontegaard import bd_psnr, bd_rate
from refcodec.metrics.ms_ssim import ms_ssim_db
from refcodec.study.precision.measure import FLOAT, Row

METHODS = ("pchip", "cubic")
# of the PSNR range of the float curve; curves that share less are told apart by their ends alone
SMALLEST_OVERLAP = 0.1

Rows = Sequence[Row]
Curve = tuple[list[float], list[float]]  # rates and distortions
Difference = Callable[[Curve, Curve], float]


@dataclass(frozen=True, slots=True)
class Average:
    """A Bjontegaard figure over several pictures.

    mean       of the pictures' figures, None unless every picture has one;  compared, pictures  how many have one, of
               how many;  worst, worst_picture  the largest loss among them
    of_mean_curves  the figure of the curves of mean rate and mean distortion, None where it has none
    reason     why there is none, "" otherwise.
    """

    mean: float | None
    compared: int
    pictures: int
    worst: float | None
    worst_picture: str
    of_mean_curves: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """One part at one precision against float.

    bpp, psnr_db, ms_ssim  means over the pictures at the reference step
    psnr_loss_db           there, mean;  worst_loss_db, worst_picture  the largest of any picture
    rate_change            there, per cent, mean over pictures
    bd_rate                per cent, by method, for PSNR;  bd_rate_ms_ssim  by PCHIP, for MS-SSIM in dB
    bd_psnr                dB, by method.
    """

    part: str
    precision: str
    bpp: float
    psnr_db: float
    ms_ssim: float | None
    psnr_loss_db: float
    worst_loss_db: float
    worst_picture: str
    rate_change: float
    bd_rate: Mapping[str, Average]
    bd_psnr: Mapping[str, Average]
    bd_rate_ms_ssim: Average | None


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a mean curve: the mean over the pictures at one step."""

    step: float
    bpp: float
    psnr_db: float
    psnr_r_db: float
    psnr_g_db: float
    psnr_b_db: float
    ms_ssim: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """What a study found.

    step         the reference step, the one nearest to 1, at which single figures are given
    comparisons  parts and precisions in the order of the rows
    curves       points by "part precision", float first, the finest step first.
    """

    step: float
    pictures: int
    comparisons: tuple[Comparison, ...]
    curves: Mapping[str, tuple[Point, ...]]


def summarise(rows: Rows) -> Summary:
    """Compare every part and precision with float.

    rows  of all pictures, each with the same steps, parts and precisions.
    """
    steps = sorted({row.step for row in rows})
    step = min(steps, key=lambda value: abs(np.log(value)))
    ways = list(dict.fromkeys((row.part, row.precision) for row in rows))
    groups = {way: [row for row in rows if (row.part, row.precision) == way] for way in ways}
    reference = groups[FLOAT, FLOAT]
    comparisons = tuple(_compare(reference, groups[way], step) for way in ways if way != (FLOAT, FLOAT))
    curves = {label(*way): tuple(_mean(group, step) for step in steps) for way, group in groups.items()}
    return Summary(step, len({row.picture for row in rows}), comparisons, curves)


def label(part: str, precision: str) -> str:
    """The name of a curve."""
    return FLOAT if part == FLOAT else f"{part} {precision}"


def _mean(rows: Rows, step: float) -> Point:
    at = [row for row in rows if row.step == step]
    bpp, whole, *channels = np.mean(
        [(row.bpp, row.psnr_db, row.psnr_r_db, row.psnr_g_db, row.psnr_b_db) for row in at], axis=0
    )
    red, green, blue = map(float, channels)
    return Point(step, float(bpp), float(whole), red, green, blue, _mean_similarity(at))


def _mean_similarity(rows: Rows) -> float | None:
    known = [row.ms_ssim for row in rows if row.ms_ssim is not None]
    return float(np.mean(known)) if len(known) == len(rows) else None


def _compare(reference: Rows, rows: Rows, step: float) -> Comparison:
    before = {row.picture: row for row in reference if row.step == step}
    after = [row for row in rows if row.step == step]
    losses = {row.picture: before[row.picture].psnr_db - row.psnr_db for row in after}
    worst = max(losses, key=losses.__getitem__)
    changes = [100 * (row.bpp / before[row.picture].bpp - 1) for row in after]
    mean = _mean(rows, step)
    similar = all(row.ms_ssim is not None for row in (*reference, *rows))
    return Comparison(
        rows[0].part, rows[0].precision, mean.bpp, mean.psnr_db, mean.ms_ssim,
        float(np.mean(list(losses.values()))), losses[worst], worst, float(np.mean(changes)),
        {method: _average(reference, rows, _psnr, _rate_by(method), max) for method in METHODS},
        {method: _average(reference, rows, _psnr, _psnr_by(method), min) for method in METHODS},
        _average(reference, rows, _similarity, _rate_by("pchip"), max) if similar else None,
    )  # fmt: skip


def _psnr(row: Row) -> float:
    return row.psnr_db


def _similarity(row: Row) -> float:
    return ms_ssim_db(row.ms_ssim or 0.0)


def _rate_by(method: str) -> Difference:
    def difference(reference: Curve, test: Curve) -> float:
        low, high = min(reference[1]), max(reference[1])
        shared = min(high, max(test[1])) - max(low, min(test[1]))
        if shared < SMALLEST_OVERLAP * (high - low):
            raise RangeError("no overlap")
        return bd_rate(*reference, *test, method)

    return difference


def _psnr_by(method: str) -> Difference:
    return lambda reference, test: bd_psnr(*reference, *test, method)


def _average(
    reference: Rows,
    rows: Rows,
    distortion: Callable[[Row], float],
    difference: Difference,
    worse: Callable[..., str],
) -> Average:
    """The figure of every picture, their mean, and that of the mean curves."""
    found, reasons = {}, []
    pictures = list(dict.fromkeys(row.picture for row in rows))
    for picture in pictures:
        curves = (_curve([row for row in group if row.picture == picture], distortion) for group in (reference, rows))
        try:
            found[picture] = difference(*curves)
        except RangeError as error:
            reasons.append(error.message)
    try:
        of_means = difference(_mean_curve(reference, distortion), _mean_curve(rows, distortion))
    except RangeError:
        of_means = None
    worst = worse(found, key=found.__getitem__) if found else ""
    return Average(
        float(np.mean(list(found.values()))) if len(found) == len(pictures) else None,
        len(found), len(pictures), found.get(worst), worst, of_means, reasons[0] if reasons else "",
    )  # fmt: skip


def _curve(rows: Rows, distortion: Callable[[Row], float]) -> Curve:
    return [row.bpp for row in rows], [distortion(row) for row in rows]


def _mean_curve(rows: Rows, distortion: Callable[[Row], float]) -> Curve:
    groups = [[row for row in rows if row.step == step] for step in sorted({row.step for row in rows})]
    curves = [_curve(group, distortion) for group in groups]
    return [float(np.mean(rates)) for rates, _ in curves], [float(np.mean(values)) for _, values in curves]
