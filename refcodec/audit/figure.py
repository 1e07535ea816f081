"""Bits needed and provided for each sum of a model, as a plot."""

from __future__ import annotations

from refcodec.audit.document import Document
from refcodec.study.plot import import_matplotlib, saved

WIDTH, ROW, MARGIN = 7.0, 0.24, 1.3  # inches


def widths_png(document: Document) -> bytes:
    """A bar for each sum: bits that its values need, that partial sums need, and that are declared.

    Equal arguments give equal bytes.  Raises RefcodecError RC-EXTRA where matplotlib is missing.
    """
    matplotlib = import_matplotlib()
    found = [
        (f"{name}.{layer['operation']} {bounds['quantity']}", bounds)
        for name, program in document["programs"].items()
        for layer in program["layers"]
        for bounds in layer["sums"]
    ]
    places = range(len(found))
    with matplotlib.rc_context({"font.size": 8}):
        figure = matplotlib.figure.Figure(figsize=(WIDTH, MARGIN + ROW * max(len(found), 1)), layout="constrained")
        axes = figure.subplots()
        for key, colour, label in (
            ("partial_bits", "#a9c3dc", "partial sums in any order"),
            ("needed_bits", "#4477aa", "values"),
        ):
            axes.barh(places, [bounds[key] for _, bounds in found], color=colour, label=label, height=0.7)
        declared = [bounds["declared_bits"] for _, bounds in found]
        axes.barh(places, declared, facecolor="none", edgecolor="black", linewidth=0.8, label="declared", height=0.7)
        axes.set(yticks=list(places), yticklabels=[name for name, _ in found], xlabel="bits, two's complement")
        axes.invert_yaxis()
        axes.grid(axis="x", alpha=0.3)
        figure.legend(loc="outside upper right", ncols=3)
        return saved(figure, "png")
