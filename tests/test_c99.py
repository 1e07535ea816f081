"""The example implementation in C99, which was written from SPEC.md, on the committed suite (SPEC VEC-3, VEC-4)."""

from __future__ import annotations

import contextlib
import json
import random
import re
import shutil
import subprocess
import threading
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from refcodec.cli import main

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "tools" / "c99"
SUITE = ROOT / "vectors"
SECONDS = 60  # for one case, after which it counts as hung
DAMAGED = 300
FOREIGN_FAMILIES = ("mean-scale-hyperprior", "entropy-parameters", "autoregressive", "checkerboard")

pytestmark = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in ("gcc", "make")), reason="needs gcc and make to build tools/c99"
)


# --- building and talking


def build(folder: Path, target: str, sources: Path = SOURCES) -> Path:
    """The program that a target of the Makefile builds, in a folder of its own."""
    made = subprocess.run(
        ["make", "-C", str(sources), f"BUILD={folder}", target], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    (program,) = folder.iterdir()
    return program


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("c99"), "all")


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("c99-sanitize"), "sanitize")


class Session:
    """One process that answers a line of JSON for each case."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._said = folder / "stderr"
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                [str(program), "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said
            )

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *raised: object) -> None:
        """Nothing is left running, whatever a test saw."""
        self._process.kill()
        self.finish()

    def ask(self, case: Path, suite: Path, out: Path) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"id": case.name, "case": str(case), "suite": str(suite), "out": str(out)}
        watch = threading.Timer(SECONDS, self._process.kill)
        watch.start()
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        watch.cancel()
        assert line, f"{case}: {self.finish()}"
        answer: dict[str, Any] = json.loads(line)
        assert answer["id"] == case.name
        return answer

    def finish(self) -> str:
        """How the process ended and all that it said."""
        if self._process.returncode is None:
            self._process.communicate()
        return f"status {self._process.returncode}, {self._said.read_text(errors='replace')}"


def entries() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((SUITE / "index.json").read_bytes())["cases"]
    return found


def described(case: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((case / "case.json").read_bytes())
    return document


def judge(case: Path, answer: dict[str, Any], out: Path) -> str:
    """`passed`, `unsupported`, or what is wrong with an answer."""
    document = described(case)
    if answer["status"] == "unsupported":
        return "unsupported"
    if document["result"] == "invalid":
        codes = [document["error"], *document.get("accept", [])]
        refused = answer["status"] == "rejected" and answer["error"] in codes
        return "passed" if refused else f"{answer} instead of {codes}"
    if answer["status"] != "ok":
        return str(answer)
    for role in ("outputs", "taps"):
        wanted = {tensor["name"]: tensor["file"] for tensor in document[role]}
        if {name: Path(place["file"]) for name, place in answer[role].items()} != {
            name: out / file for name, file in wanted.items()
        }:
            return f"{role}: {answer[role]}"
        for file in wanted.values():
            if (out / file).read_bytes() != (case / file).read_bytes():
                return f"{file} differs"
    return "passed"


def verdicts(program: Path, folder: Path, ids: list[str]) -> dict[str, str]:
    """What a program makes of each case; it must then end in order and have said nothing."""
    found = {}
    with Session(program, folder) as session:
        for number, name in enumerate(ids):
            out = folder / str(number)
            out.mkdir()
            found[name] = judge(SUITE / name, session.ask(SUITE / name, SUITE, out), out)
            shutil.rmtree(out)
        assert session.finish() == "status 0, "
    return found


def family_of(file: bytes) -> str:
    """The family that the description in a model file names (SPEC MODEL-2)."""
    header = json.loads(file[8 : 8 + int.from_bytes(file[:8], "little")])
    family: str = json.loads(header["__metadata__"]["refcodec"])["family"]
    return family


def is_foreign(entry: dict[str, Any]) -> bool:
    """Whether a case is beyond the implementation: videos, streams of other families than the scale hyperprior, and
    model files of FOREIGN_FAMILIES, which it does not read further than to their family."""
    if entry["operation"] == "stream":
        return not entry["id"].startswith("streams/scale_hyperprior/")
    if entry["operation"] == "model":
        return family_of((SUITE / entry["id"] / "in.file.le").read_bytes()) in FOREIGN_FAMILIES
    return bool(entry["operation"] == "video")


# --- the suite


def test_implementation_in_c_passes_every_case_that_it_supports(program: Path, tmp_path: Path) -> None:
    found = verdicts(program, tmp_path, [entry["id"] for entry in entries()])
    assert {name: verdict for name, verdict in found.items() if verdict not in ("passed", "unsupported")} == {}
    foreign = {entry["id"] for entry in entries() if is_foreign(entry)}
    assert {name for name, verdict in found.items() if verdict == "unsupported"} == foreign
    assert len(found) - len(foreign) > 600


@pytest.mark.parametrize("level", ["stdio", "command"])
def test_runner_finds_the_implementation_in_c_conforming(program: Path, level: str, tmp_path: Path) -> None:
    sut = f"{program} --stdio" if level == "stdio" else f"{program} {{case}} {{out}}"
    report = tmp_path / "report.json"
    run = ["vectors", "run", "--vectors", str(SUITE), "--level", level, "--sut", sut, "--json", str(report)]
    assert main(run) == 0
    found = json.loads(report.read_text())
    assert found["conforms"]
    assert found["totals"]["skipped"] == sum(map(is_foreign, entries()))
    assert found["totals"]["passed"] == len(entries()) - found["totals"]["skipped"]


def test_implementation_in_c_passes_a_sample_under_sanitizers(sanitized: Path, tmp_path: Path) -> None:
    ids = {entry["id"] for entry in entries()[::9]}
    parsers = ("stream", "model")
    ids |= {entry["id"] for entry in entries() if entry["operation"] in parsers and entry["result"] == "invalid"}
    ids |= {entry["id"] for entry in entries() if entry["operation"] in ("integers", "function")}
    assert len(ids) >= 60
    assert set(verdicts(sanitized, tmp_path, sorted(ids)).values()) == {"passed", "unsupported"}


def run_command(program: Path, case: Path, out: Path) -> tuple[int, dict[str, Any] | None]:
    out.mkdir()
    ended = subprocess.run([str(program), str(case), str(out)], capture_output=True, check=False, timeout=SECONDS)
    status = out / "status.json"
    return ended.returncode, json.loads(status.read_bytes()) if status.exists() else None


def test_command_tells_by_its_exit_status_how_a_case_ended(program: Path, tmp_path: Path) -> None:
    valid = SUITE / "streams/scale_hyperprior/33x17"
    assert run_command(program, valid, tmp_path / "0") == (0, None)
    for role in ("outputs", "taps"):
        for tensor in described(valid)[role]:
            assert (tmp_path / "0" / tensor["file"]).read_bytes() == (valid / tensor["file"]).read_bytes()
    refused = SUITE / "streams/scale_hyperprior/invalid-header-crc"
    assert run_command(program, refused, tmp_path / "1") == (4, {"error": "RC-STREAM-CRC"})
    assert list((tmp_path / "1").iterdir()) == [tmp_path / "1" / "status.json"]
    assert run_command(program, SUITE / "streams/implicit_video/nerv", tmp_path / "2") == (3, None)
    assert run_command(program, tmp_path / "missing", tmp_path / "3") == (2, None)
    assert subprocess.run([str(program)], capture_output=True, check=False).returncode == 2


def test_process_answers_a_line_that_is_no_request(program: Path) -> None:
    lines = b'no JSON\n{"id": [1, "\\u00e9"]}\n{"id": 2, "case": "/nowhere", "out": "/nowhere"}\n'
    ended = subprocess.run([str(program), "--stdio"], input=lines, capture_output=True, check=False, timeout=SECONDS)
    assert ended.returncode == 0
    assert [json.loads(line) for line in ended.stdout.splitlines()] == [
        {"id": None, "status": "broken"},
        {"id": [1, "é"], "status": "broken"},
        {"id": 2, "status": "broken"},
    ]


# --- damage


def damage(content: bytes, draw: random.Random) -> bytes:
    """Some bytes changed, taken out, put in or repeated."""
    damaged = bytearray(content or b"\0")
    for _ in range(draw.choice((1, 1, 2, 4))):
        place = draw.randrange(len(damaged))
        kind = draw.randrange(6)
        if kind < 2:
            damaged[place] ^= 1 << draw.randrange(8)
        elif kind == 2:
            damaged[place] = draw.choice(b'0123456789-".,{}[]\\\0\xff\x80')
        elif kind == 3 and len(damaged) > 16:
            del damaged[place : place + draw.randrange(1, 9)]
        elif kind == 4:
            damaged[place:place] = draw.randbytes(draw.randrange(1, 9))
        else:
            damaged[place:place] = damaged[place : place + draw.randrange(1, 40)]
    return bytes(damaged)


def with_checksums(stream: bytes) -> bytes:
    """A damaged stream whose checksums fit again, so that what lies behind them is reached (SPEC STREAM-1)."""
    content = bytearray(stream)
    sections = min(int.from_bytes(content[48:52], "little"), 4)
    header = place = 52 + 12 * sections
    if len(content) < header + 4:
        return stream
    place += 4
    for entry in range(52, header, 12):
        length = int.from_bytes(content[entry + 4 : entry + 8], "little")
        content[entry + 8 : entry + 12] = zlib.crc32(content[place : place + length]).to_bytes(4, "little")
        place += length
    content[header : header + 4] = zlib.crc32(content[:header]).to_bytes(4, "little")
    return bytes(content)


def damaged_stream(case: Path, suite: Path, draw: random.Random) -> None:
    """Damages the model of a stream, its JSON above all, or the stream itself."""
    document = described(case)
    if draw.random() < 0.3:
        model = suite / "models" / f"{document['parameters']['model']}.rcm"
        content = model.read_bytes()
        begin = draw.choice((9000, len(content)))
        model.write_bytes(damage(content[:begin], draw) + content[begin:])
        return
    stream = damage((case / "in.stream.le").read_bytes(), draw)
    if draw.random() < 0.8:
        stream = with_checksums(stream)
    (case / "in.stream.le").write_bytes(stream)
    document["inputs"][0]["shape"] = [len(stream)]
    (case / "case.json").write_text(json.dumps(document))


def damaged_inputs(case: Path, draw: random.Random) -> None:
    """Damages one file of a case; other files than its description mostly keep their length."""
    file = draw.choice(sorted(case.iterdir()))
    content = file.read_bytes()
    damaged = damage(content, draw)
    if file.name != "case.json" and draw.random() < 0.9:
        damaged = damaged.ljust(len(content), b"\0")[: len(content)]
    file.write_bytes(damaged)


@pytest.fixture
def damaged(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A case and a suite that may be damaged, one after another."""

    def cases() -> Iterator[tuple[Path, Path]]:
        draw = random.Random(7)
        own = [entry for entry in entries() if not is_foreign(entry)]
        streams = [entry for entry in own if entry["operation"] == "stream"]
        for number in range(DAMAGED):
            entry = draw.choice(own if number % 2 else streams)
            case, suite = tmp_path / f"case{number}", tmp_path / f"suite{number}"
            shutil.copytree(SUITE / entry["id"], case, ignore=shutil.ignore_patterns("*.hex", "out.*", "tap.*"))
            if entry["operation"] == "stream":
                name = f"{described(case)['parameters']['model']}.rcm"
                (suite / "models").mkdir(parents=True)
                shutil.copy(SUITE / "models" / name, suite / "models" / name)
                damaged_stream(case, suite, draw)
            else:
                damaged_inputs(case, draw)
            yield case, suite
            shutil.rmtree(case)
            shutil.rmtree(suite, ignore_errors=True)

    return cases()


