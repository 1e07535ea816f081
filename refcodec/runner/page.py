"""A run as one HTML page that needs nothing else: totals, failures, and where tensors differ (SPEC RUN-5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from refcodec.runner.difference import Difference
from refcodec.runner.outcome import KNOWN, Outcome
from refcodec.runner.report import Report, skip_reasons

MOST_MAPS = 200  # error maps on a page
CELL = 6  # pixels of a map's cell
# largest absolute difference that has the colour; the last one has no end
SHADES = ((1, "#f6c26b"), (15, "#ee8f3a"), (255, "#d9481c"), (None, "#7f0d0d"))
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: 1em 0; }
th, td { border-bottom: 1px solid #ddd; padding: .2em .8em; text-align: right; }
th:first-child, td:first-child { text-align: left; }
code, .message { font-family: ui-monospace, monospace; font-size: 13px; overflow-wrap: anywhere; }
.failed { color: #a40000; } .passed { color: #1a6b1a; } .known, .skipped { color: #7a6000; }
section.case { border-top: 1px solid #ccc; padding: .6em 0; }
svg { background: #eef1f4; border: 1px solid #ccc; }
"""


def html_page(report: Report) -> bytes:
    """The page, UTF-8; equal runs give equal pages."""
    document = report.as_json()
    title = escape(f"{report.name} on suite {report.suite.version}")
    verdict = "passed" if report.conforms else "failed"
    parts = [
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        f"<style>{STYLE}</style></head><body>",
        f"<h1>{title}</h1>",
        f'<p class="{verdict}">{escape(report.verdict())}</p>',
        f"<p>Level {escape(report.level)}; SHA-256 of the suite's sums <code>{report.suite.sha256}</code>.</p>",
        *_listed("Likely mistakes", map(str, report.diagnoses)),
        *_listed("Skip list", report.notes),
        *_failures(report.failures),
        *_listed("Skipped", (f"{n}: {reason}" for reason, n in skip_reasons(report.outcomes).most_common())),
        *_counts("By operation", document["operations"]),
        *_counts("By clause", document["clauses"]),
        "</body></html>\n",
    ]
    return "\n".join(parts).encode("utf-8", "backslashreplace")


def _listed(head: str, lines: Iterable[str]) -> list[str]:
    items = [f"<li>{escape(line)}</li>" for line in lines]
    return [f"<h2>{head}</h2>", "<ul>", *items, "</ul>"] if items else []


def _counts(head: str, groups: dict[str, dict[str, int]]) -> list[str]:
    names = list(next(iter(groups.values())))
    rows = [
        f"<tr><td>{escape(key)}</td>" + "".join(f"<td>{counts[name] or ''}</td>" for name in names) + "</tr>"
        for key, counts in groups.items()
    ]
    heads = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in ("", *names))
    return [f"<h2>{head}</h2>", f"<table><tr>{heads}</tr>", *rows, "</table>"]


def _failures(failures: Sequence[Outcome]) -> list[str]:
    if not failures:
        return []
    legend = " ".join(
        f'<span style="background:{shade};color:{"#222" if number < 2 else "#fff"}">&nbsp;{_range(number)}&nbsp;</span>'
        for number, (_, shade) in enumerate(SHADES)
    )
    about = "Largest absolute difference in each part of a tensor, by the last two axes longer than one"
    parts = [f"<h2>Failures</h2><p>{about}: {legend}</p>"]
    left = MOST_MAPS
    for outcome in failures:
        maps = [problem.difference for problem in outcome.problems if problem.difference][:left]
        left -= len(maps)
        parts += _failure(outcome, maps)
    return parts


def _range(number: int) -> str:
    last = SHADES[number][0]
    first = 1 if number == 0 else (SHADES[number - 1][0] or 0) + 1
    return f"from {first}" if last is None else f"{first}" if first == last else f"{first} to {last}"


def _failure(outcome: Outcome, maps: Sequence[Difference]) -> list[str]:
    label = "known" if outcome.verdict == KNOWN else "failed"
    reason = f" &mdash; {escape(outcome.reason)}" if outcome.reason else ""
    lines = [f'<div class="message">[{problem.kind}] {escape(problem.message)}</div>' for problem in outcome.problems]
    head = f'<code>{escape(outcome.id)}</code> <span class="{label}">{label}</span>{reason}'
    return [
        f'<section class="case"><h3>{head}</h3>',
        f"<p>{escape(', '.join(outcome.clauses))}</p>",
        *lines,
        *(
            f"<figure>{error_map(difference)}<figcaption>{_caption(difference)}</figcaption></figure>"
            for difference in maps
        ),
        "</section>",
    ]


def _caption(difference: Difference) -> str:
    shape = "x".join(map(str, difference.shape)) or "one value"
    return escape(f"{difference.place}, {shape}: {difference.differing} of {difference.total} differ")


def error_map(difference: Difference) -> str:
    """An SVG grid: where values differ, the darker the more."""
    rows, columns = len(difference.grid), len(difference.grid[0])
    paths: dict[str, list[str]] = {}
    for y, row in enumerate(difference.grid):
        for x, magnitude in enumerate(row):
            if magnitude:
                paths.setdefault(_shade(magnitude), []).append(f"M{x} {y}h1v1h-1z")
    drawn = "".join(f'<path fill="{shade}" d="{"".join(cells)}"/>' for shade, cells in paths.items())
    size = f'width="{columns * CELL}" height="{rows * CELL}" viewBox="0 0 {columns} {rows}"'
    return f'<svg {size} role="img" aria-label="error map">{drawn}</svg>'


def _shade(magnitude: int) -> str:
    return next(shade for last, shade in SHADES if last is None or magnitude <= last)
