"""Omega and products with the Hessian, against differences of gradients and against autograd's own operations."""

from __future__ import annotations

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad, hessian
from autograd.scipy.special import erf
from tiny_trained import HINERV, HNERV, moving_picture

from refcodec.codecs.inr.architecture import Architecture, Levels, Shuffled
from refcodec.codecs.inr.nodes import GELU, TANH
from refcodec.fit.start import initial_parameters
from refcodec.models.inr.pictures import samples
from refcodec.models.inr.twin import run
from refcodec.quantize.inr.hessian import Change, curvature, hessian_products, omega
from refcodec.quantize.inr.objective import Objective

NUMBERS = [1, 4]


def problem(architecture: Architecture) -> tuple[Objective, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """An error in float64, parameters, and a change of all of them."""
    frames = moving_picture()
    wanted = samples(frames, range(len(frames))).astype(np.float64)[:, :, : architecture.height, : architecture.width]
    start = {k: v.astype(np.float64) for k, v in initial_parameters(architecture, frames, 0).items()}
    draw = np.random.default_rng(1)
    change = {name: 0.1 * draw.standard_normal(array.shape) for name, array in start.items()}
    return Objective(architecture, wanted), start, change


@pytest.mark.parametrize("architecture", [HNERV, HINERV], ids=["hnerv", "hinerv"])
def test_products_are_differences_of_gradients(architecture: Architecture) -> None:
    objective, start, change = problem(architecture)
    slope = grad(lambda given: objective.error(given, NUMBERS))
    reach = 1e-4
    ends = [slope({name: array + sign * reach * change[name] for name, array in start.items()}) for sign in (1, -1)]
    (product,) = hessian_products(objective, start, NUMBERS, [change])
    largest = max(np.abs(array).max() for array in product.values())
    for name, found in product.items():
        wanted = (ends[0][name] - ends[1][name]) / (2 * reach)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6 * largest)


def test_products_are_those_of_the_whole_hessian_by_autograd_alone() -> None:
    # frames as columns: an embedding, a hidden layer and a head in autograd's own functions
    architecture = Shuffled(6, 1, 1, (1, 1), (Levels(6, 2),), True, (), False, (3,), (True,), (), GELU, 1, TANH)
    objective, start, change = problem(architecture)
    sizes = {name: array.size for name, array in start.items()}

    def error(flat: object) -> object:
        parts, place = {}, 0
        for name, size in sizes.items():
            parts[name] = flat[place : place + size].reshape(start[name].shape)
            place += size
        inputs = parts["grids.0"][:, :, 0, 0].T[:, NUMBERS]
        hidden = anp.dot(parts["stem.0.weight"][:, :, 0, 0], inputs) + parts["stem.0.bias"][:, None]
        hidden = 0.5 * hidden * (1 + erf(hidden / 2**0.5))
        out = anp.dot(parts["head.weight"][:, :, 0, 0], hidden) + parts["head.bias"][:, None]
        return anp.mean((0.5 * anp.tanh(out) + 0.5 - objective.wanted[:, NUMBERS, 0, 0]) ** 2)

    flat, direction = (np.concatenate([array.ravel() for array in held.values()]) for held in (start, change))
    whole = hessian(error)(flat)
    (product,) = hessian_products(objective, start, NUMBERS, [change])
    found = np.concatenate([product[name].ravel() for name in sizes])
    np.testing.assert_allclose(found, whole @ direction, rtol=1e-9, atol=1e-12)
    assert omega(objective, start, change, [NUMBERS]) == pytest.approx(direction @ whole @ direction, rel=1e-9)


def test_omega_is_the_second_difference_of_the_error_where_it_is_least() -> None:
    """With the network's own pictures as the target the error rises by Omega / 2."""
    _, start, change = problem(HNERV)
    reached = Objective(HNERV, run(HNERV.nodes(), start, range(HNERV.frames), HNERV.frames))
    scale = 1e-4
    moved = {name: array + scale * change[name] for name, array in start.items()}
    found = omega(reached, start, change, [NUMBERS])
    assert found > 0
    assert reached.error(moved, NUMBERS) / scale**2 == pytest.approx(found / 2, rel=1e-3)


def test_pairs_of_changes_add_up_to_omega() -> None:
    objective, start, change = problem(HNERV)
    names, batches = ["stem.0.weight", "blocks.1.weight", "head.weight", "grids.0"], [[0], [2, 5]]
    pairs = curvature(objective, start, [Change(name, change[name]) for name in names], batches)
    np.testing.assert_array_equal(pairs, pairs.T)
    whole = omega(objective, start, {name: change[name] for name in names}, batches)
    assert pairs.sum() == pytest.approx(whole, rel=1e-9)
    assert abs(pairs.sum() - np.trace(pairs)) > 1e-3 * abs(whole)  # cross terms count
    assert pairs[1, 1] == pytest.approx(omega(objective, start, {names[1]: change[names[1]]}, batches), rel=1e-9)
