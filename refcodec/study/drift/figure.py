"""A damaged picture beside the right one, and the curve that says how often that happens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refcodec.codecs.picture import in_colour
from refcodec.study.drift.measure import FLOAT
from refcodec.study.drift.summary import Exposure, Total
from refcodec.study.plot import MARKERS, import_matplotlib, saved

INCHES = (6.4, 4.4)
GAP = 8  # samples between the panels
MARK = np.array([255, 64, 0], np.uint8)  # a position with a flipped index
WRONG = np.array([90, 90, 200], np.uint8)  # the colour that wrong symbols add, in proportion to their share


def positions(right: np.ndarray, flipped: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """The right picture, dark, bluer where more symbols are wrong, with a bright square where an index flipped.

    right  (H, W, 3) uint8;  flipped, wrong  (M, h, w) bool, of the latent.  Returns (H, W, 3) uint8.
    """
    height, width = right.shape[:2]
    stride = -(-height // flipped.shape[1]), -(-width // flipped.shape[2])

    def spread(plane: np.ndarray) -> np.ndarray:
        return plane.repeat(stride[0], axis=0).repeat(stride[1], axis=1)[:height, :width]

    grey = right.mean(axis=2, keepdims=True) / 3
    shaded = grey + spread(wrong.mean(axis=0))[:, :, None] * WRONG
    marked = np.where(spread(np.asarray(flipped.any(axis=0)))[:, :, None], MARK, shaded)
    return np.rint(marked).clip(0, 255).astype(np.uint8)


def side_by_side(right: np.ndarray, damaged: np.ndarray, flipped: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Three panels: as it should be, as it was read, and where indexes flipped.

    right, damaged  (H, W, 3) or (H, W) uint8;  flipped, wrong  (M, h, w) bool.  Returns (H, 3 W + 2 GAP, 3) uint8.
    """
    panels = [in_colour(right), in_colour(damaged)]
    gap = np.full((right.shape[0], GAP, 3), 255, np.uint8)
    return np.concatenate([panels[0], gap, panels[1], gap, positions(panels[0], flipped, wrong)], axis=1)


def curve_png(curve: Sequence[Exposure], totals: Sequence[Total]) -> bytes:
    """The probability that a picture breaks against the size of a relative difference, with what was counted.

    Equal arguments give equal bytes.  Raises RefcodecError RC-EXTRA where matplotlib is missing.
    """
    matplotlib = import_matplotlib()
    with matplotlib.rc_context({"font.size": 9}):
        figure = matplotlib.figure.Figure(figsize=INCHES, layout="constrained")
        axes = figure.subplots()
        sizes = [point.size for point in curve]
        axes.plot(sizes, [point.exposed for point in curve], color="0.6", label="a scale lies that near to a bound")
        axes.plot(sizes, [point.damaged for point in curve], color="black", label="expected: a scale index flips")
        shown = [found for found in totals if found.arithmetic == FLOAT and found.mean_difference > 0]
        for number, found in enumerate(shown):
            axes.plot(
                [found.mean_difference], [found.broken / found.pictures],
                marker=MARKERS[number % len(MARKERS)], color=f"C{number % 10}", linestyle="", label=found.decoder,
            )  # fmt: skip
        axes.set(xscale="log", ylim=(-0.03, 1.03), xlabel="relative difference of scales", ylabel="share of pictures")
        axes.grid(alpha=0.3)
        figure.legend(loc="outside right upper", fontsize=7)
        return saved(figure, "png")
