"""What holds for every codec family: one result on every path, and refusals (SPEC FAM-1, STREAM-4, STREAM-5)."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import naive_decoder
import numba
import numpy as np
import pytest

from refcodec.codecs.checkerboard import Checkerboard
from refcodec.codecs.codec import Codec, Latents
from refcodec.codecs.family import FAMILIES, codec_of
from refcodec.codecs.stream import Geometry, pack, parse
from refcodec.errors import ModelError, RangeError, ShapeError, StreamError
from refcodec.formats import IntFormat
from refcodec.layers.latent_mean import latent_format
from refcodec.program.model_file import Model, load_model, model_to_bytes, save_model
from refcodec.program.operations import AnyOperation, Concatenate, Requantise, ScaleIndex, Tensor
from refcodec.program.program import Program
from refcodec.vectorgen.family_streams import broken_streams, extreme_latents, small_streams
from refcodec.vectorgen.tiny_models import (
    HYPER,
    LATENT,
    TINY_MODELS,
    drawn_latents,
    synthesis,
    tiny_autoregressive,
    tiny_checkerboard,
    tiny_entropy_parameters,
    tiny_mean_scale,
)

WIDTHS = [(8, 8), (4, 4), (16, 16), (4, 12)]
PICTURES = [Geometry(1, 1, 3), Geometry(33, 17, 3), Geometry(64, 64, 3), Geometry(70, 20, 1)]
LATENT_SIZES = [Geometry(1, 1, 1), Geometry(7, 3, 1), Geometry(8, 8, 1), Geometry(9, 17, 1)]
WITH_MEANS = ["mean-scale-hyperprior", "entropy-parameters", "checkerboard", "autoregressive"]
WITH_CONTEXT = ["checkerboard", "autoregressive"]
Decoded = tuple[np.ndarray, dict[str, np.ndarray]]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Many tiny decodes are quicker without threads that wait for each other."""
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


def geometries(family: str) -> list[Geometry]:
    return LATENT_SIZES if family == "entropy-parameters" else PICTURES


EVERY = [(family, geometry) for family in TINY_MODELS for geometry in geometries(family)]


def tiny(family: str, widths: tuple[int, int] = (8, 8), seed: int = 40) -> tuple[Model, Codec]:
    """A model and its codec."""
    model = TINY_MODELS[family](widths, seed)
    return model, codec_of(model)


def drawn(codec: Codec, geometry: Geometry, seed: int = 77) -> Latents:
    return drawn_latents(codec, geometry, (HYPER, LATENT), seed)


def decoded(codec: Codec, stream: bytes) -> Decoded:
    """The result, and every tensor copied when it was reported."""
    taps: dict[str, np.ndarray] = {}

    def tap(name: str, values: np.ndarray) -> None:
        assert name not in taps or np.array_equal(taps[name], values)
        taps[name] = values.copy()

    return codec.decode(stream, tap), taps


def assert_naive(model: Model, codec: Codec, stream: bytes) -> Decoded:
    """Compare result and every tensor with the decoder that imports nothing of ours."""
    result, taps = decoded(codec, stream)
    wanted, wanted_taps = naive_decoder.decode(stream, model_to_bytes(model))
    np.testing.assert_array_equal(result, np.array(wanted))
    assert taps.keys() == wanted_taps.keys()
    for name, values in wanted_taps.items():
        np.testing.assert_array_equal(taps[name], np.array(values), err_msg=name)
        codec.formats()[name].check(taps[name], name)
    return result, taps


# --- the same result on every path


