"""Latents in files: numbers of any kind come as float32, anything else is refused by its code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from refcodec.errors import FileError, RangeError, ShapeError
from refcodec.models.latent_file import read_latent, write_latent


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int16", "uint8"])
def test_read_latent_takes_numbers_of_any_kind(dtype: str, tmp_path: Path) -> None:
    y = np.arange(24).reshape(2, 3, 4).astype(dtype)
    np.save(tmp_path / "y.npy", y)
    found = read_latent(tmp_path / "y.npy", 2)
    assert found.dtype == np.float32
    assert np.array_equal(found, y)


def test_read_latent_refuses_other_arrays(tmp_path: Path) -> None:
    path = tmp_path / "y.npy"
    kinds = [("f4", (3, 4, 4)), ("f4", (2, 4)), ("f4", (2, 0, 4)), ("?", (2, 4, 4)), ("c8", (2, 1, 1))]
    for dtype, shape in kinds:
        np.save(path, np.zeros(shape, dtype))
        with pytest.raises(ShapeError, match=r"^RC-SHAPE: .*y\.npy: wanted numbers \(2, H, W\), got "):
            read_latent(path, 2)
    for value in (np.nan, np.inf):
        np.save(path, np.full((2, 1, 1), value))
        with pytest.raises(RangeError, match=r"^RC-RANGE: .*y\.npy: holds what is no finite number"):
            read_latent(path, 2)


@pytest.mark.parametrize("content", [b"", b"words", b"\x93NUMPY", b"\x93NUMPY\x01\x00v\x00{'descr': '|O', "])
def test_read_latent_refuses_other_files(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "y.npy").write_bytes(content)
    with pytest.raises(FileError, match=r"^RC-FILE-READ: .*y\.npy is not an \.npy file"):
        read_latent(tmp_path / "y.npy", 2)


def test_read_latent_refuses_objects_archives_and_what_is_not_there(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    np.savez(tmp_path / "y.npz", a=np.zeros((2, 1, 1)))
    for name in ("objects.npy", "y.npz", "none.npy"):
        with pytest.raises(FileError, match=rf"^RC-FILE-READ: .*{name}"):
            read_latent(tmp_path / name, 2)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_write_latent_is_read_again(dtype: str, tmp_path: Path) -> None:
    y = np.arange(-12, 12).reshape(2, 3, 4).astype(dtype)
    write_latent(tmp_path / "y.npy", y)
    found = np.load(tmp_path / "y.npy")
    assert found.dtype == y.dtype
    assert np.array_equal(found, y)
    assert np.array_equal(read_latent(tmp_path / "y.npy", 2), y)


def test_write_latent_refuses_another_suffix(tmp_path: Path) -> None:
    with pytest.raises(RangeError, match=r"^RC-USAGE: .*y\.png: a latent is written as \.npy") as caught:
        write_latent(tmp_path / "y.png", np.zeros((1, 1, 1), np.int32))
    assert caught.value.code == "RC-USAGE"
    assert not (tmp_path / "y.png").exists()


def test_read_latent_refuses_numbers_beyond_single_precision(tmp_path: Path) -> None:
    np.save(tmp_path / "wide.npy", np.full((2, 1, 1), 1e300))
    with pytest.raises(RangeError, match=r"RC-RANGE: .*wide\.npy: holds what is no finite number"):
        read_latent(tmp_path / "wide.npy", 2)
