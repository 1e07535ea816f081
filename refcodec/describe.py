"""What a model or a stream is, as plain values for JSON and as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from math import prod
from typing import Any

from refcodec.codecs.inr.architecture import Architecture, Shuffled
from refcodec.codecs.inr.limits import load
from refcodec.codecs.inr.stream import read_layout, tensor_sizes
from refcodec.codecs.stream import Stream
from refcodec.program.model_file import Model
from refcodec.program.program import Program


def table(rows: Sequence[Sequence[object]], head: Sequence[str]) -> str:
    """Columns of text, numbers to the right."""
    cells = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    numeric = [all(isinstance(row[column], (int, float)) for row in rows) for column in range(len(head))]
    lines = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in cells
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def describe_program(program: Program) -> list[dict[str, Any]]:
    """One entry per operation: formats, constants, the reach of what it gives, the largest values on the way."""
    reaches = program.reaches()
    return [
        {
            "operation": op.name,
            "kind": op.kind,
            "reads": " ".join(op.reads),
            "input_format": " ".join(str(program.tensor(name).format) for name in op.reads),
            "output_format": str(program.tensor(op.target).format),
            "reach": list(reaches[op.target].joint()),
            "intermediates": op.intermediates([reaches[name] for name in op.reads]),
            "channels": program.tensor(op.target).channels,
            "constants": sum(getattr(op, name).size for name in op.constants),
        }
        for op in program.operations
    ]


def describe_model(model: Model) -> dict[str, Any]:
    """Identity, settings, provenance and programs of a model."""
    return {
        "family": model.family,
        "identity": model.identity,
        "settings": dict(model.settings),
        "can_encode": bool(model.encoder),
        "provenance": dict(model.provenance),
        "programs": {name: describe_program(program) for name, program in sorted(model.programs.items())},
        "tables": {name: int(array.size) for name, array in sorted(model.tables.items())},
    }


def describe_stream(stream: Stream) -> dict[str, Any]:
    """Geometry, model identity and section sizes of a stream, in order (SPEC STREAM-4)."""
    return {
        "width": stream.geometry.width,
        "height": stream.geometry.height,
        "channels": stream.geometry.channels,
        "model": stream.identity,
        "bytes": stream.size,
        "sections": {tag: len(payload) for tag, payload in stream.payloads.items()},
    }


def describe_video(content: bytes) -> dict[str, Any]:
    """Network, formats and sizes of the stream of an implicit video, every byte of it counted (SPEC RCV-1).

    Raises StreamError.
    """
    layout, tensors = read_layout(content), tensor_sizes(content)
    architecture = layout.architecture
    asked = load(architecture.nodes())
    return {
        "kind": "implicit video",
        "frames": architecture.frames,
        "width": architecture.width,
        "height": architecture.height,
        "bytes": len(content),
        "bits_per_pixel": 8 * len(content) / (architecture.frames * architecture.width * architecture.height),
        "parameters": asked.parameters,
        "multiplications": asked.multiplications,
        "activations": str(layout.activations),
        "network": network_text(architecture),
        "architecture": {"kind": type(architecture).__name__.lower(), **asdict(architecture)},
        "description_bytes": len(content) - sum(tensor.step_bytes + tensor.value_bytes for tensor in tensors),
        "tensors": [asdict(tensor) for tensor in tensors],
    }


def network_text(architecture: Architecture) -> str:
    """An architecture in a line."""
    grids = " + ".join(f"{level.tensors}x{level.channels}" for level in architecture.grids)
    source = f"grids {grids}" if grids else "sines and cosines"
    rows, columns = architecture.base
    if isinstance(architecture, Shuffled):
        parts = [f"{source} at {rows}x{columns}", *(f"1x1 -> {width}" for width in architecture.stem)]
        parts += [f"{b.kernel}x{b.kernel} -> {b.channels} x{b.stride}" for b in architecture.blocks]
    else:
        kernel = architecture.stem_kernel
        parts = [f"{source} at {rows}x{columns}", f"{kernel}x{kernel} -> {architecture.channels}"]
        parts += [f"x{s.factor}, depth {s.depth} -> {s.channels}" for s in architecture.stages]
    return "; ".join([*parts, architecture.head])


def video_text(description: dict[str, Any]) -> str:
    """The description of an implicit video for people."""
    head = ["tensor", "shape", "bits", "steps", "step bytes", "coder", "bytes", "bits per integer"]
    rows = []
    for tensor in description["tensors"]:
        count = prod(tensor["shape"])
        coder = tensor["coder"] + (" trellis" if tensor["dependent"] else "")
        shape = "x".join(map(str, tensor["shape"]))
        each = round(8 * tensor["value_bytes"] / count, 3)
        rows.append(
            [
                tensor["name"], shape, tensor["bits"], tensor["steps"], tensor["step_bytes"],
                coder, tensor["value_bytes"], each,
            ]
        )  # fmt: skip
    size = f"{description['width']}x{description['height']}"
    return "\n".join(
        [
            f"{description['frames']} frames of {size}, {description['bytes']} bytes "
            f"({description['bits_per_pixel']:.5f} bit per pixel), activations {description['activations']}",
            f"{description['parameters']} parameters, {description['multiplications']} multiplications for a frame",
            description["network"],
            "",
            table(rows, head),
            f"description, checksums: {description['description_bytes']} bytes",
        ]
    )


def model_text(description: dict[str, Any]) -> str:
    """A model's description for people."""
    lines = [
        f"{description['family']}  identity {description['identity']}",
        "  ".join(f"{key} {value}" for key, value in description["settings"].items())
        + ("  with encoder" if description["can_encode"] else "  decoder only"),
    ]
    lines += [f"{key}: {value}" for key, value in description["provenance"].items()]
    for name, operations in description["programs"].items():
        head = ["operation", "kind", "reads", "input_format", "output_format", "reach", "channels", "constants"]
        rows = [[op[key] if key != "reach" else "{} .. {}".format(*op[key]) for key in head] for op in operations]
        lines += ["", name, table(rows, head)]
    return "\n".join(lines)


def stream_text(description: dict[str, Any]) -> str:
    """A stream's description for people."""
    pixels = description["width"] * description["height"]
    colour = {1: "grey", 3: "RGB"}[description["channels"]]
    sections = ", ".join(f"{tag} {size}" for tag, size in description["sections"].items())
    return (
        f"{description['width']}x{description['height']} {colour}, {description['bytes']} bytes "
        f"({8 * description['bytes'] / pixels:.4f} bit per pixel): {sections}\nmodel {description['model']}"
    )
