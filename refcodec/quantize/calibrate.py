"""Watching the float decoder on photographs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from refcodec.errors import RangeError
from refcodec.models.float_codec import FloatCodec, anchors, rounded
from refcodec.models.network import Observe

SAMPLES = 1 << 14  # values kept per picture and tensor
CHANNEL_SAMPLES = 1 << 9  # values kept per picture and channel of a tensor


@dataclass(frozen=True, slots=True)
class Observations:
    """What the tensors of a decoder looked like, by name.

    samples  (N,) float32, drawn evenly and always holding each picture's extremes
    columns  (C, N) float32, the same channel by channel
    means    (C,) float64, mean of every channel;  squares  (C,) float64, mean of its squares.
    """

    samples: Mapping[str, np.ndarray]
    columns: Mapping[str, np.ndarray]
    means: Mapping[str, np.ndarray]
    squares: Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class _Seen:
    """One entry a picture for each tensor."""

    samples: dict[str, list[np.ndarray]] = field(default_factory=dict)
    columns: dict[str, list[np.ndarray]] = field(default_factory=dict)
    means: dict[str, list[np.ndarray]] = field(default_factory=dict)
    squares: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def __call__(self, name: str, array: np.ndarray) -> None:
        self.samples.setdefault(name, []).append(_sample(array, SAMPLES))
        self.columns.setdefault(name, []).append(np.stack([_sample(plane, CHANNEL_SAMPLES) for plane in array]))
        self.means.setdefault(name, []).append(array.mean(axis=(1, 2), dtype=np.float64))
        self.squares.setdefault(name, []).append(np.square(array, dtype=np.float64).mean(axis=(1, 2)))


def _sample(values: np.ndarray, count: int) -> np.ndarray:
    flat = values.ravel()
    stride = max(1, flat.size // count) | 1  # odd, so that it does not fall into step with rows
    return np.concatenate([flat[::stride], [flat.min(), flat.max()]]).astype(np.float32)


def observe(codec: FloatCodec, latents: Iterable[np.ndarray]) -> Observations:
    """Decode latents in floating point and keep samples of every tensor of the decoder.

    latents  y (M, h, w) float32, unrounded, sides multiples of the hyper stride.
    Raises RangeError when there are none.
    """
    seen = _Seen()
    for y in latents:
        _decode(codec, y, seen)
    if not seen.samples:
        raise RangeError("calibration needs at least one picture")
    return Observations(
        {name: np.concatenate(parts) for name, parts in seen.samples.items()},
        {name: np.concatenate(parts, axis=1) for name, parts in seen.columns.items()},
        {name: np.mean(parts, axis=0) for name, parts in seen.means.items()},
        {name: np.mean(parts, axis=0) for name, parts in seen.squares.items()},
    )


def _decode(codec: FloatCodec, y: np.ndarray, watch: Observe) -> None:
    """One float decode, every tensor watched."""
    z = codec.hyper_symbols(y)
    if z is None:
        y_hat = rounded(y - codec.medians[:, None, None]) + codec.medians[:, None, None]
    else:
        known = codec.hyper_synthesis(z, watch)
        if "side" in known:
            means = _watched_context(codec, y, known["side"], watch)
        else:
            means = known.get("means", np.zeros_like(y))
        y_hat = rounded(y - means) + means
    if "g_s" in codec.networks:
        codec.synthesis(y_hat.astype(np.float32), watch)


def _watched_context(codec: FloatCodec, y: np.ndarray, side: np.ndarray, watch: Observe) -> np.ndarray:
    """Means from context and side information; a first guess of y_hat stands in for a raster recursion."""
    guess = np.rint(y).astype(np.float32)
    means = codec.entropy_parameters(side, codec.context(guess))["means"]
    y_hat = rounded(y - means) + means
    if codec.architecture.mask == "checkerboard":
        codec.entropy_parameters(side, np.zeros_like(side), watch)
        y_hat = y_hat * anchors(y.shape[1], y.shape[2], parity=0)
    return codec.entropy_parameters(side, codec.context(y_hat.astype(np.float32), watch), watch)["means"]
