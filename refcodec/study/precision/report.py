"""A study as text: rows as CSV, the comparison as a table for a terminal and in GitHub's Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, fields

from refcodec.describe import table
from refcodec.study.precision.measure import FLOAT, Row
from refcodec.study.precision.summary import Average, Comparison, Summary

HEAD = ("integer part", "precision", "bpp", "PSNR dB", "loss dB", "worst dB", "MS-SSIM", "rate", "BD-rate",
        "BD-rate cubic", "BD-PSNR dB", "BD-rate worst")  # fmt: skip
ABSENT = "-"
REASONS = {"overlap": "no overlap", "rise": "not monotone", "needs": "few steps"}  # what an error's message says
NAMES = {"hyper": "hyper-decoder", "synthesis": "synthesis", "both": "both", FLOAT: "none (float)"}


def csv_text(rows: Sequence[Row]) -> str:
    """One line a row under the names of the columns; what is not known is empty."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(item.name for item in fields(Row))
    writer.writerows(astuple(row) for row in rows)
    return lines.getvalue()


def summary_cells(summary: Summary) -> list[list[str]]:
    """The cells of the table below HEAD, the float codec first."""
    (reference,) = (point for point in summary.curves[FLOAT] if point.step == summary.step)
    similarity = ABSENT if reference.ms_ssim is None else f"{reference.ms_ssim:.4f}"
    first = [NAMES[FLOAT], "float32", f"{reference.bpp:.4f}", f"{reference.psnr_db:.3f}"]
    missing = [ABSENT] * (len(HEAD) - 7)
    return [[*first, ABSENT, ABSENT, similarity, *missing], *(_cells(found) for found in summary.comparisons)]


def _cells(found: Comparison) -> list[str]:
    rate, psnr = found.bd_rate["pchip"], found.bd_psnr["pchip"]
    worst = ABSENT if rate.mean is None or rate.worst is None else f"{_signed(rate.worst, 2)} %"
    return [
        NAMES[found.part], found.precision, f"{found.bpp:.4f}", f"{found.psnr_db:.3f}",
        _rounded(found.psnr_loss_db), _rounded(found.worst_loss_db),
        ABSENT if found.ms_ssim is None else f"{found.ms_ssim:.4f}", f"{_signed(found.rate_change, 2)} %",
        _figure(rate, 2, " %"), _figure(found.bd_rate["cubic"], 2, " %"), _figure(psnr, 3, ""), worst,
    ]  # fmt: skip


def _rounded(value: float) -> str:
    return f"{value:.3f}".replace("-0.000", "0.000")


def _signed(value: float, digits: int) -> str:
    text = f"{value:+.{digits}f}"
    return text if float(text) else text.lstrip("+-")


def _figure(average: Average, digits: int, unit: str) -> str:
    """The mean over the pictures, or what is in its way."""
    if average.mean is not None:
        return f"{_signed(average.mean, digits)}{unit}"
    why = next((words for sign, words in REASONS.items() if sign in average.reason), "not defined")
    return f"{why} in {average.pictures - average.compared}" if average.compared else why


def notes(summary: Summary, steps: Sequence[float]) -> str:
    """What the columns of the table mean, in Markdown that reads as plain text too."""
    points = ", ".join(f"{step:g}" for step in steps)
    return (
        f"Means over {summary.pictures} pictures. bpp, PSNR, loss, MS-SSIM and rate are those of latent step "
        f"{summary.step:g}; the curves have the steps {points}. bpp counts both payloads of the entropy coder and no "
        "container. BD-rate is the mean of the pictures' own figures by piecewise cubic Hermite interpolation, BD-rate "
        "cubic the same by Bjontegaard's polynomial, both against the float codec; worst is the picture that loses "
        'most. "no overlap": little PSNR in common with float; "not monotone": PSNR falls where rate rises; "in n": '
        "of so many pictures."
    )


def plain_table(summary: Summary) -> str:
    """The table for a terminal."""
    return table(summary_cells(summary), HEAD)


def markdown_table(summary: Summary) -> str:
    """The table in GitHub's Markdown, numbers to the right."""
    lines = [HEAD, ["---", "---", *["---:"] * (len(HEAD) - 2)], *summary_cells(summary)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
