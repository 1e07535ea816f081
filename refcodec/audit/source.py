"""No floating point on the decode path, and no shift count or width out of range (SPEC AUD-5).

What is read is the text of the package, not its run. A float that enters as an argument is not seen here; the checks of
every layer turn it away.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import refcodec
from refcodec.audit.shifts import shifts_in_range
from refcodec.errors import FileError

DECODE_PATH = ("refcodec/fixed.py", "refcodec/layers/", "refcodec/program/", "refcodec/entropy/", "refcodec/codecs/")

# These and nothing else of `math` take and return integers.
INTEGER_MATH = frozenset({"comb", "factorial", "gcd", "isqrt", "lcm", "perm", "prod"})
FLOAT_MODULES = frozenset({"cmath", "random", "scipy", "statistics"})
FLOAT_NUMPY = re.compile(
    r"float\d*|half|single|double|longdouble|complex\d*|cdouble|csingle"
    r"|true_divide|divide|reciprocal|(nan)?(mean|std|var|median)|average|sqrt|cbrt|hypot|float_power"
    r"|exp|exp2|expm1|log|log2|log10|log1p|logaddexp2?|(arc)?(sin|cos|tan)h?|arctan2|linspace|logspace|geomspace"
    r"|rint|round|around|floor|ceil|trunc|fix|fft|linalg|random|interp|pi|e|inf|nan"
)
FLOAT_DTYPE = re.compile(r"[<>=|]?[fc](2|4|8|16)|float\d*|double|half|single|complex\d*")
TAKES_DTYPE = frozenset({"array", "asarray", "astype", "dtype", "empty", "frombuffer", "full", "ones", "view", "zeros"})


def call_fault(call: ast.Call) -> str | None:
    """What is wrong with a call, if anything: float(x), x.astype("f4"), np.zeros(n, dtype=float).

    isinstance(x, float) is how a float is turned away, so it may stand.
    """
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in {"float", "complex"}:
        return f"{name}()"
    types = [keyword.value for keyword in call.keywords if keyword.arg == "dtype"]
    if name in TAKES_DTYPE:
        types += call.args
    for value in types:
        text = value.id if isinstance(value, ast.Name) else getattr(value, "value", None)
        if isinstance(text, str) and FLOAT_DTYPE.fullmatch(text):
            return f"dtype {text}"
    return None


def attribute_fault(node: ast.Attribute) -> str | None:
    """What is wrong with an attribute of numpy or math, if anything."""
    if not isinstance(node.value, ast.Name):
        return None
    if node.value.id in {"np", "numpy"} and FLOAT_NUMPY.fullmatch(node.attr):
        return f"np.{node.attr}"
    if node.value.id == "math" and node.attr not in INTEGER_MATH:
        return f"math.{node.attr}"
    return None


def import_fault(node: ast.Import | ast.ImportFrom) -> str | None:
    """What is wrong with an import, if anything."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names if alias.name.split(".")[0] in FLOAT_MODULES]
        return f"import of {names[0]}" if names else None
    module = node.module or ""
    if module.split(".")[0] in FLOAT_MODULES:
        return f"import from {module}"
    for alias in node.names:
        if (module == "math" and alias.name not in INTEGER_MATH) or (
            module == "numpy" and FLOAT_NUMPY.fullmatch(alias.name)
        ):
            return f"import of {module}.{alias.name}"
    return None


def node_fault(node: ast.AST) -> str | None:
    """What makes one node a floating-point one, if anything."""
    if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
        return f"literal {node.value}"
    if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
        return "true division (paths: use joinpath)"
    if isinstance(node, ast.Call):
        return call_fault(node)
    if isinstance(node, ast.Attribute):
        return attribute_fault(node)
    if isinstance(node, ast.Import | ast.ImportFrom):
        return import_fault(node)
    return None


def is_block(node: ast.AST) -> bool:
    """Whether a function carries MyHDL's @block."""
    if not isinstance(node, ast.FunctionDef):
        return False
    return any(ast.unparse(decorator).split(".")[-1] == "block" for decorator in node.decorator_list)


def checked_nodes(path: str, tree: ast.Module) -> Iterator[ast.AST]:
    """All of a decode-path module; of a datapath module, the @block functions."""
    if path.startswith(DECODE_PATH):
        yield from ast.walk(tree)
    elif path.startswith("hw/"):
        blocks = [node for node in ast.walk(tree) if is_block(node)]
        yield from dict.fromkeys(node for block in blocks for node in ast.walk(block))


def no_floats(sources: Mapping[str, str]) -> list[str]:
    """Complain of every floating-point construct on the decode path; `sources` maps a path to its text."""
    complaints = []
    for path, source in sorted(sources.items()):
        for node in checked_nodes(path, ast.parse(source)):
            fault = node_fault(node)
            if fault:
                complaints.append(f"{path}:{getattr(node, 'lineno', '?')}: floating point: {fault}")
    return complaints


def audit_source(sources: Mapping[str, str]) -> list[str]:
    """Every complaint about the integers of the decode path; `sources` maps a path to its text (SPEC AUD-5)."""
    return [*no_floats(sources), *shifts_in_range(sources, DECODE_PATH)]


def package_sources(folder: str | Path | None = None) -> dict[str, str]:
    """The Python files of refcodec/ and, where it is there, hw/, by their paths.

    folder  that holds refcodec/, by default the one that this package was imported from.
    Raises FileError RC-FILE-READ where there is no package.
    """
    root = Path(folder) if folder else Path(refcodec.__file__).parents[1]
    files = [path for top in ("refcodec", "hw") for path in sorted((root / top).rglob("*.py"))]
    if not (root / "refcodec" / "fixed.py").is_file():
        raise FileError("RC-FILE-READ", f"{root} holds no refcodec/fixed.py")
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in files}
