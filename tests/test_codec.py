"""The scale-hyperprior codec: the same picture on every path (SPEC HYP-1 to HYP-5, PIC-1 to PIC-4)."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import naive
import naive_decoder
import numba
import numpy as np
import pytest
from tiny_hyperprior import HYPER, LATENT, random_latents
from tiny_hyperprior import tiny_model as build_tiny_model

from refcodec.codecs.codec import Latents
from refcodec.codecs.picture import crop, geometry_of_shape, padded_planes
from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.codecs.stream import Geometry, pack, parse
from refcodec.entropy.rans import encode as rans_encode
from refcodec.errors import ModelError, RangeError, ShapeError, StreamError
from refcodec.formats import IntFormat
from refcodec.models.shipped import DEFAULT_MODEL, shipped_path
from refcodec.program.model_file import Model, load_model, model_to_bytes, save_model
from refcodec.program.operations import AnyOperation, Requantise, Tensor, TransposedConvolution
from refcodec.program.program import Program

SIZES = [(1, 1), (17, 33), (64, 64), (65, 1)]  # height, width
PRECISIONS = [(8, 8), (4, 4), (16, 16), (4, 12)]

Decoded = tuple[np.ndarray, dict[str, np.ndarray]]


def decode_with_taps(stream: bytes, codec: ScaleHyperprior) -> Decoded:
    """The picture, and every tensor copied when it was reported."""
    taps: dict[str, np.ndarray] = {}
    picture = codec.decode(stream, lambda name, values: taps.__setitem__(name, values.copy()))
    return picture, taps


def assert_same(found: Decoded, wanted: Decoded) -> None:
    np.testing.assert_array_equal(found[0], wanted[0])
    assert found[1].keys() == wanted[1].keys()
    for name, values in wanted[1].items():
        np.testing.assert_array_equal(found[1][name], values, err_msg=name)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Many tiny decodes are quicker without threads that wait for each other."""
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


def random_stream(codec: ScaleHyperprior, size: tuple[int, int], channels: int, seed: int = 3) -> bytes:
    """A stream of random latents."""
    latents = random_latents(codec, *size, np.random.default_rng([seed, *size, channels]))
    return codec.encode(latents, Geometry(size[1], size[0], channels))


