"""The vector suite: the same bytes every time, truthful descriptions, and no tampering that verify overlooks."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from checks.specification import clause_texts
from refcodec.cli import main
from refcodec.codecs.family import FAMILIES
from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.errors import CODES, FileError, ModelError, StreamError, VectorError
from refcodec.files import SUMS, folder_sums
from refcodec.formats import IntFormat
from refcodec.models.shipped import DEFAULT_MODEL, DEFAULT_STREAM, shipped_path
from refcodec.program.model_file import load_model
from refcodec.program.operations import KINDS
from refcodec.vectorgen import evaluate
from refcodec.vectorgen.case import SCHEMA, Case, case_files, index_entry, load_case
from refcodec.vectorgen.corners.arithmetic import requantise_cases
from refcodec.vectorgen.decoder import broken_containers, small_streams
from refcodec.vectorgen.draw import draw
from refcodec.vectorgen.evaluate import OPERATIONS, Engine
from refcodec.vectorgen.flags import FLAGS
from refcodec.vectorgen.signature import signature_words
from refcodec.vectorgen.suite import INDEX, SCHEMAS, VERSION, build_suite
from refcodec.vectorgen.values import Values
from refcodec.vectorgen.verify import Report, check_files, differences, verify_suite

ROOT = Path(__file__).parents[1]
COMMITTED = ROOT / "vectors"
CLIP = "operations/clip/limits0to0"
CORNERS = "operations/requantise/corners-s32-s4"
DECODE = "operations/rans_decode/one"
STREAM = "streams/scale_hyperprior/1x1"
KEPT = (CLIP, CORNERS, DECODE, STREAM)
KERNELS = Engine(False, {})
Edit = Callable[[Path], object]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole suite, freshly built; not to be written to."""
    folder = tmp_path_factory.mktemp("vectors") / "suite"
    assert build_suite(folder) == len(json.loads((folder / INDEX).read_text())["cases"])
    return folder


@pytest.fixture(scope="module")
def cases(suite: Path) -> dict[str, Case]:
    """Every case of the suite as loaded from its files."""
    return {entry["id"]: load_case(suite / entry["id"]) for entry in json.loads((suite / INDEX).read_text())["cases"]}


@pytest.fixture
def small(suite: Path, tmp_path: Path) -> Path:
    """A suite of a few cases that a test may damage."""
    folder = tmp_path / "suite"
    for identifier in KEPT:
        shutil.copytree(suite / identifier, folder / identifier)
    for name in ("schema", "models"):
        shutil.copytree(suite / name, folder / name)
    shutil.copy(suite / VERSION, folder)
    index = json.loads((suite / INDEX).read_text())
    index["cases"] = [entry for entry in index["cases"] if entry["id"] in KEPT]
    (folder / INDEX).write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")
    edit_json(folder / VERSION, lambda version: version.update(cases=len(KEPT)))
    (folder / SUMS).write_text(folder_sums(folder))
    return folder


