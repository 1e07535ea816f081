"""Architectures of a wanted size: the widest that fits, for every clip, and what cannot be designed."""

from __future__ import annotations

from math import prod

import mpmath
import numpy as np
import pytest

from refcodec.codecs.inr.architecture import Hierarchical, parameters
from refcodec.codecs.inr.limits import check_architecture
from refcodec.codecs.inr.nodes import GRID
from refcodec.errors import RangeError
from refcodec.fit.design import FAMILIES, design, parameter_count, strides_for

# frames, height, width, and a size for each
CLIPS = [((132, 160, 320), 300_000), ((1, 9, 7), 20_000), ((3, 1, 1), 17_000), ((5, 721, 1279), 400_000),
         ((2, 720, 1280), 1_000_000), ((17, 33, 250), 150_000)]  # fmt: skip


def width_of(architecture):
    """The number that `design` chose."""
    if isinstance(architecture, Hierarchical):
        return architecture.channels
    last = architecture.stem[-1]
    return last if architecture.grids else last // prod(architecture.base)


def strides_of(architecture):
    stages = architecture.stages if isinstance(architecture, Hierarchical) else architecture.blocks
    return tuple(stage.factor if isinstance(architecture, Hierarchical) else stage.stride for stage in stages)


def counted(architecture):
    """Trained numbers, from the shapes."""
    return sum(int(np.prod(parameter.shape)) for parameter in parameters(architecture.nodes()))