# --- the same result on every path


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_decode_equals_the_naive_decoder_at_every_tensor(
    size: tuple[int, int], channels: int, tiny_model: Model, tiny_codec: ScaleHyperprior
) -> None:
    stream = random_stream(tiny_codec, size, channels)
    picture, taps = decode_with_taps(stream, tiny_codec)
    rows, wanted = naive_decoder.decode(stream, model_to_bytes(tiny_model))
    assert picture.shape == (*size, 3)[: 2 + channels // 3]
    assert picture.dtype == np.uint8
    assert_same((picture, taps), (np.array(rows), {name: np.array(values) for name, values in wanted.items()}))


@pytest.mark.parametrize(("weight_bits", "activation_bits"), PRECISIONS)
def test_decode_equals_the_naive_decoder_at_every_precision(weight_bits: int, activation_bits: int) -> None:
    model = build_tiny_model(weight_bits, activation_bits)
    codec = ScaleHyperprior.from_model(model)
    stream = random_stream(codec, (64, 65), 3)
    picture, taps = decode_with_taps(stream, codec)
    rows, wanted = naive_decoder.decode(stream, model_to_bytes(model))
    assert_same((picture, taps), (np.array(rows), {name: np.array(values) for name, values in wanted.items()}))
    assert {0, 255} <= set(picture.ravel().tolist()), "the case must saturate at both ends"
    assert len(np.unique(taps["indexes"])) > 20
    assert (taps["g_s.6"].dtype == np.int64) == (activation_bits == 16), "both paths of the kernel are wanted"


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_decode_gives_the_latents_back(size: tuple[int, int], tiny_codec: ScaleHyperprior) -> None:
    latents, geometry = random_latents(tiny_codec, *size, np.random.default_rng(5)), Geometry(size[1], size[0], 3)
    stream = tiny_codec.encode(latents, geometry)
    _, taps = decode_with_taps(stream, tiny_codec)
    found, same = tiny_codec.decode_latents(stream)
    assert same == geometry
    for y, z in ((taps["y"], taps["z"]), (found.y, found.z)):
        np.testing.assert_array_equal(y, latents.y)
        np.testing.assert_array_equal(z, latents.z)


def test_decode_carries_the_largest_symbols(tiny_model: Model, tiny_codec: ScaleHyperprior) -> None:
    """Both ends of int16 in both latents, as escapes through every table."""
    y, z = np.zeros((LATENT, 4, 4), np.int16), np.zeros((HYPER, 1, 1), np.int16)
    y[:, ::2], y[:, 1::2] = -32768, 32767
    z[::2], z[1::2] = -32768, 32767
    stream = tiny_codec.encode(Latents(y, z), Geometry(64, 64, 3))
    picture, taps = decode_with_taps(stream, tiny_codec)
    np.testing.assert_array_equal(taps["y"], y)
    np.testing.assert_array_equal(taps["z"], z)
    assert {-128, 127} <= set(taps["y_hat"].ravel().tolist())
    np.testing.assert_array_equal(picture, naive_decoder.decode(stream, model_to_bytes(tiny_model))[0])


def test_decode_equals_the_definitions(tiny_codec: ScaleHyperprior) -> None:
    stream = random_stream(tiny_codec, (40, 70), 3)
    picture, taps = decode_with_taps(stream, tiny_codec)
    plain: dict[str, np.ndarray] = {}
    tiny_codec.h_s.run_plain(taps["z"], plain.__setitem__)
    planes = tiny_codec.g_s.run_plain(taps["y"], plain.__setitem__)
    assert_same((picture, taps), (crop(planes, Geometry(70, 40, 3)), plain))


@pytest.mark.parametrize("threads", [1, 2])
def test_decode_does_not_depend_on_the_number_of_threads(threads: int, tiny_codec: ScaleHyperprior) -> None:
    stream = random_stream(tiny_codec, (100, 130), 3)
    wanted = decode_with_taps(stream, tiny_codec)
    before = numba.get_num_threads()
    if threads > numba.config.NUMBA_NUM_THREADS:
        pytest.skip(f"{threads} threads wanted, {numba.config.NUMBA_NUM_THREADS} there")
    try:
        numba.set_num_threads(threads)
        assert_same(decode_with_taps(stream, tiny_codec), wanted)
    finally:
        numba.set_num_threads(before)


UNCOMPILED = """
import hashlib, pathlib, sys
import numba
from refcodec.codecs.family import codec_of
from refcodec.program.model_file import load_model
assert numba.config.DISABLE_JIT
codec, digest, taps = codec_of(load_model(sys.argv[1])), hashlib.sha256(), {}
content = pathlib.Path(sys.argv[2]).read_bytes()
picture = codec.decode(content, taps.__setitem__)
assert codec.encode(*codec.decode_latents(content)) == content
for values in (picture, *(taps[name] for name in sorted(taps))):
    digest.update(values.astype("<i8").tobytes())
print(digest.hexdigest())
"""


def digest_of(picture: np.ndarray, taps: dict[str, np.ndarray]) -> str:
    """What UNCOMPILED prints."""
    digest = hashlib.sha256()
    for values in (picture, *(taps[name] for name in sorted(taps))):
        digest.update(values.astype("<i8").tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize(("weight_bits", "activation_bits"), [(8, 8), (16, 16)])
def test_decode_does_not_depend_on_the_compiler(
    weight_bits: int, activation_bits: int, tmp_path: Path, run_uncompiled: Callable[..., str]
) -> None:
    """NumPy's scalars warn where they wrap, and warnings are errors there."""
    model = build_tiny_model(weight_bits, activation_bits)
    codec = ScaleHyperprior.from_model(model)
    stream = random_stream(codec, (17, 33), 3)
    save_model(tmp_path / "tiny.rcm", model)
    (tmp_path / "tiny.rcb").write_bytes(stream)
    printed = run_uncompiled(UNCOMPILED, str(tmp_path / "tiny.rcm"), str(tmp_path / "tiny.rcb")).strip()
    assert printed == digest_of(*decode_with_taps(stream, codec))


def test_shipped_model_decodes_like_the_naive_decoder(rng: np.random.Generator) -> None:
    """The real layers, one block: about eleven million multiplications in plain Python."""
    path = shipped_path(DEFAULT_MODEL, ".rcm")
    codec = ScaleHyperprior.from_model(load_model(path))
    z = rng.integers(-6, 7, (codec.h_s.input.channels, 1, 1))
    y = np.rint(rng.standard_t(3, (codec.g_s.input.channels, 4, 4)) * 3).astype(int)
    stream = codec.encode(Latents(y, z), Geometry(1, 1, 3))
    picture, taps = decode_with_taps(stream, codec)
    rows, wanted = naive_decoder.decode(stream, path.read_bytes())
    assert_same((picture, taps), (np.array(rows), {name: np.array(values) for name, values in wanted.items()}))


STREAMS = Path(__file__).parents[1] / "vectors" / "streams" / "scale_hyperprior"


@pytest.mark.parametrize("name", ["64x64", "33x17", "grey-20x70", "1x1", "extreme-symbols"])
def test_committed_stream_decodes_like_the_naive_decoder(name: str) -> None:
    """Blocks of a photograph in the shipped model."""
    path = shipped_path(DEFAULT_MODEL, ".rcm")
    stream = (STREAMS / name / "in.stream.le").read_bytes()
    rows, wanted = naive_decoder.decode(stream, path.read_bytes())
    found = decode_with_taps(stream, ScaleHyperprior.from_model(load_model(path)))
    assert_same(found, (np.array(rows), {tensor: np.array(values) for tensor, values in wanted.items()}))


def test_block_of_a_photograph_does_not_depend_on_the_compiler(run_uncompiled: Callable[..., str]) -> None:
    path, stream = shipped_path(DEFAULT_MODEL, ".rcm"), STREAMS / "64x64" / "in.stream.le"
    picture, taps = decode_with_taps(stream.read_bytes(), ScaleHyperprior.from_model(load_model(path)))
    assert run_uncompiled(UNCOMPILED, str(path), str(stream)).strip() == digest_of(picture, taps)


# --- the stream that is made


def test_encode_makes_the_sections_of_the_specification(tiny_model: Model, tiny_codec: ScaleHyperprior) -> None:
    latents = random_latents(tiny_codec, 70, 130, np.random.default_rng(8))
    y, z = latents.y, latents.z
    assert z is not None
    stream = parse(tiny_codec.encode(latents, Geometry(130, 70, 1)))
    assert stream.identity == tiny_model.identity
    assert stream.geometry == Geometry(130, 70, 1)
    channel = np.broadcast_to(np.arange(HYPER)[:, None, None], z.shape)
    assert list(stream.payloads) == ["ZSYM", "YSYM"]
    assert stream.payloads["ZSYM"] == rans_encode(z, channel, tiny_codec.z_tables)
    assert stream.payloads["YSYM"] == rans_encode(y, tiny_codec.h_s.run_plain(z), tiny_codec.y_tables)


def test_encode_takes_any_integer_dtype_and_changes_nothing(tiny_codec: ScaleHyperprior) -> None:
    latents = random_latents(tiny_codec, 64, 64, np.random.default_rng(9))
    y, z = latents.y, latents.z
    assert z is not None
    wanted = tiny_codec.encode(latents, Geometry(64, 64, 3))
    wide_y, wide_z = y.astype(np.int64), np.asfortranarray(z.astype(np.int32))
    assert tiny_codec.encode(Latents(wide_y, wide_z), Geometry(64, 64, 3)) == wanted
    np.testing.assert_array_equal(wide_y, y)
    np.testing.assert_array_equal(wide_z, z)


@pytest.mark.parametrize(
    ("y_shape", "z_shape"),
    [
        ((LATENT, 4, 4), (HYPER, 2, 1)),
        ((LATENT, 4, 8), (HYPER, 1, 1)),
        ((LATENT, 8, 4), (HYPER, 1, 1)),
        ((LATENT + 1, 4, 4), (HYPER, 1, 1)),
        ((LATENT, 4, 4), (HYPER - 1, 1, 1)),
        ((LATENT, 4, 4), (1, HYPER, 1, 1)),
        ((LATENT * 16,), (HYPER, 1, 1)),
    ],
)
def test_encode_refuses_latents_of_another_shape(
    y_shape: tuple[int, ...], z_shape: tuple[int, ...], tiny_codec: ScaleHyperprior
) -> None:
    with pytest.raises(ShapeError, match=r"^RC-SHAPE: latents .* do not belong to 64x60$"):
        tiny_codec.encode(Latents(np.zeros(y_shape, np.int16), np.zeros(z_shape, np.int16)), Geometry(64, 60, 3))


def test_encode_refuses_latents_without_a_hyper_latent(tiny_codec: ScaleHyperprior) -> None:
    with pytest.raises(ShapeError, match=r"^RC-SHAPE: latents \(6, 4, 4\) and none do not belong to 64x60$"):
        tiny_codec.encode(Latents(np.zeros((LATENT, 4, 4), np.int16), None), Geometry(64, 60, 3))


@pytest.mark.parametrize("value", [-32769, 32768])
def test_encode_refuses_symbols_outside_16_bits(value: int, tiny_codec: ScaleHyperprior) -> None:
    y, z = np.zeros((LATENT, 4, 4), np.int32), np.zeros((HYPER, 1, 1), np.int32)
    for latent in (y, z):
        latent.flat[-1] = value
        with pytest.raises(RangeError, match="RC-RANGE"):
            tiny_codec.encode(Latents(y, z), Geometry(1, 1, 3))
        latent.flat[-1] = 0


def test_encode_refuses_floats(tiny_codec: ScaleHyperprior) -> None:
    for y_type, z_type in ((np.float32, np.int16), (np.int16, np.float32)):
        latents = Latents(np.zeros((LATENT, 4, 4), y_type), np.zeros((HYPER, 1, 1), z_type))
        with pytest.raises(RangeError, match="integers, got float32"):
            tiny_codec.encode(latents, Geometry(1, 1, 3))


# --- pictures


@pytest.mark.parametrize(
    ("height", "width", "blocks"), [(1, 1, (1, 1)), (64, 64, (1, 1)), (65, 64, (2, 1)), (64, 129, (1, 3))]
)
def test_latent_sizes_round_up_to_whole_blocks(
    height: int, width: int, blocks: tuple[int, int], tiny_codec: ScaleHyperprior
) -> None:
    z, y = tiny_codec.latent_sizes(Geometry(width, height, 3))
    assert z == blocks
    assert y == (4 * blocks[0], 4 * blocks[1])


def test_crop_keeps_the_top_left_and_the_order_of_the_colours() -> None:
    planes = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5)
    found = crop(planes, Geometry(3, 2, 3))
    assert found.tolist() == [[[planes[c, y, x] for c in range(3)] for x in range(3)] for y in range(2)]
    assert found.flags.c_contiguous


def test_crop_turns_colour_into_grey(rng: np.random.Generator) -> None:
    planes = rng.integers(0, 256, (3, 40, 40)).astype(np.int16)
    planes[:, 0, 0], planes[:, 0, 1] = 255, 0
    found = crop(planes, Geometry(40, 39, 1))
    assert found.dtype == np.uint8
    assert found.tolist() == [[naive.grey(*planes[:, y, x].tolist()) for x in range(40)] for y in range(39)]


def test_padded_planes_repeat_the_last_row_and_column() -> None:
    picture = np.arange(3 * 5 * 3, dtype=np.uint8).reshape(3, 5, 3)
    planes = padded_planes(picture, 4)
    assert planes.shape == (3, 4, 8)
    for c in range(3):
        assert planes[c].tolist() == [[picture[min(y, 2), min(x, 4), c] for x in range(8)] for y in range(4)]
    np.testing.assert_array_equal(padded_planes(picture[:, :, 0], 4), np.stack([planes[0]] * 3))


def test_geometry_of_shape_knows_grey_and_colour() -> None:
    assert geometry_of_shape((5, 7)) == Geometry(7, 5, 1)
    assert geometry_of_shape((5, 7, 3)) == Geometry(7, 5, 3)
    for shape in ((5,), (5, 7, 1), (5, 7, 4), (1, 5, 7, 3), (0, 7), (5, 65536)):
        with pytest.raises(RangeError, match="RC-RANGE: a picture"):
            geometry_of_shape(shape)


# --- streams that are refused


def test_decode_refuses_the_stream_of_another_model(tiny_codec: ScaleHyperprior) -> None:
    other = ScaleHyperprior.from_model(build_tiny_model(seed=1))
    with pytest.raises(
        StreamError, match=r"^RC-STREAM-MODEL: the stream was made for model [0-9a-f]{16}, this is"
    ) as caught:
        tiny_codec.decode(random_stream(other, (1, 1), 3))
    assert (caught.value.code, caught.value.offset) == ("RC-STREAM-MODEL", 16)


def test_decode_refuses_every_flipped_bit(tiny_codec: ScaleHyperprior) -> None:
    stream = random_stream(tiny_codec, (1, 1), 3)
    for bit in range(8 * len(stream)):
        damaged = bytearray(stream)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StreamError):
            tiny_codec.decode(bytes(damaged))


