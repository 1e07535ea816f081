"""Signals of a stated width, and a clean MyHDL for every elaboration (SPEC HW-7)."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from types import CodeType, FrameType, FunctionType
from typing import Any, TypeVar

import myhdl
from myhdl import Signal, _block, _instance, _Simulation, _simulator, _util, intbv
from myhdl.conversion import _toVerilog, _toVHDL

from refcodec.formats import IntFormat

Built = TypeVar("Built")
NEAREST = 8
DEDENT = _util._dedent


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


class _QuickInspect:
    """The module `inspect`, whose `stack` reads no sources, and which reads the source of a process once.

    MyHDL asks for the stack at every block and process, and of its five nearest frames looks at locals and names only;
    looking up the source line of every frame took two thirds of an elaboration, reading sources most of the rest.
    """

    def __init__(self) -> None:
        self._sources: dict[CodeType, tuple[list[str], int]] = {}

    @staticmethod
    def stack() -> list[tuple[FrameType, str, int, str]]:
        """The nearest frames of the caller: frame, no file, no line, name."""
        found: list[tuple[FrameType, str, int, str]] = []
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and len(found) < NEAREST:
            found.append((frame, "", 0, frame.f_code.co_name))
            frame = frame.f_back
        return found

    def getsourcelines(self, process: FunctionType) -> tuple[list[str], int]:
        """The lines of a process, and the number of the first."""
        if process.__code__ not in self._sources:
            self._sources[process.__code__] = inspect.getsourcelines(process)
        return self._sources[process.__code__]

    def getsource(self, process: FunctionType) -> str:
        """The text of a process."""
        return "".join(self.getsourcelines(process)[0])

    def __getattr__(self, name: str) -> Any:
        return getattr(inspect, name)


@contextmanager
def clean_elaboration() -> Iterator[None]:
    """Elaborate inside: the same design gives the same names and bytes, whatever ran before (SPEC HW-7)."""
    _forget()
    _block.inspect = _instance.inspect = _util.inspect = _QuickInspect()
    _util._dedent = lru_cache(maxsize=None)(DEDENT)
    try:
        yield
    finally:
        _block.inspect = _instance.inspect = _util.inspect = inspect
        _util._dedent = DEDENT
        _forget()


def on_short_stack(build: Callable[[], Built]) -> Built:
    """Run `build` in a thread, whose stack is short, as deep networks nest many blocks."""
    with ThreadPoolExecutor(max_workers=1) as executor:
        return executor.submit(build).result()
