"""Float weights and a recipe become integers: scales, widths, thresholds, and the shipped model to the bit."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from formula_codecs import formula, formula_picture
from small_codecs import ARCHITECTURES, label, latent_of, small_codec, small_trained, watched

from refcodec.codecs.family import codec_of
from refcodec.codecs.stream import Geometry
from refcodec.errors import ModelError
from refcodec.formats import IntFormat, multiplier_bits
from refcodec.layers.latent_mean import SYMBOL_FORMAT, latent_format
from refcodec.models.architecture import Architecture
from refcodec.models.densities import scale_table
from refcodec.models.encoder import (
    analysis_of,
    encode_latents,
    encode_picture,
    fixed_latents,
    float_planes,
    padded_latent,
)
from refcodec.models.float_codec import FloatCodec
from refcodec.models.shipped import DEFAULT_FLOAT, DEFAULT_MODEL, RECIPES, recipe_name, shipped_path
from refcodec.models.trained import Trained, load_trained
from refcodec.program.model_file import Model, load_model, model_from_bytes, model_to_bytes
from refcodec.program.operations import Convolution, Requantise, ScaleIndex, TransposedConvolution
from refcodec.program.program import Program
from refcodec.quantize.calibrate import Observations, observe
from refcodec.quantize.choices import Choices, choose
from refcodec.quantize.dyadic import dyadic
from refcodec.quantize.integerise import MEDIAN_FRACTION, integerise, program_of
from refcodec.quantize.layers import decoder_networks
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
    return observe(trained.twin, [trained.twin.analysis(float_planes(picture.astype(np.uint8), 64))])


def shipped_recipe(precision: str) -> Recipe:
    return load_recipe(shipped_path(recipe_name(precision), ".json"))


@pytest.fixture(scope="module")
def models(trained: Trained, observations: Observations) -> dict[str, tuple[Model, Recipe]]:
    """A model of every shipped recipe, and of every width by a calibration on one small picture."""
    recipes = {precision: shipped_recipe(precision) for precision in RECIPES}
    for bits in range(2, 17):
        choices = Choices(bits, 18 - bits, bits, observer="minmax")
        recipes[f"w{bits}a{18 - bits}-minmax"] = choose(trained.twin, observations, choices)
    for bits in (2, 16):
        recipes[f"w{bits}a{bits}-mse"] = choose(trained.twin, observations, Choices(bits, bits, bits))
    return {name: (integerise(trained, recipe), recipe) for name, recipe in recipes.items()}


def layers_of(program: Program) -> list[Layers]:
    return [op for op in program.operations if isinstance(op, Layers)]


def steps_of(recipe: Recipe, name: str, channels: int) -> np.ndarray:
    return np.broadcast_to(recipe.activation_steps[name], channels)


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
        codec = codec_of(model)
        assert model.settings == {"weight_bits": recipe.weight_bits, "activation_bits": recipe.activation_bits}
        for program in codec.programs:
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
    after_layer = {f"{net}.{index}": f"{net}.{index + 1}" for net in ("h_s", "g_s") for index in (0, 2, 4)}
    after_layer["g_s.6"] = "x_hat"
    for name in (*RECIPES, "w2a16-minmax", "w16a2-minmax"):
        model, recipe = models[name]
        for net, network in decoder_networks(trained.twin).items():
            program = model.programs[net]
            for layer, op in zip(network.convolutions(), layers_of(program), strict=True):
                fmt, steps = IntFormat(recipe.weight_bits, True), recipe.weight_steps[layer.name]
                source = steps_of(recipe, layer.source, layer.inputs)
                unit = [step * source.max() for step in steps]
                stored = trained.twin.parameters[f"{layer.name}.weight"].astype(float)
                stored = stored.swapaxes(0, 1) if layer.transposed else stored
                folded = stored * (source / source.max())[None, :, None, None]
                bias = trained.twin.parameters[f"{layer.name}.bias"].astype(float)
                for o in range(0, len(steps), 13):
                    wanted = [min(max(floor(w / steps[o] + 0.5), fmt.lo), fmt.hi) for w in folded[o].ravel().tolist()]
                    assert op.weight[o].ravel().tolist() == wanted
                    corrected = (bias[o] - recipe.bias_corrections[layer.name][o]) / unit[o]
                    assert int(op.bias[o]) == floor(corrected + 0.5)
                after = program.operations[program.operations.index(op) + 1]
                if isinstance(after, Requantise):
                    target = after_layer[layer.name]
                    assert after.target == target
                    chosen = 1 / 255 if target == "x_hat" else steps_of(recipe, target, layer.outputs)
                    real_scale = after.multiplier / np.exp2(after.shift.astype(float))
                    np.testing.assert_allclose(real_scale, np.array(unit) / chosen, rtol=2.0**-15)


def test_integerise_means_are_the_medians_in_fixed_point(
    trained: Trained, models: dict[str, tuple[Model, Recipe]]
) -> None:
    wanted = [floor(float(m) * 2**MEDIAN_FRACTION + 0.5) for m in trained.twin.medians]
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
            unit = Fraction(recipe.weight_steps["h_s.4"][o] * max(recipe.activation_steps["h_s.3"]))
            for bound, threshold in zip(bounds[:63].tolist(), indexes.thresholds[o].tolist(), strict=True):
                if threshold == hi:  # no accumulator is above it, and none has a scale above the bound
                    assert unit * hi <= Fraction(bound)
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
    unit = np.array(recipe.weight_steps["h_s.4"]) * max(recipe.activation_steps["h_s.3"])
    limit = min(fmt.hi, int(300 / unit.min()))
    accumulator = rng.integers(-limit // 10, limit, (64, 20, 20), endpoint=True)
    wanted = (accumulator[..., None] * unit[:, None, None, None] > scale_table()[:63]).sum(axis=3)
    got = program.operations[-1].run([accumulator], [program.tensor("h_s.4")], program.tensor("indexes"))
    assert np.array_equal(got, wanted)
    assert got.max() > 50


def test_integerise_of_the_shipped_recipe_is_the_shipped_model(trained: Trained) -> None:
    made = integerise(trained, shipped_recipe("w8a8"))
    path = shipped_path(DEFAULT_MODEL, ".rcm")
    assert made.identity == load_model(path).identity
    assert made.programs.keys() == load_model(path).programs.keys()
    assert model_to_bytes(replace(made, provenance={})) == model_to_bytes(replace(load_model(path), provenance={}))


# --- every family

WIDTHS = (4, 8, 12, 16)
PICTURES = [a for a in ARCHITECTURES if a.backbone != "none"]
LATENTS = [a for a in ARCHITECTURES if a.backbone == "none"]


def model_of(codec: FloatCodec, bits: int) -> Model:
    recipe = choose(codec, watched(codec), Choices(bits, bits, bits))
    return model_from_bytes(model_to_bytes(integerise(small_trained(codec), recipe)))


def picture(height: int, width: int, *channels: int) -> np.ndarray:
    planes = np.rint(255 * formula_picture(height, width)).astype(np.uint8)
    return planes.transpose(1, 2, 0) if channels else planes[0]


def check_symbols(codec, stream: bytes, sent, geometry: Geometry) -> None:
    """The decoder finds z, and a y_hat within half a step of y; coded again, it gives the very same stream."""
    found, known = codec.decode_latents(stream)
    assert known == geometry
    if sent.z is not None:
        np.testing.assert_array_equal(found.z, sent.z)
    if codec.fraction:
        assert np.abs(found.y.astype(np.int64) - sent.y).max() <= 1 << (codec.fraction - 1)
    else:
        np.testing.assert_array_equal(found.y, sent.y)
    assert codec.encode(found, geometry) == stream


@pytest.mark.parametrize("architecture", PICTURES, ids=label)
@pytest.mark.parametrize("bits", WIDTHS)
def test_a_model_of_every_family_decodes_what_it_encodes(architecture: Architecture, bits: int) -> None:
    twin = small_codec(architecture)
    model = model_of(twin, bits)
    codec = codec_of(model)
    assert codec.multiple == twin.multiple
    analysis = analysis_of(model)
    shapes = ((1, 1, 3), (17, 33, 3), (64, 64, 3), (20, 30)) if bits == 8 else ((17, 33, 3),)
    for shape in shapes:
        pixels = picture(*shape)
        geometry = Geometry(shape[1], shape[0], 3 if shape[2:] else 1)
        sent = fixed_latents(analysis, analysis.analysis(float_planes(pixels, twin.multiple)), codec.fraction)
        stream = codec.encode(sent, geometry)
        assert codec.decode(stream).shape == pixels.shape
        check_symbols(codec, stream, sent, geometry)
    assert encode_picture(pixels, model) == stream


@pytest.mark.parametrize(("architecture", "bits"), [(LATENTS[bits > 8], bits) for bits in WIDTHS])
def test_a_model_of_latents_decodes_what_it_encodes(architecture: Architecture, bits: int) -> None:
    model = model_of(small_codec(architecture), bits)
    codec, analysis = codec_of(model), analysis_of(model)
    for size in ((1, 1), (5, 9)):
        y = (3 * formula("y", (6, *size))).astype(np.float32)
        sent = fixed_latents(analysis, padded_latent(y, 8), codec.fraction)
        sent = replace(sent, y=sent.y[:, : size[0], : size[1]])
        stream = codec.encode(sent, Geometry(size[1], size[0], 1))
        check_symbols(codec, stream, sent, Geometry(size[1], size[0], 1))
        assert codec.decode(stream).shape == y.shape
    assert encode_latents(y, model) == stream


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=label)
def test_programs_of_every_family_read_latents_and_give_what_their_codec_wants(architecture: Architecture) -> None:
    twin = small_codec(architecture)
    recipe = choose(twin, watched(twin), Choices(7, 9, 8))
    model = integerise(small_trained(twin), recipe)
    means = architecture.family not in ("factorised", "scale-hyperprior")
    wanted = {"weight_bits": 7, "activation_bits": 9}
    wanted |= {"mean_fraction": recipe.mean_fraction} if means else {}
    wanted |= {"checkerboard": {"anchor_parity": 0}, "autoregressive": {"context_kernel": 5}}.get(
        architecture.family, {}
    )
    assert (model.family, model.settings) == (architecture.family, wanted)
    assert list(model.programs) == list(decoder_networks(twin))
    ports = {
        "h_s": {("z", architecture.z, SYMBOL_FORMAT)},
        "g_s": {("y_hat", 6, latent_format(recipe.mean_fraction)) if means else ("y", 6, SYMBOL_FORMAT)},
        "context": {("y_hat", 6, latent_format(recipe.mean_fraction))},
        "entropy_parameters": {(name, 12, IntFormat(9, True)) for name in ("context", "side")},
    }
    for name, program in model.programs.items():
        assert {(t.name, t.channels, t.format) for t in program.inputs} == ports[name]
    rows = {name: len(model.tables[f"{name}/offsets"]) for name in ("z", "y") if f"{name}/offsets" in model.tables}
    assert rows == ({"y": 6} if architecture.family == "factorised" else {"z": architecture.z, "y": 64})


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=label)
def test_tensors_of_a_16_bit_decoder_are_those_of_its_float_twin(architecture: Architecture) -> None:
    """Real values within 2**-11 of the largest of each tensor, from the same quantised latents on.

    A step of 16 bits is 2**-15 of a range or less, with headroom 2**-14; a dozen layers add up halves of them.
    The latents themselves have eight fraction bits, for their medians too.
    """
    twin = small_codec(architecture)
    recipe = choose(twin, watched(twin), Choices(16, 16, 16))
    coded = twin.code(latent_of(twin, (1, 2)))
    if coded.z is not None:
        compare("h_s", twin, recipe, {"z": coded.z}, coded.z + twin.medians[:, None, None])
    if architecture.family in ("factorised", "scale-hyperprior"):
        compare("g_s", twin, recipe, {"y": coded.y}, coded.y_hat)
    elif "g_s" in twin.networks:
        compare("g_s", twin, recipe, fixed(coded.y_hat, recipe), coded.y_hat)
    if "context" in twin.networks:  # of anchors, or of a window that begins outside
        anchors = np.indices(coded.y.shape[1:]).sum(axis=0) % 2 == 0
        heard = coded.y_hat * anchors if architecture.mask == "checkerboard" else coded.y_hat
        seen = np.pad(heard, ((0, 0), (2, 2), (2, 2))) if architecture.mask == "causal" else heard
        compare("context", twin, recipe, fixed(seen, recipe), seen)
        known = {"side": twin.hyper_synthesis(coded.z)["side"], "context": twin.context(heard)}
        inputs = {k: np.rint(v / steps_of(recipe, k, 12)[:, None, None]).astype(np.int64) for k, v in known.items()}
        compare("entropy_parameters", twin, recipe, inputs, None)


def fixed(y_hat: np.ndarray, recipe: Recipe) -> dict[str, np.ndarray]:
    return {"y_hat": np.rint(np.ldexp(y_hat, recipe.mean_fraction)).astype(np.int64)}


def compare(
    name: str, twin: FloatCodec, recipe: Recipe, inputs: dict[str, np.ndarray], latent: np.ndarray | None
) -> None:
    """One network, as integers and as floats that begin with the quantised inputs."""
    taps: dict[str, np.ndarray] = {}
    program, network, exact = program_of(name, twin, recipe), twin.networks[name], {}
    program.run_all(inputs, taps.__setitem__)
    real = {
        key: values * steps_of(recipe, key, len(values))[:, None, None]
        for key, values in taps.items()
        if key in recipe.activation_steps and f"{key}.x" not in taps
    }
    if "y_hat.x" in taps:
        real["y_hat"] = taps["y_hat.x"] * steps_of(recipe, "y_hat", len(taps["y_hat.x"]))[:, None, None]
    ports = {port.name: real[port.name].astype(np.float32) for port in network.inputs}
    if latent is not None:
        (port,) = ports
        steps = steps_of(recipe, port, len(latent))[:, None, None]
        assert (np.abs(real[port] - latent) <= 2.0**-9 + steps / 2 + 1e-6).all(), port
    network.run(twin.parameters, ports, exact.__setitem__)
    for key, values in real.items():
        assert np.abs(values - exact[key]).max() < 2.0**-11 * np.abs(exact[key]).max(), key
    if "means" in taps:
        distance = np.abs(np.ldexp(taps["means"], -recipe.mean_fraction) - exact["means"])
        assert distance.max() < 2.0 ** -(recipe.mean_fraction + 1) + 2.0**-11 * np.abs(exact["means"]).max()
    if "x_hat" in taps:
        assert np.abs(taps["x_hat"] - np.clip(255 * exact["x_hat"], 0, 255)).max() < 0.5 + 0.25
    if "indexes" in taps:
        (source,) = (node.reads[0] for node in network.nodes if node.name == "scales")
        scales, bounds = exact[source].astype(np.float64)[..., None], scale_table()[:63]
        near = (np.abs(scales - bounds) < 2.0**-11 * np.abs(scales).max()).any(axis=3)
        np.testing.assert_array_equal(taps["indexes"][~near], (scales > bounds).sum(axis=3)[~near])
        assert near.mean() < 0.1


# --- refusals


@pytest.mark.parametrize("field", ["activation_steps", "weight_steps", "bias_corrections"])
def test_integerise_refuses_a_recipe_that_lacks_something(field: str, trained: Trained) -> None:
    recipe = shipped_recipe("w8a8")
    kept = dict(getattr(recipe, field))
    lost = list(kept)[1]
    del kept[lost]
    with pytest.raises(ModelError, match=f"^RC-MODEL-SCHEMA: the recipe lacks .*{lost}"):
        integerise(trained, replace(recipe, **{field: kept}))


@pytest.mark.parametrize("field", ["weight_steps", "bias_corrections"])
def test_integerise_refuses_a_recipe_for_other_channels(field: str, trained: Trained) -> None:
    recipe = shipped_recipe("w8a8")
    cut = {**getattr(recipe, field), "g_s.2": [1.0] * 31}
    with pytest.raises(ModelError, match=r"^RC-MODEL-SCHEMA: the recipe lacks the layer g_s\.2 of 32 channels"):
        integerise(trained, replace(recipe, **{field: cut}))


def test_integerise_refuses_steps_for_other_channels(trained: Trained) -> None:
    recipe = shipped_recipe("w8a8")
    cut = {**recipe.activation_steps, "g_s.1": [1.0] * 31}
    with pytest.raises(ModelError, match=r"^RC-MODEL-SCHEMA: the recipe lacks steps of g_s\.1 for 32 channels"):
        integerise(trained, replace(recipe, activation_steps=cut))


def test_integerise_refuses_steps_with_too_large_a_scale(trained: Trained) -> None:
    recipe = shipped_recipe("w8a8")
    fine = {**recipe.activation_steps, "g_s.1": [1e-12]}
    with pytest.raises(ModelError, match=r"^RC-MODEL-RANGE: a scale of .* does not fit a 31-bit multiplier"):
        integerise(trained, replace(recipe, activation_steps=fine))