def test_decode_reports_no_tensor_of_a_damaged_stream(tiny_codec: ScaleHyperprior) -> None:
    """SPEC STREAM-3: everything is checked before anything is decoded."""
    stream = bytearray(random_stream(tiny_codec, (1, 1), 3))
    stream[-1] ^= 128
    with pytest.raises(StreamError, match="RC-STREAM-CRC: the checksum of section YSYM"):
        tiny_codec.decode(bytes(stream), lambda name, _: pytest.fail(f"{name} was decoded"))


@pytest.mark.parametrize("section", ["ZSYM", "YSYM"])
@pytest.mark.usefixtures("one_thread")
def test_decode_accepts_a_payload_only_if_encode_makes_it(section: str, tiny_codec: ScaleHyperprior) -> None:
    """Flipped bits behind a checksum made good: refused, or the very stream of other symbols."""
    stream = parse(random_stream(tiny_codec, (1, 1), 3))
    codes = []
    for bit in range(0, 8 * len(stream.payloads[section]), 3):
        damaged = bytearray(stream.payloads[section])
        damaged[bit // 8] ^= 1 << bit % 8
        content = pack(stream.geometry, stream.identity, {**stream.payloads, section: bytes(damaged)})
        try:
            latents, geometry = tiny_codec.decode_latents(content)
        except StreamError as error:
            codes.append(error.code)
        else:
            assert tiny_codec.encode(latents, geometry) == content
    assert set(codes) <= {"RC-STREAM-RANS", "RC-STREAM-SYMBOL", "RC-STREAM-TRUNCATED", "RC-STREAM-TRAILING"}
    assert len(codes) > len(stream.payloads[section])


@pytest.mark.parametrize(
    ("section", "change", "code"),
    [
        ("ZSYM", lambda p: b"", "RC-STREAM-TRUNCATED"),
        ("ZSYM", lambda p: p[:4], "RC-STREAM-TRUNCATED"),
        ("YSYM", lambda p: p[:-4], "RC-STREAM-TRUNCATED"),
        ("YSYM", lambda p: p[:-1], "RC-STREAM-TRUNCATED"),
        ("YSYM", lambda p: p + bytes(4), "RC-STREAM-TRAILING"),
        ("ZSYM", lambda p: p + bytes(4), "RC-STREAM-TRAILING"),
        ("ZSYM", lambda p: bytes(8), "RC-STREAM-RANS"),
    ],
)
def test_decode_refuses_payloads_that_do_not_end_as_they_should(
    section: str, change: Callable[[bytes], bytes], code: str, tiny_codec: ScaleHyperprior
) -> None:
    stream = parse(random_stream(tiny_codec, (1, 1), 3))
    payloads = {**stream.payloads, section: change(stream.payloads[section])}
    with pytest.raises(StreamError) as caught:
        tiny_codec.decode(pack(stream.geometry, stream.identity, payloads))
    assert caught.value.code == code


@pytest.mark.parametrize("geometry", [Geometry(640, 640, 3), Geometry(65, 1, 3), Geometry(1, 65, 1)])
def test_decode_refuses_a_larger_size_than_was_coded(geometry: Geometry, tiny_codec: ScaleHyperprior) -> None:
    stream = parse(random_stream(tiny_codec, (1, 1), 3))
    with pytest.raises(StreamError, match="RC-STREAM-"):
        tiny_codec.decode(pack(geometry, stream.identity, stream.payloads))


# --- models that are no scale hyperprior


def with_program(model: Model, name: str, tensors: Sequence[Tensor], operations: Sequence[AnyOperation]) -> Model:
    """The model with one program replaced."""
    program = Program(name, tuple(tensors), tuple(operations))
    return dataclasses.replace(model, programs={**model.programs, name: program})


def codec_refused(model: Model, code: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        ScaleHyperprior.from_model(model)
    assert caught.value.code == code


def test_codec_refuses_another_family(tiny_model: Model) -> None:
    codec_refused(
        dataclasses.replace(tiny_model, family="inr"), "RC-MODEL-FAMILY", "family 'inr' is not 'scale-hyperprior'"
    )


def test_codec_refuses_other_programs(tiny_model: Model) -> None:
    h_s, g_s = tiny_model.programs["h_s"], tiny_model.programs["g_s"]
    for programs in ({}, {"h_s": h_s}, {"h_s": h_s, "g_s": g_s, "more": g_s}, {"h_s": h_s, "g_a": g_s}):
        codec_refused(
            dataclasses.replace(tiny_model, programs=programs), "RC-MODEL-SCHEMA", "expected the programs g_s and h_s"
        )


def test_codec_refuses_exchanged_programs(tiny_model: Model) -> None:
    exchanged = {"h_s": tiny_model.programs["g_s"], "g_s": tiny_model.programs["h_s"]}
    codec_refused(
        dataclasses.replace(tiny_model, programs=exchanged), "RC-MODEL-SCHEMA", "h_s must end in scale indexes"
    )


def test_codec_refuses_other_inputs_and_outputs(tiny_model: Model) -> None:
    g_s = tiny_model.programs["g_s"]
    output = with_program(
        tiny_model, "g_s", [*g_s.tensors[:-1], Tensor("x_hat", 3, IntFormat(7, False))], g_s.operations
    )
    codec_refused(output, "RC-MODEL-SCHEMA", "g_s must end in three u8 channels")
    source = with_program(
        tiny_model, "g_s", [Tensor("y", LATENT, IntFormat(15, True)), *g_s.tensors[1:]], g_s.operations
    )
    codec_refused(source, "RC-MODEL-SCHEMA", "h_s and g_s must read s16 symbols")


def test_codec_refuses_indexes_for_other_channels(tiny_model: Model) -> None:
    g_s = tiny_model.programs["g_s"]
    first, layer = g_s.operations[:2]
    assert isinstance(first, Requantise)
    assert isinstance(layer, TransposedConvolution)
    operations = (
        dataclasses.replace(first, multiplier=first.multiplier[:1], shift=first.shift[:1]),
        dataclasses.replace(layer, weight=layer.weight[:, :1]),
        *g_s.operations[2:],
    )
    tensors = (*(dataclasses.replace(tensor, channels=1) for tensor in g_s.tensors[:2]), *g_s.tensors[2:])
    changed = with_program(tiny_model, "g_s", tensors, operations)
    codec_refused(changed, "RC-MODEL-SCHEMA", "h_s must end in scale indexes for 1 channels")


def test_codec_refuses_other_numbers_of_tables(tiny_model: Model) -> None:
    exchanged = {f"{'zy'[name[0] == 'z']}{name[1:]}": table for name, table in tiny_model.tables.items()}
    codec_refused(
        dataclasses.replace(tiny_model, tables=exchanged), "RC-MODEL-TABLE", "expected 4 z tables and 64 y tables"
    )


def rescaled(model: Model, layers: dict[str, dict[str, int]]) -> Model:
    """The model with the geometry of some layers of g_s changed, their accumulators widened to 32 bits."""
    g_s = model.programs["g_s"]
    operations = [dataclasses.replace(op, **layers.get(op.name, {})) for op in g_s.operations]
    tensors = [dataclasses.replace(t, format=IntFormat(32, True)) if t.name in layers else t for t in g_s.tensors]
    return with_program(model, "g_s", tensors, operations)


def test_codec_refuses_a_synthesis_of_another_scale(tiny_model: Model) -> None:
    half = rescaled(tiny_model, {"g_s.6": {"stride": 1, "output_padding": 0}})
    codec_refused(half, "RC-MODEL-SCHEMA", "h_s must enlarge four times and g_s sixteen times")
    fewer = rescaled(tiny_model, {"g_s.0": {"output_padding": 0}})
    codec_refused(fewer, "RC-MODEL-SCHEMA", "g_s must enlarge 14 times: 8 x 8 became 120 x 120")


def test_codec_refuses_a_scale_that_is_right_for_one_block_only(tiny_model: Model) -> None:
    """4 -> 12 -> 28 -> 60 -> 64 rows, but 8 -> 20 -> 44 -> 92 -> 96."""
    layers = {f"g_s.{k}": {"padding": 0} for k in (0, 2, 4)} | {
        "g_s.6": {"stride": 1, "padding": 0, "output_padding": 0}
    }
    changed = rescaled(tiny_model, layers)
    assert changed.programs["g_s"].sizes(4, 4)["x_hat"] == (64, 64)
    assert changed.programs["g_s"].sizes(8, 8)["x_hat"] == (96, 96)
    codec_refused(changed, "RC-MODEL-SCHEMA", "g_s must enlarge 16 times: 8 x 8 became 96 x 96")
