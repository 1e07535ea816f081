"""Architectures are told apart by names, shapes and metadata."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_codecs import ARCHITECTURES, label, metadata_of, parameters_of

from refcodec.errors import ModelError
from refcodec.models.architecture import Architecture, identify, part_of

Parameters = dict[str, np.ndarray]

RELU = Architecture("scale-hyperprior", "relu", "balle2018", 4, 6, 5)
GDN = replace(RELU, backbone="gdn")


def zeros(architecture: Architecture) -> Parameters:
    return {name: np.zeros_like(array) for name, array in parameters_of(architecture).items()}


# --- what is known


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=label)
def test_identify_finds_every_family_and_layout(architecture: Architecture) -> None:
    assert identify(parameters_of(architecture), metadata_of(architecture)) == architecture


@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 3, 4), (3, 2, 5), (7, 4, 2)])
@pytest.mark.parametrize("family", ["scale-hyperprior", "mean-scale-hyperprior", "autoregressive", "checkerboard"])
def test_identify_finds_every_size(family: str, sizes: tuple[int, int, int]) -> None:
    """A latent of one channel has scales of one and side information of two channels, which are told apart too."""
    wanted = Architecture(family, "relu", "balle2018" if family == "scale-hyperprior" else "mbt2018", *sizes)
    assert identify(zeros(wanted)) == wanted


@pytest.mark.parametrize(
    ("architecture", "metadata", "backbone"),
    [
        (RELU, None, "relu"),
        (RELU, {"backbone": "ReLU"}, "relu"),
        (GDN, None, "gdn"),
        (GDN, {"other": "x"}, "gdn"),
        (GDN, {"backbone": "GDN"}, "gdn"),
        (GDN, {"backbone": "gdn1"}, "gdn1"),
        (GDN, {"backbone": "GDN1 (n = beta + gamma |x|), IGDN1 in g_s"}, "gdn1"),
    ],
)
def test_identify_tells_backbones_apart(
    architecture: Architecture, metadata: dict[str, str] | None, backbone: str
) -> None:
    assert identify(zeros(architecture), metadata) == replace(RELU, backbone=backbone)


def test_identify_ignores_buffers() -> None:
    buffers = {
        "entropy_bottleneck._quantized_cdf": np.zeros((2, 9), np.int32),
        "gaussian_conditional.weight": np.zeros(1),
    }
    assert identify(zeros(RELU) | buffers) == RELU


# --- what is refused


@pytest.mark.parametrize("backbone", ["GDN1", "gdn", "SiLU"])
def test_identify_refuses_metadata_that_name_a_normalisation_that_is_not_there(backbone: str) -> None:
    with pytest.raises(ModelError, match=r"RC-MODEL-FAMILY: the metadata name backbone .* the parameters are of ReLU"):
        identify(zeros(RELU), {"backbone": backbone})


@pytest.mark.parametrize("backbone", ["ReLU", "GDN2", ""])
def test_identify_refuses_metadata_that_name_another_backbone_than_gdn(backbone: str) -> None:
    with pytest.raises(ModelError, match=r"RC-MODEL-FAMILY: the metadata name backbone .* the parameters are of GDN"):
        identify(zeros(GDN), {"backbone": backbone})


def without(prefix: str, architecture: Architecture = RELU) -> Parameters:
    return {name: array for name, array in zeros(architecture).items() if not name.startswith(prefix)}


CHENG = Architecture("autoregressive", "cheng2020", "cheng2020", 6, 6, 6)
SSF = Architecture("mean-scale-hyperprior", "relu", "ssf2020", 4, 6, 6, "img")


@pytest.mark.parametrize(
    ("wrong", "seen"),
    [
        ({}, "''"),
        ({"features.0.weight": np.zeros(1)}, "not a codec that is known: 'features'"),
        (without("g_a.0"), "g_a.2 g_a.4 g_a.6"),
        (zeros(RELU) | {"h_s.4.weight": np.zeros((7, 4, 3, 3))}, "h_s gives 7 channels for a latent of 6"),
        (without("context_prediction", CHENG), "residual blocks without a context model: 'entropy_bottleneck"),
        ({f"x{i}.weight": np.zeros(1) for i in range(999)}, "not a codec that is known: 'x0 x1"),
    ],
)
def test_identify_refuses_other_families_and_says_what_it_saw(wrong: Parameters, seen: str) -> None:
    with pytest.raises(ModelError, match="RC-MODEL-FAMILY") as caught:
        identify(wrong)
    assert seen in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("architecture", "prefix", "name"),
    [
        (RELU, "g_a.6", "g_a.6.weight"),
        (RELU, "h_s", "h_s.4.weight"),
        (RELU, "h_a", "h_a.4.weight"),
        (replace(CHENG, family="checkerboard", backbone="relu", hyper="mbt2018"), "latent_codec.hyper.h_a", "h_a.4"),
        (replace(RELU, family="factorised", hyper="none", z=1), "g_a.6", "g_a.6.weight"),
        (SSF, "img_encoder.0", "img_encoder.0.weight"),
    ],
)
def test_identify_names_the_layer_that_it_misses(architecture: Architecture, prefix: str, name: str) -> None:
    wanted = "wanted the weight of a convolution, found none"
    with pytest.raises(ModelError, match=f"RC-CHECKPOINT-PARAMETER: .*{name}.*: {wanted}"):
        identify(without(prefix, architecture))


@pytest.mark.parametrize("name", ["g_a.0.weight", "g_a.6.weight", "h_a.4.weight", "h_s.4.weight"])
@pytest.mark.parametrize("shape", [(), (3,), (6, 4, 5), (0, 4, 5, 5, 1)])
def test_identify_refuses_weights_that_are_no_convolutions(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=f"RC-CHECKPOINT-PARAMETER: {name}: wanted the weight of a convolution, found"):
        identify(zeros(RELU) | {name: np.zeros(shape, np.float32)})


def test_identify_refuses_latents_and_hyper_latents_of_no_channels() -> None:
    for name in ("g_a.6.weight", "h_a.4.weight"):
        with pytest.raises(ModelError, match=r"RC-MODEL-FAMILY: .*must be 1 \.\. 4096|RC-MODEL-FAMILY: h_s gives"):
            identify(zeros(RELU) | {name: np.zeros((0, 4, 5, 5), np.float32)})


# --- ssf2020, three codecs in one checkpoint


def video() -> Parameters:
    """A small ssf2020 checkpoint with all its modules."""
    hyper = [Architecture("entropy-parameters", "none", "ssf2020", 1, 6, 6, stem) for stem in ("motion", "res")]
    found = zeros(SSF) | zeros(hyper[0]) | zeros(hyper[1])
    for name, array in zeros(SSF).items():
        if name.startswith(("img_encoder", "img_decoder")):
            found |= {name.replace("img", stem): array for stem in ("motion", "res")}
    return found


@pytest.mark.parametrize(
    ("part", "wanted"),
    [
        ("img", SSF),
        ("img_hyperprior", Architecture("entropy-parameters", "none", "ssf2020", 1, 6, 6, "img")),
        ("motion_hyperprior", Architecture("entropy-parameters", "none", "ssf2020", 1, 6, 6, "motion")),
        ("res_hyperprior", Architecture("entropy-parameters", "none", "ssf2020", 1, 6, 6, "res")),
    ],
)
def test_part_of_is_one_codec_within_ssf2020(part: str, wanted: Architecture) -> None:
    found = part_of(video(), part)
    assert identify(found) == wanted
    assert found.keys() == parameters_of(wanted).keys()


def test_part_of_refuses_what_is_not_there() -> None:
    with pytest.raises(ModelError, match="RC-MODEL-FAMILY: the checkpoint holds no part res_hyperprior: 'entropy_bott"):
        part_of(zeros(RELU), "res_hyperprior")
    with pytest.raises(ModelError, match="RC-MODEL-FAMILY: the checkpoint holds no part img: 'motion_hyperprior'"):
        part_of(part_of(video(), "motion_hyperprior"), "img")


def test_identify_of_a_whole_ssf2020_asks_for_a_part() -> None:
    with pytest.raises(ModelError, match=r"RC-MODEL-FAMILY: .* holds the codecs img, motion, res: choose a part"):
        identify(video())


@pytest.mark.parametrize("stem", ["motion", "res"])
def test_identify_refuses_transforms_that_give_no_picture(stem: str) -> None:
    heads = (f"{stem}_encoder", f"{stem}_decoder", f"{stem}_hyperprior")
    found = {name: array for name, array in video().items() if name.startswith(heads)}
    with pytest.raises(ModelError, match=f"RC-MODEL-FAMILY: {stem}_decoder gives no picture"):
        identify(found)


# --- the description itself


@pytest.mark.parametrize(
    "fields",
    [
        ("other", "relu", "balle2018"),
        ("scale-hyperprior", "tanh", "balle2018"),
        ("scale-hyperprior", "relu", "balle2020"),
    ],
)
def test_architecture_refuses_unknown_kinds(fields: tuple[str, str, str]) -> None:
    with pytest.raises(ModelError, match="RC-MODEL-FAMILY: family"):
        Architecture(*fields, 2, 3, 4)


@pytest.mark.parametrize("size", [(0, 3, 1), (2, 0, 1), (2, 3, 0), (4097, 3, 1), (2, 4097, 1), (2, 3, 4097)])
def test_architecture_refuses_absurd_sizes(size: tuple[int, int, int]) -> None:
    with pytest.raises(
        ModelError, match=r"RC-MODEL-FAMILY: hidden, latent and hyper-latent channels must be 1 \.\. 4096"
    ):
        Architecture("scale-hyperprior", "relu", "balle2018", *size)
