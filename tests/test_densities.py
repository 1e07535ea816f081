"""Tables made from densities equal those that CompressAI made; the shipped integers are what they claim to be."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import naive_entropy as naive
import numpy as np
import pytest
from safetensors.numpy import load_file

from refcodec.errors import ModelError
from refcodec.models import densities
from refcodec.models.densities import (
    SCALE_TABLE_BITS,
    WIDTHS,
    build_gaussian_tables,
    carried_tables,
    factorised_tables,
    gaussian_tables,
)

MODELS = Path(os.environ.get("REFCODEC_DATA", "../shared/data")).parent / "models"
NAMES = [f"balle2018-{backbone}-n32-m64-lambda{weight}" for backbone in ("gdn", "relu") for weight in ("0035", "0130")]
BOTTLENECK, GAUSSIAN = "entropy_bottleneck.", "gaussian_conditional."


def load_model(name):
    path = MODELS / f"{name}.safetensors"
    if not path.is_file():
        pytest.skip(f"missing {path}")
    return load_file(path)


def make_density(channels=3, seed=0, prefix=BOTTLENECK):
    """Random parameters near those of a trained density, with windows of different lengths."""
    rng = np.random.default_rng(seed)
    parameters = {}
    for i in range(len(WIDTHS) - 1):
        shape = (channels, WIDTHS[i + 1])
        parameters[f"{prefix}matrices.{i}"] = rng.normal(-0.2, 0.3, (*shape, WIDTHS[i])).astype(np.float32)
        parameters[f"{prefix}biases.{i}"] = rng.uniform(-0.5, 0.5, (*shape, 1)).astype(np.float32)
        if i < len(WIDTHS) - 2:
            parameters[f"{prefix}factors.{i}"] = rng.normal(0, 0.5, (*shape, 1)).astype(np.float32)
    quantiles = np.array([[-4.3 - c, 0.3 * c, 6.2 + 3 * c] for c in range(channels)], np.float32)
    return parameters | {f"{prefix}quantiles": quantiles[:, None, :]}


# --- factorised


@pytest.mark.parametrize("name", NAMES)
def test_factorised_equals_carried(name):
    parameters = load_model(name)
    built, carried = factorised_tables(parameters), carried_tables(parameters, BOTTLENECK)
    differing = int((built.values != carried.values).sum()) if built.values.size == carried.values.size else -1
    assert (differing, built.digest()) == (0, carried.digest())


def naive_probabilities(parameters, channel):
    """The window of one channel in double precision, the escape's probability last."""
    layers = [
        [parameters[f"{BOTTLENECK}{kind}.{i}"][channel].astype(float).tolist() for i in range(count)]
        for kind, count in (("matrices", 5), ("biases", 5), ("factors", 4))
    ]
    quantiles = parameters[f"{BOTTLENECK}quantiles"].astype(float)[:, 0]
    windows = [(np.ceil(median - low), np.ceil(high - median)) for low, median, high in quantiles]
    longest = int(max(below + above for below, above in windows))
    below, above = windows[channel]
    first = quantiles[channel, 1] - below

    def cumulative(v):
        return naive.sigmoid(naive.factorised_logit(*layers, float(v)))

    inside = [cumulative(first + k + 0.5) - cumulative(first + k - 0.5) for k in range(int(below + above) + 1)]
    return [*inside, cumulative(first - 0.5) + 1 - cumulative(first + longest + 0.5)], int(-below)


def test_factorised_is_near_double_precision():
    """Judges the formula, not the last bit: a count may move by one, and the row's sum by one per entry."""
    parameters = make_density(seed=6)
    tables = factorised_tables(parameters)
    for channel in range(3):
        probabilities, offset = naive_probabilities(parameters, channel)
        wanted = naive.quantise(naive.round_probabilities(probabilities))
        assert tables.offsets[channel] == offset
        assert len(wanted) == tables.lengths[channel]
        assert np.abs(tables.row(channel) - np.array(wanted)).max() <= 2


def test_factorised_accepts_old_names_and_any_prefix():
    present = make_density(prefix="x.")
    kinds = {"matrices.": "_matrix", "biases.": "_bias", "factors.": "_factor"}
    old = {}
    for name, array in present.items():
        for kind, short in kinds.items():
            name = name.replace(kind, short)
        old[name] = array
    assert {"x._matrix0", "x._bias4", "x._factor3", "x.quantiles"} < set(old)
    assert factorised_tables(old, "x.").digest() == factorised_tables(present, "x.").digest()


def test_factorised_needs_every_parameter():
    parameters = make_density()
    for name in parameters:
        with pytest.raises(ModelError, match=f"^RC-CHECKPOINT-PARAMETER: {name}: missing"):
            factorised_tables({other: array for other, array in parameters.items() if other != name})


