"""Bits of each layer: the best choice of all, and what it is chosen by."""

from __future__ import annotations

import naive_inr_quantise as naive
import numpy as np
import pytest
from tiny_trained import HNERV, fitted, moving_picture

from refcodec.codecs.inr.stream import pack
from refcodec.errors import RangeError
from refcodec.quantize.inr import allocation
from refcodec.quantize.inr.allocation import Table, allocate, measure
from refcodec.quantize.inr.hessian import omega
from refcodec.quantize.inr.objective import Objective
from refcodec.quantize.inr.uniform import dequantise, quantise, weight_names


def drawn_table(layers: int, seed: int, choices: tuple[int, ...] = (2, 3, 4, 5)) -> Table:
    """Layers of unequal size and weight whose errors fall with bits and are correlated."""
    draw = np.random.default_rng(seed)
    changes = draw.standard_normal((layers, len(choices), 12)) * 2.0 ** -np.array(choices)[:, None]
    changes += 0.5 * changes.mean(axis=(0, 1))
    changes *= np.exp(draw.normal(0, 1, (layers, 1, 1)))
    pairs = np.einsum("lbi,mci->lbmc", changes, changes)
    sizes = np.round(np.exp(draw.normal(5, 1, (layers, 1))) * np.array(choices))
    return Table(tuple(f"layer {k}" for k in range(layers)), choices, pairs, sizes, 100.0)


def limits(table: Table, part: float) -> tuple[float, float]:
    """Sizes that a part of all choices has, about."""
    sizes = table.sizes.sum(axis=0) + table.fixed
    most = float(sizes[0] + part * (sizes[-1] - sizes[0]))
    return 0.95 * most, most


@pytest.mark.parametrize("part", [0.1, 0.45, 0.8])
@pytest.mark.parametrize("seed", range(4))
def test_allocate_finds_the_least_omega_of_all(seed: int, part: float) -> None:
    table = drawn_table(5, seed)
    least, most = limits(table, part)
    wanted = naive.best_choice(table.omegas.tolist(), table.sizes.tolist(), least - 100, most - 100)
    assert wanted is not None
    picks = table.picks(allocate(table, least, most))
    assert tuple(picks.tolist()) == wanted[1]
    assert table.omega(picks) == pytest.approx(wanted[0], rel=1e-9)
    assert least <= table.size(picks) <= most


@pytest.mark.parametrize("part", [0.1, 0.45, 0.8])
@pytest.mark.parametrize("seed", range(4))
def test_a_search_finds_about_as_little(seed: int, part: float, monkeypatch: pytest.MonkeyPatch) -> None:
    table = drawn_table(7, seed)
    least, most = limits(table, part)
    best = table.omega(table.picks(allocate(table, least, most)))
    monkeypatch.setattr(allocation, "MOST_COMBINATIONS", 1)
    picks = table.picks(allocate(table, least, most))
    assert table.omega(picks) <= 1.1 * best
    assert least <= table.size(picks) <= most


def test_allocate_minds_cross_terms() -> None:
    """Two layers whose errors cancel: apart, the third would be worth the byte more."""
    omegas = np.zeros((3, 2, 3, 2))
    omegas[0, 0, 0, 0] = omegas[1, 0, 1, 0] = 2.0
    omegas[2, 0, 2, 0] = 1.0
    omegas[0, 0, 1, 0] = omegas[1, 0, 0, 0] = -1.9
    table = Table(("a", "b", "c"), (3, 4), omegas, np.array([[10, 20]] * 3))
    assert allocate(table, 40, 40) == {"a": 3, "b": 3, "c": 4}


def test_a_search_of_many_layers_ends_within_the_sizes() -> None:
    table = drawn_table(20, 9, (3, 4, 5, 6))
    least, most = limits(table, 0.4)
    picks = table.picks(allocate(table, least, most))
    assert least <= table.size(picks) <= most
    uniform = np.ones(20, np.int64)  # 4 bits everywhere, a smaller stream
    assert table.omega(picks) < table.omega(uniform)


@pytest.mark.parametrize("combinations", [1, 1 << 20])
def test_sizes_that_no_choice_has_are_refused(combinations: int, monkeypatch: pytest.MonkeyPatch) -> None:
    table = drawn_table(4, 0)
    monkeypatch.setattr(allocation, "MOST_COMBINATIONS", combinations)
    with pytest.raises(RangeError, match="no choice of bits has a size of 0"):
        allocate(table, 0, table.smallest - 1)


def test_a_table_without_few_bits_keeps_the_others() -> None:
    table = drawn_table(3, 1)
    kept = table.at_least(4)
    assert kept.choices == (4, 5)
    picks = np.array([0, 1, 0])
    assert kept.omega(picks) == table.omega(picks + 2)
    assert kept.size(picks) == table.size(picks + 2)
    assert kept.smallest == table.size(np.array([2, 2, 2]))


def test_measured_sizes_and_omegas_are_those_of_streams() -> None:
    trained, frames = fitted(), moving_picture()
    objective = Objective.of(trained, frames)
    names, batches = weight_names(HNERV), [[1], [4]]
    table = measure(trained, objective, names, batches, (3, 5))
    assert table.names == tuple(names)
    bits = dict(zip(names, (5, 3, 3, 5, 3), strict=True))
    video = quantise(trained, bits)
    picks = table.picks(bits)
    assert abs(table.size(picks) - len(pack(video))) <= 4  # lengths in the description have one byte or two
    values = dequantise(video)
    change = {name: values[name] - trained.parameters[name] for name in names}
    assert table.omega(picks) == pytest.approx(omega(objective, trained.parameters, change, batches), rel=1e-4)
    assert table.bits(picks) == bits
    counted = table.in_bits(trained)
    assert counted.size(picks) == sum(trained.parameters[name].size * bits[name] for name in names)
