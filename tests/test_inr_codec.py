"""Implicit videos: every tensor of every architecture, the same on every path (SPEC INR-1 to INR-11, RCV-8)."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import naive_inr
import numba
import numpy as np
import pytest

from refcodec.codecs.inr.architecture import Architecture, Block, Hierarchical, Levels, Shuffled, Stage
from refcodec.codecs.inr.codec import InrVideo
from refcodec.codecs.inr.nodes import GELU, SIGMOID, SILU, TANH
from refcodec.codecs.inr.quantised import Quantised, Video
from refcodec.codecs.inr.stream import pack
from refcodec.errors import RangeError
from refcodec.formats import IntFormat
from refcodec.program.patches import Rectangle
from refcodec.vectorgen.tiny_videos import ARCHITECTURES, HINERV, HNERV, NERV, tiny_video

Decoded = tuple[np.ndarray, dict[str, np.ndarray]]
# Nothing more than a network needs, and as much as one may have.
CORNERS: dict[str, Architecture] = {
    "no blocks": Shuffled(1, 2, 3, (2, 3), (Levels(1, 2),), True, (), False, (), (), (), GELU, 1, TANH),
    "one sample": Shuffled(2, 1, 1, (1, 1), (), True, (1,), True, (1,), (False,), (), SILU, 1, SIGMOID),
    "no stem": Shuffled(3, 5, 4, (1, 1), (), False, (1 << 39, 3), False, (), (), (Block(7, 5, 2),), SILU, 9, TANH),
    "even base": Shuffled(3, 4, 6, (2, 2), (), True, (1 << 39, 3), True, (), (), (Block(3, 3, 2),), GELU, 5, SIGMOID),
    "no stages": Hierarchical(3, 2, 2, (2, 2), (Levels(2, 2),), 3, 3, True, 3, ()),
    "no depth": Hierarchical(3, 9, 4, (2, 1), (Levels(3, 2),), 2, 1, True, 3, (Stage(5, 7, (Levels(1, 1),), 0, 3),)),
    "no norms": Hierarchical(3, 6, 7, (2, 2), (Levels(1, 1),), 4, 5, False, 5, (Stage(4, 4, (), 1, 9),), TANH),
}
LARGE = {"hnerv": HNERV, "hinerv": HINERV, "nerv": NERV}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Many tiny frames are quicker without threads that wait for each other."""
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


def decode_with_taps(video: InrVideo, index: int) -> Decoded:
    """The picture, and every tensor copied when it was reported."""
    taps: dict[str, np.ndarray] = {}
    picture = video.decode(index, lambda name, values: taps.__setitem__(name, values.copy()))
    return picture, taps


def assert_same(found: Decoded, wanted: Decoded) -> None:
    np.testing.assert_array_equal(found[0], wanted[0])
    assert found[1].keys() == wanted[1].keys()
    for name, values in wanted[1].items():
        np.testing.assert_array_equal(found[1][name], values, err_msg=name)


def judged(video: Video, index: int) -> Decoded:
    """What the decoder gives, after the naive one has found the same."""
    content = pack(video)
    found = decode_with_taps(InrVideo.from_bytes(content), index)
    rows, taps = naive_inr.decode(content, index)
    assert_same(found, (np.array(rows), {name: np.array(values) for name, values in taps.items()}))
    assert found[0].dtype == np.uint8
    assert found[0].shape == (video.architecture.height, video.architecture.width, 3)
    return found


# --- the same result on every path


