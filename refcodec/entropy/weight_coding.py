"""Payloads of integer tensors: static rANS or an adaptive binary coder, whichever is shorter (SPEC WC-6 to WC-9)."""

from __future__ import annotations

import numpy as np

from refcodec.entropy import adaptive_integers, rans
from refcodec.entropy.tables import SYMBOL_HI, SYMBOL_LO, FrequencyTables, quantise_frequencies
from refcodec.errors import RangeError, ShapeError, StreamError

ZERO_MODE = STATIC = 0
# mode of a payload -> (whether neighbours of other channels are seen, slowest rate)
ADAPTIVE = {1: (0, 7), 2: (0, 8), 3: (0, 9), 4: (1, 7), 5: (1, 8), 6: (1, 9)}
LENGTH_BITS = 5  # of the first byte: bit length of the largest magnitude; the other three are the mode
WIDEST_STATIC = 1 << 12  # symbols of a static table
MAX_FRACTION = 3
# 256 * 2**(k / 8), rounded
OCTAVE = (256, 279, 304, 332, 362, 395, 431, 470)
TABLE_WIDTH = 9  # bits of a difference of two levels
TOP_LEVEL = 24 * 8


def encode_integers(values: np.ndarray, dependent: bool = False) -> bytes:
    """The shortest payload of a tensor (SPEC WC-6).

    values  (O, I, K) integers, -32768 .. 32767: output channel, input channel, tap
    dependent  whether they are levels of the trellis of DQ-3, whose state the contexts then see
    Raises ShapeError, RangeError.
    """
    values = _checked(values)
    if not values.any():
        return bytes([0])
    return min(_payloads(values, dependent), key=len)


def mode_sizes(values: np.ndarray, dependent: bool = False) -> dict[str, int]:
    """Bytes of a tensor in every mode that can code it: `static`, `adaptive0` and `adaptive1` (SPEC WC-6).

    values, dependent  as of `encode_integers`.  Raises ShapeError, RangeError.
    """
    values = _checked(values)
    if not values.any():
        return {"static": 1, "adaptive0": 1, "adaptive1": 1}
    found: dict[str, int] = {}
    for payload in _payloads(values, dependent):
        name = payload_mode(payload)
        found[name] = min(len(payload), found.get(name, len(payload)))
    return found


def payload_mode(payload: bytes) -> str:
    """How a payload of `encode_integers` is coded: `zeros`, `static`, `adaptive0` or `adaptive1`."""
    mode = payload[0] >> LENGTH_BITS
    if mode in ADAPTIVE:
        return f"adaptive{ADAPTIVE[mode][0]}"
    return "static" if payload[0] else "zeros"


def decode_integers(payload: bytes, shape: tuple[int, int, int], dependent: bool, offset: int = 0) -> np.ndarray:
    """The tensor of a payload (SPEC WC-6).

    shape  (O, I, K), each 1 or more;  dependent  as of `encode_integers`
    offset  where the payload stands in its container, added to the position that an error names.
    Returns int32 of that shape, -32768 .. 32767.
    Raises ShapeError; StreamError RC-STREAM-TRUNCATED, RC-STREAM-TRAILING, RC-STREAM-RANS, RC-STREAM-SYMBOL,
    RC-STREAM-WEIGHTS.
    """
    _check_shape(shape)
    if not payload:
        raise StreamError("RC-STREAM-TRUNCATED", "wanted a mode byte, got no bytes", offset)
    width, mode = payload[0] & ((1 << LENGTH_BITS) - 1), payload[0] >> LENGTH_BITS
    if width > adaptive_integers.LONGEST or (mode not in ADAPTIVE and mode != STATIC) or (width == 0 and mode):
        raise StreamError("RC-STREAM-WEIGHTS", f"no tensor has the mode {mode} and {width} digits", offset)
    if width == 0:
        if len(payload) > 1:
            raise StreamError("RC-STREAM-TRAILING", f"{len(payload) - 1} bytes follow a tensor of zeros", offset + 1)
        return np.zeros(shape, np.int32)
    if mode == STATIC:
        values = _decode_static(payload, width, shape, offset)
    else:
        values = np.empty(shape, np.int32)
        content = np.frombuffer(payload, np.uint8)
        end = _take_adaptive(content, 1, values, width, *ADAPTIVE[mode], dependent, offset)
        if end != len(payload):
            raise StreamError("RC-STREAM-TRAILING", f"{len(payload) - end} bytes follow the integers", offset + end)
    found = _width(values)
    if found != width:
        raise StreamError("RC-STREAM-WEIGHTS", f"wanted integers of {width} digits, got {found}", offset)
    return values


# --- one payload for each mode


def _payloads(values: np.ndarray, dependent: bool) -> list[bytes]:
    width = _width(values)
    found = _static_payloads(values, width)
    for mode, (spatial, slowest) in ADAPTIVE.items():
        found.append(bytes([width | mode << LENGTH_BITS]) + _put_adaptive(values, width, spatial, slowest, dependent))
    return found


def _width(values: np.ndarray) -> int:
    return max(-int(values.min()), int(values.max())).bit_length()


