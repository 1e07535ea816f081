"""Arm's TOSA reference model and validator as oracles; nothing of refcodec.

Both are programs of their own, which `make oracles` puts into `.oracles/tosa`. Tensors are stored (1, H, W, C).
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / ".oracles" / "tosa"
STATUS = {0: "TOSA_VALID", 1: "TOSA_UNPREDICTABLE", 2: "TOSA_ERROR"}


def tool(name: str) -> Path:
    """A file of the oracle; skips the test where it was not fetched."""
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(f"no .oracles/tosa/{name}: run make oracles")
    return path


def evaluate(
    content: bytes, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
) -> tuple[str, dict[str, np.ndarray]]:
    """The status that the reference model gives a file and its inputs, and if that is TOSA_VALID its outputs."""
    program = tool("tosa_reference_model")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "graph.tosa").write_bytes(content)
        for number, array in enumerate(inputs.values()):
            np.save(folder / f"input{number}.npy", np.ascontiguousarray(array))
        command = [
            *(str(program), "--flatbuffer_dir", name, "--output_dir", name, "--tosa_file", "graph.tosa"),
            *("--ifm_name", ",".join(inputs), "--ifm_file", ",".join(f"input{i}.npy" for i in range(len(inputs)))),
            *("--ofm_name", ",".join(outputs), "--ofm_file", ",".join(f"output{i}.npy" for i in range(len(outputs)))),
            *("--tosa_level", "EIGHTK"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=name)
        status = STATUS.get(done.returncode, f"died with {done.returncode}: {done.stderr[-500:]}")
        if status != "TOSA_VALID":
            return status, {}
        return status, {name: np.load(folder / f"output{i}.npy") for i, name in enumerate(outputs)}


def complaints(content: bytes, extensions: Sequence[str], version: str = "1.0") -> str:
    """What the validator says against a file for the profile PRO-INT with these extensions; nothing if it conforms.

    extensions  as in `EXT-INT16`.
    """
    program, schema = tool("tosa-opt"), tool("tosa.fbs")
    names = " ".join(f"extensions={extension.removeprefix('EXT-').lower()}" for extension in extensions)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "graph.tosa"
        path.write_bytes(content)
        command = [
            str(program),
            f"--tosa-deserialize-schema={schema}",
            f"--tosa-deserialize=tosa-flatbuffer-filename={path}",
            f"--tosa-attach-target=profiles=pro_int {names} level=8k specification_version={version}",
            "--tosa-validate=strict-op-spec-alignment",
            "/dev/null",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=name)
    return "" if done.returncode == 0 else done.stderr or f"rc {done.returncode}"
