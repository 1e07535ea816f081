"""What the golden model makes of a case, on the compiled kernels or by the plain definitions (SPEC VEC-3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refcodec import fixed
from refcodec.codecs.codec import Codec
from refcodec.codecs.family import codec_of
from refcodec.codecs.inr.codec import InrVideo
from refcodec.entropy.rans import WORD_BYTES
from refcodec.entropy.rans import decode as rans_decode
from refcodec.entropy.rans import encode as rans_encode
from refcodec.entropy.tables import FrequencyTables, quantise_frequencies
from refcodec.entropy.weight_coding import decode_integers, decode_integers_plain
from refcodec.errors import RangeError, StreamError, VectorError
from refcodec.layers.clip import relu
from refcodec.program.model_file import model_from_bytes
from refcodec.program.operations import KINDS, Convolution, Requantise, ScaleIndex, Tensor, TransposedConvolution
from refcodec.program.patches import Rectangle, run_patch
from refcodec.program.program import Program
from refcodec.vectorgen.operation_case import operation_program, read_format

Arrays = Mapping[str, np.ndarray]
Results = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Engine:
    """How to compute: `plain` takes the definitions;  codecs  the decoders that stream cases name."""

    plain: bool
    codecs: Mapping[str, Codec]


def _relu(engine: Engine, p: Mapping[str, Any], x: Arrays) -> Results:
    if engine.plain:
        return {"y": np.array([fixed.relu(v) for v in x["x"].ravel().tolist()]).reshape(x["x"].shape)}
    return {"y": relu(x["x"])}


def _layer(engine: Engine, p: Mapping[str, Any], x: Arrays) -> Results:
    """A convolution, and what follows it, as a program of one layer."""
    program = layer_program(p, x)
    results: Results = {}
    (program.run_plain if engine.plain else program.run)(x["x"], results.__setitem__)
    del results["x"]
    return results


def layer_program(p: Mapping[str, Any], x: Arrays) -> Program:
    """The program that a layer case describes by its parameters and constants."""
    weight, fmt = x["weight"], read_format(p["weight_format"])
    tensors = [
        Tensor("x", weight.shape[1], read_format(p["source"])),
        Tensor("accumulator", weight.shape[0], read_format(p["accumulator"])),
    ]
    common = ("layer", "x", "accumulator", fmt, p["stride"], p["padding"])
    operations: list[Any] = [
        TransposedConvolution(*common, p["output_padding"], weight, x["bias"])
        if p["transposed"]
        else Convolution(*common, weight, x["bias"])
    ]
    if "multiplier" in x:
        operations.append(Requantise("y", "accumulator", "y", x["multiplier"], x["shift"]))
    elif "thresholds" in x:
        operations.append(ScaleIndex("y", "accumulator", "y", x["thresholds"]))
    if len(operations) == 2:
        tensors.append(Tensor("y", weight.shape[0], read_format(p["target"])))
    return Program("layer", tuple(tensors), tuple(operations))


def _frequencies(engine: Engine, p: Mapping[str, Any], x: Arrays) -> Results:
    row = quantise_frequencies(x["counts"])  # which also refuses counts outside the domain
    return {"row": np.array(fixed.quantise_frequencies(x["counts"].tolist())) if engine.plain else row}


def _tables(x: Arrays) -> FrequencyTables:
    return FrequencyTables(*(x[name].astype(np.int32) for name in ("values", "starts", "offsets")))


def _rows(tables: FrequencyTables) -> list[list[int]]:
    return [tables.row(index).tolist() for index in range(tables.rows)]


def _rans_encode(engine: Engine, p: Mapping[str, Any], x: Arrays) -> Results:
    tables = _tables(x)
    payload = rans_encode(x["symbols"], x["indexes"], tables)  # which also refuses symbols outside the domain
    if engine.plain:
        symbols, indexes = x["symbols"].ravel().tolist(), x["indexes"].ravel().tolist()
        words = fixed.rans_encode(symbols, indexes, _rows(tables), tables.offsets.tolist())
        payload = np.array(words, "<u4").tobytes()
    return {"payload": np.frombuffer(payload, np.uint8)}


def _rans_decode(engine: Engine, p: Mapping[str, Any], x: Arrays) -> Results:
    decode = rans_decode_plain if engine.plain else rans_decode
    return {"symbols": decode(x["payload"].astype(np.uint8).tobytes(), x["indexes"], _tables(x))}


# What a status of the definition is called (SPEC RANS-3).
RANS_CODES = {1: "RC-STREAM-TRUNCATED", 2: "RC-STREAM-SYMBOL", 3: "RC-STREAM-RANS", 4: "RC-STREAM-TRAILING"}


def rans_decode_plain(payload: bytes, indexes: np.ndarray, tables: FrequencyTables) -> np.ndarray:
    """The definition of the entropy decoder on Python integers (SPEC RANS-2, RANS-3).

    indexes  any shape, integers, 0 .. tables.rows - 1.  Returns the symbols in that shape.  Raises RangeError,
    StreamError RC-STREAM-TRUNCATED, -SYMBOL, -RANS, -TRAILING.
    """
    if indexes.size and not 0 <= int(indexes.min()) <= int(indexes.max()) < tables.rows:
        raise RangeError(f"indexes: wanted 0 .. {tables.rows - 1}, got {indexes.min()} .. {indexes.max()}")
    words = np.frombuffer(payload[: len(payload) // WORD_BYTES * WORD_BYTES], "<u4").tolist()
    status, symbols = fixed.rans_decode(words, indexes.ravel().tolist(), _rows(tables), tables.offsets.tolist())
    if len(payload) % WORD_BYTES:
        status = 1
    if status:
        raise StreamError(RANS_CODES[status], f"the payload is refused after {len(symbols)} symbols", 0)
    return np.array(symbols, np.int64).reshape(indexes.shape)


def _stream(engine: Engine, p: Mapping[str, Any], x: Arrays) -> Results:
    if p["model"] not in engine.codecs:
        raise VectorError("RC-VECTOR-SUITE", f"the suite lacks the model {p['model']}")
    results: Results = {}
    content = x["stream"].astype(np.uint8).tobytes()
    results["picture"] = engine.codecs[p["model"]].decode(content, results.__setitem__)
    return results


def _video(engine: Engine, p: Mapping[str, Any], x: Arrays) -> Results:
    """A frame of an implicit video."""
    video = InrVideo.from_bytes(x["stream"].astype(np.uint8).tobytes())
    results: Results = {}
    decode = video.decode_plain if engine.plain else video.decode
    results["picture"] = decode(p["frame"], results.__setitem__)
    return results


def _integers(engine: Engine, p: Mapping[str, Any], x: Arrays) -> Results:
    """A payload of the weight coder (SPEC WC-1)."""
    payload, shape = x["payload"].astype(np.uint8).tobytes(), (p["outputs"], p["inputs"], p["taps"])
    decode = decode_integers_plain if engine.plain else decode_integers
    return {"integers": decode(payload, shape, p["dependent"])}


def _model(engine: Engine, p: Mapping[str, Any], x: Arrays) -> Results:
    """The identity of a model file that the decoder of its family takes (SPEC MODEL-3, FAM-1)."""
    model = model_from_bytes(x["file"].astype(np.uint8).tobytes())
    return {"identity": np.frombuffer(bytes.fromhex(codec_of(model).identity), np.uint8)}


def _patch(engine: Engine, p: Mapping[str, Any], x: Arrays) -> Results:
    """A rectangle of the result of one operation (SPEC PATCH-1)."""
    sides = {f"patch_{name}" for name in Rectangle._fields}
    program = operation_program(p["kind"], {key: p[key] for key in set(p) - {"kind", *sides}}, x)
    rectangle = Rectangle(*(p[f"patch_{name}"] for name in Rectangle._fields))
    return run_patch(program, {tensor.name: x[tensor.name] for tensor in program.inputs}, rectangle)


# Functions of the specification that no operation shows by itself.
FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        fixed.restoring_division,
        fixed.binary16,
        fixed.accumulator_bias,
        fixed.grid_entry,
        fixed.head_threshold,
        fixed.norm_constants,
        fixed.grey,
    )
}


def _function(engine: Engine, p: Mapping[str, Any], x: Arrays) -> Results:
    """A function of integers, for each row of arguments (SPEC VEC-4)."""
    found = [FUNCTIONS[p["name"]](*row) for row in x["arguments"].tolist()]
    return {"values": np.array(found).reshape(len(found), -1)}


def _random(engine: Engine, p: Mapping[str, Any], x: Arrays) -> Results:
    return {"y": np.array([fixed.counter_random(p["seed"], p["first"] + n) for n in range(p["count"])])}


def _operation(engine: Engine, kind: str, p: Mapping[str, Any], x: Arrays) -> Results:
    """Any operation of a program, by itself."""
    program = operation_program(kind, p, x)
    inputs = {tensor.name: x[tensor.name] for tensor in program.inputs}
    return (program.run_all_plain if engine.plain else program.run_all)(inputs)


OPERATIONS: dict[str, Callable[[Engine, Mapping[str, Any], Arrays], Results]] = {
    "relu": _relu,
    "layer": _layer,
    "frequencies": _frequencies,
    "rans_encode": _rans_encode,
    "rans_decode": _rans_decode,
    "stream": _stream,
    "video": _video,
    "counter_random": _random,
    "integers": _integers,
    "model": _model,
    "patch": _patch,
    "function": _function,
}


def evaluate(engine: Engine, operation: str, parameters: Mapping[str, Any], inputs: Arrays) -> Results:
    """Every tensor that the operation defines, by name.

    Raises VectorError RC-VECTOR-SUITE for an unknown operation, and whatever the operation rejects its input with.
    """
    if type(operation) is not str or operation not in {*OPERATIONS, *KINDS}:
        raise VectorError("RC-VECTOR-SUITE", f"unknown operation {operation!r}")
    try:
        if operation in OPERATIONS:
            return OPERATIONS[operation](engine, parameters, inputs)
        return _operation(engine, operation, parameters, inputs)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise VectorError("RC-VECTOR-SUITE", f"{operation}: parameters or inputs are malformed: {error!r}") from error