@pytest.mark.parametrize("dependent", [False, True], ids=["plain", "dependent"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_decode_equals_the_naive_decoder_at_every_tensor(name: str, dependent: bool) -> None:
    video = tiny_video(ARCHITECTURES[name], 5, 6, dependent)
    picture, _ = judged(video, video.architecture.frames - 2)
    assert np.ptp(picture) > 200
    assert len(np.unique(picture)) > 30


@pytest.mark.parametrize(
    ("bits", "activation_bits", "several_steps"), [(2, 8, False), (16, 10, True), (3, 12, False), (5, 14, True)]
)
@pytest.mark.parametrize("name", ["nerv", "hinerv"])
def test_decode_equals_the_naive_decoder_at_every_precision(
    name: str, bits: int, activation_bits: int, several_steps: bool
) -> None:
    activations = IntFormat(activation_bits, True)
    judged(tiny_video(ARCHITECTURES[name], 6, bits, False, activations, several_steps), 1)


def test_decode_equals_the_naive_decoder_with_another_width_in_every_layer() -> None:
    widths = {f"blocks.{k}.weight": 2 + k for k in range(3)} | {"head.weight": 16, "stem.0.bias": 2, "grids.0": 16}
    judged(tiny_video(HNERV, 8, 7, changes=widths), 2)


@pytest.mark.parametrize("name", CORNERS)
def test_decode_equals_the_naive_decoder_at_corners(name: str) -> None:
    for index in range(CORNERS[name].frames):
        judged(tiny_video(CORNERS[name], 9), index)


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("factor", [1, 4], ids=["large", "enormous"])
def test_decode_equals_the_naive_decoder_where_activations_saturate(name: str, factor: int) -> None:
    """Steps of four or sixteen times their size: layers, grids and sums leave the format."""
    video = tiny_video(LARGE[name], 10, 6)
    wide = {}
    for parameter, tensor in video.parameters.items():
        steps = tensor.steps if "bias" in parameter else tensor.steps + (factor * 2 << 10)  # exponents grow
        wide[parameter] = Quantised(tensor.values, steps, tensor.bits)
    _, taps = judged(Video(video.architecture, wide), 0)
    saturated = {name for name, values in taps.items() if {-32768, 32767} & set(values.ravel().tolist())}
    assert saturated or factor == 1


def test_decode_equals_the_naive_decoder_at_extreme_steps() -> None:
    """The smallest and the largest step of every kind of parameter, subnormal ones among them."""
    video = tiny_video(HNERV, 11, 4)
    for weight, other in ((1, 0x63FF), (0x63FF, 1), (0x3FF, 0x400)):
        found = {}
        for name, tensor in video.parameters.items():
            step = weight if name.endswith("weight") else other
            values = tensor.values if (weight, other) != (1, 0x63FF) or "bias" not in name else tensor.values >> 4
            found[name] = Quantised(values, np.array([step]), 4)
        judged(Video(HNERV, found), 3)


@pytest.mark.parametrize("name", ["nerv", "hnerv", "ffnerv", "hinerv"])
def test_decode_equals_the_definitions(name: str) -> None:
    video = InrVideo.of(tiny_video(ARCHITECTURES[name], 12))
    for index in (0, video.frames - 1):
        picture, taps = decode_with_taps(video, index)
        plain: dict[str, np.ndarray] = {}
        planes = video.program.run_plain(taps["t"], plain.__setitem__)
        rows, columns = picture.shape[:2]
        np.testing.assert_array_equal(planes[:, :rows, :columns].transpose(1, 2, 0), picture)
        assert_same((picture, taps), (picture, plain))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_frames_decode_in_any_order(name: str) -> None:
    content = pack(tiny_video(ARCHITECTURES[name], 13))
    video = InrVideo.from_bytes(content)
    wanted = [video.decode(index) for index in range(video.frames)]
    assert len({picture.tobytes() for picture in wanted}) == video.frames
    for index in np.random.default_rng(1).permutation(video.frames).tolist():
        np.testing.assert_array_equal(video.decode(index), wanted[index])
        np.testing.assert_array_equal(InrVideo.from_bytes(content).decode(index), wanted[index])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_patches_equal_the_frame(name: str, rng: np.random.Generator) -> None:
    video = InrVideo.of(tiny_video(ARCHITECTURES[name], 14))
    wanted = video.decode(1)
    height, width = wanted.shape[:2]
    for size in ((1, width), (height, 4), (3, 5), (height, width), (1000, 1000)):
        np.testing.assert_array_equal(video.decode_by_patches(1, *size), wanted)
    for _ in range(8):
        top, left = int(rng.integers(height)), int(rng.integers(width))
        rows, columns = int(rng.integers(1, height - top + 1)), int(rng.integers(1, width - left + 1))
        patch = video.decode_patch(1, Rectangle(top, left, rows, columns))
        np.testing.assert_array_equal(patch, wanted[top : top + rows, left : left + columns])


def test_rectangles_cover_the_picture_once() -> None:
    video = InrVideo.of(tiny_video(HNERV, 1))
    covered = np.zeros((12, 17), np.int64)
    for top, left, rows, columns in video.rectangles(5, 6):
        covered[top : top + rows, left : left + columns] += 1
    assert (covered == 1).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_decode_does_not_depend_on_the_number_of_threads(threads: int) -> None:
    video = InrVideo.of(tiny_video(HINERV, 15))
    wanted = decode_with_taps(video, 2)
    if threads > numba.config.NUMBA_NUM_THREADS:
        pytest.skip(f"{threads} threads wanted, {numba.config.NUMBA_NUM_THREADS} there")
    numba.set_num_threads(threads)
    assert_same(decode_with_taps(video, 2), wanted)


UNCOMPILED = """
import hashlib, pathlib, sys
import numba
from refcodec.codecs.inr.codec import InrVideo
from refcodec.codecs.inr.stream import pack
assert numba.config.DISABLE_JIT
for name in sys.argv[1:]:
    content, digest, taps = pathlib.Path(name).read_bytes(), hashlib.sha256(), {}
    video = InrVideo.from_bytes(content)
    picture = video.decode(1, taps.__setitem__)
    for values in (picture, *(taps[tap] for tap in sorted(taps))):
        digest.update(values.astype("<i8").tobytes())
    print(digest.hexdigest())
"""


def test_decode_does_not_depend_on_the_compiler(tmp_path: Path, run_uncompiled: Callable[..., str]) -> None:
    """NumPy's scalars warn where they wrap, and warnings are errors there."""
    names, wanted = [], []
    for name, dependent in (("hnerv", True), ("hinerv", False)):
        content = pack(tiny_video(ARCHITECTURES[name], 16, 3, dependent))
        path = tmp_path / f"{name}.rcv"
        path.write_bytes(content)
        names.append(str(path))
        picture, taps = decode_with_taps(InrVideo.from_bytes(content), 1)
        digest = hashlib.sha256()
        for values in (picture, *(taps[tap] for tap in sorted(taps))):
            digest.update(values.astype("<i8").tobytes())
        wanted.append(digest.hexdigest())
    assert run_uncompiled(UNCOMPILED, *names).split() == wanted


# --- what is refused


def test_decode_refuses_frames_and_patches_that_are_not_there() -> None:
    video = InrVideo.of(tiny_video(HNERV, 1))
    for index in (-1, 5):
        with pytest.raises(RangeError, match=rf"RC-RANGE: there are frames 0\.\.4, not {index}"):
            video.decode(index)
        with pytest.raises(RangeError, match=rf"there are frames 0\.\.4, not {index}"):
            video.decode_patch(index, Rectangle(0, 0, 1, 1))
    # the network gives 18 columns, the picture has 17
    for rectangle in (Rectangle(0, 0, 13, 1), Rectangle(0, 17, 1, 1), Rectangle(-1, 0, 2, 2), Rectangle(0, 0, 0, 1)):
        with pytest.raises(RangeError, match=r"a picture of 12 x 17 has no part \("):
            video.decode_patch(0, rectangle)
    with pytest.raises(RangeError, match="one sample or more, not 0 x 4"):
        video.decode_by_patches(0, 0, 4)


# --- the program


def test_program_has_a_tensor_of_a_known_format_for_every_node() -> None:
    video = InrVideo.of(tiny_video(HINERV, 17, 5, True))
    formats = {name: str(fmt) for name, fmt in video.formats().items()}
    assert formats["t"] == "u3"
    assert formats["picture"] == "u8"
    for name, text in formats.items():
        if name not in ("t", "picture") and not name.endswith(".accumulator"):
            assert text == "s16", name
    assert "head" not in formats, "a head reads the accumulator itself"
    head = video.program.operation("head")
    bound = int((np.abs(head.weight.astype(np.int64)).sum(axis=1) * 32768 + np.abs(head.bias)).max())
    assert formats["head.accumulator"] == f"s{bound.bit_length() + 1}"
    assert str(head.weight_format) == "s6"
    assert InrVideo.of(tiny_video(dataclasses.replace(HINERV, frames=9), 1)).formats()["t"] == IntFormat(4, False)
    assert InrVideo.of(tiny_video(CORNERS["no blocks"], 1)).formats()["t"] == IntFormat(1, False)


def test_program_is_the_same_for_every_reach() -> None:
    """Every tensor of some frames lies in the reach that the program proves."""
    video = InrVideo.of(tiny_video(HNERV, 18))
    reaches = video.program.reaches()
    for index in range(video.frames):
        for name, values in decode_with_taps(video, index)[1].items():
            flat = values.reshape(len(values), -1).astype(np.int64)
            if name != "t":
                assert (reaches[name].lo <= flat.min(axis=1)).all(), name
                assert (flat.max(axis=1) <= reaches[name].hi).all(), name
