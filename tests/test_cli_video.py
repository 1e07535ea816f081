"""Implicit videos on the command line: decode to folders, GIFs, pictures and taps; info."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numba
import numpy as np
import pytest

from refcodec.cli import main
from refcodec.codecs.inr.codec import InrVideo
from refcodec.codecs.inr.stream import pack, tensor_sizes
from refcodec.codecs.picture import read_picture
from refcodec.codecs.video import read_clip
from refcodec.models.shipped import DEFAULT_CLIP, DEFAULT_STREAM, shipped_path
from refcodec.vectorgen.case import load_case
from refcodec.vectorgen.evaluate import Engine
from refcodec.vectorgen.tiny_videos import FFNERV, HINERV, NERV, tiny_video
from refcodec.vectorgen.verify import differences

Run = Callable[..., str]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Many tiny frames are quicker without threads that wait for each other."""
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; what it printed, or its one line of error."""

    def call(*words: object, status: int = 0) -> str:
        assert main([str(word) for word in words]) == status
        found = capsys.readouterr()
        assert (found.err == "") == (status == 0)
        return found.out if status == 0 else found.err

    return call


@pytest.fixture(scope="module")
def content() -> bytes:
    return pack(tiny_video(FFNERV, 21, 4, True))


@pytest.fixture(scope="module")
def frames(content: bytes) -> np.ndarray:
    video = InrVideo.from_bytes(content)
    return np.stack([video.decode(index) for index in range(video.frames)])


@pytest.fixture
def stream(content: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "clip.rcv"
    path.write_bytes(content)
    return path


def test_decode_takes_a_shipped_name(run: Run, tmp_path: Path) -> None:
    for name, suffix, options in ((DEFAULT_CLIP, ".rcv", ("--frames", "7")), (DEFAULT_STREAM, ".rcb", ())):
        by_name, by_path = tmp_path / "name.png", tmp_path / "path.png"
        run("decode", name, *options, "-o", by_name)
        run("decode", shipped_path(name, suffix), *options, "-o", by_path)
        assert by_name.read_bytes() == by_path.read_bytes()
    line = run("decode", "nothing", "-o", tmp_path / "p.png", status=2)
    assert f"RC-FILE-READ: no file nothing, and nothing shipped of that name ({DEFAULT_STREAM}, {DEFAULT_CLIP})" in line


def test_decode_writes_every_frame(stream: Path, frames: np.ndarray, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "frames"
    assert run("decode", stream, "-o", out) == f"{out}: 7 frames of 9x7\n"
    np.testing.assert_array_equal(read_clip(out), frames)


@pytest.mark.parametrize(
    ("text", "numbers"), [("2", [2]), ("0-6", range(7)), ("3-4", [3, 4]), ("5,3", [5, 3]), ("6, 0-1,3-3", [6, 0, 1, 3])]
)
@pytest.mark.parametrize("patches", [(), ("--patches", "3x4")], ids=["whole", "patches"])
def test_decode_writes_the_frames_that_were_asked_for(
    text: str, numbers: list[int], patches: tuple[str, ...], stream: Path, frames: np.ndarray, run: Run, tmp_path: Path
) -> None:
    run("decode", stream, "--frames", text, *patches, "-o", tmp_path / "some")
    names = [path.name for path in (tmp_path / "some").glob("*.png")]
    assert sorted(names) == sorted(f"{number:04d}.png" for number in numbers)
    for number in numbers:
        np.testing.assert_array_equal(read_picture(tmp_path / "some" / f"{number:04d}.png"), frames[number])


def test_decode_writes_a_gif_in_the_order_that_was_asked_for(
    stream: Path, frames: np.ndarray, run: Run, tmp_path: Path
) -> None:
    """Frames of 63 samples have no more colours than a GIF keeps."""
    out = tmp_path / "clip.gif"
    assert run("decode", stream, "--frames", "5,1-2", "-o", out) == f"{out}: 3 frames of 9x7\n"
    np.testing.assert_array_equal(read_clip(out), frames[[5, 1, 2]])


def test_decode_writes_one_frame_as_a_picture(stream: Path, frames: np.ndarray, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "frame.png"
    assert run("decode", stream, "--frames", "4", "-o", out) == f"{out}: 1 frame of 9x7\n"
    np.testing.assert_array_equal(read_picture(out), frames[4])


@pytest.mark.parametrize("name", ["frame.png", "folder", "frame.gif"])
def test_decode_writes_taps_as_a_case(
    name: str, stream: Path, content: bytes, frames: np.ndarray, run: Run, tmp_path: Path
) -> None:
    run("decode", stream, "--frames", "4", "--taps", tmp_path / "taps", "-o", tmp_path / name)
    case = load_case(tmp_path / "taps")
    assert case.parameters == {"frame": 4}
    np.testing.assert_array_equal(case.outputs["picture"].array, frames[4])
    assert {"t", "grids", "blocks.1.act", "head.accumulator"} <= set(case.taps)
    assert case.inputs["stream"].array.astype(np.uint8).tobytes() == content
    assert differences(case, Engine(False, {})) == differences(case, Engine(True, {})) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--frames", "7", "-o", "x"), "RC-RANGE: there are frames 0..6, not 7"),
        (("--frames", "5-9", "-o", "x"), "RC-RANGE: there are frames 0..6, not 9"),
        (("--frames", "8-9", "-o", "x"), "RC-RANGE: there are frames 0..6, not 8"),
        (("-o", "x.png"), "RC-USAGE: x.png holds one picture: choose a frame"),
        (("--frames", "1,2", "-o", "x.png"), "RC-USAGE: x.png holds one picture"),
        (("--taps", "t", "-o", "x"), "RC-USAGE: --taps takes one frame"),
        (("--taps", "t", "--frames", "1", "--patches", "2x2", "-o", "x"), "RC-USAGE: --taps and --patches exclude"),
        (("--patches", "0x2", "-o", "x"), "RC-RANGE: a patch has one sample or more, not 0 x 2"),
        (("--frames", "1", "-o", "x.mp4"), "RC-IMAGE-FORMAT: x.mp4: the suffix must name a lossless format"),
        (("--frames", "1", "--taps", "t", "-o", "x.mp4"), "RC-IMAGE-FORMAT: x.mp4"),
    ],
)
def test_decode_refuses_in_one_line_and_writes_nothing(
    words: tuple[str, ...], message: str, stream: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(stream.parent)
    said = run("decode", stream, *words, status=2)
    assert said.startswith(f"refcodec: {message}")
    assert said.count("\n") == 1
    assert [path.name for path in stream.parent.iterdir()] == ["clip.rcv"]


@pytest.mark.parametrize("text", ["", "a", "3-", "-3", "4-3", "1,,2", "1.5", "²"])
def test_decode_refuses_other_lists_of_frames(text: str, stream: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["decode", str(stream), f"--frames={text}", "-o", "x"])
    assert capsys.readouterr().err.startswith("refcodec: RC-USAGE: argument --frames: ")


def test_decode_refuses_choices_of_a_video_for_a_picture(run: Run, tmp_path: Path) -> None:
    picture = shipped_path(DEFAULT_STREAM, ".rcb")
    for words in (("--frames", "0"), ("--patches", "8x8")):
        said = run("decode", picture, *words, "-o", tmp_path / "x.png", status=2)
        assert said.startswith(f"refcodec: RC-USAGE: {words[0]} is for implicit videos, {picture} is a picture")


def test_decode_refuses_a_damaged_stream(stream: Path, content: bytes, run: Run, tmp_path: Path) -> None:
    stream.write_bytes(content[:-5] + bytes(5))
    said = run("decode", stream, "-o", tmp_path / "x", status=2)
    assert said.startswith("refcodec: RC-STREAM-CRC: the checksum of the tensors does not match (byte ")
    assert run("info", stream, status=2) == said
    assert not (tmp_path / "x").exists()


def test_decode_shows_no_progress_where_nobody_looks(stream: Path, run: Run, tmp_path: Path) -> None:
    """The fixture refuses anything on standard error, which is no terminal here."""
    run("decode", stream, "-o", tmp_path / "x")


@pytest.mark.parametrize(
    ("architecture", "network"),
    [
        (FFNERV, "grids 3x2 + 7x1 + 1x2 at 2x3; 3x3 -> 4 x2; 3x3 -> 3 x2; sigmoid"),
        (NERV, "sines and cosines at 2x2; 1x1 -> 5; 1x1 -> 24; 3x3 -> 4 x2; 3x3 -> 3 x2; 3x3 -> 3 x2; tanh"),
        (
            HINERV,
            "grids 4x2 + 2x3 at 2x3; 3x3 -> 6; x3, depth 2 -> 6; x2, depth 1 -> 3; x1, depth 1 -> 3; sigmoid",
        ),
    ],
)
def test_info_counts_every_byte(architecture: object, network: str, run: Run, tmp_path: Path) -> None:
    video = tiny_video(architecture, 22, 3)
    content = pack(video)
    path = tmp_path / "clip.rcv"
    path.write_bytes(content)
    found = json.loads(run("info", path, "--json"))
    assert found["network"] == network
    assert found["bytes"] == len(content)
    assert found["bytes"] == found["description_bytes"] + sum(
        t["step_bytes"] + t["value_bytes"] for t in found["tensors"]
    )
    samples = video.architecture.frames * video.architecture.width * video.architecture.height
    assert found["bits_per_pixel"] == 8 * len(content) / samples
    assert found["parameters"] == sum(tensor.values.size for tensor in video.parameters.values())
    assert [t["name"] for t in found["tensors"]] == list(video.parameters)
    assert found["architecture"]["kind"] == type(architecture).__name__.lower()
    lines = run("info", path).splitlines()
    assert lines[0].endswith(f" {len(content)} bytes ({found['bits_per_pixel']:.5f} bit per pixel), activations s16")
    assert lines[2] == network
    assert len(lines) == 7 + len(found["tensors"])
    for line, size in zip(lines[6:-1], tensor_sizes(content), strict=True):
        words = line.split()
        assert words[0] == size.name
        assert words[-3:-1] == [size.coder, str(size.value_bytes)]
