"""A model's programs as a folder of files in another notation, with what a run of them must give (SPEC EXP-1)."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refcodec.codecs.autoregressive import ONE, Autoregressive
from refcodec.codecs.codec import Codec
from refcodec.codecs.family import codec_of
from refcodec.codecs.inr.codec import InrVideo
from refcodec.codecs.inr.nodes import FRAME
from refcodec.codecs.stream import Geometry, parse
from refcodec.errors import ExportError
from refcodec.interop.onnx.export import export_program as export_onnx
from refcodec.interop.onnx.graph import IR_VERSION, OPSET
from refcodec.interop.onnx.translation import port_dtype
from refcodec.interop.tosa.export import export_program as export_tosa
from refcodec.program.model_file import Model
from refcodec.program.operations import Size
from refcodec.program.program import Program

MANIFEST = "manifest.json"
SCHEMA = "refcodec-export/1"
Inputs = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Written:
    """One program in another notation.

    file  name;  content  bytes;  facts  for the manifest;  dtypes  of inputs and outputs, by tensor name
    axes  order of the axes N, C, H, W of its tensors.
    """

    file: str
    content: bytes
    facts: Mapping[str, Any]
    dtypes: Mapping[str, str]
    axes: str


def _tosa(program: Program, sizes: Mapping[str, Size] | None, about: Mapping[str, str]) -> Written:
    if sizes is None:
        raise ExportError("RC-EXPORT", "TOSA knows fixed sizes only: give the size of the picture, or a stream")
    made = export_tosa(program, sizes)
    ports = {"inputs": made.inputs, "outputs": made.outputs}
    facts = {
        "version": made.version,
        "profile": made.profile,
        "extensions": list(made.extensions),
        **{
            role: [{"name": p.name, "format": str(p.format), "dtype": p.dtype, "shape": list(p.shape)} for p in listed]
            for role, listed in ports.items()
        },
    }
    dtypes = {port.name: port.dtype for port in (*made.inputs, *made.outputs)}
    return Written(f"{program.name}.tosa", made.content, facts, dtypes, "NHWC")


def _onnx(program: Program, sizes: Mapping[str, Size] | None, about: Mapping[str, str]) -> Written:
    content = export_onnx(program, about, sizes)
    ports = {"inputs": program.inputs, "outputs": program.outputs}
    dtypes = {tensor.name: port_dtype(tensor.format).name for tensor in (*program.inputs, *program.outputs)}
    facts = {
        "opset": OPSET,
        "ir_version": IR_VERSION,
        **{
            role: [{"name": t.name, "format": str(t.format), "dtype": dtypes[t.name]} for t in listed]
            for role, listed in ports.items()
        },
    }
    return Written(f"{program.name}.onnx", content, facts, dtypes, "NCHW")


NOTATIONS: dict[str, Callable[[Program, Mapping[str, Size] | None, Mapping[str, str]], Written]] = {
    "tosa": _tosa,
    "onnx": _onnx,
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A program to write: sizes of its inputs, if they are fixed, and values of its inputs, if a run of it is."""

    program: Program
    sizes: Mapping[str, Size] | None
    inputs: Inputs


def export_model(
    model: Model, notation: str, size: Size | None = None, stream: bytes | None = None
) -> dict[str, bytes]:
    """Every program of a model in another notation, by file name, with a manifest (SPEC EXP-1).

    notation  "tosa" or "onnx";  size  height and width of the picture that shapes are fixed to (TOSA needs it)
    stream    a stream of the model: shapes are fixed to it, and its tensors come along as `.npy`, inputs and what a run
              must give, of the programs whose inputs a decode reports.
    Raises ExportError, ModelError, StreamError.
    """
    codec = codec_of(model)
    taps: dict[str, np.ndarray] = {}
    sizes = _sizes(codec, Geometry(size[1], size[0], 3)) if size is not None else None
    if stream is not None:
        codec.decode(stream, taps.__setitem__)
        sizes = _sizes(codec, parse(stream).geometry)
    wanted = [
        Wanted(program, sizes[program.name] if sizes else None, _reported(program, taps)) for program in codec.programs
    ]
    return _written(wanted, notation, {"family": model.family, "identity": model.identity})


def export_video(content: bytes, notation: str) -> dict[str, bytes]:
    """The program of an implicit video in another notation, with the tensors of its first frame (SPEC EXP-1).

    content  a whole `.rcv` stream, whose SHA-256 is the identity;  notation  as for `export_model`.
    Raises ExportError, StreamError.
    """
    program = InrVideo.from_bytes(content).program
    first = {FRAME: np.zeros((1, 1, 1), program.input.format.dtype)}
    about = {"family": "implicit-video", "identity": hashlib.sha256(content).hexdigest()}
    return _written([Wanted(program, {FRAME: (1, 1)}, first)], notation, about)


def _written(wanted: Iterable[Wanted], notation: str, about: Mapping[str, str]) -> dict[str, bytes]:
    """The files of some programs, and the manifest that describes them."""
    files: dict[str, bytes] = {}
    described = {}
    for one in wanted:
        written = NOTATIONS[notation](one.program, one.sizes, about)
        files[written.file] = written.content
        tensors = _tensors(one.program, one.inputs, written) if one.inputs else {}
        files |= tensors
        described[one.program.name] = {
            "file": written.file,
            "sha256": hashlib.sha256(written.content).hexdigest(),
            "axes": written.axes,
            **written.facts,
            "tensors": sorted(tensors),
        }
    manifest = {"schema": SCHEMA, "notation": notation, "model": about["identity"], "programs": described}
    files[MANIFEST] = json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n"
    return files


def _sizes(codec: Codec, geometry: Geometry) -> dict[str, dict[str, Size]]:
    """Sizes of the inputs of each program for a picture."""
    z, y = codec.latent_sizes(geometry)
    of_program = {"h_s": z} if z else {}
    if isinstance(codec, Autoregressive):
        of_program |= {"context": (codec.context_kernel, codec.context_kernel), "entropy_parameters": ONE}
    return {
        program.name: {tensor.name: of_program.get(program.name, y) for tensor in program.inputs}
        for program in codec.programs
    }


def _reported(program: Program, taps: Inputs) -> dict[str, np.ndarray]:
    """The inputs of a program among the tensors of a decode; those of a second pass where there are two.

    Nothing where one is missing, as for programs that a serial scan runs at each position.
    """
    prefix = "" if program.name in ("h_s", "g_s") else "others."
    names = {tensor.name: f"{prefix}{tensor.name}" for tensor in program.inputs}
    return {name: taps[tensor] for name, tensor in names.items()} if set(names.values()) <= taps.keys() else {}


def _tensors(program: Program, inputs: Inputs, written: Written) -> dict[str, bytes]:
    """Inputs of a program and the golden outputs, as `.npy` files in the layout of the notation."""
    found = {}
    for name, values in {**inputs, **program.run_all(inputs)}.items():
        batch = values[None].transpose(["NCHW".index(axis) for axis in written.axes])
        buffer = io.BytesIO()
        np.save(buffer, np.ascontiguousarray(batch).astype(written.dtypes[name]))
        found[f"{program.name}.{name}.npy"] = buffer.getvalue()
    return found
