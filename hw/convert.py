"""Verilog and VHDL of a stage, with memory images, benches and a manifest (SPEC HW-7)."""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from hw.bench_text import SOURCE_TEXT
from hw.elaboration import clean_elaboration, on_short_stack
from hw.layer import layer_stimulus
from hw.stage import Stage
from hw.stimulus import Stimulus
from hw.top import SOURCE_NAMES, Ports, Widths, top
from refcodec.errors import HardwareError
from refcodec.files import new_folder
from refcodec.program.program import Program

FORMAT = "refcodec-hw-2"
LANGUAGES = {"verilog": ("Verilog", "v"), "vhdl": ("VHDL", "vhd")}
CYCLE_DIGITS = 8
# hexadecimal digits of the fields of a line of load.hex; the word follows
SELECT_DIGITS, LANE_DIGITS, ADDRESS_DIGITS = 2, 2, 6
BENCHES = {
    "verilog": {
        "bench.v": "bench.v",
        "timed_bench.v": "timed_bench.v",
        "main.cpp": "main.cpp",
        "verilog.mk": "Makefile",
    },
    "vhdl": {"bench.vhd": "bench.vhd", "vhdl.mk": "Makefile"},
}  # fmt: skip  # template: the file that it becomes


def _render(name: str, values: dict[str, object]) -> str:
    """A template with every {{name}} replaced; an unknown name is a KeyError."""
    text = resources.files("hw").joinpath("templates", name).read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: str(values[match[1]]), text)


