"""The repository's own audits hold, and each of them complains when it should."""

from __future__ import annotations

from pathlib import Path

import pytest

from check_repository import ROOT, specification
from checks import layering, strays
from checks import specification as spec_checks
from refcodec.audit import source as source_checks
from refcodec.errors import CODES

# ---- the repository itself


def test_imports_point_one_way():
    assert layering.import_order(layering.package_sources(ROOT)) == []


def test_decode_path_has_no_floats():
    assert source_checks.no_floats(layering.package_sources(ROOT)) == []


def test_specification_is_the_code():
    assert specification(ROOT) == []


def test_repository_has_no_strays():
    assert strays.strays(ROOT) == []


# ---- imports


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("refcodec/errors.py", "import refcodec.formats"),
        ("refcodec/formats.py", "from refcodec import kernel"),
        ("refcodec/layers/gdn.py", "from refcodec.program import run"),
        ("refcodec/codecs/inr.py", "from refcodec.models.shipped import load"),
        ("refcodec/program/run.py", "def f():\n    from refcodec.entropy import rans"),
        ("refcodec/layers/gdn.py", "from ..program import run"),
        ("refcodec/layers/__init__.py", "from ..program import run"),
        ("refcodec/layers/gdn.py", "from .. import program"),
        ("refcodec/vectorgen/cases.py", "import hw.gdn"),
        ("hw/gdn.py", "from refcodec.layers.gdn import gdn"),
        ("hw/gdn.py", "from refcodec import kernel"),
        ("hw/gdn.py", "import refcodec.cli"),
        ("refcodec/demo.py", "from refcodec import cli"),
        ("refcodec/__init__.py", "from refcodec.errors import CODES"),
        ("refcodec/cli/codec.py", "from refcodec import nowhere"),
        ("refcodec/odds_and_ends.py", ""),
    ],
)
def test_import_order_complains(path, source):
    complaints = layering.import_order({path: source})
    assert len(complaints) == 1
    assert complaints[0].startswith(path)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("refcodec/layers/gdn.py", "import numpy as np\nfrom refcodec.errors import CODES\nfrom . import clip"),
        ("refcodec/layers/gdn.py", "from .clip import limit\nfrom ..formats import IntFormat"),
        ("refcodec/layers/__init__.py", "from . import clip\nfrom .. import errors"),
        ("refcodec/codecs/inr.py", "from refcodec import __version__, entropy"),
        ("hw/gdn.py", "import myhdl\nfrom hw.clip import clip\nfrom refcodec.program import operations"),
        ("refcodec/demo.py", "from hw import gdn\nimport refcodec.vectorgen.build"),
        ("refcodec/cli/codec.py", "from refcodec import demo, quantize"),
    ],
)
def test_import_order_accepts(path, source):
    assert layering.import_order({path: source}) == []


# ---- no floats


@pytest.mark.parametrize(
    "source",
    [
        "x = 0.5",
        "x = 1e3",
        "x = 2j",
        "y = x / 2",
        "x /= 2",
        "y = float(x)",
        "y = np.float32(x)",
        "y = x.astype(np.float64)",
        "y = x.astype(float)",
        "y = x.astype('<f4')",
        "y = np.zeros(3, dtype=float)",
        "y = np.zeros(3, dtype='float32')",
        "y = np.sqrt(x)",
        "y = np.mean(x)",
        "y = np.round(x)",
        "y = math.log2(x)",
        "y = math.pi",
        "from math import sqrt",
        "from numpy import float32",
        "import scipy.signal",
        "from scipy import fft",
    ],
)
@pytest.mark.parametrize("path", ["refcodec/fixed.py", "refcodec/layers/gdn.py", "refcodec/codecs/inr.py"])
def test_no_floats_complains(path, source):
    complaints = source_checks.no_floats({path: source})
    assert complaints
    assert all(line.startswith(f"{path}:1: floating point: ") for line in complaints)


@pytest.mark.parametrize(
    "source",
    [
        "y = x // 2 + math.isqrt(x)",
        "from math import gcd",
        "y = np.zeros(3, dtype=np.int64)",
        "y = x.astype('<u4')",
        "wrong = isinstance(x, float)",
        "y = folder.joinpath('float')",
        "'0.5 float32'",
        "z = hyperprior.mean",
    ],
)
def test_no_floats_accepts(source):
    assert source_checks.no_floats({"refcodec/layers/gdn.py": source}) == []


