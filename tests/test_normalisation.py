"""From float inverse GDN to integers: one layer against its bound, and whole codecs (SPEC GDN-1 to GDN-5)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_oracle
import pytest
import tosa_oracle

from refcodec.codecs.picture import geometry_of_shape
from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.formats import IntFormat
from refcodec.interop.onnx.export import export_program as export_onnx
from refcodec.interop.tosa.export import export_program as export_tosa
from refcodec.models.encoder import analysis_of, encode_picture, fixed_latents, float_planes
from refcodec.models.float_codec import FloatCodec
from refcodec.models.float_layers import inverse_gdn as float_inverse_gdn
from refcodec.models.shipped import DEFAULT_FLOAT, shipped_path
from refcodec.models.trained import Trained, load_trained
from refcodec.program.model_file import model_from_bytes, model_to_bytes
from refcodec.program.operations import InverseGdn, Tensor
from refcodec.program.program import Program
from refcodec.quantize.calibrate import observe
from refcodec.quantize.choices import Choices, choose
from refcodec.quantize.integerise import integerise
from refcodec.quantize.normalisation import inverse_gdn

FORMS = [("gdn1", False), ("gdn", True)]


def one_layer(channels: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Beta, gamma of many decades, and samples (C, 40, 50)."""
    beta = rng.uniform(0.5, 2, channels)
    gamma = 10.0 ** rng.uniform(-5, -1, (channels, channels))
    return beta, gamma, rng.normal(size=(channels, 40, 50)) * 10.0 ** rng.uniform(-1, 1, (channels, 1, 1))


@pytest.mark.parametrize(("backbone", "squared"), FORMS)
@pytest.mark.parametrize(("bits", "allowed"), [(8, 1.6), (12, 1.6), (16, 2.6)])
def test_inverse_gdn_of_one_layer_is_the_float_one_to_a_step_or_two(
    backbone: str, squared: bool, bits: int, allowed: float, rng: np.random.Generator
) -> None:
    """Against the real result for the same quantised samples; the largest error is in steps of the target."""
    beta, gamma, x = one_layer(12, rng)
    fmt = IntFormat(bits, True)
    steps = np.abs(x).max(axis=(1, 2)) / fmt.hi
    samples = np.clip(np.floor(x / steps[:, None, None] + 0.5), fmt.lo, fmt.hi).astype(np.int64)
    real = samples * steps[:, None, None]
    powers = real**2 if squared else np.abs(real)
    norm = np.einsum("oc,cyx->oyx", gamma, powers) + beta[:, None, None]
    wanted = real * (np.sqrt(norm) if squared else norm)
    step = np.abs(wanted).max() / fmt.hi
    read = Tensor("x", 12, fmt)
    op = inverse_gdn("y", read, beta, gamma, squared, steps, np.full(12, step), bits)
    program = Program("p", (read, Tensor("y", 12, fmt)), (op,))
    found = program.run(samples)
    np.testing.assert_array_equal(found[:, :4, :5], program.run_plain(samples[:, :4, :5]))
    exact = float_inverse_gdn(*(v.astype(np.float32) for v in (real, beta, gamma)), 2 if squared else 1)
    np.testing.assert_allclose(wanted, exact, rtol=1e-4, atol=1e-5)
    assert np.abs(found - np.clip(wanted / step, fmt.lo, fmt.hi)).max() <= allowed
    assert found.min() < fmt.lo // 2
    assert found.max() > fmt.hi // 2


@pytest.mark.parametrize(("backbone", "squared"), FORMS)
def test_inverse_gdn_gives_every_channel_a_step_of_its_own(
    backbone: str, squared: bool, rng: np.random.Generator
) -> None:
    beta, gamma, x = one_layer(12, rng)
    fmt = IntFormat(12, True)
    steps = np.abs(x).max(axis=(1, 2)) / fmt.hi
    samples = np.clip(np.floor(x / steps[:, None, None] + 0.5), fmt.lo, fmt.hi).astype(np.int64)
    real = samples * steps[:, None, None]
    norm = np.einsum("oc,cyx->oyx", gamma, real**2 if squared else np.abs(real)) + beta[:, None, None]
    wanted = real * (np.sqrt(norm) if squared else norm)
    targets = np.abs(wanted).max(axis=(1, 2)) / fmt.hi
    read = Tensor("x", 12, fmt)
    program = Program(
        "p", (read, Tensor("y", 12, fmt)), (inverse_gdn("y", read, beta, gamma, squared, steps, targets, 12),)
    )
    distances = np.abs(program.run(samples) - wanted / targets[:, None, None]).max(axis=(1, 2))
    assert (distances <= 1.6).all(), distances


@pytest.mark.parametrize("squared", [False, True])
def test_inverse_gdn_takes_betas_and_gammas_of_nothing(squared: bool) -> None:
    """A row without gamma, and a beta far below what a step of the norm can show."""
    beta, gamma = np.array([1e-6, 1e-6, 1.0]), np.array([[0.0, 0, 0], [1.0, 1, 1], [1e-9, 0, 0]])
    read = Tensor("x", 3, IntFormat(16, True))
    op = inverse_gdn("y", read, beta, gamma, squared, np.full(3, 1e-3), np.full(3, 1e-2), 16)
    Program("p", (read, Tensor("y", 3, IntFormat(16, True))), (op,))
    assert op.beta.min() >= 1


