"""Commands and long-lived processes: each kind of misbehaviour is told, ended, and kept to its case."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from runner_suite import CAT, CLIP, RANGE, SHAPE, WIDE, WIDER, script, small_suite

from refcodec.errors import FileError, RefcodecError
from refcodec.runner import faulty_sut
from refcodec.runner.answer import BROKEN, UNSUPPORTED
from refcodec.runner.command import Command
from refcodec.runner.outcome import FAILED, NOT_RUN, PASSED, SKIPPED, Outcome
from refcodec.runner.process import Child, ending, split_command
from refcodec.runner.run import Plan, run_suite
from refcodec.runner.stdio import Stdio
from refcodec.runner.stdio_answer import MOST_LINE
from refcodec.runner.suite import Suite
from refcodec.runner.target import Job, Target

LONG, SHORT = 60.0, 0.4
RIGHT = [sys.executable, "-S", str(faulty_sut.__file__), "none"]
LOOP = "import json, os, sys, time\nfor line in sys.stdin:\n    request = json.loads(line)\n"


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return small_suite(tmp_path_factory.mktemp("runner") / "suite")


def part(suite: Suite, *ids: str) -> Suite:
    return replace(suite, entries={name: suite.entries[name] for name in sorted(ids)})


def run(suite: Suite, target: Target) -> tuple[Outcome, ...]:
    return run_suite(suite, target, Plan())


def one(suite: Suite, target: Target) -> tuple[str, str]:
    """Kind and message of the only problem of the only case."""
    (outcome,) = run(part(suite, CLIP), target)
    (problem,) = outcome.problems
    return problem.kind, problem.message


def shell(text: str, timeout: float = LONG) -> Command:
    return Command(["sh", "-c", text, "sh", "{case}", "{out}", "{suite}"], timeout)


def gone(pid: int) -> bool:
    """Whether a process ends within a while; one that nobody has collected counts as ended."""
    for _ in range(200):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


# --- commands


def test_command_passes_the_right_implementation(suite: Suite) -> None:
    outcomes = run(suite, Command([*RIGHT, "{case}", "{out}"], LONG))
    assert [outcome.verdict for outcome in outcomes] == [PASSED] * len(suite.entries)
    assert [outcome.id for outcome in outcomes] == sorted(suite.entries)


def test_command_is_given_absolute_folders(suite: Suite) -> None:
    text = 'test -f "$1/case.json" -a -f "$3/index.json" && cp "$1"/out.*.le "$2"; test "$(ls "$2" | wc -l)" = 1'
    (outcome,) = run(part(suite, CLIP), shell(f'case "$1$2$3" in /*) ;; *) exit 9 ;; esac; {text}'))
    assert outcome.verdict == PASSED


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("exit 1", "exit-status", "exit status 1, which the protocol does not have"),
        ("exit 2", "exit-status", "exit status 2"),
        ("echo deep trouble >&2; exit 9", "exit-status", "[deep trouble]"),
        ("kill -SEGV $$", "crash", "killed by SIGSEGV"),
        ("kill -KILL $$", "crash", "killed by SIGKILL"),
        ("exit 0", "missing", "no result: the folder is empty"),
        ("exit 4", "status", "exit status 4, but there is no status.json"),
        ('echo \'{"error": "RC-SHAPE"}\' > $2/status.json', "status", "exit status 0 although there is a status.json"),
        ("echo no > $2/status.json; exit 4", "status", "status.json is not JSON"),
        ('echo \'{"error": "RC-SHAPE"}\' > $2/status.json; exit 4', "rejected", "RC-SHAPE though the case is valid"),
        ("cp $1/out.y.le $2; echo > $2/core", "extra", "core is no file of the protocol"),
        ("rmdir $2", "missing", "there is no folder"),
    ],
)
def test_command_reports_each_misbehaviour(suite: Suite, text: str, kind: str, words: str) -> None:
    found, message = one(suite, shell(text))
    assert found == kind
    assert words in message


def test_command_of_exit_status_three_is_skipped_and_never_passed(suite: Suite) -> None:
    (outcome,) = run(part(suite, CLIP), shell("cp $1/out.y.le $2; exit 3"))
    assert outcome.verdict == SKIPPED


def test_command_that_takes_too_long_is_killed_with_its_children(suite: Suite, tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    began = time.monotonic()
    kind, message = one(suite, shell(f"sleep 1000 & echo $! > {noted}; echo waiting >&2; wait", SHORT * 3))
    assert kind == "timeout"
    assert "no result within 1.2 s [waiting]" in message
    assert time.monotonic() - began < 30
    assert gone(int(noted.read_text()))


def test_command_leaves_no_child_behind(suite: Suite, tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    (outcome,) = run(part(suite, CLIP), shell(f"sleep 1000 & echo $! > {noted}; cp $1/out.y.le $2"))
    assert outcome.verdict == PASSED
    assert gone(int(noted.read_text()))


def test_command_may_write_to_standard_error_without_end(suite: Suite) -> None:
    kind, _ = one(suite, shell("exec yes >&2", SHORT))
    assert kind == "timeout"


def test_command_must_say_where_folders_go() -> None:
    for words, place in ((["true", "{out}"], "{case}"), (["true", "{case}"], "{out}")):
        with pytest.raises(RefcodecError, match=rf"^RC-USAGE: the command does not say where {place} goes"):
            Command(words, LONG)


@pytest.mark.parametrize(
    ("text", "words"), [("", "is empty"), ("a 'b", "malformed"), ("no-such-program {case}", "there is no program")]
)
def test_split_command_refuses_what_cannot_run(text: str, words: str) -> None:
    with pytest.raises(RefcodecError, match=f"^RC-USAGE: .*{words}"):
        split_command(text)


def test_split_command_keeps_quoted_words() -> None:
    assert split_command("sh -c 'echo {case}' {out}") == ["sh", "-c", "echo {case}", "{out}"]


def test_ending_names_the_signal() -> None:
    assert ending(-11) == "killed by SIGSEGV"
    assert ending(-63) == "killed by signal 63"
    assert ending(7) == "exit status 7"


# --- processes that stay


def stdio(path: Path, text: str, timeout: float = LONG) -> Stdio:
    return Stdio(script(path / "sut.py", text), timeout)


def test_stdio_passes_the_right_implementation_with_one_process(suite: Suite, tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    wrapper = f'echo >> {starts}; exec "$@" --stdio'
    outcomes = run(suite, Stdio(["sh", "-c", wrapper, "sh", *RIGHT], LONG))
    assert [outcome.verdict for outcome in outcomes] == [PASSED] * len(suite.entries)
    assert starts.read_text() == "\n"


OK = "{'id': request['id'], 'status': 'ok', 'outputs': {'y': %s}}"


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        ("'no'", "protocol", "is not JSON"),
        ("'[]'", "protocol", "no object with a status"),
        ("json.dumps({'id': 7, 'status': 'ok'})", "wrong-id", "the id 7, the request had 1"),
        ("json.dumps({'status': 'ok'})", "wrong-id", "the id None"),
        ("json.dumps({'id': True, 'status': 'ok'})", "wrong-id", "the id True"),
        ("json.dumps({'id': 1, 'status': 'done'})", "protocol", "unknown status 'done'"),
        ("json.dumps({'id': 1, 'status': 'ok'})", "protocol", "no outputs"),
        ("json.dumps({'id': 1, 'status': 'ok', 'outputs': {}, 'time': 3})", "protocol", "unknown key 'time'"),
        ("json.dumps({'id': 1, 'status': 'ok', 'outputs': {}})", "missing", "out.y is missing"),
        ("json.dumps({'id': 1, 'status': 'rejected'})", "protocol", "names no code"),
        ("json.dumps({'id': 1, 'status': 'rejected', 'error': 'RC-SHAPE'})", "rejected", "though the case is valid"),
        (f"json.dumps({OK % '3'})", "protocol", "output y is neither"),
        (f"json.dumps({OK % {'hex': '0'}})", "protocol", "output y is not hexadecimal"),
        (f"json.dumps({OK % {'hex': 3}})", "protocol", "output y is neither"),
        (f"json.dumps({OK % {'hex': '00', 'file': 'y'}})", "protocol", "output y is neither"),
        (f"json.dumps({OK % {'raw': '00'}})", "protocol", "output y is neither"),
        (f"json.dumps({OK % {'hex': '00'}})", "size", "1 bytes, expected 22"),
        (f"json.dumps({OK % {'file': 'y.bin'}})", "missing", "y.bin cannot be read"),
        (f"json.dumps({OK % {'file': '../../index.json'}})", "protocol", "outside the folder for results"),
        (f"json.dumps({OK % {'file': '/etc/hostname'}})", "protocol", "outside the folder for results"),
        ("'[' * 60000", "protocol", "is not JSON"),
    ],
)
def test_stdio_reports_each_malformed_answer(suite: Suite, tmp_path: Path, answer: str, kind: str, words: str) -> None:
    (outcome,) = run(part(suite, CLIP), stdio(tmp_path, f"{LOOP}    print({answer}, flush=True)\n"))
    assert outcome.problems[0].kind == kind
    assert words in outcome.problems[0].message


def test_stdio_takes_files_in_the_folder_for_results(suite: Suite, tmp_path: Path) -> None:
    text = (
        f"{LOOP}    content = open(request['case'] + '/out.y.le', 'rb').read()\n"
        "    open(request['out'] + '/mine', 'wb').write(content)\n"
        "    names = ['mine', request['out'] + '/mine']\n"
        "    answer = {'file': names[request['id'] % 2]}\n"
        "    print(json.dumps({'id': request['id'], 'status': 'ok', 'outputs': {'y': answer}}), flush=True)\n"
    )
    outcomes = run(part(suite, CLIP, CAT, WIDE), stdio(tmp_path, text))
    assert [outcome.verdict for outcome in outcomes] == [PASSED] * 3


def test_stdio_unsupported_is_skipped(suite: Suite, tmp_path: Path) -> None:
    text = f"{LOOP}    print(json.dumps({{'id': request['id'], 'status': 'unsupported'}}), flush=True)\n"
    assert {outcome.verdict for outcome in run(suite, stdio(tmp_path, text))} == {SKIPPED}


ANSWER = (
    "    files = {n[4:-3]: {'hex': open(request['case'] + '/' + n, 'rb').read().hex()}\n"
    "             for n in os.listdir(request['case']) if n.startswith('out.') and n.endswith('.le')}\n"
    "    print(json.dumps({'id': request['id'], 'status': 'ok', 'outputs': files}), flush=True)\n"
)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("os.kill(os.getpid(), 11)", "crash"),
        ("sys.exit(3)", "died"),
        ("sys.stdout.close(); os.close(1)", "died"),
        ("time.sleep(1000)", "timeout"),
        ("print('no', flush=True)", "protocol"),
        ("print(json.dumps({'id': 99, 'status': 'ok', 'outputs': {}}), flush=True)", "wrong-id"),
        ("sys.stdout.write('x' * 400000)", "too-large"),
    ],
)
def test_stdio_restarts_after_a_failure_of_one_case(suite: Suite, tmp_path: Path, fault: str, kind: str) -> None:
    text = f"{LOOP}    if 'concatenate' in request['case']:\n        {fault}\n{ANSWER}"
    outcomes = run(part(suite, CLIP, CAT, WIDE, WIDER), stdio(tmp_path, text, 3.0 if kind == "timeout" else LONG))
    kinds = {outcome.id: outcome.kind for outcome in outcomes}
    assert kinds == {CLIP: "", CAT: kind, WIDE: "", WIDER: ""}
    assert MOST_LINE < 400_000


def test_stdio_names_how_the_process_ended(suite: Suite, tmp_path: Path) -> None:
    kind, message = one(suite, stdio(tmp_path, "import sys; sys.exit('no licence')"))
    assert (kind, message) == ("died", "exit status 1 before it answered [no licence]")


def test_stdio_does_not_wait_for_a_process_that_never_reads(suite: Suite, tmp_path: Path) -> None:
    text = 'import time\nfor n in range(1, 1000):\n    print(\'{"id": %d, "status": "unsupported"}\' % n, flush=True)\n'
    target = stdio(tmp_path, f"{text}time.sleep(1000)\n", SHORT * 5)
    job = Job(suite.load(CLIP), suite.folder / CLIP, suite.folder, tmp_path)
    answers = [target.answer(job) for _ in range(600)]  # more than a pipe holds
    target.close()
    assert {answer.status for answer in answers} == {UNSUPPORTED, BROKEN}
    messages = {problem.message for answer in answers for problem in answer.problems}
    assert messages == {"did not read its input within 2 s"}


def test_stdio_ends_processes_and_their_children(suite: Suite, tmp_path: Path) -> None:
    noted = tmp_path / "pids"
    child = "[sys.executable, '-S', '-c', 'import time; time.sleep(1000)']"
    text = (
        f"import os, subprocess, sys\nchild = subprocess.Popen({child})\n"
        f"open({str(noted)!r}, 'a').write('%d %d ' % (os.getpid(), child.pid))\n{LOOP}{ANSWER}time.sleep(1000)\n"
    )
    assert {outcome.verdict for outcome in run(part(suite, CLIP, CAT), stdio(tmp_path, text))} == {PASSED}
    pids = [int(word) for word in noted.read_text().split()]
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)


# --- runs


@pytest.mark.parametrize("level", ["command", "stdio"])
def test_run_suite_gives_the_same_outcomes_for_any_number_of_jobs(suite: Suite, level: str) -> None:
    words = [sys.executable, "-S", str(faulty_sut.__file__), "truncated"]
    documents = []
    for jobs in (1, 4):
        target: Target = Stdio([*words, "--stdio"], LONG)
        if level == "command":
            target = Command([*words, "{case}", "{out}"], LONG)
        documents.append([outcome.as_json() for outcome in run_suite(suite, target, Plan(jobs=jobs))])
    assert documents[0] == documents[1]


@pytest.mark.parametrize("jobs", [1, 3])
def test_run_suite_stops_after_the_first_failure_in_order(suite: Suite, jobs: int) -> None:
    outcomes = run_suite(suite, shell("exit 1"), Plan(jobs=jobs, fail_fast=True))
    assert [outcome.verdict for outcome in outcomes] == [FAILED] + [NOT_RUN] * (len(suite.entries) - 1)


def test_run_suite_keeps_results_where_it_is_asked_to(suite: Suite, tmp_path: Path) -> None:
    plan = Plan(keep=tmp_path / "kept")
    run_suite(part(suite, CLIP, SHAPE), Command([*RIGHT, "{case}", "{out}"], LONG), plan)
    found = sorted(path.relative_to(tmp_path / "kept").as_posix() for path in tmp_path.rglob("*.*") if path.is_file())
    assert found == [f"{SHAPE}/status.json", f"{CLIP}/out.y.le"]
    with pytest.raises(FileError, match=r"^RC-FILE-WRITE: .*kept is not a new or empty folder"):
        run_suite(part(suite, CLIP), shell("exit 1"), plan)


def test_run_suite_ends_every_process_when_it_is_interrupted(suite: Suite, tmp_path: Path) -> None:
    class Interrupted(Command):
        def answer(self, job):  # type: ignore[no-untyped-def]
            if job.case.id == RANGE:
                while not list(tmp_path.glob("pid*")):
                    time.sleep(0.02)
                raise KeyboardInterrupt
            return super().answer(job)

    words: Sequence[str] = ["sh", "-c", f"echo $$ > {tmp_path}/pid$$; sleep 1000", "{case}", "{out}"]
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_suite(part(suite, RANGE, SHAPE), Interrupted(words, LONG), Plan(jobs=2))
    assert time.monotonic() - began < LONG / 2
    assert all(gone(int(path.read_text())) for path in tmp_path.glob("pid*"))


def test_child_keeps_only_the_end_of_standard_error() -> None:
    child = Child(["sh", "-c", "yes x | head -c 100000 >&2; echo last >&2"], talks=False)
    child.process.wait()
    child.close()
    assert child.last_words() == " [last]"
