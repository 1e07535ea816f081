"""Whole real layers of h_s, on a photograph's tensors, in every simulator and at every shipped precision."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from hw.convert import convert_layer
from hw.cosim import cosim, missing_tools
from hw.simulate import simulate_layer
from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.datapath import SMALL_TILE, Taps, layer_input, layers, photograph_latents, run_programs
from refcodec.models.shipped import DEFAULT_FLOAT, RECIPES, recipe_name, shipped_path
from refcodec.models.trained import load_trained
from refcodec.quantize.integerise import integerise
from refcodec.quantize.recipe import load_recipe

LANES = (8, 8)
ONE_SOON = [p if p == "w8a8" else pytest.param(p, marks=pytest.mark.long) for p in RECIPES]


@cache
def decoder(precision: str) -> tuple[ScaleHyperprior, Taps]:
    """The shipped model at a precision, and every tensor of the photograph in it."""
    recipe = load_recipe(shipped_path(recipe_name(precision), ".json"))
    codec = ScaleHyperprior.from_model(integerise(load_trained(shipped_path(DEFAULT_FLOAT)), recipe))
    return codec, run_programs(codec, *photograph_latents())


def cosimulate(precision, layer, tile, language, simulator, folder):
    missing = missing_tools(simulator)
    if missing:
        pytest.skip(f"{simulator} needs {', '.join(missing)}")
    codec, taps = decoder(precision)
    x = layer_input(codec, layer, taps, tile)
    manifest = convert_layer(layers(codec)[layer], layer, x, language, folder, *LANES)
    (result,) = cosim(folder, [simulator])
    assert (result.status, result.mismatches, result.reason) == ("passed", 0, "")
    assert result.cycles == manifest["cycles"]["run"]


HEADROOM = {"w12a12": 1.25, "w16a16": 1.5}  # recipes of wide formats leave room for pictures not calibrated on


@pytest.mark.parametrize("precision", RECIPES)
def test_photograph_reaches_the_lower_end_and_most_of_the_range(precision):
    codec, taps = decoder(precision)
    target = codec.h_s.tensor("h_s.1").format
    values = np.unique(taps["h_s.1"])
    assert values[0] == target.lo
    assert values[-1] > 0.9 * target.hi / HEADROOM.get(precision, 1.0)
    assert values.size >= 16
    assert taps["h_s.0"].min() < 0 < taps["h_s.0"].max()


@pytest.mark.parametrize("precision", RECIPES)
def test_layer_tile_equals_golden_in_myhdl(precision):
    codec, taps = decoder(precision)
    x = layer_input(codec, "h_s.0", taps, SMALL_TILE)
    result = simulate_layer(codec.h_s, "h_s.0", x, *LANES)
    assert result.equal
    assert result.mismatches == 0
    assert result.cycles == result.expected_cycles
    assert np.unique(result.outputs).size > 4


@pytest.mark.parametrize("precision", ONE_SOON)
def test_whole_layer_equals_golden_in_icarus(precision, tmp_path):
    cosimulate(precision, "h_s.0", None, "verilog", "icarus", tmp_path / "rtl")


@pytest.mark.parametrize("precision", ONE_SOON)
def test_whole_layer_equals_golden_in_verilator(precision, tmp_path):
    cosimulate(precision, "h_s.0", None, "verilog", "verilator", tmp_path / "rtl")


@pytest.mark.parametrize("precision", RECIPES)
def test_layer_tile_equals_golden_in_ghdl(precision, tmp_path):
    cosimulate(precision, "h_s.0", SMALL_TILE, "vhdl", "ghdl", tmp_path / "rtl")


@pytest.mark.long
@pytest.mark.parametrize("layer", ["h_s.2", "h_s.4"])
def test_other_whole_layers_equal_golden_in_verilator(layer, tmp_path):
    cosimulate("w8a8", layer, None, "verilog", "verilator", tmp_path / "rtl")
