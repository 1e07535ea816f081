"""The text of the specification with each clause linked to its cases and corners (SPEC GATE-2)."""

from __future__ import annotations

import html
import re

from refcodec.mutation.coverage import Clause, Coverage
from refcodec.mutation.points import POINTS

HEADING = re.compile(r"^\*\*([A-Z][A-Z0-9]*-\d+)\*\*")
STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:80em;margin:2em auto;padding:0 1em}"
    "pre{white-space:pre-wrap;margin:0}details{margin:.2em 0 1em;padding-left:1em;border-left:3px solid #4a4}"
    "details.open{border-color:#c33}details.other{border-color:#aaa}"
)


def html_page(specification: str, found: Coverage) -> str:
    """One page: the whole text, and under each clause what shows it."""
    parts = [f"<!doctype html><meta charset=utf-8><title>coverage</title><style>{STYLE}</style>"]
    parts.append(f"<pre>{html.escape(found.as_text())}</pre><hr>")
    paragraph: list[str] = []
    name = ""
    for line in specification.splitlines():
        match = HEADING.match(line)
        if match or line.startswith("## "):
            parts += _section(name, paragraph, found)
            name, paragraph = (match[1] if match else ""), []
        paragraph.append(line)
    parts += _section(name, paragraph, found)
    return "\n".join(parts) + "\n"


def _section(name: str, lines: list[str], found: Coverage) -> list[str]:
    text = [f"<pre id={html.escape(name or 'text')}>{html.escape(chr(10).join(lines))}</pre>"]
    if name not in found.clauses:
        return text
    clause = found.clauses[name]
    kind = "other" if clause.reason else "" if clause.covered else "open"
    corners = [(point.id, found.points.get(point.id)) for point in POINTS if point.clause == name]
    rows = [f"<li>{html.escape(case)}" for case in (*clause.valid, *clause.invalid)]
    rows += [f"<li>{html.escape(label)}: {html.escape(case or 'not covered')}" for label, case in corners]
    return [
        *text,
        f"<details class='{kind}'><summary>{_summary(name, clause)}</summary><ul>{''.join(rows)}</ul></details>",
    ]


def _summary(name: str, clause: Clause) -> str:
    if clause.reason:
        return f"{name}: no vector: {html.escape(clause.reason)}"
    return f"{name}: {len(clause.valid)} valid, {len(clause.invalid)} invalid cases"


def markdown_page(found: Coverage) -> str:
    """A table of clauses."""
    lines = ["| clause | valid | invalid | corners | |", "|---|---|---|---|---|"]
    for name, clause in found.clauses.items():
        corners = [found.points.get(point.id) for point in POINTS if point.clause == name]
        shown = sum(case is not None for case in corners)
        remark = clause.reason or ("" if clause.covered else "**not covered**")
        lines.append(f"| {name} | {len(clause.valid)} | {len(clause.invalid)} | {shown} / {len(corners)} | {remark} |")
    return "\n".join(lines) + "\n"
