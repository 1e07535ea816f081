"""Resources and clock rate of engines against precision: `python tools/synthesis_table.py [NAME ...]`.

Writes tools/figures/synthesis.csv and synthesis.png; with names such as W8A8-4x4 only those rows are measured again.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hw.convert import convert_stage
from hw.parameters import EngineParameters
from hw.stage import cycles
from hw.synthesis import synthesise_module
from refcodec.describe import table
from refcodec.formats import IntFormat, multiplier_bits
from refcodec.study.plot import import_matplotlib, saved

FIGURES = Path(__file__).parent / "figures"
CHANNELS, TILE = 32, 8
MODULE = "engine"
COLUMNS = ["engine", "weight_bits", "activation_bits", "lanes", "lut", "ff", "dsp", "bram", "fmax", "cycles"]
TITLES = {"lut": "LUT", "ff": "flip-flops", "dsp": "MULT18X18D", "bram": "DP16KD", "fmax": "MHz"}


@dataclass(frozen=True, slots=True)
class Configuration:
    """Widths of the engine to measure, and its lanes on both sides."""

    weight_bits: int
    activation_bits: int
    lanes: int

    @property
    def name(self) -> str:
        """Such as W8A8-4x4."""
        return f"W{self.weight_bits}A{self.activation_bits}-{self.lanes}x{self.lanes}"

    @property
    def parameters(self) -> EngineParameters:
        """A 5x5 transposed convolution of stride 2, requantised: what a synthesis transform is made of."""
        activation = IntFormat(self.activation_bits, False)
        accumulator = IntFormat(32 if self.weight_bits + self.activation_bits <= 24 else 48, True)
        return EngineParameters(
            kernel=5, stride=2, transposed=True, padding=2, output_padding=1,
            in_channels=CHANNELS, out_channels=CHANNELS, height=TILE, width=TILE,
            activation=activation, weight=IntFormat(self.weight_bits, True), accumulator=accumulator,
            output=activation, multiplier_bits=multiplier_bits(accumulator), pi=self.lanes, po=self.lanes,
        )  # fmt: skip


WIDTHS = ((4, 4), (7, 10), (8, 8), (12, 12), (16, 16))
CONFIGURATIONS = [*(Configuration(*widths, 4) for widths in WIDTHS), Configuration(8, 8, 8)]


def measure(configuration: Configuration) -> dict[str, Any]:
    """One row of the table."""
    parameters = configuration.parameters
    with tempfile.TemporaryDirectory(prefix="refcodec-synthesis-") as folder:
        convert_stage(parameters, "verilog", MODULE, Path(folder))
        found = synthesise_module(Path(folder) / f"{MODULE}.v", MODULE, "ecp5")
    print(configuration.name, found, file=sys.stderr, flush=True)
    return {
        "engine": configuration.name,
        "weight_bits": configuration.weight_bits,
        "activation_bits": configuration.activation_bits,
        "lanes": configuration.lanes,
        **{kind: getattr(found, kind) for kind in TITLES},
        "cycles": cycles(parameters),
    }


def read_rows(path: Path) -> dict[str, dict[str, Any]]:
    """The rows measured before, by engine."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {row["engine"]: row for row in csv.DictReader(file)}


def write_rows(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """The table as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def draw(rows: Sequence[dict[str, Any]]) -> bytes:
    """Every resource of the engines of four lanes, in order of precision, as PNG."""
    matplotlib = import_matplotlib()
    shown = [row for row in rows if int(row["lanes"]) == 4]
    names = [row["engine"].split("-")[0] for row in shown]
    with matplotlib.rc_context({"font.size": 8}):
        figure = matplotlib.figure.Figure(figsize=(9, 2.4), layout="constrained")
        for axes, (kind, title) in zip(figure.subplots(1, len(TITLES)), TITLES.items(), strict=True):
            bars = axes.bar(names, [float(row[kind]) for row in shown], color="0.35" if kind == "fmax" else "tab:blue")
            axes.bar_label(bars, fmt="{:.0f}", fontsize=6)
            axes.set_title(title, fontsize=8)
            axes.tick_params(axis="x", labelrotation=60)
            axes.spines[["top", "right"]].set_visible(False)
        return saved(figure, "png")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [configuration.name for configuration in CONFIGURATIONS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(names)} (default: all)")
    parser.add_argument("-o", "--output", type=Path, default=FIGURES, help="folder (default: tools/figures)")
    args = parser.parse_args(arguments)
    unknown = [name for name in args.names if name not in names]
    if unknown:
        parser.error(f"no engine {', '.join(unknown)}; there are {', '.join(names)}")
    path = args.output / "synthesis.csv"
    found = read_rows(path)
    for configuration in CONFIGURATIONS:
        if configuration.name in args.names or not args.names:
            found[configuration.name] = measure(configuration)
            write_rows([found[name] for name in names if name in found], path)
    rows = [found[name] for name in names if name in found]
    (args.output / "synthesis.png").write_bytes(draw(rows))
    print(table([[row[column] for column in COLUMNS] for row in rows], COLUMNS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