def _digits(bits: int) -> int:
    """Hexadecimal digits of a word."""
    return -(-bits // 4)


def module_name(layer: str) -> str:
    """Name of the emitted module: the layer's, made a legal identifier of both languages (SPEC HW-7)."""
    return "layer_" + re.sub(r"_+", "_", re.sub(r"\W", "_", layer.lower(), flags=re.ASCII)).strip("_")


def _sort_sensitivity(text: str) -> str:
    """The same HDL with ordered sensitivity lists: MyHDL writes those of combinational processes in set order."""
    lists = r"(always @|: process )\(([^()]*,[^()]*)\)"
    return re.sub(lists, lambda match: f"{match[1]}({', '.join(sorted(match[2].split(', ')))})", text)


def convert_stage(stage: Stage, language: str, module: str, folder: Path) -> None:
    """Write the HDL of one stage into an existing folder (SPEC HW-7).

    The bytes depend on the parameters and the MyHDL release only.  A complaint of the converter is an error.
    """
    hdl, suffix = LANGUAGES[language]
    options: dict[str, Any] = {"testbench": False} if language == "verilog" else {}

    def convert() -> None:
        top(Ports(stage)).convert(hdl=hdl, path=str(folder), name=module, no_myhdl_header=True, **options)

    with clean_elaboration(), warnings.catch_warnings():
        warnings.simplefilter("error")
        if not stage.memories:
            warnings.filterwarnings("ignore", "Port is not used: load_")
        on_short_stack(convert)
    path = folder / f"{module}.{suffix}"
    path.write_text(_sort_sensitivity(path.read_text(encoding="utf-8")), encoding="utf-8")


def _write_words(stimulus: Stimulus, folder: Path) -> None:
    """What to load, what each source offers, what must come out."""
    stage = stimulus.stage
    digits = _digits(Widths.of(stage).data)
    _write(
        folder / "load.hex",
        (
            f"{select:0{SELECT_DIGITS}x}{lane:0{LANE_DIGITS}x}{address:0{ADDRESS_DIGITS}x}{word:0{digits}x}"
            for select, lane, address, word in stimulus.loads()
        ),
    )
    for name, source, words in zip(SOURCE_NAMES, stage.sources, stimulus.sources, strict=False):
        digits = _digits(source.bits)
        _write(folder / f"{name}.hex", (f"{word:0{digits}x}" for word in words))
    digits = _digits(stage.sink.bits)
    lines = zip(stimulus.cycles, stimulus.words, strict=True)
    _write(folder / "expected.hex", (f"{cycle:0{CYCLE_DIGITS}x}_{word:0{digits}x}" for cycle, word in lines))


def _write(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _stream_text(stage: Stage) -> str:
    """Rows of the README's port table for every stream."""
    rows = []
    for name, form, way in (
        *((name, form, ("in", "out")) for name, form in zip(SOURCE_NAMES, stage.sources, strict=False)),
        ("sink", stage.sink, ("out", "in")),
    ):
        rows.append(
            f"| {name}_valid, {name}_ready | {way[0]}, {way[1]} | 1 | a word passes at an edge that sees both |"
        )
        rows.append(
            f"| {name}_word | {way[0]} | {form.bits} | {form.lanes} lanes of {form.format}, lane 0 lowest: "
            f"{form.channels} channels of {form.height}x{form.width}, in the order row, column, group of channels |"
        )
    return "\n".join(rows)


def _bench_values(stimulus: Stimulus, language: str, module: str, title: str, package: str) -> dict[str, object]:
    """What the templates ask for."""
    stage = stimulus.stage
    widths, sink = Widths.of(stage), stage.sink
    names = SOURCE_NAMES[: len(stage.sources)]
    mask = sink.mask[sink.groups - 1] if sink.words else 0
    loaded = sum(memory.words for memory in stage.memories.values())
    memories = [
        f"| {number} | {name} | {memory.lanes} | {memory.depth} | {memory.bits} |"
        for number, (name, memory) in enumerate(stage.memories.items())
    ]
    snippets = SOURCE_TEXT[language]
    sources = [
        {"name": name, "bits": form.bits, "words": len(words), "last": max(1, len(words)) - 1, "place": number}
        for number, (name, form, words) in enumerate(zip(names, stage.sources, stimulus.sources, strict=True))
    ]
    return {
        **{key: "".join(text.format(**source) for source in sources) for key, text in snippets.items()},
        "module": module,
        "title": title,
        "language": LANGUAGES[language][0],
        "suffix": LANGUAGES[language][1],
        "package": package,
        "simulate": "`make icarus` or `make verilator`." if language == "verilog" else "`make ghdl`.",
        "load_select_bits": widths.select,
        "load_lane_bits": widths.lane,
        "load_address_bits": widths.address,
        "load_bits": widths.data,
        "load_digits": _digits(widths.data),
        "line_bits": 4 * (SELECT_DIGITS + LANE_DIGITS + ADDRESS_DIGITS + _digits(widths.data)),
        "loads": loaded,
        "load_lines": max(1, loaded),
        "sink_bits": sink.bits,
        "sink_digits": _digits(sink.bits),
        "mask": f"{mask:0{_digits(sink.bits)}x}",
        "groups": sink.groups,
        "words": len(stimulus.words),
        "word_lines": max(1, len(stimulus.words)),
        "fault": stimulus.fault,
        "limit": 8 * (stimulus.cycles_in_all + sum(map(len, stimulus.sources))) + 1000,
        "memory_rows": "\n".join(memories),
        "stream_rows": _stream_text(stage),
        "cycles": stimulus.cycles_in_all,
    }


def _manifest(stimulus: Stimulus, language: str, name: str, module: str, folder: Path) -> dict[str, Any]:
    stage = stimulus.stage
    return {
        "format": FORMAT,
        "clauses": list(stage.clauses),
        "name": name,
        "language": language,
        "module": module,
        "parameters": dict(stage.describe()),
        "memories": {
            key: {"select": select, "bits": memory.bits, "words": memory.depth, "lanes": memory.lanes}
            for select, (key, memory) in enumerate(stage.memories.items())
        },
        "streams": {
            key: {
                "channels": form.channels,
                "height": form.height,
                "width": form.width,
                "lanes": form.lanes,
                "format": str(form.format),
                "words": words,
                "word_bits": form.bits,
            }
            for key, form, words in (
                *((k, f, len(w)) for k, f, w in zip(SOURCE_NAMES, stage.sources, stimulus.sources, strict=False)),
                ("sink", stage.sink, len(stimulus.words)),
            )
        },
        "cycles": {"load": sum(memory.words for memory in stage.memories.values()), "run": stimulus.cycles_in_all},
        "macs": stage.macs,
        "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())},
    }


def write_design(
    stimulus: Stimulus, name: str, title: str, language: str, module: str, out_dir: str | Path
) -> dict[str, Any]:
    """Emit a stage with everything that simulates it, and return its manifest (SPEC HW-7).

    name  of what it computes;  title  one line for people;  language  verilog or vhdl;  module  a legal identifier
    out_dir  appears complete or not at all; replaced if it was written here before.
    Raises HardwareError RC-HW-CONFIG, FileError RC-FILE-WRITE.
    """
    if language not in LANGUAGES:
        raise HardwareError("RC-HW-CONFIG", f"language must be one of {', '.join(LANGUAGES)}, got {language}")
    with new_folder(out_dir) as folder:
        convert_stage(stimulus.stage, language, module, folder)
        _write_words(stimulus, folder)
        package = next((path.name for path in sorted(folder.glob("pck_myhdl_*.vhd"))), "")
        values = _bench_values(stimulus, language, module, title, package)
        for template, target in (BENCHES[language] | {"README.md": "README.md"}).items():
            (folder / target).write_text(_render(template, values), encoding="utf-8")
        manifest = _manifest(stimulus, language, name, module, folder)
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return manifest


def convert_layer(
    program: Program, layer: str, x: np.ndarray, language: str, out_dir: str | Path, pi: int, po: int
) -> dict[str, Any]:
    """Emit one layer's engine with everything that simulates it, and return its manifest (SPEC HW-7).

    x  (C, H, W) integers, the layer's input or a tile of it, which sets the tile size;  the rest as `write_design`.
    Raises HardwareError RC-HW-CONFIG, ShapeError, RangeError, FileError RC-FILE-WRITE.
    """
    stimulus = layer_stimulus(program, layer, x, pi, po)
    return write_design(stimulus, layer, stimulus.stage.title, language, module_name(layer), out_dir)
