"""The stream of an implicit video: every field, every limit, every refusal (SPEC RCV-1 to RCV-8, INR-4, INR-10)."""

from __future__ import annotations

import dataclasses
import random
import struct
import tracemalloc
import zlib
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import numba
import numpy as np
import pytest

from refcodec.codecs.inr.architecture import Architecture, Block, Levels, Shuffled, Stage, parameters
from refcodec.codecs.inr.codec import InrVideo
from refcodec.codecs.inr.description import describe
from refcodec.codecs.inr.limits import check_architecture, load
from refcodec.codecs.inr.nodes import GELU, TANH
from refcodec.codecs.inr.numbers import NumberReader, write_numbers
from refcodec.codecs.inr.quantised import Quantised, Video
from refcodec.codecs.inr.stream import pack, parse, read_layout, tensor_sizes
from refcodec.entropy.weight_coding import encode_integers
from refcodec.errors import RangeError, ShapeError, StreamError
from refcodec.formats import IntFormat
from refcodec.vectorgen.tiny_videos import ARCHITECTURES, HINERV, HNERV, NERV, tiny_video

# One frame of one sample: a grid of one number, and a head. All integers are zero, so a payload is one zero byte.
SMALLEST = Shuffled(1, 1, 1, (1, 1), (Levels(1, 1),), True, (), False, (), (), (), GELU, 1, TANH)
NETWORK = [0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 0, 1]
ONE = struct.pack("<H", 0x3C00)  # 1 in half precision
TENSORS = [1, 1, 1, 1, 1, 1]  # of the grid, the weight and the bias: two bits, one step, a payload of one byte
PAYLOAD = (ONE + b"\0") * 3
FIRST = 8 + 1 + len(NETWORK) + len(TENSORS) + 4  # where the payloads begin


def built(
    numbers: Iterable[int] = (16, *NETWORK, *TENSORS),
    payload: bytes = PAYLOAD,
    magic: bytes = b"RCV\n",
    version: int = 1,
    description: bytes | None = None,
    rest: bytes = b"",
) -> bytes:
    """A stream built by hand, its checksums good whatever the fields."""
    described = write_numbers(numbers) if description is None else description
    head = magic + struct.pack("<HH", version, len(described)) + described
    return head + struct.pack("<I", zlib.crc32(head)) + payload + struct.pack("<I", zlib.crc32(payload)) + rest


def refused(content: bytes, code: str, offset: int, message: str = "") -> None:
    with pytest.raises(StreamError) as caught:
        InrVideo.from_bytes(content)
    assert (caught.value.code, caught.value.offset) == (code, offset), str(caught.value)
    assert message in str(caught.value)
    assert str(caught.value).endswith(f"(byte {offset})")


def zeros(architecture: Architecture) -> dict[str, Quantised]:
    """Parameters that are all zero."""
    step = np.array([0x3C00])
    return {p.name: Quantised(np.zeros(p.shape, np.int32), step, 2) for p in parameters(architecture.nodes())}


