"""Architectures are told apart by names, shapes and metadata; every parameter is verified."""

import numpy as np
import pytest

from refcodec.errors import ModelError
from refcodec.models.architecture import Architecture, check, identify, parameter_shapes

N, M = 2, 3

# Written out from CompressAI's ScaleHyperprior(2, 3), independently of the code under test.
CONVOLUTIONS = {
    "g_a.0": ((2, 3, 5, 5), 2),
    "g_a.2": ((2, 2, 5, 5), 2),
    "g_a.4": ((2, 2, 5, 5), 2),
    "g_a.6": ((3, 2, 5, 5), 3),
    "g_s.0": ((3, 2, 5, 5), 2),
    "g_s.2": ((2, 2, 5, 5), 2),
    "g_s.4": ((2, 2, 5, 5), 2),
    "g_s.6": ((2, 3, 5, 5), 3),
    "h_a.0": ((2, 3, 3, 3), 2),
    "h_a.2": ((2, 2, 5, 5), 2),
    "h_a.4": ((2, 2, 5, 5), 2),
    "h_s.0": ((2, 2, 5, 5), 2),
    "h_s.2": ((2, 2, 5, 5), 2),
    "h_s.4": ((3, 2, 3, 3), 3),
}
DENSITY = {
    "matrices.0": (2, 3, 1),
    "matrices.1": (2, 3, 3),
    "matrices.2": (2, 3, 3),
    "matrices.3": (2, 3, 3),
    "matrices.4": (2, 1, 3),
    "biases.0": (2, 3, 1),
    "biases.1": (2, 3, 1),
    "biases.2": (2, 3, 1),
    "biases.3": (2, 3, 1),
    "biases.4": (2, 1, 1),
    "factors.0": (2, 3, 1),
    "factors.1": (2, 3, 1),
    "factors.2": (2, 3, 1),
    "factors.3": (2, 3, 1),
    "quantiles": (2, 1, 3),
}
SHAPES: dict[str, tuple[int, ...]] = {f"{layer}.weight": shape for layer, (shape, _) in CONVOLUTIONS.items()}
SHAPES |= {f"{layer}.bias": (count,) for layer, (_, count) in CONVOLUTIONS.items()}
SHAPES |= {f"entropy_bottleneck.{name}": shape for name, shape in DENSITY.items()}
GDN_SHAPES: dict[str, tuple[int, ...]] = {f"{net}.{i}.beta": (2,) for net in ("g_a", "g_s") for i in (1, 3, 5)}
GDN_SHAPES |= {f"{net}.{i}.gamma": (2, 2) for net in ("g_a", "g_s") for i in (1, 3, 5)}


def parameters(gdn: bool = False) -> dict[str, np.ndarray]:
    shapes = SHAPES | GDN_SHAPES if gdn else SHAPES
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}


RELU = Architecture("scale-hyperprior", "relu", N, M)
GDN = Architecture("scale-hyperprior", "gdn", N, M)


@pytest.mark.parametrize(
    ("gdn", "metadata", "backbone"),
    [
        (False, None, "relu"),
        (False, {"backbone": "ReLU"}, "relu"),
        (True, None, "gdn"),
        (True, {"other": "x"}, "gdn"),
        (True, {"backbone": "GDN"}, "gdn"),
        (True, {"backbone": "gdn1"}, "gdn1"),
        (True, {"backbone": "GDN1 (n = beta + gamma |x|), IGDN1 in g_s"}, "gdn1"),
    ],
)
def test_identify_tells_backbones_apart(gdn, metadata, backbone):
    assert identify(parameters(gdn), metadata) == Architecture("scale-hyperprior", backbone, N, M)


def test_identify_ignores_buffers():
    buffers = {
        "entropy_bottleneck._quantized_cdf": np.zeros((2, 9), np.int32),
        "gaussian_conditional.weight": np.zeros(1),
    }
    assert identify(parameters() | buffers) == RELU


@pytest.mark.parametrize(
    ("gdn", "backbone"), [(False, "GDN1"), (False, "gdn"), (True, "ReLU"), (True, "GDN2"), (True, ""), (False, "SiLU")]
)
def test_identify_refuses_metadata_that_contradict_the_parameters(gdn, backbone):
    with pytest.raises(ModelError, match="RC-MODEL-FAMILY: the metadata name backbone"):
        identify(parameters(gdn), {"backbone": backbone})


def without(prefix: str) -> dict[str, np.ndarray]:
    return {name: array for name, array in parameters().items() if not name.startswith(prefix)}


