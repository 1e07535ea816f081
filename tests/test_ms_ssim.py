"""Multi-scale structural similarity, against a plain reading of the paper and against two other implementations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.signal import convolve2d

from refcodec.errors import ImageError, RangeError, ShapeError
from refcodec.metrics.ms_ssim import ms_ssim, ms_ssim_db, ms_ssim_possible

EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang, Simoncelli and Bovik 2003, section 3.2


# --- pictures made by formula, so that other programs can be given the same


def scene(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    planes = [x * x // 50 + 3 * y, x * y // 37, 255 - 255 * (x + y) // (height + width)]
    return np.stack(planes, axis=2).astype(np.uint8)


def quantised(picture: np.ndarray) -> np.ndarray:
    return picture // 24 * 24 + 12


def noisy(picture: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    noise = (7 * x * x + 13 * y * y + x * y) % 61 - 30
    return (picture + noise[:, :, None] * [1, 2, 3]).clip(0, 255).astype(np.uint8)


def brighter(picture: np.ndarray) -> np.ndarray:
    return picture // 2 + 100


def inverted(picture: np.ndarray) -> np.ndarray:
    return 255 - picture


# pytorch_msssim 1.0.0 on float64 tensors, its window given in float64 (by default it is rounded to float32).
OF_PYTORCH_MSSSIM = [
    (176, 192, quantised, 0.9303799284153357),
    (176, 192, noisy, 0.6705454996146721),
    (176, 192, brighter, 0.846321375965315),
    (176, 192, inverted, 0.0),
    (256, 320, quantised, 0.9360468969502224),
    (256, 320, noisy, 0.6940762765892999),
    (256, 320, brighter, 0.8494825002072638),
]
# tf.image.ssim_multiscale of TensorFlow 2.21.0, which computes in float32.
OF_TENSORFLOW = [
    (176, 192, quantised, 0.9303779602050781),
    (256, 320, noisy, 0.6940739154815674),
    (181, 203, quantised, 0.9308996200561523),
    (181, 203, noisy, 0.6739218235015869),
    (181, 203, brighter, 0.8458924293518066),
    (181, 203, inverted, 0.0),
    (161, 161, quantised, 0.9291233420372009),
    (161, 161, noisy, 0.6633287668228149),
    (161, 161, brighter, 0.8451158404350281),
]
Degrade = Callable[[np.ndarray], np.ndarray]


@pytest.mark.parametrize(("height", "width", "degrade", "wanted"), OF_PYTORCH_MSSSIM)
def test_ms_ssim_of_even_sides_is_that_of_pytorch_msssim(
    height: int, width: int, degrade: Degrade, wanted: float
) -> None:
    picture = scene(height, width)
    assert ms_ssim(picture, degrade(picture)) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize(("height", "width", "degrade", "wanted"), OF_TENSORFLOW)
def test_ms_ssim_of_any_sides_is_that_of_tensorflow(height: int, width: int, degrade: Degrade, wanted: float) -> None:
    picture = scene(height, width)
    assert ms_ssim(picture, degrade(picture)) == pytest.approx(wanted, abs=1e-5)


# --- the paper, term by term


def blurred(plane: np.ndarray) -> np.ndarray:
    window = np.array([[np.exp(-(i * i + j * j) / 4.5) for j in range(-5, 6)] for i in range(-5, 6)])
    return convolve2d(plane, window / window.sum(), mode="valid")


def naive_terms(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Equations 1 to 3 on one plane: l, and c times s with C3 = C2 / 2."""
    c1, c2 = 6.5025, 58.5225
    mean, mean_other = blurred(one), blurred(other)
    deviation, deviation_other = (
        np.sqrt(np.maximum(blurred(plane * plane) - average * average, 0))
        for plane, average in ((one, mean), (other, mean_other))
    )
    covariance = blurred(one * other) - mean * mean_other
    luminance = (2 * mean * mean_other + c1) / (mean**2 + mean_other**2 + c1)
    contrast = (2 * deviation * deviation_other + c2) / (deviation**2 + deviation_other**2 + c2)
    structure = (covariance + c2 / 2) / (deviation * deviation_other + c2 / 2)
    return luminance, contrast * structure


