"""The datapath's inputs: which tensor a layer reads, which tile of it, and what is refused before anything is built."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hw.cosim import CosimResult
from refcodec import datapath
from refcodec.codecs.inr.codec import InrVideo
from refcodec.codecs.inr.stream import pack
from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.datapath import (
    SMALL_TILE,
    CosimReport,
    Taps,
    convert,
    layer_input,
    layers,
    named_decode,
    photograph_latents,
    run_programs,
    simulate,
    stream_taps,
)
from refcodec.errors import FileError, HardwareError, RangeError, StreamError
from refcodec.models.shipped import (
    DEFAULT_FLOAT,
    DEFAULT_MODEL,
    DEFAULT_STREAM,
    recipe_name,
    shipped_path,
)
from refcodec.models.trained import load_trained
from refcodec.program.model_file import Model, load_model
from refcodec.quantize.integerise import integerise
from refcodec.quantize.recipe import load_recipe
from refcodec.vectorgen.tiny_videos import HINERV, HNERV, tiny_video

SOURCES = {
    "h_s.0": "z_hat", "h_s.2": "h_s.1", "h_s.4": "h_s.3",
    "g_s.0": "y_hat", "g_s.2": "g_s.1", "g_s.4": "g_s.3", "g_s.6": "g_s.5",
}  # fmt: skip


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(shipped_path(DEFAULT_MODEL, ".rcm"))


@pytest.fixture(scope="module")
def codec(model: Model) -> ScaleHyperprior:
    return ScaleHyperprior.from_model(model)


@pytest.fixture(scope="module")
def taps(codec: ScaleHyperprior) -> Taps:
    return stream_taps(codec, None)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stream of a small HNeRV of five frames."""
    path = tmp_path_factory.mktemp("clip") / "clip.rcv"
    path.write_bytes(pack(tiny_video(HNERV, 1)))
    return path


def numbered(shape: tuple[int, int, int]) -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape)


# --- tensors


def test_stream_taps_are_those_of_the_photographs_decode(codec: ScaleHyperprior, taps: Taps) -> None:
    wanted: Taps = {}
    codec.decode(shipped_path(DEFAULT_STREAM, ".rcb").read_bytes(), wanted.__setitem__)
    assert set(taps) == set(wanted)
    assert all(np.array_equal(taps[name], wanted[name]) for name in wanted)
    y, z = photograph_latents()
    assert np.array_equal(y, wanted["y"])
    assert np.array_equal(z, wanted["z"])


def test_stream_taps_of_another_precision_have_the_same_latents(taps: Taps) -> None:
    recipe = load_recipe(shipped_path(recipe_name("w4a4"), ".json"))
    narrow = ScaleHyperprior.from_model(integerise(load_trained(shipped_path(DEFAULT_FLOAT)), recipe))
    found = stream_taps(narrow, None)
    assert np.array_equal(found["y"], taps["y"])
    assert np.array_equal(found["z"], taps["z"])
    assert not np.array_equal(found["x_hat"], taps["x_hat"])
    with pytest.raises(StreamError, match=r"^RC-STREAM-MODEL: "):
        stream_taps(narrow, str(shipped_path(DEFAULT_STREAM, ".rcb")))


def test_stream_taps_read_a_stream(codec: ScaleHyperprior, taps: Taps, tmp_path: Path) -> None:
    found = stream_taps(codec, str(shipped_path(DEFAULT_STREAM, ".rcb")))
    assert all(np.array_equal(found[name], taps[name]) for name in taps)
    for path in (tmp_path, tmp_path / "none.rcb"):
        with pytest.raises(FileError, match=r"^RC-FILE-READ: cannot read "):
            stream_taps(codec, str(path))
    (tmp_path / "cut.rcb").write_bytes(shipped_path(DEFAULT_STREAM, ".rcb").read_bytes()[:-1])
    with pytest.raises(StreamError, match=r"^RC-STREAM-TRUNCATED: "):
        stream_taps(codec, str(tmp_path / "cut.rcb"))


@pytest.mark.parametrize("latents", [(63, 32), (64, 31)])
def test_stream_taps_refuse_the_photograph_for_a_model_of_other_channels(
    latents: tuple[int, int], codec: ScaleHyperprior, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datapath, "photograph_latents", lambda: tuple(np.zeros((n, 4, 4)) for n in latents))
    with pytest.raises(HardwareError, match=r"^RC-HW-CONFIG: the shipped photograph does not fit this model"):
        stream_taps(codec, None)


