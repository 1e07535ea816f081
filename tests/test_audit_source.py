"""The audit of the decode path's own text: shift counts and widths (SPEC AUD-5); floats are in test_repository.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from refcodec.audit.shifts import RANGES, Range, shifts_in_range
from refcodec.audit.source import DECODE_PATH, audit_source, package_sources
from refcodec.cli import main
from refcodec.errors import FileError

PATH = "refcodec/layers/thing.py"
HEAD = "from refcodec.kernel import kernel\nWIDE = 70\nNARROW = 3\nSOME = np.uint64(16)\n\n\n@kernel\n"


def complaints(body: str, head: str = HEAD, path: str = PATH) -> list[str]:
    """What is said of one function of one file."""
    text = head + "def run(x, count, out):\n" + "".join(f"    {line}\n" for line in body.splitlines())
    return shifts_in_range({path: text}, DECODE_PATH)


def test_the_package_itself_is_in_order() -> None:
    sources = package_sources()
    assert audit_source(sources) == []
    assert sum(path.startswith("hw/") for path in sources) > 10


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("out[0] = x >> 64", "the shift count 64 is 64..64, not 0..63"),
        ("out[0] = x << -1", "the shift count -1 is -1..-1"),
        ("out[0] = x >> WIDE", "the shift count WIDE is 70..70"),
        ("out[0] = x >> NARROW - 4", "the shift count NARROW - 4 is -1..-1"),
        ("out[0] = x >> count", "the shift count count is not known to lie in 0..63"),
        ("out[0] <<= count", "the shift count count is not known"),
        ("s = count\nout[0] = x >> s", "the shift count s is not known"),
        ("s = 3\ns = count\nout[0] = x >> s", "the shift count s is not known"),
        ("s = 3\ns += 90\nout[0] = x >> s", "the shift count s is not known"),
        ("for s in (1, 66):\n    out[0] = x >> s", "the shift count s is 1..66"),
        ("for s in range(3):\n    out[0] = x >> s", "the shift count s is not known"),
        ("out[0] = x >> max(NARROW, WIDE)", "is 70..70"),
        ("out[0] = x >> min(NARROW, count)", "is not known"),
        ("out[0] = x >> np.int64(WIDE)", "is 70..70"),
        ("out[0] = x >> (count & 7)", "is not known"),
    ],
)
def test_shifts_of_kernels_that_may_be_out_of_range_are_told(body: str, fault: str) -> None:
    (found,) = complaints(body)
    assert found.startswith(f"{PATH}:{8 + body.count(chr(10)) + 1 - 0}: ")
    assert fault in found


@pytest.mark.parametrize(
    "body",
    [
        "out[0] = x >> 63",
        "out[0] = x << 0",
        "out[0] = x >> SOME",
        "out[0] = x >> 2 * NARROW + 1",
        "s = NARROW + 2\nout[0] = x >> s - 1",
        "for s in (16, 8, 4):\n    out[0] = x >> 62 - 2 * s",
        "out[0] = x >> min(WIDE, 60)",
        "out[0] = x >> (WIDE & 63) // 2",
        "out[0] = x >> (NARROW << 2)",
    ],
)
def test_shifts_of_kernels_that_are_in_range_are_accepted(body: str) -> None:
    assert complaints(body) == []


def test_a_range_that_is_declared_is_believed_within_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"count": Range("0", "NARROW", "run")}
    monkeypatch.setitem(RANGES, (PATH, "run"), limits)
    assert complaints("out[0] = x >> count") == []
    (found,) = complaints("out[0] = x >> 61 + count")
    assert "61 + count is 61..64" in found


@pytest.mark.parametrize(
    ("limits", "faults"),
    [
        (Range("0", "MISSING", "run"), ["the range 0 .. MISSING of count in run is unknown", "not known to lie"]),
        (Range("0", "NARROW", "check_nothing"), ["nothing is called check_nothing, which ensures count in run"]),
    ],
)
def test_a_range_that_names_nothing_is_told(limits: Range, faults: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RANGES, (PATH, "run"), {"count": limits})
    found = complaints("out[0] = x >> count")
    assert len(found) == len(faults)
    assert all(fault in line for fault, line in zip(faults, found, strict=True))


def test_a_range_of_what_is_gone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RANGES, (PATH, "other"), {"count": Range("0", "1", "run")})
    assert complaints("out[0] = x") == [f"{PATH}: no count in other, of which a range is declared"]


def test_a_limit_is_that_of_another_module() -> None:
    """The limit of a check is imported, so a wider limit is a wider range."""
    sources = package_sources()
    path = "refcodec/formats.py"
    wider = sources[path].replace("MIN_SHIFT, MAX_SHIFT = 1, 62", "MIN_SHIFT, MAX_SHIFT = 1, 64")
    assert wider != sources[path]
    found = audit_source({**sources, path: wider})
    assert any(line.startswith("refcodec/layers/requantise.py:") and "is 1..64" in line for line in found)


@pytest.mark.parametrize(("body", "fault"), [("return x >> -2", "is -2"), ("return x << 65", "is 65")])
def test_constant_shifts_outside_kernels_are_told(body: str, fault: str) -> None:
    (found,) = complaints(body, head="")
    assert fault in found
    assert complaints("return x << count", head="") == []
    assert complaints("return 1 << 64", head="") == []


@pytest.mark.parametrize(("bits", "fault"), [("0", "0 bits"), ("49", "49 bits"), ("LIMIT + 1", "49 bits")])
def test_widths_of_formats_are_told(bits: str, fault: str) -> None:
    head = "LIMIT = 48\n"
    (found,) = complaints(f"return IntFormat({bits}, True)", head)
    assert f"a format of {fault}, not 1..48" in found
    assert complaints("return IntFormat(LIMIT, True), IntFormat(x, False)", head) == []


def test_other_files_are_left_alone() -> None:
    assert complaints("out[0] = x >> count", path="refcodec/models/thing.py") == []


def test_the_command_audits_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--source"]) == 0
    said = capsys.readouterr().out
    assert said.endswith("files of the decode path: no floats, all shift counts and widths in range\n")
    package = tmp_path / "refcodec"
    (package / "layers").mkdir(parents=True)
    (package / "fixed.py").write_text("HALF = 0.5\n")
    (package / "layers" / "thing.py").write_text("def run(x):\n    return x >> -1\n")
    assert main(["audit", "--source", str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "refcodec/fixed.py:1: floating point: literal 0.5",
        "refcodec/layers/thing.py:2: the shift count -1 is -1, not 0..64",
        "2 complaints",
    ]


def test_a_folder_without_the_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"RC-FILE-READ: .* holds no refcodec/fixed.py"):
        package_sources(tmp_path)
