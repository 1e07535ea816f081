"""The runner on itself: known faults, the golden model as an implementation, and the commands' exit statuses."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from runner_suite import CLIP, IDS, RANGE, WIDE, real_cases, right_results, write_suite

from refcodec.cli import main
from refcodec.errors import VectorError
from refcodec.runner import faulty_sut, golden_sut
from refcodec.runner.self_test import COMMAND_FAULTS, STDIO_FAULTS, Trial, run_self_test, self_test_text
from refcodec.runner.suite import Suite, open_suite
from refcodec.vectorgen.signature import signature_crc, signature_words

COMMITTED = Path(__file__).parents[1] / "vectors"
RIGHT = shlex.join([sys.executable, "-S", str(faulty_sut.__file__), "none"]) + " {case} {out}"
FAULTY = RIGHT.replace(" none ", " constant ")
GOLDEN = shlex.join([sys.executable, "-m", "refcodec.runner.golden_sut", "--stdio"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_suite(tmp_path_factory.mktemp("runner") / "suite", real_cases())


@pytest.fixture
def suite(folder: Path) -> Suite:
    return open_suite(folder)


def test_self_test_finds_every_fault_and_passes_the_golden_model(suite: Suite) -> None:
    trials = run_self_test(suite)
    assert [(trial.fault, trial.level) for trial in trials if not trial.passed] == []
    assert len(trials) == len(COMMAND_FAULTS) + len(STDIO_FAULTS) + 2
    assert all(len(trial.found) == 4 for trial in trials)
    assert self_test_text(trials).endswith(f"all {len(trials)} are reported as what they are")


@pytest.mark.parametrize("pattern", [WIDE, RANGE, "*/concatenate/*"])
def test_self_test_refuses_a_suite_on_which_faults_would_not_show(pattern: str, folder: Path) -> None:
    with pytest.raises(VectorError, match=r"^RC-VECTOR-SUITE: the self-test needs"):
        run_self_test(open_suite(folder, pattern))


def test_self_test_tells_what_is_misreported() -> None:
    trials = [Trial("truncated", "stdio", ("size", ""), ("", "")), Trial("none", "stdio", ("",), ("",))]
    text = self_test_text(trials)
    assert "truncated       stdio  size, equal    equal  NO" in text
    assert text.endswith("1 of 2 are misreported")


def test_every_fault_spoils_the_answer_or_misbehaves(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faulty_sut, "FOREVER", 0)
    for fault in {*COMMAND_FAULTS, *STDIO_FAULTS} - {"none", "silent", "crash", "exit", "bad-status"}:
        if fault in ("garbage", "wrong-id"):
            continue
        answers = [faulty_sut.spoil(fault, folder / name) for name in (WIDE, RANGE)]
        assert answers != [faulty_sut.spoil("none", folder / name) for name in (WIDE, RANGE)], fault


# --- the golden model


def test_golden_model_passes_the_committed_suite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["vectors", "run", "--vectors", str(COMMITTED), "--level", "stdio", "--sut", GOLDEN, "-j", "2"]
    assert main([*argv, "--timeout", "300", "--json", str(tmp_path / "result.json")]) == 0
    document = json.loads((tmp_path / "result.json").read_text())
    assert (document["conforms"], document["complete"]) == (True, True)
    assert document["totals"]["passed"] == document["suite"]["cases"] > 400
    assert capsys.readouterr().out.splitlines()[-1].endswith("passed: conforms")


def test_golden_model_answers_a_command(folder: Path, tmp_path: Path) -> None:
    for name, status in ((WIDE, 0), (RANGE, 4)):
        out = tmp_path / name
        out.mkdir(parents=True)
        assert golden_sut.main([str(folder / name), str(out)]) == status
    assert json.loads((tmp_path / RANGE / "status.json").read_text()) == {"error": "RC-MODEL-RANGE"}
    assert (tmp_path / WIDE / "out.y.le").read_bytes() == (folder / WIDE / "out.y.le").read_bytes()


def test_golden_model_needs_a_case(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        golden_sut.main([])
    assert "a case and a folder for results are needed, or --stdio" in capsys.readouterr().err


# --- commands


def test_run_command_writes_every_report(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reports = {name: tmp_path / f"report.{name}" for name in ("json", "junit", "html")}
    argv = ["vectors", "run", "--vectors", str(folder), "--sut", FAULTY, "-j", "2"]
    assert main([*argv, *(word for name, path in reports.items() for word in (f"--{name}", str(path)))]) == 1
    assert json.loads(reports["json"].read_text())["totals"]["failed"] == 4
    assert reports["junit"].read_text().count("<failure") == 4
    assert reports["html"].read_text().count("<svg") == 4
    assert "does not conform" in capsys.readouterr().out


def test_run_command_names_the_mistake_of_a_kill_matrix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kills = {}
    for case in real_cases():
        if case.error is None:
            zeros = {name: replace(values, array=values.array * 0) for name, values in case.outputs.items()}
            kills[case.id] = signature_crc(zeros)
    mutants = [
        {"id": "zero", "target": "all", "mistake": "gives zeros", "clauses": ["CLIP-1"], "kills": kills},
        {
            "id": "one",
            "target": "all",
            "mistake": "?",
            "clauses": ["CLIP-1"],
            "kills": dict.fromkeys(kills, "00000000"),
        },
    ]
    suite = write_suite(tmp_path / "suite", real_cases(), mutants)
    assert main(["vectors", "run", "--vectors", str(suite), "--sut", FAULTY]) == 1
    line = "looks like zero (gives zeros) [CLIP-1]: 4 of 4 failures are exactly its outputs, 0 cases contradict it"
    assert line in capsys.readouterr().out.splitlines()


def test_run_command_exit_statuses(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ["vectors", "run", "--vectors", str(folder)]
    assert main([*run, "--sut", RIGHT, "--filter", CLIP]) == 0
    assert capsys.readouterr().out.endswith("1 of 6 cases of suite 2.0.0: 1 passed: everything that ran conforms\n")
    assert main([*run, "--sut", "sh -c 'exit 3' {case} {out}"]) == 1
    assert capsys.readouterr().out.endswith("nothing ran\n")
    refused = {
        "--sut names the command": run,
        "does not say where": [*run, "--sut", "true"],
        "there is no program": [*run, "--sut", "no-such-program {case} {out}"],
        "no case of": [*run, "--sut", RIGHT, "--filter", "nothing"],
        "sut.json": [*run, "--sut", RIGHT, "--capabilities", str(tmp_path / "sut.json")],
        "skip.json": [*run, "--sut", RIGHT, "--skip-list", str(tmp_path / "skip.json")],
        "is no folder": ["vectors", "check", "--vectors", str(folder), "--results", str(tmp_path / "none")],
        "report.json": [*run, "--sut", RIGHT, "--filter", CLIP, "--json", str(tmp_path / "none" / "report.json")],
    }
    for words, argv in refused.items():
        assert main(argv) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert words in printed.err
        assert printed.err.count("\n") == 1


@pytest.mark.parametrize("option", [("-j", "0"), ("--timeout", "0"), ("--timeout", "nan"), ("--threshold", "101")])
def test_run_command_refuses_wrong_numbers(option: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["vectors", "run", "--sut", RIGHT, *option])
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("refcodec: RC-USAGE: argument ")


def test_check_command_reads_both_levels(suite: Suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check = ["vectors", "check", "--vectors", str(suite.folder), "--results"]
    right_results(suite, tmp_path / "raw")
    for case in suite.cases():
        home = tmp_path / "signed" / case.id
        home.mkdir(parents=True)
        if case.error is not None:
            (home / "status.json").write_text(json.dumps({"error": case.error}))
        elif case.id == WIDE:
            (home / "out.crc").write_text(signature_crc(case.outputs))
        else:
            (home / "out.sig").write_text("".join(f"{word:08x}\n" for word in signature_words(case.outputs)))
    assert main([*check, str(tmp_path / "raw")]) == 0
    assert main([*check, str(tmp_path / "signed"), "--level", "signature"]) == 0
    assert capsys.readouterr().out.count(f"all {len(IDS)} cases") == 2
    assert main([*check, str(tmp_path / "raw"), "--level", "signature"]) == 1


def test_run_command_uses_the_packaged_suite(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vectors", "run", "--sut", RIGHT, "--filter", "operations/clip/*"]) == 0
    assert "conforms" in capsys.readouterr().out


def test_commands_show_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("run", "check", "diff", "export"):
        with pytest.raises(SystemExit):
            main(["vectors", name, "--help"])
        assert f"refcodec vectors {name}" in capsys.readouterr().out.partition("example:")[2]