@pytest.fixture(scope="module")
def normalised() -> dict[str, Trained]:
    """The shipped networks with normalisations in the place of rectifiers: not a good codec, but a whole one.

    The last layers of both transforms are scaled so that latents and samples have their usual sizes.
    """
    trained, rng = load_trained(shipped_path(DEFAULT_FLOAT)), np.random.default_rng(7)
    parameters = dict(trained.twin.parameters)
    for layer in (f"{net}.{index}" for net in ("g_a", "g_s") for index in (1, 3, 5)):
        parameters[f"{layer}.beta"] = np.sqrt(rng.uniform(0.5, 1.0, 32)).astype(np.float32)
        parameters[f"{layer}.gamma"] = np.sqrt(10.0 ** rng.uniform(-5, -2, (32, 32))).astype(np.float32)
    found, planes = {}, float_planes(picture(), 64)
    for name, _ in FORMS:
        tamed, form = dict(parameters), {"backbone": name.upper()}
        y = FloatCodec(tamed, form).analysis(planes)
        tamed["g_a.6.weight"] = tamed["g_a.6.weight"] * np.float32(4 / y.std())
        tamed["g_a.6.bias"] = np.zeros_like(tamed["g_a.6.bias"])
        twin = FloatCodec(tamed, form)
        samples = twin.synthesis(np.rint(twin.analysis(planes)))
        tamed["g_s.6.weight"] = tamed["g_s.6.weight"] * np.float32(0.2 / samples.std())
        found[name] = replace(trained, twin=FloatCodec(tamed, form))
    return found


def picture() -> np.ndarray:
    y, x = np.mgrid[:70, :90]
    return np.stack([2 * x, 3 * y, 128 + x - y], axis=2).astype(np.uint8)


@pytest.mark.parametrize(("backbone", "squared"), FORMS)
def test_a_normalised_codec_decodes_as_its_float_twin(
    backbone: str, squared: bool, normalised: dict[str, Trained], tmp_path: Path
) -> None:
    trained = normalised[backbone]
    assert trained.twin.architecture.backbone == backbone
    latent = trained.twin.analysis(float_planes(picture(), 64))
    recipe = choose(trained.twin, observe(trained.twin, [latent]), Choices(16, 16, 16, observer="minmax"))
    assert all(len(recipe.activation_steps[f"g_s.{index}.x"]) == 32 for index in (1, 3, 5))
    model = model_from_bytes(model_to_bytes(integerise(trained, recipe)))
    forms = [op.squared for op in model.programs["g_s"].operations if isinstance(op, InverseGdn)]
    assert forms == [squared] * 3
    assert analysis_of(model).architecture.backbone == backbone
    latents = fixed_latents(trained.twin, latent, 0)
    codec = ScaleHyperprior.from_model(model)
    stream = encode_picture(picture(), model)
    assert stream == codec.encode(latents, geometry_of_shape(picture().shape))
    found = codec.decode(stream).astype(int)
    exact = np.clip(trained.twin.synthesis(latents.y.astype(np.float32)) * 255, 0, 255)[:, :70, :90].transpose(1, 2, 0)
    assert np.abs(found - exact).max() < 1.0
    assert exact.max() - exact.min() > 20


@pytest.mark.parametrize(("backbone", "squared"), FORMS)
def test_a_normalised_decoder_of_eight_bits_gives_the_same_integers_elsewhere(
    backbone: str, squared: bool, normalised: dict[str, Trained]
) -> None:
    """Products of 32 bits and radicands of 29 are what TOSA can compute without an extension."""
    trained = normalised[backbone]
    latent = trained.twin.analysis(float_planes(picture(), 64))
    model = integerise(trained, choose(trained.twin, observe(trained.twin, [latent]), Choices(8, 8, 8)))
    y = fixed_latents(trained.twin, latent, 0).y
    program = model.programs["g_s"]
    wanted = program.run(y)
    found = onnx_oracle.session(export_onnx(program))({"y": y[None]})["x_hat"][0]
    np.testing.assert_array_equal(found, wanted)
    file = export_tosa(program, {"y": y.shape[1:]})
    assert file.extensions == ()
    assert tosa_oracle.complaints(file.content, file.extensions) == ""
    status, outputs = tosa_oracle.evaluate(file.content, {"y": y.transpose(1, 2, 0)[None]}, ["x_hat"])
    assert status == "TOSA_VALID"
    np.testing.assert_array_equal(outputs["x_hat"][0].transpose(2, 0, 1).astype(np.uint8), wanted)
    assert len(np.unique(wanted)) > 50


def test_an_eight_bit_normalised_program_equals_its_definition(normalised: dict[str, Trained]) -> None:
    trained = normalised["gdn"]
    latent = trained.twin.analysis(float_planes(picture(), 64))
    model = integerise(trained, choose(trained.twin, observe(trained.twin, [latent]), Choices(8, 8, 8)))
    y = fixed_latents(trained.twin, latent, 0).y
    program = model.programs["g_s"]
    np.testing.assert_array_equal(program.run(y[:, :3, :2]), program.run_plain(y[:, :3, :2]))
