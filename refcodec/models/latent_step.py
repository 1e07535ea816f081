"""The same codec with a coarser or finer latent: one checkpoint gives a whole rate-distortion curve.

y / step takes the place of y. What gives it is divided by the step and what reads it is multiplied, so every network
computes what it did before, the quantiser alone differs. The result is an ordinary checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from refcodec.errors import ModelError, RangeError
from refcodec.models.architecture import FACTORISED, Architecture
from refcodec.models.layouts import networks
from refcodec.models.network import Activation, Convolution, Network, Node, Parameters, Shuffle, Sum

SMALLEST_STEP, LARGEST_STEP = 2.0**-10, 2.0**10
# Forms that commute with a positive factor; a scale does above its lower bound, which stays where the tables have it.
HOMOGENEOUS = ("linear", "relu", "leaky", "mean", "scale")
GIVES = {"g_a": ("y",), "h_s": ("scales", "means"), "entropy_parameters": ("scales", "means")}
READS = {"h_a": "y", "context": "y_hat", "g_s": "y_hat"}
_TABLES = ("_quantized_cdf", "_cdf_length", "_offset")


@dataclass(frozen=True, slots=True)
class _Rescaler:
    """One network whose parameters, in `arrays`, are replaced."""

    network: Network
    arrays: dict[str, np.ndarray]
    step: float

    def divide(self, tensor: str) -> None:
        """Make the layers before a tensor give it over the step."""
        node = next((node for node in self.network.nodes if node.name == tensor), None)
        if node is None or len(self.network.readers(tensor)) > 1:
            raise _refused(tensor)
        if isinstance(node, Convolution):
            self._scale_outputs(node)
        elif isinstance(node, Sum) or _passes(node):
            for source in node.reads:
                self.divide(source)
        else:
            raise _refused(tensor)

    def absorb(self, tensor: str) -> None:
        """Make the layers after a tensor that comes over the step give what they gave."""
        for node in self.network.readers(tensor):
            if isinstance(node, Convolution):
                self._replace(f"{node.prefix}.weight", (slice(None), slice(None)), self.step)
            elif isinstance(node, Sum):  # the other addend follows, and the sum is over the step as well
                for other in node.reads:
                    if other != tensor:
                        self.divide(other)
                self.absorb(node.name)
            elif _passes(node):
                self.absorb(node.name)
            else:
                raise _refused(node.name)

    def _scale_outputs(self, layer: Convolution) -> None:
        channels = slice(layer.first, layer.first + layer.outputs)
        index = (slice(None), channels) if layer.transposed else (channels,)
        self._replace(f"{layer.prefix}.weight", index, 1 / self.step)
        if layer.biased:
            self._replace(f"{layer.prefix}.bias", (channels,), 1 / self.step)

    def _replace(self, name: str, index: tuple[slice, ...], factor: float) -> None:
        changed = self.arrays[name].astype(np.float64)
        changed[index] *= factor
        self.arrays[name] = changed.astype(np.float32)


def _passes(node: Node) -> bool:
    """Whether a factor before a node is the same factor after it."""
    return isinstance(node, Shuffle) or (isinstance(node, Activation) and node.form in HOMOGENEOUS)


def _refused(tensor: str) -> ModelError:
    return ModelError("RC-MODEL-FAMILY", f"{tensor}: no layer can take up another step of the latent here")


def check_step(step: float) -> None:
    """Raise RangeError unless a step is 2**-10 .. 2**10."""
    if not SMALLEST_STEP <= step <= LARGEST_STEP:  # neither is what is no number
        raise RangeError(f"a step of the latent lies in 1/{1 / SMALLEST_STEP:g} .. {LARGEST_STEP:g}, got {step}")


def rescaled(parameters: Parameters, architecture: Architecture, step: float) -> dict[str, np.ndarray]:
    """A checkpoint whose latent is y / step, and whose networks compute the same otherwise.

    parameters    a checkpoint as stored, or the resolved parameters of a float codec;  step  2**-10 .. 2**10
    architecture  what they belong to, any that is known
    Returns float32 arrays where they differ, the others as they came. A density of y itself (factorised family) is
    stretched, and tables of y that the checkpoint carried are left out, for they belong to the old step. Scales keep
    their lower bound of 0.11. A power of two is exact, and 1 changes nothing.
    Raises RangeError; ModelError RC-MODEL-FAMILY where a layer can take up no factor.
    """
    check_step(step)
    arrays = dict(parameters)
    if step == 1:
        return arrays
    for name, network in networks(architecture).items():
        rescale_network(network, arrays, step, READS.get(name), GIVES.get(name, ()))
    if architecture.family == FACTORISED:
        _rescale_density(arrays, architecture, step)
    return arrays


def rescale_network(
    network: Network, arrays: dict[str, np.ndarray], step: float, reads: str | None, gives: Iterable[str]
) -> None:
    """Replace a network's parameters in `arrays` so that it reads one tensor, and gives others, over the step.

    gives  those that it does not have are left out.  Raises ModelError RC-MODEL-FAMILY.
    """
    rescaler = _Rescaler(network, arrays, step)
    if reads is not None:
        rescaler.absorb(reads)
    for tensor in gives:
        if tensor in network.outputs:
            rescaler.divide(tensor)


def _rescale_density(arrays: dict[str, np.ndarray], architecture: Architecture, step: float) -> None:
    """Stretch the factorised density: its first layer multiplies by softplus(matrix), which is to grow by the step."""
    prefix = architecture.bottleneck
    for table in _TABLES:
        arrays.pop(f"{prefix}{table}", None)
    if architecture.density_channels:
        first = f"{prefix}matrices.0"
        slope = step * np.logaddexp(0, arrays[first].astype(np.float64))
        arrays[first] = (slope + np.log(-np.expm1(-slope))).astype(np.float32)  # the inverse of softplus
        arrays[f"{prefix}quantiles"] = (arrays[f"{prefix}quantiles"].astype(np.float64) / step).astype(np.float32)