@pytest.mark.parametrize(("clip", "size"), CLIPS, ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_design_is_the_widest_network_of_the_size(family, clip, size):
    found = design(family, size, clip)
    assert (found.frames, found.height, found.width) == clip
    assert counted(found) == parameter_count(found) <= size
    strides = strides_of(found)
    assert counted(FAMILIES[family](width_of(found) + 1, clip, strides)) > size
    assert found == FAMILIES[family](width_of(found), clip, strides)
    check_architecture(found)
    assert all(0 <= whole - part < prod(strides) for whole, part in zip(found.size, clip[1:], strict=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_design_of_a_size_that_is_met_exactly(family):
    clip = (4, 40, 80)
    count = counted(FAMILIES[family](20, clip, (5, 2, 2)))
    assert design(family, count, clip, (5, 2, 2)) == FAMILIES[family](20, clip, (5, 2, 2))
    assert width_of(design(family, count - 1, clip, (5, 2, 2))) == 19


def test_design_takes_strides_and_kernels():
    hnerv = design("hnerv", 90_000, (4, 40, 80), (5, 2), (7, 3))
    assert [(block.stride, block.kernel) for block in hnerv.blocks] == [(5, 7), (2, 3)]
    assert hnerv.base == (4, 8)
    nerv = design("nerv", 200_000, (4, 40, 80), [2, 1, 5], [1, 9, 3])
    assert [(block.stride, block.kernel) for block in nerv.blocks] == [(2, 1), (1, 9), (5, 3)]
    assert nerv.base == (4, 8)
    hinerv = design("hinerv", 80_000, (4, 40, 80), (1, 5), (5,))
    assert [stage.factor for stage in hinerv.stages] == [1, 5]
    assert hinerv.kernel == 5
    assert hinerv.base == (8, 16)


def test_strides_are_the_fewest_that_leave_a_small_plane():
    assert strides_for("hnerv", 160, 320) == (5, 4, 2, 2)
    assert strides_for("hinerv", 160, 320) == (5, 2, 2, 2)
    assert strides_for("nerv", 1, 1) == (2,)
    assert strides_for("nerv", 8, 8) == (2,)
    assert strides_for("nerv", 8, 9) == (2, 2)
    assert strides_for("hnerv", 2160, 3840) == (5, 4, 4, 2, 2)


@pytest.mark.parametrize("frames", [1, 132, 600])
def test_phases_of_nerv_are_those_of_float32_bases(frames):
    """Angle of frame t: t / frames times a float32 base, in units of 2**-40 turns, nearest, modulo a turn."""
    found = design("nerv", 200_000, (frames, 20, 20)).increments
    bases = (np.float64(1.25) ** np.arange(40) * np.pi).astype(np.float32)
    assert len(found) == len(bases)
    with mpmath.workdps(80):
        for increment, base in zip(found, bases, strict=True):
            turns = mpmath.mpf(float(base)) / frames / (2 * mpmath.pi)
            assert increment == int(mpmath.nint(turns * 2**40)) % 2**40


@pytest.mark.parametrize("family", FAMILIES)
def test_embeddings_and_grids_count(family):
    """Twice the frames leave less for the network, where frames have tensors of their own."""
    few, many = (design(family, 200_000, (frames, 80, 160)) for frames in (20, 400))
    grids = [sum(prod(p.shape) for p in parameters(a.nodes()) if p.kind == GRID) for a in (few, many)]
    assert (grids == [0, 0]) == (family == "nerv")
    assert width_of(many) < width_of(few) or family == "nerv"


CLIP = (4, 40, 80)
REFUSED = [
    ("RC-RANGE", "the size must be 1", {"size": 0}),
    ("RC-RANGE", "the size must be 1", {"size": -5}),
    ("RC-RANGE", "the size must be 1", {"size": 1 << 26}),
    ("RC-RANGE", "the narrowest", {"size": 1}),
    ("RC-USAGE", "the family must be one of hnerv, nerv, hinerv, got 'ffnerv'", {"family": "ffnerv"}),
    ("RC-USAGE", "wanted one or more strides", {"strides": ()}),
    ("RC-USAGE", "wanted one or more strides", {"strides": (5, 0)}),
    ("RC-USAGE", "wanted one or more strides", {"strides": (-2, -2)}),
    ("RC-RANGE", r"must be 1\.\.(64|5), got 65", {"strides": (65,)}),
    ("RC-RANGE", r"a side of the base must be 1\.\.64, got 80", {"strides": (1,)}),
    ("RC-RANGE", r"(blocks|stages) must be 0\.\.16, got 17", {"strides": (2,) * 17}),
    ("RC-USAGE", r"wanted \d kernels for 3 strides of \w+, got 0", {"kernels": ()}),
    ("RC-USAGE", r"wanted \d kernels for 3 strides of \w+, got 2", {"kernels": (3, 3)}),
    ("RC-RANGE", "frames must be 1", {"clip": (0, 40, 80)}),
    ("RC-RANGE", "a picture has sides of 1", {"clip": (4, 0, 80)}),
    ("RC-RANGE", "a picture has sides of 1", {"clip": (4, 40, 1 << 20)}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "text", "changes"), REFUSED, ids=lambda value: str(value) if isinstance(value, dict) else ""
)
@pytest.mark.parametrize("family", FAMILIES)
def test_design_refuses_what_no_network_can_be(family, code, text, changes):
    asked = {"family": family, "size": 300_000, "clip": CLIP, "strides": (5, 2, 2), **changes}
    with pytest.raises(RangeError, match=f"^{code}: .*{text}"):
        design(**asked)


@pytest.mark.parametrize("kernel", [4, 0, -1, 11])
@pytest.mark.parametrize("family", FAMILIES)
def test_design_refuses_kernels_that_are_even_or_too_large(family, kernel):
    kernels = (kernel,) if family == "hinerv" else (3, 3, kernel)
    with pytest.raises(
        RangeError, match=rf"^RC-RANGE: the kernel of (a block|the blocks) must be odd, 1\.\.9, got {kernel}"
    ):
        design(family, 300_000, CLIP, (5, 2, 2), kernels)


def test_design_refuses_factors_of_hinerv_that_no_enlargement_has():
    with pytest.raises(RangeError, match=r"^RC-RANGE: the factor of a stage must be 1\.\.5, got 6"):
        design("hinerv", 300_000, CLIP, (6, 2))
    design("nerv", 300_000, CLIP, (6, 2))
