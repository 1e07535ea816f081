"""Recipes are chosen by rules: the same ones for the same observations, steps for what takes them, biases corrected."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_codecs import ARCHITECTURES, label, small_codec, watched

from refcodec.errors import RangeError
from refcodec.formats import IntFormat
from refcodec.models.architecture import Architecture
from refcodec.models.float_codec import FloatCodec
from refcodec.models.network import Convolution
from refcodec.quantize.calibrate import Observations
from refcodec.quantize.choices import Choices, choose, deviations_of
from refcodec.quantize.layers import (
    activation_format,
    convolutions,
    decoder_networks,
    quantised_tensors,
    takes_steps_per_channel,
)
from refcodec.quantize.observers import minmax_step, power_of_two_step
from refcodec.quantize.recipe import recipe_text

BALLE = Architecture("scale-hyperprior", "gdn", "balle2018", 4, 6, 5)
MEANS = Architecture("mean-scale-hyperprior", "relu", "ssf2020", 4, 6, 6, "img")
CHENG = Architecture("autoregressive", "cheng2020", "cheng2020", 6, 6, 6)
CHECKERBOARD = Architecture("checkerboard", "gdn", "mbt2018", 4, 6, 5)


def chosen(architecture: Architecture, **changes):
    codec = small_codec(architecture)
    return codec, choose(codec, watched(codec), replace(Choices(), **changes))


# --- what a recipe holds


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=label)
def test_choose_has_steps_of_every_tensor_and_layer(architecture: Architecture) -> None:
    codec, recipe = chosen(architecture, weight_bits=5, activation_bits=6, normalisation_bits=7)
    assert (recipe.weight_bits, recipe.activation_bits, recipe.normalisation_bits) == (5, 6, 7)
    assert set(recipe.activation_steps) == set(quantised_tensors(codec))
    layers = {layer.name: layer.outputs for layer in convolutions(codec)}
    assert {name: len(row) for name, row in recipe.weight_steps.items()} == layers
    assert {name: len(row) for name, row in recipe.bias_corrections.items()} == layers


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=label)
@pytest.mark.parametrize("activations", ["tensor", "channel", "equalised"])
def test_choose_gives_one_step_where_channels_cannot_have_their_own(
    activations: str, architecture: Architecture
) -> None:
    codec, recipe = chosen(architecture, activations=activations)
    for name in quantised_tensors(codec):
        if not takes_steps_per_channel(codec, name):
            assert len(recipe.activation_steps[name]) == 1, name
        elif activations == "channel":
            assert len(recipe.activation_steps[name]) == len(watched(codec).means[name]), name


@pytest.mark.parametrize(
    ("architecture", "one"),
    [
        (BALLE, set()),
        # QReLU has one limit, sums and shuffles one step; what a sum adds has one as well
        (MEANS, {"hyper_decoder_scale.qrelu1", "hyper_decoder_scale.qrelu2"}),
        (
            CHENG,
            {"h_s.2.act", "h_s.6.act"}
            | {f"g_s.{block}.act2" for block in (0, 2, 4, 6)}
            | {f"g_s.{block}" for block in range(7)}
            | {f"g_s.{block}.{part}" for block in (1, 3, 5) for part in ("igdn", "subpel_conv.act", "upsample.act")}
            | {"y_hat"},
        ),
        (CHECKERBOARD, set()),
    ],
    ids=["gdn", "ssf2020", "cheng2020", "checkerboard"],
)
def test_channels_have_their_own_steps_where_all_readers_fold_them(architecture: Architecture, one: set[str]) -> None:
    codec = small_codec(architecture)
    found = {name for name in quantised_tensors(codec) if not takes_steps_per_channel(codec, name)}
    assert found == one


def test_choose_gives_what_normalisations_read_a_step_for_each_channel_whatever_the_grain() -> None:
    _, recipe = chosen(BALLE, activations="tensor")
    assert {name for name, row in recipe.activation_steps.items() if len(row) > 1} == {"g_s.1.x", "g_s.3.x", "g_s.5.x"}


@pytest.mark.parametrize(("observer", "grain"), [("mse", "channel"), ("minmax", "tensor"), ("sigma", "equalised")])
def test_choose_gives_the_same_recipe_for_the_same_observations(observer: str, grain: str) -> None:
    texts = {recipe_text(chosen(CHECKERBOARD, observer=observer, activations=grain)[1]) for _ in range(2)}
    assert len(texts) == 1


# --- the steps


@pytest.mark.parametrize("architecture", [BALLE, MEANS, CHENG], ids=label)
def test_choose_asks_the_observer_for_every_tensor(architecture: Architecture) -> None:
    codec, recipe = chosen(architecture, observer="minmax", activation_bits=6)
    seen = watched(codec)
    for name, node in quantised_tensors(codec).items():
        if name in ("y_hat", "z_hat"):
            continue
        row = recipe.activation_steps[name]
        values = seen.columns[name] if len(row) > 1 else seen.samples[name][None]
        wanted = minmax_step(values.astype(np.float64), activation_format(node, 6))
        np.testing.assert_array_equal(row, np.where(wanted > 0, wanted, wanted.max()), err_msg=name)


@pytest.mark.parametrize("weights", ["tensor", "channel"])
def test_choose_takes_weight_steps_of_folded_weights(weights: str) -> None:
    """With min-max, the largest folded weight of a channel, or of the layer, over the end of the format."""
    codec, recipe = chosen(BALLE, observer="minmax", weight_bits=5, weights=weights)
    for layer, source in (("h_s.2", "h_s.1"), ("g_s.2", "g_s.1")):
        steps = np.array(recipe.activation_steps[source])
        assert len(set(steps.tolist())) > 1
        stored = codec.parameters[f"{layer}.weight"].swapaxes(0, 1).astype(np.float64)
        folded = stored * (steps / steps.max())[None, :, None, None]
        largest = np.maximum(folded.max(axis=(1, 2, 3)) / 15, -folded.min(axis=(1, 2, 3)) / 16)
        wanted = largest if weights == "channel" else np.full(len(largest), largest.max())
        np.testing.assert_allclose(recipe.weight_steps[layer], wanted, rtol=1e-12)


def naive_correction(
    codec: FloatCodec, layer: Convolution, recipe, means: np.ndarray, source: np.ndarray, bits: int
) -> list[float]:
    """What rounded weights add to the mean output, one output channel at a time."""
    out, ratio = [], source / source.max()
    for o, kernel in enumerate(layer.weight(codec.parameters).astype(np.float64)):
        step = recipe.weight_steps[layer.name][o]
        folded = kernel * ratio[:, None, None]
        hi = (1 << (bits - 1)) - 1
        rounded = np.clip(np.floor(folded / step + 0.5), -hi - 1, hi) * step
        extra = ((rounded - folded) / ratio[:, None, None]).sum(axis=(1, 2)) @ means
        out.append(extra / (4 if layer.transposed else 1))
    return out


@pytest.mark.parametrize("architecture", [BALLE, MEANS], ids=label)
def test_choose_corrections_are_what_rounded_weights_add_to_the_mean_of_a_synthesis(architecture: Architecture) -> None:
    codec, recipe = chosen(architecture, weight_bits=4)
    seen, largest = watched(codec), 0.0
    synthesis = {layer.name for layer in codec.networks["g_s"].convolutions()}
    for layer in convolutions(codec):
        if layer.name not in synthesis:
            assert set(recipe.bias_corrections[layer.name]) == {0.0}
            continue
        source = np.broadcast_to(recipe.activation_steps[layer.source], layer.inputs)
        wanted = naive_correction(codec, layer, recipe, seen.means[layer.source], source, 4)
        np.testing.assert_allclose(recipe.bias_corrections[layer.name], wanted, rtol=1e-9, atol=1e-12)
        largest = max(largest, *map(abs, wanted))
    assert largest > 1e-3
    _, as_trained = chosen(architecture, weight_bits=4, correct_bias=False)
    assert {value for row in as_trained.bias_corrections.values() for value in row} == {0.0}


def test_choose_gives_a_channel_of_zeros_a_positive_step() -> None:
    codec = small_codec(BALLE)
    parameters = dict(codec.parameters)
    parameters["h_s.4.weight"] = parameters["h_s.4.weight"].copy()
    parameters["h_s.4.weight"][3] = 0.0
    parameters["g_s.6.weight"] = np.zeros_like(parameters["g_s.6.weight"])
    changed = object.__new__(FloatCodec)
    for name, value in (("architecture", codec.architecture), ("parameters", parameters), ("medians", codec.medians)):
        setattr(changed, name, value)
    changed.networks = codec.networks
    recipe = choose(changed, watched(codec), Choices(observer="minmax"))
    others = [step for channel, step in enumerate(recipe.weight_steps["h_s.4"]) if channel != 3]
    assert recipe.weight_steps["h_s.4"][3] == max(others) < 1
    assert recipe.weight_steps["g_s.6"] == [1.0, 1.0, 1.0]
    assert recipe.bias_corrections["g_s.6"] == [0.0, 0.0, 0.0]


def test_choose_gives_a_dead_activation_a_positive_step() -> None:
    codec = small_codec(BALLE)
    seen = watched(codec)
    columns = dict(seen.columns)
    columns["h_s.1"] = columns["h_s.1"].copy()
    columns["h_s.1"][2] = 0.0
    columns["h_s.3"] = np.zeros_like(columns["h_s.3"])
    for grain in ("channel", "equalised"):
        recipe = choose(codec, replace(seen, columns=columns), Choices(activations=grain))
        assert min(recipe.activation_steps["h_s.1"]) > 0
        assert min(recipe.activation_steps["h_s.3"]) > 0


def with_latents(seen: Observations, codec: FloatCodec, values: np.ndarray) -> Observations:
    """Observations whose latents are these, in every channel."""
    samples, columns = dict(seen.samples), dict(seen.columns)
    for name in ("y_hat", "z_hat"):
        samples[name] = values.astype(np.float32)
        columns[name] = np.broadcast_to(samples[name], (len(columns[name]), len(values)))
    return replace(seen, samples=samples, columns=columns)


@pytest.mark.parametrize("grain", ["tensor", "channel"])
def test_choose_keeps_whole_symbols_on_whole_steps_and_moved_ones_on_powers_of_two(grain: str) -> None:
    """y of a scale hyperprior is whole; z is moved by its medians, and takes finer steps where there is room."""
    codec = small_codec(BALLE)
    quarters = np.arange(-8, 9) / 4
    steps = choose(codec, with_latents(watched(codec), codec, quarters), Choices(activations=grain)).activation_steps
    assert set(steps["y_hat"]) == {1.0}
    assert set(steps["z_hat"]) == {2.0**-5}  # the smallest that reaches two symbols
    seen = with_latents(watched(codec), codec, np.arange(-200, 201) + 0.25)
    steps = choose(codec, seen, Choices(activations=grain)).activation_steps
    assert len(steps["z_hat"]) == (5 if grain == "channel" else 1)
    wanted = power_of_two_step(seen.samples["z_hat"][None].astype(np.float64), IntFormat(8, True), -8, 2.0)
    assert set(steps["z_hat"]) == set(wanted.tolist())
    assert set(steps["y_hat"]) != {1.0}, "symbols that do not fit have wider steps"


@pytest.mark.parametrize(("largest", "fraction"), [(0.4, 8), (60.0, 8), (63.9, 8), (64.1, 7), (1000.0, 4), (5000.0, 1)])
def test_choose_leaves_means_room_for_twice_the_largest(largest: float, fraction: int) -> None:
    codec = small_codec(MEANS)
    seen = watched(codec)
    samples = {**seen.samples, "means": np.array([0.1, -largest], np.float32)}
    recipe = choose(codec, replace(seen, samples=samples), Choices())
    assert recipe.mean_fraction == fraction
    assert 2 * largest * 2**fraction <= 1 << 15


# --- refusals


@pytest.mark.parametrize("widths", [(1, 8, 8), (8, 17, 8), (8, 8, 0), (8, 8, True), (8.0, 8, 8)])
def test_choices_refuse_bad_widths(widths: tuple) -> None:
    with pytest.raises(RangeError, match=r"^RC-RANGE: weights and activations have 2\.\.16 bits"):
        Choices(*widths)


def test_choices_refuse_unknown_words() -> None:
    with pytest.raises(RangeError, match=r"^RC-RANGE: unknown observer 'median'"):
        Choices(observer="median")
    for name in ("weights", "activations"):
        with pytest.raises(RangeError, match=r"^RC-RANGE: steps: wanted .*'layer'"):
            Choices(**{name: "layer"})
    with pytest.raises(RangeError, match=r"^RC-RANGE: steps: wanted "):
        Choices(weights="equalised")


@pytest.mark.parametrize("numbers", [{"deviations": 0.0}, {"deviations": float("nan")}, {"percentile": 50.0}])
def test_choices_refuse_limits_that_are_none(numbers: dict[str, float]) -> None:
    with pytest.raises(RangeError, match=r"^RC-RANGE: wanted positive deviations and a percentile"):
        Choices(**numbers)


def test_deviations_of_a_model_are_those_of_its_lambda() -> None:
    assert deviations_of({"trained_lambda": "0.0130"}) == pytest.approx(10.125)
    assert deviations_of({}) == deviations_of({"trained_lambda": "unknown"}) == Choices().deviations


def test_every_decoder_network_is_covered() -> None:
    names = {name for a in ARCHITECTURES for name in decoder_networks(small_codec(a))}
    assert names == {"h_s", "context", "entropy_parameters", "g_s"}
