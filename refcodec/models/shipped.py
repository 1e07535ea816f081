"""The models, recipes and streams that come with refcodec (see `shipped/PROVENANCE.md`)."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

from refcodec.errors import FileError, ModelError

FLOATS = ("balle2018-relu-n32-m64-lambda0130", "balle2018-gdn-n32-m64-lambda0130")
DEFAULT_FLOAT = FLOATS[0]
DEFAULT_MODEL = f"{DEFAULT_FLOAT}-w8a8"
DEFAULT_STREAM = "photograph"
DEFAULT_CLIP = "bunny"
RECIPES = ("w4a4", "w8a8", "w12a12", "w16a16")


def _folder() -> Path:
    return Path(str(importlib.resources.files("refcodec.models") / "shipped"))


def shipped_names(suffix: str = ".safetensors") -> list[str]:
    """The shipped names of one kind, sorted.

    suffix  `.safetensors` floats, `.rcm` models, `.json` recipes, `.rcb` streams, `.rcv` implicit videos.
    """
    return sorted(path.name.removesuffix(suffix) for path in _folder().glob(f"*{suffix}"))


def shipped_path(name: str, suffix: str = ".safetensors") -> Path:
    """The file of a shipped model, recipe, stream or clip.

    name  one of `shipped_names(suffix)`.  Raises ModelError RC-MODEL-FILE naming those known.
    """
    names = shipped_names(suffix)
    if name not in names:
        raise ModelError("RC-MODEL-FILE", f"no shipped model {name!r}; there are: {', '.join(names)}")
    return _folder() / f"{name}{suffix}"


def resolve(name: str, *suffixes: str) -> Path:
    """What a user means by a name: a file if there is one, else what is shipped under it.

    suffixes  of `shipped_names`: the kinds that are wanted.  Raises FileError RC-FILE-READ naming what is shipped.
    """
    path = Path(name)
    if path.exists() and not path.is_dir():  # a pipe will do
        return path
    for suffix in suffixes:
        if name in shipped_names(suffix):
            return shipped_path(name, suffix)
    known = ", ".join(known for suffix in suffixes for known in shipped_names(suffix))
    raise FileError("RC-FILE-READ", f"no file {name}, and nothing shipped of that name ({known})")


def recipe_name(precision: str) -> str:
    """The shipped recipe of the default model at a precision such as "w8a8"."""
    return f"{DEFAULT_FLOAT}-{precision}"
