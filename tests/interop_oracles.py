"""Third-party runtimes as oracles: one 1x1 convolution, or one rounding, built as a model and run.

Nothing of refcodec is used. A runtime that cannot be imported skips the test that asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

MISSING = "{} is not installed; the extra `interop` brings it"
ONNX_OPSET = 13
IR_VERSION = 8  # the oldest that holds this opset, so that older runtimes read it


@dataclass(frozen=True, slots=True, eq=False)
class Pointwise:
    """A 1x1 convolution of one input channel over a row of pixels.

    x (P,), weight (O,), bias (O,): its input, int8, uint8 or int16, its weights, int8, and its biases, int32 or int64.
    scale (O,) binary32: of the weights. The input's scale is 1.
    """

    x: np.ndarray
    x_zero_point: int
    weight: np.ndarray
    bias: np.ndarray
    scale: np.ndarray
    y_scale: float
    y_zero_point: int


def third_party(module: str, package: str) -> Any:
    """A module of a package of the extra `interop`; skips the test where it cannot be imported."""
    return pytest.importorskip(module, reason=MISSING.format(package), exc_type=ImportError)


# --- LiteRT


def litert_tensor(schema: Any, array: np.ndarray, buffer: int, scale: np.ndarray, zero_point: int) -> Any:
    """The description of a quantised tensor; its channels, if it has several scales, are its first axis."""
    kinds = {np.int8: "INT8", np.int16: "INT16", np.int32: "INT32", np.int64: "INT64"}
    tensor, quantization = schema.TensorT(), schema.QuantizationParametersT()
    quantization.scale = np.asarray(scale, np.float32)
    quantization.zeroPoint = np.full(quantization.scale.size, zero_point, np.int64)
    tensor.name, tensor.shape, tensor.buffer = f"tensor {buffer}", array.shape, buffer
    tensor.type = getattr(schema.TensorType, kinds[array.dtype.type])
    tensor.quantization = quantization
    return tensor


def litert_convolution(schema: Any) -> Any:
    """The operator: tensors 0, 1 and 2 are convolved into tensor 3, strides 1, no padding."""
    operator, options = schema.OperatorT(), schema.Conv2DOptionsT()
    options.padding = schema.Padding.VALID
    options.strideW = options.strideH = options.dilationWFactor = options.dilationHFactor = 1
    operator.inputs, operator.outputs = [0, 1, 2], [3]
    operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.Conv2DOptions, options
    return operator


def litert_buffer(schema: Any, array: np.ndarray | None) -> Any:
    """The bytes of a constant tensor; of one that is computed, none."""
    buffer = schema.BufferT()
    if array is not None:
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
    return buffer


def litert_model(layer: Pointwise) -> bytes:
    """The file of a model that consists of the layer."""
    schema = third_party("ai_edge_litert.schema_py_generated", "ai-edge-litert")
    flatbuffers = third_party("flatbuffers", "ai-edge-litert")
    x, weight = layer.x.reshape(1, 1, -1, 1), layer.weight.reshape(-1, 1, 1, 1)
    y = np.broadcast_to(layer.x[:1], (1, 1, x.size, weight.size))  # its shape and dtype
    code, graph, model = schema.OperatorCodeT(), schema.SubGraphT(), schema.ModelT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CONV_2D
    code.version = 5
    graph.tensors = [
        litert_tensor(schema, x, 0, np.ones(1), layer.x_zero_point),
        litert_tensor(schema, weight, 1, layer.scale, 0),
        litert_tensor(schema, layer.bias, 2, layer.scale, 0),
        litert_tensor(schema, y, 0, np.array([layer.y_scale]), layer.y_zero_point),
    ]
    graph.inputs, graph.outputs, graph.operators = [0], [3], [litert_convolution(schema)]
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = [litert_buffer(schema, array) for array in (None, weight, layer.bias)]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def litert(layer: Pointwise, resolver: str) -> np.ndarray:
    """The layer's outputs (O, P) by LiteRT.

    resolver  `AUTO` for its default kernels, `BUILTIN_REF` for its reference ones,
              `BUILTIN_WITHOUT_DEFAULT_DELEGATES` for its optimised ones without XNNPACK.
    """
    runtime = third_party("ai_edge_litert.interpreter", "ai-edge-litert")
    interpreter = runtime.Interpreter(
        model_content=litert_model(layer),
        experimental_op_resolver_type=runtime.OpResolverType[resolver],
        num_threads=1,
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], layer.x.reshape(1, 1, -1, 1))
    interpreter.invoke()
    found: np.ndarray = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return found[0, 0].T


# --- ONNX


def qlinear_model(layer: Pointwise) -> Any:
    """The layer as one QLinearConv."""
    onnx = third_party("onnx", "onnx")
    constants = {
        "x_scale": np.ones((), np.float32),
        "x_zero_point": np.array(layer.x_zero_point, layer.x.dtype),
        "weight": layer.weight.reshape(-1, 1, 1, 1),
        "weight_scale": layer.scale,
        "weight_zero_point": np.zeros(layer.weight.shape, layer.weight.dtype),
        "y_scale": np.array(layer.y_scale, np.float32),
        "y_zero_point": np.array(layer.y_zero_point, layer.x.dtype),
        "bias": layer.bias,
    }
    kind = onnx.helper.np_dtype_to_tensor_dtype(layer.x.dtype)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("QLinearConv", ["x", *constants], ["y"])],
        "pointwise",
        [onnx.helper.make_tensor_value_info("x", kind, [1, 1, 1, layer.x.size])],
        [onnx.helper.make_tensor_value_info("y", kind, [1, layer.weight.size, 1, layer.x.size])],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", ONNX_OPSET)], ir_version=IR_VERSION
    )


def run_onnxruntime(model: Any, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """The only output of a model by onnxruntime's processor kernels."""
    runtime = third_party("onnxruntime", "onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(None, inputs)[0]
    return found


def onnxruntime(layer: Pointwise) -> np.ndarray:
    """The layer's outputs (O, P) by onnxruntime's QLinearConv."""
    return run_onnxruntime(qlinear_model(layer), {"x": layer.x.reshape(1, 1, 1, -1)})[0, :, 0]


def onnx_reference(layer: Pointwise) -> np.ndarray:
    """The layer's outputs (O, P) by the evaluator that comes with the onnx package."""
    evaluator = third_party("onnx.reference", "onnx").ReferenceEvaluator(qlinear_model(layer))
    found: np.ndarray = evaluator.run(None, {"x": layer.x.reshape(1, 1, 1, -1)})[0]
    return found[0, :, 0]


def onnxruntime_rounding(operator: str, accumulator: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Accumulators (O, P) int64 times scales (O, 1), rounded by ONNX `Round` or `Floor`, all in binary64."""
    onnx = third_party("onnx", "onnx")
    double, integer = onnx.TensorProto.DOUBLE, onnx.TensorProto.INT64
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Cast", ["accumulator"], ["exact"], to=double),
            onnx.helper.make_node("Mul", ["exact", "scale"], ["scaled"]),
            onnx.helper.make_node(operator, ["scaled"], ["rounded"]),
            onnx.helper.make_node("Cast", ["rounded"], ["y"], to=integer),
        ],
        "rounding",
        [
            onnx.helper.make_tensor_value_info("accumulator", integer, accumulator.shape),
            onnx.helper.make_tensor_value_info("scale", double, scale.shape),
        ],
        [onnx.helper.make_tensor_value_info("y", integer, accumulator.shape)],
    )
    opset = onnx.helper.make_opsetid("", ONNX_OPSET)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
    return run_onnxruntime(model, {"accumulator": accumulator, "scale": scale})
