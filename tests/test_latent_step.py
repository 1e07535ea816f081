"""A checkpoint at another step of its latent: y / step, and everything else as before."""

from __future__ import annotations

import math

import numpy as np
import pytest
from formula_codecs import formula, formula_picture
from small_codecs import ARCHITECTURES, label, latent_of, metadata_of, parameters_of, small_codec

from refcodec.entropy.tables import FrequencyTables
from refcodec.errors import ModelError, RangeError
from refcodec.models.architecture import FACTORISED, SCALE, Architecture
from refcodec.models.densities import carried_tables, factorised_tables
from refcodec.models.float_codec import FloatCodec
from refcodec.models.latent_step import rescale_network, rescaled
from refcodec.models.latent_tables import carried
from refcodec.models.network import (
    SMALLEST_SCALE,
    Activation,
    Convolution,
    Join,
    Network,
    Node,
    Normalisation,
    Port,
    Sum,
)
from refcodec.models.parameters import check

every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES, ids=label)
with_transforms = pytest.mark.parametrize(
    "architecture", [architecture for architecture in ARCHITECTURES if architecture.backbone != "none"], ids=label
)
with_hyper = pytest.mark.parametrize(
    "architecture", [architecture for architecture in ARCHITECTURES if architecture.hyper != "none"], ids=label
)
DENSITY = Architecture(FACTORISED, "relu", "none", 4, 6, 1)


def stepped(architecture: Architecture, step: float) -> FloatCodec:
    parameters = rescaled(parameters_of(architecture), architecture, step)
    return FloatCodec(parameters, metadata_of(architecture))


def assert_close(found: np.ndarray, wanted: np.ndarray) -> None:
    """Equal but for float32 rounding, of values about as large as the largest."""
    assert np.abs(found - wanted).max() <= 2e-5 * np.abs(wanted).max()


@every_architecture
def test_rescaled_by_one_is_the_same_checkpoint(architecture: Architecture) -> None:
    parameters = parameters_of(architecture)
    found = rescaled(parameters, architecture, 1.0)
    assert found.keys() == parameters.keys()
    assert all(found[name] is parameters[name] for name in parameters)


@every_architecture
@pytest.mark.parametrize("step", [0.37, 3.0])
def test_rescaled_is_a_checkpoint_and_leaves_the_old_one_alone(architecture: Architecture, step: float) -> None:
    parameters = parameters_of(architecture)
    found = rescaled(parameters, architecture, step)
    check(found, architecture)
    assert all(array.dtype == np.float32 for array in found.values())
    for name, array in parameters_of(architecture).items():
        assert np.array_equal(array, parameters[name]), name


@with_transforms
def test_rescaled_latent_is_over_the_step(architecture: Architecture) -> None:
    codec = small_codec(architecture)
    picture = formula_picture(codec.multiple, 2 * codec.multiple)
    y = codec.analysis(picture)
    assert np.array_equal(stepped(architecture, 2.0).analysis(picture), y / 2)
    assert np.array_equal(stepped(architecture, 0.25).analysis(picture), y * 4)
    assert_close(stepped(architecture, 1.7).analysis(picture), y / np.float32(1.7))


@with_transforms
def test_rescaled_synthesis_gives_the_same_picture(architecture: Architecture) -> None:
    codec = small_codec(architecture)
    y_hat = np.rint(latent_of(codec))
    picture = codec.synthesis(y_hat)
    assert np.ptp(picture) > 0.1
    assert np.array_equal(stepped(architecture, 2.0).synthesis(y_hat / 2), picture)
    assert_close(stepped(architecture, 1.7).synthesis(y_hat / np.float32(1.7)), picture)


@with_hyper
def test_rescaled_hyper_analysis_gives_the_same_hyper_latent(architecture: Architecture) -> None:
    codec = small_codec(architecture)
    y = latent_of(codec)
    z = codec.hyper_analysis(y)
    assert np.ptp(z) > 0.1
    assert np.array_equal(stepped(architecture, 4.0).hyper_analysis(y / 4), z)
    assert_close(stepped(architecture, 1.7).hyper_analysis(y / np.float32(1.7)), z)


def assert_scales_and_means_over(
    step: float, found: dict[str, np.ndarray], wanted: dict[str, np.ndarray], exact: bool
) -> None:
    """Scales keep their lower bound."""
    assert found.keys() == wanted.keys()
    for name in found:
        over = wanted[name] / np.float32(1 if name == "side" else step)
        if name == "scales":
            over = np.maximum(over, SMALLEST_SCALE)
        if exact:
            assert np.array_equal(found[name], over), name
        else:
            assert_close(found[name], over)


@with_hyper
@pytest.mark.parametrize(("step", "exact"), [(2.0, True), (1.7, False)])
def test_rescaled_hyper_decoder_gives_scales_and_means_over_the_step(
    architecture: Architecture, step: float, exact: bool
) -> None:
    codec, other = small_codec(architecture), stepped(architecture, step)
    z = codec.hyper_symbols(latent_of(codec))
    assert z is not None
    known = codec.hyper_synthesis(z)
    assert_scales_and_means_over(step, other.hyper_synthesis(z), known, exact)
    if architecture.mask:
        y_hat = np.rint(latent_of(codec))
        context = codec.context(y_hat)
        assert np.ptp(context) > 0.1
        if exact:
            assert np.array_equal(other.context(y_hat / np.float32(step)), context)
        else:
            assert_close(other.context(y_hat / np.float32(step)), context)
        found = other.entropy_parameters(known["side"], context)
        assert_scales_and_means_over(step, found, codec.entropy_parameters(known["side"], context), exact)


