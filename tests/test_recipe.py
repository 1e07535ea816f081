"""Recipes keep every bit of every step, and malformed ones are refused by their codes."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refcodec.errors import FileError, ModelError, RangeError
from refcodec.models.shipped import RECIPES, recipe_name, shipped_path
from refcodec.quantize.recipe import SCHEMA, Recipe, check_widths, load_recipe, recipe_text

AWKWARD = [0.1, 1 / 3, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1.0, 2.0**-40, 0.30000000000000004]


def recipe(**changes: Any) -> Recipe:
    """A small recipe of awkward floats."""
    chosen: dict[str, Any] = {
        "weight_bits": 7,
        "activation_bits": 9,
        "observer": "mse",
        "activation_steps": {str(number): step for number, step in enumerate(AWKWARD)},
        "normalisation_steps": {"norm": AWKWARD[::-1]},
        "weight_steps": {"layer": AWKWARD, "other": [0.7]},
        "bias_corrections": {"layer": [-step for step in AWKWARD], "other": [-0.0]},
    }
    return Recipe(**(chosen | changes))


def bits(value: Any) -> Any:
    """The same structure with every float as its 64 bits."""
    if isinstance(value, float):
        return struct.pack("<d", value)
    if isinstance(value, dict):
        return {key: bits(item) for key, item in value.items()}
    return [bits(item) for item in value] if isinstance(value, list) else value


def fields_of(known: Recipe) -> dict[str, Any]:
    return {name: bits(getattr(known, name)) for name in Recipe.__slots__}


def test_recipe_text_round_trip_keeps_every_bit(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(recipe_text(recipe()))
    assert fields_of(load_recipe(path)) == fields_of(recipe())
    assert recipe_text(load_recipe(path)) == path.read_text()


@pytest.mark.parametrize("precision", RECIPES)
def test_recipe_text_of_a_shipped_recipe_is_its_file(precision: str) -> None:
    path = shipped_path(recipe_name(precision), ".json")
    known = load_recipe(path)
    assert recipe_text(known) == path.read_text()
    assert known.precision.lower() == precision


def test_recipe_text_does_not_depend_on_the_order_of_names() -> None:
    turned = recipe(weight_steps=dict(reversed(recipe().weight_steps.items())))
    assert recipe_text(turned) == recipe_text(recipe())


@pytest.mark.parametrize("width", [1, 17, 0, -8, True, 8.0, "8", None])
def test_check_widths_refuses_what_is_not_2_to_16(width: Any) -> None:
    with pytest.raises(RangeError, match=r"^RC-RANGE: weights and activations have 2\.\.16 bits, got "):
        check_widths(8, width)
    with pytest.raises(RangeError, match=r"^RC-RANGE: weights and activations"):
        recipe(weight_bits=width)
    with pytest.raises(RangeError, match=r"^RC-RANGE: weights and activations"):
        recipe(activation_bits=width)


def test_check_widths_accepts_2_to_16() -> None:
    check_widths(*range(2, 17))


@pytest.mark.parametrize("step", [0.0, -1.0, float("inf"), float("nan"), 1, "1.0", None])
def test_recipe_refuses_steps_that_are_not_positive_and_finite(step: Any) -> None:
    with pytest.raises(RangeError, match=r"^RC-RANGE: every step must be a positive finite number$"):
        recipe(activation_steps={"a": 1.0, "b": step})
    with pytest.raises(RangeError, match=r"^RC-RANGE: every step must be a positive finite number$"):
        recipe(weight_steps={"layer": [1.0, step]})


# --- files


def edited(path: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    document = json.loads(recipe_text(recipe()))
    edit(document)
    path.write_text(json.dumps(document))
    return path


EDITS: dict[str, Callable[[dict[str, Any]], object]] = {
    "no schema": lambda d: d.pop("schema"),
    "another schema": lambda d: d.update(schema="refcodec-recipe/2"),
    "missing key": lambda d: d.pop("observer"),
    "surplus key": lambda d: d.update(more=1),
    "width of 1": lambda d: d.update(weight_bits=1),
    "width as text": lambda d: d.update(activation_bits="8"),
    "boolean width": lambda d: d.update(weight_bits=True),
    "fractional width": lambda d: d.update(weight_bits=8.0),
    "zero step": lambda d: d["activation_steps"].update({"0": 0.0}),
    "infinite step": lambda d: d["weight_steps"].update(other=[float("inf")]),
    "step as text": lambda d: d["weight_steps"].update(other=["1"]),
    "steps not a list": lambda d: d["weight_steps"].update(other=1.0),
    "steps not an object": lambda d: d.update(activation_steps=[1.0]),
    "no weight steps": lambda d: d.update(weight_steps=None),
}

# What only `bias_corrections` and `observer` may hold; the steps are checked above.
LOOSE: dict[str, Callable[[dict[str, Any]], object]] = {
    "no corrections": lambda d: d.update(bias_corrections=None),
    "corrections not an object": lambda d: d.update(bias_corrections=[]),
    "correction as text": lambda d: d["bias_corrections"].update(other=["x"]),
    "null correction": lambda d: d["bias_corrections"].update(other=[None]),
    "correction not a number": lambda d: d["bias_corrections"].update(other=[float("nan")]),
    "infinite correction": lambda d: d["bias_corrections"].update(other=[float("inf")]),
    "ragged corrections": lambda d: d["bias_corrections"].update(layer=[[1.0], [1.0, 2.0]]),
    "observer not text": lambda d: d.update(observer=5),
}


@pytest.mark.parametrize("edit", EDITS)
def test_load_recipe_refuses_malformed_documents(edit: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^RC-MODEL-SCHEMA: .*bad\.json"):
        load_recipe(edited(tmp_path / "bad.json", EDITS[edit]))


@pytest.mark.parametrize("edit", LOOSE)
def test_load_recipe_refuses_malformed_corrections(edit: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^RC-MODEL-SCHEMA: .*bad\.json"):
        load_recipe(edited(tmp_path / "bad.json", LOOSE[edit]))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"1", b'"refcodec-recipe/1"', b"\xff\xfe\x00", b"{}"])
def test_load_recipe_refuses_other_files(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"^RC-MODEL-SCHEMA: .*bad\.json"):
        load_recipe(tmp_path / "bad.json")


def test_load_recipe_refuses_deep_nesting(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("[" * 100_000)
    with pytest.raises(ModelError, match=r"^RC-MODEL-SCHEMA: .*bad\.json"):
        load_recipe(tmp_path / "bad.json")


def test_load_recipe_refuses_missing_files_and_folders(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(FileError, match=r"^RC-FILE-READ: cannot read ") as caught:
            load_recipe(path)
        assert caught.value.code == "RC-FILE-READ"


def test_schema_is_version_one() -> None:
    assert json.loads(recipe_text(recipe()))["schema"] == SCHEMA == "refcodec-recipe/1"
