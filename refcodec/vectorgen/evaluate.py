"""What the golden model makes of a case, on the compiled kernels or by the plain definitions (SPEC VEC-3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refcodec import fixed
from refcodec.codecs.codec import Codec
from refcodec.codecs.inr.codec import InrVideo
from refcodec.entropy.rans import decode as rans_decode
from refcodec.entropy.rans import encode as rans_encode
from refcodec.entropy.tables import FrequencyTables, quantise_frequencies
from refcodec.errors import VectorError
from refcodec.layers.clip import relu
from refcodec.program.operations import KINDS, Convolution, Requantise, ScaleIndex, Tensor, TransposedConvolution
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
    return {"row": quantise_frequencies(x["counts"])}


def _tables(x: Arrays) -> FrequencyTables:
    return FrequencyTables(*(x[name].astype(np.int32) for name in ("values", "starts", "offsets")))


def _rans_encode(engine: Engine, p: Mapping[str, Any], x: Arrays) -> Results:
    return {"payload": np.frombuffer(rans_encode(x["symbols"], x["indexes"], _tables(x)), np.uint8)}


def _rans_decode(engine: Engine, p: Mapping[str, Any], x: Arrays) -> Results:
    return {"symbols": rans_decode(x["payload"].astype(np.uint8).tobytes(), x["indexes"], _tables(x))}


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