def test_run_programs_gives_every_tensor(codec: ScaleHyperprior, taps: Taps) -> None:
    found = run_programs(codec, taps["y"][:, :4, :8], taps["z"][:, :1, :2])
    assert set(found) == {tensor.name for program in (codec.h_s, codec.g_s) for tensor in program.tensors}
    assert found["x_hat"].shape == (3, 64, 128)
    assert np.array_equal(found["indexes"], codec.h_s.run_plain(taps["z"][:, :1, :2]))


# --- layers and tiles


def test_layers_are_the_convolutions_in_decoding_order(codec: ScaleHyperprior) -> None:
    found = layers(codec)
    assert list(found) == list(SOURCES)
    assert all(program is (codec.h_s if name.startswith("h") else codec.g_s) for name, program in found.items())


@pytest.mark.parametrize("layer", SOURCES)
def test_layer_input_is_the_tensor_that_the_layer_reads(layer: str, codec: ScaleHyperprior, taps: Taps) -> None:
    assert np.array_equal(layer_input(codec, layer, taps, None), taps[SOURCES[layer]])
    assert layer_input(codec, layer, taps, SMALL_TILE).shape == (taps[SOURCES[layer]].shape[0], 2, 2)


@pytest.mark.parametrize(
    ("tile", "rows", "columns"),
    [
        ((1, 1), (2, 3), (3, 4)),
        ((2, 2), (2, 4), (3, 5)),
        ((3, 4), (1, 4), (2, 6)),
        ((6, 1), (0, 6), (3, 4)),
        ((1, 8), (2, 3), (0, 8)),
        ((6, 8), (0, 6), (0, 8)),
    ],
    ids=str,
)
def test_layer_input_takes_the_tile_from_the_middle(
    tile: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int], codec: ScaleHyperprior
) -> None:
    x = numbered((32, 6, 8))
    cut = layer_input(codec, "h_s.0", {"z_hat": x}, tile)
    assert np.array_equal(cut, x[:, rows[0] : rows[1], columns[0] : columns[1]])


@pytest.mark.parametrize("tile", [(0, 1), (1, 0), (-1, 1), (7, 8), (6, 9), (0, 0), (1 << 40, 1)])
def test_layer_input_refuses_tiles_that_do_not_fit(tile: tuple[int, int], codec: ScaleHyperprior) -> None:
    with pytest.raises(HardwareError, match=rf"^RC-HW-CONFIG: tile {tile[0]}x{tile[1]} does not fit 6x8") as caught:
        layer_input(codec, "h_s.0", {"z_hat": numbered((32, 6, 8))}, tile)
    assert caught.value.code == "RC-HW-CONFIG"


@pytest.mark.parametrize("layer", ["", "h_s.1", "h_s.6", "z_hat", "indexes", "g_s", "H_S.0"])
def test_layer_input_refuses_what_is_no_layer(layer: str, codec: ScaleHyperprior, taps: Taps) -> None:
    with pytest.raises(HardwareError, match=rf"^RC-HW-CONFIG: no layer '{layer}'; there are h_s\.0, .*, g_s\.6"):
        layer_input(codec, layer, taps, None)


# --- what a name stands for


def test_named_decode_of_a_model_is_that_of_its_photograph_or_stream(taps: Taps) -> None:
    for arguments in ((DEFAULT_MODEL,), (str(shipped_path(DEFAULT_MODEL, ".rcm")), None, None)):
        decoder, found = named_decode(*arguments)
        assert isinstance(decoder, ScaleHyperprior)
        assert set(found) == set(taps)
        assert np.array_equal(found["x_hat"], taps["x_hat"])


def test_named_decode_of_a_video_is_that_of_one_frame(clip: Path, tmp_path: Path) -> None:
    video = InrVideo.from_bytes(clip.read_bytes())
    for frame, wanted in ((None, 0), (0, 0), (3, 3)):
        decoder, found = named_decode(str(clip), None, frame)
        assert isinstance(decoder, InrVideo)
        assert found["t"].tolist() == [[[wanted]]]
        assert set(found) == set(video.formats())
        picture = found["picture"][:, : video.geometry.height, : video.geometry.width].transpose(1, 2, 0)
        assert np.array_equal(picture, video.decode(wanted))
    for frame in (-1, 5):
        with pytest.raises(RangeError, match=rf"^RC-RANGE: there are frames 0\.\.4, not {frame}"):
            named_decode(str(clip), None, frame)
    (tmp_path / "cut.rcv").write_bytes(clip.read_bytes()[:-1])
    with pytest.raises(StreamError, match=r"^RC-STREAM-TRUNCATED: "):
        named_decode(str(tmp_path / "cut.rcv"))