def test_damaged_cases_end_in_order_under_sanitizers(
    sanitized: Path, tmp_path: Path, damaged: Iterator[tuple[Path, Path]]
) -> None:
    found: Counter[str] = Counter()
    out = tmp_path / "out"
    with Session(sanitized, tmp_path) as session:
        for case, suite in damaged:
            out.mkdir()
            answer = session.ask(case, suite, out)
            found[answer["status"]] += 1
            assert (answer["status"] == "rejected") == ("error" in answer)
            if answer["status"] != "ok":
                assert list(out.iterdir()) == [], case  # SPEC ERR-1: no part of a picture
            shutil.rmtree(out)
        ended = session.finish()
    assert ended.startswith("status 0, ")
    assert all(line.startswith("refcodec-c99: ") for line in ended[len("status 0, ") :].splitlines()), ended
    assert set(found) <= {"ok", "rejected", "unsupported", "broken"}
    assert found["rejected"] > 100
    assert found["ok"] > 20
    assert found["broken"] > 5


# --- that the tests can fail


def test_an_implementation_that_rounds_downwards_is_found(tmp_path: Path) -> None:
    wrong = tmp_path / "sources"
    shutil.copytree(SOURCES, wrong, ignore=shutil.ignore_patterns("build"))
    text = (wrong / "arithmetic.c").read_text()
    right = "floor_shift(value + (power_of_two(shift) >> 1), shift)"
    assert text.count(right) == 1
    (wrong / "arithmetic.c").write_text(text.replace(right, "floor_shift(value, shift)"))
    folder = tmp_path / "build"
    program = build(folder, "all", wrong)
    operations = {entry["id"]: entry["operation"] for entry in entries() if not is_foreign(entry)}
    found = verdicts(program, tmp_path, list(operations))
    failed = {name for name, verdict in found.items() if verdict != "passed"}
    assert {operations[name] for name in failed} >= {"requantise", "add", "layer", "stream", "gdn", "warp"}
    assert not {"resize", "rans_decode", "table", "integers"} & {operations[name] for name in failed}
    assert all("differs" in found[name] or "rejected" in found[name] for name in failed)


def test_sources_name_only_clauses_that_exist() -> None:
    clauses = set(re.findall(r"^\*\*([A-Z]+-[0-9]+)\*\*", (ROOT / "SPEC.md").read_text(), re.MULTILINE))
    groups = {clause.split("-")[0] for clause in clauses}
    text = "".join(file.read_text() for file in sorted(SOURCES.glob("*.[ch]")))
    named = {name for name in re.findall(r"\b[A-Z]+-[0-9]+\b", text) if name.split("-")[0] in groups}
    assert named <= clauses
    assert len(named) > 60
