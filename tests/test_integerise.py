"""Float weights and a recipe become integers: scales, widths, thresholds, and the shipped model to the bit."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import floor

import numpy as np
import pytest

from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.errors import ModelError
from refcodec.formats import IntFormat, multiplier_bits
from refcodec.models.encoder import float_planes
from refcodec.models.shipped import DEFAULT_FLOAT, DEFAULT_MODEL, RECIPES, recipe_name, shipped_path
from refcodec.models.trained import Trained, load_trained, scale_table
from refcodec.program.model_file import Model, load_model, model_to_bytes
from refcodec.program.operations import Convolution, Requantise, ScaleIndex, TransposedConvolution
from refcodec.program.program import Program
from refcodec.quantize.calibrate import Observations, choose, observe
from refcodec.quantize.integerise import MEAN_FRACTION, dyadic, integerise
from refcodec.quantize.layers import G_S, H_S
from refcodec.quantize.recipe import Recipe, load_recipe

Layers = Convolution | TransposedConvolution
PROFILES = [31, 15]


@pytest.fixture(scope="module")
def trained() -> Trained:
    return load_trained(shipped_path(DEFAULT_FLOAT))


@pytest.fixture(scope="module")
def observations(trained: Trained) -> Observations:
    y, x = np.mgrid[:64, :128]
    picture = np.stack([2 * x % 256, (x + y) % 256, np.where(x // 16 + y // 16 & 1, 230, 20)], axis=2)
    return observe(trained.twin, [float_planes(picture.astype(np.uint8))])


def shipped_recipe(precision: str) -> Recipe:
    return load_recipe(shipped_path(recipe_name(precision), ".json"))


@pytest.fixture(scope="module")
def models(trained: Trained, observations: Observations) -> dict[str, tuple[Model, Recipe]]:
    """A model of every shipped recipe, and of every width by a calibration on one small picture."""
    recipes = {precision: shipped_recipe(precision) for precision in RECIPES}
    for bits in range(2, 17):
        recipes[f"w{bits}a{18 - bits}-minmax"] = choose(trained.twin, observations, bits, 18 - bits, "minmax")
    for bits in (2, 16):
        recipes[f"w{bits}a{bits}-mse"] = choose(trained.twin, observations, bits, bits, "mse")
    return {name: (integerise(trained, recipe), recipe) for name, recipe in recipes.items()}


def layers_of(program: Program) -> list[Layers]:
    return [op for op in program.operations if isinstance(op, Layers)]


# --- dyadic scales


@pytest.mark.parametrize("bits", PROFILES)
def test_dyadic_is_the_nearest_multiplier_at_full_width(bits: int) -> None:
    rng = np.random.default_rng(bits)
    scales = np.concatenate(
        [
            np.exp2(rng.uniform(bits - 61, bits - 2, 2000)),
            np.exp2(np.arange(bits - 61, bits - 1)),
            np.nextafter(np.exp2(np.arange(bits - 60, bits - 1)), 0.0),
        ]
    )
    multiplier, shift = dyadic(scales, bits)
    assert multiplier.dtype == np.int64
    assert multiplier.min() >= 1 << (bits - 1)
    assert multiplier.max() < 1 << bits
    assert shift.min() >= 1
    assert shift.max() <= 62
    for scale, m, s in zip(scales.tolist(), multiplier.tolist(), shift.tolist(), strict=True):
        exact = Fraction(scale) * 2**s
        assert abs(m - exact) <= Fraction(1, 2), scale
        assert abs(Fraction(m, 2**s) / Fraction(scale) - 1) <= Fraction(1, 2**bits)


@pytest.mark.parametrize("bits", PROFILES)
def test_dyadic_of_tiny_scales_keeps_the_absolute_error_of_the_longest_shift(bits: int) -> None:
    scales = np.array([2.0**-k * f for k in range(62 - bits, 90) for f in (1.0, 1.37, 1.999999)])
    multiplier, shift = dyadic(scales, bits)
    for scale, m, s in zip(scales.tolist(), multiplier.tolist(), shift.tolist(), strict=True):
        assert 0 <= m < 1 << bits
        assert 1 <= s <= 62
        assert abs(Fraction(m, 2**s) - Fraction(scale)) <= max(Fraction(1, 2**63), Fraction(scale) / 2**bits)


@pytest.mark.parametrize("bits", PROFILES)
def test_dyadic_carries_into_the_next_power(bits: int) -> None:
    below_one = 1.0 - 2.0**-52
    multiplier, shift = dyadic(np.array([below_one, below_one * 8]), bits)
    assert multiplier.tolist() == [1 << (bits - 1)] * 2
    assert shift.tolist() == [bits - 1, bits - 4]


@pytest.mark.parametrize("bits", PROFILES)
def test_dyadic_refuses_scales_too_large(bits: int) -> None:
    largest = (2**bits - 1) / 2
    assert [array.tolist() for array in dyadic(np.array([largest]), bits)] == [[2**bits - 1], [1]]
    for scale in (2.0 ** (bits - 1), largest + 0.25, 1e15):
        with pytest.raises(ModelError, match=rf"^RC-MODEL-RANGE: a scale of .* does not fit a {bits}-bit multiplier"):
            dyadic(np.array([1.0, scale]), bits)


@pytest.mark.parametrize("scale", [1e30, 1e300, np.inf, np.nan])
def test_dyadic_refuses_scales_beyond_all_integers(scale: float) -> None:
    with pytest.raises(ModelError, match=r"^RC-MODEL-RANGE: "):
        dyadic(np.array([1.0, scale]), 31)


# --- whole models


def test_integerise_makes_a_valid_decoder_at_every_width(models: dict[str, tuple[Model, Recipe]]) -> None:
    widths = {(recipe.weight_bits, recipe.activation_bits) for _, recipe in models.values()}
    assert {w for w, _ in widths} == {a for _, a in widths} == set(range(2, 17))
    for model, recipe in models.values():
        codec = ScaleHyperprior.from_model(model)
        assert model.settings == {"weight_bits": recipe.weight_bits, "activation_bits": recipe.activation_bits}
        for program in (codec.h_s, codec.g_s):
            for op in layers_of(program):
                assert op.weight_format == IntFormat(recipe.weight_bits, True)
                assert program.tensor(op.source).format.bits == recipe.activation_bits
                assert np.abs(op.weight).max() <= 2 ** (recipe.weight_bits - 1)


def test_integerise_makes_accumulators_exactly_as_wide_as_needed(models: dict[str, tuple[Model, Recipe]]) -> None:
    profiles = set()
    for model, _ in models.values():
        for program in model.programs.values():
            for op in layers_of(program):
                source, accumulator = program.tensor(op.source).format, program.tensor(op.target).format
                bound = naive_bound(op, source.magnitude)
                assert bound <= accumulator.hi
                assert bound > IntFormat(accumulator.bits - 1, True).hi
                profiles.add(multiplier_bits(accumulator))
    assert profiles == {31, 15}, "both requantisation profiles should be reached"


def naive_bound(op: Layers, magnitude: int) -> int:
    """ACC-1 by counting which taps reach an output of each phase."""
    kernel = op.weight.shape[2]
    if isinstance(op, Convolution):
        selections = [(list(range(kernel)),) * 2]
    else:
        taps = [[k for k in range(kernel) if (p + op.padding - k) % op.stride == 0] for p in range(op.stride)]
        selections = [(rows, columns) for rows in taps for columns in taps]
    return max(
        int(np.abs(op.weight[o].astype(int))[:, rows][:, :, columns].sum()) * magnitude + abs(int(op.bias[o]))
        for o in range(op.weight.shape[0])
        for rows, columns in selections
    )


def test_integerise_rounds_weights_biases_and_scales(trained: Trained, models: dict[str, tuple[Model, Recipe]]) -> None:
    for name in (*RECIPES, "w2a16-minmax", "w16a2-minmax"):
        model, recipe = models[name]
        for program, described in ((model.programs["h_s"], H_S), (model.programs["g_s"], G_S)):
            for layer, op in zip(described, layers_of(program), strict=True):
                fmt, steps = IntFormat(recipe.weight_bits, True), recipe.weight_steps[layer.name]
                unit = [step * recipe.activation_steps[layer.source] for step in steps]
                weight = trained.twin.parameters[f"{layer.name}.weight"].astype(float)
                bias = trained.twin.parameters[f"{layer.name}.bias"].astype(float)
                for o in range(0, len(steps), 13):
                    real = weight[:, o] if layer.transposed else weight[o]
                    wanted = [min(max(floor(w / steps[o] + 0.5), fmt.lo), fmt.hi) for w in real.ravel().tolist()]
                    assert op.weight[o].ravel().tolist() == wanted
                    corrected = (bias[o] - recipe.bias_corrections[layer.name][o]) / unit[o]
                    assert int(op.bias[o]) == floor(corrected + 0.5)
                after = program.operations[program.operations.index(op) + 1]
                if isinstance(after, Requantise):
                    target = 1 / 255 if layer.target == "x_hat" else recipe.activation_steps[layer.target]
                    real_scale = after.multiplier / np.exp2(after.shift.astype(float))
                    np.testing.assert_allclose(real_scale, np.array(unit) / target, rtol=2.0**-15)


def test_integerise_means_are_the_medians_in_fixed_point(
    trained: Trained, models: dict[str, tuple[Model, Recipe]]
) -> None:
    wanted = [floor(float(m) * 2**MEAN_FRACTION + 0.5) for m in trained.twin.medians]
    for model, _ in models.values():
        assert model.programs["h_s"].operation("z_mean").mean.tolist() == wanted  # type: ignore[union-attr]


def test_integerise_thresholds_compare_as_real_scales_do(models: dict[str, tuple[Model, Recipe]]) -> None:
    bounds = scale_table()
    assert (np.diff(bounds) > 0).all()
    for model, recipe in models.values():
        program = model.programs["h_s"]
        indexes = program.operations[-1]
        assert isinstance(indexes, ScaleIndex)
        hi = program.tensor(indexes.source).format.hi
        for o in range(0, indexes.thresholds.shape[0], 9):
            unit = Fraction(recipe.weight_steps["h_s.4"][o] * recipe.activation_steps["h_s.3"])
            for bound, threshold in zip(bounds[:63].tolist(), indexes.thresholds[o].tolist(), strict=True):
                if threshold == hi:  # no accumulator is above it, and none has a scale above the bound
                    assert unit * hi <= Fraction(bound) or floor(Fraction(bound) / unit) == hi
                else:
                    assert threshold * unit <= Fraction(bound) < (threshold + 1) * unit


@pytest.mark.parametrize("precision", ["w2a16-minmax", "w8a8", "w16a16"])
def test_integerise_indexes_equal_a_comparison_of_scales(
    precision: str, models: dict[str, tuple[Model, Recipe]]
) -> None:
    model, recipe = models[precision]
    program = model.programs["h_s"]
    fmt = program.tensor("h_s.4").format
    rng = np.random.default_rng(7)
    limit = min(fmt.hi, int(300 / (min(recipe.weight_steps["h_s.4"]) * recipe.activation_steps["h_s.3"])))
    accumulator = rng.integers(-limit // 10, limit, (64, 20, 20), endpoint=True)
    unit = np.array(recipe.weight_steps["h_s.4"]) * recipe.activation_steps["h_s.3"]
    wanted = (accumulator[..., None] * unit[:, None, None, None] > scale_table()[:63]).sum(axis=3)
    got = program.operations[-1].run([accumulator], [program.tensor("h_s.4")], program.tensor("indexes"))
    assert np.array_equal(got, wanted)
    assert got.max() > 50


def test_integerise_of_the_shipped_recipe_is_the_shipped_model(trained: Trained) -> None:
    made = integerise(trained, shipped_recipe("w8a8"))
    path = shipped_path(DEFAULT_MODEL, ".rcm")
    assert made.identity == load_model(path).identity
    assert model_to_bytes(made) == path.read_bytes()


# --- refusals


@pytest.mark.parametrize("field", ["activation_steps", "weight_steps", "bias_corrections"])
def test_integerise_refuses_a_recipe_that_lacks_something(field: str, trained: Trained) -> None:
    recipe = shipped_recipe("w8a8")
    kept = dict(getattr(recipe, field))
    lost = list(kept)[1]
    del kept[lost]
    with pytest.raises(ModelError, match=f"^RC-MODEL-SCHEMA: the recipe lacks '{lost}'"):
        integerise(trained, replace(recipe, **{field: kept}))


@pytest.mark.parametrize("field", ["weight_steps", "bias_corrections"])
def test_integerise_refuses_a_recipe_for_other_channels(field: str, trained: Trained) -> None:
    recipe = shipped_recipe("w8a8")
    cut = {**getattr(recipe, field), "g_s.2": [1.0] * 31}
    with pytest.raises(ModelError, match=r"^RC-MODEL-SCHEMA: g_s\.2: the recipe is not for 32 channels"):
        integerise(trained, replace(recipe, **{field: cut}))


def test_integerise_refuses_steps_with_too_large_a_scale(trained: Trained) -> None:
    recipe = shipped_recipe("w8a8")
    fine = {**recipe.activation_steps, "g_s.1": 1e-12}
    with pytest.raises(ModelError, match=r"^RC-MODEL-RANGE: a scale of .* does not fit a 31-bit multiplier"):
        integerise(trained, replace(recipe, activation_steps=fine))
