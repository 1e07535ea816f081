"""What tensors take on data is counted as it is: ranges, saturation, codes, constant channels (SPEC AUD-4)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_hyperprior import random_latents

from refcodec import fixed
from refcodec.audit.observe import (
    Observer,
    clip_streams,
    folder_streams,
    observe_frames,
    observe_streams,
)
from refcodec.cli.parsing import load
from refcodec.codecs.family import codec_of
from refcodec.codecs.inr.codec import InrVideo
from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.codecs.stream import Geometry
from refcodec.errors import FileError, ModelError, RefcodecError
from refcodec.formats import IntFormat
from refcodec.layers.gdn import gdn_divisor, gdn_norm
from refcodec.models.shipped import DEFAULT_MODEL, shipped_path
from refcodec.program.model_file import Model
from refcodec.program.operations import (
    Add,
    Clip,
    Concatenate,
    Gdn,
    InverseGdn,
    LeakyRequantise,
    Requantise,
    Tensor,
)
from refcodec.program.program import Program
from refcodec.vectorgen.tiny_models import TINY_MODELS, drawn_latents
from refcodec.vectorgen.tiny_videos import ARCHITECTURES, tiny_video

S4, S8, U4, S32 = (IntFormat(b, s) for b, s in ((4, True), (8, True), (4, False), (32, True)))


def watched(program: Program, x: np.ndarray, times: int = 1) -> Observer:
    """An observer after runs of a program."""
    observer = Observer({program.name: program})
    for _ in range(times):
        program.run(x, observer.tap)
    return observer


def pointwise(op: Any, source: IntFormat, target: IntFormat, channels: int = 2) -> Program:
    """A program of one operation that reads x."""
    return Program("p", (Tensor("x", channels, source), Tensor("y", channels, target)), (op,))


def samples(fmt: IntFormat, rng: np.random.Generator, channels: int = 2) -> np.ndarray:
    """Random samples of a format."""
    return rng.integers(fmt.lo, fmt.hi, (channels, 7, 5), endpoint=True).astype(fmt.dtype)


@pytest.mark.parametrize("times", [1, 3])
def test_saturations_of_a_requantiser_are_counted(times: int, rng: np.random.Generator) -> None:
    multiplier, shift = np.array([5, 90]), np.array([6, 5])
    program, x = pointwise(Requantise("y", "x", "y", multiplier, shift), S8, U4), samples(S8, rng)
    record = watched(program, x, times).records["p"]
    exact = [
        [fixed.rounding_shift(int(v) * m, s) for v in plane.ravel()]
        for plane, m, s in zip(x, (5, 90), (6, 5), strict=True)
    ]
    found = record.clipped["y"]
    assert found.below.tolist() == [times * sum(v < 0 for v in row) for row in exact]
    assert found.above.tolist() == [times * sum(v > 15 for v in row) for row in exact]
    assert (found.lo, found.hi) == (min(map(min, exact)), max(map(max, exact)))
    assert found.samples == times * x.size
    seen = record.seen["x"]
    assert (seen.lo.tolist(), seen.hi.tolist()) == (x.min(axis=(1, 2)).tolist(), x.max(axis=(1, 2)).tolist())
    assert seen.samples == times * x.size


def test_saturations_of_leaky_requantisers_clips_and_sums_are_counted(rng: np.random.Generator) -> None:
    x = samples(S8, rng)
    leaky = LeakyRequantise("y", "x", "y", np.array([9, 9]), np.array([3, 3]), np.array([4, 4]))
    found = watched(pointwise(leaky, S8, S4), x).records["p"].clipped["y"]
    exact = [fixed.rounding_shift(int(v) * (3 if v < 0 else 9), 4) for v in x.ravel()]
    assert (found.below.sum(), found.above.sum()) == (sum(v < -8 for v in exact), sum(v > 7 for v in exact))
    found = watched(pointwise(Clip("y", "x", "y", -3, 100), S8, S8), x).records["p"].clipped["y"]
    assert (found.below.sum(), found.above.sum()) == ((x < -3).sum(), (x > 100).sum())
    add = Program("p", (Tensor("x", 2, S8), Tensor("y", 2, S8)), (Add("y", ("x", "x"), "y", 0, np.array([1, 1])),))
    found = watched(add, x).records["p"].clipped["y"]
    wide = 2 * x.astype(int)
    assert (found.below.sum(), found.above.sum()) == ((wide < -128).sum(), (wide > 127).sum())


@pytest.mark.parametrize("inverse", [False, True])
def test_divisors_and_quotients_of_a_normalisation_are_told(inverse: bool, rng: np.random.Generator) -> None:
    gamma, beta, x = rng.integers(0, 9, (2, 2)), rng.integers(1, 9, 2), samples(S8, rng)
    u4, ones = IntFormat(4, False), np.array([3, 3])
    op: Any = (
        InverseGdn("y", "x", "y", u4, S32, S32, True, 4, gamma, beta, ones, ones, ones)
        if inverse
        else Gdn("y", "x", "y", u4, S32, True, 4, 0, gamma, beta, ones * 50, ones)
    )
    record = watched(pointwise(op, S8, S4), x).records["p"]
    divisor = gdn_divisor(gdn_norm(x, op.norm), True, 4)
    assert (record.divisors["y"].lo, record.divisors["y"].hi) == (divisor.min(), divisor.max())
    pairs = zip(x.ravel().tolist(), divisor.ravel().tolist(), strict=True)
    far = 10**9
    exact = [
        fixed.inverse_gdn(v, d, 3, 3, 3, -far, far) if inverse else fixed.gdn(v, d, 150, 3, 0, -far, far)
        for v, d in pairs
    ]
    found = record.clipped["y"]
    assert (found.lo, found.hi) == (min(exact), max(exact))
    assert found.above.sum() == sum(v > 7 for v in exact) > 0


def test_codes_and_constant_channels_are_those_of_all_runs() -> None:
    program = pointwise(Clip("y", "x", "y", -8, 7), S4, S4)
    observer = Observer({"p": program})
    for value in (3, -8):
        program.run(np.array([[[value]], [[5]]], np.int16), observer.tap)
    seen = observer.records["p"].seen["y"]
    assert seen.codes is not None
    assert (np.flatnonzero(seen.codes) - 8).tolist() == [-8, 3, 5]
    assert (seen.lo.tolist(), seen.hi.tolist()) == ([-8, 5], [3, 5])


def test_wide_formats_have_no_codes_counted() -> None:
    program = pointwise(Clip("y", "x", "y", -8, 7), S32, S32)
    assert watched(program, np.zeros((2, 1, 1), np.int32)).records["p"].seen["y"].codes is None


def test_an_observer_keeps_nothing_that_no_later_operation_reads() -> None:
    operations = Clip("b", "x", "b", -1, 1), Clip("d", "b", "d", -1, 1), Concatenate("y", ("d", "b"), "y")
    tensors = [Tensor(name, 2, S4) for name in "xbd"]
    program = Program("p", (*tensors, Tensor("y", 4, S4)), operations)
    observer, kept = Observer({"p": program}), []

    def tap(name: str, values: np.ndarray) -> None:
        observer.tap(name, values)
        kept.append(sorted(observer._runs["", "p"].live))

    program.run(np.zeros((2, 1, 1), np.int16), tap)
    assert kept == [["x"], ["b"], ["b", "d"], []]


def test_a_tensor_whose_inputs_were_not_reported_is_passed_over() -> None:
    program = pointwise(Clip("y", "x", "y", -8, 7), S4, S4)
    observer = Observer({"p": program})
    observer.tap("y", np.zeros((2, 1, 1), np.int16))
    observer.tap("unknown", np.zeros((2, 1, 1), np.int16))
    assert observer.records["p"].seen == {}


def test_streams_of_a_folder_are_decoded_and_every_tensor_is_watched(
    tiny_model: Model, tiny_codec: ScaleHyperprior, rng: np.random.Generator, tmp_path: Path
) -> None:
    taps: dict[str, list[np.ndarray]] = {}
    for number, size in enumerate(((70, 50), (64, 130))):
        content = tiny_codec.encode(random_latents(tiny_codec, *size, rng), Geometry(size[1], size[0], 3))
        (tmp_path / f"{number}.rcb").write_bytes(content)
        tiny_codec.decode(content, lambda name, values: taps.setdefault(name, []).append(values.copy()))
    (tmp_path / "notes.txt").write_text("not a picture")
    observer = observe_streams(tiny_model, folder_streams(tiny_model, tmp_path))
    seen = {name: found for record in observer.records.values() for name, found in record.seen.items()}
    assert seen.keys() == taps.keys()
    for name, values in taps.items():
        np.testing.assert_array_equal(seen[name].lo, np.min([v.min(axis=(1, 2)) for v in values], axis=0))
        np.testing.assert_array_equal(seen[name].hi, np.max([v.max(axis=(1, 2)) for v in values], axis=0))
        assert seen[name].samples == sum(v.size for v in values)


@pytest.mark.parametrize("family", sorted(TINY_MODELS))
def test_every_family_can_be_watched(family: str) -> None:
    """A checkerboard runs entropy_parameters twice; an autoregressive decode reports nothing of its context model."""
    model = TINY_MODELS[family]((8, 8), 7)
    codec = codec_of(model)
    y = (model.programs["g_s"].inputs if "g_s" in model.programs else model.programs["h_s"].outputs)[0].channels
    z = model.programs["h_s"].input.channels if "h_s" in model.programs else 1
    geometry = Geometry(8, 8, 1) if "g_s" not in model.programs else Geometry(40, 40, 3)
    stream = codec.encode(drawn_latents(codec, geometry, (z, y), 3), geometry)
    records = observe_streams(model, [("stream", stream)]).records
    silent = {"context", "entropy_parameters"} if family == "autoregressive" else set()
    for name, program in model.programs.items():
        wanted = set() if name in silent else {tensor.name for tensor in program.tensors}
        assert records[name].seen.keys() == wanted, name
    if family == "checkerboard":
        y_size = records["context"].seen["y_hat"].samples
        assert records["entropy_parameters"].seen["means"].samples == 2 * y_size


def test_frames_of_a_video_are_watched() -> None:
    video = InrVideo.of(tiny_video(ARCHITECTURES["hnerv"], 1))
    record = observe_frames(video, range(video.frames)).records["video"]
    assert record.seen.keys() == {tensor.name for tensor in video.program.tensors}
    pictures = np.stack([video.decode(number) for number in range(video.frames)])
    seen = record.seen[video.program.output.name]
    assert (int(seen.lo.min()), int(seen.hi.max())) == (pictures.min(), pictures.max())


def test_pictures_and_clips_are_encoded_with_the_models_encoder(tmp_path: Path, rng: np.random.Generator) -> None:
    from refcodec.codecs.picture import write_picture

    for number in range(2):
        write_picture(tmp_path / f"{number}.png", rng.integers(0, 256, (24, 40, 3), dtype=np.uint8))
    model = load(DEFAULT_MODEL)
    streams = dict(folder_streams(model, tmp_path))
    assert list(streams) == [str(tmp_path / "0.png"), str(tmp_path / "1.png")]
    assert list(streams.values()) == [stream for _, stream in clip_streams(model, tmp_path)]
    (tmp_path / "2.rcb").write_bytes(streams[str(tmp_path / "1.png")])
    assert list(folder_streams(model, tmp_path))[2] == (str(tmp_path / "2.rcb"), streams[str(tmp_path / "1.png")])


@pytest.mark.parametrize("family", ["entropy-parameters"])
def test_latents_need_an_encoder(family: str, tmp_path: Path) -> None:
    np.save(tmp_path / "y.npy", np.zeros((4, 3, 3), np.float32))
    with pytest.raises(ModelError, match="RC-MODEL-ENCODER"):
        list(folder_streams(TINY_MODELS[family]((8, 8), 7), tmp_path))


def test_a_folder_without_data_is_refused(tiny_model: Model, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(FileError, match=r"RC-FILE-READ: .* is no folder with pictures"):
            list(folder_streams(tiny_model, folder))


def test_a_stream_of_another_model_is_named(tiny_model: Model, tmp_path: Path) -> None:
    (tmp_path / "other.rcb").write_bytes(shipped_path("photograph", ".rcb").read_bytes())
    with pytest.raises(RefcodecError, match=r"RC-STREAM-MODEL: .*other.rcb: the stream was made for"):
        observe_streams(tiny_model, folder_streams(tiny_model, tmp_path))
