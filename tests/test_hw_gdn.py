"""The stages of GDN and its inverse against the golden operations (SPEC HW-9, GDN-1 to GDN-5)."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from myhdl import StopSimulation, always, block, delay, instance

from hw.checks import MAX_LANES
from hw.convert import write_design
from hw.cosim import cosim, missing_tools
from hw.elaboration import clean_elaboration, on_short_stack
from hw.gdn import GdnStage, InverseGdnStage, of
from hw.simulate import agrees, simulate
from hw.stage import back_to_back
from hw.stimulus import Stimulus
from hw.top import Ports
from refcodec import fixed
from refcodec.errors import HardwareError
from refcodec.formats import IntFormat, multiplier_bits
from refcodec.models.shipped import shipped_path
from refcodec.program.model_file import load_model
from refcodec.program.operations import Gdn, InverseGdn, Requantise, Tensor
from refcodec.program.program import Program

NAME = "norm.0"
SHIPPED = "balle2018-gdn-n32-m64-lambda0130-w8a8"
S8, U8, S32, S48 = IntFormat(8, True), IntFormat(8, False), IntFormat(32, True), IntFormat(48, True)


@dataclass(frozen=True, slots=True)
class Case:
    """One operation, its tile and its lanes; activations and gamma of these bits."""

    inverse: bool = True
    squared: bool = False
    bits: int = 8
    gamma_bits: int = 8
    signed: bool = True
    channels: int = 5
    tile: tuple[int, int] = (2, 3)
    lanes: tuple[int, int] = (2, 4)
    norm_shift: int = 2
    fraction: int = 5

    @property
    def activation(self) -> IntFormat:
        return IntFormat(self.bits, self.signed)


# Activations/weights 4/4, 8/8, 12/12, 16/16, 7/10, 10/7, 2/8.
WIDTHS = [(4, 4), (8, 8), (12, 12), (16, 16), (7, 10), (10, 7), (2, 8)]
ROOT_WIDTHS = [(4, 4), (16, 16), (10, 7), (2, 8)]
# Lanes that divide each other, that do not, one group, one lane, more lanes than channels.
LANES = [(1, 1), (4, 2), (3, 2), (2, 3), (8, 3), (7, 6), (1, 5)]


def build_cases() -> list[Case]:
    """Every width, then lanes, then the other choices."""
    forms = [(inverse, squared) for inverse in (True, False) for squared in (False, True)]
    widths = [
        Case(
            inverse, squared, bits, gamma,
            tile=(2, 3) if bits <= 4 else (1, 4),
            lanes=(2, 1) if squared else (2, 2),
            norm_shift=4 if bits == 16 and not squared else 2,
        )
        for inverse, squared in forms
        for bits, gamma in (ROOT_WIDTHS if squared else WIDTHS)
    ]  # fmt: skip
    lanes = [Case(number % 2 == 0, number % 3 == 0, lanes=pair, tile=(1, 4)) for number, pair in enumerate(LANES)]
    others = [Case(inverse, squared, signed=False, lanes=(2, 2)) for inverse, squared in forms]
    others += [Case(inverse, norm_shift=shift, lanes=(2, 2)) for inverse in (True, False) for shift in (0, 12)]
    others += [Case(squared=True, norm_shift=shift, gamma_bits=4, lanes=(4, 1)) for shift in (0, 12)]
    others += [Case(channels=1), Case(inverse=False, fraction=0), Case(inverse=False, fraction=16)]
    return [*widths, *lanes, *others]


CASES = build_cases()


def _norm(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, IntFormat]:
    """gamma, beta and the norm's format; the divisor of channel 0 is a power of two."""
    channels, top = case.channels, (1 << case.gamma_bits) - 1
    gamma = rng.integers(0, top + 1, (channels, channels)) // (channels if case.squared else 1)
    if channels > 1:
        gamma[1, -1] = top
        gamma[0] = 0
    beta = rng.integers(1 << case.norm_shift, (4 << case.norm_shift) + 1, channels)
    beta[0] = 4 if case.squared else 2 << case.norm_shift
    magnitude = case.activation.magnitude
    bound = int(beta.max()) + top * channels * (magnitude * magnitude if case.squared else magnitude)
    return gamma, beta, IntFormat(min(48, bound.bit_length() + 1), True)