@pytest.mark.parametrize(
    ("wrong", "seen"),
    [
        ({}, "''"),
        ({"features.0.weight": np.zeros(1)}, "features"),
        (without("h_s"), "g_s.6 h_a.0 h_a.2 h_a.4'"),
        (without("g_a.2"), "g_a.0 g_a.4"),
        (without("entropy_bottleneck"), "'g_a.0"),
        (parameters() | {"context_prediction.weight": np.zeros((6, 3, 5, 5))}, "context_prediction"),
        (parameters() | {"g_a.8.weight": np.zeros((3, 3, 5, 5))}, "g_a.8"),
        (parameters() | {"g_a.0.weight": np.float32(1)}, "not a scale hyperprior"),
        (parameters() | {"h_s.4.weight": np.zeros((6, 4, 3, 3))}, "h_s gives 6 channels for a latent of 3"),
    ],
)
def test_identify_refuses_other_families_and_says_what_it_saw(wrong, seen):
    with pytest.raises(ModelError, match="RC-MODEL-FAMILY") as caught:
        identify(wrong)
    assert seen in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("fields", [("other", "relu", 2, 3), ("scale-hyperprior", "tanh", 2, 3)])
def test_architecture_refuses_unknown_kinds(fields):
    with pytest.raises(ModelError, match="RC-MODEL-FAMILY: family"):
        Architecture(*fields)


@pytest.mark.parametrize("size", [(0, 3), (2, 0), (4097, 3), (2, 4097)])
def test_architecture_refuses_absurd_sizes(size):
    with pytest.raises(ModelError, match=r"RC-MODEL-FAMILY: N and M must be 1 \.\. 4096"):
        Architecture("scale-hyperprior", "relu", *size)


def test_parameter_shapes_are_those_of_compressai():
    assert parameter_shapes(RELU) == SHAPES
    assert parameter_shapes(GDN) == SHAPES | GDN_SHAPES


def test_parameter_shapes_count_what_compressai_counts():
    shapes = parameter_shapes(Architecture("scale-hyperprior", "gdn", 128, 192)).values()
    assert sum(int(np.prod(shape)) for shape in shapes) == 5_075_843


def test_check_accepts_every_float_dtype_and_the_known_buffers():
    buffers = [
        "entropy_bottleneck._quantized_cdf",
        "entropy_bottleneck._cdf_length",
        "entropy_bottleneck._offset",
        "entropy_bottleneck.target",
        "entropy_bottleneck.likelihood_lower_bound.bound",
        "gaussian_conditional._quantized_cdf",
        "gaussian_conditional.scale_table",
        "gaussian_conditional.lower_bound_scale.bound",
        "g_a.1.beta_reparam.pedestal",
        "g_s.5.gamma_reparam.lower_bound.bound",
    ]
    for dtype in (np.float16, np.float32, np.float64):
        arrays = {name: array.astype(dtype) for name, array in parameters(gdn=True).items()}
        check(arrays | dict.fromkeys(buffers, np.full(1, np.nan)), GDN)


@pytest.mark.parametrize("name", [*SHAPES, *GDN_SHAPES])
def test_check_names_a_parameter_that_is_missing_misshapen_or_not_finite(name):
    good = parameters(gdn=True)
    infinite = good[name].copy()
    infinite.flat[-1] = -np.inf
    transposed = np.zeros((*good[name].shape, 1), np.float32)
    for wrong, found in (
        (infinite, "-inf at"),
        (transposed, "found float32"),
        (np.zeros(good[name].shape, int), "int64"),
    ):
        with pytest.raises(ModelError, match=f"RC-CHECKPOINT-PARAMETER: {name}: wanted floating point") as caught:
            check(good | {name: wrong}, GDN)
        assert found in str(caught.value)
        assert str(good[name].shape) in str(caught.value)
    del good[name]
    with pytest.raises(ModelError, match=f"RC-CHECKPOINT-PARAMETER: {name}: .* found none"):
        check(good, GDN)


@pytest.mark.parametrize(
    "name", ["g_a.8.weight", "x", "g_a.1.beta", "g_a.1.beta_reparam.pedestal", "entropy_bottleneck.matrices.5"]
)
def test_check_refuses_surplus_parameters(name):
    with pytest.raises(ModelError, match=rf"RC-CHECKPOINT-PARAMETER: '{name}': wanted none, found float64 \(2,\)"):
        check(parameters() | {name: np.zeros(2)}, RELU)