def tree(folder: Path) -> dict[str, str]:
    """Every file below a folder with its SHA-256."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edit_json(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


# --- building


def test_build_suite_twice_gives_the_same_bytes(suite: Path, tmp_path: Path) -> None:
    build_suite(tmp_path / "again")
    assert tree(tmp_path / "again") == tree(suite)


def test_build_suite_does_not_depend_on_the_hash_seed(suite: Path, tmp_path: Path) -> None:
    script = "import sys; from refcodec.vectorgen.suite import build_suite; build_suite(sys.argv[1])"
    environment = {**os.environ, "PYTHONHASHSEED": "4711", "NUMBA_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "again")], env=environment, check=True, timeout=120)
    assert tree(tmp_path / "again") == tree(suite)


def test_build_suite_gives_the_committed_suite(suite: Path) -> None:
    assert tree(suite) == tree(COMMITTED)


def test_build_suite_replaces_a_suite_and_nothing_else(suite: Path, tmp_path: Path) -> None:
    shutil.copytree(suite, tmp_path / "old")
    (tmp_path / "old" / INDEX).write_text("{}")
    build_suite(tmp_path / "old")
    assert tree(tmp_path / "old") == tree(suite)
    (tmp_path / "old" / "letter.txt").write_text("dear")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / INDEX).write_text("{}")
    before = tree(tmp_path)
    for name, stranger in (("old", "letter.txt"), ("mine", INDEX)):
        with pytest.raises(FileError, match=rf"^RC-FILE-WRITE: .*{name} was not written by this .*holds {stranger}"):
            build_suite(tmp_path / name)
    assert tree(tmp_path) == before


def test_build_suite_reaches_every_operation_and_every_code_of_a_stream(cases: dict[str, Case]) -> None:
    assert {case.operation for case in cases.values()} == {*OPERATIONS, *KINDS}
    raised = {case.error for case in cases.values() if case.error}
    assert raised >= {code for code in CODES if code.startswith("RC-STREAM")} - {"RC-STREAM-SYMBOL"}


# --- descriptions


def test_schemas_are_sound_and_copied_into_the_suite(suite: Path) -> None:
    for name in SCHEMAS:
        schema = json.loads((suite / "schema" / name).read_text())
        jsonschema.Draft202012Validator.check_schema(schema)


def test_documents_of_a_suite_satisfy_their_schemas(suite: Path) -> None:
    case, index, version, mutants = (
        jsonschema.Draft202012Validator(json.loads((suite / "schema" / name).read_text())) for name in SCHEMAS
    )
    version.validate(json.loads((suite / VERSION).read_text()))
    mutants.validate(json.loads((suite / "mutants.json").read_text()))
    listed = json.loads((suite / INDEX).read_text())
    index.validate(listed)
    found = sorted(suite.rglob("case.json"))
    assert len(found) == len(listed["cases"])
    for path in found:
        case.validate(json.loads(path.read_text()))


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: d.update(result="maybe"),
        lambda d: d.update(result="invalid"),
        lambda d: d.update(error="RC-SHAPE"),
        lambda d: d.update(outputs=[]),
        lambda d: d.update(more=1),
        lambda d: d.pop("clauses"),
        lambda d: d.pop("spec"),
        lambda d: d.pop("signature"),
        lambda d: d.update(accept=["RC-SHAPE"]),
        lambda d: d["outputs"][0].pop("clause"),
        lambda d: d["inputs"][0].update(clause="CLIP-1"),
        lambda d: d["clause_sha256"].update({"CLIP-1": "1"}),
        lambda d: d["inputs"][0].update(bits=49),
        lambda d: d["inputs"][0].update(file="../in.x.le"),
        lambda d: d["parameters"].update(lo=0.5),
    ],
)
def test_case_schema_refuses_wrong_documents(edit: Callable[[dict[str, Any]], object], suite: Path) -> None:
    schema = json.loads((suite / "schema" / SCHEMAS[0]).read_text())
    document = json.loads((suite / CLIP / "case.json").read_text())
    jsonschema.validate(document, schema)
    edit(document)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)


def test_index_entries_describe_their_cases(suite: Path) -> None:
    listed = json.loads((suite / INDEX).read_text())["cases"]
    assert [entry["id"] for entry in listed] == sorted({entry["id"] for entry in listed})
    for entry in listed:
        home = suite / entry["id"]
        described = json.loads((home / "case.json").read_text())
        for key in ("id", "operation", "clauses", "flags", "result"):
            assert entry[key] == described[key]
        files = {path.name: path.read_bytes() for path in home.iterdir()}
        assert entry["bytes"] == sum(map(len, files.values()))
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        text = json.dumps(digests, sort_keys=True, separators=(",", ":"))
        assert entry["sha256"] == hashlib.sha256(text.encode()).hexdigest()
        assert described["comment"]


def test_cases_record_the_text_they_are_of(cases: dict[str, Case]) -> None:
    texts = clause_texts((ROOT / "SPEC.md").read_text())
    for case in cases.values():
        assert case.clause_sha256 == {name: hashlib.sha256(texts[name].encode()).hexdigest() for name in case.clauses}
        assert set(case.defined_by) == {*case.taps, *case.outputs}
        assert set(case.defined_by.values()) <= set(texts)


def test_verify_suite_reports_a_case_of_another_text(small: Path) -> None:
    rewrite(small, CLIP, lambda case: replace(case, clause_sha256={"CLIP-1": "0" * 64}))
    assert verify_suite(small).failures == [f"{CLIP}: the text of CLIP-1 is another one now"]


def test_signatures_and_checksums_are_those_of_the_stored_bytes(suite: Path) -> None:
    for path in suite.rglob("case.json"):
        described = json.loads(path.read_text())
        for entry in (*described["taps"], *described["outputs"]):
            assert f"{zlib.crc32((path.parent / entry['file']).read_bytes()):08x}" == entry["crc32"]
        if described["result"] == "invalid":
            continue
        words = b""
        for entry in described["outputs"]:
            content, size = (path.parent / entry["file"]).read_bytes(), np.dtype(entry["dtype"]).itemsize
            for at in range(0, len(content), size):
                value = int.from_bytes(content[at : at + size], "little", signed=entry["dtype"].startswith("i"))
                words += (value % (1 << 8 * max(size, 4))).to_bytes(max(size, 4), "little")
        assert described["signature"] == {"words": len(words) // 4, "crc32": f"{zlib.crc32(words):08x}"}


def test_signature_words_wrap_what_does_not_fit_its_dtype() -> None:
    y = Values(np.array([-1, 255, 256]), IntFormat(8, False))
    wide = Values(np.array([-(2**47), 2**33 + 5]), IntFormat(48, True))
    assert signature_words({"y": y}).tolist() == [255, 255, 0]
    assert signature_words({"wide": wide}).tolist() == [0, 0xFFFF8000, 5, 2]


def test_flags_and_errors_are_counted(cases: dict[str, Case], suite: Path) -> None:
    flags, errors = (json.loads((suite / name).read_text()) for name in ("flags.json", "errors.json"))
    assert set(flags) == {flag for case in cases.values() for flag in case.flags} == set(FLAGS)
    assert flags["Tie"]["cases"] == sum("Tie" in case.flags for case in cases.values())
    assert set(errors) == {case.error for case in cases.values()} - {None}
    assert sum(entry["cases"] for entry in errors.values()) == sum(case.error is not None for case in cases.values())
    assert errors["RC-STREAM-CRC"]["meaning"] == CODES["RC-STREAM-CRC"]


def test_sums_are_what_sha256sum_reads(suite: Path) -> None:
    lines = (suite / SUMS).read_text().splitlines()
    assert {line[66:]: line[:64] for line in lines} == {
        name: digest for name, digest in tree(suite).items() if name != SUMS
    }
    assert all(line[64:66] == "  " for line in lines)
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", "--quiet", "--strict", SUMS], cwd=suite, check=True)


def test_hex_files_hold_the_values_of_the_binary_files(suite: Path) -> None:
    compared = 0
    for path in sorted(suite.rglob("case.json")):
        described = json.loads(path.read_text())
        for entry in (entry for role in ("inputs", "taps", "outputs") for entry in described[role]):
            stored = np.frombuffer((path.parent / entry["file"]).read_bytes(), f"<{np.dtype(entry['dtype']).str[1:]}")
            text = path.parent / entry["file"].replace(".le", ".hex")
            if not stored.size:
                assert not text.exists()
                continue
            lines = text.read_text().splitlines()
            assert {len(line) for line in lines} == {-(-entry["bits"] // 4)}
            words = np.array([int(line, 16) for line in lines])
            if entry["signed"]:
                words = np.where(words >> (entry["bits"] - 1) & 1, words - (1 << entry["bits"]), words)
            assert np.array_equal(words, stored.astype(np.int64)), text
            assert text.read_bytes().endswith(b"\n")
            compared += 1
    assert compared > 300


def test_values_of_48_bits_and_of_one_bit_survive_their_files() -> None:
    wide = Values(np.array([-(2**47), -1, 0, 2**47 - 1]), IntFormat(48, True))
    assert wide.to_hex().split() == [b"800000000000", b"ffffffffffff", b"000000000000", b"7fffffffffff"]
    assert wide.to_bytes() == np.array([-(2**47), -1, 0, 2**47 - 1], "<i8").tobytes()
    bits = Values(np.array([1, 0]), IntFormat(1, False))
    assert (bits.to_hex(), bits.to_bytes()) == (b"1\n0\n", b"\x01\x00")


def test_load_case_is_the_inverse_of_case_files(cases: dict[str, Case], suite: Path) -> None:
    for identifier, case in cases.items():
        files = case_files(case)
        home = suite / identifier
        assert files == {path.name: path.read_bytes() for path in home.iterdir()}


def test_load_case_refuses_a_dtype_that_is_not_the_formats(small: Path) -> None:
    def turn_sign(document: dict[str, Any]) -> None:
        next(entry for entry in document["inputs"] if entry["name"] == "indexes").update(dtype="int8")

    edit_json(small / DECODE / "case.json", turn_sign)
    with pytest.raises(VectorError, match=r"^RC-VECTOR-SUITE: .*in\.indexes\.le is int8 but holds u6"):
        load_case(small / DECODE)


def test_draw_covers_a_format_evenly() -> None:
    fmt = IntFormat(4, True)
    values = draw(3, (40, 40), fmt)
    counts = np.bincount(values.ravel() - fmt.lo, minlength=16)
    assert (values.min(), values.max()) == (-8, 7)
    assert counts.min() > 60
    assert not np.array_equal(values, draw(4, (40, 40), fmt))
    assert np.array_equal(values[:2, :], draw(3, (2, 40), fmt))


# --- flags


def products(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Exact products and shifts of a requantise case, as Python integers of one shape."""
    accumulator, multiplier, shift = (case.inputs[name].array for name in ("accumulator", "multiplier", "shift"))
    wide = accumulator.astype(object) * multiplier.astype(object)[:, None, None]
    return wide, np.broadcast_to(shift.astype(object)[:, None, None], wide.shape)


