"""What quantisation may cost on Kodak photographs, against the float twin."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import quality
from refcodec.describe import table
from refcodec.models.shipped import DEFAULT_FLOAT, recipe_name, shipped_path
from refcodec.models.trained import load_trained

PICTURES = Path(__file__).parents[1] / os.environ.get("REFCODEC_DATA", "../shared/data") / "kodak"
PRECISIONS = ("w8a8", "w12a12", "w16a16")
slow = pytest.mark.slow


@pytest.fixture(scope="module")
def costs() -> dict[str, quality.Cost]:
    if not list(PICTURES.glob("kodim*.png")):
        pytest.skip("no Kodak photographs: set REFCODEC_DATA to a folder that holds kodak/kodim*.png")
    return {cost.precision: cost for cost in quality.measure(PICTURES, PRECISIONS)}


@slow
def test_quality_table_is_shown(costs: dict[str, quality.Cost], capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        [c.precision, f"{c.psnr:.3f}", f"{c.psnr_loss:.4f}", f"{c.worst_loss:.4f}", f"{100 * c.rate_change:+.3f}"]
        for c in costs.values()
    ]
    with capsys.disabled():
        print("\n" + table(rows, ["precision", "PSNR dB", "loss dB", "worst loss dB", "rate %"]))
    assert list(costs) == list(PRECISIONS)
    assert all(cost.worst_loss >= cost.psnr_loss for cost in costs.values())


@slow
def test_quality_of_the_float_twin_is_that_of_its_training_record(costs: dict[str, quality.Cost]) -> None:
    for cost in costs.values():
        assert cost.psnr + cost.psnr_loss == pytest.approx(28.926, abs=0.001)


@slow
def test_quality_of_w8a8_is_close_to_the_float_twin(costs: dict[str, quality.Cost]) -> None:
    assert costs["w8a8"].psnr_loss <= 0.12
    assert costs["w8a8"].worst_loss <= 0.25
    assert costs["w8a8"].rate_change <= 0.01


@slow
@pytest.mark.parametrize("precision", ["w12a12", "w16a16"])
def test_quality_of_wide_precisions_is_that_of_the_float_twin(precision: str, costs: dict[str, quality.Cost]) -> None:
    assert abs(costs[precision].psnr_loss) <= 0.01
    assert abs(costs[precision].rate_change) <= 0.001


# --- the measurement itself, on a made-up picture


def test_cost_measures_against_the_reference() -> None:
    trained = load_trained(shipped_path(DEFAULT_FLOAT))
    y, x = np.mgrid[:64, :64]
    picture = np.stack([2 * x, x + y, 255 - 2 * y], axis=2).astype(np.uint8)
    known = quality.reference(trained, picture)
    assert known.size > 0
    assert known.psnr > 25
    wide, narrow = (
        quality.cost(trained, [known, known], quality.load_recipe(shipped_path(recipe_name(precision), ".json")))
        for precision in ("w16a16", "w4a4")
    )
    assert wide.psnr == pytest.approx(known.psnr, abs=0.1)
    assert wide.psnr_loss == pytest.approx(known.psnr - wide.psnr)
    assert narrow.psnr_loss > 1
