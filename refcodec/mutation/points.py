"""Every corner, by clause (SPEC GATE-2)."""

from __future__ import annotations

import importlib.resources
import json

from refcodec.mutation.point import Point

AREAS = ("scalars", "layers", "coding")


def _points(area: str) -> tuple[Point, ...]:
    """The corners of an area: functions, each with its clause and its corners."""
    content = importlib.resources.files("refcodec.mutation").joinpath("corners", f"{area}.json").read_bytes()
    return tuple(
        Point(
            f"{group['target'].partition(':')[2]}:{corner['label']}",
            group["clause"],
            group["target"],
            corner["when"],
            corner["instead"],
        )
        for group in json.loads(content)
        for corner in group["corners"]
    )


POINTS: tuple[Point, ...] = tuple(point for area in AREAS for point in _points(area))
