"""The rANS decoder against the golden one: every symbol, every refusal, every cycle (SPEC HW-12, RANS-2, RANS-3)."""

from __future__ import annotations

import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import naive_entropy as naive
import numpy as np
import pytest
from hw_stage_runs import MODULE, STRESS, assert_cosim, assert_simulates, emit, need
from myhdl import StopSimulation, always, block, delay, instance

from hw import rans_decoder
from hw.cosim import cosim
from hw.elaboration import clean_elaboration, on_short_stack
from hw.rans import RansStage, levels, payload_words, rans_stimulus
from hw.simulate import agrees, simulate
from hw.stage import cycles
from hw.stimulus import Stimulus
from hw.top import Ports
from refcodec.codecs.latent_coding import channel_rows
from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.codecs.stream import HYPER_LATENT, open_stream
from refcodec.entropy import rans
from refcodec.entropy.rans import Decoder, encode
from refcodec.entropy.tables import FrequencyTables
from refcodec.errors import HardwareError, StreamError
from refcodec.models.shipped import shipped_path
from refcodec.program.model_file import load_model

FAULTS = {"RC-STREAM-TRUNCATED": 1, "RC-STREAM-SYMBOL": 2, "RC-STREAM-RANS": 3, "RC-STREAM-TRAILING": 4}
SIZES = (2, 3, 4, 5, 7, 8, 9, 16, 17, 33)  # intervals of a row, around the powers of two where a search gets longer
OFFSETS = (-1, 32700, -2, -32768, 0, -4, 30000, -30000, -8, -16)
ESCAPE_ROW = ([0, 60000, 65536], 0)


def row(intervals: int, rng: np.random.Generator) -> np.ndarray:
    """A cumulative row in which the escape is not rare and the first interval is of one slot only."""
    cuts = np.sort(rng.choice(np.arange(2, 60000), intervals - 2, replace=False))
    return np.array([0, *([1] if intervals > 2 else []), *cuts[1:], 60001, 65536], np.int64)


@cache
def tables() -> FrequencyTables:
    """Ten rows of every kind."""
    rng = np.random.default_rng(2)
    return FrequencyTables.from_rows([row(size, rng) for size in SIZES], np.array(OFFSETS, np.int32))