def test_no_floats_leaves_the_encoder_alone():
    assert source_checks.no_floats({"refcodec/models/gdn.py": "x = 0.5", "refcodec/quantize/mse.py": "y = x / 2"}) == []


def test_no_floats_reads_the_blocks_of_a_datapath():
    block = "def make():\n    @{}\n    def gdn(clock):\n        y = x / 2\n    return gdn\n"
    for decorator in ("block", "myhdl.block"):
        assert source_checks.no_floats({"hw/gdn.py": block.format(decorator)}) == [
            "hw/gdn.py:4: floating point: true division (paths: use joinpath)"
        ]
    assert source_checks.no_floats({"hw/gdn.py": block.format("cache")}) == []


# ---- SPEC.md and the code

FIXED = '''
"""Clauses."""
LIMIT = 7


def half(value: int) -> int:
    """Divide by two (SPEC XX-1)."""
    return value >> 1


def halves(values):
    """Divide each by two (SPEC XX-2, XX-3)."""
    out = []
    for value in values:
        out.append(half(value))
    return out
'''
HALF = "def half(value: int) -> int:\n    return value >> 1\n"
HALVES = (
    "def halves(values):\n    out = []\n    for value in values:\n        out.append(half(value))\n    return out\n"
)


def spec_text(half: str = HALF, halves: str = HALVES) -> str:
    first = f"**XX-1** Half.\n```python spec:XX-1\n{half}```\n\n"
    second = f"**XX-2** All.\n\n```python spec:XX-2\n{halves}```\n"
    return first + second + "**XX-3** Too.\n"


def test_spec_is_code_accepts_equal_functions():
    assert spec_checks.spec_is_code(spec_text(), {"refcodec/fixed.py": FIXED}) == []
    with_docstring = HALF.replace("\n    return", '\n    """Other words."""\n    return')
    assert spec_checks.spec_is_code(spec_text(half="LIMIT = 7\n" + with_docstring), {"refcodec/fixed.py": FIXED}) == []


@pytest.mark.parametrize(
    ("half", "complaint"),
    [
        (HALF.replace(">> 1", ">> 2"), "SPEC.md:2: XX-1: half differs from the code"),
        (HALF.replace("int)", "bool)"), "SPEC.md:2: XX-1: half differs from the code"),
        ("LIMIT = 8\n" + HALF, "SPEC.md:2: XX-1: LIMIT differs from the code"),
        (HALF + "def third(x):\n    return x // 3\n", "SPEC.md:2: XX-1: third is not in the code"),
        ("def half(:\n", "SPEC.md:2: XX-1: not Python: "),
        ("", "SPEC.md:2: XX-1: no function of this block names the clause in the code"),
        ("", "refcodec/fixed.py: half is not quoted in SPEC.md"),
    ],
)
def test_spec_is_code_complains(half, complaint):
    assert any(
        line.startswith(complaint)
        for line in spec_checks.spec_is_code(spec_text(half=half), {"refcodec/fixed.py": FIXED})
    )


def test_spec_is_code_wants_the_clause_in_the_docstring():
    swapped = FIXED.replace("XX-1", "XX-9")
    assert spec_checks.spec_is_code(spec_text(), {"refcodec/fixed.py": swapped}) == [
        "SPEC.md:2: XX-1: no function of this block names the clause in the code"
    ]


def test_private_functions_need_no_quote():
    assert (
        spec_checks.spec_is_code(spec_text(), {"refcodec/fixed.py": FIXED + "\n\ndef _aside(x):\n    return x\n"}) == []
    )


@pytest.mark.parametrize(
    "fence", ["```python spec: XX-1", "```py spec:XX-1", "  ```python spec:XX-1", "~~~python spec:XX-1"]
)
def test_malformed_fence_is_not_overlooked(fence):
    assert spec_checks.malformed_fences(spec_text()) == []
    faulty = spec_text().replace("```python spec:XX-1", fence)
    assert [line.split(": ")[0] for line in spec_checks.malformed_fences(faulty)] == ["SPEC.md:2"]


