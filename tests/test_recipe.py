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
        "normalisation_bits": 11,
        "method": "by hand",
        "mean_fraction": 5,
        "activation_steps": {"one": [0.7]} | {str(number): [step] * 2 for number, step in enumerate(AWKWARD)},
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
    with pytest.raises(RangeError, match=r"^RC-RANGE: weights and activations"):
        recipe(normalisation_bits=width)


def test_check_widths_accepts_2_to_16() -> None:
    check_widths(*range(2, 17))


@pytest.mark.parametrize("step", [0.0, -1.0, float("inf"), float("nan"), 1, "1.0", None])
def test_recipe_refuses_steps_that_are_not_positive_and_finite(step: Any) -> None:
    with pytest.raises(RangeError, match=r"^RC-RANGE: every step must be a positive finite number$"):
        recipe(activation_steps={"a": [1.0], "b": [1.0, step]})
    with pytest.raises(RangeError, match=r"^RC-RANGE: every step must be a positive finite number$"):
        recipe(weight_steps={"layer": [1.0, step]})


@pytest.mark.parametrize("fraction", [-1, 13, True, 8.0, "8", None])
def test_recipe_refuses_fractions_beyond_0_to_12(fraction: Any) -> None:
    with pytest.raises(RangeError, match=r"^RC-RANGE: the fraction of means must be 0\.\.12, got "):
        recipe(mean_fraction=fraction)
    assert [recipe(mean_fraction=known).mean_fraction for known in (0, 12)] == [0, 12]


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), 1, None, "0"])
def test_recipe_refuses_corrections_that_are_no_finite_number(value: Any) -> None:
    with pytest.raises(RangeError, match=r"^RC-RANGE: every bias correction must be a finite number$"):
        recipe(bias_corrections={"layer": [0.0, value]})


def test_recipe_refuses_a_method_that_is_no_text() -> None:
    with pytest.raises(RangeError, match=r"^RC-RANGE: the method must be a text, got 5"):
        recipe(method=5)


# --- what it answers


def test_steps_are_one_for_all_channels_or_one_for_each() -> None:
    known = recipe(activation_steps={"one": [0.7], "two": [0.1, 0.2]})
    assert known.steps("one", 3).tolist() == [0.7, 0.7, 0.7]
    assert known.steps("two", 2).tolist() == [0.1, 0.2]
    assert known.steps("two", 2).dtype == "float64"
    for name, channels in (("two", 3), ("two", 1), ("none", 1)):
        with pytest.raises(ModelError, match=f"^RC-MODEL-SCHEMA: the recipe lacks steps of {name} for {channels} "):
            known.steps(name, channels)


def test_layer_gives_steps_and_corrections_of_every_output() -> None:
    known = recipe(weight_steps={"a": [0.1, 0.2], "b": [1.0]}, bias_corrections={"a": [3.0, -4.0]})
    steps, corrections = known.layer("a", 2)
    assert (steps.tolist(), corrections.tolist()) == ([0.1, 0.2], [3.0, -4.0])
    for name, channels in (("a", 1), ("a", 3), ("b", 1), ("c", 1)):
        with pytest.raises(ModelError, match=f"^RC-MODEL-SCHEMA: the recipe lacks the layer {name} of {channels} "):
            known.layer(name, channels)


# --- files


def edited(path: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    document = json.loads(recipe_text(recipe()))
    edit(document)
    path.write_text(json.dumps(document))
    return path


EDITS: dict[str, Callable[[dict[str, Any]], object]] = {
    "no schema": lambda d: d.pop("schema"),
    "another schema": lambda d: d.update(schema="refcodec-recipe/1"),
    "missing key": lambda d: d.pop("method"),
    "fraction beyond 12": lambda d: d.update(mean_fraction=13),
    "step not in a list": lambda d: d["activation_steps"].update(one=0.7),
    "surplus key": lambda d: d.update(more=1),
    "width of 1": lambda d: d.update(weight_bits=1),
    "width as text": lambda d: d.update(activation_bits="8"),
    "boolean width": lambda d: d.update(weight_bits=True),
    "fractional width": lambda d: d.update(weight_bits=8.0),
    "zero step": lambda d: d["activation_steps"].update({"0": [0.0]}),
    "infinite step": lambda d: d["weight_steps"].update(other=[float("inf")]),
    "step as text": lambda d: d["weight_steps"].update(other=["1"]),
    "steps not a list": lambda d: d["weight_steps"].update(other=1.0),
    "steps not an object": lambda d: d.update(activation_steps=[[1.0]]),
    "no weight steps": lambda d: d.update(weight_steps=None),
}

# What only `bias_corrections` and `method` may hold; the steps are checked above.
LOOSE: dict[str, Callable[[dict[str, Any]], object]] = {
    "no corrections": lambda d: d.update(bias_corrections=None),
    "corrections not an object": lambda d: d.update(bias_corrections=[]),
    "correction as text": lambda d: d["bias_corrections"].update(other=["x"]),
    "null correction": lambda d: d["bias_corrections"].update(other=[None]),
    "correction not a number": lambda d: d["bias_corrections"].update(other=[float("nan")]),
    "infinite correction": lambda d: d["bias_corrections"].update(other=[float("inf")]),
    "ragged corrections": lambda d: d["bias_corrections"].update(layer=[[1.0], [1.0, 2.0]]),
    "method not text": lambda d: d.update(method=5),
}


@pytest.mark.parametrize("edit", EDITS)
def test_load_recipe_refuses_malformed_documents(edit: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^RC-MODEL-SCHEMA: .*bad\.json"):
        load_recipe(edited(tmp_path / "bad.json", EDITS[edit]))


@pytest.mark.parametrize("edit", LOOSE)
def test_load_recipe_refuses_malformed_corrections(edit: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^RC-MODEL-SCHEMA: .*bad\.json"):
        load_recipe(edited(tmp_path / "bad.json", LOOSE[edit]))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"1", b'"refcodec-recipe/2"', b"\xff\xfe\x00", b"{}"])
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


def test_schema_is_version_two() -> None:
    assert json.loads(recipe_text(recipe()))["schema"] == SCHEMA == "refcodec-recipe/2"