def _put_adaptive(values: np.ndarray, width: int, spatial: int, slowest: int, dependent: bool) -> bytes:
    content = np.empty(adaptive_integers.longest_payload(values.size, width), np.uint8)
    row, taps = values.shape[1] * values.shape[2], values.shape[2]
    flat = values.reshape(-1)
    end = adaptive_integers._encode(flat, row, taps, width, spatial, slowest, dependent, content, 0)
    return content[:end].tobytes()


def _take_adaptive(
    content: np.ndarray, begin: int, values: np.ndarray, width: int, spatial: int, slowest: int, dependent: bool,
    offset: int,
) -> int:  # fmt: skip
    row, taps = values.shape[1] * values.shape[2], values.shape[2]
    flat = values.reshape(-1)
    status, end = adaptive_integers._decode(content, begin, row, taps, width, spatial, slowest, dependent, flat)
    if status != adaptive_integers.DONE:
        raise _error(status, offset + end)
    return end


def _error(status: int, position: int) -> StreamError:
    if status == adaptive_integers.TRUNCATED:
        return StreamError("RC-STREAM-TRUNCATED", "the payload ends before its last integer", position)
    if status == adaptive_integers.OUT_OF_RANGE:
        return StreamError("RC-STREAM-SYMBOL", f"an integer outside {SYMBOL_LO} .. {SYMBOL_HI}", position)
    if status == adaptive_integers.BAD_START:
        return StreamError("RC-STREAM-WEIGHTS", "no encoder begins with these nine bits", position)
    return StreamError("RC-STREAM-WEIGHTS", "the adaptive coder does not end with zeros", position)


# --- static


def _static_payloads(values: np.ndarray, width: int) -> list[bytes]:
    lo, hi = int(values.min()), int(values.max())
    if hi - lo >= WIDEST_STATIC:
        return []
    counts = np.bincount((values - lo).reshape(-1), minlength=hi - lo + 1)
    indexes = np.zeros(values.shape, np.int64)
    found = []
    for fraction in range(MAX_FRACTION + 1):
        levels = _levels(counts, fraction)
        size = _field_bytes(width)
        field = ((lo & (2 << width) - 1) << width + 1 | (hi & (2 << width) - 1)) << 2 | fraction
        head = bytes([width]) + field.to_bytes(size, "big")
        deltas = np.diff(levels, prepend=0).astype(np.int32).reshape(1, 1, -1)
        table = _put_adaptive(deltas, TABLE_WIDTH, 0, 7, False)
        found.append(head + table + rans.encode(values, indexes, _table(levels, fraction, lo)))
    return found


def _field_bytes(width: int) -> int:
    return (2 * (width + 1) + 2 + 7) >> 3


def _frequency(level: int, fraction: int) -> int:
    if level == 0:
        return 0
    step = (level - 1) << (3 - fraction)
    return OCTAVE[step & 7] << (step >> 3) >> 8


def _levels(counts: np.ndarray, fraction: int) -> np.ndarray:
    """For each count the nearest level from above; zero for zero."""
    top = [_frequency(level, fraction) for level in range(1, (24 << fraction) + 1)]
    edges = np.array([(a + b + 1) // 2 for a, b in zip(top, top[1:])])
    return np.where(counts > 0, 1 + np.searchsorted(edges, counts, side="right"), 0)


def _table(levels: np.ndarray, fraction: int, lo: int) -> FrequencyTables:
    counts = np.array([_frequency(int(level), fraction) for level in levels] + [0], np.int64)
    return FrequencyTables.from_rows([quantise_frequencies(counts)], np.array([lo], np.int32))


def _decode_static(payload: bytes, width: int, shape: tuple[int, int, int], offset: int) -> np.ndarray:
    begin = 1 + _field_bytes(width)
    if len(payload) < begin:
        raise StreamError("RC-STREAM-TRUNCATED", "the payload ends in its table", offset + len(payload))
    field = int.from_bytes(payload[1:begin], "big")
    fraction, hi, lo = field & 3, _signed(field >> 2, width), _signed(field >> 3 + width, width)
    if field >> 4 + 2 * width or not lo <= hi < lo + WIDEST_STATIC or max(-lo, hi).bit_length() != width:
        raise StreamError("RC-STREAM-WEIGHTS", f"no table has integers {lo} .. {hi}", offset + 1)
    deltas = np.empty((1, 1, hi - lo + 1), np.int32)
    content = np.frombuffer(payload, np.uint8)
    end = _take_adaptive(content, begin, deltas, TABLE_WIDTH, 0, 7, False, offset)
    levels = np.cumsum(deltas.reshape(-1).astype(np.int64))
    if levels.min() < 0 or levels.max() > 24 << fraction or not levels[0] or not levels[-1]:
        raise StreamError("RC-STREAM-WEIGHTS", "a table with a level out of range", offset + begin)
    if sum(_frequency(int(level), fraction) for level in levels) >> 32:
        raise StreamError("RC-STREAM-WEIGHTS", "a table of too many integers", offset + begin)
    values = rans.decode(payload[end:], np.zeros(shape, np.int64), _table(levels, fraction, lo), offset + end)
    if values.min() < lo or values.max() > hi:
        raise StreamError("RC-STREAM-SYMBOL", f"an integer outside {lo} .. {hi}", offset + len(payload))
    return values.astype(np.int32)


def _signed(field: int, width: int) -> int:
    value = field & (2 << width) - 1
    return value - (2 << width) if value >> width else value


# --- arguments


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
