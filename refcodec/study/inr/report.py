"""A study of implicit videos as text: rows as CSV, tables in GitHub's Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, fields

from refcodec.study.inr.rows import CODERS, METHODS, RATES, SEPARATE, STEPS, Row, Timing

ABSENT = "-"
CALIBRATED = {"naive": "no"}  # methods that only round; all others calibrate


def csv_text(rows: Sequence[Row]) -> str:
    """One line a row under the names of the columns."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(item.name for item in fields(Row))
    writer.writerows(astuple(row) for row in rows)
    return lines.getvalue()


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *lines))


def _group(rows: Sequence[Row], group: str) -> list[Row]:
    return [row for row in rows if row.group == group]


def _in_order(values: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(values))


def methods_table(rows: Sequence[Row]) -> str:
    """PSNR of every method at every precision, a column for each network and precision: Table 1 of NeuroQuant."""
    found = _group(rows, METHODS)
    columns = list(dict.fromkeys((row.model, row.bits) for row in found))
    known = {(row.method, row.model, row.bits): row for row in found}
    floats = {row.model: row.float_db for row in found}
    lines = [["float", *(f"{floats[model]:.2f}" for model, _ in columns)]]
    for method in _in_order([row.method for row in found]):
        cells = (known.get((method, *column)) for column in columns)
        lines.append([method, *(f"{row.psnr_db:.2f}" if row else ABSENT for row in cells)])
    sizes = (min(row.bytes for row in found if (row.model, row.bits) == column) for column in columns)
    lines.append(["bytes, least", *(str(size) for size in sizes)])
    return _table(["method", *(f"{model} {bits}" for model, bits in columns)], lines)


def steps_table(rows: Sequence[Row]) -> str:
    """Steps for each channel or each layer, calibrated or not: Table 7."""
    lines = [
        [row.model, row.granularity, CALIBRATED.get(row.method, row.method), f"{row.psnr_db:.2f}", str(row.bytes)]
        for row in _group(rows, STEPS)
    ]
    return _table(["network", "steps", "calibrated", "PSNR dB", "bytes"], lines)


def coders_table(rows: Sequence[Row]) -> str:
    """What coding and quantisation together give at the same sizes: Table 3."""
    lines = [
        [row.model, row.method, row.granularity, str(row.bytes), f"{row.bpp:.4f}", f"{row.psnr_db:.2f}"]
        for row in _group(rows, CODERS)
    ]
    return _table(["network", "method", "steps", "bytes", "bpp", "PSNR dB"], lines)


def rates_table(rows: Sequence[Row]) -> str:
    """Streams of one network at many rates, and networks fitted for theirs."""
    lines = [
        [row.model, row.group, row.method, f"{row.weight_bits:.2f}", str(row.bytes), f"{row.bpp:.4f}",
         f"{row.psnr_db:.2f}", f"{row.seconds:.0f}"]
        for row in rows
        if row.group in (RATES, SEPARATE)
    ]  # fmt: skip
    return _table(["network", "curve", "method", "bits a weight", "bytes", "bpp", "PSNR dB", "seconds"], lines)


def timing_table(timings: Sequence[Timing]) -> str:
    """Seconds to a new rate: Table 2."""
    lines = [
        [t.model, f"{t.calibration:.0f}", f"{t.fit:.0f}", f"{t.step:.3f} x {t.steps}", f"{t.ratio:.1f}"]
        for t in timings
    ]
    return _table(["network", "calibration s", "fit s", "step s x steps", "times faster"], lines)


def markdown(rows: Sequence[Row], timings: Sequence[Timing]) -> str:
    """All tables that have lines."""
    sections = (
        ("Methods at the same bits, mean PSNR in dB of the integer decoder", METHODS, methods_table(rows)),
        ("Steps for each channel or each layer", STEPS, steps_table(rows)),
        ("Quantisation and coding together, at the same sizes", CODERS, coders_table(rows)),
        ("Many rates from one network, and networks fitted for theirs", RATES, rates_table(rows)),
    )
    present = {row.group for row in rows} | ({RATES} if SEPARATE in {row.group for row in rows} else set())
    texts = [f"## {title}\n\n{table}" for title, group, table in sections if group in present]
    if timings:
        texts.append(f"## Time to a new rate\n\n{timing_table(timings)}")
    return "\n\n".join(texts)
