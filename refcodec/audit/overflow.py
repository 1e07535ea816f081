"""Why a checker refuses a model whose sums can leave their widths, with an input that shows it (SPEC AUD-2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from refcodec.audit.bounds import worst
from refcodec.audit.sums import HI, NORM, SumBounds, norm_ends, signed_bits, sum_bounds
from refcodec.audit.witness import Witness, witness
from refcodec.errors import ModelError
from refcodec.layers.division import LIMIT as DIVISION_LIMIT
from refcodec.layers.isqrt import LIMIT as RADICAND_LIMIT
from refcodec.program.model_file import Parts, unchecked_programs
from refcodec.program.operations import (
    AnyOperation,
    Gdn,
    InverseGdn,
    LayerNorm,
    Tensor,
    TransposedConvolution,
    check_operation,
)
from refcodec.program.reach import Reach

REACH, FORMAT = "reach", "format"


@dataclass(frozen=True, slots=True, eq=False)
class Refusal:
    """The quantity whose declared width is too small.

    declared  its bits;  checked  the bound that the checker takes from the formats;  found  the input with the worst
    value;  scope  whether its samples lie in the proven reach of what is read, or only in its format
    overflows  whether the value leaves the width. Where it does not, the bound of magnitudes is larger than any sum,
    and the model is refused all the same.
    """

    declared: int
    checked: int
    found: Witness
    scope: str
    overflows: bool

    @property
    def checked_bits(self) -> int:
        """The width that a checker wants."""
        return self.checked.bit_length() + 1

    @property
    def needed_bits(self) -> int:
        """The width that the value needs."""
        return signed_bits(self.found.value, self.found.value)


@dataclass(frozen=True, slots=True, eq=False)
class Overflow:
    """The first operation of a model that is refused with RC-MODEL-OVERFLOW.

    message  of the checker;  refusal  None where what is too wide has no witness: a numerator, a sum of squares.
    """

    program: str
    operation: str
    kind: str
    message: str
    refusal: Refusal | None


def _worst(op: AnyOperation, reaches: Sequence[Reach], bounds: SumBounds) -> Witness:
    channel, phase, end = worst(bounds)
    return witness(op, reaches, bounds.quantity, channel, phase, end)


def _refusal(op: AnyOperation, sources: Sequence[Tensor], target: Tensor, reaches: Sequence[Reach]) -> Refusal | None:
    """What is too wide of an operation that the checker refuses; inputs that can occur are tried first."""
    if isinstance(op, TransposedConvolution) and not 0 <= op.output_padding < op.stride:
        return None  # the checker had not come to that yet
    formats = [Reach.whole(source.format, source.channels) for source in sources]
    refused = [b for b in sum_bounds(op, sources, target, formats) if b.checked >= 1 << b.declared - 1]
    if not refused:
        return _derived(op, formats[0])
    wide = refused[0]
    (narrow,) = (b for b in sum_bounds(op, sources, target, reaches) if b.quantity == wide.quantity)
    found, scope = _worst(op, reaches, narrow), REACH
    if signed_bits(found.value, found.value) <= wide.declared:
        found, scope = _worst(op, formats, wide), FORMAT
    overflows = signed_bits(found.value, found.value) > wide.declared
    return Refusal(wide.declared, wide.checked, found, scope, overflows)


def _derived(op: AnyOperation, reach: Reach) -> Refusal | None:
    """What follows from the largest norm or spread and is too wide: a radicand or a denominator.

    reach  of samples of one format.
    """
    if isinstance(op, LayerNorm):
        spread = _largest_spread(op, reach)
        return _beyond(spread) if spread.value >= RADICAND_LIMIT else None
    if not isinstance(op, Gdn | InverseGdn):
        return None
    norms = norm_ends(op.norm, reach)[1]
    norm = witness(op, [reach], NORM, norms.index(max(norms)))
    if op.squared and norm.value << op.norm_shift >= RADICAND_LIMIT:
        return _beyond(replace(norm, quantity="radicand", value=norm.value << op.norm_shift))
    denominator = op.norm.divisor(norm.value) << op.fraction if isinstance(op, Gdn) else 0
    if 2 * denominator >= DIVISION_LIMIT:
        return _beyond(replace(norm, quantity="denominator", value=denominator))
    return None


def _largest_spread(op: LayerNorm, reach: Reach) -> Witness:
    """Half of the channels at either end: no sample has a larger radicand (SPEC LN-2)."""
    channels = len(op.scale)
    x = np.where(np.arange(channels) < channels // 2, reach.lo, reach.hi)
    value = op.spread.largest(channels, int(reach.hi[0] - reach.lo[0]))
    return Witness(op.name, "radicand", (x[:, None, None],), 0, 0, HI, 0, 0, value)


def _beyond(found: Witness) -> Refusal:
    """A value that leaves the 62 bits, and one for the sign, that its clause allows."""
    return Refusal(RADICAND_LIMIT.bit_length(), found.value, found, FORMAT, True)


def _program_overflow(name: str, parts: Parts) -> Overflow | None:
    tensors, operations = parts
    known = {tensor.name: tensor for tensor in tensors}
    reaches = {tensor.name: Reach.whole(tensor.format, tensor.channels) for tensor in tensors}
    for op in operations:
        if not known.keys() >= {*op.reads, op.target}:
            return None
        sources, target = [known[read] for read in op.reads], known[op.target]
        try:
            check_operation(op, sources, target)
        except ModelError as error:
            if error.code != "RC-MODEL-OVERFLOW":
                return None
            refusal = _refusal(op, sources, target, [reaches[read] for read in op.reads])
            return Overflow(name, op.name, op.kind, error.message, refusal)
        reaches[op.target] = op.reach([reaches[read] for read in op.reads], target)
    return None


def find_overflow(content: bytes, name: str = "model") -> Overflow | None:
    """The overflow of a model file that is refused with RC-MODEL-OVERFLOW; None where there is another reason."""
    for program, parts in unchecked_programs(content, name).items():
        found = _program_overflow(program, parts)
        if found:
            return found
    return None
