"""Tables counted on latents hold every symbol between the extremes, frequent ones more often."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from formula_codecs import formula_picture
from small_codecs import small_codec

from refcodec.entropy.rans import decode, encode
from refcodec.entropy.tables import TOTAL, FrequencyTables
from refcodec.errors import RangeError
from refcodec.models.architecture import Architecture
from refcodec.models.float_codec import FloatCodec
from refcodec.models.latent_tables import carried, counted_tables

PICTURES = [formula_picture(64, 96), formula_picture(128, 32)[::-1].copy()]


@pytest.fixture(scope="module", params=["bls2017", "gdn"])
def codec(request: pytest.FixtureRequest) -> FloatCodec:
    return small_codec(Architecture("factorised", request.param, "none", 4, 6, 1))


def symbols_of(codec: FloatCodec) -> list[np.ndarray]:
    return [codec.code(codec.analysis(picture)).y for picture in PICTURES]


def test_counted_tables_give_symbols_their_frequency(codec: FloatCodec) -> None:
    """Each seen symbol weighs 32 for every time and one more, the escape 32 in all; rows end at 65536."""
    tables = counted_tables(codec, PICTURES)
    assert tables.rows == 6
    cdf, lengths, offsets = tables.padded()
    for channel in range(6):
        counts = Counter(value for y in symbols_of(codec) for value in y[channel].ravel().tolist())
        first, last = min(counts), max(counts)
        assert offsets[channel] == first
        row = cdf[channel, : lengths[channel]]
        assert len(row) == last - first + 3
        assert (row[0], row[-1]) == (0, TOTAL)
        weights = np.array([counts[value] * 32 + 1 for value in range(first, last + 1)] + [32], float)
        wanted = TOTAL * weights / weights.sum()
        assert np.diff(row).min() >= 1
        assert np.abs(np.diff(row) - wanted).max() <= 2 + len(weights)
    assert max(lengths) > 5


def test_counted_tables_code_what_they_were_counted_on_and_what_they_were_not(codec: FloatCodec) -> None:
    tables = counted_tables(codec, PICTURES)
    y = symbols_of(codec)[0].copy()
    y[:, 0, 0] = [-999, 999, 0, 32767, -32768, 5]
    indexes = np.broadcast_to(np.arange(6)[:, None, None], y.shape)
    assert np.array_equal(decode(encode(y, indexes, tables), indexes, tables).reshape(y.shape), y)


def test_carried_tables_come_back(codec: FloatCodec) -> None:
    from refcodec.models.densities import carried_tables

    tables = counted_tables(codec, PICTURES)
    arrays = carried(tables, "entropy_bottleneck.")
    assert {name: array.dtype.name for name, array in arrays.items()} == {
        f"entropy_bottleneck.{name}": "int32" for name in ("_quantized_cdf", "_cdf_length", "_offset")
    }
    found = carried_tables(arrays, "entropy_bottleneck.")
    assert isinstance(found, FrequencyTables)
    assert found.digest() == tables.digest()


def test_counted_tables_refuse_other_families_and_no_pictures(codec: FloatCodec) -> None:
    other = small_codec(Architecture("scale-hyperprior", "relu", "balle2018", 4, 6, 5))
    with pytest.raises(RangeError, match=r"^RC-RANGE: tables are counted for factorised codecs, not for scale-hyper"):
        counted_tables(other, PICTURES)
    with pytest.raises(RangeError, match=r"^RC-RANGE: counting tables needs at least one picture"):
        counted_tables(codec, iter([]))
