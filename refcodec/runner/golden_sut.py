"""The golden model as an implementation under test, at levels 1 and 2: python -m refcodec.runner.golden_sut CASE OUT.

A conforming implementation reads the inputs of a case, computes, and writes outputs or a code (SPEC RUN-1, RUN-2).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from refcodec.codecs.codec import Codec
from refcodec.codecs.family import codec_of
from refcodec.errors import RefcodecError, VectorError
from refcodec.program.model_file import load_model
from refcodec.runner.command import EXIT_DONE, EXIT_REJECTED
from refcodec.runner.results import STATUS
from refcodec.vectorgen.evaluate import Engine, evaluate


class Golden:
    """The golden model on the compiled kernels, or by the definitions, with the decoders that it has needed so far."""

    def __init__(self, plain: bool = False) -> None:
        self._plain = plain
        self._codecs: dict[Path, Codec] = {}

    def compute(self, home: Path, suite: Path) -> dict[str, bytes]:
        """Bytes of every tap and output of a case, by file name.  Raises RefcodecError with the code of a rejection."""
        described = json.loads((home / "case.json").read_bytes())
        inputs = {entry["name"]: _read(home, entry) for entry in described["inputs"]}
        engine = Engine(self._plain, self._decoders(described["parameters"], suite))
        results = evaluate(engine, described["operation"], described["parameters"], inputs)
        return {
            entry["file"]: results[entry["name"]].astype(np.dtype(entry["dtype"]).newbyteorder("<")).tobytes()
            for entry in described["taps"] + described["outputs"]
        }

    def _decoders(self, parameters: dict[str, Any], suite: Path) -> dict[str, Codec]:
        if "model" not in parameters:
            return {}
        path = suite / "models" / f"{parameters['model']}.rcm"
        if path not in self._codecs:
            self._codecs[path] = codec_of(load_model(path))
        return {parameters["model"]: self._codecs[path]}


def _read(home: Path, entry: dict[str, Any]) -> np.ndarray:
    stored = np.frombuffer((home / entry["file"]).read_bytes(), np.dtype(entry["dtype"]).newbyteorder("<"))
    return stored.astype(np.int64).reshape(entry["shape"])


def answer_files(golden: Golden, home: Path, suite: Path, out: Path) -> int:
    """Level 1: write files, or `status.json`; the exit status.  Raises VectorError for what is no case."""
    try:
        files = golden.compute(home, suite)
    except VectorError:
        raise
    except RefcodecError as error:
        (out / STATUS).write_text(json.dumps({"error": error.code}))
        return EXIT_REJECTED
    for name, content in files.items():
        (out / name).write_bytes(content)
    return EXIT_DONE


def answer_line(golden: Golden, request: dict[str, Any]) -> dict[str, Any]:
    """Level 2: the answer to a request.  Raises VectorError for what is no case."""
    try:
        files = golden.compute(Path(request["case"]), Path(request["suite"]))
    except VectorError:
        raise
    except RefcodecError as error:
        return {"id": request["id"], "status": "rejected", "error": error.code}
    answer: dict[str, Any] = {"id": request["id"], "status": "ok", "outputs": {}, "taps": {}}
    for name, content in files.items():
        prefix, _, tensor = name.removesuffix(".le").partition(".")
        answer["outputs" if prefix == "out" else "taps"][tensor] = {"hex": content.hex()}
    return answer


def main(argv: Sequence[str] | None = None) -> int:
    """Answer one case, or with --stdio every request until the input ends."""
    parser = argparse.ArgumentParser(prog="python -m refcodec.runner.golden_sut", description=__doc__)
    parser.add_argument("case", nargs="?", type=Path, help="folder of a case")
    parser.add_argument("out", nargs="?", type=Path, help="folder for results")
    parser.add_argument("--suite", type=Path, help="folder of the suite (default: three above the case)")
    parser.add_argument("--stdio", action="store_true", help="read requests, a JSON line each, and answer them")
    parser.add_argument("--mutant", help="make the mistake of this mutant of the kill matrix")
    args = parser.parse_args(argv)
    if not args.stdio and (args.case is None or args.out is None):
        parser.error("a case and a folder for results are needed, or --stdio")
    if args.mutant is None:
        return _answer(args, Golden())
    from refcodec.runner.mistaken import mistake

    with mistake(args.mutant):
        return _answer(args, Golden(plain=True))


def _answer(args: argparse.Namespace, golden: Golden) -> int:
    if args.stdio:
        for line in sys.stdin:
            print(json.dumps(answer_line(golden, json.loads(line))), flush=True)
        return EXIT_DONE
    home = args.case.resolve()
    return answer_files(golden, home, args.suite or home.parents[2], args.out)


if __name__ == "__main__":
    sys.exit(main())
