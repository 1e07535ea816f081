"""Rate and distortion of implicit videos as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from refcodec.study.inr.rows import METHODS, RATES, SEPARATE, Row
from refcodec.study.plot import MARKERS, import_matplotlib, saved

PANEL = (5.2, 4.0)  # inches


def figure_files(rows: Sequence[Row]) -> dict[str, bytes]:
    """`rd.png` and `rd.svg`: many rates from one network, networks fitted for theirs, methods at fixed bits.

    Raises RefcodecError RC-EXTRA where matplotlib is missing.
    """
    matplotlib = import_matplotlib()
    with matplotlib.rc_context({"svg.hashsalt": "refcodec", "font.size": 9}):
        figure = matplotlib.figure.Figure(figsize=(2 * PANEL[0], PANEL[1]), layout="constrained")
        rates, methods = figure.subplots(1, 2)
        _rates(rates, rows)
        _methods(methods, rows)
        return {"rd.png": saved(figure, "png"), "rd.svg": saved(figure, "svg")}


def _finish(axes: Any, title: str) -> None:
    axes.set(title=title, xlabel="bit per pixel, every byte counted", ylabel="PSNR, dB")
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="lower right", fontsize=7)


def _curve(axes: Any, rows: Sequence[Row], label: str, style: str, number: int) -> None:
    ordered = sorted(rows, key=lambda row: row.bpp)
    axes.plot(
        [row.bpp for row in ordered], [row.psnr_db for row in ordered],
        style, color=f"C{number}", marker=MARKERS[number % len(MARKERS)], markersize=5, linewidth=1.2, label=label,
    )  # fmt: skip


def _rates(axes: Any, rows: Sequence[Row]) -> None:
    curves = dict.fromkeys((row.model, row.method) for row in rows if row.group == RATES)
    for number, (model, method) in enumerate(curves):
        chosen = [row for row in rows if (row.group, row.model, row.method) == (RATES, model, method)]
        _curve(axes, chosen, f"{model}, {method}, one network", "-", number)
    separate = [row for row in rows if row.group == SEPARATE]
    if separate:
        _curve(axes, separate, "networks fitted for their rates, 8 bits", "--", len(curves))
    _finish(axes, "many rates")


def _methods(axes: Any, rows: Sequence[Row]) -> None:
    found = [row for row in rows if row.group == METHODS]
    first = found[0].model if found else ""
    for number, method in enumerate(dict.fromkeys(row.method for row in found)):
        _curve(axes, [row for row in found if (row.model, row.method) == (first, method)], method, "-", number)
    _finish(axes, f"methods at the same bits, {first}")