@pytest.mark.parametrize(("family", "geometry"), EVERY, ids=str)
def test_decode_equals_the_naive_decoder_at_every_tensor(family: str, geometry: Geometry) -> None:
    model, codec = tiny(family)
    result, taps = assert_naive(model, codec, codec.encode(drawn(codec, geometry), geometry))
    if family == "entropy-parameters":
        assert result.shape == (LATENT, geometry.height, geometry.width)
        assert result.dtype == np.int32
        np.testing.assert_array_equal(result, taps["y_hat"])
    else:
        assert result.shape == (geometry.height, geometry.width, 3)[: 2 + geometry.channels // 3]
        assert result.dtype == np.uint8


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
@pytest.mark.parametrize("family", TINY_MODELS)
def test_decode_equals_the_naive_decoder_at_every_precision(family: str, widths: tuple[int, int]) -> None:
    model, codec = tiny(family, widths, 900)
    geometry = Geometry(10, 9, 1) if family == "entropy-parameters" else Geometry(65, 40, 3)
    result, taps = assert_naive(model, codec, codec.encode(drawn(codec, geometry), geometry))
    assert len(np.unique(result)) > 20
    if "indexes" in taps:
        assert len(np.unique(taps["indexes"])) > 8


@pytest.mark.parametrize("fraction", [0, 3, 16])
@pytest.mark.parametrize(
    "make", [tiny_mean_scale, tiny_entropy_parameters, tiny_checkerboard, tiny_autoregressive], ids=lambda f: f.__name__
)
def test_decode_equals_the_naive_decoder_at_every_fraction(make: Callable[..., Model], fraction: int) -> None:
    model = make((8, 8), 70, fraction=fraction)
    codec = codec_of(model)
    assert codec.fraction == fraction
    geometry = Geometry(10, 9, 1)
    latents = drawn(codec, geometry)
    _, taps = assert_naive(model, codec, codec.encode(latents, geometry))
    assert (taps["y_hat"].dtype == np.int64) == (fraction == 16), "s33 is wanted too"
    assert np.abs(codec.decode_latents(codec.encode(latents, geometry))[0].y - latents.y).max() <= 1 << fraction >> 1


@pytest.mark.parametrize("family", TINY_MODELS)
def test_decode_carries_the_largest_symbols(family: str) -> None:
    """Both ends of int16, and with means what lies beyond them, which saturates (SPEC MSH-4)."""
    model, codec = tiny(family)
    geometry = Geometry(9, 8, 1) if family == "entropy-parameters" else Geometry(65, 64, 3)
    latents = extreme_latents(codec, geometry)
    _, taps = assert_naive(model, codec, codec.encode(latents, geometry))
    assert {-32768, 32767} <= set(taps["y"].ravel().tolist())
    if family not in WITH_MEANS:
        np.testing.assert_array_equal(taps["y"], latents.y)
        return
    exact = (latents.y - taps["means"][:, : latents.y.shape[1], : latents.y.shape[2]]) / 2**codec.fraction
    np.testing.assert_array_equal(taps["y"], np.clip(np.floor(exact + 0.5), -32768, 32767))
    assert (np.abs(exact) > 40000).any()


@pytest.mark.parametrize("family", TINY_MODELS)
def test_programs_equal_their_definitions(family: str) -> None:
    _, codec = tiny(family)
    geometry = geometries(family)[1]
    _, taps = decoded(codec, codec.encode(drawn(codec, geometry), geometry))
    prefixes = {"context": "others.", "entropy_parameters": "others."}
    for program in codec.programs:
        prefix = prefixes.get(program.name, "")
        if prefix and family == "autoregressive":
            continue  # judged in test_position.py
        plain: dict[str, np.ndarray] = {}
        inputs = {tensor.name: taps[prefix + tensor.name] for tensor in program.inputs}
        program.run_all_plain(inputs, plain.__setitem__)
        for name, values in plain.items():
            np.testing.assert_array_equal(taps[prefix + name], values, err_msg=prefix + name)


UNCOMPILED = """
import hashlib, pathlib, sys
import numba
from refcodec.codecs.family import codec_of
from refcodec.program.model_file import load_model
assert numba.config.DISABLE_JIT
for path in sys.argv[1:]:
    codec, digest, taps = codec_of(load_model(path)), hashlib.sha256(), {}
    content = pathlib.Path(path).with_suffix(".rcb").read_bytes()
    result = codec.decode(content, taps.__setitem__)
    assert codec.encode(*codec.decode_latents(content)) == content
    for values in (result, *(taps[name] for name in sorted(taps))):
        digest.update(values.astype("<i8").tobytes())
    print(digest.hexdigest())
"""


@pytest.mark.parametrize("widths", [(8, 8), (16, 16)], ids=str)
def test_decode_does_not_depend_on_the_compiler(
    widths: tuple[int, int], tmp_path: Path, run_uncompiled: Callable[..., str]
) -> None:
    """NumPy's scalars warn where they wrap, and warnings are errors there."""
    wanted, paths = [], []
    for family in TINY_MODELS:
        model, codec = tiny(family, widths)
        stream = codec.encode(drawn(codec, geometries(family)[1]), geometries(family)[1])
        paths.append(tmp_path / f"{family}.rcm")
        save_model(paths[-1], model)
        paths[-1].with_suffix(".rcb").write_bytes(stream)
        result, taps = decoded(codec, stream)
        digest = hashlib.sha256()
        for values in (result, *(taps[name] for name in sorted(taps))):
            digest.update(values.astype("<i8").tobytes())
        wanted.append(digest.hexdigest())
    assert run_uncompiled(UNCOMPILED, *map(str, paths)).split() == wanted


# --- the stream that is made


@pytest.mark.parametrize("family", TINY_MODELS)
def test_encode_of_what_was_decoded_gives_the_same_stream(family: str) -> None:
    """SPEC HYP-3, CKBD-6 and AR-4: both sides find the same indexes and means."""
    _, codec = tiny(family)
    for geometry in geometries(family):
        stream = codec.encode(drawn(codec, geometry), geometry)
        latents, same = codec.decode_latents(stream)
        assert same == geometry
        assert codec.encode(latents, same) == stream


@pytest.mark.parametrize("family", WITH_MEANS)
def test_decode_brings_the_latent_back_to_half_a_symbol(family: str) -> None:
    _, codec = tiny(family)
    geometry = geometries(family)[2]
    latents = drawn(codec, geometry)
    found, _ = codec.decode_latents(codec.encode(latents, geometry))
    assert found.z is not None
    np.testing.assert_array_equal(found.z, latents.z)
    difference = latents.y - found.y
    assert -(1 << codec.fraction) // 2 <= difference.min() <= difference.max() <= (1 << codec.fraction) // 2
    assert len(np.unique(difference)) > 30, "the case must round"


@pytest.mark.parametrize("family", TINY_MODELS)
def test_encode_refuses_latents_of_another_shape(family: str) -> None:
    _, codec = tiny(family)
    geometry = Geometry(20, 10, 1)
    good = drawn(codec, geometry)
    wrong = [
        Latents(good.y[:, :-1], good.z),
        Latents(good.y[:-1], good.z),
        Latents(good.y[0], good.z),
        Latents(good.y, good.y if good.z is None else None),
    ]
    if good.z is not None:
        wrong += [Latents(good.y, good.z[:-1]), Latents(good.y, np.concatenate([good.z, good.z], 1))]
    for latents in wrong:
        with pytest.raises(ShapeError, match=r"^RC-SHAPE: latents .* do not belong to 20x10$"):
            codec.encode(latents, geometry)


@pytest.mark.parametrize("family", TINY_MODELS)
def test_encode_refuses_floats_and_numbers_that_are_too_wide(family: str) -> None:
    _, codec = tiny(family)
    geometry = Geometry(8, 8, 1)
    good = drawn(codec, geometry)
    limit = 1 << (47 if codec.fraction else 15)
    for value in (limit, -limit - 1):
        y = good.y.copy()
        y.flat[-1] = value
        with pytest.raises(RangeError, match=r"^RC-RANGE: "):
            codec.encode(Latents(y, good.z), geometry)
    with pytest.raises(RangeError, match="integers, got float"):
        codec.encode(Latents(good.y.astype(np.float64), good.z), geometry)
    if good.z is not None:
        for bad in (good.z.astype(np.float32), np.where(good.z, 32768, 32768)):
            with pytest.raises(RangeError, match=r"^RC-RANGE: "):
                codec.encode(Latents(good.y, bad), geometry)


# --- streams that are refused


@pytest.mark.parametrize("family", TINY_MODELS)
def test_broken_streams_raise_their_codes(family: str) -> None:
    _, codec = tiny(family)
    streams = small_streams(codec)
    for _, content in streams.values():
        codec.decode(content)
        for kind, (_, code, damaged) in broken_streams(codec, content).items():
            with pytest.raises(StreamError, match=rf"^{code}: .*\(byte [0-9]+\)$") as caught:
                codec.decode(damaged, lambda *_: None)
            assert 0 <= caught.value.offset <= len(damaged), kind


@pytest.mark.parametrize("family", TINY_MODELS)
def test_decode_refuses_every_flipped_bit(family: str) -> None:
    _, codec = tiny(family)
    stream = codec.encode(drawn(codec, Geometry(1, 1, 1)), Geometry(1, 1, 1))
    for bit in range(0, 8 * len(stream), 5):
        damaged = bytearray(stream)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StreamError):
            codec.decode(bytes(damaged))


