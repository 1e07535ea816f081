"""A recipe: every choice that turns float weights into integers, so that pictures are needed only once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import isfinite
from pathlib import Path

from refcodec.errors import ModelError, RangeError
from refcodec.files import read_bytes

SCHEMA = "refcodec-recipe/1"
MIN_BITS, MAX_BITS = 2, 16


def check_widths(*widths: int) -> None:
    """Raise RangeError unless every width is 2..16 bits."""
    for width in widths:
        if type(width) is not int or not MIN_BITS <= width <= MAX_BITS:
            raise RangeError(f"weights and activations have {MIN_BITS}..{MAX_BITS} bits, got {width!r}")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Widths and steps of a post-training quantisation.

    weight_bits, activation_bits  2..16;  observer  what chose the steps
    activation_steps  real value of one LSB, by tensor name;  weight_steps  by layer, one per output channel
    normalisation_steps  real value of one LSB of what a normalisation reads, by its name, one per channel
    bias_corrections  by layer, one per output channel: what the rounded weights add to the mean output.
    Raises RangeError.
    """

    weight_bits: int
    activation_bits: int
    observer: str
    activation_steps: Mapping[str, float]
    normalisation_steps: Mapping[str, list[float]]
    weight_steps: Mapping[str, list[float]]
    bias_corrections: Mapping[str, list[float]]

    def __post_init__(self) -> None:
        check_widths(self.weight_bits, self.activation_bits)
        if type(self.observer) is not str:
            raise RangeError(f"the observer must be a name, got {self.observer!r}")
        corrections = [value for row in self.bias_corrections.values() for value in row]
        if not all(isinstance(value, float) and isfinite(value) for value in corrections):
            raise RangeError("every bias correction must be a finite number")
        rows = [*self.weight_steps.values(), *self.normalisation_steps.values()]
        steps = [*self.activation_steps.values(), *(step for row in rows for step in row)]
        if not all(isinstance(step, float) and step > 0.0 and isfinite(step) for step in steps):
            raise RangeError("every step must be a positive finite number")

    @property
    def precision(self) -> str:
        """The usual short name, such as W8A8."""
        return f"W{self.weight_bits}A{self.activation_bits}"


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
