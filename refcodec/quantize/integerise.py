"""From float weights and a recipe to an integer model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from refcodec.codecs.scale_hyperprior import FAMILY, PIXEL_FORMAT, TABLE_PARTS
from refcodec.errors import ModelError
from refcodec.formats import IntFormat, multiplier_bits
from refcodec.layers.latent_mean import SYMBOL_FORMAT, latent_format
from refcodec.layers.scale_index import INDEX_FORMAT
from refcodec.models.architecture import Architecture
from refcodec.models.encoder import encoder_parameters
from refcodec.models.trained import Trained, scale_table
from refcodec.program.model_file import Model
from refcodec.program.operations import (
    AnyOperation,
    Convolution,
    LatentMean,
    Requantise,
    ScaleIndex,
    Tensor,
    TransposedConvolution,
)
from refcodec.program.program import Program
from refcodec.quantize.dyadic import dyadic
from refcodec.quantize.layers import (
    G_S,
    H_S,
    Layer,
    activation_format,
    integer_weights,
    normalisations,
    round_half_up,
)
from refcodec.quantize.normalisation import inverse_gdn
from refcodec.quantize.recipe import Recipe

MEAN_FRACTION = 8
PIXEL_STEP = 1.0 / 255.0
Parameters = Mapping[str, np.ndarray]
Steps = list[tuple[AnyOperation, Tensor]]  # operations in order, each with the tensor that it writes


def _constants(layer: Layer, parameters: Parameters, recipe: Recipe) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Integer weights (O, C, K, K), integer biases (O,), and the real value (O,) of one accumulator LSB."""
    steps = np.array(recipe.weight_steps[layer.name])
    corrections = np.array(recipe.bias_corrections[layer.name])
    weight = layer.weight(parameters)
    if not steps.shape == corrections.shape == weight.shape[:1]:
        raise ModelError("RC-MODEL-SCHEMA", f"{layer.name}: the recipe is not for {weight.shape[0]} channels")
    unit = steps * recipe.activation_steps[layer.source]
    integers = integer_weights(weight, steps, IntFormat(recipe.weight_bits, True))
    return integers, round_half_up((layer.bias(parameters) - corrections) / unit), unit


def _convolution(
    layer: Layer, source: Tensor, weight: np.ndarray, bias: np.ndarray, recipe: Recipe
) -> tuple[AnyOperation, Tensor]:
    """The convolution of a layer, its accumulator exactly as wide as its bound needs (SPEC ACC-1)."""
    fmt = IntFormat(recipe.weight_bits, True)
    padding = weight.shape[2] // 2
    op: Convolution | TransposedConvolution
    if layer.transposed:
        op = TransposedConvolution(
            layer.name, source.name, layer.name, fmt, layer.stride, padding, layer.stride - 1, weight, bias
        )
    else:
        op = Convolution(layer.name, source.name, layer.name, fmt, layer.stride, padding, weight, bias)
    return op, Tensor(layer.name, weight.shape[0], IntFormat(op.bound(source.format).bit_length() + 1, True))


def _network(
    name: str, head: Sequence[tuple[AnyOperation | None, Tensor]], layers: Sequence[Layer], finish: Mapping,
    parameters: Parameters, recipe: Recipe,
) -> Program:  # fmt: skip
    operations = [op for op, _ in head if op]
    tensors = [tensor for _, tensor in head]
    for layer in layers:
        weight, bias, unit = _constants(layer, parameters, recipe)
        op, accumulator = _convolution(layer, tensors[-1], weight, bias, recipe)
        finished = finish.get(layer.target, finish["inner"])(layer.target, accumulator, unit)
        operations += [op, *(last for last, _ in finished)]
        tensors += [accumulator, *(target for _, target in finished)]
    return Program(name, tuple(tensors), tuple(operations))


def _requantise(source: Tensor, target: Tensor, scale: np.ndarray) -> AnyOperation:
    return Requantise(target.name, source.name, target.name, *dyadic(scale, multiplier_bits(source.format)))


def _activation(name: str, accumulator: Tensor, unit: np.ndarray, fmt: IntFormat, recipe: Recipe) -> Steps:
    """A rectifier, or no more than a requantisation where the format has a sign."""
    target = Tensor(name, accumulator.channels, fmt)
    return [(_requantise(accumulator, target, unit / recipe.activation_steps[name]), target)]


