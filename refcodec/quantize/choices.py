"""Choosing a recipe from what was observed: which steps, for what, by which rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from refcodec.errors import RangeError
from refcodec.formats import IntFormat
from refcodec.models.architecture import SCALE
from refcodec.models.float_codec import FloatCodec
from refcodec.models.network import Convolution, Network, Node, Normalisation
from refcodec.quantize.calibrate import Observations
from refcodec.quantize.layers import (
    activation_format,
    convolutions,
    decoder_networks,
    folded_weight,
    has_means,
    integer_weights,
    quantised_tensors,
    readers,
    takes_steps_per_channel,
)
from refcodec.quantize.observers import (
    Observer,
    draq_deviations,
    minmax_step,
    mse_step,
    observer,
    power_of_two_step,
    symbol_step,
)
from refcodec.quantize.options import ACTIVATION_GRAINS, BITS, OBSERVERS, PERCENTILE, WEIGHT_GRAINS
from refcodec.quantize.recipe import Recipe, check_widths

DEVIATIONS = 10.0  # of the sigma rules, where nothing is known of a model's training
SPARE_BITS = 11  # from this width on, saturation costs more than coarser steps
HEADROOM_BITS = 16  # beyond eight that double the range: 1.25 times the observed one at 12 bits, 1.5 times at 16
SMALLEST_SHARE = 1e-6  # of the largest variance of a channel
REACH = 2.0  # symbols that a format reaches at least, because calibration may have missed the rare ones
FINEST_POWER = -8  # of the steps of symbols with medians
MEAN_FRACTION = 8
MEAN_BITS = 15  # magnitude of a mean
MEAN_MARGIN = 2.0  # above the largest mean observed


@dataclass(frozen=True, slots=True)
class Choices:
    """What a post-training quantisation may choose.

    weight_bits, activation_bits, normalisation_bits  2..16, the last of gamma
    observer     rule for the steps of activations: "mse", "minmax", "percentile", "sigma" or "sigma-upper"
    deviations   k of the sigma rules, in standard deviations;  percentile  in per cent
    weights      "channel": a step for each output channel, or "tensor": one for all
    activations  "tensor": one step for all channels; "channel": one for each, folded into the weights that read them;
                 "equalised": one for each that shares the ranges of activation and weights
    correct_bias whether the mean error of the rounded weights of the synthesis is taken out of its biases.
    Raises RangeError.
    """

    weight_bits: int = BITS
    activation_bits: int = BITS
    normalisation_bits: int = BITS
    observer: str = OBSERVERS[0]
    deviations: float = DEVIATIONS
    percentile: float = PERCENTILE
    weights: str = "channel"
    activations: str = "channel"
    correct_bias: bool = True

    def __post_init__(self) -> None:
        check_widths(self.weight_bits, self.activation_bits, self.normalisation_bits)
        if self.weights not in WEIGHT_GRAINS or self.activations not in ACTIVATION_GRAINS:
            wanted = f"{', '.join(WEIGHT_GRAINS)} for weights and {', '.join(ACTIVATION_GRAINS)} for activations"
            raise RangeError(f"steps: wanted {wanted}, got {self.weights!r} and {self.activations!r}")
        self.rule()

    def rule(self) -> Observer:
        """The rule for the steps of activations.  Raises RangeError.

        Where there are bits to spare they go into headroom, because other pictures reach beyond those observed.
        """
        if self.observer == "mse" and self.activation_bits >= SPARE_BITS:
            return partial(minmax_step, headroom=1 + (self.activation_bits - BITS) / HEADROOM_BITS)
        return observer(self.observer, self.deviations, self.percentile)

    @property
    def text(self) -> str:
        """What distinguishes it, for people."""
        bias = "bias corrected" if self.correct_bias else "biases as trained"
        return f"{self.observer}, weights per {self.weights}, activations per {self.activations}, {bias}"


def deviations_of(provenance: Mapping[str, str]) -> float:
    """k of the sigma rules for a model: 625 lambda + 2 by the lambda it was trained with, if that is known."""
    text = provenance.get("trained_lambda", provenance.get("trained_lambda_", ""))
    try:
        return draq_deviations(float(text))
    except (ValueError, RangeError):
        return DEVIATIONS


def choose(codec: FloatCodec, seen: Observations, choices: Choices) -> Recipe:
    """A recipe for a codec whose decoder was observed."""
    steps = {
        name: _activation_steps(codec, name, node, seen, choices) for name, node in quantised_tensors(codec).items()
    }
    weights, corrections = {}, {}
    for layer in convolutions(codec):
        source = _source_steps(codec, layer, steps)
        importance = _importance(codec, layer, seen, choices) / (source / source.max()) ** 2
        weights[layer.name] = _weight_steps(folded_weight(layer.weight(codec.parameters), source), importance, choices)
        corrections[layer.name] = _correction(codec, layer, source, weights[layer.name], seen, choices)
    return Recipe(
        choices.weight_bits,
        choices.activation_bits,
        choices.normalisation_bits,
        choices.text,
        _mean_fraction(codec, seen),
        *(_as_lists(table) for table in (steps, weights, corrections)),
    )


def _as_lists(table: Mapping[str, np.ndarray]) -> dict[str, list[float]]:
    return {name: [float(value) for value in row] for name, row in table.items()}


def _mean_fraction(codec: FloatCodec, seen: Observations) -> int:
    """Fraction bits of means, as many as leave room for twice the largest one."""
    if not has_means(codec.architecture):
        return MEAN_FRACTION
    largest = MEAN_MARGIN * float(np.abs(seen.samples["means"]).max())
    return max(0, min(MEAN_FRACTION, MEAN_BITS - max(int(np.ceil(np.log2(max(largest, 1.0)))), 0)))


def _activation_steps(
    codec: FloatCodec, name: str, node: Node | None, seen: Observations, choices: Choices
) -> np.ndarray:
    """Steps of one tensor, (1,) or (C,)."""
    fmt = activation_format(node, choices.activation_bits)
    whole = node is None and not (has_means(codec.architecture) and name == "y_hat")
    rule = _symbol_rule(codec, name) if whole else choices.rule()
    grain = choices.activations if takes_steps_per_channel(codec, name) else "tensor"
    if grain == "channel" or (grain == "tensor" and name in _normalised(codec)):
        return positive(rule(seen.columns[name].astype(np.float64), fmt))
    if grain == "tensor" or whole:
        return positive(rule(seen.samples[name][None].astype(np.float64), fmt))
    shares = _equalising(codec, name, seen)
    return shares * positive(rule((seen.columns[name] / shares[:, None]).reshape(1, -1).astype(np.float64), fmt))


def _symbol_rule(codec: FloatCodec, name: str) -> Observer:
    """The rule for symbols: they are whole numbers, moved by a median where a factorised density codes them."""
    if (codec.architecture.family == SCALE and name == "y_hat") or not codec.medians.any():
        return symbol_step
    return partial(power_of_two_step, smallest=FINEST_POWER, reach=REACH)


def _normalised(codec: FloatCodec) -> set[str]:
    """What normalisations read: a step for each channel costs them nothing, whatever is chosen for the others."""
    networks = decoder_networks(codec).values()
    return {node.source for network in networks for node in network.nodes if isinstance(node, Normalisation)}


def _equalising(codec: FloatCodec, name: str, seen: Observations) -> np.ndarray:
    """Steps (C,), relative to each other, that share the ranges of a channel and of the weights that read it.

    The root of one range over the other, as cross-layer equalisation scales the channels between two layers (Nagel
    2019, Eq. 11), with the range of the activation in the place of that of the weights before it.
    """
    ranges = np.abs(seen.columns[name]).max(axis=1).astype(np.float64)
    weights = np.zeros_like(ranges)
    for reader in readers(codec, name):
        if isinstance(reader, Convolution) and reader.inputs == len(ranges):
            weights = np.maximum(weights, np.abs(reader.weight(codec.parameters)).max(axis=(0, 2, 3)))
    alive = (ranges > 0) & (weights > 0)
    shares = np.sqrt(np.where(alive, ranges, 1.0) / np.where(alive, weights, 1.0))
    return np.where(alive, shares, shares[alive].max() if alive.any() else 1.0)


def _source_steps(codec: FloatCodec, layer: Convolution, steps: dict[str, np.ndarray]) -> np.ndarray:
    """Steps of what a layer reads, (C,)."""
    if layer.source in steps:
        return np.broadcast_to(steps[layer.source], layer.inputs)
    (node,) = (node for net in codec.networks.values() for node in net.nodes if node.name == layer.source)
    if len(node.reads) == 1:  # a shuffle keeps the step
        return np.broadcast_to(steps[node.reads[0]], layer.inputs)
    share = layer.inputs // len(node.reads)
    return np.concatenate([np.broadcast_to(steps[name], share) for name in node.reads])


def _is_corrected(codec: FloatCodec, layer: Convolution, choices: Choices) -> bool:
    """Whether the bias of a layer takes up the mean error of its weights.

    In the synthesis only: the planes of a hyper-decoder are so small that zeros beyond the border weigh in its means.
    """
    return choices.correct_bias and layer in codec.networks.get("g_s", Network((), ())).nodes


def _importance(codec: FloatCodec, layer: Convolution, seen: Observations, choices: Choices) -> np.ndarray:
    """Mean square (C,) of what a layer reads, about its mean where the bias takes that up; never zero."""
    squares, means = seen.squares[layer.source], seen.means[layer.source]
    found = np.maximum(squares - means**2, 0) if _is_corrected(codec, layer, choices) else squares
    return np.maximum(found, SMALLEST_SHARE * found.max()) + np.finfo(np.float64).tiny


def _weight_steps(weight: np.ndarray, importance: np.ndarray, choices: Choices) -> np.ndarray:
    """Steps (O,) of folded weights (O, C, K, K).

    importance  (C,) mean square of what each input channel is multiplied with: it makes the error that of the output.
    """
    rows, fmt = weight.reshape(len(weight), -1), IntFormat(choices.weight_bits, True)
    columns = np.repeat(importance, rows.shape[1] // len(importance))
    if choices.weights == "tensor":
        rows, columns = rows.reshape(1, -1), np.tile(columns, len(rows))
    steps = minmax_step(rows, fmt) if choices.observer == "minmax" else mse_step(rows, fmt, columns)
    return np.broadcast_to(positive(steps), len(weight))


def _correction(
    codec: FloatCodec, layer: Convolution, source: np.ndarray, steps: np.ndarray, seen: Observations, choices: Choices
) -> np.ndarray:
    """What the rounded weights add to the mean output, (O,)."""
    if not _is_corrected(codec, layer, choices):
        return np.zeros(layer.outputs)
    weight = folded_weight(layer.weight(codec.parameters), source)
    rounded = integer_weights(weight, steps, IntFormat(choices.weight_bits, True)) * steps[:, None, None, None]
    return layer.mean_response(rounded - weight, seen.means[layer.source] / (source / source.max()))


def positive(steps: np.ndarray) -> np.ndarray:
    """Steps, where a row that is all zero takes the largest of them, or one."""
    fallback = float(steps.max()) or 1.0
    return np.where(steps > 0, steps, fallback)