def test_flags_of_requantise_corners_are_truthful(cases: dict[str, Case]) -> None:
    corners = [case for name, case in cases.items() if name.startswith("operations/requantise/corners-")]
    assert len(corners) == 6
    for case in corners:
        wide, shift = products(case)
        source, target = case.inputs["accumulator"].format, case.outputs["y"].format
        pairs = list(zip(wide.ravel(), shift.ravel(), strict=True))
        ties = [p >> s for p, s in pairs if p % (1 << s) == 1 << (s - 1)]
        assert min(ties) < 0 < max(ties), "ties on both sides of zero"
        assert {q % 2 for q in ties} == {0, 1}, "ties whose even neighbour is below and above"
        for step in (1, 2, 15, 31, 32, 33, 40, 47):
            signs = [p > 0 for p, k in pairs if k == step and p % (1 << k) == 1 << (k - 1)]
            assert min(signs.count(True), signs.count(False)) >= 4, f"four ties on each side at a shift of {step}"
        scaled = [(p + (1 << s >> 1)) >> s for p, s in pairs]
        assert min(scaled) < target.lo
        assert max(scaled) > target.hi
        accumulators = set(case.inputs["accumulator"].array.ravel().tolist())
        assert {source.lo, source.hi} <= accumulators
        steps = {int(s) for s in case.inputs["shift"].array}
        assert {1, 62} <= steps
        beside = [
            abs(p % (1 << s) - (1 << (s - 1))) <= int(m)
            for c, (m, s) in enumerate(zip(case.inputs["multiplier"].array, case.inputs["shift"].array, strict=True))
            for p in wide[c].ravel()
            if p % (1 << int(s)) != 1 << (int(s) - 1)
        ]
        assert any(beside)


