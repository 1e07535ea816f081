"""Verilog and VHDL of one layer's engine, with memory images, benches and a manifest (SPEC HW-7)."""

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

from hw.convolution import convolution_engine, engine_ports
from hw.elaboration import clean_elaboration, on_short_stack
from hw.parameters import MEMORIES, EngineParameters, address_bits
from hw.stimulus import Stimulus, layer_stimulus
from refcodec.errors import HardwareError
from refcodec.files import new_folder
from refcodec.program.program import Program

FORMAT = "refcodec-hw-1"
LANGUAGES = {"verilog": ("Verilog", "v"), "vhdl": ("VHDL", "vhd")}
CYCLE_DIGITS = 8


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


def convert_engine(parameters: EngineParameters, language: str, module: str, folder: Path) -> None:
    """Write the HDL of one engine into an existing folder (SPEC HW-7).

    The bytes depend on the parameters and the MyHDL release only.  A complaint of the converter is an error.
    """
    hdl, suffix = LANGUAGES[language]
    options: dict[str, Any] = {"testbench": False} if language == "verilog" else {}

    def convert() -> None:
        engine = convolution_engine(**engine_ports(parameters).connect(), parameters=parameters)
        engine.convert(hdl=hdl, path=str(folder), name=module, no_myhdl_header=True, **options)

    with clean_elaboration(), warnings.catch_warnings():
        warnings.simplefilter("error")
        on_short_stack(convert)
    path = folder / f"{module}.{suffix}"
    path.write_text(_sort_sensitivity(path.read_text(encoding="utf-8")), encoding="utf-8")


def _write_images(stimulus: Stimulus, folder: Path) -> None:
    widths = stimulus.parameters.widths
    for name, image in stimulus.images.items():
        digits = _digits(widths[name])
        _write(folder / f"{name}.hex", (f"{word:0{digits}x}" for word in image))
    digits = _digits(stimulus.parameters.po * stimulus.parameters.out_format.bits)
    lines = zip(stimulus.cycles, stimulus.words, strict=True)
    _write(folder / "expected.hex", (f"{cycle:0{CYCLE_DIGITS}x}_{word:0{digits}x}" for cycle, word in lines))


def _write(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _bench_values(parameters: EngineParameters, module: str) -> dict[str, object]:
    """What the templates ask for."""
    widths, depths = parameters.widths, parameters.depths
    names = list(widths)
    word_bits = parameters.po * parameters.out_format.bits
    declarations = [f"    reg [{widths[n]}-1:0] {n} [0:{depths[n] * parameters.lanes(n)}-1];" for n in names]
    reads = [f'        $readmemh("{n}.hex", {n});' for n in names]
    cases = [
        f"                        {MEMORIES.index(n)}: begin\n"
        f"                            load_data <= {n}[position];\n"
        f"                            depth = {depths[n]};\n"
        + ("                            lanes = 1;\n" if parameters.lanes(n) == 1 else "")
        + "                        end"
        for n in names
    ]
    loads = [f'        load("{n}.hex", {MEMORIES.index(n)}, {parameters.lanes(n)}, {depths[n]});' for n in names]
    return {
        "module": module,
        "out_word_bits": word_bits,
        "out_digits": _digits(word_bits),
        "out_bits": parameters.out_format.bits,
        "out_format": "signed" if parameters.out_format.signed else "unsigned",
        "words": parameters.words,
        "limit": 4 * parameters.cycles + 1000,
        "last_select": MEMORIES.index(names[-1]),
        "pi": parameters.pi,
        "po": parameters.po,
        "last_lane": parameters.po - 1,
        "width": parameters.width,
        "in_groups": parameters.in_groups,
        "load_select_bits": address_bits(len(MEMORIES)),
        "load_lane_bits": address_bits(parameters.po),
        "load_address_bits": parameters.load_address_bits,
        "load_bits": parameters.load_bits,
        "image_declarations": "\n".join(declarations),
        "image_reads": "\n".join(reads),
        "image_cases": "\n".join(cases),
        "image_loads": "\n".join(loads),
        "scale_memories": ", 3 multiplier, 4 shift" if parameters.output else "",
        "scale_names": ", multiplier and shift" if parameters.output else "",
        "steps": parameters.steps,
        "latency": parameters.latency,
        "cycles": parameters.cycles,
        "load_cycles": parameters.load_cycles,
    }


def _write_bench(parameters: EngineParameters, language: str, module: str, folder: Path) -> None:
    kind = "transposed convolution" if parameters.transposed else "convolution"
    kernel, stride = parameters.kernel, parameters.stride
    values = _bench_values(parameters, module) | {
        "language": LANGUAGES[language][0],
        "suffix": LANGUAGES[language][1],
        "package": next((path.name for path in sorted(folder.glob("pck_myhdl_*.vhd"))), ""),
        "simulate": "`make icarus` or `make verilator`." if language == "verilog" else "`make ghdl`.",
        "title": f"A {kernel}x{kernel} {kind} of stride {stride}, {parameters.in_channels} to "
        f"{parameters.out_channels} channels, on a {parameters.height}x{parameters.width} tile",
    }
    files = {
        "verilog": {
            "bench.v": "bench.v",
            "timed_bench.v": "timed_bench.v",
            "main.cpp": "main.cpp",
            "verilog.mk": "Makefile",
        },
        "vhdl": {"bench.vhd": "bench.vhd", "vhdl.mk": "Makefile"},
    }[language]
    for template, name in (files | {"README.md": "README.md"}).items():
        (folder / name).write_text(_render(template, values), encoding="utf-8")


def _manifest(parameters: EngineParameters, language: str, layer: str, module: str, folder: Path) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "clause": "HW-5",
        "layer": layer,
        "language": language,
        "module": module,
        "parameters": parameters.describe(),
        "memories": {
            name: {"bits": bits, "words": parameters.depths[name], "lanes": parameters.lanes(name)}
            for name, bits in parameters.widths.items()
        },
        "output": {
            "channels": parameters.out_channels,
            "height": parameters.out_height,
            "width": parameters.out_width,
            "format": str(parameters.out_format),
            "words": parameters.words,
            "word_bits": parameters.po * parameters.out_format.bits,
        },
        "cycles": {
            "load": parameters.load_cycles,
            "steps": parameters.steps,
            "latency": parameters.latency,
            "run": parameters.cycles,
        },
        "macs": parameters.macs,
        "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())},
    }


def convert_layer(
    program: Program, layer: str, x: np.ndarray, language: str, out_dir: str | Path, pi: int, po: int
) -> dict[str, Any]:
    """Emit one layer's engine with everything that simulates it, and return its manifest (SPEC HW-7).

    x  (C, H, W) integers, the layer's input or a tile of it, which sets the tile size;  language  verilog or vhdl
    out_dir  appears complete or not at all; replaced if it was written here before.
    Raises HardwareError RC-HW-CONFIG, ShapeError, RangeError, FileError RC-FILE-WRITE.
    """
    if language not in LANGUAGES:
        raise HardwareError("RC-HW-CONFIG", f"language must be one of {', '.join(LANGUAGES)}, got {language}")
    stimulus = layer_stimulus(program, layer, x, pi, po)
    module = module_name(layer)
    with new_folder(out_dir) as folder:
        convert_engine(stimulus.parameters, language, module, folder)
        _write_images(stimulus, folder)
        _write_bench(stimulus.parameters, language, module, folder)
        manifest = _manifest(stimulus.parameters, language, layer, module, folder)
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return manifest