def _divisors(case: Case, x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """(C, N) int64."""
    columns = x.reshape(case.channels, -1).T.tolist()
    rows = [
        [
            fixed.gdn_divisor(fixed.gdn_norm(column, row, b, case.squared), case.squared, case.norm_shift)
            for row, b in zip(gamma.tolist(), beta.tolist(), strict=True)
        ]
        for column in columns
    ]
    return np.array(rows, np.int64).T


def _divisor_of_channel_0(case: Case, beta: np.ndarray) -> int:
    return fixed.gdn_divisor(int(beta[0]), case.squared, case.norm_shift)


def _inverse(case: Case, x: np.ndarray, rng: np.random.Generator) -> InverseGdn:
    """The larger half of the products saturates; channel 0 halves its samples."""
    gamma, beta, norm_format = _norm(case, rng)
    products = np.abs(x.reshape(case.channels, -1) * _divisors(case, x, gamma, beta))
    offset = rng.integers(-3, 4, case.channels) * (np.median(products, axis=1).astype(np.int64) // 8 + 1)
    offset[0] = 0
    largest = max(1 << 12, 4 * int(products.max()) + int(np.abs(offset).max()))
    product_format = S32 if largest < S32.hi else S48
    bits = multiplier_bits(product_format)
    multipliers, shifts = [1], [_divisor_of_channel_0(case, beta).bit_length()]
    for channel in products[1:]:
        median = max(1, int(np.median(channel)))
        hi = case.activation.hi
        shift = min(62, bits - 1 + max(0, median.bit_length() - hi.bit_length()))
        multipliers.append(min((1 << bits) - 1, max(1, (hi << shift) // median)))
        shifts.append(shift)
    scales = np.array(multipliers), np.array(shifts)
    formats = IntFormat(case.gamma_bits, False), norm_format, product_format
    return InverseGdn(NAME, "x", "y", *formats, case.squared, case.norm_shift, gamma, beta, offset, *scales)


def _forward(case: Case, x: np.ndarray, rng: np.random.Generator) -> Gdn:
    """The larger half of the quotients saturates; channel 0 halves its samples, channel 1 changes their sign."""
    gamma, beta, norm_format = _norm(case, rng)
    divisors = _divisors(case, x, gamma, beta)
    samples = np.median(np.abs(x.reshape(case.channels, -1)), axis=1)
    scale = (case.activation.hi * np.median(divisors, axis=1) * (1 << case.fraction) / np.maximum(samples, 1)).astype(
        int
    )
    scale[0] = _divisor_of_channel_0(case, beta) << case.fraction >> 1
    if case.channels > 1:
        scale[1] = -scale[1]
    offset = rng.integers(-2, 3, case.channels) << case.fraction >> 1
    offset[0] = 0
    formats = IntFormat(case.gamma_bits, False), norm_format
    columns = gamma, beta, scale, offset
    return Gdn(NAME, "x", "y", *formats, case.squared, case.norm_shift, case.fraction, *columns)


def small_norm(case: Case, seed: int = 0) -> tuple[Program, np.ndarray]:
    """The operation's program and its input tile."""
    rng = np.random.default_rng(seed)
    form = case.activation
    x = rng.integers(form.lo, form.hi + 1, (case.channels, *case.tile))
    x.flat[0], x.flat[-1] = form.lo, form.hi
    x[0].flat[:4] = [value % (form.hi + 1) if form.lo == 0 else value for value in (form.lo, -1, 1, form.hi)]
    operation = (_inverse if case.inverse else _forward)(case, x, rng)
    tensors = Tensor("x", case.channels, form), Tensor("y", case.channels, form)
    return Program("small", tensors, (operation,)), x


def golden(program: Program, x: np.ndarray) -> np.ndarray:
    operation = program.operations[0]
    source, target = program.tensors
    return operation.run([x.astype(source.format.dtype)], [source], target)


def stimulus_of(case: Case, seed: int = 0) -> Stimulus:
    program, x = small_norm(case, seed)
    stage, images = of(program, NAME, *case.tile, *case.lanes)
    return Stimulus.of(stage, images, [x], golden(program, x))


def write(case: Case, language: str, folder: Path) -> None:
    write_design(stimulus_of(case), NAME, "a norm", language, "norm", folder)


def need(simulator: str) -> None:
    missing = missing_tools(simulator)
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")


@pytest.mark.parametrize("case", [case for case in CASES if case.channels > 1], ids=str)
def test_stimulus_bites(case):
    """Both ends, ties of the last rounding, the smallest and the largest sample occur, and lanes differ."""
    program, x = small_norm(case)
    y, form = golden(program, x), case.activation
    assert {int(y.min()), int(y.max())} == {form.lo, form.hi}
    assert {int(x.min()), int(x.max())} == {form.lo, form.hi}
    halves = x[0] % 2 == 1
    assert halves.any()
    assert np.array_equal(y[0], (x[0] + 1) >> 1)
    assert not case.signed or (x[0][halves] < 0).any() or case.bits == 2
    assert len(np.unique(y[1:])) >= min(4, 1 << case.bits - 1)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_stage_equals_golden_at_the_stated_edges(case):
    stimulus = stimulus_of(case)
    assert agrees(stimulus, simulate(stimulus, runs=2), timed=True)


@pytest.mark.parametrize("case", [Case(), Case(inverse=False, squared=True, lanes=(2, 1)), Case(lanes=(3, 2))], ids=str)
def test_stage_survives_gaps_back_pressure_and_reset(case):
    stimulus = stimulus_of(case)
    assert agrees(stimulus, simulate(stimulus, seed=5, runs=2), timed=False)
    for reset_at in (3, 11, 24):
        assert agrees(stimulus, simulate(stimulus, runs=1, reset_at=reset_at), timed=True)


@block
def offering_bench(ports, stimulus, edges, log):
    """The sink is always ready, word j is offered from edge edges[j] on; log takes (accepted, passed)."""
    clock, reset, load, source, sink = ports.clock, ports.reset, ports.load, ports.sources[0], ports.sink
    unit = ports.stage.block(clock, reset, load, 0, ports.sources, sink, ports.fault, ports.stage)

    @always(delay(5))
    def tick():
        clock.next = not clock

    @instance
    def drive():
        reset.next = True
        sink.ready.next = True
        yield clock.negedge
        for select, lane, address, word in stimulus.loads():
            load.valid.next = True
            load.select.next, load.lane.next = select, lane
            load.address.next, load.data.next = address, word
            yield clock.negedge
        load.valid.next, reset.next = False, False
        words = stimulus.sources[0]
        for edge in range(edges[-1] + stimulus.cycles_in_all + 200):
            place = len(log[0])
            source.valid.next = place < len(words) and edges[place] <= edge
            source.word.next = words[min(place, len(words) - 1)]
            yield delay(1)
            if source.valid and source.ready:
                log[0].append(edge)
            if sink.valid and sink.ready:
                log[1].append(edge)
            yield clock.negedge
        raise StopSimulation

    return unit, tick, drive


@pytest.mark.parametrize(
    "case", [Case(), Case(lanes=(1, 5)), Case(False, True, lanes=(5, 1)), Case(lanes=(5, 5))], ids=str
)
@pytest.mark.parametrize("pace", ["sparse", "bursts"])
def test_schedule_is_exact_for_slow_sources(case, pace):
    case = replace(case, tile=(2, 4))
    stimulus = stimulus_of(case)
    stage, count = stimulus.stage, len(stimulus.sources[0])
    rng = np.random.default_rng(4)
    gaps = rng.integers(0, 6, count) if pace == "sparse" else (rng.random(count) < 0.15) * rng.integers(0, 60, count)
    edges = (np.arange(count) + np.cumsum(gaps)).tolist()
    log: tuple[list[int], list[int]] = ([], [])
    with clean_elaboration():
        bench = on_short_stack(lambda: offering_bench(Ports(stage), stimulus, edges, log))
        bench.run_sim(quiet=1)
        bench.quit_sim()
    schedule = stage.schedule([edges])
    assert (tuple(log[0]),) == schedule.accepted
    assert tuple(log[1]) == schedule.offered


@pytest.mark.parametrize("lanes", [(2, 4), (5, 5), (1, 5)])
def test_a_pixel_takes_a_step_for_each_pair_of_groups(lanes):
    case = Case(tile=(1, 6), lanes=lanes)
    stage: Any = stimulus_of(case).stage
    passed = stage.schedule([back_to_back(stage.source.words)]).offered[:: stage.sink.groups]
    assert {after - before for before, after in pairwise(passed)} == {stage.steps}
    assert stage.steps == -(-5 // lanes[0]) * -(-5 // lanes[1])


@pytest.mark.hdl
@pytest.mark.parametrize("case", CASES, ids=str)
def test_verilog_equals_golden(case, tmp_path):
    need("icarus")
    write(case, "verilog", tmp_path / "hdl")
    for stress, reset in ((0, 0), (7, 19)):
        (result,) = cosim(tmp_path / "hdl", ["icarus"], stress=stress, runs=2, reset=reset)
        assert (result.status, result.reason) == ("passed", "")


VHDL = [
    Case(),
    Case(squared=True, bits=12, gamma_bits=12, lanes=(3, 2)),
    Case(inverse=False, bits=10, gamma_bits=7, lanes=(2, 3)),
    Case(inverse=False, squared=True, signed=False, lanes=(8, 2)),
    Case(bits=16, gamma_bits=16, norm_shift=4, lanes=(1, 1), tile=(1, 3)),
]


@pytest.mark.hdl
@pytest.mark.parametrize("case", VHDL, ids=str)
def test_vhdl_equals_golden(case, tmp_path):
    need("ghdl")
    write(case, "vhdl", tmp_path / "hdl")
    for stress, reset in ((0, 0), (7, 19)):
        (result,) = cosim(tmp_path / "hdl", ["ghdl"], stress=stress, runs=2, reset=reset)
        assert (result.status, result.reason) == ("passed", "")


def test_layer_of_the_shipped_model(tmp_path):
    program = load_model(shipped_path(SHIPPED, ".rcm")).programs["g_s"]
    operation = program.operation("g_s.1")
    assert isinstance(operation, InverseGdn)
    source, target = program.tensor(operation.source), program.tensor(operation.target)
    x = np.random.default_rng(3).integers(-128, 128, (32, 2, 2))
    x[:, 0, 0] = np.where(x[:, 0, 0] < 0, -128, 127)
    y = operation.run([x.astype(source.format.dtype)], [source], target)
    stage, images = of(program, "g_s.1", 2, 2, 8, 8)
    stimulus = Stimulus.of(stage, images, [x], y)
    assert len(np.unique(y)) > 20
    assert agrees(stimulus, simulate(stimulus), timed=True)
    if not missing_tools("icarus"):
        write_design(stimulus, "g_s.1", stage.title, "verilog", "layer", tmp_path / "hdl")
        assert cosim(tmp_path / "hdl", ["icarus"])[0].status == "passed"


# name: (form, pattern, replacement, outcomes without and with stress)
FAILS, STRESS, TIMED = ["failed", "failed"], ["passed", "failed"], ["failed", "passed"]
PLAIN, ROOT, FORWARD = Case(), Case(squared=True, lanes=(2, 1)), Case(inverse=False, lanes=(3, 2))
COARSE = Case(norm_shift=12, lanes=(2, 2))
MUTANTS = {
    "no magnitude": (PLAIN, r"number = \(?-number\)?;", "", FAILS),
    "no rounding of the norm": (COARSE, r"total = \(total \+ half\);", "", FAILS),
    "bias late": (PLAIN, r"(memory\d+_cells)\[(\w+)groups\[1\]\]", r"\1[\2groups[0]]", FAILS),
    "one pixel only": (PLAIN, r"(_full) != 2\)", r"\1 != 1)", TIMED),
    "three pixels": (PLAIN, r"(_full) != 2\)", r"\1 != 3)", FAILS),
    "wrong pixel": (PLAIN, r"_upper <= \(!(\w+_upper)\);", r"_upper <= \1;", FAILS),
    "sample of the next word": (PLAIN, r"\((\w+_group) == (\w*take_value\d+_word)\)", r"(\1 == \2 + 1)", FAILS),
    "sample of another lane": (FORWARD, r"(take_value1_place) <= 1;", r"\1 <= 0;", FAILS),
    "queue too short": (PLAIN, r"(value_queue0_write_address) == \d+", r"\1 == 0", FAILS),
    "offset forgotten": (PLAIN, r"exact = \(exact \+ \w+\);", "", FAILS),
    "gamma signed": (PLAIN, r"w = \$signed\((\w+)\[(\d+)-1:(\d+)\]\);", r"w = $signed(\1[\2-2:\3]);", FAILS),
    "gammas never rewind": (PLAIN, r"gamma_address == \d+", "gamma_address == 0", FAILS),
    "radicand not shifted": (ROOT, r"total = \(?\$?s?i?g?n?e?d?\(?total <<<? 2\)+;", "", FAILS),
    "square of the bits": (ROOT, r"number = \$signed\((\w+\[\d\])\[8-1:0\]\);", r"number = \1[8-1:0];", FAILS),
    "no sign after the division": (FORWARD, r"value = \(value - 1\);", "", FAILS),
    "saturation forgotten": (FORWARD, r"if \(\w+_over\)", "if (0)", FAILS),
    "ready ignored": (PLAIN, r"advance = sink_ready;", "advance = 1'b1;", STRESS),
    "input read while stalled": (PLAIN, r"_read = \(?(\w*advance) && (\w+_step)\)?;", r"_read = \2;", STRESS),
}


@pytest.fixture(scope="module")
def designs(tmp_path_factory: pytest.TempPathFactory) -> dict[Case, Path]:
    """The Verilog of the cases that are changed."""
    folders = {case: tmp_path_factory.mktemp("design") / "hdl" for case in {mutant[0] for mutant in MUTANTS.values()}}
    for case, folder in folders.items():
        write(case, "verilog", folder)
    return folders


@pytest.mark.long
@pytest.mark.hdl
@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_fails(name, designs, tmp_path):
    need("icarus")
    case, pattern, replacement, outcomes = MUTANTS[name]
    shutil.copytree(designs[case], tmp_path / "hdl")
    path = tmp_path / "hdl" / "norm.v"
    text, count = re.subn(pattern, replacement, path.read_text())
    assert count > 0, f"nothing matches {pattern}"
    path.write_text(text)
    statuses = [cosim(tmp_path / "hdl", ["icarus"], stress=stress, runs=2)[0].status for stress in (0, 11)]
    assert statuses == outcomes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lanes_in": 0}, f"input lanes must be an integer 1..{MAX_LANES}, got 0"),
        ({"lanes_out": 99}, f"output lanes must be an integer 1..{MAX_LANES}, got 99"),
        ({"channels": np.int64(5)}, "channels must be an integer 1..1024"),
        ({"channels": 1025}, "channels must be an integer 1..1024, got 1025"),
        ({"height": 4097}, "height must be an integer 1..4096, got 4097"),
        ({"source_format": IntFormat(17, True)}, "sources need 2..16 bits, got s17"),
        ({"sink_format": IntFormat(1, False)}, "results need 2..16 bits, got u1"),
        ({"gamma_format": S8}, "gamma needs 1..16 unsigned bits, got s8"),
        ({"norm_format": IntFormat(20, False)}, "norms must be signed with 2 bits or more, got u20"),
        ({"norm_shift": 48}, "norm shift must be an integer 0.."),
    ],
)
def test_refused_configurations(changes, message):
    for case in (Case(), Case(inverse=False)):
        stage: Any = stimulus_of(case).stage
        with pytest.raises(HardwareError, match=re.escape(message)) as caught:
            replace(stage, **changes)
        assert caught.value.code == "RC-HW-CONFIG"


@pytest.mark.parametrize(
    ("case", "changes", "message"),
    [
        (Case(squared=True), {"norm_shift": 17}, "norm shift must be an integer 0..16, got 17"),
        (Case(), {"product_format": U8}, "products must be signed with 2 bits or more, got u8"),
        (Case(), {"multiplier_bits": 32}, "multiplier bits must be an integer 1..31, got 32"),
        (Case(inverse=False), {"fraction": 17}, "fraction must be an integer 0..16, got 17"),
        (Case(inverse=False), {"scale_bits": 62}, "scale bits must be an integer 1..61, got 62"),
    ],
)
def test_refused_configurations_of_one_form(case, changes, message):
    stage: Any = stimulus_of(case).stage
    with pytest.raises(HardwareError, match=re.escape(message)):
        replace(stage, **changes)


def test_of_refuses_other_operations():
    tensors = Tensor("x", 3, S32), Tensor("y", 3, S8)
    scale = Requantise("scale", "x", "y", np.array([1, 1, 1]), np.array([1, 1, 1]))
    with pytest.raises(HardwareError, match="scale is a requantise; this stage runs GDN and inverse GDN"):
        of(Program("other", tensors, (scale,)), "scale", 1, 1, 1, 1)


def test_stages_describe_themselves():
    inverse, forward = stimulus_of(Case(squared=True)).stage, stimulus_of(Case(inverse=False)).stage
    assert isinstance(inverse, InverseGdnStage)
    assert isinstance(forward, GdnStage)
    assert inverse.clauses == ("GDN-1", "GDN-2", "GDN-4", "RQ-1", "ISQRT-1")
    assert forward.clauses == ("GDN-1", "GDN-2", "GDN-3", "DIV-1")
    assert (inverse.macs, inverse.multipliers) == (5 * 5 * 6, 8)
    assert inverse.title == "Inverse divisive normalisation by squares of 5 channels on a 2x3 tile"
    assert forward.title == "Divisive normalisation by magnitudes of 5 channels on a 2x3 tile"
    assert forward.describe()["gamma_format"] == "u8"
    assert forward.describe()["fraction"] == 5
    assert {name: memory.depth for name, memory in forward.memories.items()} == {
        "gamma": 6, "beta": 2, "scale": 2, "offset": 2,
    }  # fmt: skip
