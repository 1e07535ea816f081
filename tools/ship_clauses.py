"""Write the digests of SPEC.md's clauses, which every conformance case names, into the package."""

from __future__ import annotations

from pathlib import Path

from checks.specification import clause_digests

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Write refcodec/vectorgen/clauses.json."""
    spec = (ROOT / "SPEC.md").read_text(encoding="utf-8")
    (ROOT / "refcodec" / "vectorgen" / "clauses.json").write_text(clause_digests(spec), encoding="utf-8")


if __name__ == "__main__":
    main()
