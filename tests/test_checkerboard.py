"""Two passes over a checkerboard: what anchors see, what the others see, and the fields that say so (SPEC CKBD-1)."""

from __future__ import annotations

import dataclasses

import naive_decoder
import numpy as np
import pytest

from refcodec.codecs.checkerboard import Checkerboard, concatenation_order
from refcodec.codecs.codec import Latents
from refcodec.codecs.stream import Geometry, pack, parse
from refcodec.entropy.rans import encode as rans_encode
from refcodec.errors import ModelError, StreamError
from refcodec.formats import IntFormat
from refcodec.program.model_file import Model, model_to_bytes
from refcodec.program.operations import Concatenate, LeakyRequantise, Tensor
from refcodec.program.program import Program
from refcodec.vectorgen.tiny_models import HYPER, LATENT, drawn_latents, tiny_checkerboard

GEOMETRY = Geometry(70, 50, 3)


def built(parity: int = 0, sources: tuple[str, str] = ("context", "side")) -> tuple[Model, Checkerboard]:
    model = tiny_checkerboard((8, 8), 61, parity=parity, sources=sources)
    return model, Checkerboard.from_model(model)


def latents(codec: Checkerboard) -> Latents:
    return drawn_latents(codec, GEOMETRY, (HYPER, LATENT), 8)


def taps_of(codec: Checkerboard, stream: bytes) -> dict[str, np.ndarray]:
    taps: dict[str, np.ndarray] = {}
    codec.decode(stream, taps.__setitem__)
    return taps


def anchors(parity: int) -> np.ndarray:
    """(4, 8) bool."""
    return np.array([[(row + column) % 2 == parity for column in range(8)] for row in range(4)])


@pytest.mark.parametrize("sources", [("context", "side"), ("side", "context")])
@pytest.mark.parametrize("parity", [0, 1])
def test_stream_says_parity_and_order_before_its_symbols(parity: int, sources: tuple[str, str]) -> None:
    """SPEC CKBD-3, CKBD-6: four sections, y in two parts, each in the order channel, row, column."""
    model, codec = built(parity, sources)
    content = codec.encode(latents(codec), GEOMETRY)
    stream = parse(content)
    assert list(stream.payloads) == ["CTXF", "ZSYM", "YANC", "YNAN"]
    assert stream.payloads["CTXF"] == bytes([parity, sources == ("side", "context")])
    taps = taps_of(codec, content)
    for tag, mask in (("YANC", anchors(parity)), ("YNAN", ~anchors(parity))):
        places = [(c, y, x) for c in range(LATENT) for y in range(4) for x in range(8) if mask[y, x]]
        symbols, rows = (np.array([taps[name][place] for place in places]) for name in ("y", "indexes"))
        assert stream.payloads[tag] == rans_encode(symbols, rows, codec.y_tables)
    naive_decoder.decode(content, model_to_bytes(model))


@pytest.mark.parametrize("parity", [0, 1])
def test_stream_decides_the_parity_whatever_the_model_would_write(parity: int) -> None:
    """SPEC CKBD-3."""
    _, codec = built(parity)
    other = dataclasses.replace(codec, anchor_parity=1 - parity)
    content = codec.encode(latents(codec), GEOMETRY)
    wanted, found = taps_of(codec, content), taps_of(other, content)
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    assert other.encode(latents(codec), GEOMETRY) != content


@pytest.mark.parametrize("parity", [0, 1])
def test_anchors_see_no_context_not_even_its_bias(parity: int) -> None:
    """SPEC CKBD-4: with large biases in the context network, the first pass stays what it was, the second does not."""
    model, codec = built(parity)
    old = model.programs["context"]
    sums = old.operation("context.0")
    biased = dataclasses.replace(sums, bias=sums.bias + 30000)
    tensors = [dataclasses.replace(t, format=IntFormat(32, True)) if t.name == "context.0" else t for t in old.tensors]
    operations = [biased if op.name == "context.0" else op for op in old.operations]
    context = Program("context", tuple(tensors), tuple(operations))
    other = dataclasses.replace(codec, context=context)
    plain, moved = (taps_of(one, one.encode(latents(codec), GEOMETRY)) for one in (codec, other))
    mask = anchors(parity)
    for name in ("indexes", "means", "y", "y_hat"):
        np.testing.assert_array_equal(plain[name][:, mask], moved[name][:, mask], err_msg=name)
    assert not plain["anchors.context"].any()
    assert not moved["anchors.context"].any()
    assert (plain["means"][:, ~mask] != moved["means"][:, ~mask]).mean() > 0.5


@pytest.mark.parametrize("parity", [0, 1])
def test_context_reads_the_anchors_and_zeros_elsewhere(parity: int) -> None:
    """SPEC CKBD-5."""
    _, codec = built(parity)
    taps = taps_of(codec, codec.encode(latents(codec), GEOMETRY))
    mask = anchors(parity)
    seen = taps["others.y_hat"]
    np.testing.assert_array_equal(seen, np.where(mask, taps["y_hat"], 0))
    assert (taps["y_hat"][:, ~mask] != 0).mean() > 0.9
    for name in ("indexes", "means"):
        np.testing.assert_array_equal(
            taps[name], np.where(mask, taps[f"anchors.{name}"], taps[f"others.{name}"]), err_msg=name
        )
        assert (taps[f"anchors.{name}"] != taps[f"others.{name}"])[:, ~mask].mean() > 0.5


