"""Choose the cases of the smoke suite, build it, and put both into the package.

The smallest valid and the smallest invalid case of every operation and family come first. Then come cases that kill
mutants not killed before, those with the most for their size first, while there is room. Streams of the shipped model,
which alone would take a third of the budget, are left out: a small one of the same family is in.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from refcodec.models.shipped import DEFAULT_MODEL
from refcodec.vectorgen.packaged import ARCHIVE, pack
from refcodec.vectorgen.suite import build_suite

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "refcodec" / "vectorgen"
SUITE = ROOT / "vectors"
ROOM = 405_000  # bytes of cases; index, sums, mutants and models take the rest of a million
Entry = dict[str, Any]


def first_cases(entries: Iterable[Entry]) -> set[str]:
    """The smallest case of each operation, family and result."""
    found: dict[tuple[str, str, str], Entry] = {}
    for entry in entries:
        family = entry["id"].rpartition("/")[0] if entry["operation"] == "stream" else ""
        key = entry["operation"], family, entry["result"]
        if key not in found or (entry["bytes"], entry["id"]) < (found[key]["bytes"], found[key]["id"]):
            found[key] = entry
    return {entry["id"] for entry in found.values()}


def killing_cases(chosen: set[str], sizes: dict[str, int], kills: dict[str, set[str]]) -> Iterator[str]:
    """Cases to add, so that as many mutants die as the room allows.

    sizes  bytes of every case;  kills  the mutants that each case kills.
    """
    alive = set().union(*kills.values()) - set().union(*(kills.get(case, set()) for case in chosen))
    left = ROOM - sum(sizes[case] for case in chosen)
    while alive:
        best = max(sorted(kills), key=lambda case: len(kills[case] & alive) / (500 + sizes[case]))
        left -= sizes[best]
        if left < 0:
            return
        alive -= kills[best]
        yield best


def light(entry: Entry) -> bool:
    """Whether a case does without the shipped model."""
    described = json.loads((SUITE / entry["id"] / "case.json").read_text())
    return described["parameters"].get("model") != DEFAULT_MODEL


def size(entry: Entry) -> int:
    """Bytes of a case without its `.hex` files, which the smoke suite lacks."""
    return sum(path.stat().st_size for path in (SUITE / entry["id"]).iterdir() if path.suffix != ".hex")


def choose(entries: list[Entry], mutants: list[Entry]) -> list[str]:
    """The ids of the smoke suite."""
    sizes = {entry["id"]: size(entry) for entry in entries}
    kills: dict[str, set[str]] = {}
    for mutant in mutants:
        for case in sizes.keys() & mutant["kills"]:
            kills.setdefault(case, set()).add(mutant["id"])
    chosen = first_cases(entries)
    return sorted(chosen | set(killing_cases(chosen, sizes, kills)))


def main() -> None:
    """Write refcodec/vectorgen/smoke.json and smoke.zip."""
    listed = json.loads((SUITE / "index.json").read_text())["cases"]
    entries = [entry for entry in listed if light(entry)]
    mutants = json.loads((PACKAGE / "kill_matrix.json").read_text())["mutants"]
    chosen = choose(entries, mutants)
    (PACKAGE / "smoke.json").write_text(json.dumps({"cases": chosen}, indent=1) + "\n")
    with tempfile.TemporaryDirectory() as folder:
        build_suite(Path(folder) / "suite", "smoke")
        content = pack(Path(folder) / "suite")
    (PACKAGE / ARCHIVE).write_bytes(content)
    print(f"{len(chosen)} cases, {len(content)} bytes packed")


if __name__ == "__main__":
    main()