@cache
def case() -> tuple[np.ndarray, np.ndarray]:
    """Symbols and rows: every entry of every row, and escapes of every length and sign."""
    found, rng = [], np.random.default_rng(3)
    for index, offset in enumerate(OFFSETS):
        escape = int(tables().lengths[index]) - 2
        near = [offset + entry for entry in range(escape)]
        far = [offset - 1 - (1 << bits) // 2 for bits in (0, 2, 3, 4, 7, 8, 11, 12, 15)]
        far += [offset + escape + (1 << bits) // 2 for bits in (0, 2, 4, 8, 12, 15)]
        found += [(symbol, index) for symbol in [*near, *far, -32768, 32767] if -32768 <= symbol <= 32767]
    order = rng.permutation(len(found))
    symbols, rows = np.array(found)[order].T
    return symbols.reshape(1, 1, -1), rows.reshape(1, 1, -1)


def judged(payload: bytes, rows: np.ndarray, table: FrequencyTables) -> tuple[np.ndarray, int]:
    """The symbols that the golden decoder gives before it refuses, and the fault of that refusal or 0."""
    found: list[int] = []
    try:
        decoder = Decoder(payload, table)
        for index in rows.ravel():
            found.append(int(decoder.take(np.array([index]))[0]))
        decoder.finish()
    except StreamError as error:
        return np.array(found, np.int64), FAULTS[error.code]
    return np.array(found, np.int64), 0


def stimulus_of(payload: bytes, rows: np.ndarray, table: FrequencyTables) -> Stimulus:
    symbols, fault = judged(payload, rows, table)
    return rans_stimulus(table, payload, rows, symbols, fault=fault)


@cache
def whole() -> Stimulus:
    """The payload of `case`."""
    symbols, rows = case()
    stimulus = stimulus_of(encode(symbols, rows, tables()), rows, tables())
    assert (len(stimulus.words), stimulus.fault) == (symbols.size, 0)
    return stimulus


def escape_payload(*nibbles: tuple[int, int, int]) -> bytes:
    """A regular symbol, one with these nibbles, a regular one, all of ESCAPE_ROW."""
    return naive.encode_steps([(0, 60000, 16), (60000, 5536, 16), *nibbles, (0, 60000, 16)])


def steps_of(symbols: list[int]) -> list[Any]:
    return [step for symbol in symbols for step in naive.symbol_steps(symbol, ESCAPE_ROW)]


def invalid() -> dict[str, tuple[bytes, int]]:
    """Payloads of three symbols of ESCAPE_ROW, and the fault of each."""
    good = naive.encode_steps(steps_of([0, 900, 0]))
    escapes = naive.encode_steps(steps_of([20000, -20000, 20000]))
    return {
        "no words": (b"", 1),
        "one word": (good[:4], 1),
        "no room for a refill": (escapes[:8], 1),
        "first state too low": ((2**31 - 1).to_bytes(8, "little"), 3),
        "first state zero": (bytes(8), 3),
        "first state too high": ((2**63).to_bytes(8, "little"), 3),
        "six nibbles": (escape_payload(*naive.escape_steps(16**5)), 2),
        "fifteen nibbles": (escape_payload(*naive.escape_steps(16**14)), 2),
        "leading zero nibble": (escape_payload(*naive.escape_steps(0, 1)), 2),
        "leading zero nibble behind others": (escape_payload(*naive.escape_steps(7, 3)), 2),
        "symbol above int16": (naive.encode_steps(steps_of([0, 32768, 0])), 2),
        "symbol below int16": (naive.encode_steps(steps_of([0, -32769, 0])), 2),
        "end state one too high": (naive.encode_steps(steps_of([0, 0, 0]), 2**31 + 1), 3),
        "end state of other high bits": (naive.encode_steps(steps_of([0, 0, 0]), 2**32 + 2**31), 3),
        "end state without its bit": (naive.encode_steps(steps_of([0, 0, 0]), 2**32), 3),
        "a word too many": (good + bytes(4), 4),
        "two words too many": (good + bytes(8), 4),
    }


def invalid_stimulus(name: str) -> Stimulus:
    payload, fault = invalid()[name]
    table = FrequencyTables.from_rows([np.array(ESCAPE_ROW[0])], np.array([ESCAPE_ROW[1]], np.int32))
    stimulus = stimulus_of(payload, np.zeros((1, 1, 3), int), table)
    assert stimulus.fault == fault
    return stimulus


@cache
def codec() -> tuple[ScaleHyperprior, bytes]:
    """The shipped model and the photograph's stream."""
    model = load_model(shipped_path("balle2018-relu-n32-m64-lambda0130-w8a8", ".rcm"))
    return ScaleHyperprior.from_model(model), shipped_path("photograph", ".rcb").read_bytes()


@cache
def photograph() -> tuple[Stimulus, Stimulus]:
    """The whole payloads of z and y."""
    decoder, content = codec()
    payloads = open_stream(content, decoder.identity, HYPER_LATENT).payloads
    latents, _ = decoder.decode_latents(content)
    rows, indexes = channel_rows(decoder.z_tables.rows, latents.z.shape[1:]), decoder.h_s.run(latents.z)
    return (
        rans_stimulus(decoder.z_tables, payloads["ZSYM"], rows, latents.z, by_channel=True),
        rans_stimulus(decoder.y_tables, payloads["YSYM"], indexes, latents.y),
    )


@cache
def cut_out() -> Stimulus:
    """120 symbols of the photograph coded anew with random rows of the real tables."""
    decoder, content = codec()
    latents, _ = decoder.decode_latents(content)
    symbols = latents.y[:6, 10:14, 10:15]
    rows = np.random.default_rng(4).integers(0, decoder.y_tables.rows, symbols.shape)
    return stimulus_of(encode(symbols, rows, decoder.y_tables), rows, decoder.y_tables)


def test_constants_are_those_of_the_golden_decoder():
    assert 1 << rans_decoder.LOWEST == rans.INITIAL_STATE
    assert rans_decoder.MAX_NIBBLES == rans.ESCAPE_NIBBLES
    assert rans_decoder.WORD_BITS == 8 * rans.WORD_BYTES
    assert int(tables().values.max()) == 1 << rans_decoder.SLOT_BITS


def test_stimuli_meet_every_entry_and_every_escape():
    symbols, rows = (array.ravel() for array in case())
    entries = symbols - tables().offsets[rows]
    escapes = tables().lengths[rows] - 2
    for index in range(len(SIZES)):
        found = np.unique(entries[rows == index])
        assert set(range(SIZES[index] - 1)) <= set(found)
    raw = [-2 * e - 1 if e < 0 else 2 * (e - n) for e, n in zip(entries.tolist(), escapes.tolist(), strict=True)]
    escaped = [value for value, e, n in zip(raw, entries, escapes, strict=True) if not 0 <= e < n]
    assert {-(-value.bit_length() // 4) for value in escaped if value % 2 == 0} == set(range(6))
    assert {-(-value.bit_length() // 4) for value in escaped if value % 2 == 1} == set(range(1, 6))
    stage = whole().stage.knowing(encode(*case(), tables()), rows.tolist(), tables())
    refills = [work.refills for work in stage.work]
    assert {work.levels for work in stage.work} == {levels(size - 1) for size in SIZES} == {1, 2, 3, 4, 5, 6}
    assert any(taken[0] for taken in refills)
    assert any(taken[1] for taken in refills if len(taken) > 1)
    assert any(any(taken[2:]) for taken in refills)
    assert sum(map(sum, refills)) == len(encode(*case(), tables())) // 4 - 2
    assert cycles(stage) == whole().cycles_in_all == stage.cycles


def test_decoder_equals_the_golden_one():
    assert_simulates(whole(), reset_at=700)


@pytest.mark.hdl
@pytest.mark.parametrize("simulator", ["icarus", "ghdl"])
def test_hdl_equals_the_golden_decoder(simulator, tmp_path):
    assert_cosim(whole(), tmp_path / "hdl", simulator, reset=700)


@pytest.mark.parametrize(
    ("values", "offset"),
    [([0, 1, 65536], 32767), ([0, 65535, 65536], -32768), ([0, 32768, 65535, 65536], 0), ([*range(300), 65536], -150)],
)
def test_rows_of_extreme_frequencies(values, offset):
    table = FrequencyTables.from_rows([np.array(values)], np.array([offset], np.int32))
    near = np.random.default_rng(5).integers(-3, len(values), 40) + offset
    symbols = near.clip(-32768, 32767).reshape(1, 1, -1)
    rows = np.zeros_like(symbols)
    stimulus = stimulus_of(encode(symbols, rows, table), rows, table)
    assert stimulus.fault == 0
    assert_simulates(stimulus, reset_at=100)


@pytest.mark.hdl
def test_hdl_on_symbols_of_the_photograph_with_random_rows(tmp_path):
    stimulus = cut_out()
    assert (len(stimulus.words), stimulus.fault) == (120, 0)
    assert_cosim(stimulus, tmp_path / "hdl", reset=100)


@pytest.mark.hdl
@pytest.mark.parametrize(
    ("number", "simulator"), [(0, "icarus"), (0, "ghdl"), pytest.param(1, "verilator", marks=pytest.mark.long)]
)
def test_whole_payloads_of_the_photograph(number, simulator, tmp_path):
    """3072 symbols of z with the rows of their channels, 98304 of y with their scale indexes."""
    need(simulator)
    stimulus = photograph()[number]
    emit(stimulus, tmp_path / "hdl", "vhdl" if simulator == "ghdl" else "verilog")
    (result,) = cosim(tmp_path / "hdl", [simulator])
    assert (result.status, result.reason) == ("passed", "")
    assert result.cycles == stimulus.cycles_in_all == (31971, 1021040)[number]


def test_rows_of_channels_begin_again_with_every_payload():
    symbols, rows = np.array([[[1, 2, 3]], [[5, 4, -1]]]), channel_rows(2, (1, 3))
    table = FrequencyTables.from_rows([tables().row(5), tables().row(8)], np.array([0, -1], np.int32))
    stimulus = rans_stimulus(table, encode(symbols, rows, table), rows, symbols, by_channel=True)
    assert len(stimulus.sources) == 1
    assert agrees(stimulus, simulate(stimulus, runs=3), timed=True)
    for reset_at in (8, 60):
        assert agrees(stimulus, simulate(stimulus, seed=STRESS, runs=3, reset_at=reset_at), timed=False)


# --- refusals


@pytest.mark.parametrize("name", invalid())
def test_invalid_payload_is_refused(name):
    """No symbol follows the fault, whatever still comes is taken, and a reset ends it."""
    stimulus = invalid_stimulus(name)
    assert agrees(stimulus, simulate(stimulus), timed=True)
    assert agrees(stimulus, simulate(stimulus, seed=STRESS, reset_at=120), timed=False)


@pytest.mark.hdl
@pytest.mark.parametrize("name", invalid())
def test_hdl_refuses_invalid_payloads(name, tmp_path):
    need("icarus")
    emit(invalid_stimulus(name), tmp_path / "hdl")
    for stress in (0, STRESS):
        (result,) = cosim(tmp_path / "hdl", ["icarus"], stress=stress, reset=120)
        assert (result.status, result.reason) == ("passed", "")


def test_every_truncation_is_refused():
    symbols, rows = (array[:, :, :24] for array in case())
    payload = encode(symbols, rows, tables())
    assert len(payload) >= 40
    found = []
    for length in range(0, len(payload), 4):
        stimulus = stimulus_of(payload[:length], rows, tables())
        assert agrees(stimulus, simulate(stimulus), timed=True)
        found.append((stimulus.fault, len(stimulus.words)))
    assert {fault for fault, _ in found} == {1}
    assert [count for _, count in found] == sorted(count for _, count in found)
    assert found[-1][1] > 8


def test_damage_is_judged_alike():
    """Flipped bits: some faults are found at once, some at the end, and some only change an escape."""
    symbols, rows = (array[:, :, :16] for array in case())
    payload, rng, faults = encode(symbols, rows, tables()), np.random.default_rng(6), set()
    for _ in range(12):
        damaged = bytearray(payload)
        place = int(rng.integers(8 * len(payload)))
        damaged[place // 8] ^= 1 << place % 8
        stimulus = stimulus_of(bytes(damaged), rows, tables())
        assert agrees(stimulus, simulate(stimulus), timed=True)
        faults.add(stimulus.fault)
    assert len(faults) >= 3


# --- time


@block
def offering_bench(ports, stimulus, offered, words, symbols):
    """Offers each word from the edge that `offered` names, and notes when words and symbols pass."""
    clock, reset, sink, port = ports.clock, ports.reset, ports.sink, ports.load
    unit = ports.stage.block(clock, reset, port, 0, ports.sources, sink, ports.fault, ports.stage)

    @always(delay(5))
    def tick():
        clock.next = not clock

    @instance
    def drive():
        reset.next = True
        yield clock.negedge
        for port.select.next, port.lane.next, port.address.next, port.data.next in stimulus.loads():
            port.valid.next = True
            yield clock.negedge
        port.valid.next = False
        reset.next = False
        sink.ready.next = True
        for edge in range(stimulus.cycles_in_all * 3):
            for source, values, edges, taken in zip(ports.sources, stimulus.sources, offered, words, strict=True):
                place = len(taken)
                source.valid.next = place < len(values) and edge >= edges[place]
                if place < len(values):
                    source.word.next = values[place]
            yield delay(1)
            for source, taken in zip(ports.sources, words, strict=True):
                if source.valid and source.ready:
                    taken.append(edge)
            if sink.valid and sink.ready:
                symbols.append(edge)
            yield clock.negedge
        raise StopSimulation

    return unit, tick, drive


@pytest.mark.parametrize("slow", [(1, 1), (9, 1), (1, 25), (14, 14), (60, 1)])
def test_schedule_waits_for_late_words_and_rows(slow):
    """The edges of every word, row and symbol, where sources are slower than the decoder."""
    symbols, rows = (array[:, :, :30] for array in case())
    payload = encode(symbols, rows, tables())
    stimulus = stimulus_of(payload, rows, tables())
    stage = stimulus.stage.knowing(payload, rows.ravel().tolist(), tables())
    offered = [[7 + pace * k for k in range(len(words))] for pace, words in zip(slow, stimulus.sources, strict=True)]
    words: list[list[int]] = [[], []]
    passed: list[int] = []
    with clean_elaboration():
        bench = on_short_stack(lambda: offering_bench(Ports(stage), stimulus, offered, words, passed))
        bench.run_sim(quiet=1)
        bench.quit_sim()
    schedule = stage.schedule(offered)
    assert schedule.accepted == tuple(map(tuple, words))
    assert schedule.offered == tuple(passed)


def test_payloads_follow_each_other_at_the_interval():
    symbols, rows = (array[:, :, :30] for array in case())
    payload = encode(symbols, rows, tables())
    stimulus = stimulus_of(payload, rows, tables())
    stage = stimulus.stage.knowing(payload, rows.ravel().tolist(), tables())
    for number, log in enumerate(simulate(stimulus, runs=3, flow=True)):
        assert log.words == stimulus.words
        assert log.cycles == [edge + number * stage.interval for edge in stimulus.cycles]


def test_time_without_escapes_is_bounded():
    """`at_most` is met by the last regular symbols of the longest row, and by no other without an escape."""
    stage, _ = RansStage.of(tables(), 3)
    assert stage.at_most().cycles == cycles(stage.at_most()) == 3 + 3 * (7 + 6)
    for index, met in ((9, True), (8, False)):
        rows = np.full((1, 1, 3), index)
        symbols = rows * 0 + OFFSETS[index]
        assert (
            stimulus_of(encode(symbols, rows, tables()), rows, tables()).cycles[-1] == stage.at_most().cycles
        ) == met


def test_time_without_a_payload_is_refused():
    stage, _ = RansStage.of(tables(), 3)
    with pytest.raises(HardwareError, match="depends on the payload, and none was given"):
        stage.schedule([[0], [0]])


# --- mutants


class Mutant(NamedTuple):
    """A change of the emitted Verilog, the payload that shows it, and the run: stressed, slow, or free for the time."""

    pattern: str
    replacement: str
    payload: str = ""
    run: str = "stressed"


MUTANTS = {
    "entry above the slot": Mutant(r"(_value) <= (\w+_slot)", r"\1 < \2"),
    "probe beyond the row": Mutant(r"(search0_inside = )\(.*\);", r"\g<1>1'b1;"),
    "first probe too near": Mutant(r"(_place <= \(\w+_start \+ )largest\)", r"\1(largest >> 1))"),
    "half not halved": Mutant(r"(search0_half <= )\(largest >>> 1\)", r"\1largest", run="free"),
    "end of the row": Mutant(r"width = 65536;", "width = 65535;"),
    "narrow frequency": Mutant(r"reg \[15:0\] (\w+_frequency;)", r"reg [14:0] \1"),
    "narrow product": Mutant(r"reg \[63:0\] (\w+_product;)", r"reg [58:0] \1"),
    "narrow quotient": Mutant(r"reg \[48-1:0\] quotient;", "reg [46-1:0] quotient;"),
    "refill too late": Mutant(r"\[64-1:31\]", "[64-1:32]"),
    "refill too early": Mutant(r"\[64-1:31\]", "[64-1:30]"),
    "refill after a nibble too late": Mutant(r"\[64-1:35\]", "[64-1:36]"),
    "halves of the state exchanged": Mutant(r"wide = \(wide << 32\);\s*wide = \(wide \| \w+_state\);", ""),
    "negative escapes": Mutant(r"\(\w+_negative_base - wide\)", "(rans_decoder0_symbol + wide)"),
    "nibbles over each other": Mutant(r"(symbol_value0_place) \+ 4", r"\1 + 3"),
    "first symbol of a negative escape": Mutant(r"(_offset) - 1\)", r"\1 - 2)"),
    "memories exchanged": Mutant(r"load_select == 1\b", "load_select == 2"),
    "symbols counted on in a reset": Mutant(r"(_full <= 1'b0;\s*)\w+_symbols_left <= \d+;", r"\1"),
    "symbol lost while held": Mutant(r"\(\(!\w+_full\)\)", "(1)", run="slow"),
    "word taken that is not there": Mutant(r"(_taken = )\(source_valid && (\w+)\)", r"\1\2"),
    "row taken that is not there": Mutant(r"(_row_taken = )\(other_valid && ", r"\1(", run="slow"),
    "first state of any size": Mutant(r"source_word\[31\] \|\| ", "", "first state too high"),
    "first state below the bound": Mutant(r"\(source_word == 0\) && \(!\w+\[31\]\)", "0", "first state too low"),
    "six nibbles": Mutant(r"> 5\)", "> 6)", "six nibbles"),
    "leading zero": Mutant(r"(_nibbles_left == )1\) && ", r"\g<1>9) && ", "leading zero nibble"),
    "upper end of symbols": Mutant(r"> 32767", "> 32768", "symbol above int16"),
    "lower end of symbols": Mutant(r"< \(-32768\)", "< (-32769)", "symbol below int16"),
    "end state, low bits": Mutant(r"\[31-1:0\] != 0", "[31-1:1] != 0", "end state one too high"),
    "end state, high bits": Mutant(r"\(\w+\[64-1:32\] != 0\)", "0", "end state of other high bits"),
    "surplus words": Mutant(r"wrong = 4;", "wrong = 0;", "a word too many"),
    "words not counted": Mutant(r"_words_left - 1", "_words_left - 0", "no room for a refill"),
    "no fault until the next": Mutant(r"(_failed <= )\w+_wrong;", r"\g<1>0;", "no words"),
    "nothing taken after a fault": Mutant(r"(other_ready = .*) \|\| .*;", r"\1);", "six nibbles"),
}


@pytest.fixture(scope="module")
def designs(tmp_path_factory) -> dict[str, Path]:
    """The Verilog with each payload that a mutant needs."""
    need("icarus")
    folders = {}
    for payload in sorted({mutant.payload for mutant in MUTANTS.values()}):
        folders[payload] = tmp_path_factory.mktemp("design") / "hdl"
        emit(invalid_stimulus(payload) if payload else whole(), folders[payload])
    return folders


def slow_down(folder: Path) -> None:
    """Let the sink and the source of rows pause longer than a symbol takes."""
    path = folder / "bench.v"
    text, count = re.subn(r"wire (pause|pause_1) = .*;", r"wire \1 = noise[4:0] != 0;", path.read_text())
    assert count == 2
    path.write_text(text)


def passes(folder: Path, run: str, payload: str) -> bool:
    """Whether Icarus accepts the design; after a slow run it stays slowed down."""
    if run == "slow":
        slow_down(folder)
    runs, reset = (1, 120) if payload else (2, 700)
    (result,) = cosim(folder, ["icarus"], 0 if run == "free" else STRESS, runs, reset)
    assert result.status != "skipped"
    return result.status == "passed"


@pytest.mark.hdl
@pytest.mark.parametrize("payload", ["", "six nibbles"])
def test_unmutated_decoder_passes_however_slow_its_neighbours(payload, designs, tmp_path):
    shutil.copytree(designs[payload], tmp_path / "design")
    assert passes(tmp_path / "design", "slow", payload)


@pytest.mark.long
@pytest.mark.hdl
@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_fails(name, designs, tmp_path):
    """One that only a free or a slow run shows passes under stress."""
    mutant = MUTANTS[name]
    shutil.copytree(designs[mutant.payload], tmp_path / "mutant")
    path = tmp_path / "mutant" / f"{MODULE}.v"
    text, count = re.subn(mutant.pattern, mutant.replacement, path.read_text())
    assert count > 0, f"nothing matches {mutant.pattern}"
    path.write_text(text)
    assert passes(path.parent, "stressed", mutant.payload) == (mutant.run != "stressed")
    if mutant.run != "stressed":
        assert not passes(path.parent, mutant.run, mutant.payload)


# --- what cannot be built


def test_what_cannot_be_built_is_refused():
    good = {"rows": 2, "values": 9, "escape": 3, "count": 6, "plane": 0}
    RansStage(**good)
    RansStage(**(good | {"plane": 3}))
    cases = [
        ("rows", 0, "rows must be an integer 1..65536"),
        ("values", 5, "values must be an integer 6.."),
        ("values", 1 << 27, "values must be an integer"),
        ("escape", 5, "escape must be an integer 1..4"),
        ("escape", 0, "escape must be an integer"),
        ("count", 0, "symbols must be an integer 1.."),
        ("count", np.int64(6), "symbols must be an integer"),
        ("plane", 2, "2 channels of 2 symbols are not 6"),
        ("plane", 7, "symbols of a channel must be an integer 0..6"),
    ]
    for field, wrong, message in cases:
        with pytest.raises(HardwareError, match=message) as caught:
            RansStage(**(good | {field: wrong}))
        assert caught.value.code == "RC-HW-CONFIG"
    with pytest.raises(HardwareError, match="a payload holds whole words, got 9 bytes"):
        payload_words(bytes(9))


def test_stage_describes_itself():
    stage = whole().stage
    assert stage.title == f"rANS decoder of {stage.count} symbols by 10 rows of 34 entries at most"
    assert stage.clauses == ("RANS-2", "RANS-3")
    assert stage.describe() == {"rows": 10, "values": 114, "escape": 32, "count": stage.count, "plane": 0}
    assert {name: memory.depth for name, memory in stage.memories.items()} == {
        "value": 114,
        "start": 10,
        "escape": 10,
        "offset": 10,
    }
    assert (stage.buffers, stage.macs, stage.multipliers) == ({}, 0, 0)
