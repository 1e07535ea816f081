"""Figures of merit."""

from __future__ import annotations

import math

import numpy as np
import pytest

from refcodec.metrics import psnr


def test_psnr_is_that_of_its_definition() -> None:
    black = np.zeros((2, 2, 3), np.uint8)
    assert psnr(black, black + 255) == 0.0
    one = black.copy()
    one[0, 0, 0] = 12
    assert psnr(black, one) == pytest.approx(10 * np.log10(255**2 / (144 / 12)))
    assert psnr(one, black) == psnr(black, one)


def test_psnr_of_equal_pictures_is_finite() -> None:
    black = np.zeros((2, 2), np.uint8)
    assert 100 < psnr(black, black) < math.inf
