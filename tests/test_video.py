"""Clips in and out: folders of pictures, GIFs, and what is none."""

from __future__ import annotations

import re
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest

from refcodec.codecs import video
from refcodec.codecs.picture import write_picture
from refcodec.codecs.video import read_clip, write_clip
from refcodec.errors import FileError, VideoError


@pytest.fixture
def frames(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (4, 7, 10, 3), np.uint8, endpoint=False)


@pytest.fixture
def folder(frames: np.ndarray, tmp_path: Path) -> Path:
    """Names whose order is not that of writing; a note and a hidden folder beside them."""
    home = tmp_path / "clip"
    home.mkdir()
    for name, number in (("b.png", 1), ("d.bmp", 3), ("a.png", 0), ("c.ppm", 2)):
        write_picture(home / name, frames[number])
    (home / "notes.txt").write_text("no picture")
    (home / "e.png").mkdir()
    return home


def test_folder_is_read_in_the_order_of_its_names(folder: Path, frames: np.ndarray) -> None:
    clip = read_clip(folder)
    assert clip.dtype == np.uint8
    np.testing.assert_array_equal(clip, frames)
    np.testing.assert_array_equal(read_clip(str(folder)), frames)


@pytest.mark.parametrize(
    ("size", "rows", "columns"), [((7, 10), (0, 7), (0, 10)), ((4, 5), (1, 5), (2, 7)), ((1, 1), (3, 4), (4, 5))]
)
def test_middle_is_kept(
    size: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int], folder: Path, frames: np.ndarray
) -> None:
    np.testing.assert_array_equal(read_clip(folder, size), frames[:, slice(*rows), slice(*columns)])


def test_grey_becomes_three_equal_channels(folder: Path, frames: np.ndarray) -> None:
    write_picture(folder / "b.png", frames[1, :, :, 0])
    clip = read_clip(folder)
    for channel in range(3):
        np.testing.assert_array_equal(clip[1, :, :, channel], frames[1, :, :, 0])


def test_folder_that_was_written_is_read_back(frames: np.ndarray, tmp_path: Path) -> None:
    write_clip(tmp_path / "out", [12, 3, 10000, 7], iter(frames))
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["00003.png", "00007.png", "00012.png", "10000.png", "SHA256SUMS"]
    np.testing.assert_array_equal(read_clip(tmp_path / "out"), frames[[1, 3, 0, 2]])
    write_clip(tmp_path / "out", [1, 1], iter(frames[:2]))
    np.testing.assert_array_equal(read_clip(tmp_path / "out"), frames[1:2])
    assert (tmp_path / "out" / "0001.png").exists()


def test_gif_that_was_written_is_read_back(tmp_path: Path) -> None:
    """Few colours, which a GIF keeps exactly."""
    frames = np.zeros((5, 6, 8, 3), np.uint8)
    for number in range(5):
        frames[number, number, 2:6] = (255, 51 * number, 0)
    write_clip(tmp_path / "clip.GIF", range(5), iter(frames))
    np.testing.assert_array_equal(read_clip(tmp_path / "clip.GIF"), frames)
    with imageio.imopen(tmp_path / "clip.GIF", "r", plugin="pillow") as file:
        assert file.metadata()["duration"] == 40


def refused(path: Path, code: str, message: str, size: tuple[int, int] | None = None) -> None:
    with pytest.raises(VideoError, match=f"{code}: .*{re.escape(message)}"):
        read_clip(path, size)


def test_read_clip_refuses_what_is_no_clip(folder: Path, frames: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"RC-FILE-READ: cannot read .*nowhere: no such file or folder"):
        read_clip(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "RC-VIDEO-READ", "holds no pictures")
    for name in ("noise.mp4", "noise.gif", "noise"):
        (tmp_path / name).write_bytes(b"GIF89a and then nothing of the kind")
        refused(tmp_path / name, "RC-VIDEO-READ", "is not a clip that imageio reads")
    refused(folder, "RC-VIDEO-FORMAT", "a.png is 10x7, which has no middle of 5x8", (8, 5))
    refused(folder, "RC-VIDEO-FORMAT", "which has no middle of 0x3", (3, 0))
    write_picture(folder / "d.bmp", frames[3, :6])
    refused(folder, "RC-VIDEO-FORMAT", "d.bmp is 10x6, the first frame 10x7")
    np.testing.assert_array_equal(read_clip(folder, (6, 10))[3], frames[3, :6])
    (folder / "b.png").write_bytes(b"nonsense")
    refused(folder, "RC-VIDEO-READ", "b.png is not a readable picture")


def test_read_clip_refuses_sixteen_bits_and_more_than_memory_holds(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imageio.imwrite(folder / "a.png", np.zeros((7, 10), np.uint16), plugin="pillow")
    refused(folder, "RC-VIDEO-READ", "samples are")
    (folder / "a.png").unlink()
    monkeypatch.setattr(video, "MAX_SAMPLES", 2 * 210)
    refused(folder, "RC-VIDEO-FORMAT", "holds more than 1048576 frames or 420 samples")
    monkeypatch.setattr(video, "MAX_FRAMES", 2)
    refused(folder, "RC-VIDEO-FORMAT", "holds more than 2 frames")


def test_write_clip_refuses_other_forms_and_leaves_nothing_behind(frames: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"RC-VIDEO-FORMAT: .*out.mp4: a clip is written as a folder of PNGs or as"):
        write_clip(tmp_path / "out.mp4", range(4), iter(frames))
    with pytest.raises(ValueError, match="shorter"):
        write_clip(tmp_path / "out", range(5), iter(frames))
    assert list(tmp_path.iterdir()) == []