def test_named_decode_refuses_what_the_other_kind_takes(clip: Path) -> None:
    with pytest.raises(RangeError, match=r"^RC-USAGE: --stream is for models: an implicit video is a stream"):
        named_decode(str(clip), str(clip))
    with pytest.raises(RangeError, match=r"^RC-USAGE: --frame is for implicit videos"):
        named_decode(DEFAULT_MODEL, None, 0)
    with pytest.raises(FileError, match=r"^RC-FILE-READ: no file nowhere, and nothing shipped of that name \(balle"):
        named_decode("nowhere")


def test_layers_of_a_video_are_those_of_its_architecture(clip: Path) -> None:
    assert list(layers(named_decode(str(clip))[0])) == ["stem.0", "blocks.0", "blocks.1", "blocks.2", "head"]
    hinerv = InrVideo.of(tiny_video(HINERV, 1))
    assert "stages.0.0.expand" in layers(hinerv)
    with pytest.raises(HardwareError, match=r"^RC-HW-CONFIG: no layer 'stages\.0\.0\.depthwise'; there are stem, "):
        layer_input(hinerv, "stages.0.0.depthwise", {}, None)


# --- what is handed to the hardware


def test_simulate_hands_over_tile_lanes_and_wave(
    codec: ScaleHyperprior, taps: Taps, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    class Result:
        equal, mismatches, cycles, expected_cycles, load_cycles = True, 0, 11, 11, 5
        expected = np.zeros(8)

    def simulate_layer(program, layer, x, pi, po, vcd=None):
        seen.append((program.name, layer, x, pi, po, vcd))
        return Result

    monkeypatch.setattr(datapath, "simulate_layer", simulate_layer)
    report = simulate(codec, taps, "g_s.2", (4, 2), None, "wave.vcd")
    ((name, layer, x, pi, po, vcd),) = seen
    assert (name, layer, pi, po, vcd) == ("g_s", "g_s.2", 4, 2, "wave.vcd")
    height, width = taps["g_s.1"].shape[1:]
    middle = taps["g_s.1"][:, height // 2 - 1 : height // 2 + 1, width // 2 - 1 : width // 2 + 1]
    assert np.array_equal(x, middle)
    assert report.passed
    assert json.loads(json.dumps(report.as_json())) == {
        "layer": "g_s.2", "passed": True, "values": 8, "different": 0,
        "cycles": 11, "expected_cycles": 11, "load_cycles": 5,
    }  # fmt: skip
    assert report.as_text() == "g_s.2: 8 values, 0 different, 11 cycles, 11 by the formula"


def test_simulate_without_a_tile_takes_small_pictures(model: Model, tmp_path: Path, monkeypatch) -> None:
    from refcodec.models.encoder import encode_picture

    (tmp_path / "small.rcb").write_bytes(encode_picture(np.zeros((8, 8, 3), np.uint8), model))
    monkeypatch.setattr(datapath, "simulate_layer", lambda program, layer, x, *lanes, vcd: x.shape)
    small = named_decode(DEFAULT_MODEL, str(tmp_path / "small.rcb"))
    simulate(*small, "h_s.0", (8, 8), None, None)


def test_convert_hands_over_the_whole_layer_or_a_tile(
    codec: ScaleHyperprior, taps: Taps, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(datapath, "convert_layer", lambda *arguments: seen.append(arguments) or {"files": []})
    convert(codec, taps, "h_s.2", (8, 4), None, "vhdl", "rtl")
    convert(codec, taps, "h_s.2", (8, 4), (1, 3), "verilog", "rtl")
    (program, layer, x, *rest), (_, _, tile, *_) = seen
    assert (program.name, layer) == ("h_s", "h_s.2")
    assert rest == ["vhdl", "rtl", 8, 4]
    assert np.array_equal(x, taps["h_s.1"])
    assert tile.shape == (32, 1, 3)


@pytest.mark.parametrize(
    ("states", "passed"),
    [
        (("passed",), True),
        (("passed", "skipped"), True),
        (("passed", "failed"), False),
        (("failed",), False),
        (("skipped", "skipped"), False),
        ((), False),
    ],
)
def test_cosim_report_needs_one_pass_and_no_failure(states: tuple[str, ...], passed: bool) -> None:
    report = CosimReport([CosimResult("icarus", state, "why", 0, 1, 1, 0.5) for state in states])
    assert report.passed is passed
    assert report.as_json()["passed"] is passed
    assert json.loads(json.dumps(report.as_json()))["simulators"] == report.as_json()["simulators"]
    assert report.as_text().count("icarus") == len(states)
