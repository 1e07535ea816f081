"""The arrays of an authors' checkpoint, without what training wrapped around them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from refcodec.errors import ModelError

# What data parallelism and compilation put before every name.
_WRAPPERS = ("module.", "_orig_mod.")
# Older checkpoints of NeRV have it, and its present code leaves it out when it loads them.
_OLD_BLOCK = re.compile(r"(layers\.\d+\.)blocks\.0\.")
# Pruning and quantisation-aware training keep a weight elsewhere, with a mask and numbers that only training uses.
_PARAMETRISED = re.compile(r"(?P<owner>.+\.)parametrizations\.(?P<name>[^.]+)\.(?P<part>original|\d+\.\w+)")
_TRAINING_ONLY = ("bitwidth", "noise_ratio")


def refusal(message: str) -> ModelError:
    """The error for a parameter that does not fit."""
    return ModelError("RC-CHECKPOINT-PARAMETER", message)


class Layer(NamedTuple):
    """A convolution or, with a kernel of 1, a linear layer: its name there, weight (O, I, K, K) and bias (O,)."""

    name: str
    weight: np.ndarray
    bias: np.ndarray

    @property
    def outputs(self) -> int:
        """Channels that it gives."""
        return len(self.weight)

    @property
    def inputs(self) -> int:
        """Channels that it reads."""
        return self.weight.shape[1]

    @property
    def kernel(self) -> int:
        """Samples along each side of its window."""
        return self.weight.shape[2]


def _strip(parameters: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    found = dict(parameters)
    while any(found and all(name.startswith(wrapper) for name in found) for wrapper in _WRAPPERS):
        found = {name.split(".", 1)[1]: array for name, array in found.items()}
    return {_OLD_BLOCK.sub(r"\1", name): array for name, array in found.items()}


def unwrapped(parameters: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Plain names and pruned weights.

    Weights come from torch's pruning as `weight_orig` and `weight_mask`, from HiNeRV's as a parametrisation.
    """
    found: dict[str, np.ndarray] = {}
    masks: dict[str, np.ndarray] = {}
    for name, array in _strip(parameters).items():
        wrapped = _PARAMETRISED.fullmatch(name)
        if wrapped is not None:
            plain, part = wrapped["owner"] + wrapped["name"], wrapped["part"].split(".")[-1]
        else:
            plain, part = re.sub(r"_(orig|mask)$", "", name), name.rpartition("_")[2]
        if part == "mask":
            masks[plain] = array
        elif wrapped is None or part == "original":
            found[plain] = array
        elif part not in _TRAINING_ONLY:
            found[name] = array
    for name, mask in masks.items():
        if name not in found or found[name].shape != mask.shape:
            raise refusal(f"{name}: a mask {mask.shape} without a weight of that shape")
        found[name] = found[name] * mask.astype(found[name].dtype)
    return found


class Tensors:
    """Arrays by name, each of which must be taken once.

    parameters  as a checkpoint has them.  Raises ModelError RC-CHECKPOINT-PARAMETER.
    """

    __slots__ = ("_left",)

    def __init__(self, parameters: Mapping[str, np.ndarray]) -> None:
        self._left = unwrapped(parameters)

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def take(self, name: str, rank: int) -> np.ndarray:
        """An array as float32.  Raises ModelError unless it is there, of that rank, floating point and finite."""
        array = self._left.pop(name, None)
        wanted = f"{name}: wanted finite floating point of {rank} axes"
        if array is None:
            raise refusal(f"{wanted}, found none")
        if array.ndim != rank or array.dtype.kind != "f" or not np.isfinite(array).all():
            raise refusal(f"{wanted}, got {array.dtype} {array.shape}")
        return np.ascontiguousarray(array, np.float32)

    def layer(self, name: str) -> Layer:
        """A layer with a square window of odd sides; a bias that it lacks is zero."""
        linear = name + ".weight" in self and self._left[name + ".weight"].ndim == 2
        weight = self.take(name + ".weight", 2 if linear else 4)
        weight = weight[:, :, None, None] if linear else weight
        if weight.shape[2] != weight.shape[3] or weight.shape[2] % 2 == 0:
            raise refusal(f"{name}.weight: wanted a square window of odd sides, got {weight.shape}")
        bias = self.take(name + ".bias", 1) if name + ".bias" in self else np.zeros(len(weight), np.float32)
        if bias.shape != weight.shape[:1]:
            raise refusal(f"{name}.bias: wanted {weight.shape[:1]}, got {bias.shape}")
        return Layer(name, weight, bias)

    def numbers(self, prefix: str, suffix: str) -> list[int]:
        """The numbers n for which there is an array called prefix, n, suffix; rising."""
        pattern = re.compile(rf"{re.escape(prefix)}(0|[1-9]\d*){re.escape(suffix)}")
        matches = map(pattern.fullmatch, self._left)
        return sorted(int(match[1]) for match in matches if match is not None)

    def layers(self, prefix: str, suffix: str) -> list[Layer]:
        """The layers called prefix, n, suffix, by rising n; at least one."""
        numbers = self.numbers(prefix, suffix + ".weight")
        if not numbers:
            raise refusal(f"{prefix}N{suffix}.weight: found none; other kinds of layers are not read")
        return [self.layer(f"{prefix}{n}{suffix}") for n in numbers]

    def drop(self, prefix: str) -> bool:
        """Leave out all whose names begin so; whether there were any."""
        kept = {name: array for name, array in self._left.items() if not name.startswith(prefix)}
        dropped, self._left = len(kept) < len(self._left), kept
        return dropped

    def finish(self, kind: str) -> None:
        """Raise ModelError if an array was not taken.  kind  whose network it is that has none like it."""
        for name in sorted(self._left):
            raise refusal(f"{name}: surplus; only {kind} is read")