@pytest.mark.parametrize("family", TINY_MODELS)
def test_decode_accepts_a_payload_only_if_encode_makes_it(family: str) -> None:
    """Flipped bits behind a checksum made good: refused, or the very stream of other symbols."""
    _, codec = tiny(family)
    geometry = Geometry(2, 2, 1) if family == "entropy-parameters" else Geometry(1, 1, 1)
    stream = parse(codec.encode(drawn(codec, geometry), geometry))
    codes = set()
    for tag in set(stream.payloads) - {"CTXF"}:
        for bit in range(0, 8 * len(stream.payloads[tag]), 7):
            damaged = bytearray(stream.payloads[tag])
            damaged[bit // 8] ^= 1 << bit % 8
            content = pack(stream.geometry, stream.identity, {**stream.payloads, tag: bytes(damaged)})
            try:
                latents, same = codec.decode_latents(content)
            except StreamError as error:
                codes.add(error.code)
            else:
                assert codec.encode(latents, same) == content
    assert "RC-STREAM-RANS" in codes
    assert codes <= {"RC-STREAM-RANS", "RC-STREAM-SYMBOL", "RC-STREAM-TRUNCATED", "RC-STREAM-TRAILING"}


@pytest.mark.parametrize("family", TINY_MODELS)
def test_decode_refuses_a_larger_size_than_was_coded(family: str) -> None:
    """Before it allots what a picture of that size needs: the largest one has 2**25 samples."""
    _, codec = tiny(family)
    stream = parse(codec.encode(drawn(codec, Geometry(1, 1, 1)), Geometry(1, 1, 1)))
    largest = Geometry(512, 256, 1) if family == "entropy-parameters" else Geometry(5792, 5792, 1)
    for geometry in (largest, Geometry(129, 1, 1), Geometry(1, 129, 1)):
        with pytest.raises(StreamError, match="RC-STREAM-"):
            codec.decode(pack(geometry, stream.identity, stream.payloads))


# --- models of a family and of none


def test_codec_of_knows_every_family() -> None:
    assert set(FAMILIES) == {*TINY_MODELS, "scale-hyperprior"}
    for family in TINY_MODELS:
        model, codec = tiny(family)
        assert type(codec).__name__.lower() == family.replace("-", "")
        assert (codec.family, codec.identity) == (family, model.identity)


def test_codec_of_refuses_an_unknown_family(tiny_model: Model) -> None:
    with pytest.raises(ModelError, match="family 'inr' is none of factorised, scale-hyperprior, mean-scale") as caught:
        codec_of(dataclasses.replace(tiny_model, family="inr"))
    assert caught.value.code == "RC-MODEL-FAMILY"


def test_models_survive_their_files(tmp_path: Path) -> None:
    for family in TINY_MODELS:
        model, codec = tiny(family)
        save_model(tmp_path / "tiny.rcm", model)
        assert codec_of(load_model(tmp_path / "tiny.rcm")).identity == codec.identity


def refused(model: Model, code: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        codec_of(model)
    assert caught.value.code == code, str(caught.value)


@pytest.mark.parametrize("family", TINY_MODELS)
def test_codec_refuses_other_programs_and_tables(family: str) -> None:
    model, _ = tiny(family)
    first = next(iter(model.programs))
    for programs in ({}, {**model.programs, "more": model.programs[first]}, {"g_a": model.programs[first]}):
        changed = dataclasses.replace(model, programs=programs)
        refused(
            changed, "RC-MODEL-SCHEMA", rf"expected the programs? .*found \[.*{'more' if first in programs else ''}"
        )
    tables = dict(model.tables)
    refused(dataclasses.replace(model, tables={**tables, "x/values": tables["y/values"]}), "RC-MODEL-TENSOR", "surplus")
    del tables["y/starts"]
    refused(dataclasses.replace(model, tables=tables), "RC-MODEL-TENSOR", "missing table y/starts")
    if family != "factorised":
        same = {**tables, "y/starts": model.tables["y/starts"]}
        same |= {f"z/{name[2:]}": table for name, table in same.items() if name[0] == "y"}
        changed = dataclasses.replace(model, tables=same)
        refused(changed, "RC-MODEL-TABLE", "expected 3 z tables and 64 y tables")
        exchanged = {f"{'zy'[name[0] == 'z']}{name[1:]}": table for name, table in model.tables.items()}
        changed = dataclasses.replace(model, tables=exchanged)
        refused(changed, "RC-MODEL-TABLE", "expected 3 z tables and 64 y tables")


def with_settings(model: Model, **settings: int) -> Model:
    return dataclasses.replace(model, settings={**model.settings, **settings})


@pytest.mark.parametrize("family", WITH_MEANS)
def test_codec_refuses_a_model_without_a_fraction(family: str) -> None:
    model, _ = tiny(family)
    settings = {name: value for name, value in model.settings.items() if name != "mean_fraction"}
    message = r"the setting mean_fraction must be 0\.\.16, found "
    refused(dataclasses.replace(model, settings=settings), "RC-MODEL-SCHEMA", message + "None")
    for value in (-1, 17):
        refused(with_settings(model, mean_fraction=value), "RC-MODEL-SCHEMA", message + str(value))


def renamed(model: Model, program: str, names: dict[str, str]) -> Model:
    """The model with tensors of one program under other names."""
    old = model.programs[program]

    def operation(op: AnyOperation) -> AnyOperation:
        changes: dict[str, object] = {"target": names.get(op.target, op.target)}
        if hasattr(op, "sources"):
            changes["sources"] = tuple(names.get(name, name) for name in op.sources)
        else:
            changes["source"] = names.get(op.source, op.source)
        return dataclasses.replace(op, **changes)  # type: ignore[arg-type]

    tensors = tuple(dataclasses.replace(tensor, name=names.get(tensor.name, tensor.name)) for tensor in old.tensors)
    return with_program(model, Program(program, tensors, tuple(map(operation, old.operations))))


def with_program(model: Model, program: Program) -> Model:
    return dataclasses.replace(model, programs={**model.programs, program.name: program})


def with_tensor(model: Model, program: str, tensor: Tensor) -> Model:
    """The model with one tensor of a program declared otherwise."""
    old = model.programs[program]
    tensors = tuple(tensor if tensor.name == one.name else one for one in old.tensors)
    return with_program(model, Program(program, tensors, old.operations))


@pytest.mark.parametrize("family", WITH_MEANS)
def test_codec_refuses_ports_of_other_names(family: str) -> None:
    model, _ = tiny(family)
    giver = "entropy_parameters" if family in WITH_CONTEXT else "h_s"
    refused(renamed(model, "h_s", {"z": "w"}), "RC-MODEL-SCHEMA", "h_s must have the input z, not w")
    for names in ({"indexes": "scales"}, {"means": "mean"}, {"means": "indexes", "indexes": "means"}):
        refused(renamed(model, giver, names), "RC-MODEL-SCHEMA", f"{giver} must ")
    if "g_s" in model.programs:
        refused(renamed(model, "g_s", {"y_hat": "y"}), "RC-MODEL-SCHEMA", "g_s must have the input y_hat, not y")


@pytest.mark.parametrize("family", WITH_CONTEXT)
def test_codec_refuses_context_ports_of_other_names_and_formats(family: str) -> None:
    model, _ = tiny(family)
    for program, names, message in (
        ("h_s", {"side": "s"}, "h_s must have the output side, not s"),
        ("context", {"context": "c"}, "context must have the output context, not c"),
        ("context", {"y_hat": "y"}, "context must have the input y_hat, not y"),
        ("entropy_parameters", {"side": "s"}, "entropy_parameters must have the inputs context and side, not context"),
    ):
        refused(renamed(model, program, names), "RC-MODEL-SCHEMA", message)
    narrow = with_tensor(model, "h_s", Tensor("side", 6, IntFormat(7, True)))
    refused(narrow, "RC-MODEL-SCHEMA", "h_s gives 6 channels of s7, entropy_parameters reads 6 of s8")
    narrow = with_tensor(model, "context", Tensor("context", 6, IntFormat(7, True)))
    refused(narrow, "RC-MODEL-SCHEMA", "context gives 6 channels of s7, entropy_parameters reads 6 of s8")


@pytest.mark.parametrize("family", WITH_MEANS)
def test_codec_refuses_latents_and_means_of_other_formats(family: str) -> None:
    """A fraction other than that of the programs, where y_hat has another width, and means without a sign."""
    model, _ = tiny(family)
    if "g_s" in model.programs:
        refused(
            with_settings(model, mean_fraction=9), "RC-MODEL-SCHEMA", "must read y_hat as 4 channels of s26, not 4 of"
        )
    giver = "entropy_parameters" if family in WITH_CONTEXT else "h_s"
    unsigned = with_tensor(model, giver, Tensor("means", LATENT, IntFormat(15, False)))
    refused(unsigned, "RC-MODEL-SCHEMA", f"{giver} must give means of s24 or narrower, not u15")


def with_operation(model: Model, program: str, op: AnyOperation, *outputs: Tensor) -> Model:
    """The model with one operation of a program replaced, or added at its end, and its tensors with it."""
    old = model.programs[program]
    kept = tuple(one for one in old.operations if one.name != op.name)
    names = {tensor.name for tensor in outputs}
    tensors = (*(tensor for tensor in old.tensors if tensor.name not in names), *outputs)
    return with_program(model, Program(program, tensors, (*kept, op)))


@pytest.mark.parametrize("family", WITH_MEANS)
def test_codec_refuses_other_outputs_of_the_parameters(family: str) -> None:
    model, _ = tiny(family)
    giver = "entropy_parameters" if family in WITH_CONTEXT else "h_s"
    old = model.programs[giver]
    scales, sums = old.operation("indexes"), old.operation("means")
    assert isinstance(scales, ScaleIndex)
    assert isinstance(sums, Requantise)
    count = np.full(LATENT, 20000), np.full(LATENT, 30)
    rounded = Requantise("indexes", scales.source, "indexes", *count)
    changed = with_operation(model, giver, rounded, Tensor("indexes", LATENT, IntFormat(7, False)))
    refused(changed, "RC-MODEL-SCHEMA", f"{giver} must give u6 indexes, not u7")
    third = Requantise("third", sums.source, "third", *count)
    changed = with_operation(model, giver, third, Tensor("third", LATENT, IntFormat(8, True)))
    refused(changed, "RC-MODEL-SCHEMA", f"{giver} must have the outputs indexes and means, not indexes and means and")
    twice = Concatenate("twice", ("mean", "mean"), "means")
    changed = renamed(model, giver, {"means": "mean"})
    changed = with_operation(changed, giver, twice, Tensor("means", 2 * LATENT, IntFormat(16, True)))
    refused(changed, "RC-MODEL-SCHEMA", f"{giver} must give as many indexes as means, not 4 and 8")


@pytest.mark.parametrize("family", [family for family in WITH_MEANS if family != "entropy-parameters"])
def test_codec_refuses_a_synthesis_for_other_channels(family: str) -> None:
    model, _ = tiny(family)
    other = synthesis((8, 8), Tensor("y_hat", LATENT + 1, latent_format(8)), 1024, None, 5)
    refused(with_program(model, other), "RC-MODEL-SCHEMA", "g_s must read y_hat as 4 channels of s25, not 5 of s25")


def test_codec_refuses_symbols_of_another_format() -> None:
    model, _ = tiny("factorised")
    changed = with_tensor(model, "g_s", Tensor("y", LATENT, IntFormat(15, True)))
    refused(changed, "RC-MODEL-SCHEMA", "g_s must read s16 symbols, not s15")


def test_codec_refuses_an_enlargement_by_no_whole_factor() -> None:
    model, _ = tiny("mean-scale-hyperprior")
    last = dataclasses.replace(model.programs["g_s"].operation("g_s.6"), padding=1)  # 4 x 4 becomes 66 x 66
    operations = tuple(last if op.name == "g_s.6" else op for op in model.programs["g_s"].operations)
    changed = with_program(model, Program("g_s", model.programs["g_s"].tensors, operations))
    refused(changed, "RC-MODEL-SCHEMA", "g_s must enlarge by a whole factor")


@pytest.mark.parametrize("family", [family for family in TINY_MODELS if family != "entropy-parameters"])
def test_codec_refuses_a_synthesis_of_another_kind(family: str) -> None:
    model, _ = tiny(family)
    samples = with_tensor(model, "g_s", Tensor("x_hat", 3, IntFormat(7, False)))
    refused(samples, "RC-MODEL-SCHEMA", "g_s must end in three u8 channels")
    old = model.programs["g_s"]
    shifted = dataclasses.replace(old.operation("g_s.0"), output_padding=0)
    operations = tuple(shifted if op.name == "g_s.0" else op for op in old.operations)
    changed = with_program(model, Program("g_s", old.tensors, operations))
    refused(changed, "RC-MODEL-SCHEMA", "g_s must enlarge (by a whole factor|[0-9]+ times: )")


@pytest.mark.parametrize("family", TINY_MODELS)
def test_multiple_is_the_product_of_the_enlargements(family: str) -> None:
    _, codec = tiny(family)
    wanted = {"factorised": 16, "entropy-parameters": 8}.get(family, 64)
    assert codec.multiple == wanted
    z, y = codec.latent_sizes(Geometry(wanted + 1, wanted, 1))
    assert z is None or z == (1, 2)
    assert y == {"factorised": (1, 2), "entropy-parameters": (8, 9)}.get(family, (4, 8))


def test_multiple_of_a_hyperprior_of_three_levels_is_128() -> None:
    model = tiny_mean_scale((8, 8), 3, levels=3)
    codec = codec_of(model)
    assert codec.multiple == 128
    assert codec.latent_sizes(Geometry(129, 128, 3)) == ((1, 2), (8, 16))
    stream = codec.encode(drawn(codec, Geometry(70, 20, 3)), Geometry(70, 20, 3))
    assert_naive(model, codec, stream)


def test_checkerboard_is_a_codec_of_its_own() -> None:
    """The parity that `encode` writes is no part of what a decoder checks."""
    model, codec = tiny("checkerboard")
    assert isinstance(codec, Checkerboard)
    other = dataclasses.replace(codec, anchor_parity=1)
    geometry = Geometry(40, 40, 3)
    stream = other.encode(drawn(codec, geometry), geometry)
    assert_naive(model, codec, stream)
