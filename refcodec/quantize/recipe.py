"""A recipe: every choice that turns float weights into integers, so that pictures are needed only once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import isfinite
from pathlib import Path

import numpy as np

from refcodec.errors import ModelError, RangeError
from refcodec.files import read_bytes

SCHEMA = "refcodec-recipe/2"
MIN_BITS, MAX_BITS = 2, 16
MAX_FRACTION = 12


def check_widths(*widths: int) -> None:
    """Raise RangeError unless every width is 2..16 bits."""
    for width in widths:
        if type(width) is not int or not MIN_BITS <= width <= MAX_BITS:
            raise RangeError(f"weights and activations have {MIN_BITS}..{MAX_BITS} bits, got {width!r}")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Widths and steps of a post-training quantisation.

    weight_bits, activation_bits, normalisation_bits  2..16, the last of gamma
    method            what chose the steps, for people
    mean_fraction     fraction bits of the means that a decoder computes, 0..12
    activation_steps  real value of one LSB, by tensor name: one for all channels, or one per channel
    weight_steps      real value of one LSB of a layer's weights, one per output channel. Where the source has steps per
                      channel, its weights are those times the step of their input channel over the largest one.
    bias_corrections  by layer, one per output channel: what the rounded weights add to the mean output.
    Raises RangeError.
    """

    weight_bits: int
    activation_bits: int
    normalisation_bits: int
    method: str
    mean_fraction: int
    activation_steps: Mapping[str, list[float]]
    weight_steps: Mapping[str, list[float]]
    bias_corrections: Mapping[str, list[float]]

    def __post_init__(self) -> None:
        check_widths(self.weight_bits, self.activation_bits, self.normalisation_bits)
        if type(self.method) is not str:
            raise RangeError(f"the method must be a text, got {self.method!r}")
        if type(self.mean_fraction) is not int or not 0 <= self.mean_fraction <= MAX_FRACTION:
            raise RangeError(f"the fraction of means must be 0..{MAX_FRACTION}, got {self.mean_fraction!r}")
        corrections = [value for row in self.bias_corrections.values() for value in row]
        if not all(isinstance(value, float) and isfinite(value) for value in corrections):
            raise RangeError("every bias correction must be a finite number")
        rows = [*self.weight_steps.values(), *self.activation_steps.values()]
        if not all(isinstance(step, float) and step > 0.0 and isfinite(step) for row in rows for step in row):
            raise RangeError("every step must be a positive finite number")

    @property
    def precision(self) -> str:
        """The usual short name, such as W8A8."""
        return f"W{self.weight_bits}A{self.activation_bits}"

    def steps(self, tensor: str, channels: int) -> np.ndarray:
        """Steps of an activation, (C,) float64.  Raises ModelError RC-MODEL-SCHEMA where the recipe has none."""
        row = self.activation_steps.get(tensor)
        if row is None or len(row) not in (1, channels):
            raise ModelError("RC-MODEL-SCHEMA", f"the recipe lacks steps of {tensor} for {channels} channels")
        return np.broadcast_to(np.array(row, np.float64), channels)

    def layer(self, name: str, channels: int) -> tuple[np.ndarray, np.ndarray]:
        """Weight steps and bias corrections of a layer, (O,) float64 each.  Raises ModelError RC-MODEL-SCHEMA."""
        found = []
        for table in (self.weight_steps, self.bias_corrections):
            row = table.get(name)
            if row is None or len(row) != channels:
                raise ModelError("RC-MODEL-SCHEMA", f"the recipe lacks the layer {name} of {channels} channels")
            found.append(np.array(row, np.float64))
        return found[0], found[1]


def recipe_text(recipe: Recipe) -> str:
    """JSON text of a recipe; floats keep every bit."""
    return json.dumps({"schema": SCHEMA, **asdict(recipe)}, indent=1, sort_keys=True) + "\n"


def load_recipe(path: str | Path) -> Recipe:
    """Read a recipe.  Raises FileError RC-FILE-READ, ModelError RC-MODEL-SCHEMA."""
    try:
        document = json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise ModelError("RC-MODEL-SCHEMA", f"{path} is not a recipe: {error}") from error
    names = {item.name for item in fields(Recipe)}
    if type(document) is not dict or document.pop("schema", None) != SCHEMA or set(document) != names:
        raise ModelError("RC-MODEL-SCHEMA", f"{path} is not a {SCHEMA} document")
    try:
        return Recipe(**document)
    except (RangeError, AttributeError, TypeError) as error:
        raise ModelError("RC-MODEL-SCHEMA", f"{path}: {error}") from error
