"""Imports point one way only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

# A module may import its own layer and the earlier ones. The root of the package comes first and imports nothing.
LAYERS = (
    "refcodec",
    "errors",
    "enclosures",
    "files",
    "formats",
    "kernel",
    "fixed",
    "layers",
    "program",
    "entropy",
    "codecs",
    "gradient",
    "metrics",
    "models",
    "quantize",
    "describe",
    "fit",
    "study",
    "interop",
    "audit",
    "vectorgen",
    "mutation",
    "runner",
    "hw",
    "datapath",
    "designs",
    "demo",
    "cli",
    "__main__",
)
# A datapath reads the program and the executable specification, never the golden arrays it is compared with.
HW_READS = ("refcodec", "errors", "files", "formats", "fixed", "program", "hw")


def layer(module: str) -> str | None:
    """The layer of a dotted module name, or None for a module of someone else."""
    parts = module.split(".")
    if parts[0] == "hw":
        return "hw"
    if parts[0] != "refcodec":
        return None
    return parts[1] if len(parts) > 1 else "refcodec"


def module_name(path: str) -> str:
    """refcodec/layers/clip.py -> refcodec.layers.clip; a package is named by its folder."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imported_modules(tree: ast.Module, path: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import, at any depth; `from refcodec import x` counts as refcodec.x."""
    package = module_name(path).split(".")
    if not path.endswith("__init__.py"):
        package = package[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                # a dunder such as __version__ is an attribute of the root package, not a module
                is_submodule = module == "refcodec" and not alias.name.startswith("__")
                yield node.lineno, f"{module}.{alias.name}" if is_submodule else module


def import_order(sources: dict[str, str]) -> list[str]:
    """Complain of every import that points to a later layer; `sources` maps a path such as hw/gdn.py to its text."""
    complaints = []
    for path, source in sorted(sources.items()):
        own = layer(module_name(path))
        if own not in LAYERS:
            complaints.append(f"{path}: not in any of the layers that tools/checks/layering.py lists")
            continue
        for line, name in imported_modules(ast.parse(source), path):
            other = layer(name)
            if other is None:
                continue
            if other not in LAYERS:
                complaints.append(f"{path}:{line}: imports {name}, which is in no layer")
            elif own == "hw" and other not in HW_READS:
                complaints.append(f"{path}:{line}: hw imports {name}; it may read only {', '.join(HW_READS[1:])}")
            elif LAYERS.index(other) > LAYERS.index(own):
                complaints.append(f"{path}:{line}: {own} imports {name} of the later layer {other}")
    return complaints


def package_sources(root: Path) -> dict[str, str]:
    """Every Python file of refcodec/ and hw/, by its path from the root."""
    files = [path for top in ("refcodec", "hw") for path in sorted((root / top).rglob("*.py"))]
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in files}
