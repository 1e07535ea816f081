"""Payloads of integer tensors: the shortest of static rANS and the adaptive binary coder (SPEC WC-1, WC-6)."""

from __future__ import annotations

import numpy as np

from refcodec.entropy.adaptive_binary import SLOWEST_HI, SLOWEST_LO
from refcodec.entropy.adaptive_integers import (
    WIDEST,
    Mode,
    decode_adaptive,
    decode_adaptive_plain,
    encode_adaptive,
    largest_digits,
)
from refcodec.entropy.static_integers import decode_static, encode_static
from refcodec.entropy.tables import SYMBOL_HI, SYMBOL_LO
from refcodec.errors import RangeError, ShapeError, StreamError

Shape = tuple[int, int, int]
STATIC = 0
WIDTH_BITS = 5  # of the first byte; the others are the number of a mode
RATES = range(SLOWEST_LO, SLOWEST_HI + 1)
MODES = tuple((neighbours, slowest) for neighbours in (False, True) for slowest in RATES)  # numbers 1 to 6


def encode_integers(values: np.ndarray, dependent: bool = False) -> bytes:
    """The shortest payload of a tensor (SPEC WC-6).

    values  (O, I, K) integers, -32768 .. 32767: output channel, input channel, tap
    dependent  whether they are levels of the trellis of DQ-3, whose state the contexts then see
    Raises ShapeError, RangeError.
    """
    return min(_payloads(_checked(values), dependent).values(), key=len)


def mode_sizes(values: np.ndarray, dependent: bool = False) -> dict[str, int]:
    """Bytes of a tensor as `static`, `adaptive0`, and, with neighbours, `adaptive1`, where it has them (SPEC WC-6).

    values, dependent  as of `encode_integers`.  Raises ShapeError, RangeError.
    """
    sizes = {number: len(payload) for number, payload in _payloads(_checked(values), dependent).items()}
    if sizes.keys() == {STATIC}:
        return {"static": 1, "adaptive0": 1, "adaptive1": 1}
    found = {"static": sizes[STATIC]} if STATIC in sizes else {}
    for name, wanted in (("adaptive0", False), ("adaptive1", True)):
        found[name] = min(sizes[k] for k, (neighbours, _) in enumerate(MODES, 1) if neighbours == wanted)
    return found


def _payloads(values: np.ndarray, dependent: bool) -> dict[int, bytes]:
    """The payload of each mode by its number; of zeros alone, one byte."""
    width = largest_digits(values)
    if width == 0:
        return {STATIC: bytes(1)}
    found = {k: encode_adaptive(values, width, Mode(*mode, dependent)) for k, mode in enumerate(MODES, 1)}
    static = encode_static(values, width)
    if static is not None:
        found = {STATIC: static, **found}
    return {number: bytes([number << WIDTH_BITS | width]) + payload for number, payload in found.items()}


def decode_integers(payload: bytes, shape: Shape, dependent: bool, offset: int = 0) -> np.ndarray:
    """The tensor of a payload (SPEC WC-6).

    shape  (O, I, K), each 1 or more;  dependent  as of `encode_integers`
    offset  where the payload stands in its container, added to the position that an error names.
    Returns int32 of that shape, -32768 .. 32767.
    Raises ShapeError; StreamError RC-STREAM-TRUNCATED, RC-STREAM-TRAILING, RC-STREAM-RANS, RC-STREAM-SYMBOL,
    RC-STREAM-WEIGHTS.
    """
    number, width = _first_byte(payload, shape, offset)
    if width == 0:
        _check_end(1, payload, offset)
        return np.zeros(shape, np.int32)
    if number == STATIC:
        return decode_static(payload, 1, shape, width, offset)
    values, end = decode_adaptive(payload, 1, shape, width, Mode(*MODES[number - 1], dependent), offset)
    _check_end(end, payload, offset)
    return _of_width(values, width, offset)


def decode_integers_plain(payload: bytes, shape: Shape, dependent: bool) -> np.ndarray:
    """The definition of `decode_integers` for the adaptive modes, on Python integers (SPEC WC-6)."""
    number, width = _first_byte(payload, shape, 0)
    if number == STATIC:
        return decode_integers(payload, shape, dependent)
    values, end = decode_adaptive_plain(payload, 1, shape, width, Mode(*MODES[number - 1], dependent))
    _check_end(end, payload, 0)
    return _of_width(values, width, 0)


def _first_byte(payload: bytes, shape: Shape, offset: int) -> tuple[int, int]:
    """The number of the mode and the digits of the largest magnitude (SPEC WC-1)."""
    _check_shape(shape)
    if not payload:
        raise StreamError("RC-STREAM-TRUNCATED", "wanted the byte of a mode, got none", offset)
    number, width = payload[0] >> WIDTH_BITS, payload[0] & ((1 << WIDTH_BITS) - 1)
    if number > len(MODES) or width > WIDEST or (width == 0 and number != STATIC):
        raise StreamError("RC-STREAM-WEIGHTS", f"no tensor has mode {number} and {width} digits", offset)
    return number, width


def _of_width(values: np.ndarray, width: int, offset: int) -> np.ndarray:
    found = largest_digits(values)
    if found != width:
        raise StreamError("RC-STREAM-WEIGHTS", f"wanted a largest magnitude of {width} digits, got {found}", offset)
    return values


def _check_end(end: int, payload: bytes, offset: int) -> None:
    if end != len(payload):
        raise StreamError("RC-STREAM-TRAILING", f"{len(payload) - end} bytes follow the integers", offset + end)


def _check_shape(shape: tuple[int, ...]) -> None:
    if len(shape) != 3 or min(shape) < 1:
        raise ShapeError(f"wanted (O, I, K), each 1 or more, got {shape}")


def _checked(values: np.ndarray) -> np.ndarray:
    """A contiguous int32 array, so that each kernel is compiled for one type only."""
    _check_shape(values.shape)
    if values.dtype.kind not in "iu":
        raise RangeError(f"values: wanted integers, got {values.dtype}")
    if int(values.min()) < SYMBOL_LO or int(values.max()) > SYMBOL_HI:
        raise RangeError(f"values: wanted {SYMBOL_LO} .. {SYMBOL_HI}, got {values.min()} .. {values.max()}")
    return np.ascontiguousarray(values, np.int32)
