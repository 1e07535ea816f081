"""Every parameter of a checkpoint is verified, and resolved to what the layers use."""

from __future__ import annotations

import re

import numpy as np
import pytest
from naive_float import naive_resolved
from small_codecs import ARCHITECTURES, label, parameters_of

from refcodec.errors import ModelError
from refcodec.models.architecture import Architecture
from refcodec.models.parameters import check, parameter_shapes, resolved

GDN = Architecture("scale-hyperprior", "gdn", "balle2018", 4, 6, 5)
PREFIXED = Architecture("checkerboard", "cheng2020", "cheng2020", 6, 6, 6)
SSF = Architecture("mean-scale-hyperprior", "relu", "ssf2020", 4, 6, 6, "img")

# CompressAI's buffers, by architecture: constants, masks and tables that are not parameters.
BUFFERS = {
    GDN: [
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
    ],
    PREFIXED: [
        "g_a.0.gdn.beta_reparam.pedestal",
        "g_s.5.igdn.gamma_reparam.lower_bound.bound",
        "latent_codec.y.context_prediction.mask",
        "latent_codec.y.y.gaussian_conditional.scale_bound",
        "latent_codec.hyper.entropy_bottleneck._quantized_cdf",
        "latent_codec.hyper.entropy_bottleneck.target",
    ],
    SSF: [
        "img_hyperprior.gaussian_conditional._offset",
        "img_hyperprior.entropy_bottleneck._cdf_length",
        "img_hyperprior.entropy_bottleneck.likelihood_lower_bound.bound",
    ],
}


@pytest.mark.parametrize("architecture", BUFFERS, ids=label)
def test_check_accepts_every_float_dtype_and_the_known_buffers(architecture: Architecture) -> None:
    for dtype in (np.float16, np.float32, np.float64):
        arrays = {name: array.astype(dtype) for name, array in parameters_of(architecture).items()}
        check(arrays | dict.fromkeys(BUFFERS[architecture], np.full(1, np.nan)), architecture)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=label)
def test_check_names_a_parameter_that_is_missing_misshapen_or_not_finite(architecture: Architecture) -> None:
    good = parameters_of(architecture)
    check(good, architecture)
    for name, array in good.items():
        infinite, holed = array.copy(), array.copy()
        infinite.flat[-1], holed.flat[0] = -np.inf, np.nan
        last = tuple(n - 1 for n in array.shape)
        for wrong, found in (
            (infinite, f"-inf at {last}"),
            (holed, f"nan at {(0,) * array.ndim}"),
            (array[..., None], f"float32 {(*array.shape, 1)}"),
            (array[:0], f"float32 {(0, *array.shape[1:])}"),
            (array.astype(int), f"int64 {array.shape}"),
            (array > 0, f"bool {array.shape}"),
        ):
            with pytest.raises(ModelError) as caught:
                check(good | {name: wrong}, architecture)
            wanted = f"RC-CHECKPOINT-PARAMETER: {name}: wanted floating point {array.shape}, found {found}"
            assert str(caught.value) == wanted
        with pytest.raises(ModelError, match=f"RC-CHECKPOINT-PARAMETER: {re.escape(name)}: .* found none"):
            check({key: kept for key, kept in good.items() if key != name}, architecture)


@pytest.mark.parametrize(
    "name",
    [
        "g_a.8.weight",
        "x",
        "g_a.1.beta",
        "g_a.1.beta_reparam.pedestal",
        "entropy_bottleneck.matrices.5",
        "h_s.6.weight",
        "context_prediction.weight",
    ],
)
def test_check_refuses_surplus_parameters(name: str) -> None:
    relu = Architecture("scale-hyperprior", "relu", "balle2018", 4, 6, 5)
    with pytest.raises(ModelError, match=rf"RC-CHECKPOINT-PARAMETER: '{name}': wanted none, found float64 \(2,\)"):
        check(parameters_of(relu) | {name: np.zeros(2)}, relu)


def test_check_shortens_absurd_names() -> None:
    with pytest.raises(ModelError, match=r"RC-CHECKPOINT-PARAMETER: 'xxx") as caught:
        check(parameters_of(GDN) | {"x" * 5000: np.zeros(1)}, GDN)
    assert len(str(caught.value)) < 300


# --- what the layers use


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=label)
def test_resolved_keeps_everything_but_what_is_reparametrised(architecture: Architecture) -> None:
    """CompressAI's GDN stores roots of beta and gamma, bls2017 the values themselves."""
    stored = parameters_of(architecture)
    found = resolved(stored | {"gaussian_conditional.scale_table": np.zeros(3)}, architecture)
    assert found.keys() == parameter_shapes(architecture).keys()
    for name, array in found.items():
        assert array.dtype == np.float32
        kind = name.rpartition(".")[2]
        if kind in ("beta", "gamma") and architecture.backbone != "bls2017":
            wanted = naive_resolved(stored[name], 1e-6 if kind == "beta" else 0.0)
            np.testing.assert_allclose(array, wanted, rtol=3e-7, atol=1e-18)
            assert not np.allclose(array, stored[name])
        else:
            np.testing.assert_array_equal(array, stored[name])


def test_resolved_of_doubles_is_single() -> None:
    stored = {name: array.astype(np.float64) for name, array in parameters_of(GDN).items()}
    assert {array.dtype for array in resolved(stored, GDN).values()} == {np.dtype(np.float32)}
