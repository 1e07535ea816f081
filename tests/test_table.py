"""Tables: kernel, definition, specification and fractions agree; the operations (SPEC TAB-1 to TAB-3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import naive_tables
import numpy as np
import pytest

from refcodec import fixed
from refcodec.errors import ModelError, RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.layers.table import (
    check_nodes,
    check_table,
    interpolated_lookup,
    interpolated_lookup_plain,
    table_lookup,
    table_lookup_plain,
)
from refcodec.program.model_file import Model, model_from_bytes, model_to_bytes
from refcodec.program.operations.operation import Tensor, check_operation
from refcodec.program.operations.table import InterpolatedTable, Table
from refcodec.program.program import Program
from refcodec.program.reach import Reach

S8, U8, S10, U10, S16, U16, S32 = (
    IntFormat(b, s) for b, s in ((8, True), (8, False), (10, True), (10, False), (16, True), (16, False), (32, True))
)
INT32 = np.iinfo(np.int32)


def every(fmt: IntFormat) -> np.ndarray:
    """All values of a format, (1, 2, n)."""
    return np.arange(fmt.lo, fmt.hi + 1).reshape(1, 2, -1).astype(fmt.dtype)


def agree_direct(x: np.ndarray, table: np.ndarray, source: IntFormat, target: IntFormat) -> np.ndarray:
    """The common result of kernel, definition, specification and a mapping."""
    found = table_lookup(x, table, source, target)
    assert found.dtype == target.dtype
    np.testing.assert_array_equal(found, table_lookup_plain(x, table, source, target))
    flat, entries = x.ravel().tolist(), table.tolist()
    wanted = [naive_tables.table_lookup(v, source.bits, source.signed, entries) for v in flat]
    assert [fixed.table_lookup(v, source.lo, entries) for v in flat] == wanted
    assert found.ravel().tolist() == wanted
    return found


def agree(x: np.ndarray, nodes: np.ndarray, spacing: int, source: IntFormat, target: IntFormat) -> np.ndarray:
    """The common result of kernel, definition, specification and fractions."""
    found = interpolated_lookup(x, nodes, spacing, source, target)
    assert found.dtype == target.dtype
    np.testing.assert_array_equal(found, interpolated_lookup_plain(x, nodes, spacing, source, target))
    flat, entries = x.ravel().tolist(), nodes.tolist()
    wanted = [naive_tables.interpolated_lookup(v, source.bits, source.signed, spacing, entries) for v in flat]
    assert [fixed.interpolated_lookup(v, source.lo, spacing, entries) for v in flat] == wanted
    assert found.ravel().tolist() == wanted
    return found


def joined(x: np.ndarray, nodes: np.ndarray, spacing: int, source: IntFormat) -> np.ndarray:
    """All values at once, as the floor of a doubled weighted mean."""
    left, part = np.divmod(x.astype(np.int64) - source.lo, 2**spacing)
    wide = nodes.astype(np.int64)
    mean = (2**spacing - part) * wide[left] + part * wide[left + 1]
    return (2 * mean + 2**spacing) // 2 ** (spacing + 1)


# --- direct tables


@pytest.mark.parametrize("source", [IntFormat(b, s) for b in range(2, 11) for s in (True, False)], ids=str)
def test_table_gives_every_value_its_entry(source: IntFormat, rng: np.random.Generator) -> None:
    """All entries differ: catches a table that begins elsewhere, and a sign that is lost."""
    table = rng.permutation(2**source.bits).astype(np.int32) - 2
    found = agree_direct(every(source), table, source, S16)
    assert found.ravel().tolist() == table.tolist()


def test_table_holds_entries_of_32_bits() -> None:
    table = np.array([INT32.min, -1, 0, INT32.max], np.int32)
    assert agree_direct(every(IntFormat(2, True)), table, IntFormat(2, True), S32).ravel().tolist() == table.tolist()


@pytest.mark.parametrize("source", [S10, U10, S8], ids=str)
def test_table_agrees_on_a_million_values(source: IntFormat, rng: np.random.Generator) -> None:
    table = rng.integers(-(2**15), 2**15, 2**source.bits).astype(np.int32)
    x = rng.integers(source.lo, source.hi, (4, 512, 512), endpoint=True).astype(source.dtype)
    found = table_lookup(x, table, source, S16)
    assert found.size >= 10**6
    np.testing.assert_array_equal(found, np.take(np.roll(table, source.lo), x, mode="wrap"))
    assert {source.lo, source.hi} <= set(x.ravel().tolist())


# --- interpolated tables


@pytest.mark.parametrize("source", [IntFormat(b, s) for b in (2, 3, 5, 8) for s in (True, False)], ids=str)
def test_interpolated_table_agrees_on_all_values_at_every_spacing(source: IntFormat, rng: np.random.Generator) -> None:
    for spacing in range(1, source.bits):
        for target in (IntFormat(3, True), U8, S32):
            nodes = rng.integers(target.lo, target.hi, 2 ** (source.bits - spacing) + 1, endpoint=True)
            nodes[:2] = target.hi, target.lo
            found = agree(every(source), nodes, spacing, source, target).ravel()
            assert found[:: 2**spacing].tolist() == nodes[:-1].tolist()
            assert target.hi in found


def test_interpolated_table_agrees_on_all_values_of_16_bits(rng: np.random.Generator) -> None:
    nodes = rng.integers(-(2**15), 2**15, 513).astype(np.int32)
    agree(every(S16), nodes, 7, S16, S16)
    agree(every(U16), nodes, 7, U16, S16)


def test_interpolated_table_rounds_ties_up_on_rising_and_falling_lines() -> None:
    """Catches rounding to even, away from zero and towards zero, and a missing rounding constant."""
    source = IntFormat(4, True)
    nodes = np.array([0, 1, 0, -1, -2, -1, 0, 3, 0])
    found = agree(every(source), nodes, 1, source, S16)
    assert found.ravel().tolist() == [0, 1, 1, 1, 0, 0, -1, -1, -2, -1, -1, 0, 0, 2, 3, 2]
    slopes = np.array([-3, 0, 7])
    assert agree(every(IntFormat(3, True)), slopes, 2, IntFormat(3, True), S16).ravel().tolist() == [
        -3, -2, -1, -1, 0, 2, 4, 5,
    ]  # fmt: skip


@pytest.mark.parametrize("spacing", [1, 7, 14, 15])
@pytest.mark.parametrize("source", [S16, U16], ids=str)
def test_interpolated_table_agrees_on_the_steepest_lines(source: IntFormat, spacing: int) -> None:
    """A rise of 2**32 - 1 times a part of 2**15 - 1: catches products, and differences of nodes, of 32 bits."""
    nodes = np.where(np.arange(2 ** (16 - spacing) + 1) % 2, INT32.max, INT32.min).astype(np.int32)
    near = np.unique(np.concatenate([np.arange(n - 200, n + 200) for n in range(0, 2**16 + 1, 2**14)]))
    x = every(source).ravel()[near[(near >= 0) & (near < 2**16)]].reshape(1, 1, -1)
    found = agree(x, nodes, spacing, source, S32)
    assert int(found.min()) == INT32.min
    assert int(found.max()) > INT32.max - 2**18


def test_interpolated_table_reads_the_last_node_and_none_beyond() -> None:
    """The largest value lies between the last two nodes."""
    nodes = np.array([0] * 512 + [128], np.int32)
    assert agree(np.array([[[S16.hi, S16.hi - 127, S16.hi - 128]]]), nodes, 7, S16, S16).tolist() == [[[127, 0, 0]]]


@pytest.mark.parametrize(("spacing", "target"), [(1, S16), (4, S16), (7, S16), (11, S32), (15, S32)])
def test_interpolated_table_agrees_on_a_million_values(
    spacing: int, target: IntFormat, rng: np.random.Generator
) -> None:
    nodes = rng.integers(target.lo, target.hi, 2 ** (16 - spacing) + 1, endpoint=True).astype(np.int32)
    x = rng.integers(S16.lo, S16.hi, (4, 512, 512), endpoint=True).astype(np.int16)
    found = interpolated_lookup(x, nodes, spacing, S16, target)
    assert found.size >= 10**6
    np.testing.assert_array_equal(found, joined(x, nodes, spacing, S16))
    left, part = np.divmod(x.astype(np.int64) + 2**15, 2**spacing)
    remainder = (np.diff(nodes.astype(np.int64))[left] * part) % 2**spacing
    tie = remainder == 2 ** (spacing - 1)
    assert (tie & (found < 0)).sum() > 10
    assert (tie & (found > 0)).sum() > 10


def test_tables_read_any_layout_and_dtype_and_change_nothing(rng: np.random.Generator) -> None:
    table, nodes = (rng.integers(-99, 99, n).astype(np.int32) for n in (256, 33))
    base = rng.integers(-128, 128, (5, 8, 6)).astype(np.int16)
    views = [base.transpose(0, 2, 1), base[:, ::2, ::-1], base[::-1], base.astype(np.int8), base.astype(np.int64)]
    for view in views:
        kept = view.copy()
        np.testing.assert_array_equal(table_lookup(view, table, S8, S16), table[view.astype(int) + 128])
        np.testing.assert_array_equal(
            interpolated_lookup(view, nodes[::-1], 3, S8, S16), joined(view, nodes[::-1], 3, S8)
        )
        np.testing.assert_array_equal(view, kept)
    unsigned = rng.integers(0, 256, (2, 3, 4)).astype(np.uint8)
    np.testing.assert_array_equal(table_lookup(unsigned, table, U8, S16), table[unsigned])
    np.testing.assert_array_equal(interpolated_lookup(unsigned, nodes, 3, U8, S16), joined(unsigned, nodes, 3, U8))


def test_tables_take_empty_planes() -> None:
    x = np.zeros((1, 0, 4), np.int16)
    for direct in (table_lookup, table_lookup_plain):
        assert direct(x, np.zeros(256, np.int32), S8, S16).shape == (1, 0, 4)
    for lines in (interpolated_lookup, interpolated_lookup_plain):
        assert lines(x, np.zeros(513, np.int32), 7, S16, S16).shape == (1, 0, 4)


# --- refusals of the layer


@pytest.mark.parametrize(
    ("entries", "source", "target", "error", "message"),
    [
        (np.zeros(2, np.int32), IntFormat(1, False), S16, RangeError, r"takes 2\.\.10 bits, not u1"),
        (np.zeros(2048, np.int32), IntFormat(11, True), S16, RangeError, r"takes 2\.\.10 bits, not s11"),
        (np.zeros(255, np.int32), S8, S16, ShapeError, r"expected entries \(256,\), got \(255,\)"),
        (np.zeros((1, 256), np.int32), S8, S16, ShapeError, r"expected entries \(256,\), got \(1, 256\)"),
        (np.full(256, 128), S8, S8, RangeError, r"entries: values 128 \.\. 128 leave s8"),
        (np.full(256, -1), S8, U8, RangeError, r"entries: values -1 \.\. -1 leave u8"),
        (np.zeros(256), S8, S16, RangeError, r"entries: expected integers, got float64"),
        (np.zeros(256, np.int32), S8, IntFormat(33, True), RangeError, r"entries have at most 32 bits, not s33"),
    ],
)
def test_check_table_refuses(
    entries: np.ndarray, source: IntFormat, target: IntFormat, error: type, message: str
) -> None:
    x = np.zeros((1, 1, 1), np.int16)
    with pytest.raises(error, match=message):
        check_table(entries, source, target)
    for function in (table_lookup, table_lookup_plain):
        with pytest.raises(error, match=message):
            function(x, entries, source, target)


@pytest.mark.parametrize(
    ("nodes", "spacing", "source", "error", "message"),
    [
        (np.zeros(3, np.int32), 16, IntFormat(17, True), RangeError, r"takes 2\.\.16 bits, not s17"),
        (np.zeros(3, np.int32), 1, IntFormat(1, False), RangeError, r"takes 2\.\.16 bits, not u1"),
        (np.zeros(257, np.int32), 0, S8, RangeError, r"spacing must be 1\.\.7 for s8, got 0"),
        (np.zeros(2, np.int32), 8, S8, RangeError, r"spacing must be 1\.\.7 for s8, got 8"),
        (np.zeros(512, np.int32), 7, S16, ShapeError, r"expected nodes \(513,\), got \(512,\)"),
        (np.full(513, 32768), 7, S16, RangeError, r"nodes: values 32768 \.\. 32768 leave s16"),
    ],
)
def test_check_nodes_refuses(nodes: np.ndarray, spacing: int, source: IntFormat, error: type, message: str) -> None:
    x = np.zeros((1, 1, 1), np.int16)
    with pytest.raises(error, match=message):
        check_nodes(nodes, spacing, source, S16)
    for function in (interpolated_lookup, interpolated_lookup_plain):
        with pytest.raises(error, match=message):
            function(x, nodes, spacing, source, S16)


@pytest.mark.parametrize("value", [-129, 128])
def test_tables_refuse_values_outside_their_source(value: int) -> None:
    """Catches an index before or behind the table."""
    x = np.full((1, 1, 1), value)
    calls: list[tuple[Callable, tuple]] = [
        (table_lookup, (np.zeros(256, np.int32), S8, S16)),
        (table_lookup_plain, (np.zeros(256, np.int32), S8, S16)),
        (interpolated_lookup, (np.zeros(3, np.int32), 7, S8, S16)),
        (interpolated_lookup_plain, (np.zeros(3, np.int32), 7, S8, S16)),
    ]
    for function, rest in calls:
        with pytest.raises(RangeError, match=r"^RC-RANGE: x: values .* leave s8"):
            function(x, *rest)
        with pytest.raises(RangeError, match=r"^RC-RANGE: x: expected integers, got float64"):
            function(np.zeros((1, 1, 1)), *rest)
        with pytest.raises(ShapeError, match=r"^RC-SHAPE: expected x \(C, H, W\), got \(1, 1\)"):
            function(np.zeros((1, 1), np.int16), *rest)


# --- the operations


def direct(bits: int = 8, **changes: Any) -> Table:
    return Table(**({"name": "t", "source": "a", "target": "b", "table": np.arange(2**bits) % 100} | changes))


def lines(**changes: Any) -> InterpolatedTable:
    fields = {"name": "t", "source": "a", "target": "b", "spacing": 3, "nodes": np.arange(33)}
    return InterpolatedTable(**(fields | changes))


def refused(code: str, message: str, op: Table | InterpolatedTable, source: Tensor, target: Tensor) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        check_operation(op, [source], target)
    assert caught.value.code == code


def test_table_operations_are_refused() -> None:
    a, b = Tensor("a", 3, S8), Tensor("b", 3, S8)
    check_operation(direct(), [a], b)
    check_operation(lines(), [a], b)
    for op in (direct(), lines()):
        refused("RC-MODEL-TENSOR", "t: 3 channels wanted, from 3 to 2 found", op, a, Tensor("b", 2, S8))
    refused("RC-MODEL-TENSOR", r"t: \(128,\) entries for s8", direct(7), a, b)
    refused("RC-MODEL-TENSOR", r"t: \(256,\) entries for s10", direct(), Tensor("a", 3, S10), b)
    refused("RC-MODEL-RANGE", "takes 2..10 bits, not s11", direct(11), Tensor("a", 3, IntFormat(11, True)), b)
    refused("RC-MODEL-RANGE", "entries: values 0 .. 128 leave s8", direct(table=np.r_[:255, 128] % 129), a, b)
    refused("RC-MODEL-RANGE", "at most 32 bits, not s40", direct(), a, Tensor("b", 3, IntFormat(40, True)))
    refused("RC-MODEL-TENSOR", r"t: \(32,\) nodes with spacing 3 for s8", lines(nodes=np.arange(32)), a, b)
    for spacing in (-1, 0, 8, 9):
        refused("RC-MODEL-RANGE", f"t: spacing {spacing} for s8", lines(spacing=spacing), a, b)
    wide = Tensor("a", 3, IntFormat(17, True))
    refused("RC-MODEL-RANGE", "takes 2..16 bits, not s17", lines(spacing=12, nodes=np.arange(33)), wide, b)
    refused("RC-MODEL-RANGE", "nodes: values 0 .. 128 leave s8", lines(nodes=np.arange(0, 129, 4)), a, b)
    with pytest.raises(ModelError, match=r"t\.table: int64 values do not fit int32"):
        direct(table=np.full(256, 2**31))


@pytest.mark.parametrize("source", [IntFormat(4, True), IntFormat(4, False)], ids=str)
def test_table_reach_is_what_brute_force_finds(source: IntFormat, rng: np.random.Generator) -> None:
    a, b = Tensor("a", 1, source), Tensor("b", 1, S8)
    widened = 0
    for _ in range(10):
        ops = [
            direct(table=rng.integers(-128, 128, 16)),
            *(lines(spacing=s, nodes=rng.integers(-128, 128, 2 ** (4 - s) + 1)) for s in (1, 2, 3)),
        ]
        for op in ops:
            values = op.run_plain([every(source)], [a], b).ravel().astype(int)
            for lo in range(source.lo, source.hi + 1):
                for hi in range(lo, source.hi + 1):
                    met = values[lo - source.lo : hi - source.lo + 1]
                    found = op.reach([Reach(np.array([lo]), np.array([hi]))], b)
                    known = lo < 0 or hi >= 8  # the reach tells whether the format is signed
                    assert (found.lo[0], found.hi[0]) == (met.min(), met.max()) or not known
                    assert found.lo[0] <= met.min() <= met.max() <= found.hi[0]
                    widened += not known
    assert widened


def test_table_reach_is_that_of_each_channel() -> None:
    a = Reach(np.array([-8, 0, 3]), np.array([7, 2, 3]))
    found = direct(table=np.arange(16) * 2).reach([a], Tensor("b", 3, S8))
    assert (found.lo.tolist(), found.hi.tolist()) == ([0, 16, 22], [30, 20, 22])
    found = lines(spacing=2, nodes=np.array([0, 8, 4, 20, 0])).reach([a], Tensor("b", 3, S8))
    assert (found.lo.tolist(), found.hi.tolist()) == ([0, 4, 16], [20, 12, 16])


def test_interpolated_table_intermediates_are_the_largest() -> None:
    op = lines(spacing=2, nodes=np.array([0, 8, 4, 20, -100]))
    whole = Reach(np.array([-8]), np.array([7]))
    assert op.intermediates([whole]) == {"rise": 120, "product": 360, "rounded": 362}
    low = Reach(np.array([-8]), np.array([-1]))
    assert op.intermediates([low]) == {"rise": 8, "product": 24, "rounded": 26}
    steep = lines(spacing=15, nodes=np.array([INT32.min, INT32.max, INT32.min]))
    assert max(steep.intermediates([Reach.whole(S16, 1)]).values()) < 2**47
    assert direct().intermediates([whole]) == {}


def test_table_operations_pass_through_a_model_file_and_run() -> None:
    tensors = (Tensor("a", 2, S16), Tensor("b", 2, S10), Tensor("c", 2, S8))
    first = InterpolatedTable("curve", "a", "b", 7, np.linspace(-500, 511, 513).astype(int))
    second = Table("step", "b", "c", np.arange(-512, 512) >> 3)
    program = Program("p", tensors, (first, second))
    model = Model("any", {}, {"p": program}, {})
    again = model_from_bytes(model_to_bytes(model))
    assert again.identity == model.identity
    x = every(S16).reshape(2, 128, 256)
    found = again.programs["p"].run(x)
    np.testing.assert_array_equal(found, program.run_plain(x))
    assert found.dtype == S8.dtype
    assert program.sizes(5, 7)["c"] == (5, 7)
    reach = program.reaches()["c"]
    assert (int(found.min()), int(found.max())) == reach.joint()