def test_spec_language_accepts_integers_lists_and_loops():
    assert spec_checks.spec_language(spec_text()) == []
    rich = '''def half(value: Sequence[int] | None, to: "int" = 3) -> list[int]:
    """Words."""
    if not 0 <= value[0] < 1 << 4 and value[-1] != 0 or -value[1] > ~value[2]:
        return [(x, y) for x in range(len(value)) for y in value[1:2] if x % 2 == 0]
    total: int = sum(abs(x) for x in value)
    total += half(value) if total else min(1, 2)
    for i in range(3):
        if i == 2:
            break
        value[i] = True
    return [total]
'''
    assert spec_checks.spec_language(spec_text(half=rich)) == []


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("return value * 0.5", "constant 0.5"),
        ("return value / 2", "Div"),
        ("value /= 2", "Div"),
        ("import math", "Import"),
        ("from math import isqrt", "ImportFrom"),
        ("return math.isqrt(value)", "call of .isqrt"),
        ("return value.real", "attribute .real"),
        ("return value.bit_length()", "call of .bit_length"),
        ("return isqrt(value)", "call of isqrt"),
        ("return float(value)", "call of float"),
        ("return 'text'", "constant 'text'"),
        ("return None", "constant None"),
        ("assert value", "Assert"),
        ("raise value", "Raise"),
        ("return lambda: value", "Lambda"),
        ("return {value: 1}", "Dict"),
        ("return value is value", "Is"),
        ("return value @ value", "MatMult"),
        ("value", "expression without effect"),
        ("global value", "Global"),
        ("return max(value, default=1)", "keyword"),
        ("while value:\n        value = value >> 1", "While"),
        ("try:\n        return 1\n    finally:\n        return 2", "Try"),
        ("for i in value:\n        return 1\n    else:\n        return 2", "else of a loop"),
        ("class Half:\n        x = 1", "ClassDef"),
    ],
)
def test_spec_language_complains(statement, fault):
    complaints = spec_checks.spec_language(spec_text(half=f"def half(value):\n    {statement}\n"))
    assert f"SPEC.md:4: XX-1: not in the language of a clause: {fault}" in [
        line.replace("SPEC.md:2:", "SPEC.md:4:")
        for line in complaints  # operators have no line of their own
    ]


def test_spec_language_complains_of_decorators_and_syntax():
    decorated = spec_checks.spec_language(spec_text(half="@half\n" + HALF))
    assert decorated == ["SPEC.md:4: XX-1: not in the language of a clause: decorator"]
    assert "SPEC.md:2: XX-1: not Python: invalid syntax" in spec_checks.spec_language(spec_text(half="half half\n"))


def test_clause_links_accept_both_ways():
    code = {"refcodec/fixed.py": FIXED}
    assert spec_checks.clause_links(spec_text(), code, {}) == []
    only_tested = spec_text() + "**YY-1** Tested.\n"
    assert spec_checks.clause_links(only_tested, code, {"test_y.py": "# refuses surplus bytes (SPEC YY-1)"}) == []


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        (spec_text().replace("**XX-3**", "XX-3"), "refcodec/fixed.py: names XX-3, which SPEC.md does not have"),
        (spec_text() + "**YY-1** New.\n", "SPEC.md: nothing in refcodec/, hw/ or tests/ names YY-1"),
        (spec_text() + "**XX-1** Again.\n", "SPEC.md: XX-1 stands twice"),
        (spec_text() + "```python spec:ZZ-1\n```\n", "SPEC.md: ZZ-1 has a block and no heading"),
    ],
)
def test_clause_links_complain(spec, complaint):
    assert spec_checks.clause_links(spec, {"refcodec/fixed.py": FIXED}, {}) == [complaint]


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("(SPEC XX-1)", {"XX-1"}),
        ("(SPEC XX-1, XX-2 and INT16-3, Eq. 6)", {"XX-1", "XX-2", "INT16-3"}),
        ("(SPEC\n    XX-1)", {"XX-1"}),
        ("XX-1 and CRC-32", set()),
        ("UNSPEC XX-1", set()),
    ],
)
def test_mentions_are_read(text, clauses):
    assert spec_checks.mentions(text) == clauses


def error_rows(codes: dict[str, str]) -> str:
    return "| code | meaning |\n|---|---|\n" + "".join(f"| `{name}` | {text} |\n" for name, text in codes.items())


def test_error_table_accepts_all_codes():
    assert spec_checks.error_table(error_rows(CODES), CODES) == []
    assert spec_checks.error_table(error_rows(CODES).replace("`", ""), CODES) == []


