"""The audit for people, as tables of text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from refcodec.audit.document import Document
from refcodec.audit.overflow import REACH
from refcodec.describe import table

NONE = "-"
YES_NO = {True: "yes", False: "no"}


def _or_none(value: Any) -> Any:
    return NONE if value is None else value


def sum_rows(layers: list[Document]) -> Iterator[list[Any]]:
    """One row for each declared sum."""
    for layer in layers:
        for found in layer["sums"]:
            exact = found["exact"]
            at = found["witness"]
            yield [
                layer["operation"], found["quantity"], " ".join(layer["source_formats"]),
                f"{found['lo']} .. {found['hi']}",
                f"{at['channel']}/{at['phase']}", found["needed_bits"], found["partial_bits"], found["checked_bits"],
                found["declared_bits"], found["headroom_bits"],
                *(YES_NO[exact[name]] for name in ("int32", "float32", "float64")),
            ]  # fmt: skip


SUM_HEAD = (
    "operation", "sum", "source", "interval", "at c/phase", "needed", "partial", "checked", "declared", "headroom",
    "int32", "float32", "float64",
)  # fmt: skip


def _clipping(layer: Document) -> list[Any]:
    found = layer["unclipped"]
    if found is None:
        return [NONE, NONE, NONE]
    return [found["bits"], len(found["below"]), len(found["above"])]


def _scale_columns(layer: Document) -> list[Any]:
    scales = layer["scales"]
    if not scales:
        return [NONE] * 4
    lo, hi = min(s["shifts"][0] for s in scales), max(s["shifts"][1] for s in scales)
    bits = " ".join(f"{s['bits']} of {s['declared']}" for s in scales)
    resolutions = [s["resolution"] for s in scales if s["resolution"] is not None]
    if not resolutions:
        return [bits, f"{lo} .. {hi}", NONE, NONE]
    worst = max(resolutions)
    return [bits, f"{lo} .. {hi}", f"{worst:.1e}" if worst else "exact", f"{max(s['error'] for s in scales):.1e}"]


def _remarks(layer: Document) -> str:
    remarks = []
    if layer["unused"]:
        unused = layer["unused"]
        for what in ("outputs", "inputs"):
            if unused[what]:
                remarks.append(f"{len(unused[what])} {what} unused")
    zeros = {c for scale in layer["scales"] for c in scale["zeros"]}
    if zeros and layer["kind"] == "requantise":
        remarks.append(f"{len(zeros)} channels times 0")
    if layer["divisor"]:
        remarks.append(f"divisor {min(layer['divisor']['lo'])} .. {max(layer['divisor']['hi'])}")
    if layer["table"]:
        found = layer["table"]
        known = f"{found['name']}: error {found['error']:.3f} LSB at {found['at']}" if found["name"] else "own table"
        remarks.append(f"{known}, step {found['step']}")
    return "; ".join(remarks)


TARGET_HEAD = (
    "operation", "kind", "target", "reach", "unclipped bits", "clip below", "clip above", "multiplier bits", "shift",
    "resolution", "error LSB", "remarks",
)  # fmt: skip


def target_row(layer: Document) -> list[Any]:
    """The row of an operation: what it gives, clips and scales."""
    reach = f"{min(layer['reach']['lo'])} .. {max(layer['reach']['hi'])}"
    return [
        layer["operation"], layer["kind"], layer["target_format"], reach, *_clipping(layer), *_scale_columns(layer),
        _remarks(layer),
    ]  # fmt: skip


def _intermediate_lines(layers: list[Document]) -> Iterator[str]:
    for layer in layers:
        if layer["intermediates"]:
            found = ", ".join(f"{name} {value['bits']}" for name, value in layer["intermediates"].items())
            yield f"  {layer['operation']}: {found}"


def _program_text(name: str, program: Document) -> list[str]:
    layers = program["layers"]
    sums = list(sum_rows(layers))
    lines = [f"{name}: {program['constants']} constants"]
    if sums:
        lines += ["", table(sums, SUM_HEAD)]
    lines += ["", table([target_row(layer) for layer in layers], TARGET_HEAD)]
    lines += ["", "bits of what is computed on the way, with a sign:", *_intermediate_lines(layers)]
    return lines


TABLES_TITLE = "frequency tables, with the most bits that a symbol costs"
TABLE_HEAD = (
    "table",
    "rows",
    "entries",
    "sum",
    "rising",
    "symbols",
    "smallest",
    "row",
    "symbol",
    "bits",
    "escape bits",
)


def frequency_rows(tables: Document) -> list[list[Any]]:
    """One row for each frequency table."""
    return [
        [
            name, found["rows"], found["entries"], found["total"], YES_NO[found["rising"]],
            "{} .. {}".format(*found["symbols"]), found["smallest"], found["row"],
            "escape" if found["symbol"] is None else found["symbol"], f"{found['bits']:.2f}",
            f"{found['escape_bits']:.2f}",
        ]
        for name, found in tables.items()
    ]  # fmt: skip


WIDTH_HEAD = (
    "layer", "source", "weight", "bias", "product", "acc", "needed", "partial", "multiplier", "shift", "scaled",
    "target", "others",
)  # fmt: skip


def width_rows(program: Document) -> list[list[Any]]:
    """One row for each layer."""
    return [
        [
            row["layer"], " ".join(row["sources"]), _or_none(row["weight"]), _or_none(row["bias"]),
            _or_none(row["product"]), _or_none(row["accumulator"]), _or_none(row["needed"]), _or_none(row["partial"]),
            _or_none(row["multiplier"]), "{} .. {}".format(*row["shifts"]) if row["shifts"] else NONE,
            _or_none(row["scaled"]), row["target"], ", ".join(f"{key} {bits}" for key, bits in row["others"].items()),
        ]
        for row in program["widths"]
    ]  # fmt: skip


def widths_text(document: Document) -> str:
    """The widths alone."""
    parts = [f"{name}\n{table(width_rows(program), WIDTH_HEAD)}" for name, program in document["programs"].items()]
    return "\n\n".join(parts)


SEEN_HEAD = ("tensor", "format", "samples", "observed", "proven", "constant channels", "unused codes")
CLIPPED_HEAD = ("operation", "samples", "clipped below", "clipped above", "before", "bits", "divisor")


def _share(count: int, samples: int) -> str:
    return f"{count} ({100 * count / samples:.3f} %)" if count else "0"


def seen_rows(observed: Document) -> list[list[Any]]:
    """One row for each tensor that data were seen of."""
    return [
        [
            found["tensor"], found["format"], found["samples"], f"{min(found['lo'])} .. {max(found['hi'])}",
            f"{min(found['proven']['lo'])} .. {max(found['proven']['hi'])}",
            f"{len(found['dead'])} of {len(found['lo'])}",
            NONE if found["codes"] is None else f"{found['unused_codes']} of {found['codes']}",
        ]
        for found in observed["tensors"]
    ]  # fmt: skip


def clipped_rows(observed: Document) -> list[list[Any]]:
    """One row for each operation that saturates."""
    return [
        [
            found["operation"], found["samples"], _share(sum(found["below"]), found["samples"]),
            _share(sum(found["above"]), found["samples"]),
            f"{found['unclipped']['lo']} .. {found['unclipped']['hi']}", found["unclipped"]["bits"],
            f"{found['divisor']['lo']} .. {found['divisor']['hi']}" if found["divisor"] else NONE,
        ]
        for found in observed["saturations"]
    ]  # fmt: skip


def _observed_text(name: str, observed: Document) -> list[str]:
    seen, clipped = seen_rows(observed), clipped_rows(observed)
    if not seen:
        return [f"{name}: a decode does not report its tensors"]
    lines = [f"{name} on data:", "", table(seen, SEEN_HEAD)]
    return lines + (["", table(clipped, CLIPPED_HEAD)] if clipped else [])


RUNS = 24  # of equal samples, that are printed of an input


def _runs(samples: list[int]) -> str:
    """Samples as numbers of equal ones in a row."""
    runs: list[list[int]] = []
    for value in samples:
        if runs and runs[-1][0] == value:
            runs[-1][1] += 1
        else:
            runs.append([value, 1])
    shown = ", ".join(f"{value} x{count}" if count > 1 else str(value) for value, count in runs[:RUNS])
    return shown + (f", and {len(runs) - RUNS} more runs" if len(runs) > RUNS else "")


def witness_lines(found: Document) -> Iterator[str]:
    """An input for people; the whole is in the JSON."""
    for number, x in enumerate(found["inputs"]):
        channels, height, width = x["shape"]
        yield f"  input {number}: {channels} channels of {height} x {width}, in the order channel, row, column:"
        yield f"    {_runs(x['samples'])}"
    place = f"channel {found['channel']}, row {found['row']}, column {found['column']}, phase {found['phase']}"
    yield f"  gives the {found['quantity']} {found['value']} at {place}"


def overflow_text(document: Document) -> str:
    """Why a model is refused."""
    lines = [f"{document['model']}: refused, {document['program']}.{document['operation']} ({document['kind']})"]
    refusal = document["refusal"]
    if refusal is None:
        return "\n".join([*lines, document["message"]])
    found = refusal["witness"]
    lines.append(
        f"The {found['quantity']} has {refusal['declared_bits']} bits. The bound of the checker is {refusal['bound']}, "
        f"which needs {refusal['bound_bits']} bits."
    )
    where = "within the source's proven reach" if refusal["scope"] == REACH else "of the source's format"
    if refusal["overflows"]:
        lines.append(f"An input of samples {where} needs {refusal['needed_bits']} bits:")
    else:
        lines.append(f"No input of samples {where} leaves the width, only the bound does. The nearest:")
    return "\n".join([*lines, *witness_lines(found)])


def audit_text(document: Document) -> str:
    """The whole audit."""
    identity = f", identity {document['identity']}" if document["identity"] else ""
    lines = [f"{document['model']}: {document['kind']}{identity}", "No sum can leave its declared width."]
    for name, program in document["programs"].items():
        lines += ["", *_program_text(name, program)]
    if document["tables"]:
        lines += ["", f"{TABLES_TITLE}:", "", table(frequency_rows(document["tables"]), TABLE_HEAD)]
    for name, observed in (document["observed"] or {}).items():
        lines += ["", *_observed_text(name, observed)]
    return "\n".join(lines)
