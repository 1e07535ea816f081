"""The audit as one page that needs nothing beside itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from refcodec.audit.document import Document
from refcodec.audit.text import (
    CLIPPED_HEAD,
    SEEN_HEAD,
    SUM_HEAD,
    TABLE_HEAD,
    TABLES_TITLE,
    TARGET_HEAD,
    WIDTH_HEAD,
    clipped_rows,
    frequency_rows,
    seen_rows,
    sum_rows,
    target_row,
    width_rows,
)

STYLE = """
body { font: 14px/1.4 sans-serif; margin: 2em auto; max-width: 92em; padding: 0 1em; color: #222; }
h1 { font-size: 1.4em; } h2 { font-size: 1.15em; margin-top: 2em; } h3 { font-size: 1em; margin-bottom: .3em; }
table { border-collapse: collapse; font-size: 12px; } .wide { overflow-x: auto; }
td, th { padding: .15em .6em; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
td:first-child, th:first-child { text-align: left; } th { background: #f2f2f2; }
details { margin: .3em 0; } summary { cursor: pointer; } svg text { font: 11px sans-serif; }
.declared { fill: none; stroke: #444; } .needed { fill: #4477aa; } .partial { fill: #a9c3dc; }
.proven { fill: #cccccc; } .seen { fill: #cc6633; } .axis { stroke: #999; } code { font-size: 12px; }
"""
LABEL, BIT, BAR = 260, 9, 18  # widths of a label and of a bit, height of a row
PLOT_WIDTH, PLOT_HEIGHT = 640, 120


def _table(rows: Iterable[Sequence[Any]], head: Sequence[str]) -> str:
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f'<div class="wide"><table>\n<tr>{names}</tr>\n{body}</table></div>\n'


def _bits_chart(layers: Sequence[Document]) -> str:
    """A bar for each sum: bits of its values, of its partial sums, and a frame for those declared."""
    sums = [(layer, found) for layer in layers for found in layer["sums"]]
    widest = max(max(found["declared_bits"], found["partial_bits"]) for _, found in sums)
    parts = []
    for number, (layer, found) in enumerate(sums):
        y = number * BAR
        parts.append(f'<text x="0" y="{y + 12}">{escape(layer["operation"])} {found["quantity"]}</text>')
        for name in ("partial", "needed"):
            width = found[f"{name}_bits"] * BIT
            parts.append(f'<rect class="{name}" x="{LABEL}" y="{y + 2}" width="{width}" height="12"/>')
        frame = found["declared_bits"] * BIT
        parts.append(f'<rect class="declared" x="{LABEL}.5" y="{y + 2}.5" width="{frame}" height="12"/>')
        told = f"{found['needed_bits']} of {found['declared_bits']}"
        parts.append(f'<text x="{LABEL + (widest + 1) * BIT}" y="{y + 12}">{told}</text>')
    return _svg(LABEL + (widest + 10) * BIT, len(sums) * BAR + 2, parts)


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    return f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}">\n' + "\n".join(parts) + "\n</svg>\n"


def _intervals(lo: Sequence[int], hi: Sequence[int], low: int, high: int, name: str) -> list[str]:
    """A bar from lo to hi for each channel, between low at the bottom and high at the top."""
    span, step = max(high - low, 1), PLOT_WIDTH / len(lo)
    parts = []
    for c, (bottom, top) in enumerate(zip(lo, hi, strict=True)):
        y, height = PLOT_HEIGHT * (high - top) / span, max(PLOT_HEIGHT * (top - bottom) / span, 1)
        place = f'x="{c * step:.1f}" y="{y:.1f}" width="{max(step * 0.8, 0.5):.1f}" height="{height:.1f}"'
        parts.append(f'<rect class="{name}" {place}><title>channel {c}: {bottom} .. {top}</title></rect>')
    zero = PLOT_HEIGHT * high / span
    if low <= 0 <= high:
        parts.append(f'<line class="axis" x1="0" x2="{PLOT_WIDTH}" y1="{zero:.1f}" y2="{zero:.1f}"/>')
    return parts


def _channels(layer: Document) -> str:
    """The interval of every channel, the worst phase of each, for each sum of a layer."""
    parts = []
    for found in layer["sums"]:
        lo = [min(values) for values in zip(*(phase["lo"] for phase in found["phases"]), strict=True)]
        hi = [max(values) for values in zip(*(phase["hi"] for phase in found["phases"]), strict=True)]
        limit = 1 << found["declared_bits"] - 1
        bars = _intervals(lo, hi, -limit, limit - 1, "needed")
        at = found["witness"]
        parts.append(
            f"<p>{found['quantity']} of each channel, within its {found['declared_bits']} bits; {at['value']} is "
            f"attained in channel {at['channel']}, phase {at['phase']}, by the input in the JSON.</p>\n"
            + _svg(PLOT_WIDTH, PLOT_HEIGHT, bars)
        )
    return "".join(parts)


def _details(layer: Document) -> str:
    rows = [[name, value["magnitude"], value["bits"]] for name, value in layer["intermediates"].items()]
    inner = _channels(layer) + (_table(rows, ("on the way", "largest magnitude", "bits")) if rows else "")
    if not inner:
        return ""
    return f"<details><summary>{escape(layer['operation'])} ({layer['kind']})</summary>\n{inner}</details>\n"


def _program(name: str, program: Document) -> str:
    layers = program["layers"]
    sums = list(sum_rows(layers))
    parts = [f"<h2>{escape(name)}</h2>\n<p>{program['constants']} constants.</p>\n"]
    if sums:
        parts.append(
            "<h3>Declared sums</h3>\n<p>Dark: bits that the values need; pale: that partial sums need in any order; "
            "frame: bits declared.</p>\n" + _bits_chart(layers) + _table(sums, SUM_HEAD)
        )
    parts += ["<h3>Operations</h3>\n", _table([target_row(layer) for layer in layers], TARGET_HEAD)]
    parts += ["<h3>Each operation</h3>\n", *(_details(layer) for layer in layers)]
    parts += ["<h3>Widths for hardware</h3>\n", _table(width_rows(program), WIDTH_HEAD)]
    return "".join(parts)


def _observed(name: str, observed: Document) -> str:
    if not observed["tensors"]:
        return f"<h2>{escape(name)} on data</h2>\n<p>A decode does not report its tensors.</p>\n"
    parts = [f"<h2>{escape(name)} on data</h2>\n", _table(seen_rows(observed), SEEN_HEAD)]
    if observed["saturations"]:
        parts += ["<h3>Saturation</h3>\n", _table(clipped_rows(observed), CLIPPED_HEAD)]
    parts.append("<h3>Each tensor: proven (grey) and observed (orange) by channel</h3>\n")
    for found in observed["tensors"]:
        proven = found["proven"]
        low, high = min(proven["lo"]), max(proven["hi"])
        bars = _intervals(proven["lo"], proven["hi"], low, high, "proven")
        bars += _intervals(found["lo"], found["hi"], low, high, "seen")
        chart = _svg(PLOT_WIDTH, PLOT_HEIGHT, bars)
        parts.append(f"<details><summary>{escape(found['tensor'])}</summary>\n{chart}</details>\n")
    return "".join(parts)


def page(document: Document) -> str:
    """The whole audit as HTML."""
    identity = f"<p><code>{document['identity']}</code></p>\n" if document["identity"] else ""
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">',
        f"<title>Audit of {escape(document['model'])}</title><style>{STYLE}</style></head>\n<body>\n",
        f"<h1>Audit of {escape(document['model'])}</h1>\n<p>{escape(document['kind'])}</p>\n{identity}",
        "<p>No sum can leave its declared width. Every interval of a declared sum is attained by an input.</p>\n",
        *(_program(name, program) for name, program in document["programs"].items()),
    ]
    if document["tables"]:
        rows = _table(frequency_rows(document["tables"]), TABLE_HEAD)
        parts.append(f"<h2>{TABLES_TITLE[0].upper() + TABLES_TITLE[1:]}</h2>\n{rows}")
    parts += [_observed(name, observed) for name, observed in (document["observed"] or {}).items()]
    return "".join([*parts, "</body>\n</html>\n"])
