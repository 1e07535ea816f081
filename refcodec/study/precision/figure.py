"""Rate-distortion curves as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from refcodec.study.plot import MARKERS, import_matplotlib, saved
from refcodec.study.precision.measure import FLOAT
from refcodec.study.precision.report import NAMES
from refcodec.study.precision.summary import Point, Summary, label

PANEL = (4.2, 4.0)  # inches
BELOW = 0.35  # of the float curve's height, how far below its lowest point a panel reaches


def figure_files(summary: Summary) -> dict[str, bytes]:
    """`rd.png` and `rd.svg`: one panel a part, float in black; equal summaries give equal files.

    A curve that lies below the panel is named at its foot.
    Raises RefcodecError RC-EXTRA where matplotlib is missing.
    """
    matplotlib = import_matplotlib()
    parts = list(dict.fromkeys(found.part for found in summary.comparisons))
    size = (PANEL[0] * len(parts), PANEL[1])
    with matplotlib.rc_context({"svg.hashsalt": "refcodec", "font.size": 9}):
        figure = matplotlib.figure.Figure(figsize=size, layout="constrained")
        for axes, part in zip(figure.subplots(1, len(parts), squeeze=False)[0], parts, strict=True):
            _panel(axes, summary, part)
        return {"rd.png": saved(figure, "png"), "rd.svg": saved(figure, "svg")}


def _panel(axes: Any, summary: Summary, part: str) -> None:
    reference = summary.curves[FLOAT]
    low, high = min(point.psnr_db for point in reference), max(point.psnr_db for point in reference)
    foot = low - BELOW * (high - low)
    lost = []
    for index, found in enumerate(found for found in summary.comparisons if found.part == part):
        points = summary.curves[label(part, found.precision)]
        _draw(axes, points, f"C{index}", MARKERS[index % len(MARKERS)], found.precision)
        if max(point.psnr_db for point in points) < foot:
            lost.append(f"{found.precision} {points[0].psnr_db:.1f}")
    _draw(axes, reference, "black", "", FLOAT)
    margin = 0.06 * (high - low)
    axes.set_ylim(foot, high + margin)
    if lost:
        axes.annotate(f"below, dB: {', '.join(lost)}", (0.97, 0.03), xycoords="axes fraction", ha="right")
    axes.set(title=f"integer: {NAMES[part]}", xlabel="bit per pixel", ylabel="PSNR, dB")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")  # where no curve passes


def _draw(axes: Any, points: Sequence[Point], colour: str, marker: str, name: str) -> None:
    rates, distortions = [point.bpp for point in points], [point.psnr_db for point in points]
    axes.plot(rates, distortions, color=colour, marker=marker, markersize=5, linewidth=1.2, label=name)
