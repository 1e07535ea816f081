"""The float models that come with refcodec (see `shipped/PROVENANCE.md`)."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

from refcodec.errors import ModelError

_SUFFIX = ".safetensors"


def _folder() -> Path:
    return Path(str(importlib.resources.files("refcodec.models") / "shipped"))


def shipped_names() -> list[str]:
    """The names of the shipped models, sorted."""
    return sorted(path.name.removesuffix(_SUFFIX) for path in _folder().glob(f"*{_SUFFIX}"))


def shipped_path(name: str) -> Path:
    """The file of a shipped model, for `load_parameters` and `read_metadata`.

    name  one of `shipped_names()`.  Raises ModelError RC-MODEL-FILE naming those known.
    """
    names = shipped_names()
    if name not in names:
        raise ModelError("RC-MODEL-FILE", f"no shipped model {name!r}; there are: {', '.join(names)}")
    return _folder() / f"{name}{_SUFFIX}"
