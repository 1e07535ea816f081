"""Calibration watches the float decoder and chooses recipes, the same ones for the same pictures."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest

from refcodec.errors import FileError, ImageError, RangeError
from refcodec.formats import IntFormat
from refcodec.models.encoder import float_planes, symbols
from refcodec.models.scale_hyperprior import FloatScaleHyperprior
from refcodec.models.shipped import DEFAULT_FLOAT, shipped_path
from refcodec.models.trained import load_trained
from refcodec.quantize.calibrate import SAMPLES, Observations, choose, observe
from refcodec.quantize.layers import G_S, H_S
from refcodec.quantize.observers import minmax_step, mse_step, power_of_two_step
from refcodec.quantize.photographs import LARGEST, find_photographs, load_photographs
from refcodec.quantize.recipe import recipe_text

SOURCES = {layer.name: layer.source for layer in (*H_S, *G_S)}


def picture(height: int, width: int, seed: int) -> np.ndarray:
    """Ramps and blocks with a little noise, (H, W, 3) uint8."""
    y, x = np.mgrid[:height, :width]
    planes = [2 * x + seed, x + y * seed, np.where(x // 16 + y // 16 & 1, 230, 20)]
    noise = np.random.default_rng(seed).integers(0, 9, (height, width, 3))
    return ((np.stack(planes, axis=2) + noise) % 256).astype(np.uint8)


@pytest.fixture(scope="module")
def twin() -> FloatScaleHyperprior:
    return load_trained(shipped_path(DEFAULT_FLOAT)).twin


@pytest.fixture(scope="module")
def planes() -> list[np.ndarray]:
    return [float_planes(picture(64, 128, 1)), float_planes(picture(128, 64, 2))]


@pytest.fixture(scope="module")
def observations(twin: FloatScaleHyperprior, planes: list[np.ndarray]) -> Observations:
    return observe(twin, planes)


# --- observing


def test_observe_holds_the_extremes_and_means_of_every_activation(
    twin: FloatScaleHyperprior, planes: list[np.ndarray], observations: Observations
) -> None:
    seen: dict[str, list[np.ndarray]] = {source: [] for source in SOURCES.values()}

    def watch(name: str, array: np.ndarray) -> None:
        if name in SOURCES:
            seen[SOURCES[name]].append(array)

    for plane in planes:
        y, z = symbols(twin, plane)
        twin.hyper_synthesis((z + twin.medians[:, None, None]).astype(np.float32), watch)
        twin.synthesis(y.astype(np.float32), watch)
    assert set(observations.samples) == set(observations.means) == set(seen)
    for name, arrays in seen.items():
        sampled = observations.samples[name]
        assert sampled.dtype == np.float32
        assert sampled.min() == min(array.min() for array in arrays)
        assert sampled.max() == max(array.max() for array in arrays)
        assert set(sampled.tolist()) <= {value for array in arrays for value in array.ravel().tolist()}
        assert sampled.size <= len(arrays) * (2 * SAMPLES + 2)
        wanted = np.mean([array.astype(float).mean(axis=(1, 2)) for array in arrays], axis=0)
        np.testing.assert_allclose(observations.means[name], wanted, rtol=1e-12)


def test_observe_latents_are_integers_about_their_medians(
    twin: FloatScaleHyperprior, observations: Observations
) -> None:
    y = observations.samples["y_hat"]
    assert np.array_equal(y, np.rint(y))
    distances = {float(np.float32(z - m)) % 1 for z in observations.samples["z_hat"][:50] for m in twin.medians}
    assert min(min(d, 1 - d) for d in distances) < 1e-5


def test_observe_takes_a_generator_and_refuses_none(twin: FloatScaleHyperprior, planes: list[np.ndarray]) -> None:
    assert observe(twin, (plane for plane in planes[:1])).samples["y_hat"].size
    with pytest.raises(RangeError, match=r"^RC-RANGE: calibration needs at least one picture"):
        observe(twin, iter([]))


# --- choosing


def test_choose_gives_the_same_recipe_for_the_same_pictures(
    twin: FloatScaleHyperprior, planes: list[np.ndarray], observations: Observations
) -> None:
    again = observe(twin, planes)
    for method in ("mse", "minmax"):
        texts = {recipe_text(choose(twin, seen, 8, 8, method)) for seen in (observations, again, observations)}
        assert len(texts) == 1


@pytest.mark.parametrize(("method", "step"), [("mse", mse_step), ("minmax", minmax_step)])
def test_choose_asks_the_observer_for_every_tensor(
    method: str, step, twin: FloatScaleHyperprior, observations: Observations
) -> None:
    recipe = choose(twin, observations, 5, 6, method)
    assert (recipe.weight_bits, recipe.activation_bits, recipe.observer) == (5, 6, method)
    assert set(recipe.activation_steps) == set(SOURCES.values())
    assert set(recipe.weight_steps) == set(recipe.bias_corrections) == set(SOURCES)
    for name, values in observations.samples.items():
        wide = values.astype(np.float64)
        if name in ("y_hat", "z_hat"):
            wanted = power_of_two_step(wide, IntFormat(6, True), 0 if name == "y_hat" else -8)
        else:
            wanted = step(wide[None], IntFormat(6, False))[0]
        assert recipe.activation_steps[name] == wanted, name
    for layer in (*H_S, *G_S):
        weight = layer.weight(twin.parameters)
        rows = weight.reshape(weight.shape[0], -1)
        assert recipe.weight_steps[layer.name] == step(rows, IntFormat(5, True)).tolist()


def test_choose_corrections_are_what_rounded_weights_add_to_the_mean(
    twin: FloatScaleHyperprior, observations: Observations
) -> None:
    recipe = choose(twin, observations, 4, 8, "mse")
    for layer in (*H_S, *G_S):
        weight = layer.weight(twin.parameters)
        for o in (0, weight.shape[0] - 1):
            step = recipe.weight_steps[layer.name][o]
            rounded = np.clip(np.floor(weight[o] / step + 0.5), -8, 7) * step
            extra = ((rounded - weight[o]).sum(axis=(1, 2)) * observations.means[layer.source]).sum()
            share = 4 if layer.transposed else 1
            assert recipe.bias_corrections[layer.name][o] == pytest.approx(extra / share, rel=1e-9, abs=1e-12)


def test_choose_gives_a_channel_of_zeros_a_positive_step(
    twin: FloatScaleHyperprior, observations: Observations
) -> None:
    parameters = dict(twin.parameters)
    parameters["h_s.4.weight"] = parameters["h_s.4.weight"].copy()
    parameters["h_s.4.weight"][3] = 0.0
    parameters["g_s.6.weight"] = np.zeros_like(parameters["g_s.6.weight"])
    recipe = choose(FloatScaleHyperprior(parameters), observations, 8, 8, "minmax")
    others = [step for channel, step in enumerate(recipe.weight_steps["h_s.4"]) if channel != 3]
    assert recipe.weight_steps["h_s.4"][3] == max(others) < 1
    assert recipe.weight_steps["g_s.6"] == [1.0, 1.0, 1.0]
    assert recipe.bias_corrections["g_s.6"] == [0.0, 0.0, 0.0]


def test_choose_keeps_y_on_whole_steps_and_lets_z_have_finer_ones(
    twin: FloatScaleHyperprior, observations: Observations
) -> None:
    quarters = np.arange(-8, 9, dtype=np.float32) / 4
    seen = Observations({**observations.samples, "y_hat": quarters, "z_hat": quarters}, observations.means, {})
    steps = choose(twin, seen, 8, 8, "mse").activation_steps
    assert (steps["y_hat"], steps["z_hat"]) == (1.0, 0.25)


@pytest.mark.parametrize(("weights", "activations"), [(1, 8), (8, 17), (0, 0)])
def test_choose_refuses_bad_widths(
    weights: int, activations: int, twin: FloatScaleHyperprior, observations: Observations
) -> None:
    with pytest.raises(RangeError, match=r"^RC-RANGE: weights and activations have 2\.\.16 bits"):
        choose(twin, observations, weights, activations, "mse")


def test_choose_refuses_an_unknown_observer(twin: FloatScaleHyperprior, observations: Observations) -> None:
    with pytest.raises(RangeError, match=r"^RC-RANGE: unknown observer 'median'"):
        choose(twin, observations, 8, 8, "median")


# --- photographs


def test_find_photographs_spreads_over_the_folder(tmp_path: Path) -> None:
    for name in ("a.png", "b.PNG", "c.jpg", "d.txt", "e.bmp", "f.tif", "g"):
        (tmp_path / name).write_bytes(b"")
    names = [path.name for path in find_photographs(tmp_path, 99)]
    assert names == ["a.png", "b.PNG", "c.jpg", "e.bmp", "f.tif"]
    assert [path.name for path in find_photographs(tmp_path, 2)] == ["a.png", "c.jpg"]
    assert [path.name for path in find_photographs(str(tmp_path), 1)] == ["a.png"]


def test_find_photographs_refuses_folders_without(tmp_path: Path) -> None:
    (tmp_path / "only.txt").write_text("words")
    for folder in (tmp_path, tmp_path / "missing", tmp_path / "only.txt"):
        with pytest.raises(FileError, match=r"^RC-FILE-READ: .* holds no pictures to calibrate on"):
            find_photographs(folder, 4)
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(FileError, match=r"^RC-FILE-READ: "):
        find_photographs(tmp_path, 0)


def test_load_photographs_crops_to_the_middle_and_pads(tmp_path: Path) -> None:
    wide = picture(40, LARGEST + 10, 3)
    imageio.imwrite(tmp_path / "wide.png", wide)
    (planes,) = load_photographs([tmp_path / "wide.png"])
    assert planes.shape == (3, 64, LARGEST)
    assert planes.dtype == np.float32
    assert np.array_equal(planes[:, :40], wide[:, 5 : 5 + LARGEST].transpose(2, 0, 1).astype(np.float32) / 255)
    assert np.array_equal(planes[:, 40:], np.repeat(planes[:, 39:40], 24, axis=1))


def test_load_photographs_refuses_what_is_not_a_picture(tmp_path: Path) -> None:
    (tmp_path / "words.png").write_text("words")
    with pytest.raises(ImageError, match=r"^RC-IMAGE-READ: "):
        next(iter(load_photographs([tmp_path / "words.png"])))