def same(left: Video, right: Video) -> None:
    assert left.architecture == right.architecture
    assert left.activations == right.activations
    assert list(left.parameters) == list(right.parameters)
    for name, tensor in left.parameters.items():
        other = right.parameters[name]
        assert (tensor.bits, tensor.dependent) == (other.bits, other.dependent)
        np.testing.assert_array_equal(tensor.values, other.values)
        np.testing.assert_array_equal(tensor.steps, other.steps)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Many tiny frames are quicker without threads that wait for each other."""
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


@cache
def tiny_streams() -> tuple[bytes, ...]:
    """One of every architecture."""
    return tuple(pack(tiny_video(a, 4, 3, bool(k % 2))) for k, a in enumerate(ARCHITECTURES.values()))


# --- what is written and read


def test_pack_writes_the_bytes_of_the_specification() -> None:
    content = pack(Video(SMALLEST, zeros(SMALLEST)))
    assert content == built()
    assert content[:8].hex() == "5243560a01001800"
    assert content[8:32].hex() == "100001010101010101010001000000000001010101010101"
    assert content[FIRST:-4].hex() == "003c00" * 3
    assert len(content) == FIRST + 9 + 4 == 49


@pytest.mark.parametrize("dependent", [False, True])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_parse_gives_back_what_pack_was_given(name: str, dependent: bool) -> None:
    video = tiny_video(ARCHITECTURES[name], 7, 5, dependent, IntFormat(12, True))
    content = pack(video)
    read = parse(content)
    same(read, video)
    assert pack(read) == content


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_description_says_the_width_of_activations(bits: int) -> None:
    video = tiny_video(NERV, 1, activations=IntFormat(bits, True))
    content = pack(video)
    assert content[8] == bits
    assert parse(content).activations == IntFormat(bits, True)
    assert video.fraction == {8: 4, 10: 6, 12: 7, 14: 9, 16: 10}[bits]


def test_tensors_have_widths_steps_and_orders_of_their_own() -> None:
    """Each tensor with another width and other steps, given in the reverse order."""
    found = {}
    for number, parameter in enumerate(reversed(parameters(HNERV.nodes()))):
        bits = 2 + number
        values = np.arange(np.prod(parameter.shape)).reshape(parameter.shape) % (1 << bits) - (1 << bits - 1)
        steps = np.array([1 + number * 1000]) if number % 2 or parameter.kind == "bias" else None
        channels = parameter.shape[1 if parameter.kind == "grid" else 0]
        found[parameter.name] = Quantised(values, np.arange(channels) + 5 if steps is None else steps, bits)
    video = Video(HNERV, found)
    same(parse(pack(video)), video)
    assert [tensor.bits for tensor in parse(pack(video)).parameters.values()] == list(range(12, 1, -1))


def test_sizes_of_tensors_and_description_make_up_the_stream() -> None:
    video = tiny_video(HINERV, 3, 4)
    content = pack(video)
    sizes = tensor_sizes(content)
    assert [size.name for size in sizes] == list(video.parameters)
    assert (
        sum(size.step_bytes + size.value_bytes for size in sizes) == len(content) - read_layout(content).payloads_at - 4
    )
    for size in sizes:
        tensor = video.parameters[size.name]
        shape = size.shape
        coded = (1, shape[0], 1) if len(shape) == 1 else (*shape[:2], int(np.prod(shape[2:])))
        assert size.value_bytes == len(encode_integers(tensor.values.reshape(coded)))
        assert (size.bits, size.steps, size.dependent) == (4, len(tensor.steps), False)
        assert size.coder in {"static", "adaptive0", "adaptive1", "differences"}
    assert {size.coder for size in tensor_sizes(built())} == {"zeros"}


def test_steps_are_coded_where_that_is_shorter() -> None:
    """Forty steps on a grid of 32 patterns take five bits and a little each; two of them stay as they are."""

    def size(steps: np.ndarray) -> int:
        block = Block(1, 1, len(steps))
        architecture = dataclasses.replace(SMALLEST, blocks=(block,))
        found = zeros(architecture)
        found["blocks.0.weight"] = Quantised(np.zeros((len(steps), 1, 1, 1), np.int32), steps, 2)
        content = pack(Video(architecture, found))
        np.testing.assert_array_equal(parse(content).parameters["blocks.0.weight"].steps, steps)
        return next(size.step_bytes for size in tensor_sizes(content) if size.name == "blocks.0.weight")

    rng = np.random.default_rng(5)
    assert size(0x2000 + (rng.integers(0, 32, 40) << 5)) < 40
    assert size(0x2000 + rng.integers(0, 32 << 5, 40)) < 70
    assert size(np.array([0x2000, 0x2417])) == 4
    assert size(np.full(40, 0x2000)) == 4
    assert size(rng.integers(1, 0x6400, 40)) == 80
    assert size(np.array([1, 0x63FF] * 20)) < 80


# --- numbers


@pytest.mark.parametrize(
    ("value", "text"), [(0, "00"), (127, "7f"), (128, "8001"), (300, "ac02"), (2**40 - 1, "ffffffffff1f")]
)
def test_numbers_take_as_many_bytes_as_they_need(value: int, text: str) -> None:
    assert write_numbers([value]).hex() == text
    reader = NumberReader(bytes.fromhex(text), 0, len(text) // 2)
    assert reader.take() == value
    reader.finish()


@pytest.mark.parametrize(
    ("text", "code", "offset", "message"),
    [
        ("008000", "RC-STREAM-LIMIT", 1, "more bytes than it needs"),
        ("00ff8000", "RC-STREAM-LIMIT", 1, "more bytes than it needs"),
        ("0080808080808001", "RC-STREAM-LIMIT", 1, "more than 6 bytes"),
        ("008080", "RC-STREAM-TRUNCATED", 3, "ends within a number"),
        ("00", "RC-STREAM-TRUNCATED", 1, "ends within a number"),
    ],
)
def test_reader_refuses_other_numbers(text: str, code: str, offset: int, message: str) -> None:
    content = bytes.fromhex(text)
    reader = NumberReader(content + b"\1", 0, len(content))
    reader.take()
    with pytest.raises(StreamError, match=message) as caught:
        reader.take()
    assert (caught.value.code, caught.value.offset) == (code, offset)


# --- what is refused


def changed(place: int, *values: int) -> list[int]:
    """The numbers of the smallest stream with some of them replaced by others."""
    numbers = [16, *NETWORK, *TENSORS]
    return [*numbers[:place], *values, *numbers[place + 1 :]]


@pytest.mark.parametrize(
    ("content", "code", "offset", "message"),
    [
        (b"", "RC-STREAM-MAGIC", 0, "not a stream of an implicit video"),
        (built(magic=b"RCB\n"), "RC-STREAM-MAGIC", 0, "not a stream"),
        (built(magic=b"RCV\r"), "RC-STREAM-MAGIC", 0, "not a stream"),
        (built(version=2), "RC-STREAM-VERSION", 4, "version 2, not 1"),
        (built()[:7], "RC-STREAM-TRUNCATED", 7, "the header needs 8 bytes"),
        (built()[: FIRST - 1], "RC-STREAM-TRUNCATED", FIRST - 1, "the description needs 36 bytes"),
        (built()[:-1], "RC-STREAM-TRUNCATED", 48, "the stream needs 49 bytes"),
        (built(rest=b"\0"), "RC-STREAM-TRAILING", 49, "1 bytes follow the checksum"),
        (built()[:20] + b"\7" + built()[21:], "RC-STREAM-CRC", 32, "checksum of the description"),
        (built()[:FIRST] + b"\7" + built()[FIRST + 1 :], "RC-STREAM-CRC", 45, "checksum of the tensors"),
        (built([]), "RC-STREAM-TRUNCATED", 8, "ends within a number"),
        (built([16, *NETWORK, *TENSORS[:-1]]), "RC-STREAM-TRUNCATED", 31, "ends within a number"),
        (built([16, *NETWORK, *TENSORS, 0]), "RC-STREAM-TRAILING", 32, "1 bytes follow the last number"),
        (built(changed(0, 9)), "RC-STREAM-LIMIT", 8, "activations of 9 bits"),
        (built(changed(0, 0)), "RC-STREAM-LIMIT", 8, "activations of 0 bits"),
        (built(changed(1, 2)), "RC-STREAM-LIMIT", 9, "the kind of network must be 0..1, got 2"),
        (built(changed(2, 0)), "RC-STREAM-LIMIT", 9, "frames must be 1..1048576, got 0"),
        (built(changed(2, 1 << 20 | 1)), "RC-STREAM-LIMIT", 9, "frames must be"),
        (built(changed(3, 0)), "RC-STREAM-LIMIT", 9, "got 0x1"),
        (built(changed(4, 2)), "RC-STREAM-LIMIT", 9, "a network of 1 x 1 does not give pictures of 2 x 1"),
        (built(changed(5, 0)), "RC-STREAM-LIMIT", 9, "a side of the base must be 1..64, got 0"),
        (built(changed(6, 65)), "RC-STREAM-LIMIT", 9, "a side of the base must be 1..64, got 65"),
        (built(changed(7, 17)), "RC-STREAM-LIMIT", 15, "levels of the grids must be 0..16, got 17"),
        (built(changed(8, 2)), "RC-STREAM-LIMIT", 9, "tensors of the grids must be 1..1, got 2"),
        (built(changed(9, 0)), "RC-STREAM-LIMIT", 9, "channels must be 1..32768, got 0"),
        (built(changed(9, 1 << 15 | 1)), "RC-STREAM-LIMIT", 9, "channels must be 1..32768, got 32769"),
        (built(changed(10, 2)), "RC-STREAM-LIMIT", 18, "the head must be 0..1, got 2"),
        (built(changed(11, 2)), "RC-STREAM-LIMIT", 19, "whether grids are centred"),
        (built(changed(12, 1, 5)), "RC-STREAM-LIMIT", 9, "a network of grids has no increments"),
        (built(changed(12, 257)), "RC-STREAM-LIMIT", 20, "the number of increments must be 0..256"),
        (built(changed(13, 3)), "RC-STREAM-LIMIT", 21, "whether the encoding is interleaved"),
        (built(changed(14, 1, 1, 2)), "RC-STREAM-LIMIT", 24, "whether an activation follows"),
        (built(changed(14, 17)), "RC-STREAM-LIMIT", 22, "layers of the stem"),
        (built(changed(15, 17)), "RC-STREAM-LIMIT", 23, "blocks must be 0..16"),
        (built(changed(15, 1, 2, 1, 1)), "RC-STREAM-LIMIT", 9, "the kernel of a block must be odd, 1..9, got 2"),
        (built(changed(15, 1, 11, 1, 1)), "RC-STREAM-LIMIT", 9, "the kernel of a block must be odd, 1..9, got 11"),
        (built(changed(15, 1, 1, 0, 1)), "RC-STREAM-LIMIT", 9, "the stride of a block must be 1..64, got 0"),
        (built(changed(15, 1, 1, 65, 1)), "RC-STREAM-LIMIT", 9, "the stride of a block must be 1..64, got 65"),
        (built(changed(16, 2)), "RC-STREAM-LIMIT", 24, "the activation must be 0..1"),
        (built(changed(17, 4)), "RC-STREAM-LIMIT", 9, "the kernel of the head must be odd, 1..9, got 4"),
        (built(changed(18, 0)), "RC-STREAM-LIMIT", 26, "grids.0 has 2..16 bits, got 1"),
        (built(changed(18, 15 | 32)), "RC-STREAM-LIMIT", 26, "grids.0 has 2..15 bits, got 16"),
        (built(changed(18, 17)), "RC-STREAM-LIMIT", 26, "grids.0 has one step only"),
        (built(changed(22, 17)), "RC-STREAM-LIMIT", 30, "head.bias has one step only"),
        (built(changed(18, 128)), "RC-STREAM-LIMIT", 26, "must be 0..127, got 128"),
        (built(changed(18, 65, 2)), "RC-STREAM-LIMIT", 27, "bytes of grids.0 must be 3..2, got 2"),
        (built(changed(19, 0)), "RC-STREAM-LIMIT", 27, "bytes of grids.0 must be 1..1073741823, got 0"),
        (built(changed(19, 1 << 30)), "RC-STREAM-LIMIT", 27, "bytes of grids.0 must be"),
        (built(changed(19, 2)), "RC-STREAM-TRUNCATED", 49, "the stream needs 50 bytes"),
        (built(changed(19, (1 << 30) - 1)), "RC-STREAM-TRUNCATED", 53, "the stream needs 107374"),
        (built(payload=b"\0\0\0" + PAYLOAD[3:]), "RC-STREAM-SYMBOL", FIRST, "grids.0: a step is outside"),
        (built(payload=PAYLOAD[:3] + b"\0\x64\0" + PAYLOAD[6:]), "RC-STREAM-SYMBOL", FIRST + 3, "head.weight: a step"),
        (built(payload=PAYLOAD[:3] + b"\1\x80\0" + PAYLOAD[6:]), "RC-STREAM-SYMBOL", FIRST + 3, "head.weight: a step"),
        (built(payload=PAYLOAD[:-1] + b"\1"), "RC-STREAM-TRUNCATED", FIRST + 9, ""),
        (built(payload=PAYLOAD[:-1] + b"\xff"), "RC-STREAM-WEIGHTS", FIRST + 8, ""),
    ],
)  # fmt: skip
def test_stream_refuses(content: bytes, code: str, offset: int, message: str) -> None:
    refused(content, code, offset, message)


def test_stream_refuses_every_beginning_of_itself() -> None:
    content = pack(tiny_video(NERV, 2))
    for length in range(0, len(content), 11):
        with pytest.raises(StreamError):
            parse(content[:length])


def test_stream_refuses_integers_wider_than_it_says() -> None:
    wide = encode_integers(np.array([[[2]]]))
    numbers = [16, *NETWORK, 1, len(wide), 1, 1, 1, 1]
    at = 8 + len(write_numbers(numbers)) + 4 + 2
    refused(built(numbers, ONE + wide + PAYLOAD[3:]), "RC-STREAM-SYMBOL", at, "grids.0: an integer is outside s2")
    low = encode_integers(np.array([[[-2]]]))
    assert parse(built(numbers, ONE + low + PAYLOAD[3:])).parameters["grids.0"].values.item() == -2


def test_stream_refuses_coded_steps_that_miss_their_range() -> None:
    """Coded steps of the weight of three outputs: their least pattern, shift and payload."""
    for least, shift, differences, code, offset in (
        (1, 0, [0, 5, 9], None, 0),
        (0, 0, [0, 5, 9], "RC-STREAM-SYMBOL", 0),
        (1, 15, [0, 1, 0], "RC-STREAM-SYMBOL", 0),
        (1, 16, [0, 1, 0], "RC-STREAM-LIMIT", 2),
        (9, 0, [0, -9, 0], "RC-STREAM-SYMBOL", 0),
        (9, 0, [0, -8, 0], None, 0),
    ):
        coded = struct.pack("<HB", least, shift) + encode_integers(np.array(differences).reshape(1, 3, 1))
        numbers = [16, *NETWORK, 1, 1, 1 | 16 | 64, len(coded), 1, 1, 1]
        content = built(numbers, PAYLOAD[:3] + coded + b"\0" + PAYLOAD[6:])
        at = 8 + len(write_numbers(numbers)) + 4 + 3
        if len(coded) > 6:
            refused(content, "RC-STREAM-LIMIT", 8 + 1 + len(NETWORK) + 3, "bytes of head.weight must be 3..6")
        elif code is None:
            steps = parse(content).parameters["head.weight"].steps.tolist()
            assert steps == [least + d * 2**shift for d in differences]
        else:
            refused(content, code, at + offset)


def test_stream_refuses_accumulators_beyond_48_bits() -> None:
    """A bias of 2**15 * 1023 in units of 2**-24 * 2**-10."""
    found = zeros(SMALLEST)
    found["head.bias"] = Quantised(np.full(3, -(1 << 15)), np.array([0x63FF]), 16)
    found["head.weight"] = Quantised(np.zeros((3, 1, 1, 1), np.int32), np.array([1]), 2)
    content = pack(Video(SMALLEST, found))
    refused(content, "RC-STREAM-LIMIT", read_layout(content).payloads_at, "head: a bias of")
    found["head.bias"] = Quantised(np.full(3, -2), np.array([0x63FF]), 16)
    assert InrVideo.from_bytes(pack(Video(SMALLEST, found))).decode(0).max() == 0


# --- limits, before anything is allocated


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (dataclasses.replace(HNERV, width=65536), "sides of 1..65535"),
        (dataclasses.replace(HNERV, blocks=(Block(1, 64, 1), Block(1, 64, 1), Block(1, 64, 1))), "a network of 524288"),
        (dataclasses.replace(HNERV, blocks=(Block(1, 64, 1), Block(1, 50, 1))), "at most 33554432 pixels"),
        (dataclasses.replace(HNERV, blocks=(Block(9, 8, 32768 // 64 + 1), *HNERV.blocks)), "channels must be"),
        (dataclasses.replace(HNERV, grids=(Levels(5, 32768), Levels(5, 32768))), "channels must be"),
        (dataclasses.replace(HNERV, stem=(32768, 1024), stem_activations=(True, True)), "parameters must be"),
        (dataclasses.replace(HNERV, stem=(6, 5)), "every layer of the stem"),
        (dataclasses.replace(HNERV, grids=(Levels(5, 4),) * 17), "levels of the grids must be 0..16"),
        (dataclasses.replace(HNERV, head="relu"), "the head must be one of tanh, sigmoid"),
        (dataclasses.replace(HNERV, activation="relu"), "the activation must be one of gelu, silu"),
        (dataclasses.replace(HNERV, grids=()), "the number of increments must be 1..256, got 0"),
        (dataclasses.replace(NERV, increments=(1 << 40,)), "an increment must be"),
        (dataclasses.replace(NERV, stem=(5, 25)), "base: 25 channels do not make blocks of 2 x 2"),
        (dataclasses.replace(HINERV, grids=()), "levels of the grids must be 1..16, got 0"),
        (dataclasses.replace(HINERV, kernel=2), "the kernel of the blocks must be odd"),
        (dataclasses.replace(HINERV, stem_kernel=10), "the kernel of the stem must be odd"),
        (dataclasses.replace(HINERV, stages=(Stage(6, 3, (), 1, 4),)), "the factor of a stage must be 1..5, got 6"),
        (dataclasses.replace(HINERV, stages=(Stage(5, 3, (), 17, 4),)), "blocks of a stage must be 0..16"),
        (dataclasses.replace(HINERV, stages=(Stage(5, 3, (Levels(9, 1),), 1, 4),)), "tensors of a local grid must be"),
        (dataclasses.replace(HINERV, stages=(Stage(5, 3, (), 1, 4),) * 17), "stages must be 0..16"),
        (dataclasses.replace(HINERV, stages=(Stage(5, 3, (), 1, 0), Stage(2, 3, (), 0, 1))), "channels must be"),
        (
            dataclasses.replace(
                HINERV, base=(64, 64), channels=256, stages=(Stage(5, 256, (), 1, 9), Stage(5, 3, (), 1, 9))
            ),
            "samples of a tensor must be",
        ),
        (
            dataclasses.replace(HNERV, blocks=(Block(1, 64, 4), Block(1, 2, 400), Block(9, 1, 400))),
            "multiplications for a frame must be",
        ),
    ],
)  # fmt: skip
def test_architectures_beyond_the_limits_are_refused_before_anything_is_allocated(
    architecture: Architecture, message: str
) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(RangeError, match=message):
            check_architecture(architecture)
        if "one of" not in message and "every layer" not in message:
            numbers = write_numbers([16, *describe(architecture)])
            with pytest.raises(StreamError, match=r"RC-STREAM-LIMIT"):
                parse(built(description=numbers))
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 1 << 20


def test_load_counts_what_a_frame_takes() -> None:
    """By hand: three convolutions and a head, on planes of 4 x 6, 4 x 6, 12 x 18 and 12 x 18 samples."""
    counted = load(HNERV.nodes())
    weights = 4 * 6, 6 * 5 * 4, 5 * 4 * 9, 4 * 3 * 9 * 25, 3 * 3 * 9
    assert counted.parameters == 5 * 4 * 6 + sum(weights) + 6 + 20 + 4 + 27 + 3
    planes = 2 * 3, 2 * 3, 4 * 6, 4 * 6, 12 * 18
    assert counted.multiplications == sum(w * p for w, p in zip(weights, planes, strict=True))
    assert counted.samples == 4 * 3 * 9 * 6 == 27 * 4 * 6


# --- parameters


@pytest.mark.parametrize(
    ("values", "steps", "bits", "dependent", "error", "message"),
    [
        ([0], [1], 1, False, RangeError, r"2\.\.16 bits, got 1"),
        ([0], [1], 17, False, RangeError, r"2\.\.16 bits, got 17"),
        ([0], [1], 16, True, RangeError, r"2\.\.15 bits, got 16"),
        ([2], [1], 2, False, RangeError, "leave s2"),
        ([-3], [1], 2, False, RangeError, "leave s2"),
        ([0.0], [1], 2, False, RangeError, "expected integers"),
        ([0], [], 2, False, ShapeError, r"steps are \(n,\)"),
        ([0], [[1]], 2, False, ShapeError, r"steps are \(n,\)"),
        ([0], [0], 2, False, RangeError, "positive number below 1024"),
        ([0], [0x6400], 2, False, RangeError, "positive number below 1024"),
        ([0], [-1], 2, False, RangeError, "positive number below 1024"),
        ([0], [1.0], 2, False, RangeError, "positive number below 1024"),
    ],
)
def test_quantised_refuses(values: Any, steps: Any, bits: int, dependent: bool, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        Quantised(np.array(values), np.array(steps, dtype=None if steps else np.int64), bits, dependent)


def test_quantised_keeps_copies_that_nobody_changes() -> None:
    values, steps = np.array([1, -2]), np.array([5])
    tensor = Quantised(values, steps, 2)
    values[0], steps[0] = 0, 6
    assert (tensor.values.tolist(), tensor.steps.tolist()) == ([1, -2], [5])
    assert (tensor.values.dtype, tensor.steps.dtype) == (np.int32, np.uint16)
    with pytest.raises(ValueError, match="read-only"):
        tensor.values[0] = 0


def test_levels_of_the_trellis_stand_for_integers_of_one_more_bit() -> None:
    levels = np.array([-8, 7, -8, 7, -8, -8, 7, 7, 0, 1, -1])
    tensor = Quantised(levels, np.array([1]), 4, dependent=True)
    assert tensor.format == IntFormat(5, True)
    assert set(np.abs(tensor.integers - 2 * levels).tolist()) == {0, 1}
    tensor.format.check(tensor.integers, "integers")
    np.testing.assert_array_equal(Quantised(levels, np.array([1]), 4).integers, levels)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"head.bias": None}, ShapeError, "differ in head.bias"),
        ({"tail": "head.bias"}, ShapeError, "differ in tail"),
        ({"head.bias": "head.weight"}, ShapeError, r"head.bias: wanted \(3,\) and one step"),
        ({"head.weight": "stem.0.weight"}, ShapeError, r"head.weight: wanted \(3, 3, 3, 3\) and 1 or 3 steps"),
    ],
)
def test_video_refuses_other_parameters(change: dict[str, str | None], error: type, message: str) -> None:
    given = dict(tiny_video(HNERV, 1).parameters)
    for name, source in change.items():
        if source is None:
            del given[name]
        else:
            given[name] = given[source]
    with pytest.raises(error, match=message):
        Video(HNERV, given)


def test_video_refuses_other_steps_and_activations() -> None:
    given = dict(tiny_video(HNERV, 1).parameters)
    with pytest.raises(RangeError, match="activations are of one of s8, s10, s12, s14, s16, got u16"):
        Video(HNERV, given, IntFormat(16, False))
    with pytest.raises(RangeError, match="got s9"):
        Video(HNERV, given, IntFormat(9, True))
    given["head.bias"] = Quantised(given["head.bias"].values, np.array([1, 2, 3]), 6)
    with pytest.raises(ShapeError, match=r"head.bias: wanted \(3,\) and one step, got \(3,\) and 3"):
        Video(HNERV, given)


# --- damage


def damaged(content: bytes, rng: random.Random) -> bytes:
    """A byte changed, some bytes repeated, left out or exchanged, or the rest cut off."""
    at, end = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    kind = rng.randrange(5)
    if kind == 0 and at < len(content):
        return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]
    if kind == 1:
        return content[:at] + content[end:]
    if kind == 2:
        return content[:end] + content[at:]
    if kind == 3:
        return content[:at]
    return content[:at] + bytes(rng.randrange(256) for _ in range(rng.randrange(1, 5))) + content[at:]


def repaired(content: bytes) -> bytes:
    """Both checksums made good, as far as the stream still has places for them."""
    size = int.from_bytes(content[6:8], "little")
    head, rest = content[: 8 + size], content[12 + size : -4]
    return head + struct.pack("<I", zlib.crc32(head)) + rest + struct.pack("<I", zlib.crc32(rest))


def refusal(content: bytes) -> int | None:
    """The byte for which a stream is refused; None if it is accepted, and then a frame of it decodes."""
    try:
        video = InrVideo.from_bytes(content)
    except StreamError as error:
        return error.offset
    if load(video.video.architecture.nodes()).multiplications < 1 << 24:
        video.decode(video.frames - 1)
    return None


def test_damaged_streams_are_refused() -> None:
    rng = random.Random(11)
    contents = tiny_streams()
    for k in range(300):
        content = contents[k % len(contents)]
        found = damaged(content, rng)
        offset = refusal(found)
        assert found == content or (offset is not None and 0 <= offset <= len(found))


def test_damaged_streams_with_good_checksums_are_refused_or_decode() -> None:
    rng = random.Random(12)
    contents = tiny_streams()
    offsets = [refusal(repaired(damaged(contents[k % len(contents)], rng))) for k in range(300)]
    assert 0 < offsets.count(None) < 100


def test_damaged_descriptions_with_good_checksums_are_refused_or_decode() -> None:
    """Damage where it does most: among the numbers that sizes follow from."""
    rng = random.Random(13)
    contents = tiny_streams()
    offsets = set()
    for k in range(300):
        content = bytearray(contents[k % len(contents)])
        for _ in range(rng.randrange(1, 4)):
            content[8 + rng.randrange(min(60, int.from_bytes(content[6:8], "little")))] = rng.randrange(256)
        offsets.add(refusal(repaired(bytes(content))))
    assert len(offsets) > 20
