"""The audit as plain values for JSON, from which the text, the page and the plot are made (SPEC AUD-1 to AUD-3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from refcodec.audit.bounds import (
    Layer,
    audit_program,
    channel_bits,
    checked_bits,
    exactness,
    needed_bits,
    partial_bits,
    worst,
)
from refcodec.audit.observe import Clipped, Observer, Record, Seen
from refcodec.audit.overflow import Overflow
from refcodec.audit.scales import layer_scales
from refcodec.audit.subject import Subject
from refcodec.audit.sums import HI, LO, SumBounds, signed_bits
from refcodec.audit.tables import table_error
from refcodec.audit.widths import widths
from refcodec.audit.witness import Witness, witness
from refcodec.program.program import Program
from refcodec.program.reach import Reach

SCHEMA = "refcodec-audit/1"
Document = dict[str, Any]


def _plain(found: Any) -> Document:
    """The fields of a dataclass, lists for tuples."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(found).items()}


def witness_document(found: Witness) -> Document:
    """A witness; every input as its shape and its samples in the order channel, row, column."""
    return {
        "quantity": found.quantity,
        "channel": found.channel,
        "phase": found.phase,
        "end": found.end,
        "row": found.row,
        "column": found.column,
        "value": found.value,
        "inputs": [{"shape": list(x.shape), "samples": x.ravel().tolist()} for x in found.inputs],
    }


def _sum_document(layer: Layer, bounds: SumBounds) -> Document:
    channel, phase, end = worst(bounds)
    found = witness(layer.operation, layer.reaches, bounds.quantity, channel, phase, end)
    needed = needed_bits(bounds)
    return {
        "quantity": bounds.quantity,
        "lo": int(bounds.lo.min()),
        "hi": int(bounds.hi.max()),
        "needed_bits": needed,
        "partial_bits": partial_bits(bounds),
        "checked_bits": checked_bits(bounds),
        "declared_bits": bounds.declared,
        "headroom_bits": bounds.declared - needed,
        "exact": _plain(exactness(bounds)),
        "channel_bits": channel_bits(bounds),
        "phases": [
            {"lo": lo, "hi": hi} for lo, hi in zip(bounds.end(LO).tolist(), bounds.end(HI).tolist(), strict=True)
        ],
        "witness": witness_document(found),
    }


def _ends(reach: Reach) -> Document:
    return {"lo": reach.lo.tolist(), "hi": reach.hi.tolist()}


def _clipping_document(layer: Layer) -> Document | None:
    if layer.unclipped is None:
        return None
    below, above = layer.saturates
    return {
        **_ends(layer.unclipped),
        "bits": signed_bits(*layer.unclipped.joint()),
        "below": np.flatnonzero(below).tolist(),
        "above": np.flatnonzero(above).tolist(),
    }


def layer_document(layer: Layer, stated: bool) -> Document:
    """One operation.

    stated  whether multipliers are what they stand for, as in a stream whose steps are binary16 (SPEC INR-4).
    """
    op, table = layer.operation, table_error(layer.operation, layer.sources[0], layer.target)
    return {
        "operation": op.name,
        "kind": op.kind,
        "reads": list(op.reads),
        "source_formats": [str(source.format) for source in layer.sources],
        "target": layer.target.name,
        "target_format": str(layer.target.format),
        "channels": layer.target.channels,
        "reach": _ends(layer.reach),
        "sums": [_sum_document(layer, bounds) for bounds in layer.sums],
        "intermediates": {
            name: {"magnitude": value, "bits": value.bit_length() + 1} for name, value in layer.intermediates.items()
        },
        "unclipped": _clipping_document(layer),
        "divisor": _ends(layer.divisors) if layer.divisors else None,
        "scales": [
            {**_plain(scale), **({"resolution": 0.0, "error": 0.0} if stated else {})} for scale in layer_scales(layer)
        ],
        "unused": _plain(layer.unused) if layer.unused else None,
        "table": _plain(table) if table else None,
    }


def constants_count(layers: Sequence[Layer]) -> int:
    """The integers of all constants of a program."""
    return sum(getattr(layer.operation, name).size for layer in layers for name in layer.operation.constants)


def audit(subject: Subject) -> Document:
    """Everything that is proven of a model.

    Its parts are `programs`, by name, each with its layers and its widths, and `tables`.
    """
    programs = {}
    for name, program in subject.programs.items():
        layers = audit_program(program)
        programs[name] = {
            "constants": constants_count(layers),
            "layers": [layer_document(layer, subject.video is not None) for layer in layers],
            "widths": [_plain(row) for row in widths(layers)],
        }
    return {
        "schema": SCHEMA,
        "model": subject.name,
        "kind": subject.kind,
        "identity": subject.model.identity if subject.model else None,
        "fits": True,
        "programs": programs,
        "tables": {name: _plain(found) for name, found in subject.tables.items()},
        "observed": None,
    }


def _seen_document(seen: Seen, program: Program, name: str, reach: Reach) -> Document:
    tensor, codes = program.tensor(name), seen.codes
    return {
        "tensor": name,
        "format": str(tensor.format),
        "samples": seen.samples,
        "lo": seen.lo.tolist(),
        "hi": seen.hi.tolist(),
        "proven": _ends(reach),
        "dead": np.flatnonzero(seen.lo == seen.hi).tolist(),
        "codes": None if codes is None else codes.size,
        "unused_codes": None if codes is None else codes.size - int(np.count_nonzero(codes)),
    }


def _clipped_document(name: str, clipped: Clipped, record: Record) -> Document:
    divisor = record.divisors.get(name)
    return {
        "operation": name,
        "samples": clipped.samples,
        "below": clipped.below.tolist(),
        "above": clipped.above.tolist(),
        "unclipped": {"lo": clipped.lo, "hi": clipped.hi, "bits": signed_bits(clipped.lo, clipped.hi)},
        "divisor": {"lo": divisor.lo, "hi": divisor.hi} if divisor else None,
    }


def observed_document(subject: Subject, observer: Observer) -> Document:
    """What tensors took on data, by program, beside what is proven of them (SPEC AUD-4)."""
    found = {}
    for name, record in observer.records.items():
        program = subject.programs[name]
        reaches = program.reaches()
        found[name] = {
            "tensors": [
                _seen_document(record.seen[tensor.name], program, tensor.name, reaches[tensor.name])
                for tensor in program.tensors
                if tensor.name in record.seen
            ],
            "saturations": [_clipped_document(key, value, record) for key, value in record.clipped.items()],
        }
    return found


def overflow_document(name: str, found: Overflow) -> Document:
    """Why a model is refused (SPEC AUD-2)."""
    refusal = found.refusal
    return {
        "schema": SCHEMA,
        "model": name,
        "fits": False,
        "code": "RC-MODEL-OVERFLOW",
        "program": found.program,
        "operation": found.operation,
        "kind": found.kind,
        "message": found.message,
        "refusal": refusal
        and {
            "declared_bits": refusal.declared,
            "bound": refusal.checked,
            "bound_bits": refusal.checked_bits,
            "needed_bits": refusal.needed_bits,
            "overflows": refusal.overflows,
            "scope": refusal.scope,
            "witness": witness_document(refusal.found),
        },
    }
