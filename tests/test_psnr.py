"""Peak signal-to-noise ratio."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from refcodec.errors import ImageError, ShapeError
from refcodec.metrics.psnr import psnr, psnr_channels

BLACK = np.zeros((2, 2, 3), np.uint8)
NO_ERROR = 10 * np.log10(255**2 / 1e-12)


def decibels(error: Fraction) -> float:
    return 10 * np.log10(float(255**2 / error))


def test_psnr_is_that_of_its_definition() -> None:
    assert psnr(BLACK, BLACK + 255) == 0.0
    one = BLACK.copy()
    one[0, 0, 0] = 12
    assert psnr(BLACK, one) == pytest.approx(decibels(Fraction(144, 12)), rel=1e-14)
    assert psnr(one, BLACK) == psnr(BLACK, one)


def test_psnr_of_random_pictures_is_that_of_exact_sums(rng: np.random.Generator) -> None:
    picture, decoded = rng.integers(0, 256, (2, 7, 5, 3), np.uint8)
    squares = [[0, 0], [0, 0], [0, 0]]
    for index in np.ndindex(picture.shape):
        channel = squares[index[2]]
        channel[0] += (int(picture[index]) - int(decoded[index])) ** 2
        channel[1] += 1
    wanted = [decibels(Fraction(total, count)) for total, count in squares]
    assert psnr_channels(picture, decoded) == pytest.approx(wanted, rel=1e-14)
    assert psnr(picture, decoded) == pytest.approx(
        decibels(Fraction(sum(total for total, _ in squares), sum(count for _, count in squares))), rel=1e-14
    )


def test_psnr_of_equal_pictures_is_finite() -> None:
    assert psnr(BLACK, BLACK) == pytest.approx(NO_ERROR) == pytest.approx(168.13, abs=0.01)


def test_psnr_channels_are_each_their_own() -> None:
    decoded = BLACK.copy()
    decoded[..., 0] = 255
    decoded[..., 2] = 51
    assert psnr_channels(BLACK, decoded) == pytest.approx((0.0, NO_ERROR, 20 * np.log10(5)))


def test_psnr_channels_of_grey_is_one_figure() -> None:
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert psnr_channels(grey, grey + 3) == (psnr(grey, grey + 3),)


@pytest.mark.parametrize("figure", [psnr, psnr_channels])
def test_psnr_refuses_what_cannot_be_compared(figure: Callable[..., object]) -> None:
    with pytest.raises(ImageError, match=r"^RC-IMAGE-FORMAT: decoded: samples are float64, not uint8$"):
        figure(BLACK, BLACK.astype(np.float64))
    with pytest.raises(ImageError, match=r"^RC-IMAGE-FORMAT: picture: samples are int8, not uint8$"):
        figure(BLACK.astype(np.int8), BLACK)
    with pytest.raises(
        ShapeError, match=r"^RC-SHAPE: picture \(2, 2, 3\) and decoded \(2, 1, 3\) must have one shape$"
    ):
        figure(BLACK, BLACK[:, :1])  # would broadcast
    for shape in ((4,), (2, 2, 4), (1, 2, 2, 3), (0, 2), (2, 0, 3)):
        with pytest.raises(ShapeError, match=r"^RC-SHAPE: picture must be \(H, W\) or \(H, W, 3\) and not empty, got "):
            figure(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))
