"""`refcodec audit` as a user runs it: text, JSON, page, plot, widths (SPEC AUD-1 to AUD-4)."""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_hyperprior import random_latents

from refcodec.audit.document import audit
from refcodec.audit.page import page
from refcodec.audit.subject import subject
from refcodec.audit.text import audit_text, widths_text
from refcodec.cli import build_parser, main
from refcodec.cli.parsing import load
from refcodec.codecs.inr.stream import pack
from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.codecs.stream import Geometry
from refcodec.errors import RefcodecError
from refcodec.models.shipped import DEFAULT_MODEL, shipped_names, shipped_path
from refcodec.program.model_file import Model, model_to_bytes
from refcodec.vectorgen.tiny_models import TINY_MODELS
from refcodec.vectorgen.tiny_videos import ARCHITECTURES, tiny_video


def tables_of(text: str) -> dict[str, dict[str, str]]:
    """The rows of every table of a text, by their first cell; cells are two spaces apart."""
    found: dict[str, dict[str, str]] = {}
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if number and set(line) == {"-", " "}:
            widths = [len(dashes) for dashes in line.split("  ")]
            starts = [sum(widths[:n]) + 2 * n for n in range(len(widths))]
            ends = [*starts[1:], None]
            cut = [[row[s:e].strip() for s, e in zip(starts, ends, strict=True)] for row in (lines[number - 1],)]
            for row in lines[number + 1 :]:
                if not row:
                    break
                cells = [row[s:e].strip() for s, e in zip(starts, ends, strict=True)]
                found.setdefault(cells[0], {}).update(zip(cut[0], cells, strict=True))
    return found


def test_the_default_model_is_audited(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{DEFAULT_MODEL}: scale-hyperprior, identity {load(DEFAULT_MODEL).identity}\n")
    row = tables_of(said)["g_s.6"]
    assert (row["interval"], row["needed"], row["checked"], row["declared"], row["headroom"]) == (
        "-527410 .. 657646", "21", "22", "22", "1",
    )  # fmt: skip
    assert (row["int32"], row["float32"], row["float64"]) == ("yes", "yes", "yes")
    assert "frequency tables" in said


def test_the_example_of_the_help_parses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["audit", "--help"])
    example = re.search(r"example:\n  refcodec (.+)\n", capsys.readouterr().out)
    assert example
    assert build_parser().parse_args(example[1].split()).run


def test_everything_is_written_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    names = [tmp_path / name for name in ("a.json", "a.html", "a.png")]
    arguments = [str(x) for pair in zip(("--json", "--html", "--plot"), names, strict=True) for x in pair]
    assert main(["audit", "bunny", *arguments]) == 0
    document = json.loads(names[0].read_text())
    assert (document["schema"], document["kind"], document["fits"]) == ("refcodec-audit/1", "implicit video", True)
    assert document["model"] == "bunny"
    assert names[2].read_bytes().startswith(b"\x89PNG")
    first = [name.read_bytes() for name in names]
    assert main(["audit", "bunny", *arguments]) == 0
    assert [name.read_bytes() for name in names] == first
    capsys.readouterr()


def test_without_matplotlib_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["audit", "--json", str(tmp_path / "a.json"), "--plot", str(tmp_path / "a.png")]) == 2
    assert "RC-EXTRA" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def every_document() -> list[Any]:
    """The audits of shipped models, of tiny ones of every family, and of tiny videos."""
    contents = {name: shipped_path(name, ".rcm").read_bytes() for name in shipped_names(".rcm")}
    contents |= {name: model_to_bytes(make((8, 8), 5)) for name, make in TINY_MODELS.items()}
    contents |= {name: pack(tiny_video(architecture, 3)) for name, architecture in ARCHITECTURES.items()}
    return [pytest.param(content, name, id=name) for name, content in contents.items()]


@pytest.mark.parametrize(("content", "name"), every_document())
def test_every_kind_of_model_has_a_text_and_a_page(content: bytes, name: str) -> None:
    document = audit(subject(content, name))
    assert json.loads(json.dumps(document)) == document
    rows = tables_of(audit_text(document))
    for program in document["programs"].values():
        for layer in program["layers"]:
            assert layer["operation"] in rows
            assert len(layer["reach"]["lo"]) == layer["channels"]
            for found in layer["sums"]:
                assert found["needed_bits"] <= found["partial_bits"] <= found["declared_bits"]
                assert found["headroom_bits"] == found["declared_bits"] - found["needed_bits"]
                assert found["witness"]["value"] in (found["lo"], found["hi"])
    text = page(document)
    assert "http" not in text
    assert "src=" not in text
    xml.etree.ElementTree.fromstring(text[text.index("<body>") : text.index("</html>")])
    assert f"<title>Audit of {name}</title>" in text


def test_names_are_escaped_in_the_page(tiny_model: Model) -> None:
    text = page(audit(subject(model_to_bytes(tiny_model), "<b>&.rcm")))
    assert "<b>" not in text
    assert "&lt;b&gt;&amp;.rcm" in text


