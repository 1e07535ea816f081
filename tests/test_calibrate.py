"""Calibration watches the float decoder: every tensor of every family, with its extremes and means."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
from small_codecs import ARCHITECTURES, label, latent_of, small_codec

from refcodec.errors import FileError, ImageError, RangeError, ShapeError
from refcodec.models.architecture import Architecture
from refcodec.models.encoder import float_planes
from refcodec.models.float_codec import FloatCodec
from refcodec.models.shipped import DEFAULT_FLOAT, shipped_path
from refcodec.models.trained import load_trained
from refcodec.quantize.calibrate import CHANNEL_SAMPLES, SAMPLES, Observations, observe
from refcodec.quantize.layers import decoder_networks, quantised_tensors
from refcodec.quantize.photographs import LARGEST, find_files, find_photographs, load_latents, load_photographs


def picture(height: int, width: int, seed: int) -> np.ndarray:
    """Ramps and blocks with a little noise, (H, W, 3) uint8."""
    y, x = np.mgrid[:height, :width]
    planes = [2 * x + seed, x + y * seed, np.where(x // 16 + y // 16 & 1, 230, 20)]
    noise = np.random.default_rng(seed).integers(0, 9, (height, width, 3))
    return ((np.stack(planes, axis=2) + noise) % 256).astype(np.uint8)


@pytest.fixture(scope="module")
def twin() -> FloatCodec:
    return load_trained(shipped_path(DEFAULT_FLOAT)).twin


@pytest.fixture(scope="module")
def latents(twin: FloatCodec) -> list[np.ndarray]:
    shapes = ((64, 128), (128, 64))
    return [twin.analysis(float_planes(picture(*shape, seed), 64)) for seed, shape in enumerate(shapes, 1)]


@pytest.fixture(scope="module")
def observations(twin: FloatCodec, latents: list[np.ndarray]) -> Observations:
    return observe(twin, latents)


# --- observing


def test_observe_holds_the_extremes_and_means_of_every_tensor(
    twin: FloatCodec, latents: list[np.ndarray], observations: Observations
) -> None:
    seen: dict[str, list[np.ndarray]] = {}

    def watch(name: str, array: np.ndarray) -> None:
        seen.setdefault(name, []).append(array.copy())

    for y in latents:
        coded = twin.code(y)
        twin.hyper_synthesis(coded.z, watch)
        twin.synthesis(coded.y_hat, watch)
    for table in (observations.samples, observations.columns, observations.means, observations.squares):
        assert set(table) == set(seen)
    for name, arrays in seen.items():
        sampled, columns = observations.samples[name], observations.columns[name]
        assert sampled.dtype == columns.dtype == np.float32
        assert sampled.min() == min(array.min() for array in arrays)
        assert sampled.max() == max(array.max() for array in arrays)
        assert set(sampled.tolist()) <= {value for array in arrays for value in array.ravel().tolist()}
        assert sampled.size <= len(arrays) * (2 * SAMPLES + 2)
        assert columns.shape[1] <= len(arrays) * (2 * CHANNEL_SAMPLES + 2)
        whole = np.concatenate([array.reshape(len(array), -1) for array in arrays], axis=1)
        np.testing.assert_array_equal(columns.min(axis=1), whole.min(axis=1))
        np.testing.assert_array_equal(columns.max(axis=1), whole.max(axis=1))
        for row, values in zip(columns, whole, strict=True):
            assert set(row.tolist()) <= set(values.tolist())
        wanted = np.mean([array.astype(float).mean(axis=(1, 2)) for array in arrays], axis=0)
        np.testing.assert_allclose(observations.means[name], wanted, rtol=1e-12, atol=1e-15)
        wanted = np.mean([(array.astype(float) ** 2).mean(axis=(1, 2)) for array in arrays], axis=0)
        np.testing.assert_allclose(observations.squares[name], wanted, rtol=1e-12)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=label)
def test_observe_sees_whatever_a_recipe_needs(architecture: Architecture) -> None:
    codec = small_codec(architecture)
    seen = observe(codec, [latent_of(codec)])
    nodes = {node.name for network in decoder_networks(codec).values() for node in network.nodes}
    assert nodes | set(quantised_tensors(codec)) <= set(seen.samples)
    for name, columns in seen.columns.items():
        assert len(columns) == len(seen.means[name]) == len(seen.squares[name]), name
    for values in (*seen.samples.values(), *seen.means.values(), *seen.squares.values()):
        assert np.isfinite(values).all()


@pytest.mark.parametrize("architecture", [a for a in ARCHITECTURES if a.mask], ids=label)
def test_observe_of_a_context_model_is_about_what_decoding_gives(architecture: Architecture) -> None:
    """Contexts of a first guess stand in for a recursion: their range is that of the recursion, nearly."""
    codec = small_codec(architecture)
    y = latent_of(codec, (2, 2))
    seen, coded = observe(codec, [y]), codec.code(y)
    assert np.abs(seen.samples["y_hat"]).max() == pytest.approx(np.abs(coded.y_hat).max(), abs=1.0)
    context = codec.context(coded.y_hat)
    assert np.abs(seen.samples["context"]).max() == pytest.approx(np.abs(context).max(), rel=0.5)
    if architecture.mask == "checkerboard":  # what the entropy parameters of anchors read
        assert (seen.columns["context"] == 0).any(axis=1).all()


def test_observe_latents_are_integers_about_their_medians(twin: FloatCodec, observations: Observations) -> None:
    y = observations.samples["y_hat"]
    assert np.array_equal(y, np.rint(y))
    distances = observations.columns["z_hat"] - twin.medians[:, None]
    assert np.abs(distances - np.rint(distances)).max() < 1e-5
    assert np.ptp(np.rint(distances)) > 3


def test_observe_takes_a_generator_and_refuses_none(twin: FloatCodec, latents: list[np.ndarray]) -> None:
    assert observe(twin, (y for y in latents[:1])).samples["y_hat"].size
    with pytest.raises(RangeError, match=r"^RC-RANGE: calibration needs at least one picture"):
        observe(twin, iter([]))


# --- photographs


def test_find_photographs_spreads_over_the_folder(tmp_path: Path) -> None:
    for name in ("a.png", "b.PNG", "c.jpg", "d.txt", "e.bmp", "f.tif", "g"):
        (tmp_path / name).write_bytes(b"")
    names = [path.name for path in find_photographs(tmp_path, 99)]
    assert names == ["a.png", "b.PNG", "c.jpg", "e.bmp", "f.tif"]
    assert [path.name for path in find_photographs(tmp_path, 2)] == ["a.png", "c.jpg"]
    assert [path.name for path in find_photographs(str(tmp_path), 1)] == ["a.png"]
    assert [path.name for path in find_files(tmp_path, 9, (".txt", ".jpg"))] == ["c.jpg", "d.txt"]


def test_find_photographs_refuses_folders_without(tmp_path: Path) -> None:
    (tmp_path / "only.txt").write_text("words")
    for folder in (tmp_path, tmp_path / "missing", tmp_path / "only.txt"):
        with pytest.raises(FileError, match=r"^RC-FILE-READ: .* holds nothing to calibrate on"):
            find_photographs(folder, 4)
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(FileError, match=r"^RC-FILE-READ: "):
        find_photographs(tmp_path, 0)


@pytest.mark.parametrize(("multiple", "height"), [(64, 64), (16, 48), (128, 128)])
def test_load_photographs_crops_to_the_middle_and_pads(multiple: int, height: int, tmp_path: Path) -> None:
    wide = picture(40, LARGEST + 10, 3)
    imageio.imwrite(tmp_path / "wide.png", wide)
    (planes,) = load_photographs([tmp_path / "wide.png"], multiple)
    assert planes.shape == (3, height, LARGEST)
    assert planes.dtype == np.float32
    assert np.array_equal(planes[:, :40], wide[:, 5 : 5 + LARGEST].transpose(2, 0, 1).astype(np.float32) / 255)
    assert np.array_equal(planes[:, 40:], np.repeat(planes[:, 39:40], height - 40, axis=1))


def test_load_photographs_refuses_what_is_not_a_picture(tmp_path: Path) -> None:
    (tmp_path / "words.png").write_text("words")
    with pytest.raises(ImageError, match=r"^RC-IMAGE-READ: "):
        next(iter(load_photographs([tmp_path / "words.png"], 64)))


def test_load_latents_are_those_of_the_analysis(twin: FloatCodec, latents: list[np.ndarray], tmp_path: Path) -> None:
    for name, shape, seed in (("a.png", (64, 128), 1), ("b.png", (128, 64), 2)):
        imageio.imwrite(tmp_path / name, picture(*shape, seed))
    found = list(load_latents(twin, tmp_path, 9))
    assert len(found) == 2
    for y, wanted in zip(found, latents, strict=True):
        np.testing.assert_array_equal(y, wanted)


def test_load_latents_of_a_codec_of_latents_are_files(tmp_path: Path) -> None:
    codec = small_codec(next(a for a in ARCHITECTURES if a.family == "entropy-parameters"))
    y = latent_of(codec)
    np.save(tmp_path / "b.npy", y)
    np.save(tmp_path / "a.npy", y[:, :5, :3])
    (tmp_path / "c.png").write_bytes(b"")
    found = list(load_latents(codec, tmp_path, 9))
    assert [array.shape for array in found] == [(6, 8, 8), (6, 8, 8)]
    np.testing.assert_array_equal(found[1], y)
    np.testing.assert_array_equal(found[0][:, :5, :3], y[:, :5, :3])
    np.save(tmp_path / "d.npy", y[:5])
    with pytest.raises(ShapeError, match=r"^RC-SHAPE: .*d\.npy: wanted numbers \(6, H, W\)"):
        list(load_latents(codec, tmp_path, 9))
    with pytest.raises(FileError, match=r"^RC-FILE-READ: .* holds nothing to calibrate on: no \.npy"):
        list(load_latents(codec, tmp_path / "missing", 9))
