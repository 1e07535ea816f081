"""Signals of a stated width, and a clean MyHDL for every elaboration (SPEC HW-7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import myhdl
from myhdl import Signal, _block, _Simulation, _simulator, intbv
from myhdl.conversion import _toVerilog, _toVHDL

from refcodec.formats import IntFormat

Built = TypeVar("Built")


def address_bits(depth: int) -> int:
    """Width of an address of `depth` words, at least one bit."""
    return max(1, (depth - 1).bit_length())


def limits(bits: int) -> tuple[int, int]:
    """The min and (excluded) max of a signed intbv of `bits` bits."""
    return -(1 << (bits - 1)), 1 << (bits - 1)


def bit() -> Signal:
    """One wire, low at power-up."""
    return Signal(bool(0))


def unsigned(bits: int) -> Signal:
    """An unsigned bus."""
    return Signal(intbv(0)[bits:])


def signed(bits: int) -> Signal:
    """A two's complement bus."""
    lo, hi = limits(bits)
    return Signal(intbv(0, min=lo, max=hi))


def bus(form: IntFormat) -> Signal:
    """A bus of that format."""
    return signed(form.bits) if form.signed else unsigned(form.bits)


def _forget() -> None:
    """MyHDL numbers instances and keeps signals for the life of the process; both must restart."""
    _block._name_set.clear()
    _block._inst_name_set.clear()
    _simulator._signals.clear()
    _simulator._tracing = 0
    _Simulation.Simulation._no_of_instances = 0
    for decorated in _simulator._blocks:
        decorated.calls = 0
    _toVerilog._converting = 0
    _toVHDL._converting = 0
    for converter in (myhdl.toVerilog, myhdl.toVHDL):
        converter.name = None
        converter.directory = None
        converter.initial_values = False


@contextmanager
def clean_elaboration() -> Iterator[None]:
    """Elaborate inside: the same design gives the same names and bytes, whatever ran before (SPEC HW-7)."""
    _forget()
    try:
        yield
    finally:
        _forget()


def on_short_stack(build: Callable[[], Built]) -> Built:
    """Run `build` in a thread: MyHDL inspects the whole call stack for every process, and a thread has a short one."""
    with ThreadPoolExecutor(max_workers=1) as executor:
        return executor.submit(build).result()