def test_factorised_refuses_misshapen_and_infinite_parameters():
    parameters = make_density()
    for name, array in parameters.items():
        poisoned = array.copy()
        poisoned.flat[-1] = np.inf if name.endswith("0") else np.nan
        for bad, message in (
            (array[..., :0], "wanted float32"),
            (array.astype(float), "got float64"),
            (poisoned, "finite"),
        ):
            with pytest.raises(ModelError, match=f"^RC-CHECKPOINT-PARAMETER: {name}: .*{message}"):
                factorised_tables(parameters | {name: bad})
    with pytest.raises(ModelError, match=r"quantiles: wanted float32 \(1, 1, 3\), got float32 \(0, 1, 3\)"):
        factorised_tables(parameters | {f"{BOTTLENECK}quantiles": np.zeros((0, 1, 3), np.float32)})


@pytest.mark.parametrize("quantiles", [[-40000, 0, 5], [-5, 0, 1e30], [-5, 32768, 32770]])
def test_factorised_refuses_windows_outside_int16(quantiles):
    parameters = make_density(channels=1) | {f"{BOTTLENECK}quantiles": np.array([[quantiles]], np.float32)}
    with pytest.raises(ModelError, match="quantiles: wanted quantiles less than 32768 from the median"):
        factorised_tables(parameters)


def test_factorised_refuses_a_window_without_probability():
    """Channel 1's window lies far below its density, and the longest window ends far above."""
    parameters = make_density(channels=2)
    parameters[f"{BOTTLENECK}quantiles"] = np.array([[[-1, 0, 2000]], [[-1001, -1000, -999]]], np.float32)
    with pytest.raises(ModelError, match="quantiles: channel 1 has no probability"):
        factorised_tables(parameters)


def test_factorised_window_holds_the_median():
    """Quantiles on the wrong side of the median, as an auxiliary loss can leave them, count as the median."""
    parameters = make_density(channels=2)
    parameters[f"{BOTTLENECK}quantiles"] = np.array([[[1.5, 0, 2]], [[-3, 0, -1.5]]], np.float32)
    tables = factorised_tables(parameters)
    assert tables.offsets.tolist() == [0, -3]
    assert (tables.lengths - 2).tolist() == [3, 4]


# --- Gaussian


def test_scale_table_bits_are_the_published_ones():
    table = np.array(SCALE_TABLE_BITS, "<u4")
    digest = hashlib.sha256(table.tobytes()).hexdigest()
    assert digest == "c8bdaad683932b580eaf8e0cfb2934d4872c4033cb5955af5d75056c85e98e06"
    assert table.view("<f4")[[0, 63]].tolist() == [float(np.float32(0.11)), 256.0]


def test_gaussian_tables_are_the_published_ones():
    tables = gaussian_tables()
    cdf, lengths, offsets = tables.padded()
    assert hashlib.sha256(cdf.astype("<i4").tobytes()).hexdigest() == (
        "482d4620b3eb5802ce87f395fc613344f81fa5e5bfeeedae43cb3416ad9eb947"
    )
    assert (cdf.shape, tables.values.size) == ((64, 3133), 27256)
    assert tables.row(0).tolist() == [0, 1, 65534, 65535, 65536]
    assert np.array_equal(-offsets * 2 + 3, lengths)


def test_gaussian_tables_can_be_rebuilt():
    assert build_gaussian_tables().digest() == gaussian_tables().digest()


@pytest.mark.parametrize("name", NAMES)
def test_gaussian_equals_carried(name):
    parameters = load_model(name)
    assert carried_tables(parameters, GAUSSIAN).digest() == gaussian_tables().digest()
    assert np.array_equal(parameters[f"{GAUSSIAN}scale_table"].view(np.uint32), np.array(SCALE_TABLE_BITS, np.uint32))


def test_gaussian_file_is_checked(monkeypatch):
    monkeypatch.setattr(densities, "GAUSSIAN_SHA256", "0" * 64)
    with pytest.raises(ModelError, match=r"RC-MODEL-HASH: gaussian64.safetensors: wanted SHA-256 0000"):
        gaussian_tables()


# --- carried


def carried(tables):
    return dict(zip(("t._quantized_cdf", "t._cdf_length", "t._offset"), tables.padded(), strict=True))


def test_carried_tables_are_read_back():
    tables = factorised_tables(make_density())
    assert carried_tables(carried(tables), "t.").digest() == tables.digest()


def test_carried_tables_may_be_absent_or_empty():
    """A CompressAI model that was never `update()`d stores three empty buffers."""
    assert carried_tables({}, "t.") is None
    assert carried_tables({name: np.zeros(0, np.int32) for name in carried(gaussian_tables())}, "t.") is None


def test_carried_tables_must_be_whole():
    whole = carried(factorised_tables(make_density()))
    for name in whole:
        with pytest.raises(ModelError, match=f"^RC-CHECKPOINT-PARAMETER: {name}: missing"):
            carried_tables({other: array for other, array in whole.items() if other != name}, "t.")
        for bad in (whole[name].astype(np.int64), whole[name][0], whole[name][:2]):
            with pytest.raises(ModelError, match=r"^RC-CHECKPOINT-PARAMETER: t\._"):
                carried_tables(whole | {name: bad}, "t.")
    whole["t._quantized_cdf"][1, 0] = 1
    with pytest.raises(ModelError, match=r"^RC-MODEL-TABLE: row 1"):
        carried_tables(whole, "t.")
