"""Which taps of a kernel see the picture together, beside zeros, at some position of a picture of some size.

An accumulator takes its extremes over these windows: a sample outside the picture counts as zero, and which taps can be
outside at once depends on stride and padding (SPEC CONV-2, TCONV-3).
"""

from __future__ import annotations

from typing import NamedTuple

from refcodec import fixed


class Window(NamedTuple):
    """What one output position sees along one axis.

    taps  kernel indexes that meet a sample of the picture;  samples  which sample each of them meets
    size  samples of the picture along the axis;  position  of the output.
    """

    taps: tuple[int, ...]
    samples: tuple[int, ...]
    size: int
    position: int


def _sizes(kernel: int, stride: int, padding: int) -> range:
    """Sizes up to one with positions that see neither edge, and every mixture of edges before it."""
    return range(1, kernel + padding + 2 * stride + 1)


def _window(met: dict[int, int], size: int, position: int) -> Window:
    """What a position sees, from the place that each tap looks at."""
    inside = {tap: place for tap, place in sorted(met.items()) if 0 <= place < size}
    return Window(tuple(inside), tuple(inside.values()), size, position)


def convolution_windows(kernel: int, stride: int, padding: int) -> list[Window]:
    """Every window of a convolution along one axis, each in the smallest picture that has it (SPEC CONV-2)."""
    found: dict[tuple[int, ...], Window] = {}
    for size in _sizes(kernel, stride, padding):
        for position in range(fixed.convolution_size(size, kernel, stride, padding)):
            met = {tap: position * stride - padding + tap for tap in range(kernel)}
            window = _window(met, size, position)
            found.setdefault(window.taps, window)
    return list(found.values())


def transposed_windows(kernel: int, stride: int, padding: int, output_padding: int) -> list[list[Window]]:
    """The windows of every phase of a transposed convolution along one axis, as above (SPEC TCONV-2)."""
    found: list[dict[tuple[int, ...], Window]] = [{} for _ in range(stride)]
    for size in _sizes(kernel, stride, padding):
        for position in range(fixed.transposed_size(size, kernel, stride, padding, output_padding)):
            m, phase = divmod(position, stride)
            met = {tap: m + offset for tap, offset in fixed.phase_taps(kernel, stride, padding, phase)}
            window = _window(met, size, position)
            found[phase].setdefault(window.taps, window)
    return [list(windows.values()) for windows in found]