def test_a_videos_multipliers_are_exact() -> None:
    content = shipped_path("bunny", ".rcv").read_bytes()
    document = audit(subject(content, "bunny"))
    scales = [scale for layer in document["programs"]["video"]["layers"] for scale in layer["scales"]]
    assert scales
    assert all((scale["resolution"], scale["error"]) == (0.0, 0.0) for scale in scales)
    assert tables_of(audit_text(document))["stem.0.requantise"]["resolution"] == "exact"


def test_widths_are_those_of_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    """The first layer of h_s: 8-bit samples and weights, as in the datapath that `hw` builds for it."""
    assert main(["audit", "--widths"]) == 0
    said = capsys.readouterr().out
    program = load(DEFAULT_MODEL).programs["h_s"]
    op: Any = program.operation("h_s.0")
    after: Any = program.operation("h_s.1")
    row = tables_of(said)["h_s.0 + h_s.1"]
    assert (row["source"], row["weight"], row["target"]) == ("s8", "s8", "u8")
    assert row["acc"] == str(program.tensor("h_s.0").format.bits)
    products = [int(w) * v for w in (op.weight.min(), op.weight.max()) for v in (-128, 127)]
    assert row["product"] == str(max((max(products)).bit_length(), (-min(products) - 1).bit_length()) + 1)
    assert row["bias"] == str(max(int(op.bias.max()).bit_length(), (-int(op.bias.min()) - 1).bit_length()) + 1)
    assert row["multiplier"] == str(int(after.multiplier.max()).bit_length())
    assert row["shift"] == f"{after.shift.min()} .. {after.shift.max()}"
    assert "h_s.1" not in tables_of(said)
    assert "indexes" in tables_of(said)


def test_widths_follow_a_gdn_and_stand_in_the_json() -> None:
    name = "balle2018-gdn-n32-m64-lambda0130-w8a8"
    document = audit(subject(shipped_path(name, ".rcm").read_bytes(), name))
    rows = {row["layer"]: row for row in document["programs"]["g_s"]["widths"]}
    row = rows["g_s.1"]
    assert (row["accumulator"], row["needed"], row["weight"], row["multiplier"]) == (25, 25, "u8", 31)
    assert row["others"] == {"norm": 25, "divisor": 25, "product": 32, "scaled": 62}
    assert row["scaled"] == 62
    assert "g_s.1" in widths_text(document)


def test_pictures_are_observed(
    tiny_model: Model,
    tiny_codec: ScaleHyperprior,
    rng: np.random.Generator,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "m.rcm").write_bytes(model_to_bytes(tiny_model))
    content = tiny_codec.encode(random_latents(tiny_codec, 70, 50, rng), Geometry(50, 70, 3))
    (tmp_path / "streams").mkdir()
    (tmp_path / "streams" / "0.rcb").write_bytes(content)
    files = [str(tmp_path / name) for name in ("m.rcm", "streams", "a.json", "a.html")]
    assert main(["audit", files[0], "--images", files[1], "--json", files[2], "--html", files[3]]) == 0
    rows = tables_of(capsys.readouterr().out)
    taps: dict[str, np.ndarray] = {}
    tiny_codec.decode(content, taps.__setitem__)
    x_hat = taps["x_hat"]
    assert rows["x_hat"]["observed"] == f"{x_hat.min()} .. {x_hat.max()}"
    assert rows["x_hat"]["unused codes"] == f"{256 - len(np.unique(x_hat))} of 256"
    constant = sum(plane.min() == plane.max() for plane in taps["y_hat"])
    assert rows["y_hat"]["constant channels"] == f"{constant} of 6"
    document = json.loads(Path(files[2]).read_text())
    (found,) = (row for row in document["observed"]["g_s"]["saturations"] if row["operation"] == "x_hat")
    assert sum(found["above"]) == int(rows["x_hat"]["clipped above"].split()[0])
    assert "<h2>g_s on data</h2>" in Path(files[3]).read_text()


def test_a_videos_own_frames_are_observed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "v.rcv").write_bytes(pack(tiny_video(ARCHITECTURES["hnerv"], 3)))
    assert main(["audit", str(tmp_path / "v.rcv"), "--video"]) == 0
    rows = tables_of(capsys.readouterr().out)
    assert rows["t"]["observed"].startswith("0 .. ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bunny", "--images", "x"], "RC-USAGE: an implicit video holds its own frames"),
        (["bunny", "--video", "x"], "RC-USAGE: an implicit video holds its own frames"),
        (["--images", "x", "--video", "y"], "RC-USAGE: --images and --video exclude each other"),
        (["--video"], "RC-USAGE: --video needs a clip"),
        (["--images", "nowhere"], "RC-FILE-READ: nowhere is no folder"),
        (["--video", "nowhere"], "RC-FILE-READ: cannot read nowhere"),
        (["nowhere"], "RC-FILE-READ: no file nowhere"),
        (["photograph"], "RC-FILE-READ: no file photograph"),
    ],
)
def test_what_cannot_be_audited_is_refused_in_a_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"refcodec: {said}")
    assert error.count("\n") == 1


@pytest.mark.parametrize("content", [b"", b"nothing", b"RCV\n"])
def test_what_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(RefcodecError, match=r"RC-MODEL-FILE|RC-STREAM"):
        subject(content, "m")