def naive_half(plane: np.ndarray) -> np.ndarray:
    height, width = plane.shape
    half = np.empty((-(-height // 2), -(-width // 2)))
    for y, x in np.ndindex(half.shape):
        rows, columns = (2 * y, min(2 * y + 1, height - 1)), (2 * x, min(2 * x + 1, width - 1))
        half[y, x] = sum(plane[row, column] for row in rows for column in columns) / 4
    return half


def naive_ms_ssim(one: np.ndarray, other: np.ndarray) -> float:
    """Equation 7 on one plane, a negative mean as 0."""
    result = 1.0
    for scale, exponent in enumerate(EXPONENTS):
        luminance, contrast_structure = naive_terms(one, other)
        term = (luminance * contrast_structure).mean() if scale == 4 else contrast_structure.mean()
        result *= max(term, 0) ** exponent
        one, other = naive_half(one), naive_half(other)
    return result


@pytest.mark.parametrize("shape", [(161, 163), (178, 164)])
def test_ms_ssim_is_that_of_the_paper(shape: tuple[int, int], rng: np.random.Generator) -> None:
    picture = scene(*shape)
    decoded = (picture + rng.normal(0, 9, picture.shape)).clip(0, 255).astype(np.uint8)
    decoded[40:80, 30:90] = 77
    wanted = [naive_ms_ssim(picture[..., c].astype(np.float64), decoded[..., c].astype(np.float64)) for c in range(3)]
    assert ms_ssim(picture, decoded) == pytest.approx(np.mean(wanted), abs=1e-11)
    for channel in range(3):
        assert ms_ssim(picture[..., channel], decoded[..., channel]) == pytest.approx(wanted[channel], abs=1e-11)
    assert np.ptp(wanted) > 0.01  # so that a wrong mixture of channels would show


# --- edges


def test_ms_ssim_of_equal_pictures_is_one() -> None:
    picture = scene(170, 200)
    assert ms_ssim(picture, picture) == 1.0
    assert ms_ssim_db(ms_ssim(picture, picture)) == pytest.approx(120)


def test_ms_ssim_falls_with_the_damage() -> None:
    picture = scene(170, 200)
    one = picture.copy()
    one[80, 90] ^= 1
    figures = [ms_ssim(picture, decoded) for decoded in (picture, one, quantised(picture), inverted(picture))]
    assert figures == sorted(set(figures), reverse=True)


def test_ms_ssim_never_exceeds_one_on_flat_pictures() -> None:
    flats = [np.full((161, 161), value, np.uint8) for value in (0, 1, 100, 101, 254, 255)]
    figures = [ms_ssim(one, other) for one in flats for other in flats]
    assert max(figures) == 1.0
    assert min(figures) == pytest.approx((6.5025 / (255**2 + 6.5025)) ** 0.1333, rel=1e-6)


def test_ms_ssim_cuts_what_rounding_puts_above_one(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = scene(170, 200)
    above = np.full((1, 1, 3), 1 + 1e-13)  # a gradient and the same one step brighter give 1 + 2e-15
    monkeypatch.setattr("refcodec.metrics.ms_ssim._similarity_maps", lambda one, other: (above, above))
    assert ms_ssim(picture, picture) == 1.0


@pytest.mark.parametrize(("shape", "possible"), [((161, 161), True), ((160, 400, 3), False), ((400, 160), False)])
def test_ms_ssim_needs_room_for_five_scales(shape: tuple[int, ...], possible: bool) -> None:
    assert ms_ssim_possible(shape) is possible
    picture = np.zeros(shape, np.uint8)
    if possible:
        assert ms_ssim(picture, picture) == 1.0
    else:
        with pytest.raises(
            ShapeError, match=r"^RC-SHAPE: MS-SSIM needs sides of at least 161 samples, got \(\d+, \d+\)$"
        ):
            ms_ssim(picture, picture)


def test_ms_ssim_refuses_what_cannot_be_compared() -> None:
    picture = scene(170, 200)
    with pytest.raises(ShapeError, match="must have one shape"):
        ms_ssim(picture, picture[:, :199])
    with pytest.raises(ImageError, match="picture: samples are float32, not uint8"):
        ms_ssim(picture.astype(np.float32), picture)


def test_ms_ssim_db_is_that_of_its_definition() -> None:
    assert ms_ssim_db(0.0) == 0.0
    assert ms_ssim_db(0.9) == pytest.approx(10)
    assert ms_ssim_db(0.995) == pytest.approx(-10 * np.log10(0.005))
    for similarity in (-0.001, 1.001, float("nan")):
        with pytest.raises(RangeError, match=r"^RC-RANGE: a similarity lies in 0 \.\. 1, got "):
            ms_ssim_db(similarity)
