"""The float twin equals plain loops in float64, layer by layer and as a whole, and PyTorch's figures on photographs."""

import os
import tracemalloc
from collections.abc import Callable
from itertools import product
from pathlib import Path

import imageio.v3
import numpy as np
import pytest

from refcodec.errors import ModelError, RangeError, ShapeError
from refcodec.models import float_layers
from refcodec.models.checkpoint import load_parameters, read_metadata
from refcodec.models.float_layers import (
    BETA_BOUND,
    GAMMA_BOUND,
    convolution,
    gdn,
    inverse_gdn,
    relu,
    resolve_parametrisation,
    transposed_convolution,
)
from refcodec.models.scale_hyperprior import FloatScaleHyperprior
from refcodec.models.shipped import shipped_path

ROOT = Path(__file__).parents[1]
CHECKPOINT = ROOT / "tests" / "fixtures" / "hyperprior_n2_m3.pth.tar"
SHIPPED = "balle2018-relu-n32-m64-lambda0130"


# --- the oracle: loops in float64


def naive_convolution(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int) -> np.ndarray:
    outputs, channels, k, _ = weight.shape
    _, height, width = x.shape
    pad = k // 2
    rows, columns = (height + 2 * pad - k) // stride + 1, (width + 2 * pad - k) // stride + 1
    out = np.zeros((outputs, rows, columns))
    for o, y, c in product(range(outputs), range(rows), range(columns)):
        total = float(bias[o])
        for i, ky, kx in product(range(channels), range(k), range(k)):
            iy, ix = y * stride + ky - pad, c * stride + kx - pad
            if 0 <= iy < height and 0 <= ix < width:
                total += float(x[i, iy, ix]) * float(weight[o, i, ky, kx])
        out[o, y, c] = total
    return out


def naive_transposed(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int) -> np.ndarray:
    """Every input scatters its taps; nothing of phases."""
    channels, outputs, k, _ = weight.shape
    _, height, width = x.shape
    out = np.zeros((outputs, height * stride, width * stride))
    for o in range(outputs):
        out[o] = bias[o]
    for i, y, c in product(range(channels), range(height), range(width)):
        for ky, kx in product(range(k), range(k)):
            oy, ox = y * stride + ky - k // 2, c * stride + kx - k // 2
            if 0 <= oy < out.shape[1] and 0 <= ox < out.shape[2]:
                for o in range(outputs):
                    out[o, oy, ox] += float(x[i, y, c]) * float(weight[i, o, ky, kx])
    return out


def naive_norm(x: np.ndarray, beta: np.ndarray, gamma: np.ndarray, exponent: int) -> np.ndarray:
    out = np.zeros(x.shape)
    for i, y, c in product(*map(range, x.shape)):
        total = float(beta[i])
        for j in range(x.shape[0]):
            total += float(gamma[i, j]) * abs(float(x[j, y, c])) ** exponent
        out[i, y, c] = total if exponent == 1 else total**0.5
    return out


def naive_resolved(stored: np.ndarray, minimum: float) -> np.ndarray:
    """CompressAI: bound = sqrt(minimum + pedestal); max(p, bound)**2 - pedestal."""
    pedestal = 2.0**-36
    return np.array([max(float(p), (minimum + pedestal) ** 0.5) ** 2 - pedestal for p in stored.flat]).reshape(
        stored.shape
    )


