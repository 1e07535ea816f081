"""Dependent quantisation of whole networks: nearer weights at the same steps, exact in the decoder."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_trained import HINERV, fitted, moving_picture

from refcodec.codecs.inr.codec import InrVideo
from refcodec.codecs.inr.stream import pack, parse
from refcodec.errors import RangeError
from refcodec.quantize.inr.calibrate import Request, Target, calibrate
from refcodec.quantize.inr.dependent import dependent_video
from refcodec.quantize.inr.rivals.settings import Settings
from refcodec.quantize.inr.uniform import dequantise, quantise, weight_names


def squared_error(trained, video):
    values = dequantise(video)
    names = weight_names(trained.architecture)
    return sum(float(((values[name] - trained.parameters[name]) ** 2).sum()) for name in names)


@pytest.mark.parametrize("bits", [3, 5, 8])
def test_dependent_weights_are_nearer_at_the_same_steps_and_bits(bits):
    trained = fitted()
    plain = quantise(trained, bits)
    video = dependent_video(trained, plain)
    assert squared_error(trained, video) < 0.85 * squared_error(trained, plain)
    for name in weight_names(trained.architecture):
        made, given = video.parameters[name], plain.parameters[name]
        assert made.dependent
        assert made.bits == given.bits
        halves = made.steps.view(np.float16).astype(np.float64), given.steps.view(np.float16).astype(np.float64)
        np.testing.assert_array_equal(2 * halves[0], halves[1])


def test_dependent_videos_pass_through_their_stream():
    trained = fitted(HINERV, 20)
    video = dependent_video(trained, quantise(trained, 4))
    again = parse(pack(video))
    for name, parameter in video.parameters.items():
        np.testing.assert_array_equal(again.parameters[name].integers, parameter.integers)
    np.testing.assert_array_equal(InrVideo.of(again).decode(2), InrVideo.of(video).decode(2))


def test_dependent_leaves_weights_of_sixteen_bits_alone():
    trained = fitted()
    video = dependent_video(trained, quantise(trained, 16))
    assert not any(parameter.dependent for parameter in video.parameters.values())


def test_calibrate_with_a_trellis_meets_a_size():
    trained, frames = fitted(), moving_picture()
    size = len(pack(quantise(trained, 5)))
    request = Request(Target(size=size), Settings(12, 1), "neuroquant", trellis=True)
    found = calibrate(trained, frames, request)
    assert len(found.content) <= size
    assert any(parameter.dependent for parameter in parse(found.content).parameters.values())
    with pytest.raises(RangeError, match="a trellis goes with neuroquant and naive"):
        calibrate(trained, frames, Request(Target(size=size), Settings(12, 1), "adaround", trellis=True))
