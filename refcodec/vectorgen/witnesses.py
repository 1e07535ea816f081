"""Inputs for which the sums of shipped models take the ends that the audit proves (SPEC VEC-8, AUD-2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from refcodec.audit.sums import ACCUMULATOR, HI, LO, PRODUCT, axis_windows
from refcodec.audit.witness import Witness, witness
from refcodec.formats import IntFormat
from refcodec.models.shipped import shipped_path
from refcodec.program.model_file import load_model
from refcodec.program.operations import Convolution, InverseGdn, TransposedConvolution
from refcodec.program.program import Program
from refcodec.vectorgen.case import Case
from refcodec.vectorgen.defining_clauses import DEFINING
from refcodec.vectorgen.operation_case import operation_case

MODELS = {
    "relu": "balle2018-relu-n32-m64-lambda0130-w8a8",
    "gdn": "balle2018-gdn-n32-m64-lambda0130-w8a8",
}
FLAGS = ("Witness",)


def witness_cases() -> Iterator[Case]:
    """Both ends of every weighted sum, each at the channel and phase where it is farthest, and of every product.

    Every sum comes once more with an accumulator one bit too narrow, which a checker must refuse.
    """
    for label, name in MODELS.items():
        for program in load_model(shipped_path(name, ".rcm")).programs.values():
            for op in program.operations:
                if isinstance(op, Convolution | TransposedConvolution):
                    yield from (_sum_case(label, program, op, end) for end in (LO, HI))
                    yield _sum_case(label, program, op, HI, narrow=True)
                elif isinstance(op, InverseGdn):
                    yield from (_product_case(label, program, op, end) for end in (LO, HI))


def _farthest(found: list[Witness], end: str) -> Witness:
    return max(found, key=lambda w: w.value if end == HI else -w.value)


def _case(label: str, op: Any, formats: dict[str, IntFormat], found: Witness, clauses: tuple[str, ...]) -> Case:
    comment = f"{found.quantity} {found.value} of channel {found.channel}: no input of this layer leads beyond it"
    name, inputs = f"{label}-{op.name}-{found.end}", {"x": found.inputs[0]}
    made = operation_case(name, op, formats, inputs, clauses, comment, FLAGS)
    return replace(made, id=f"witnesses/{made.id.partition('/')[2]}")


def _narrow(label: str, op: Any, formats: dict[str, IntFormat], found: Witness) -> Case:
    fewer = {**formats, "accumulator": IntFormat(formats["accumulator"].bits - 1, True)}
    name, inputs = f"invalid-{label}-{op.name}", {"x": found.inputs[0]}
    comment = f"an accumulator of {fewer['accumulator'].bits} bits, one too few"
    made = operation_case(name, op, fewer, inputs, ("ACC-1",), comment, FLAGS, channels=1, error="RC-MODEL-OVERFLOW")
    return replace(made, id=f"witnesses/{made.id.partition('/')[2]}")


def _sum_case(
    label: str, program: Program, op: Convolution | TransposedConvolution, end: str, narrow: bool = False
) -> Case:
    """The layer with the one output channel that reaches farthest, in the narrowest accumulator that ACC-1 allows.

    narrow  one bit less, to be refused.
    """
    reach = program.reaches()[op.source]
    phases = len(axis_windows(op)) ** 2 if isinstance(op, TransposedConvolution) else 1
    pairs = [(o, phase) for o in range(len(op.bias)) for phase in range(phases)]
    found = _farthest([witness(op, [reach], ACCUMULATOR, *pair, end) for pair in pairs], end)
    own = slice(found.channel, found.channel + 1)
    single = replace(op, source="x", target="accumulator", weight=op.weight[own], bias=op.bias[own])
    source = program.tensor(op.source).format
    formats = {"x": source, "accumulator": IntFormat(single.bound(source).bit_length() + 1, True)}
    if narrow:
        return _narrow(label, single, formats, found)
    return _case(label, single, formats, found, (DEFINING[op.kind], "ACC-1"))


def _product_case(label: str, program: Program, op: InverseGdn, end: str) -> Case:
    """The layer as it is: its norm takes every channel."""
    reach = program.reaches()[op.source]
    found = _farthest([witness(op, [reach], PRODUCT, o, 0, end) for o in range(len(op.beta))], end)
    formats = {"x": program.tensor(op.source).format, "y": program.tensor(op.target).format}
    return _case(label, replace(op, source="x", target="y"), formats, found, (DEFINING[op.kind], "GDN-5"))