@with_transforms
def test_coarser_steps_give_smaller_symbols(architecture: Architecture) -> None:
    """The point of it all: y_hat differs by the quantiser, not by the networks."""
    y = latent_of(small_codec(architecture))
    fine = np.abs(stepped(architecture, 1 / 16).code(16 * y).y).sum()
    coarse = np.abs(stepped(architecture, 1 / 4).code(4 * y).y).sum()
    assert 0 < coarse < fine / 2


# --- the density of y itself


def frequencies(tables: FrequencyTables, channel: int) -> dict[int, int]:
    cdf, lengths, offsets = tables.padded()
    row = np.diff(cdf[channel, : lengths[channel]])
    return {int(offsets[channel]) + k: int(frequency) for k, frequency in enumerate(row[:-1])}


def test_rescaled_density_gives_each_symbol_what_three_had() -> None:
    """At three times the step, k stands for 3 k - 1.5 .. 3 k + 1.5, which 3 k - 1, 3 k and 3 k + 1 had before."""
    parameters = parameters_of(DENSITY)
    parameters["entropy_bottleneck.quantiles"][:, :, 1] = 0.0
    parameters["entropy_bottleneck.matrices.0"] -= 3.0
    fine, coarse = (factorised_tables(rescaled(parameters, DENSITY, step)) for step in (1 / 8, 3 / 8))
    for channel in range(DENSITY.m):
        before, after = frequencies(fine, channel), frequencies(coarse, channel)
        # rare symbols give up what the escapes and the entries of frequency 1 need
        thirds = {k: [before.get(3 * k + place, 0) for place in (-1, 0, 1)] for k in after}
        common = {k: sum(parts) for k, parts in thirds.items() if min(parts) > 100}
        assert sum(common.values()) > 50000
        for k, wanted in common.items():
            assert abs(after[k] - wanted) <= 4, (channel, k)  # roundings of four entries


def test_rescaled_drops_the_tables_of_the_old_step() -> None:
    parameters = parameters_of(DENSITY)
    prefix = DENSITY.bottleneck
    parameters |= carried(factorised_tables(parameters), prefix)
    assert carried_tables(rescaled(parameters, DENSITY, 1.0), prefix) is not None
    assert carried_tables(rescaled(parameters, DENSITY, 2.0), prefix) is None


def test_rescaled_keeps_the_tables_of_z() -> None:
    architecture = Architecture(SCALE, "relu", "balle2018", 4, 6, 5)
    parameters = parameters_of(architecture)
    parameters |= carried(factorised_tables(parameters), architecture.bottleneck)
    found = rescaled(parameters, architecture, 2.0)
    for name in parameters:
        if name.startswith(architecture.bottleneck):
            assert found[name] is parameters[name]


# --- refusals


@pytest.mark.parametrize("step", [0.0, -1.0, math.nan, math.inf, 2.0**-11, 1025.0])
def test_rescaled_refuses_a_step_out_of_range(step: float) -> None:
    with pytest.raises(RangeError, match="a step of the latent lies in"):
        rescaled(parameters_of(DENSITY), DENSITY, step)


def layer(name: str, source: str) -> Convolution:
    return Convolution(name, source, 2, 2, 1, 1, False, name, 2)


@pytest.mark.parametrize(
    ("nodes", "reads", "gives", "named"),
    [
        ((Normalisation("n", "y_hat", 2, True, 1, "n"),), "y_hat", (), "n"),
        ((Activation("q", "y_hat", "qrelu"),), "y_hat", (), "q"),
        ((layer("a", "y_hat"), Activation("q", "a", "qrelu")), None, ("q",), "q"),
        ((layer("a", "y_hat"), Normalisation("n", "a", 2, True, 2, "n")), None, ("n",), "n"),
        ((Join("j", ("y_hat", "y_hat")),), "y_hat", (), "j"),
        # the other addend is read elsewhere too, or is an input
        ((layer("a", "y_hat"), Sum("s", ("a", "y_hat")), layer("b", "a")), "y_hat", (), "a"),
        ((Sum("s", ("y_hat", "other")),), "y_hat", (), "other"),
    ],
    ids=["normalisation", "clamp", "clamped output", "normalised output", "join", "shared addend", "input addend"],
)
def test_rescale_network_refuses_by_name_what_takes_up_no_factor(
    nodes: tuple[Node, ...], reads: str | None, gives: tuple[str, ...], named: str
) -> None:
    network = Network((Port("y_hat", 2), Port("other", 2)), nodes)
    arrays = {name: formula(name, shape).astype(np.float32) for name, shape in network.shapes().items()}
    with pytest.raises(ModelError, match=f"^RC-MODEL-FAMILY: {named}: no layer can take up another step"):
        rescale_network(network, arrays, 2.0, reads, gives)


def test_rescale_network_takes_a_sum_of_two_branches_along() -> None:
    """A residual block before a convolution: both branches come over the step, the convolution makes up for it."""
    nodes = (layer("a", "y_hat"), Activation("b", "a", "leaky"), Sum("s", ("b", "y_hat")), layer("c", "s"))
    network = Network((Port("y_hat", 2),), nodes)
    arrays = {name: formula(name, shape).astype(np.float32) for name, shape in network.shapes().items()}
    x = formula("x", (2, 3, 4)).astype(np.float32)
    before = network.run(arrays, {"y_hat": x})["c"]
    rescale_network(network, arrays, 4.0, "y_hat", ())
    assert np.array_equal(network.run(arrays, {"y_hat": x / 4})["c"], before)
