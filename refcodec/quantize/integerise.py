"""From float weights and a recipe to an integer model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from refcodec.codecs.scale_hyperprior import FAMILY, PIXEL_FORMAT, TABLE_PARTS
from refcodec.errors import ModelError
from refcodec.formats import MAX_SHIFT, MIN_SHIFT, IntFormat, multiplier_bits
from refcodec.layers.latent_mean import SYMBOL_FORMAT, latent_format
from refcodec.layers.scale_index import INDEX_FORMAT
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
from refcodec.quantize.layers import G_S, H_S, Layer, check_backbone, integer_weights, round_half_up
from refcodec.quantize.recipe import Recipe

MEAN_FRACTION = 8
PIXEL_STEP = 1.0 / 255.0
Parameters = Mapping[str, np.ndarray]


def dyadic(scale: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Multiplier and shift with multiplier / 2**shift nearest to each scale.

    scale  (C,) positive;  bits  multiplier width.  Returns (C,) multiplier below 2**bits and (C,) shift 1..62.
    Raises ModelError RC-MODEL-RANGE where a scale is too large or no positive number.
    """
    if not ((scale > 0) & (scale < 1 << bits)).all():
        raise ModelError("RC-MODEL-RANGE", f"a scale of {scale.max():g} does not fit a {bits}-bit multiplier")
    _, exponent = np.frexp(scale)
    shift = np.clip(bits - exponent, MIN_SHIFT, MAX_SHIFT)
    multiplier = round_half_up(np.ldexp(scale, shift))
    carried = (multiplier == 1 << bits) & (shift > MIN_SHIFT)
    shift = shift - carried
    multiplier = np.where(carried, multiplier >> 1, multiplier)
    if (multiplier >= 1 << bits).any():
        raise ModelError("RC-MODEL-RANGE", f"a scale of {scale.max():g} does not fit a {bits}-bit multiplier")
    return multiplier, shift


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
        if layer.target in finish:
            last, target = finish[layer.target](accumulator, unit)
        else:
            target = Tensor(layer.target, accumulator.channels, IntFormat(recipe.activation_bits, False))
            last = _requantise(accumulator, target, unit / recipe.activation_steps[layer.target])
        operations += [op, last]
        tensors += [accumulator, target]
    return Program(name, tuple(tensors), tuple(operations))


def _requantise(source: Tensor, target: Tensor, scale: np.ndarray) -> AnyOperation:
    return Requantise(target.name, source.name, target.name, *dyadic(scale, multiplier_bits(source.format)))


def hyper_synthesis(parameters: Parameters, medians: np.ndarray, bounds: np.ndarray, recipe: Recipe) -> Program:
    """h_s as an integer program, from z symbols to scale indexes.

    medians  (N,) float, of the factorised prior;  bounds  (64,) float64, rising bounds of the Gaussian rows.
    """

    def indexes(accumulator: Tensor, unit: np.ndarray) -> tuple[AnyOperation, Tensor]:
        # scale > bound  <=>  accumulator * unit > bound  <=>  accumulator > floor(bound / unit)
        thresholds = np.floor(bounds[None, :-1] / unit[:, None])
        target = Tensor("indexes", accumulator.channels, INDEX_FORMAT)
        limited = np.minimum(thresholds, float(accumulator.format.hi)).astype(np.int64)
        return ScaleIndex(target.name, accumulator.name, target.name, limited), target

    channels = medians.shape[0]
    z = Tensor("z", channels, SYMBOL_FORMAT)
    shifted = Tensor("z_mean", channels, latent_format(MEAN_FRACTION))
    z_hat = Tensor("z_hat", channels, IntFormat(recipe.activation_bits, True))
    mean = LatentMean("z_mean", "z", "z_mean", MEAN_FRACTION, round_half_up(medians * (1 << MEAN_FRACTION)))
    scale = np.full(channels, 2.0**-MEAN_FRACTION / recipe.activation_steps["z_hat"])
    head = [(None, z), (mean, shifted), (_requantise(shifted, z_hat, scale), z_hat)]
    return _network("h_s", head, H_S, {"indexes": indexes}, parameters, recipe)


def synthesis(parameters: Parameters, recipe: Recipe) -> Program:
    """g_s as an integer program, from y symbols to 8-bit samples."""

    def samples(accumulator: Tensor, unit: np.ndarray) -> tuple[AnyOperation, Tensor]:
        target = Tensor("x_hat", accumulator.channels, PIXEL_FORMAT)
        return _requantise(accumulator, target, unit / PIXEL_STEP), target

    channels = G_S[0].weight(parameters).shape[1]
    y = Tensor("y", channels, SYMBOL_FORMAT)
    y_hat = Tensor("y_hat", channels, IntFormat(recipe.activation_bits, True))
    head = [(None, y), (_requantise(y, y_hat, np.full(channels, 1.0 / recipe.activation_steps["y_hat"])), y_hat)]
    return _network("g_s", head, G_S, {"x_hat": samples}, parameters, recipe)


def integerise(trained: Trained, recipe: Recipe) -> Model:
    """The integer model of a trained scale hyperprior with rectifiers.

    Raises ModelError RC-MODEL-FAMILY for another backbone, RC-MODEL-SCHEMA for a recipe of another network.
    """
    twin = trained.twin
    check_backbone(twin.architecture)
    tables = {
        f"{name}/{part}": getattr(rows, part)
        for name, rows in (("z", trained.z_tables), ("y", trained.y_tables))
        for part in TABLE_PARTS
    }
    try:
        programs = {
            "h_s": hyper_synthesis(twin.parameters, twin.medians, scale_table(), recipe),
            "g_s": synthesis(twin.parameters, recipe),
        }
    except KeyError as error:
        raise ModelError("RC-MODEL-SCHEMA", f"the recipe lacks {error}") from error
    settings = {"weight_bits": recipe.weight_bits, "activation_bits": recipe.activation_bits}
    provenance = {**trained.provenance, "precision": recipe.precision, "observer": recipe.observer}
    return Model(FAMILY, settings, programs, tables, encoder_parameters(twin.parameters), provenance)
