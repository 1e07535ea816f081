"""What a designer of hardware copies into parameters: one row for each layer with its requantisation (SPEC AUD-3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from refcodec.audit.bounds import Layer, needed_bits, partial_bits
from refcodec.audit.scales import Scales, layer_scales
from refcodec.audit.sums import ACCUMULATOR, WeightedSum, shaped_weight, signed_bits
from refcodec.program.operations import Gdn, InverseGdn, LeakyRequantise, Requantise

Format = str


@dataclass(frozen=True, slots=True)
class Widths:
    """The formats and widths of one layer, None where it has none (SPEC AUD-3).

    layer  names of the operation and of the requantisation that it alone feeds
    weight, bias  formats that the constants are held in and that biases need;  product  bits of one weighted sample
    accumulator  declared bits;  needed  bits of the proven interval;  partial  of every partial sum
    multiplier  bits of the largest multiplier, without a sign;  shifts  smallest and largest
    scaled  bits of the product with the multiplier and of its rounding constant's addition
    others  bits of every other intermediate by name.
    """

    layer: str
    kind: str
    sources: tuple[Format, ...]
    weight: Format | None
    bias: int | None
    product: int | None
    accumulator: int | None
    needed: int | None
    partial: int | None
    multiplier: int | None
    shifts: tuple[int, int] | None
    scaled: int | None
    target: Format
    others: dict[str, int]


def _magnitude_bits(magnitude: int) -> int:
    """Two's complement bits of plus and minus a magnitude."""
    return magnitude.bit_length() + 1


def _product_bits(layer: Layer) -> int:
    """Of the largest and the smallest product of a weight and a sample that it can meet."""
    op, (reach,) = layer.operation, layer.reaches
    weight = shaped_weight(op)  # type: ignore[arg-type]
    corners = [w * v for w in (int(weight.min()), int(weight.max())) for v in reach.with_zero().joint()]
    return signed_bits(min(corners), max(corners))


def _scale_columns(scales: Sequence[Scales]) -> tuple[int | None, tuple[int, int] | None]:
    if not scales:
        return None, None
    shifts = [shift for scale in scales for shift in scale.shifts]
    return max(scale.bits for scale in scales), (min(shifts), max(shifts))


def _row(layer: Layer, after: Layer | None) -> Widths:
    """The row of an operation, with the requantisation that follows it."""
    op, last = layer.operation, after or layer
    weight = bias = product = accumulator = needed = partial = None
    if isinstance(op, WeightedSum):
        weight, product = str(op.weight_format), _product_bits(layer)
        bias = signed_bits(int(op.bias.min()), int(op.bias.max()))
    if isinstance(op, Gdn | InverseGdn):
        weight, bias = str(op.gamma_format), _magnitude_bits(int(op.beta.max()))
    if layer.sums:
        bounds = layer.sums[0]
        accumulator, needed, partial = bounds.declared, needed_bits(bounds), partial_bits(bounds)
    multiplier, shifts = _scale_columns(layer_scales(last))
    others = {name: _magnitude_bits(value) for name, value in last.intermediates.items()}
    if after:
        others |= {name: _magnitude_bits(value) for name, value in layer.intermediates.items()}
    scaled = others.pop("rounded", None) if multiplier is not None else None
    name = f"{op.name} + {after.operation.name}" if after else op.name
    sources = tuple(str(source.format) for source in layer.sources)
    return Widths(
        name, op.kind, sources, weight, bias, product, accumulator, needed, partial,
        multiplier, shifts, scaled, str(last.target.format), others,
    )  # fmt: skip


def widths(layers: Sequence[Layer]) -> list[Widths]:
    """One row for each operation of a program, a weighted sum joined with the requantisation that alone reads it."""
    readers: dict[str, list[Layer]] = {}
    for layer in layers:
        for name in set(layer.operation.reads):
            readers.setdefault(name, []).append(layer)
    rows, joined = [], set()
    for layer in layers:
        if layer.operation.name in joined:
            continue
        after = _requantisation(layer, readers.get(layer.target.name, []))
        if after:
            joined.add(after.operation.name)
        rows.append(_row(layer, after))
    return rows


def _requantisation(layer: Layer, readers: Sequence[Layer]) -> Layer | None:
    """The only reader of an accumulator, if it requantises."""
    is_sum = any(bounds.quantity == ACCUMULATOR for bounds in layer.sums)
    if not is_sum or len(readers) != 1 or not isinstance(readers[0].operation, Requantise | LeakyRequantise):
        return None
    return readers[0]
