"""Pictures are read and written exactly or refused by a code, and padded by their edges."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
from peak_memory import DEFINITION
from PIL import Image

from refcodec.codecs.picture import geometry_of_shape, padded_planes, read_picture, write_picture
from refcodec.codecs.stream import Geometry
from refcodec.errors import FileError, ImageError, RangeError

LOSSLESS = (".png", ".bmp", ".ppm", ".tif", ".tiff", ".PNG")


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).integers(0, 256, shape).astype(np.uint8)


def png(width: int, height: int, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG of a declared size that holds next to nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


# --- reading and writing


@pytest.mark.parametrize("suffix", LOSSLESS)
@pytest.mark.parametrize("shape", [(1, 1, 3), (17, 33, 3), (5, 2), (1, 9)], ids=str)
def test_write_picture_and_read_picture_keep_every_sample(suffix: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    picture = noise(*shape)
    write_picture(tmp_path / f"p{suffix}", picture)
    again = read_picture(tmp_path / f"p{suffix}")
    assert again.dtype == np.uint8
    assert np.array_equal(again, picture)
    assert [path.name for path in tmp_path.iterdir()] == [f"p{suffix}"]


def test_write_picture_writes_grey_as_pgm(tmp_path: Path) -> None:
    write_picture(tmp_path / "p.pgm", noise(4, 6))
    assert (tmp_path / "p.pgm").read_bytes().startswith(b"P5")
    assert np.array_equal(read_picture(tmp_path / "p.pgm"), noise(4, 6))


@pytest.mark.parametrize("name", ["p.jpg", "p.jpeg", "p.webp", "p.gif", "p", "p.rcb", ".png"])
def test_write_picture_refuses_lossy_and_unknown_suffixes(name: str, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"^RC-IMAGE-FORMAT: .* the suffix must name a lossless format such as \.png"):
        write_picture(tmp_path / name, noise(4, 6, 3))
    assert list(tmp_path.iterdir()) == []


def test_write_picture_into_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"^RC-FILE-WRITE: cannot write "):
        write_picture(tmp_path / "none" / "p.png", noise(4, 6, 3))


def test_read_picture_takes_a_palette_as_its_colours(tmp_path: Path) -> None:
    picture = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [9, 9, 9]]], np.uint8)
    indexed = Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8), "L").convert("P")
    indexed.putpalette(picture.ravel().tolist())
    indexed.save(tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as stored:
        assert stored.mode == "P"
    assert np.array_equal(read_picture(tmp_path / "p.png"), picture)


# --- refusals on reading


def test_read_picture_refuses_missing_files_and_folders(tmp_path: Path) -> None:
    for path in (tmp_path / "none.png", tmp_path):
        with pytest.raises(FileError, match=r"^RC-FILE-READ: cannot read .*: no such file"):
            read_picture(path)


@pytest.mark.parametrize(
    "content", [b"", b"words", b"\x89PNG\r\n\x1a\n", bytes(100), b"BM", b"GIF89a", b"P6\n9 9\n255\n"]
)
def test_read_picture_refuses_what_is_no_picture(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(content)
    with pytest.raises(ImageError, match=r"^RC-IMAGE-READ: .*p\.png is not a readable picture"):
        read_picture(tmp_path / "p.png")


def test_read_picture_refuses_a_truncated_png_at_every_length(tmp_path: Path) -> None:
    imageio.imwrite(tmp_path / "whole.png", noise(20, 20, 3))
    whole = (tmp_path / "whole.png").read_bytes()
    for length in range(0, len(whole) - 20, 61):
        (tmp_path / "cut.png").write_bytes(whole[:length])
        with pytest.raises(ImageError, match=r"^RC-IMAGE-READ: .*cut\.png is not a readable picture"):
            read_picture(tmp_path / "cut.png")


@pytest.mark.parametrize("suffix", ["png", "bmp", "ppm", "tif", "gif", "jpg", "webp"])
def test_read_picture_of_damaged_files_fails_with_a_code_or_not_at_all(suffix: str, tmp_path: Path) -> None:
    Image.fromarray(noise(20, 24, 3)).save(tmp_path / f"whole.{suffix}")
    whole = (tmp_path / f"whole.{suffix}").read_bytes()
    rng = np.random.default_rng(len(whole))
    codes = set()
    for _ in range(40):
        damaged = bytearray(whole)
        for position in rng.integers(0, min(len(whole), 200), 3):
            damaged[position] = rng.integers(256)
        (tmp_path / f"p.{suffix}").write_bytes(damaged)
        try:
            codes.add(str(read_picture(tmp_path / f"p.{suffix}").dtype))
        except ImageError as error:
            codes.add(error.code)
    assert codes <= {"uint8", "RC-IMAGE-READ", "RC-IMAGE-FORMAT"}
    assert codes - {"uint8"}


@pytest.mark.parametrize(
    ("mode", "suffix", "message"),
    [
        ("RGBA", "png", r"got \(6, 7, 4\)"),
        ("LA", "png", r"got \(6, 7, 2\)"),
        ("CMYK", "jpg", r"got \(6, 7, 4\)"),
        ("1", "png", "samples are bool, not 8 bits"),
        ("I;16", "png", "samples are uint16, not 8 bits"),
        ("F", "tif", "samples are float32, not 8 bits"),
    ],
)
def test_read_picture_refuses_other_samples(mode: str, suffix: str, message: str, tmp_path: Path) -> None:
    Image.new(mode, (7, 6)).save(tmp_path / f"p.{suffix}")
    with pytest.raises(ImageError, match=f"^RC-IMAGE-FORMAT: .*p.{suffix}: .*{message}"):
        read_picture(tmp_path / f"p.{suffix}")


# Pillow before 13 takes an uncompressed YCbCr file for RGB and then finds its samples missing.
@pytest.mark.parametrize(("mode", "code"), [("LAB", "FORMAT"), ("YCbCr", "(FORMAT|READ)")])
def test_read_picture_refuses_other_colour_spaces(mode: str, code: str, tmp_path: Path) -> None:
    Image.new("RGB", (7, 6), (200, 30, 90)).save(tmp_path / "rgb.png")
    Image.new(mode, (7, 6), (200, 30, 90)).save(tmp_path / "p.tif")
    with pytest.raises(ImageError, match=f"^RC-IMAGE-{code}: "):
        read_picture(tmp_path / "p.tif")


def test_read_picture_refuses_an_animation(tmp_path: Path) -> None:
    frames = [Image.fromarray(noise(8, 8, 3)), Image.fromarray(255 - noise(8, 8, 3))]
    frames[0].save(tmp_path / "p.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match=r"^RC-IMAGE-FORMAT: .*got \(2, 8, 8, 3\)"):
        read_picture(tmp_path / "p.gif")


@pytest.mark.parametrize(
    ("width", "height", "code"),
    [
        (6000, 6000, "RC-IMAGE-FORMAT"),
        (70000, 3, "RC-IMAGE-FORMAT"),
        (3, 65536, "RC-IMAGE-FORMAT"),
        (5000, 5000, "RC-IMAGE-READ"),  # within the limits, but the samples are not there
        (60000, 60000, "RC-IMAGE-READ"),
        (2**31 - 1, 2**31 - 1, "RC-IMAGE-READ"),
        (2**32 - 1, 1, "RC-IMAGE-READ"),
        (0, 5, "RC-IMAGE-READ"),
    ],
)
def test_read_picture_refuses_absurd_dimensions(width: int, height: int, code: str, tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(png(width, height))
    with pytest.raises(ImageError) as caught:
        read_picture(tmp_path / "p.png")
    if code == "RC-IMAGE-FORMAT":
        assert caught.value.code == code
    assert caught.value.code in (code, "RC-IMAGE-FORMAT")


def test_read_picture_refuses_a_large_picture_without_a_warning(tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(png(10000, 10000))
    with pytest.raises(ImageError, match=r"^RC-IMAGE-FORMAT: .*at most 33554432 pixels.*got 10000x10000"):
        read_picture(tmp_path / "p.png")


def test_read_picture_of_absurd_dimensions_takes_no_memory(tmp_path: Path) -> None:
    script = DEFINITION + (
        "import sys\n"
        "import imageio.v3\nimport imageio.plugins.pillow\nimport refcodec.codecs.picture as p\n"
        "from refcodec.errors import ImageError\n"
        "before = peak()\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n        p.read_picture(path)\n"
        "    except ImageError:\n        continue\n"
        "    raise SystemExit('accepted')\n"
        "print(peak() - before)\n"
    )
    paths = []
    for number, (width, height) in enumerate([(60000, 60000), (9000, 9000), (65535, 513), (2**31 - 1, 2)]):
        paths.append(tmp_path / f"{number}.png")
        paths[-1].write_bytes(png(width, height))
    done = subprocess.run([sys.executable, "-c", script, *map(str, paths)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 30_000, "kB, where one 9000x9000 picture would take 243000"


# --- arrays


def test_geometry_of_shape_tells_grey_from_colour() -> None:
    assert geometry_of_shape((5, 7)) == Geometry(7, 5, 1)
    assert geometry_of_shape((5, 7, 3)) == Geometry(7, 5, 3)
    assert geometry_of_shape((65535, 512)) == Geometry(512, 65535, 1)


@pytest.mark.parametrize(
    "shape", [(), (5,), (5, 7, 1), (5, 7, 4), (1, 5, 7, 3), (0, 7), (5, 0, 3), (65536, 1), (65535, 513), (2**13, 2**13)]
)
def test_geometry_of_shape_refuses_others(shape: tuple[int, ...]) -> None:
    with pytest.raises(RangeError, match=r"^RC-RANGE: a picture "):
        geometry_of_shape(shape)


@pytest.mark.parametrize("shape", [(1, 1, 3), (17, 33, 3), (64, 64, 3), (65, 130, 3), (3, 200), (64, 1)], ids=str)
def test_padded_planes_repeat_the_last_row_and_column(shape: tuple[int, ...]) -> None:
    picture = noise(*shape)
    planes = padded_planes(picture, 64)
    height, width = (-(-n // 64) * 64 for n in shape[:2])
    assert planes.shape == (3, height, width)
    assert planes.dtype == np.uint8
    assert planes.flags.c_contiguous
    for y in range(height):
        row = picture[min(y, shape[0] - 1)]
        for x in (0, min(shape[1], width) - 1, shape[1] // 2, width - 1):
            assert planes[:, y, x].tolist() == np.broadcast_to(row[min(x, shape[1] - 1)], 3).tolist()
