"""NNCodec as a peer: it codes the same integers, its trellis is ours; and the bench that compares the sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench_weight_coding as bench
from refcodec.codecs.inr.architecture import parameters
from refcodec.codecs.inr.nodes import BIAS
from refcodec.entropy.trellis import reconstruct
from refcodec.entropy.weight_coding import encode_integers, mode_sizes
from refcodec.models.inr.trained import TrainedVideo, save_video
from refcodec.models.shipped import shipped_names, shipped_path
from refcodec.vectorgen.tiny_videos import HINERV


@pytest.fixture(scope="module")
def nncodec() -> Any:
    """NNCodec's extension module; the tests that ask for it are skipped where it is not."""
    module = bench.load_nncodec()
    if module is None:
        pytest.skip("no deepCABAC in .oracles: run tools/fetch_oracles.py")
    return module


@pytest.mark.oracle
@pytest.mark.parametrize("flags", bench.FLAGS)
def test_nncodec_restores_the_integers_that_ours_are_compared_on(
    flags: int, nncodec: Any, rng: np.random.Generator
) -> None:
    for bits in (2, 4, 8, 12):
        values = np.rint(rng.laplace(size=(5, 7, 9)) * 2 ** (bits - 3)).clip(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        payload = bench.nncodec_payload(nncodec, values, flags, False)
        np.testing.assert_array_equal(bench.nncodec_integers(nncodec, payload, values.shape, flags, False), values)


@pytest.mark.oracle
def test_trellis_of_nncodec_is_ours(nncodec: Any, rng: np.random.Generator) -> None:
    """It codes integers as levels of its own trellis, and keeps them exactly if they are integers of ours."""
    for seed in range(20):
        levels = np.random.default_rng(seed).integers(-40, 41, (6, 5, 9))
        values = reconstruct(levels)
        payload = bench.nncodec_payload(nncodec, values, 4, True)
        np.testing.assert_array_equal(bench.nncodec_integers(nncodec, payload, values.shape, 4, True), values)
    other = rng.integers(-40, 41, (6, 5, 9))
    payload = bench.nncodec_payload(nncodec, other, 4, True)
    assert (bench.nncodec_integers(nncodec, payload, other.shape, 4, True) != other).any()


def test_bench_measures_a_shipped_model() -> None:
    """Ours is never longer than static; without NNCodec its columns are left out."""
    weights = bench.load_weights(shipped_path(shipped_names(".safetensors")[0]))[-1:]
    found = bench.measure(weights, 4, None)
    assert set(found) == {"entropy", "static", "ours", "dq"}
    assert found["ours"] <= found["static"]
    assert 0 < found["entropy"] < found["static"] < 4
    values = np.rint(weights[0].values / bench.channel_steps(weights[0], 4)).astype(np.int32)
    assert abs(values).max() == 7
    assert found["static"] == 8 * mode_sizes(values)["static"] / values.size
    assert found["ours"] == 8 * len(encode_integers(values)) / values.size


def test_bench_takes_levels_of_no_more_error_than_rounding(rng: np.random.Generator) -> None:
    weights = [bench.Weights("a", rng.normal(size=(8, 20, 9)), 0)]
    steps = [bench.channel_steps(weights[0], 6)]
    error = float(np.square(np.rint(weights[0].values / steps[0]) * steps[0] - weights[0].values).sum())
    levels = bench.dependent_of_error(weights, steps, error)
    plain = encode_integers(np.rint(weights[0].values / steps[0]).astype(int))
    assert len(encode_integers(levels[0], True)) < len(plain) - 0.1 * levels[0].size / 8


def test_bench_reads_implicit_videos(tmp_path: Path, rng: np.random.Generator) -> None:
    """Weights, and grids with their channels on the second axis; biases are left out."""
    shapes = {p.name: p.shape for p in parameters(HINERV.nodes())}
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    save_video(tmp_path / "video.safetensors", TrainedVideo(HINERV, arrays))
    found = {w.name: w for w in bench.load_weights(tmp_path / "video.safetensors")}
    assert set(found) == {p.name for p in parameters(HINERV.nodes()) if p.kind != BIAS}
    assert {w.axis for w in found.values()} == {0, 1}
    for name, weights in found.items():
        np.testing.assert_array_equal(weights.values.ravel(), arrays[name].ravel())
        assert weights.values.shape[:2] == shapes[name][:2]
        assert bench.channel_steps(weights, 4).size == weights.values.shape[weights.axis]
