"""From a trained codec and a recipe to an integer model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refcodec.codecs.model_tables import TABLE_PARTS
from refcodec.entropy.tables import FrequencyTables
from refcodec.formats import IntFormat
from refcodec.layers.latent_mean import SYMBOL_FORMAT, latent_format
from refcodec.models.architecture import AUTOREGRESSIVE, CHECKERBOARD, FACTORISED
from refcodec.models.densities import scale_table
from refcodec.models.encoder import encoder_parameters
from refcodec.models.float_codec import FloatCodec
from refcodec.models.layouts import CONTEXT_KERNEL
from refcodec.models.trained import Trained
from refcodec.program.model_file import Model
from refcodec.program.operations import LatentMean, Tensor
from refcodec.program.program import Program
from refcodec.quantize.compile import Compiler, Scaled
from refcodec.quantize.layers import decoder_networks, has_means, round_half_up
from refcodec.quantize.recipe import Recipe

MEDIAN_FRACTION = 8


def _from_symbols(to: Compiler, name: str, medians: np.ndarray) -> Scaled:
    """Symbols with the medians of their factorised density, in units of 2**-8."""
    channels = len(medians)
    symbols, mean = to.take(Tensor(name, channels, SYMBOL_FORMAT), np.ones(channels), name), f"{name}_mean"
    integers = round_half_up(medians.astype(np.float64) * (1 << MEDIAN_FRACTION))
    op = LatentMean(mean, symbols.tensor.name, mean, MEDIAN_FRACTION, integers)
    shifted = to.add(op, channels, latent_format(MEDIAN_FRACTION))
    return Scaled(shifted, np.full(channels, 2.0**-MEDIAN_FRACTION))


def _latent(to: Compiler, codec: FloatCodec) -> tuple[Scaled, str]:
    """What g_s and a context model begin with, and the name of its quantised form."""
    m = codec.architecture.m
    if codec.architecture.family == FACTORISED:
        return _from_symbols(to, "y", codec.medians), "y_hat"
    if not has_means(codec.architecture):
        return to.take(Tensor("y", m, SYMBOL_FORMAT), np.ones(m), "y"), "y_hat"
    fraction = to.recipe.mean_fraction
    steps = np.full(m, 2.0**-fraction)
    return to.take(Tensor("y_hat", m, latent_format(fraction)), steps, "y_hat"), "y_hat.x"


def _begin(to: Compiler, name: str, codec: FloatCodec) -> None:
    """The inputs of a program, quantised."""
    fmt = IntFormat(to.recipe.activation_bits, True)
    if name == "entropy_parameters":
        for port in codec.networks[name].inputs:
            to.take(Tensor(port.name, port.channels, fmt), to.recipe.steps(port.name, port.channels), port.name)
        return
    if name == "h_s":
        source, quantised, stands_for = _from_symbols(to, "z", codec.medians), "z_hat", "z_hat"
    else:
        (source, quantised), stands_for = _latent(to, codec), "y_hat"
    steps = to.recipe.steps(stands_for, source.tensor.channels)
    to.keep(to.requantise(source, quantised, steps, fmt), steps, stands_for)


def program_of(name: str, codec: FloatCodec, recipe: Recipe) -> Program:
    """One network of a decoder as an integer program: "h_s", "context", "entropy_parameters" or "g_s".

    Raises ModelError RC-MODEL-SCHEMA for a recipe of another network, RC-MODEL-RANGE where a scale does not fit.
    """
    to = Compiler(codec.parameters, recipe, scale_table())
    _begin(to, name, codec)
    to.run(codec.networks[name])
    return to.program(name)


def _settings(codec: FloatCodec, recipe: Recipe) -> dict[str, int]:
    settings = {"weight_bits": recipe.weight_bits, "activation_bits": recipe.activation_bits}
    if has_means(codec.architecture):
        settings["mean_fraction"] = recipe.mean_fraction
    if codec.architecture.family == CHECKERBOARD:
        settings["anchor_parity"] = 0
    if codec.architecture.family == AUTOREGRESSIVE:
        settings["context_kernel"] = CONTEXT_KERNEL
    return settings


def _tables(trained: Trained) -> dict[str, np.ndarray]:
    found: Mapping[str, FrequencyTables | None] = {"z": trained.z_tables, "y": trained.y_tables}
    return {f"{name}/{part}": getattr(tables, part) for name, tables in found.items() if tables for part in TABLE_PARTS}


def integerise(trained: Trained, recipe: Recipe) -> Model:
    """The integer model of a trained codec.

    Raises ModelError RC-MODEL-SCHEMA for a recipe of another network, RC-MODEL-RANGE where a scale does not fit.
    """
    codec = trained.twin
    programs = {name: program_of(name, codec, recipe) for name in decoder_networks(codec)}
    provenance = {**trained.provenance, "precision": recipe.precision, "method": recipe.method}
    encoder = encoder_parameters(codec.parameters, codec.architecture)
    settings = _settings(codec, recipe)
    return Model(codec.architecture.family, settings, programs, _tables(trained), encoder, provenance)
