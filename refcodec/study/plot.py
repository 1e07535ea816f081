"""What the figures of all studies share."""

from __future__ import annotations

import importlib
import io
from typing import Any

from refcodec.errors import RefcodecError

DOTS = 150
MARKERS = "osD^vP*X<>"


def import_matplotlib() -> Any:
    """The `matplotlib` package of the extra `report`.  Raises RefcodecError RC-EXTRA where it is missing."""
    try:
        importlib.import_module("matplotlib.figure")
        return importlib.import_module("matplotlib")
    except ImportError as error:
        message = "the plot needs the package matplotlib: pip install 'refcodec[report]'"
        raise RefcodecError("RC-EXTRA", message) from error


def saved(figure: Any, kind: str) -> bytes:
    """A figure as `png` or `svg`; equal figures give equal bytes."""
    content = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    figure.savefig(content, format=kind, dpi=DOTS, metadata=metadata)
    return content.getvalue()
