"""The study as text: rows as CSV, totals as a table for a terminal and in GitHub's Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, fields

from refcodec.describe import table
from refcodec.study.drift.measure import FLOAT, INTEGER, Outcome
from refcodec.study.drift.summary import Exposure, Total

FLOAT_HEAD = (
    "float decoder", "scales differ", "mean difference", "flips", "per million", "expected", "pictures broken",
    "refused", "symbols wrong", "PSNR dB", "becomes",
)  # fmt: skip
INTEGER_HEAD = ("integer decoder", "integers differ", "flips", "pictures broken", "refused")


def _csv(rows: Sequence[Outcome] | Sequence[Exposure], kind: type[Outcome] | type[Exposure]) -> str:
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(item.name for item in fields(kind))
    writer.writerows(astuple(row) for row in rows)
    return lines.getvalue()


def outcomes_csv(outcomes: Sequence[Outcome]) -> str:
    """One line a picture and decoder; no first flip is empty."""
    return _csv(outcomes, Outcome)


def curve_csv(curve: Sequence[Exposure]) -> str:
    """One line a size of difference."""
    return _csv(curve, Exposure)


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.4g} %"


def _decibels(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def float_cells(totals: Sequence[Total]) -> list[list[str]]:
    """The cells below FLOAT_HEAD."""
    return [
        [
            t.decoder, _share(t.differing), f"{t.mean_difference:.1e}", str(t.flips), f"{t.flips_per_million:.3g}",
            f"{t.expected_per_million:.3g}", f"{t.broken} of {t.pictures}", str(t.refused), _share(t.wrong),
            _decibels(t.psnr_db), _decibels(t.read_psnr_db),
        ]
        for t in totals if t.arithmetic == FLOAT
    ]  # fmt: skip


def integer_cells(totals: Sequence[Total]) -> list[list[str]]:
    """The cells below INTEGER_HEAD."""
    return [
        [t.decoder, _share(t.differing), str(t.flips), f"{t.broken} of {t.pictures}", str(t.refused)]
        for t in totals if t.arithmetic == INTEGER
    ]  # fmt: skip


def plain_text(totals: Sequence[Total]) -> str:
    """Both tables for a terminal."""
    return f"{table(float_cells(totals), FLOAT_HEAD)}\n\n{table(integer_cells(totals), INTEGER_HEAD)}"


def _markdown(head: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def markdown(totals: Sequence[Total]) -> str:
    """Both tables in GitHub's Markdown, and who computes that way."""
    return "\n\n".join([
        _markdown(FLOAT_HEAD, float_cells(totals)),
        _markdown(INTEGER_HEAD, integer_cells(totals)),
        _markdown(("decoder", "found in"), [[t.decoder, t.found_in] for t in totals if t.arithmetic == FLOAT]),
    ])  # fmt: skip
