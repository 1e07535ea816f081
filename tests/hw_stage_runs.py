"""Runs a stage of one operation against the golden operation: in MyHDL, in Icarus, in GHDL, and mutated."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from hw.convert import write_design
from hw.cosim import cosim, missing_tools
from hw.simulate import agrees, simulate
from hw.stimulus import Stimulus
from refcodec.codecs.inr.codec import InrVideo
from refcodec.datapath import video_taps
from refcodec.formats import IntFormat
from refcodec.models.shipped import DEFAULT_CLIP, shipped_path
from refcodec.program.operations import Tensor
from refcodec.program.program import Program

MODULE = "stage_under_test"
S4, S8, S12, S16, S25, S32 = (IntFormat(bits, True) for bits in (4, 8, 12, 16, 25, 32))
U4, U8, U12, U16 = (IntFormat(bits, False) for bits in (4, 8, 12, 16))
# (source, target) of an elementwise stage at every width of the suite
FORMATS = [
    (S4, U4),
    (U4, S4),
    (S8, U8),
    (S8, S8),
    (U8, S8),
    (S12, S12),
    (U12, U12),
    (S16, S16),
    (U16, U16),
    (IntFormat(7, True), IntFormat(10, True)),
    (IntFormat(10, True), IntFormat(7, False)),
    (IntFormat(2, True), S8),
    (S8, IntFormat(2, True)),
]
STRESS = 11


@cache
def clip() -> tuple[Program, dict[str, np.ndarray]]:
    """The program of the shipped clip, and every tensor of one of its frames."""
    video = InrVideo.from_bytes(shipped_path(DEFAULT_CLIP, ".rcv").read_bytes())
    return video.program, video_taps(video, 3)


class Mutant(NamedTuple):
    """A change of the emitted Verilog that some run must notice."""

    pattern: str
    replacement: Any
    stress_only: bool = False


def values(form: IntFormat, shape: Sequence[int], seed: int = 0) -> np.ndarray:
    """A random tensor, with both ends of the format, -1, 0 and 1 where there is room."""
    rng = np.random.default_rng(seed)
    x = rng.integers(form.lo, form.hi + 1, shape).astype(form.dtype)
    corners = [v for v in (form.lo, form.hi, 0, -1, 1) if form.lo <= v <= form.hi][: x.size]
    x.flat[rng.permutation(x.size)[: len(corners)]] = corners
    return x


def operation_program(operation: Any, channels: int | Sequence[int], *forms: IntFormat) -> Program:
    """A program of that operation only; formats, and channels where they differ, of its tensors in their order."""
    names = [*operation.reads, operation.target]
    counts = [channels] * len(names) if isinstance(channels, int) else channels
    tensors = tuple(Tensor(*row) for row in zip(names, counts, forms, strict=True))
    return Program("small", tensors, (operation,))


def golden(program: Program, name: str, *inputs: np.ndarray) -> np.ndarray:
    """What the golden operation makes of its sources."""
    operation = program.operation(name)
    sources = [program.tensor(read) for read in operation.reads]
    taken = [x.astype(source.format.dtype) for x, source in zip(inputs, sources, strict=True)]
    return operation.run(taken, sources, program.tensor(operation.target))


def operation_stimulus(kind: Any, program: Program, name: str, lanes: int, *inputs: np.ndarray) -> Stimulus:
    """The stage of an operation, its sources and the golden result."""
    _, height, width = inputs[0].shape
    stage, images = kind.of(program, name, height, width, lanes)
    return Stimulus.of(stage, images, inputs, golden(program, name, *inputs))


def assert_simulates(stimulus: Stimulus, reset_at: int = 5) -> None:
    """MyHDL agrees, free and held back, in two runs and after a reset in mid-stream."""
    assert agrees(stimulus, simulate(stimulus, runs=2), timed=True)
    assert agrees(stimulus, simulate(stimulus, seed=STRESS, runs=2, reset_at=reset_at), timed=False)


def need(simulator: str) -> None:
    """Skip the test where the simulator is not installed."""
    missing = missing_tools(simulator)
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")


def emit(stimulus: Stimulus, folder: Path, language: str = "verilog") -> None:
    """Write its HDL and benches."""
    write_design(stimulus, "operation", stimulus.stage.title, language, MODULE, folder)


def assert_cosim(stimulus: Stimulus, folder: Path, simulator: str = "icarus", reset: int = 7) -> None:
    """The emitted HDL agrees, free and held back, in two runs, after a reset in mid-stream."""
    need(simulator)
    emit(stimulus, folder, "vhdl" if simulator == "ghdl" else "verilog")
    for stress in (0, STRESS):
        (result,) = cosim(folder, [simulator], stress=stress, runs=2, reset=reset)
        assert (result.status, result.reason) == ("passed", "")


def assert_mutant_fails(stimulus: Stimulus, mutant: Mutant, folder: Path, reset: int = 7) -> None:
    """Icarus refuses the changed Verilog; a mutant that changes nothing is an error of the test."""
    need("icarus")
    emit(stimulus, folder)
    path = folder / f"{MODULE}.v"
    text, count = re.subn(mutant.pattern, mutant.replacement, path.read_text())
    assert count > 0, f"nothing matches {mutant.pattern}"
    path.write_text(text)
    results = [cosim(folder, ["icarus"], stress=stress, runs=2, reset=reset)[0] for stress in (0, STRESS)]
    assert [result.status for result in results] == ["passed" if mutant.stress_only else "failed", "failed"]


# Mutants of what all elementwise stages share; the tensor has several groups and a reset at their middle
FLOW_MUTANTS: Mapping[str, Mutant] = {
    "ready ignored": Mutant(r"advance = sink_ready;", "advance = 1'b1;", True),
    "word taken while held": Mutant(r"assign source_ready = \w+_advance;", "assign source_ready = 1'b1;", True),
    "stale valid": Mutant(r"(\w+_valid) <= (\w+_passes);", r"\1 <= \1 | \2;"),
    "lanes reversed": Mutant(r"\[\(\((\d+) - 1\) - i\)\]", "[i]"),
}
CONSTANT_MUTANTS: Mapping[str, Mutant] = {
    "group kept in a reset": Mutant(r"(\w+_valid <= 1'b0;\s*)\w+_group <= 0;", r"\1"),
    "groups wrap late": Mutant(r"(\w+_group == )(\d+)", lambda m: f"{m[1]}{int(m[2]) + 1}"),
}