def test_error_table_complains():
    codes = {"RC-SHAPE": "wrong shape", "RC-RANGE": "out of range"}
    assert spec_checks.error_table("| RC-RANGE | out of range |\n", codes) == ["SPEC.md: no row for RC-SHAPE"]
    surplus = error_rows({**codes, "RC-MOOD": "sad"})
    assert spec_checks.error_table(surplus, codes) == ["SPEC.md: RC-MOOD is not in refcodec.errors.CODES"]
    assert spec_checks.error_table(error_rows(codes) + "| RC-RANGE | out of range |\n", codes) == [
        "SPEC.md: RC-RANGE stands twice"
    ]
    assert spec_checks.error_table(error_rows({**codes, "RC-SHAPE": "odd"}), codes) == [
        "SPEC.md: RC-SHAPE means 'odd' here and 'wrong shape' in refcodec.errors.CODES"
    ]


def test_specification_reports_missing_files(tmp_path: Path):
    assert specification(tmp_path) == [
        "SPEC.md: missing",
        "refcodec/fixed.py: missing",
        "refcodec/interop/rounding.py: missing",
        "refcodec/vectorgen/clauses.json: missing",
    ]


def test_clause_texts_end_at_the_next_clause_or_section():
    spec = "Version 1.2.3.\n\n## A\n\n**XX-1** one\n\ntwo\n\n**XX-2** three\n\n## B\n\nfour\n"
    assert spec_checks.clause_texts(spec) == {"XX-1": "**XX-1** one\n\ntwo", "XX-2": "**XX-2** three"}
    recorded = spec_checks.clause_digests(spec)
    assert '"version": "1.2.3"' in recorded
    assert spec_checks.stale_digests(spec, recorded) == []
    assert spec_checks.stale_digests(spec.replace("four", "five"), recorded) == []
    assert len(spec_checks.stale_digests(spec.replace("two", "too"), recorded)) == 1


# ---- strays


@pytest.mark.parametrize(
    "path",
    ["refcodec/utils.py", "hw/common/gdn.py", "tests/helpers.py", "tests/pictures/kodim04.png", "tests/BSDS/1.jpg"],
)
def test_stray_names_complain(path):
    assert [line.split(":")[0] for line in strays.stray_names([path])] == [path]


def test_stray_names_accept():
    assert strays.stray_names(["refcodec/baseline.py", "docs/base/x.md", "docs/rate.png", "tools/kodim.py"]) == []


def test_stray_sizes_complain_over_the_limit():
    sizes = {"vectors/a": strays.SIZE_LIMIT, "vectors/b": strays.SIZE_LIMIT + 1}
    assert [line.split(":")[0] for line in strays.stray_sizes(sizes)] == ["vectors/b"]


@pytest.mark.parametrize(
    "line",
    [
        "# TO" + "DO later",
        "# FIX" + "ME",
        "XX" + "X: why?",
        "/ro" + "ot/.cache",
        "path = '/ho" + "me/ann/x'",
        "cd /wo" + "rk/main",
        "https://py" + "pi.org/simple",
        "deb http://deb.deb" + "ian.org/debian",
        "files.python" + "hosted.org",
    ],
)
def test_stray_words_complain(line):
    assert len(strays.stray_words("a.md", f"first\n{line}\n")) == 1
    assert strays.stray_words("a.md", f"first\n{line}\n")[0].startswith("a.md:2: ")


def test_stray_words_accept():
    assert strays.stray_words("a.md", "out/wo" + "rk/x ./ho" + "me/ $(DIR)/wo" + "rk/ XX" + "XX mastodon") == []


def test_strays_reads_a_copy_without_git(tmp_path: Path):
    for name, text in {
        "a.md": "fine",
        "b.py": "# TO" + "DO",
        ".venv/c.py": "# TO" + "DO",
        "d.bin": "\0TO" + "DO",
    }.items():
        tmp_path.joinpath(name).parent.mkdir(exist_ok=True)
        tmp_path.joinpath(name).write_text(text, encoding="utf-8")
    assert strays.strays(tmp_path) == ["b.py:1: an unfinished note: TO" + "DO"]


def test_one_demand_complains_of_a_clause_with_two():
    spec = "**XX-1** A MUST.\n\n**XX-2** B MUST, and it MUST.\n\n*Lemma.* None.\n\n## 2. Section\n\nMUST MUST\n"
    assert spec_checks.one_demand(spec) == ["SPEC.md: XX-2 says MUST 2 times, split it or make it a list"]
    assert spec_checks.one_demand(spec.replace(", and it MUST", "")) == []
