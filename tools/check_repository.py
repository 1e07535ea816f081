"""The repository's own audits: print every complaint, and exit 1 if there is one."""

from __future__ import annotations

import sys
from pathlib import Path

from checks.layering import import_order, package_sources
from checks.specification import (
    clause_links,
    error_table,
    malformed_fences,
    one_demand,
    spec_is_code,
    spec_language,
    stale_digests,
)
from checks.strays import strays
from refcodec.audit.source import audit_source
from refcodec.errors import CODES

ROOT = Path(__file__).resolve().parents[1]
# What SPEC.md quotes: the normative clauses, and the informative profiles.
QUOTED = ("refcodec/fixed.py", "refcodec/interop/rounding.py")
DIGESTS = "refcodec/vectorgen/clauses.json"


def specification(root: Path) -> list[str]:
    """All the complaints about SPEC.md and the code it numbers."""
    missing = [name for name in ("SPEC.md", *QUOTED, DIGESTS) if not (root / name).is_file()]
    if missing:
        return [f"{name}: missing" for name in missing]
    spec = (root / "SPEC.md").read_text(encoding="utf-8")
    quoted = {name: (root / name).read_text(encoding="utf-8") for name in QUOTED}
    tests = {path.name: path.read_text(encoding="utf-8") for path in sorted((root / "tests").rglob("*.py"))}
    return [
        *malformed_fences(spec),
        *spec_is_code(spec, quoted),
        *spec_language(spec),
        *one_demand(spec),
        *clause_links(spec, package_sources(root), tests),
        *error_table(spec, CODES),
        *stale_digests(spec, (root / DIGESTS).read_text(encoding="utf-8")),
    ]


def complaints(root: Path) -> list[str]:
    """Everything that is wrong with the repository at `root`."""
    sources = package_sources(root)
    return [*import_order(sources), *audit_source(sources), *specification(root), *strays(root)]


def main() -> int:
    """Print the complaints; 1 if there are any."""
    found = complaints(ROOT)
    for line in found:
        print(line)
    print(f"{len(found)} complaints" if found else "the repository is in order")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
