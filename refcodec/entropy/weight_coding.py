"""Payloads of integer tensors: static rANS, the adaptive binary coder, or either of differences (SPEC WC-1, WC-6)."""

from __future__ import annotations

from collections.abc import Callable

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
STATIC, DIFFERENCES = 0, 7
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


def payload_mode(payload: bytes) -> str:
    """How a payload is coded: `zeros`, `static`, `adaptive0`, `adaptive1` (with neighbours) or `differences`."""
    number = payload[0] >> WIDTH_BITS
    if number in (STATIC, DIFFERENCES):
        return "differences" if number else "static" if payload[0] else "zeros"
    return "adaptive1" if MODES[number - 1][0] else "adaptive0"


def mode_sizes(values: np.ndarray, dependent: bool = False) -> dict[str, int]:
    """Bytes of a tensor by the name of `payload_mode`, where it is coded in that way (SPEC WC-6).

    values, dependent  as of `encode_integers`.  Raises ShapeError, RangeError.
    """
    found: dict[str, int] = {}
    for payload in _payloads(_checked(values), dependent).values():
        name = payload_mode(payload)
        found[name] = min(len(payload), found.get(name, len(payload)))
    return found


def _payloads(values: np.ndarray, dependent: bool) -> dict[int, bytes]:
    """The payload of each mode by its number; of zeros alone, one byte."""
    found = _direct(values, dependent)
    differences = np.diff(values, axis=0, prepend=np.int32(0))
    smaller = np.abs(differences).sum(dtype=np.int64) < np.abs(values).sum(dtype=np.int64)
    if smaller and differences.min() >= SYMBOL_LO and differences.max() <= SYMBOL_HI:
        inner = min(_direct(differences, False).values(), key=len)
        found[DIFFERENCES] = bytes([DIFFERENCES << WIDTH_BITS | largest_digits(values)]) + inner
    return found


def _direct(values: np.ndarray, dependent: bool) -> dict[int, bytes]:
    """The payloads of the integers themselves."""
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
    return _decode(payload, shape, dependent, offset, _decode_adaptive)


def decode_integers_plain(payload: bytes, shape: Shape, dependent: bool) -> np.ndarray:
    """`decode_integers` with the definition of the adaptive coder, on Python integers (SPEC WC-6)."""
    return _decode(payload, shape, dependent, 0, _decode_adaptive_plain)


AdaptiveDecoder = Callable[[bytes, Shape, int, Mode, int], tuple[np.ndarray, int]]


def _decode_adaptive(payload: bytes, shape: Shape, width: int, mode: Mode, offset: int) -> tuple[np.ndarray, int]:
    return decode_adaptive(payload, 1, shape, width, mode, offset)


def _decode_adaptive_plain(payload: bytes, shape: Shape, width: int, mode: Mode, _: int) -> tuple[np.ndarray, int]:
    return decode_adaptive_plain(payload, 1, shape, width, mode)


def _decode(payload: bytes, shape: Shape, dependent: bool, offset: int, adaptive: AdaptiveDecoder) -> np.ndarray:
    number, width = _first_byte(payload, shape, offset)
    if number == DIFFERENCES:
        if _first_byte(payload[1:], shape, offset + 1)[0] == DIFFERENCES:
            raise StreamError("RC-STREAM-WEIGHTS", "differences of differences", offset + 1)
        differences = _decode(payload[1:], shape, False, offset + 1, adaptive)
        return _of_width(np.cumsum(differences, axis=0, dtype=np.int64), width, offset)
    if width == 0:
        _check_end(1, payload, offset)
        return np.zeros(shape, np.int32)
    if number == STATIC:
        return decode_static(payload, 1, shape, width, offset)
    values, end = adaptive(payload, shape, width, Mode(*MODES[number - 1], dependent), offset)
    _check_end(end, payload, offset)
    return _of_width(values, width, offset)


def _first_byte(payload: bytes, shape: Shape, offset: int) -> tuple[int, int]:
    """The number of the mode and the digits of the largest magnitude (SPEC WC-1)."""
    _check_shape(shape)
    if not payload:
        raise StreamError("RC-STREAM-TRUNCATED", "wanted the byte of a mode, got none", offset)
    number, width = payload[0] >> WIDTH_BITS, payload[0] & ((1 << WIDTH_BITS) - 1)
    if width > WIDEST or (width == 0 and number != STATIC):
        raise StreamError("RC-STREAM-WEIGHTS", f"no tensor has mode {number} and {width} digits", offset)
    return number, width


def _of_width(values: np.ndarray, width: int, offset: int) -> np.ndarray:
    found = largest_digits(values)
    if found != width:
        raise StreamError("RC-STREAM-WEIGHTS", f"wanted a largest magnitude of {width} digits, got {found}", offset)
    if int(values.min()) < SYMBOL_LO or int(values.max()) > SYMBOL_HI:
        raise StreamError("RC-STREAM-SYMBOL", f"an integer outside {SYMBOL_LO} .. {SYMBOL_HI}", offset)
    return values.astype(np.int32, copy=False)


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
