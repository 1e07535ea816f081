"""Implementations with a fault each, to test the runner: python -S faulty_sut.py FAULT CASE OUT (or --stdio).

They take the right answer from the case itself and spoil it; so they need nothing but Python, and start at once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

FOREVER = 3600


def right_answer(home: Path) -> tuple[dict[str, bytes], str, dict[str, Any]]:
    """Files of the outputs, the code of the rejection or nothing, and the description of a case."""
    described = json.loads((home / "case.json").read_bytes())
    files = {entry["file"]: (home / entry["file"]).read_bytes() for entry in described["outputs"]}
    return files, described.get("error", ""), described


def _item_size(described: dict[str, Any], name: str) -> int:
    dtype = next(entry["dtype"] for entry in described["outputs"] if entry["file"] == name)
    return int("".join(filter(str.isdigit, dtype))) // 8


def _swapped(content: bytes, size: int) -> bytes:
    return b"".join(content[n : n + size][::-1] for n in range(0, len(content), size))


def _widened(content: bytes, size: int) -> bytes:
    values = (int.from_bytes(content[n : n + size], "little", signed=True) for n in range(0, len(content), size))
    return b"".join(value.to_bytes(2 * size, "little", signed=True) for value in values)


def spoil(fault: str, home: Path) -> tuple[dict[str, bytes], str]:
    """Files and code that an implementation with the fault gives."""
    files, code, described = right_answer(home)
    if fault == "constant":
        files = {name: bytes(len(content)) for name, content in files.items()}
    elif fault == "truncated":
        files = {name: content[:-1] for name, content in files.items()}
    elif fault == "big-endian":
        files = {name: _swapped(content, _item_size(described, name)) for name, content in files.items()}
    elif fault == "wide":
        files = {name: _widened(content, _item_size(described, name)) for name, content in files.items()}
    elif fault == "doubled":
        files = {name: content + content for name, content in files.items()}
    elif fault == "huge":
        files = {name: content + bytes(1 << 20) for name, content in files.items()}
    elif fault == "extra-file":
        files = files and {**files, "out.other.le": b"\0"}
    elif fault == "nothing":
        files = {}
    elif fault == "reject-all":
        files, code = {}, "RC-HW-CONFIG"  # which no case has
    elif fault == "accept-all":
        files, code = files or {"out.y.le": b"\0"}, ""
    elif fault == "unknown-code":
        files, code = {}, "E42"
    return files, code


def misbehave(fault: str) -> None:
    """Do what has nothing to do with the case."""
    if fault == "silent":
        time.sleep(FOREVER)
    elif fault == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif fault == "exit":
        sys.exit(7)


def answer_files(fault: str, home: Path, out: Path) -> int:
    """Level 1."""
    misbehave(fault)
    files, code = spoil(fault, home)
    for name, content in files.items():
        (out / name).write_bytes(content)
    if fault == "bad-status":
        (out / "status.json").write_text("no")
        return 4
    if code:
        (out / "status.json").write_text(json.dumps({"error": code}))
    return 4 if code else 0


def answer_line(fault: str, line: str) -> str:
    """Level 2."""
    misbehave(fault)
    request = json.loads(line)
    if fault == "garbage":
        return "no"
    answer: dict[str, Any] = {"id": request["id"] + (fault == "wrong-id")}
    files, code = spoil(fault, Path(request["case"]))
    if code:
        return json.dumps({**answer, "status": "rejected", "error": code})
    outputs = {name[4:-3]: {"hex": content.hex()} for name, content in files.items()}
    return json.dumps({**answer, "status": "ok", "outputs": outputs})


def main() -> int:
    """Answer one case, or every request until the input ends."""
    fault, *rest = sys.argv[1:]
    if rest != ["--stdio"]:
        return answer_files(fault, Path(rest[0]), Path(rest[1]))
    for line in sys.stdin:
        print(answer_line(fault, line), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