def test_flags_of_scale_index_and_latent_mean_are_truthful(cases: dict[str, Case]) -> None:
    case = cases["operations/scale_index/thresholds"]
    thresholds, accumulator = case.inputs["thresholds"].array, case.inputs["accumulator"].array
    assert all(set(row.tolist()) <= set(accumulator[c].ravel().tolist()) for c, row in enumerate(thresholds))
    assert (np.diff(thresholds, axis=1) == 0).any()
    assert set(case.outputs["y"].array.ravel().tolist()) >= {0, 63}
    for name in ("f0", "f8", "f16"):
        case = cases[f"operations/latent_mean/extremes-{name}"]
        fmt = case.outputs["y"].format
        extremes = {(s, m) for s in (-(2**15), 2**15 - 1) for m in (case.inputs["mean"].array[[0, -1]].tolist())}
        fraction = case.parameters["fraction"]
        wanted = {(s << fraction) + m for s, m in extremes}
        assert wanted <= set(case.outputs["y"].array.ravel().tolist())
        assert all(fmt.lo <= value <= fmt.hi for value in wanted)


def test_flags_of_other_operations_are_truthful(cases: dict[str, Case]) -> None:
    untrue = []
    for case in cases.values():
        inputs = {name: values.array for name, values in case.inputs.items()}
        if case.operation == "clip":
            x = inputs["x"]
            if "SaturateLow" in case.flags and not (x < case.parameters["lo"]).any():
                untrue.append((case.id, "SaturateLow"))
            if "SaturateHigh" in case.flags and not (x > case.parameters["hi"]).any():
                untrue.append((case.id, "SaturateHigh"))
        if case.operation == "frequencies" and "EmptyInterval" in case.flags:
            counts = inputs["counts"]
            if (65536 * counts // counts.sum()).all():
                untrue.append((case.id, "EmptyInterval"))
        if case.operation == "rans_encode" and "Escape" in case.flags and not escapes(inputs):
            untrue.append((case.id, "Escape"))
        sums = case.operation in SUMS_OF_PRODUCTS and case.error is None
        if "ExtremeAccumulator" in case.flags and sums and not attains_bound(case):
            untrue.append((case.id, "ExtremeAccumulator"))
    assert untrue == []


SUMS_OF_PRODUCTS = ("convolution", "transposed_convolution")


def escapes(inputs: dict[str, np.ndarray]) -> int:
    """How many symbols lie outside their tables."""
    lengths = np.diff(inputs["starts"]) - 2
    relative = inputs["symbols"] - inputs["offsets"][inputs["indexes"]]
    return int(((relative < 0) | (relative >= lengths[inputs["indexes"]])).sum())


def attains_bound(case: Case) -> bool:
    """Whether any output reaches three quarters of the sum that its reachable taps could give."""
    weight, bias = case.inputs["weight"].array, case.inputs["bias"].array
    share = case.parameters["stride"] ** 2 if case.operation == "transposed_convolution" else 1
    bound = np.abs(weight).sum(axis=(1, 2, 3)) * 255 // share + np.abs(bias)
    reached = np.abs(case.outputs["accumulator"].array).max(axis=(1, 2))
    return bool((reached >= bound * 3 // 4).any())


def test_one_hot_cases_put_every_tap_somewhere(cases: dict[str, Case]) -> None:
    for case in cases.values():
        if "TapOrder" in case.flags and case.operation in SUMS_OF_PRODUCTS:
            x, weight = case.inputs["x"].array, case.inputs["weight"].array
            assert np.count_nonzero(x) == x.sum() == 1
            seen = case.outputs["accumulator"].array - case.inputs["bias"].array[:, None, None]
            for o in range(weight.shape[0]):
                assert set(seen[o].ravel().tolist()) - {0} <= set(weight[o, 1].ravel().tolist())
                assert np.count_nonzero(seen[o])


# --- verifying


def test_verify_suite_passes_a_fresh_suite(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = verify_suite(suite)
    assert report.passed
    assert report.failures == []
    assert sum(report.passed_by_operation.values()) == len(check_files(suite))
    assert report.as_json()["passed"] is True
    assert set(report.as_json()["operations"]) == {*OPERATIONS, *KINDS}
    assert report.as_text().endswith("cases equal")
    assert capsys.readouterr().out == ""


def test_verify_suite_passes_the_small_suite_of_these_tests(small: Path) -> None:
    assert verify_suite(small).passed


def test_report_of_nothing_has_not_passed() -> None:
    assert not Report().passed


TAMPERING: dict[str, tuple[Edit, str]] = {
    "flipped payload": (lambda s: flip(s / CORNERS / "out.y.le"), "RC-VECTOR-HASH"),
    "flipped hex": (lambda s: flip(s / CORNERS / "out.y.hex"), "RC-VECTOR-HASH"),
    "flipped model": (lambda s: flip(next((s / "models").iterdir())), "RC-VECTOR-HASH"),
    "edited case": (lambda s: edit_json(s / CLIP / "case.json", lambda d: d.update(comment="")), "RC-VECTOR-HASH"),
    "edited index": (lambda s: edit_json(s / INDEX, lambda d: d["cases"].pop()), "RC-VECTOR-HASH"),
    "edited version": (lambda s: (s / "VERSION.json").write_text("{}"), "RC-VECTOR-HASH"),
    "edited schema": (lambda s: (s / "schema" / SCHEMAS[0]).write_text("{}"), "RC-VECTOR-HASH"),
    "stray file": (lambda s: (s / CLIP / "in.stray.le").write_bytes(b""), "RC-VECTOR-SUITE"),
    "stray at the top": (lambda s: (s / "notes").write_bytes(b""), "RC-VECTOR-SUITE"),
    "removed file": (lambda s: (s / CLIP / "in.x.hex").unlink(), "RC-VECTOR-SUITE"),
    "removed case": (lambda s: shutil.rmtree(s / CLIP), "RC-VECTOR-SUITE"),
    "removed model": (lambda s: shutil.rmtree(s / "models"), "RC-VECTOR-SUITE"),
    "sums reordered": (
        lambda s: (s / SUMS).write_text("".join(sorted((s / SUMS).read_text().splitlines(True)))), "RC-VECTOR-SUITE"
    ),
    "sums cut": (lambda s: (s / SUMS).write_text((s / SUMS).read_text()[:-300]), "RC-VECTOR-SUITE"),
    "sums binary": (lambda s: (s / SUMS).write_bytes(b"\xff\xfe"), "RC-VECTOR-SUITE"),
    "no sums": (lambda s: (s / SUMS).unlink(), "RC-FILE-READ"),
    "no index": (lambda s: (s / INDEX).unlink(), "RC-FILE-READ"),
    "index not JSON": (lambda s: (s / INDEX).write_text("{"), "RC-VECTOR-SUITE"),
    "index a list": (lambda s: (s / INDEX).write_text("[]"), "RC-VECTOR-SUITE"),
}  # fmt: skip


@pytest.mark.parametrize("tampering", TAMPERING)
def test_verify_suite_finds_tampering(tampering: str, small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit, code = TAMPERING[tampering]
    edit(small)
    with pytest.raises((VectorError, FileError), match=f"^{code}: ") as caught:
        verify_suite(small)
    assert caught.value.code == code
    assert main(["vectors", "verify", str(small)]) == 2
    assert capsys.readouterr().err.startswith(f"refcodec: {code}: ")


def resealed(small: Path, edit: Edit) -> Path:
    """The suite after an edit whose author made the sums good again."""
    edit(small)
    (small / SUMS).write_text(folder_sums(small))
    return small


def edit_case(identifier: str, edit: Callable[[dict[str, Any]], object]) -> Edit:
    return lambda suite: edit_json(suite / identifier / "case.json", edit)


def rewrite(small: Path, identifier: str, change: Callable[[Case], Case]) -> None:
    """Replace a case by another one, as someone does who also writes its files, the index and the sums anew."""
    case = change(load_case(small / identifier))
    files = case_files(case)
    shutil.rmtree(small / identifier)
    (small / case.id).mkdir(parents=True)
    for name, content in files.items():
        (small / case.id / name).write_bytes(content)

    def record(index: dict[str, Any]) -> None:
        kept = [entry for entry in index["cases"] if entry["id"] != identifier]
        index["cases"] = sorted([*kept, index_entry(case, files)], key=lambda entry: entry["id"])

    edit_json(small / INDEX, record)
    (small / SUMS).write_text(folder_sums(small))


def off_by_one(role: str, name: str) -> Callable[[Case], Case]:
    """The case with the lowest bit of the first value of a tensor inverted."""

    def change(case: Case) -> Case:
        tensors = dict(getattr(case, role))
        array = tensors[name].array.copy()
        array.flat[0] ^= 1
        tensors[name] = replace(tensors[name], array=array)
        return replace(case, **{role: tensors})

    return change


def turned(case: Case) -> Case:
    y = case.outputs["y"]
    return replace(case, outputs={"y": replace(y, array=y.array.reshape(y.array.shape[::-1]))})


MISMATCHES: dict[str, tuple[str, Callable[[Case], Case]]] = {
    "output": (CORNERS, off_by_one("outputs", "y")),
    "tap": (STREAM, off_by_one("taps", "y")),
    "picture": (STREAM, off_by_one("outputs", "picture")),
    "input": (CORNERS, off_by_one("inputs", "multiplier")),
    "stream": (STREAM, off_by_one("inputs", "stream")),
    "parameter": (CLIP, lambda case: replace(case, parameters={**case.parameters, "hi": 1})),
    "shape": (CORNERS, turned),
    "name": (
        CLIP,
        lambda case: replace(case, outputs={"other": case.outputs["y"]}, defined_by={"other": "CLIP-1"}),
    ),
    "declared invalid": (CLIP, lambda case: replace(case, error="RC-RANGE", outputs={})),
}


@pytest.mark.parametrize("mismatch", MISMATCHES)
def test_verify_suite_reports_a_changed_value(mismatch: str, small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(small, *MISMATCHES[mismatch])
    report = verify_suite(small)
    assert not report.passed
    assert report.failures
    assert sum(report.failed_by_operation.values()) == 1
    assert main(["vectors", "verify", str(small), "--json"]) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out) == report.as_json()
    assert printed.err == ""


def test_verify_suite_passes_a_case_rewritten_as_it_was(small: Path) -> None:
    rewrite(small, CLIP, lambda case: case)
    assert verify_suite(small).passed


MALFORMED: dict[str, Edit] = {
    "not JSON": lambda s: (s / CLIP / "case.json").write_text("{"),
    "a list": lambda s: (s / CLIP / "case.json").write_text("[1]"),
    "another schema": edit_case(CLIP, lambda d: d.update(schema="refcodec-case/1")),
    "surplus key": edit_case(CLIP, lambda d: d.update(more=1)),
    "missing key": edit_case(CLIP, lambda d: d.pop("inputs")),
    "unknown code": edit_case(CLIP, lambda d: d.update(result="invalid", error="RC-NONE")),
    "valid with a code": edit_case(CLIP, lambda d: d.update(error="RC-SHAPE")),
    "file elsewhere": edit_case(CLIP, lambda d: d["inputs"][0].update(file="../../../VERSION.json")),
    "file a folder": edit_case(CLIP, lambda d: d["inputs"][0].update(file="..")),
    "file missing": edit_case(CLIP, lambda d: d["inputs"][0].update(file="in.none.le")),
    "wrong shape": edit_case(CLIP, lambda d: d["inputs"][0].update(shape=[3])),
    "wrong dtype": edit_case(CLIP, lambda d: d["inputs"][0].update(dtype="int8")),
    "dtype of another sign": edit_case(
        DECODE, lambda d: next(e for e in d["inputs"] if e["name"] == "indexes").update(dtype="int8")
    ),
    "object dtype": edit_case(CLIP, lambda d: d["inputs"][0].update(dtype="object")),
    "no flags": edit_case(CLIP, lambda d: d.update(flags=None)),
    "another id": edit_case(CLIP, lambda d: d.update(id="operations/clip/other")),
    "declared invalid": edit_case(CLIP, lambda d: d.update(result="invalid", error="RC-RANGE", outputs=[])),
    "deep case": lambda s: (s / CLIP / "case.json").write_text("[" * 100_000),
    "deep index": lambda s: (s / INDEX).write_text("[" * 100_000),
    "ids of two kinds": lambda s: (s / INDEX).write_text('{"cases":[{"id":1},{"id":"a"}]}'),
    "hex differs": lambda s: flip(s / CORNERS / "out.y.hex"),
    "index misdescribes": lambda s: edit_json(s / INDEX, lambda d: d["cases"][0].update(flags=["Tie"], bytes=1)),
    "index and folder differ": lambda s: edit_json(s / INDEX, lambda d: d["cases"].pop()),
    "case listed twice": lambda s: edit_json(s / INDEX, lambda d: d["cases"].append(d["cases"][0])),
}


@pytest.mark.parametrize("edit", MALFORMED)
def test_verify_suite_refuses_malformed_documents(edit: str, small: Path) -> None:
    with pytest.raises(VectorError, match=r"^RC-VECTOR-SUITE: "):
        verify_suite(resealed(small, MALFORMED[edit]))


def test_verify_suite_refuses_a_file_that_is_not_the_recorded_one(small: Path) -> None:
    with pytest.raises(VectorError, match=r"^RC-VECTOR-HASH: .*in\.x\.le does not match its SHA-256"):
        verify_suite(resealed(small, lambda s: flip(s / CLIP / "in.x.le")))


def test_verify_suite_refuses_a_damaged_model(small: Path) -> None:
    with pytest.raises(ModelError, match=r"^RC-MODEL-"):
        verify_suite(resealed(small, lambda s: flip(next((s / "models").iterdir()))))


# What the schema forbids, or what an operation cannot be asked, in a case that is otherwise written as it should be.
UNSOUND: dict[str, tuple[str, Callable[[Case], Case]]] = {
    "surplus parameter": (CLIP, lambda case: replace(case, parameters={**case.parameters, "mid": 0})),
    "no parameters": (CLIP, lambda case: replace(case, parameters={})),
    "parameter as text": (CLIP, lambda case: replace(case, parameters={"lo": "0", "hi": 0})),
    "no inputs": (CLIP, lambda case: replace(case, inputs={})),
    "input of another name": (
        CORNERS,
        lambda case: replace(
            case, inputs={name.replace("multiplier", "other"): values for name, values in case.inputs.items()}
        ),
    ),
    "empty format": (CORNERS, lambda case: replace(case, parameters={**case.parameters, "format_accumulator": ""})),
    "number as format": (CORNERS, lambda case: replace(case, parameters={**case.parameters, "format_accumulator": 5})),
    "no operation": (CLIP, lambda case: replace(case, operation=None)),
    "operation a list": (CLIP, lambda case: replace(case, operation=[])),
    "no outputs": (CLIP, lambda case: replace(case, outputs={})),
    "unknown operation": (CLIP, lambda case: replace(case, operation="median")),
    "unknown model": (STREAM, lambda case: replace(case, parameters={"model": "other"})),
}


@pytest.mark.parametrize("unsound", UNSOUND)
def test_verify_suite_does_not_pass_unsound_cases(
    unsound: str, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite(small, *UNSOUND[unsound])
    status = main(["vectors", "verify", str(small)])
    printed = capsys.readouterr()
    assert status in (1, 2)
    if status == 2:
        assert printed.err.startswith("refcodec: RC-VECTOR-SUITE: ")
        assert printed.err.count("\n") == 1
    else:
        assert "1 failures" in printed.out or "2 failures" in printed.out


# --- wrong implementations


def wrong_requantise(rounding: Callable[[int, int], int], saturate: bool) -> Callable[..., np.ndarray]:
    """A requantiser with another rounding of product / 2**shift, or one that wraps instead of saturating."""

    def requantise(accumulator, multiplier, shift, source, target):
        out = np.empty(accumulator.shape, np.int64)
        for index in np.ndindex(*accumulator.shape):
            s = int(shift[index[0]])
            value = rounding(int(accumulator[index]) * int(multiplier[index[0]]), s)
            wrapped = (value - target.lo) % (target.hi - target.lo + 1) + target.lo
            out[index] = min(max(value, target.lo), target.hi) if saturate else wrapped
        return out

    return requantise


def half_up(product: int, shift: int) -> int:
    return (product + (1 << shift >> 1)) >> shift


def half_even(product: int, shift: int) -> int:
    quotient, rest, half = product >> shift, product % (1 << shift), 1 << (shift - 1)
    return quotient + (rest > half or (rest == half and quotient % 2 == 1))


def half_away(product: int, shift: int) -> int:
    return half_up(abs(product), shift) * (1 if product >= 0 else -1)


MISTAKES: dict[str, tuple[Callable[[int, int], int], bool]] = {
    "half to even": (half_even, True),
    "half away from zero": (half_away, True),
    "half down": (lambda p, s: -half_up(-p, s), True),
    "floor": (lambda p, s: p >> s, True),
    "towards zero": (lambda p, s: (abs(p) >> s) * (1 if p >= 0 else -1), True),
    "no clip": (half_up, False),
    "twice rounded": (lambda p, s: half_up(half_up(p, s - 1), 1), True),
    "product of 32 bits": (lambda p, s: half_up((p + 2**31) % 2**32 - 2**31, s), True),
    "five bits of shift": (lambda p, s: half_up(p, s % 32) if s % 32 else p, True),
    "constant of 32 bits": (lambda p, s: (p + ((1 << s >> 1) & 0xFFFFFFFF)) >> s, True),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_differences_finds_a_wrong_requantise_in_every_corner_case(
    mistake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    corners = list(requantise_cases())
    monkeypatch.setattr("refcodec.program.operations.requantise.requantise", wrong_requantise(*MISTAKES[mistake]))
    blind = [case.id for case in corners if not differences(case, KERNELS)]
    if mistake == "half away from zero":  # an unsigned target turns every negative tie into zero
        assert all(name.endswith("-u8") for name in blind)
    else:
        assert blind == []


def test_differences_accepts_the_right_requantise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refcodec.program.operations.requantise.requantise", wrong_requantise(half_up, saturate=True))
    assert [line for case in requantise_cases() for line in differences(case, KERNELS)] == []


def test_differences_names_tensor_place_and_values(cases: dict[str, Case]) -> None:
    case = cases[CLIP]
    wanted = case.outputs["y"].array.copy()
    wanted[0, 0, 3] = 9
    wrong = replace(case, outputs={"y": Values(wanted, case.outputs["y"].format)})
    assert differences(wrong, KERNELS) == [f"{CLIP}: y[0, 0, 3] is 0, expected 9"]
    assert differences(replace(case, error="RC-SHAPE"), KERNELS) == [f"{CLIP}: not rejected, expected RC-SHAPE"]
    flat = replace(case, inputs={"x": Values(case.inputs["x"].array[0], IntFormat(16, True))})
    assert differences(replace(flat, error="RC-SHAPE"), KERNELS) == []
    assert differences(replace(flat, error="RC-RANGE"), KERNELS)[0].startswith(f"{CLIP}: rejected with RC-SHAPE")
    assert differences(flat, KERNELS)[0].startswith(f"{CLIP}: rejected with RC-SHAPE")


@pytest.mark.parametrize("operation", sorted({*OPERATIONS, *KINDS} - {"stream"}))
def test_differences_finds_every_operation_that_is_off_by_one(
    operation: str, cases: dict[str, Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*case):
        results = {name: np.array(array).astype(np.int64) for name, array in evaluate.evaluate(*case).items()}
        for array in results.values():
            array.flat[-1:] += 1
        return results

    monkeypatch.setattr("refcodec.vectorgen.verify.evaluate", wrong)
    chosen = [case for case in cases.values() if case.operation == operation and case.error is None]
    assert chosen
    for case in chosen:
        empty = all(values.array.size == 0 for values in case.outputs.values())
        assert bool(differences(case, KERNELS)) is not empty


# --- streams


def test_broken_containers_raise_their_codes(cases: dict[str, Case]) -> None:
    codec = ScaleHyperprior.from_model(load_model(shipped_path(DEFAULT_MODEL, ".rcm")))
    taps: dict[str, np.ndarray] = {}
    codec.decode(shipped_path(DEFAULT_STREAM, ".rcb").read_bytes(), taps.__setitem__)
    for name, (comment, content) in small_streams(codec, taps).items():
        assert comment
        codec.decode(content)
        broken = broken_containers(content)
        assert len(broken) >= 20
        for kind, (wanted, damaged) in broken.items():
            vague = name != "33x17" and kind in ("y-flipped", "larger")  # where damaged symbols lead depends on them
            code = "RC-STREAM-[A-Z]+" if vague else wanted
            with pytest.raises(StreamError, match=f"^{code}: .*\\(byte [0-9]+\\)$") as caught:
                codec.decode(damaged)
            assert 0 <= caught.value.offset <= len(damaged), kind
            assert f"streams/scale_hyperprior/invalid-{kind}" in cases


def test_suite_holds_good_and_broken_containers_of_every_family(cases: dict[str, Case], suite: Path) -> None:
    for family, codec_family in ((family.replace("-", "_"), family) for family in FAMILIES):
        found = [case for case in cases.values() if case.id.startswith(f"streams/{family}/")]
        good = [case for case in found if case.error is None]
        assert len(good) >= 3
        assert len(found) - len(good) >= 5
        for case in found:
            model = load_model(suite / "models" / f"{case.parameters['model']}.rcm")
            assert model.family == codec_family


def test_case_schema_name_is_that_of_the_schema() -> None:
    schema = json.loads((COMMITTED / "schema" / SCHEMAS[0]).read_text())
    assert schema["title"] == SCHEMA == "refcodec-case/2"