def test_context_of_the_others_depends_on_anchors_alone() -> None:
    """What the others hold does not change anything that is decoded before them."""
    _, codec = built(1)
    first, second = latents(codec), latents(codec)
    second.y[:, ~anchors(1)] += 1000
    one, two = (taps_of(codec, codec.encode(given, GEOMETRY)) for given in (first, second))
    for name in ("indexes", "means"):
        np.testing.assert_array_equal(one[name], two[name])
    assert (one["y"][:, ~anchors(1)] != two["y"][:, ~anchors(1)]).mean() > 0.9


def test_order_of_concatenation_is_that_of_the_operation() -> None:
    """SPEC CKBD-2, on the values themselves and on what comes of them."""
    for order, sources in enumerate((("context", "side"), ("side", "context"))):
        program = built(0, sources)[0].programs["entropy_parameters"]
        assert concatenation_order(program) == order
        assert built(0, sources)[1].order == order


def joined(sources: list[tuple[str, str]]) -> Program:
    """Context and side, each also through an operation of its own, concatenated as often as wanted."""
    fmt, one = IntFormat(8, True), np.array([1000])
    tensors = [Tensor(name, 1, fmt) for name in ("context", "side", "c", "s")]
    operations: list[Concatenate | LeakyRequantise] = [
        LeakyRequantise("c", "context", "c", one, one, np.array([9])),
        LeakyRequantise("s", "side", "s", one, one, np.array([9])),
    ]
    for number, pair in enumerate(sources):
        tensors.append(Tensor(f"out{number}", 2, fmt))
        operations.append(Concatenate(f"out{number}", pair, f"out{number}"))
    return Program("entropy_parameters", tuple(tensors), tuple(operations))


@pytest.mark.parametrize(
    ("pair", "order"), [(("c", "s"), 0), (("s", "c"), 1), (("context", "s"), 0), (("side", "c"), 1)]
)
def test_order_of_concatenation_follows_what_comes_of_the_inputs(pair: tuple[str, str], order: int) -> None:
    assert concatenation_order(joined([pair])) == order


@pytest.mark.parametrize("pairs", [[("c", "c"), ("s", "s")], [("c", "s"), ("s", "c")], [("c", "s"), ("c", "s")]])
def test_order_of_concatenation_must_be_clear(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(ModelError, match=r"must concatenate context and side once, not [02] times") as caught:
        concatenation_order(joined(pairs))
    assert caught.value.code == "RC-MODEL-SCHEMA"


@pytest.mark.parametrize(
    ("fields", "code", "offset"),
    [
        (b"", "RC-STREAM-TRUNCATED", 0),
        (b"\0", "RC-STREAM-TRUNCATED", 1),
        (b"\0\0\0", "RC-STREAM-TRAILING", 2),
        (b"\2\0", "RC-STREAM-LIMIT", 0),
        (b"\xff\0", "RC-STREAM-LIMIT", 0),
        (b"\0\2", "RC-STREAM-LIMIT", 1),
        (b"\0\1", "RC-STREAM-MODEL", 1),
        (b"\1\1", "RC-STREAM-MODEL", 1),
    ],
)
def test_decode_refuses_context_fields_before_it_decodes(fields: bytes, code: str, offset: int) -> None:
    """SPEC CKBD-3."""
    _, codec = built()
    stream = parse(codec.encode(latents(codec), GEOMETRY))
    content = pack(stream.geometry, stream.identity, {**stream.payloads, "CTXF": fields})
    with pytest.raises(StreamError) as caught:
        codec.decode(content, lambda name, _: pytest.fail(f"{name} was decoded"))
    assert (caught.value.code, caught.value.offset) == (code, stream.offsets["CTXF"] + offset)


def test_decode_of_exchanged_parities_goes_wrong() -> None:
    """Nothing else in the stream tells, so it must be a field: the same bytes mean something else or nothing."""
    _, codec = built()
    content = codec.encode(latents(codec), GEOMETRY)
    stream = parse(content)
    changed = pack(stream.geometry, stream.identity, {**stream.payloads, "CTXF": b"\1\0"})
    try:
        found = taps_of(codec, changed)["y"]
    except StreamError:
        return
    assert (found != taps_of(codec, content)["y"]).any()


@pytest.mark.parametrize("value", [None, -1, 2])
def test_codec_refuses_another_parity(value: int | None) -> None:
    model, _ = built()
    settings = {name: number for name, number in model.settings.items() if name != "anchor_parity"}
    if value is not None:
        settings["anchor_parity"] = value
    with pytest.raises(ModelError, match=r"the setting anchor_parity must be 0\.\.1, found"):
        Checkerboard.from_model(dataclasses.replace(model, settings=settings))


def test_codec_refuses_a_context_of_another_size() -> None:
    model, _ = built()
    old = model.programs["context"]
    operations = [dataclasses.replace(op, padding=4) if op.name == "context.0" else op for op in old.operations]
    changed = {**model.programs, "context": Program("context", old.tensors, tuple(operations))}
    with pytest.raises(ModelError, match="context must ") as caught:
        Checkerboard.from_model(dataclasses.replace(model, programs=changed))
    assert caught.value.code == "RC-MODEL-SCHEMA"
