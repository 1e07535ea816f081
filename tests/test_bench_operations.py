"""The bench of operations measures every kind, and stops where kernel and definition differ."""

from __future__ import annotations

import numpy as np
import pytest

import bench_operations
from refcodec.program.operations import KINDS


def test_samples_cover_every_kind_of_operation() -> None:
    assert set(bench_operations.samples()) == set(KINDS)


def test_measure_times_both(rng: np.random.Generator) -> None:
    plain, kernel = bench_operations.measure(bench_operations.samples()["crop"](rng), rng)
    assert plain > 0
    assert kernel > 0


def test_measure_stops_at_a_difference(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_operations, "definition", lambda program, inputs: np.zeros((64, 61, 57)))
    with pytest.raises(SystemExit, match=r"^crop: kernel and definition differ$"):
        bench_operations.measure(bench_operations.samples()["crop"](rng), rng)
