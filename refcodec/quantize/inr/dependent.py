"""Dependent quantisation of the weights of an implicit video (SPEC DQ-1 to DQ-3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from refcodec.codecs.inr.architecture import parameters
from refcodec.codecs.inr.nodes import WEIGHT, Parameter
from refcodec.codecs.inr.quantised import MAX_BITS, Quantised, Video
from refcodec.models.inr.trained import TrainedVideo
from refcodec.quantize.inr.rate import Maker
from refcodec.quantize.inr.uniform import binary16_patterns, spread_steps, step_values
from refcodec.quantize.trellis import dependent_levels


def dependent_video(trained: TrainedVideo, video: Video) -> Video:
    """The same steps and bits, but weights as levels of the trellis that come nearest to the float weights.

    The trellis offers integers of half a step, of which a level can reach every other one: as many levels as before,
    twice as many values. Weights of 16 bits stay as they are: their integers would need 17.
    """
    found = dict(video.parameters)
    for parameter in parameters(video.architecture.nodes()):
        if parameter.kind == WEIGHT and found[parameter.name].bits < MAX_BITS:
            found[parameter.name] = _levels(parameter, trained, found[parameter.name])
    return Video(video.architecture, found, video.activations)


def _levels(parameter: Parameter, trained: TrainedVideo, given: Quantised) -> Quantised:
    patterns = binary16_patterns(step_values(given.steps) / 2)
    targets = trained.parameters[parameter.name] / spread_steps(parameter, step_values(patterns))
    return Quantised(dependent_levels(targets, given.bits), patterns, given.bits, dependent=True)


@dataclass(frozen=True, slots=True, eq=False)
class DependentMaker:
    """Videos of another maker's steps, with weights as levels of the trellis in the place of its roundings."""

    trained: TrainedVideo
    maker: Maker

    def probe(self, bits: Mapping[str, int]) -> Video:
        """The video itself: it takes no longer."""
        return dependent_video(self.trained, self.maker.probe(bits))

    def make(self, bits: Mapping[str, int]) -> Video:
        """The video."""
        return self.probe(bits)