def _normalisation(
    name: str, accumulator: Tensor, unit: np.ndarray, parameters: Parameters, squared: bool, recipe: Recipe
) -> Steps:
    """What a normalisation reads, quantised once with a step for each channel, and its inverse GDN."""
    steps = np.array(recipe.normalisation_steps[name])
    fmt = IntFormat(recipe.activation_bits, True)
    read, target = Tensor(f"{name}.x", accumulator.channels, fmt), Tensor(name, accumulator.channels, fmt)
    beta, gamma = (parameters[f"{name}.{part}"].astype(np.float64) for part in ("beta", "gamma"))
    normalise = inverse_gdn(name, read, beta, gamma, squared, steps, recipe.activation_steps[name], recipe.weight_bits)
    return [(_requantise(accumulator, read, unit / steps), read), (normalise, target)]


def hyper_synthesis(parameters: Parameters, medians: np.ndarray, bounds: np.ndarray, recipe: Recipe) -> Program:
    """h_s as an integer program, from z symbols to scale indexes.

    medians  (N,) float, of the factorised prior;  bounds  (64,) float64, rising bounds of the Gaussian rows.
    """

    def inner(name: str, accumulator: Tensor, unit: np.ndarray) -> Steps:
        return _activation(name, accumulator, unit, IntFormat(recipe.activation_bits, False), recipe)

    def indexes(name: str, accumulator: Tensor, unit: np.ndarray) -> Steps:
        # scale > bound  <=>  accumulator * unit > bound  <=>  accumulator > floor(bound / unit)
        thresholds = np.floor(bounds[None, :-1] / unit[:, None])
        target = Tensor(name, accumulator.channels, INDEX_FORMAT)
        limited = np.minimum(thresholds, float(accumulator.format.hi)).astype(np.int64)
        return [(ScaleIndex(name, accumulator.name, name, limited), target)]

    channels = medians.shape[0]
    z = Tensor("z", channels, SYMBOL_FORMAT)
    shifted = Tensor("z_mean", channels, latent_format(MEAN_FRACTION))
    z_hat = Tensor("z_hat", channels, IntFormat(recipe.activation_bits, True))
    mean = LatentMean("z_mean", "z", "z_mean", MEAN_FRACTION, round_half_up(medians * (1 << MEAN_FRACTION)))
    scale = np.full(channels, 2.0**-MEAN_FRACTION / recipe.activation_steps["z_hat"])
    head = [(None, z), (mean, shifted), (_requantise(shifted, z_hat, scale), z_hat)]
    return _network("h_s", head, H_S, {"inner": inner, "indexes": indexes}, parameters, recipe)


def synthesis(parameters: Parameters, architecture: Architecture, recipe: Recipe) -> Program:
    """g_s as an integer program, from y symbols to 8-bit samples."""

    def inner(name: str, accumulator: Tensor, unit: np.ndarray) -> Steps:
        if name in normalisations(architecture):
            return _normalisation(name, accumulator, unit, parameters, architecture.backbone == "gdn", recipe)
        fmt = activation_format(name, recipe.activation_bits, architecture)
        return _activation(name, accumulator, unit, fmt, recipe)

    def samples(name: str, accumulator: Tensor, unit: np.ndarray) -> Steps:
        target = Tensor(name, accumulator.channels, PIXEL_FORMAT)
        return [(_requantise(accumulator, target, unit / PIXEL_STEP), target)]

    channels = G_S[0].weight(parameters).shape[1]
    y = Tensor("y", channels, SYMBOL_FORMAT)
    y_hat = Tensor("y_hat", channels, IntFormat(recipe.activation_bits, True))
    head = [(None, y), (_requantise(y, y_hat, np.full(channels, 1.0 / recipe.activation_steps["y_hat"])), y_hat)]
    return _network("g_s", head, G_S, {"inner": inner, "x_hat": samples}, parameters, recipe)


def integerise(trained: Trained, recipe: Recipe) -> Model:
    """The integer model of a trained scale hyperprior.

    Raises ModelError RC-MODEL-SCHEMA for a recipe of another network.
    """
    twin = trained.twin
    tables = {
        f"{name}/{part}": getattr(rows, part)
        for name, rows in (("z", trained.z_tables), ("y", trained.y_tables))
        for part in TABLE_PARTS
    }
    try:
        programs = {
            "h_s": hyper_synthesis(twin.parameters, twin.medians, scale_table(), recipe),
            "g_s": synthesis(twin.parameters, twin.architecture, recipe),
        }
    except KeyError as error:
        raise ModelError("RC-MODEL-SCHEMA", f"the recipe lacks {error}") from error
    settings = {"weight_bits": recipe.weight_bits, "activation_bits": recipe.activation_bits}
    provenance = {**trained.provenance, "precision": recipe.precision, "observer": recipe.observer}
    return Model(FAMILY, settings, programs, tables, encoder_parameters(twin.parameters), provenance)
