"""ONNX models as others see them: the two runtimes that judge an export, and what a model is made of.

Nothing of refcodec is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", exc_type=ImportError)
pytest.importorskip("onnx.reference", exc_type=ImportError)
onnxruntime = pytest.importorskip("onnxruntime", exc_type=ImportError)

Run = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]
KINDS = ("BOOL", "UINT8", "INT8", "UINT16", "INT16", "INT32", "INT64")
INTEGERS = {onnx.TensorProto.DataType.Value(kind) for kind in KINDS}
SETTINGS = [(optimised, threads) for optimised in (False, True) for threads in (1, 2)]


def session(content: bytes, optimised: bool = True, threads: int = 1) -> Run:
    """onnxruntime with a model, its graph optimisations on or off."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL
    opened = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in opened.get_outputs()]
    return lambda inputs: dict(zip(names, opened.run(names, dict(inputs)), strict=True))


def reference(content: bytes) -> Run:
    """The reference implementation that comes with onnx, with a model."""
    evaluator = onnx.reference.ReferenceEvaluator(onnx.load_from_string(content))
    return lambda inputs: dict(zip(evaluator.output_names, evaluator.run(None, dict(inputs)), strict=True))


def load(content: bytes) -> Any:
    """The parsed model, checked in full."""
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    return model


def not_integer(content: bytes) -> list[str]:
    """Names of all tensors, constants and ports included, that hold anything but integers and truth values."""
    graph = onnx.shape_inference.infer_shapes(load(content), strict_mode=True, data_prop=True).graph
    kinds = {item.name: item.type.tensor_type.elem_type for item in (*graph.input, *graph.output, *graph.value_info)}
    kinds |= {item.name: item.data_type for item in graph.initializer}
    written = [name for node in graph.node for name in node.output]
    return sorted(name for name in {*kinds, *written} if kinds.get(name) not in INTEGERS)


def operators(content: bytes) -> list[str]:
    """The operators of a model in the order of its nodes."""
    return [node.op_type for node in load(content).graph.node]