def integers(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Small integers: their sums of products are exact in float32, so results must be equal."""
    return rng.integers(-9, 10, shape).astype(np.float32)


# --- layers


@pytest.mark.parametrize("size", [(4, 6), (5, 7), (1, 1), (9, 2)])
@pytest.mark.parametrize(("k", "stride"), [(1, 1), (3, 1), (3, 2), (5, 1), (5, 2), (9, 4)])
def test_convolution_equals_plain_loops(k, stride, size):
    rng = np.random.default_rng(1)
    x, weight, bias = integers(rng, 3, *size), integers(rng, 2, 3, k, k), integers(rng, 2)
    out = convolution(x, weight, bias, stride)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, naive_convolution(x, weight, bias, stride))


@pytest.mark.parametrize("size", [(4, 3), (1, 1), (2, 5)])
@pytest.mark.parametrize(("k", "stride"), [(1, 1), (1, 2), (3, 1), (3, 2), (5, 1), (5, 2), (5, 3), (9, 4)])
def test_transposed_convolution_equals_plain_scattering(k, stride, size):
    rng = np.random.default_rng(2)
    x, weight, bias = integers(rng, 3, *size), integers(rng, 3, 2, k, k), integers(rng, 2)
    out = transposed_convolution(x, weight, bias, stride)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, naive_transposed(x, weight, bias, stride))


@pytest.mark.parametrize("limit", [1, 200, 700])
def test_convolutions_do_not_depend_on_strips(monkeypatch, limit):
    rng = np.random.default_rng(3)
    x, weight, bias = integers(rng, 2, 9, 6), integers(rng, 2, 2, 5, 5), integers(rng, 2)
    monkeypatch.setattr(float_layers, "GATHER_LIMIT", limit)
    np.testing.assert_array_equal(convolution(x, weight, bias, 2), naive_convolution(x, weight, bias, 2))
    np.testing.assert_array_equal(transposed_convolution(x, weight, bias, 2), naive_transposed(x, weight, bias, 2))


@pytest.mark.parametrize(
    ("layer", "stride", "output"), [(convolution, 1, 4 << 20), (transposed_convolution, 2, 16 << 20)]
)
def test_convolutions_need_little_memory(layer, stride, output):
    """Above the padded input and the output, a few strips; the whole picture's taps would take 25 * 4 MiB."""
    x, weight = np.zeros((8, 512, 256), np.float32), np.zeros((8, 8, 5, 5), np.float32)
    tracemalloc.start()
    layer(x, weight, np.zeros(8, np.float32), stride)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.05 * x.nbytes + output + (12 << 20)


@pytest.mark.parametrize(
    ("x", "weight", "bias"),
    [
        ((3, 4), (2, 3, 3, 3), (2,)),
        ((3, 4, 4), (2, 4, 3, 3), (2,)),
        ((3, 4, 4), (2, 3, 3, 5), (2,)),
        ((3, 4, 4), (2, 3, 4, 4), (2,)),
        ((3, 4, 4), (2, 3, 3), (2,)),
        ((3, 4, 4), (2, 3, 3, 3), (3,)),
        ((3, 4, 4), (2, 3, 3, 3), (2, 1)),
    ],
)
def test_convolutions_refuse_wrong_shapes(x, weight, bias):
    arrays = [np.zeros(shape, np.float32) for shape in (x, weight, bias)]
    with pytest.raises(ShapeError, match="RC-SHAPE: convolution of"):
        convolution(*arrays, 1)
    arrays[1] = arrays[1].swapaxes(0, 1)
    with pytest.raises(ShapeError, match="RC-SHAPE: convolution of"):
        transposed_convolution(*arrays, 2)


@pytest.mark.parametrize("exponent", [1, 2])
def test_gdn_equals_plain_loops(exponent):
    rng = np.random.default_rng(4)
    x, beta, gamma = rng.normal(0, 3, (3, 4, 5)), rng.uniform(0.1, 1, 3), rng.uniform(0, 1, (3, 3))
    x, beta, gamma = (array.astype(np.float32) for array in (x, beta, gamma))
    norm = naive_norm(x, beta, gamma, exponent)
    forward, inverse = gdn(x, beta, gamma, exponent), inverse_gdn(x, beta, gamma, exponent)
    assert forward.dtype == inverse.dtype == np.float32
    np.testing.assert_allclose(forward, x / norm, rtol=1e-6)
    np.testing.assert_allclose(inverse, x * norm, rtol=1e-6)


def test_gdn_reads_gamma_as_output_by_input():
    x, gamma = np.array([1, 10], np.float32).reshape(2, 1, 1), np.array([[0, 1], [0, 0]], np.float32)
    assert inverse_gdn(x, np.ones(2, np.float32), gamma, 1).ravel().tolist() == [11, 10]


@pytest.mark.parametrize("function", [gdn, inverse_gdn])
def test_gdn_refuses_wrong_arguments(function):
    x, beta, gamma = np.ones((2, 3, 3), np.float32), np.ones(2, np.float32), np.ones((2, 2), np.float32)
    for wrong in ((x[0], beta, gamma), (x, beta[:1], gamma), (x, beta, gamma[:1])):
        with pytest.raises(ShapeError, match="RC-SHAPE: normalisation of"):
            function(*wrong, 1)
    with pytest.raises(RangeError, match="exponent of a normalisation is 1 or 2, got 3"):
        function(x, beta, gamma, 3)


def test_resolve_parametrisation_is_that_of_compressai():
    stored = np.array([-1, 0, 2.0**-18, 1e-3, 1.0000073e-3, 0.5, 3], np.float32)
    for bound, minimum in ((BETA_BOUND, 1e-6), (GAMMA_BOUND, 0.0)):
        resolved = resolve_parametrisation(stored, bound)
        assert resolved.dtype == np.float32
        np.testing.assert_allclose(resolved, naive_resolved(stored, minimum), rtol=3e-7, atol=1e-18)
    assert resolve_parametrisation(np.float32([0, -5]), GAMMA_BOUND).tolist() == [0, 0]


def test_relu_keeps_what_is_positive():
    assert relu(np.float32([-1, -0.0, 2])).tolist() == [0, 0, 2]


# --- the whole codec, N = 2, M = 3

Network = Callable[[str, np.ndarray], np.ndarray]


def tiny(backbone: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The fixture's parameters, smooth enough for every latent to live, with normalisation or without."""
    parameters = load_parameters(CHECKPOINT)
    for name in parameters:
        if name.startswith(("g_", "h_")) and name.endswith("bias"):
            parameters[name] = np.abs(parameters[name]) + np.float32(0.1)
        if name.endswith("beta"):  # away from its floor, where float32 divides by almost nothing
            parameters[name] = np.abs(parameters[name]) + np.float32(0.3)
    if backbone == "relu":
        kept = {"0", "2", "4", "6"}
        parameters = {
            n: a for n, a in parameters.items() if not n.startswith(("g_a", "g_s")) or n.split(".")[1] in kept
        }
    return parameters, {"backbone": backbone}


def naive_backbone(net: str, x: np.ndarray, parameters: dict[str, np.ndarray], backbone: str) -> np.ndarray:
    layer = naive_convolution if net == "g_a" else naive_transposed
    for index in (0, 2, 4, 6):
        x = layer(x, parameters[f"{net}.{index}.weight"], parameters[f"{net}.{index}.bias"], 2)
        if index < 6 and backbone == "relu":
            x = np.maximum(x, 0)
        elif index < 6:
            beta = naive_resolved(parameters[f"{net}.{index + 1}.beta"], 1e-6)
            gamma = naive_resolved(parameters[f"{net}.{index + 1}.gamma"], 0)
            norm = naive_norm(x, beta, gamma, {"gdn": 2, "gdn1": 1}[backbone])
            x = x / norm if net == "g_a" else x * norm
    return x


def naive_hyper(net: str, x: np.ndarray, parameters: dict[str, np.ndarray]) -> np.ndarray:
    def weights(index: int) -> tuple[np.ndarray, np.ndarray]:
        return parameters[f"{net}.{index}.weight"], parameters[f"{net}.{index}.bias"]

    if net == "h_a":
        x = np.maximum(naive_convolution(abs(x), *weights(0), 1), 0)
        x = np.maximum(naive_convolution(x, *weights(2), 2), 0)
        return naive_convolution(x, *weights(4), 2)
    x = np.maximum(naive_transposed(x, *weights(0), 2), 0)
    x = np.maximum(naive_transposed(x, *weights(2), 2), 0)
    return np.maximum(naive_convolution(x, *weights(4), 1), 0)


def close(found: np.ndarray, wanted: np.ndarray) -> None:
    assert found.dtype == np.float32
    assert np.abs(wanted).max() > 0.01, "the comparison would be of zeros"
    np.testing.assert_allclose(found, wanted, rtol=0, atol=3e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("backbone", ["relu", "gdn", "gdn1"])
def test_float_twin_equals_plain_loops_as_a_whole(backbone):
    parameters, metadata = tiny(backbone)
    twin, rng = FloatScaleHyperprior(parameters, metadata), np.random.default_rng(5)
    assert twin.architecture.backbone == backbone
    picture = rng.random((3, 64, 64), np.float32)
    close(twin.analysis(picture), naive_backbone("g_a", picture, parameters, backbone))
    y = rng.normal(0, 1, (3, 4, 4)).astype(np.float32)
    close(twin.synthesis(y), naive_backbone("g_s", y, parameters, backbone))


def test_float_twin_hyper_networks_equal_plain_loops():
    parameters, _ = tiny("relu")
    twin, rng = FloatScaleHyperprior(parameters), np.random.default_rng(6)
    y, z = (rng.normal(0, 9, shape).astype(np.float32) for shape in ((3, 8, 4), (2, 2, 3)))
    close(twin.hyper_analysis(y), naive_hyper("h_a", y, parameters))
    close(twin.hyper_synthesis(z), naive_hyper("h_s", z, parameters))
    np.testing.assert_array_equal(twin.hyper_analysis(-y), twin.hyper_analysis(y))


def test_float_twin_squares_where_the_metadata_do_not_say():
    parameters, _ = tiny("gdn")
    picture = np.full((3, 64, 64), 0.5, np.float32)
    twins = [
        FloatScaleHyperprior(parameters, metadata) for metadata in (None, {"backbone": "GDN"}, {"backbone": "GDN1"})
    ]
    latents = [twin.analysis(picture) for twin in twins]
    np.testing.assert_array_equal(latents[0], latents[1])
    assert np.abs(latents[0] - latents[2]).max() > 0.01


@pytest.mark.parametrize(
    ("backbone", "layers"), [("relu", (0, 2, 4, 6)), ("gdn", (0, 1, 2, 3, 4, 5, 6)), ("gdn1", (0, 1, 2, 3, 4, 5, 6))]
)
def test_float_twin_shows_the_input_of_every_layer(backbone, layers):
    twin, seen = FloatScaleHyperprior(*tiny(backbone)), []
    y = np.random.default_rng(7).normal(0, 1, (3, 2, 2)).astype(np.float32)
    picture = twin.synthesis(y, lambda name, array: seen.append((name, array.copy())))
    inputs = dict(seen)
    assert [name for name, _ in seen] == [*(f"g_s.{index}" for index in layers), "g_s.out"]
    np.testing.assert_array_equal(inputs["g_s.0"], y)
    np.testing.assert_array_equal(inputs["g_s.out"], picture)
    for index in (2, 4, 6):
        assert inputs[f"g_s.{index}"].shape == (2, 2 * 2 ** (index // 2), 2 * 2 ** (index // 2))
        assert backbone != "relu" or inputs[f"g_s.{index}"].min() == 0  # after the ReLU
    weight, bias = twin.parameters["g_s.6.weight"], twin.parameters["g_s.6.bias"]
    np.testing.assert_array_equal(transposed_convolution(inputs["g_s.6"], weight, bias, 2), picture)
    np.testing.assert_array_equal(twin.synthesis(y), picture)


def test_float_twin_shows_the_input_of_every_hyper_layer():
    twin, seen = FloatScaleHyperprior(*tiny("relu")), []
    z = np.random.default_rng(8).normal(0, 9, (2, 2, 2)).astype(np.float32)
    scales = twin.hyper_synthesis(z, lambda name, array: seen.append((name, array.copy())))
    assert [(name, array.shape) for name, array in seen] == [
        ("h_s.0", (2, 2, 2)),
        ("h_s.2", (2, 4, 4)),
        ("h_s.4", (2, 8, 8)),
        ("h_s.out", (3, 8, 8)),
    ]
    np.testing.assert_array_equal(seen[-1][1], scales)
    assert all(array.min() >= 0 for _, array in seen[1:])
    np.testing.assert_array_equal(twin.hyper_synthesis(z), scales)


def test_float_twin_takes_medians_from_the_middle_quantile():
    parameters, _ = tiny("relu")
    twin = FloatScaleHyperprior(parameters)
    np.testing.assert_array_equal(twin.medians, [parameters["entropy_bottleneck.quantiles"][n, 0, 1] for n in (0, 1)])
    assert twin.medians.shape == (2,)


def test_float_twin_refuses_incomplete_parameters():
    parameters, _ = tiny("relu")
    del parameters["h_a.2.bias"]
    with pytest.raises(ModelError, match=r"RC-CHECKPOINT-PARAMETER: h_a\.2\.bias"):
        FloatScaleHyperprior(parameters)


def test_float_twin_refuses_wrong_inputs():
    twin, one = FloatScaleHyperprior(*tiny("relu")), np.float32(1)
    for function, shape in (
        (twin.analysis, (3, 64, 65)),
        (twin.analysis, (1, 64, 64)),
        (twin.analysis, (3, 0, 64)),
        (twin.hyper_analysis, (3, 4, 6)),
        (twin.hyper_analysis, (2, 4, 4)),
        (twin.hyper_synthesis, (3, 1, 1)),
        (twin.hyper_synthesis, (1, 2, 1, 1)),
        (twin.synthesis, (2, 1, 1)),
        (twin.synthesis, (3, 1)),
    ):
        with pytest.raises(ShapeError, match=r"RC-SHAPE: \w+: wanted float32"):
            function(np.full(shape, one))
    with pytest.raises(ShapeError, match="got float64"):
        twin.analysis(np.zeros((3, 64, 64)))
    for wrong in (-0.1, 1.1, np.nan):
        with pytest.raises(RangeError, match=r"RC-RANGE: picture: wanted 0 \.\. 1"):
            twin.analysis(np.full((3, 64, 64), wrong, np.float32))


# --- the shipped model on a photograph


def photograph(name: str) -> np.ndarray:
    path = ROOT / os.environ.get("REFCODEC_DATA", "../shared/data") / "kodak" / name
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    return imageio.v3.imread(path)


@pytest.mark.parametrize(("name", "wanted"), [("kodim03.png", 31.600), ("kodim19.png", 28.717)])
def test_shipped_model_reaches_the_psnr_measured_with_pytorch(name, wanted):
    """Figures of CompressAI's float decoder for these pictures, 768x512 and 512x768 (shipped/PROVENANCE.md)."""
    pixels = photograph(name)
    twin = FloatScaleHyperprior(load_parameters(shipped_path(SHIPPED)), read_metadata(shipped_path(SHIPPED)))
    y = twin.analysis(np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32) / np.float32(255))
    medians = twin.medians[:, None, None]
    z_hat = np.round(twin.hyper_analysis(y) - medians) + medians
    assert twin.hyper_synthesis(z_hat).shape == y.shape
    decoded = np.round(np.clip(twin.synthesis(np.round(y)), 0, 1) * 255).transpose(1, 2, 0)
    psnr = 10 * np.log10(255**2 / np.mean((decoded - pixels.astype(np.float64)) ** 2))
    assert abs(psnr - wanted) < 0.01
