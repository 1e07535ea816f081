"""The serial scan: causal, zero outside, one payload, the same as whole programs (SPEC AR-1, AR-2, AR-3, AR-4)."""

from __future__ import annotations

import dataclasses

import numba
import numpy as np
import pytest

from refcodec.codecs.autoregressive import Autoregressive
from refcodec.codecs.codec import Latents
from refcodec.codecs.stream import Geometry, pack, parse
from refcodec.entropy.rans import encode as rans_encode
from refcodec.errors import ModelError, StreamError
from refcodec.program.model_file import Model
from refcodec.program.program import Program
from refcodec.vectorgen.tiny_models import HYPER, KERNEL, LATENT, drawn_latents, tiny_autoregressive

GEOMETRY = Geometry(70, 60, 3)
SIZE = (4, 8)


def built() -> tuple[Model, Autoregressive]:
    model = tiny_autoregressive((8, 8), 83)
    return model, Autoregressive.from_model(model)


def latents(codec: Autoregressive) -> Latents:
    return drawn_latents(codec, GEOMETRY, (HYPER, LATENT), 4)


def taps_of(codec: Autoregressive, given: Latents) -> dict[str, np.ndarray]:
    taps: dict[str, np.ndarray] = {}
    codec.decode(codec.encode(given, GEOMETRY), taps.__setitem__)
    return taps


def test_y_is_one_payload_in_the_order_row_column_channel() -> None:
    """SPEC AR-3."""
    _, codec = built()
    stream = parse(codec.encode(latents(codec), GEOMETRY))
    taps = taps_of(codec, latents(codec))
    places = [(c, y, x) for y in range(SIZE[0]) for x in range(SIZE[1]) for c in range(LATENT)]
    symbols, rows = (np.array([taps[name][place] for place in places]) for name in ("y", "indexes"))
    assert list(stream.payloads) == ["ZSYM", "YSYM"]
    assert stream.payloads["YSYM"] == rans_encode(symbols, rows, codec.y_tables)


def test_scan_equals_whole_programs_over_a_causal_context() -> None:
    """The mask reads nothing from the position on, so the whole y_hat with a border of zeros gives the same context."""
    _, codec = built()
    taps = taps_of(codec, latents(codec))
    margin = KERNEL // 2
    wide = np.pad(taps["y_hat"], ((0, 0), (margin, margin), (margin, margin)))
    context = codec.context.run(wide)
    found = codec.entropy_parameters.run_all({"context": context, "side": taps["side"]})
    for name in ("indexes", "means"):
        np.testing.assert_array_equal(found[name], taps[name], err_msg=name)
    assert len(np.unique(taps["indexes"])) > 15


@pytest.mark.parametrize("place", [(0, 0), (0, 7), (1, 3), (2, 0), (3, 6), (3, 7)])
def test_a_position_changes_nothing_before_itself(place: tuple[int, int]) -> None:
    """SPEC AR-2: also not its own indexes and means, and everything in the window after it."""
    _, codec = built()
    first, second = latents(codec), latents(codec)
    second.y[(slice(None), *place)] += 1500
    one, two = taps_of(codec, first), taps_of(codec, second)
    number = np.arange(SIZE[0] * SIZE[1]).reshape(SIZE)
    before = number <= number[place]
    changed = np.zeros(SIZE, bool)
    for name in ("indexes", "means"):
        np.testing.assert_array_equal(one[name][:, before], two[name][:, before], err_msg=name)
        changed |= (one[name] != two[name]).any(axis=0)
    rows, columns = np.indices(SIZE)
    window = (abs(rows - place[0]) <= 2) & (abs(columns - place[1]) <= 2) & ~before
    assert changed[window].all()
    assert place != (3, 7) or not changed.any()


def test_window_is_zero_outside_the_picture_and_at_what_is_not_yet_decoded() -> None:
    """SPEC AR-2: the context of the first position is that of a window of zeros, its bias included."""
    _, codec = built()
    seen: list[np.ndarray] = []

    class Watched:
        def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            seen.append(inputs["y_hat"].copy())
            return codec.at_window.run(inputs)

    given = latents(codec)
    taps = taps_of(codec, given)
    watched = dataclasses.replace(codec)
    object.__setattr__(watched, "at_window", Watched())
    watched.encode(given, GEOMETRY)
    assert len(seen) == SIZE[0] * SIZE[1]
    assert not seen[0].any()
    wide = np.pad(taps["y_hat"], ((0, 0), (2, 2), (2, 2)))
    for number, window in enumerate(seen):
        row, column = divmod(number, SIZE[1])
        wanted = wide[:, row : row + 5, column : column + 5].copy()
        wanted[:, 2, 2:] = wanted[:, 3:] = 0
        np.testing.assert_array_equal(window, wanted, err_msg=str((row, column)))
    zeros = codec.context.run(np.zeros((LATENT, KERNEL, KERNEL), np.int32))
    assert zeros.any(), "the bias of the context counts, unlike that of a checkerboard's anchors"


def test_scan_leaves_the_number_of_threads_alone() -> None:
    before = numba.get_num_threads()
    if numba.config.NUMBA_NUM_THREADS == 1:
        pytest.skip("there is one thread only")
    assert before > 1
    _, codec = built()
    stream = parse(codec.encode(latents(codec), GEOMETRY))
    codec.decode(codec.encode(latents(codec), GEOMETRY))
    assert numba.get_num_threads() == before
    broken = pack(GEOMETRY, stream.identity, {**stream.payloads, "YSYM": stream.payloads["YSYM"][:16]})
    with pytest.raises(StreamError):
        codec.decode(broken)
    assert numba.get_num_threads() == before


@pytest.mark.parametrize("change", [lambda p: p[:-4], lambda p: p + bytes(4), lambda p: bytes(8)])
def test_decode_refuses_a_payload_that_does_not_end_where_it_should(change) -> None:
    _, codec = built()
    stream = parse(codec.encode(latents(codec), GEOMETRY))
    payloads = {**stream.payloads, "YSYM": change(stream.payloads["YSYM"])}
    codes = "RC-STREAM-(TRUNCATED|TRAILING|RANS)"
    with pytest.raises(StreamError, match=codes) as caught:
        codec.decode(pack(GEOMETRY, stream.identity, payloads))
    assert caught.value.offset >= stream.offsets["YSYM"]


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (None, r"the setting context_kernel must be 1\.\.9, found None"),
        (0, r"the setting context_kernel must be 1\.\.9, found 0"),
        (11, r"the setting context_kernel must be 1\.\.9, found 11"),
        (4, "the context kernel must be odd, found 4"),
        (3, "context does not take its inputs: "),
        (7, "context must give one position"),
    ],
)
def test_codec_refuses_another_kernel(kernel: int | None, message: str) -> None:
    model, _ = built()
    settings = {name: value for name, value in model.settings.items() if name != "context_kernel"}
    if kernel is not None:
        settings["context_kernel"] = kernel
    with pytest.raises(ModelError, match=message) as caught:
        Autoregressive.from_model(dataclasses.replace(model, settings=settings))
    assert caught.value.code == "RC-MODEL-SCHEMA"


def test_codec_refuses_a_context_with_padding() -> None:
    model, _ = built()
    old = model.programs["context"]
    operations = [dataclasses.replace(op, padding=2) if op.name == "context.0" else op for op in old.operations]
    changed = {**model.programs, "context": Program("context", old.tensors, tuple(operations))}
    with pytest.raises(ModelError, match="context must give one position"):
        Autoregressive.from_model(dataclasses.replace(model, programs=changed))
