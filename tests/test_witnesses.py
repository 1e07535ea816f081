"""Cases of the bounds that the audit proves: the sums take them, and one bit less would not hold them."""

from __future__ import annotations

import numpy as np
import pytest

from refcodec.vectorgen.case import Case
from refcodec.vectorgen.evaluate import Engine
from refcodec.vectorgen.verify import differences
from refcodec.vectorgen.witnesses import witness_cases

CASES = {case.id: case for case in witness_cases()}
SUMS = [case for case in CASES.values() if "accumulator" in case.outputs]


def test_witness_cases_hold_both_ends_of_every_layer_of_both_models() -> None:
    layers = {case.id.rsplit("-", 1)[0] for case in SUMS}
    assert len(layers) == 14  # four of synthesis and three of the hyper-decoder, of two models
    assert len(SUMS) == 2 * len(layers)
    assert sum(case.error is not None for case in CASES.values()) == len(layers)


@pytest.mark.parametrize("case", SUMS, ids=lambda case: case.id)
def test_witness_reaches_the_bound_by_an_independent_sum(case: Case) -> None:
    """The bound from the weights alone: each tap of the phase with the input that helps it most."""
    weight, bias = case.inputs["weight"].array[0], int(case.inputs["bias"].array[0])
    y = case.outputs["accumulator"].array
    stem = case.id.rsplit("-", 1)[0]
    both = [CASES[f"{stem}-{end}"].inputs["x"].array for end in ("lo", "hi")]
    # between them, the two inputs put every channel at both of its ends, unless it has weights of one sign only
    lo, hi = (pick([pick(x, axis=(1, 2)) for x in both], axis=0)[:, None, None] for pick in (np.min, np.max))
    found = int(y.max()) if case.id.endswith("-hi") else int(y.min())
    stride = case.parameters["stride"]
    phases = [(0, 0)] if "output_padding" not in case.parameters else list(np.ndindex(stride, stride))
    step = 1 if len(phases) == 1 else stride
    taps = [weight[:, a::step, b::step] for a, b in phases]
    if case.id.endswith("-hi"):
        assert found == max(int(np.where(w > 0, w * hi, w * lo).sum()) for w in taps) + bias
    else:
        assert found == min(int(np.where(w > 0, w * lo, w * hi).sum()) for w in taps) + bias


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.id)
def test_golden_model_agrees(case: Case) -> None:
    for plain in (False, True):
        assert differences(case, Engine(plain, {})) == []
