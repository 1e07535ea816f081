"""Damaged streams and model files are refused with a code of their kind, soon and within bounded memory."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fuzz
from refcodec.errors import CODES, RangeError

SEED = 20_261_128  # another sequence than the tool's own


def test_fuzz_finds_no_fault_in_two_thousand_inputs() -> None:
    outcomes, faults = fuzz.fuzz(SEED, 2000, 1)
    assert faults == []
    assert outcomes.total() == 2000
    streams = {code for code in CODES if code.startswith("RC-STREAM")}
    models = {f"RC-MODEL-{kind}" for kind in ("FILE", "SCHEMA", "TENSOR", "RANGE", "HASH", "TABLE")}
    assert set(outcomes) >= {*streams, *models, "decoded"}


@pytest.mark.parametrize("target", {t.name: t for t in fuzz.targets()}.values(), ids=lambda target: target.name)
def test_targets_read_their_samples(target: fuzz.Target) -> None:
    assert {fuzz.judge(target, content) for content in target.samples} == {"decoded"}


@pytest.mark.parametrize("target", {t.name: t for t in fuzz.targets()}.values(), ids=lambda target: target.name)
@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(at=st.floats(0, 1), what=st.binary(max_size=40), gone=st.integers(0, 40), repair=st.booleans())
def test_any_replacement_of_bytes_is_refused_or_decoded(
    target: fuzz.Target, at: float, what: bytes, gone: int, repair: bool
) -> None:
    content = target.samples[-1]
    place = int(at * len(content))
    content = content[:place] + what + content[place + gone :]
    if repair:
        content = fuzz._repair(target, content, random.Random(place))
    assert not fuzz.judge(target, content).startswith("FAULT")


def test_inputs_are_made_again_from_their_number() -> None:
    assert [fuzz.make(1, n)[1] for n in range(40)] == [fuzz.make(1, n)[1] for n in range(40)]
    assert len({fuzz.make(1, n)[1] for n in range(200)}) > 180


def test_damage_leaves_most_inputs_changed_and_every_repair_reaches_past_the_checksums() -> None:
    reached: Counter[str] = Counter()
    for number in range(600):
        target, content = fuzz.make(SEED, number)
        reached[fuzz.judge(target, content)] += 1
    assert reached["RC-STREAM-RANS"] + reached["RC-STREAM-SYMBOL"] + reached["RC-STREAM-WEIGHTS"] > 20
    assert reached["RC-MODEL-SCHEMA"] + reached["RC-MODEL-TENSOR"] + reached["RC-MODEL-RANGE"] > 20


def test_judge_calls_everything_else_a_fault() -> None:
    def target(read):
        return fuzz.Target("made up", (b"",), read, lambda content, _: content, "RC-STREAM-")

    def raises(error: BaseException):
        def read(content: bytes) -> object:
            raise error

        return read

    assert fuzz.judge(target(raises(RangeError("x"))), b"").startswith("FAULT")
    assert fuzz.judge(target(raises(KeyError("x"))), b"").startswith("FAULT")
    assert fuzz.judge(target(raises(MemoryError())), b"").startswith("FAULT")
    assert fuzz.judge(target(raises(TimeoutError())), b"").startswith("FAULT")
    assert fuzz.judge(target(len), b"") == "decoded"
