"""Standard tables are the pinned ones, SPEC.md lists them, and each is found by form and width (SPEC TAB-5)."""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import re
from math import atanh, log
from pathlib import Path

import numpy as np
import pytest

from refcodec.errors import ModelError
from refcodec.program import standard_tables as module
from refcodec.program.standard_tables import (
    MANIFEST_FILE,
    SINE,
    TABLE_FILE,
    activation_nodes,
    head_places,
    load_activation_table,
    load_standard_table,
    standard_tables,
)

SPEC = Path(__file__).parents[1] / "SPEC.md"
ROW = re.compile(r"^\| (\S+) \| s(\d+) \| (\d+) \| ([0-9a-f]{64}) \|$", re.MULTILINE)
OTHERS = [SINE, "tanh-head", "sigmoid-head"]


def shipped(name: str) -> bytes:
    return (importlib.resources.files("refcodec.program") / name).read_bytes()


def manifest() -> dict:
    return json.loads(shipped(MANIFEST_FILE))["tables"]


def test_the_manifest_is_the_pinned_one_and_lists_all_that_is_shipped() -> None:
    assert hashlib.sha256(shipped(MANIFEST_FILE)).hexdigest() == module.MANIFEST_SHA256
    names = [table.name for table in standard_tables()]
    assert sorted(manifest()) == sorted([*names, *OTHERS])
    assert len(set(names)) == len(names) == 22
    stored = module.load(shipped(TABLE_FILE))
    assert set(stored) == set(manifest())
    for name, array in stored.items():
        assert (array.dtype.name, len(array)) == (manifest()[name]["dtype"], manifest()[name]["entries"])


def test_the_specification_lists_every_table_with_its_width_and_hash() -> None:
    listed = {name: (int(bits), int(entries), sha256) for name, bits, entries, sha256 in ROW.findall(SPEC.read_text())}
    assert listed == {
        name: (int(t["dtype"].removeprefix("int")), t["entries"], t["sha256"]) for name, t in manifest().items()
    }


@pytest.mark.parametrize("form", ["gelu", "silu"])
@pytest.mark.parametrize(
    ("bits", "entries", "spacing", "fraction"),
    [(8, 256, 0, 4), (10, 1024, 0, 6), (12, 513, 3, 7), (14, 1025, 4, 9), (16, 4097, 4, 10)],
)
def test_activation_nodes_are_those_of_the_finest_table(
    form: str, bits: int, entries: int, spacing: int, fraction: int
) -> None:
    nodes, *found = activation_nodes(form, bits)
    assert (nodes.dtype, len(nodes), *found) == (np.int32, entries, spacing, fraction)
    suffix = f"-spacing{spacing}" if spacing else ""
    name = f"{form}-s{bits}f{fraction}-s{bits}f{fraction}{suffix}"
    np.testing.assert_array_equal(nodes, load_activation_table(name))
    assert nodes[entries // 2] == 0
    assert nodes[-1] in ((1 << bits - 1) - 1, (1 << bits - 1) - 2)


@pytest.mark.parametrize(("form", "bits"), [("gelu", 9), ("gelu", 0), ("tanh", 16), ("relu", 16)])
def test_activation_nodes_refuse_a_format_or_form_without_a_table(form: str, bits: int) -> None:
    with pytest.raises(ModelError, match=rf"^RC-MODEL-TENSOR: no shipped table of {form} in a format of {bits} bits"):
        activation_nodes(form, bits)


@pytest.mark.parametrize(
    ("form", "place"), [("sigmoid", lambda p: log(p / (1 - p))), ("tanh", lambda p: atanh(2 * p - 1))]
)
def test_head_places_rise_through_zero_and_are_where_samples_begin(form: str, place) -> None:
    places = head_places(form)
    assert (places.dtype, places.shape, places[127]) == (np.int64, (255,), 0)
    assert np.all(np.diff(places) > 0)
    np.testing.assert_array_equal(places, -places[::-1])
    for k, found in enumerate(places.tolist(), 1):
        assert abs(found / 2**40 - place((2 * k - 1) / 510)) < 1e-11


def test_head_places_refuse_other_heads() -> None:
    with pytest.raises(ModelError, match=r"^RC-MODEL-TENSOR: no shipped places of a head 'gelu'; there are: tanh, sig"):
        head_places("gelu")


def test_load_standard_table_refuses_other_names_and_altered_files(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match=r"^RC-MODEL-TENSOR: no shipped table 'relu'; there are: gelu-s10f6-s10f6, "):
        load_standard_table("relu")
    stored = module.load(shipped(TABLE_FILE))
    stored[SINE][7] += 1
    with monkeypatch.context() as patch:
        patch.setattr(module, "load", lambda content: stored)
        load_activation_table("gelu-s8f4-s8f4")
        with pytest.raises(ModelError, match=r"^RC-MODEL-HASH: sine-1025: wanted SHA-256 440b"):
            load_activation_table(SINE)
    monkeypatch.setattr(module, "MANIFEST_SHA256", "00" * 32)
    with pytest.raises(ModelError, match=r"^RC-MODEL-HASH: activation_tables\.json: wanted SHA-256 0000"):
        load_activation_table(SINE)
