"""Shift counts and widths of the decode path lie in range, as far as its text tells (SPEC AUD-5).

A compiled kernel works on 64-bit integers, where a count below 0 or above 63 has no meaning. Proven from the text:
- every count in a kernel is an expression of constants, of indexes over constants, of names that are assigned once, and
  of the names in RANGES, and lies in 0 .. 63 for all of their values;
- constant counts outside kernels are not negative and not above 64;
- constant widths of formats lie in 1 .. 48.
Not proven: that the ranges of RANGES hold at run time. They are those of the checks that `by` names, which the tests of
each layer exercise; a limit is written as the constant that its check uses, so the two cannot drift apart. Nor that a
value shifted to the left fits: that is what the bounds of each layer are for (SPEC ACC-3). Outside kernels counts that
vary are not followed, because Python's integers do not wrap.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import NamedTuple

LARGEST = 63  # of a count in 64 bits
PLAIN_LARGEST = 64  # of a constant count on Python's integers
WIDTHS = (1, 48)
KERNELS = frozenset({"kernel", "parallel_kernel"})
CASTS = frozenset({"int", "int64", "uint64"})
SHIFTS = (ast.LShift, ast.RShift)


class Interval(NamedTuple):
    """All integers from lo to hi."""

    lo: int
    hi: int


class Range(NamedTuple):
    """What a name or an expression of a kernel can be.

    lo, hi  expressions of constants, a qualified one with its module;  by  the function that ensures it.
    """

    lo: str
    hi: str
    by: str


_LAYERS, _ENTROPY = "refcodec/layers/", "refcodec/entropy/"
_SCALE = Range("refcodec.formats.MIN_SHIFT", "refcodec.formats.MAX_SHIFT", "check_scales")
_FRACTION = Range("0", "refcodec.layers.gdn.MAX_FRACTION", "check_affine")
_NORM_SHIFT = Range("0", "MAX_SUM_SHIFT", "check_norm")
_READY = Range("0", "refcodec.entropy.adaptive_binary.MOST_READY", "read_bytes")
# kernel -> what its counts are made of; the loops that bound a count stand in the function named
RANGES: dict[tuple[str, str], dict[str, Range]] = {
    (f"{_LAYERS}add.py", "_add"): {"shift": Range("0", "MAX_SHIFT", "check_scales")},
    (f"{_LAYERS}gdn.py", "_gdn"): {"norm_shift": _NORM_SHIFT, "fraction": _FRACTION},
    (f"{_LAYERS}gdn.py", "_inverse_gdn"): {"norm_shift": _NORM_SHIFT, "s": _SCALE},
    (f"{_LAYERS}isqrt.py", "root"): {"half": Range("0", "16 + 8 + 4 + 2 + 1", "root")},
    (f"{_LAYERS}layer_norm.py", "_layer_norm"): {
        "shift": Range("0", "MAX_ROOT_SHIFT", "check_spread"),
        "fraction": _FRACTION,
    },
    (f"{_LAYERS}leaky_requantise.py", "_leaky_requantise"): {"s": _SCALE},
    (f"{_LAYERS}positional_encoding.py", "_sine"): {"fraction": Range("0", "MAX_FRACTION", "check_fraction")},
    (f"{_LAYERS}requantise.py", "_requantise"): {"s": _SCALE},
    (f"{_LAYERS}resize.py", "_resize"): {"shift": Range("0", "4 * MAX_FACTOR", "check_factors")},
    (f"{_LAYERS}table.py", "_interpolate"): {"spacing": Range("1", "refcodec.formats.MAX_BITS - 1", "check_spacing")},
    (f"{_LAYERS}warp.py", "_taps"): {"fraction": Range("0", "MAX_FRACTION + 1", "check_fraction")},
    (f"{_LAYERS}warp.py", "_warp"): {"fraction": Range("0", "MAX_FRACTION", "check_fraction")},
    (f"{_ENTROPY}adaptive_binary.py", "adapt"): {
        "SHIFTS[count]": Range("2", "SLOWEST_HI", "adapt"),
        "slowest": Range("SLOWEST_LO", "SLOWEST_HI", "adapt"),
    },
    (f"{_ENTROPY}adaptive_binary.py", "write_bytes"): {"pending": Range("0", "MOST_PENDING", "write_bytes")},
    (f"{_ENTROPY}adaptive_binary.py", "finish_bytes"): {"pending": Range("START_BITS", "16", "write_bytes")},
    (f"{_ENTROPY}adaptive_binary.py", "take_bit"): {"ready": _READY},
    (f"{_ENTROPY}adaptive_binary.py", "take_even_bit"): {"ready": _READY},
    (f"{_ENTROPY}adaptive_binary.py", "finish"): {"ready": _READY},
    (f"{_ENTROPY}adaptive_integers.py", "digits"): {"count": Range("0", "18", "digits")},  # 6 * 2**15 at most
    (f"{_ENTROPY}adaptive_integers.py", "_put"): {
        "count - 2": Range("0", "WIDEST", "_put"),
        "count - 3": Range("0", "WIDEST", "_put"),
        "place": Range("0", "WIDEST", "_put"),
    },
    (f"{_ENTROPY}adaptive_integers.py", "_decode"): {"ready": _READY},
    (f"{_ENTROPY}rans.py", "_put_escape"): {
        "count": Range("0", "ESCAPE_NIBBLES", "encode"),
        "k": Range("0", "ESCAPE_NIBBLES", "encode"),
    },
    (f"{_ENTROPY}rans.py", "_get_escape"): {"k": Range("0", "ESCAPE_NIBBLES", "_get_escape")},
}


class Module:
    """The constants and functions of one file."""

    def __init__(self, path: str, tree: ast.Module) -> None:
        self.path = path
        self.assigned: dict[str, ast.expr] = {}
        self.imported: dict[str, tuple[str, str]] = {}
        self.functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        self.tree = tree
        for node in tree.body:
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    self._assign(target, node.value)
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    self.imported[alias.asname or alias.name] = node.module, alias.name

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self.assigned[target.id] = value
        elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            for part, its in zip(target.elts, value.elts, strict=True):
                self._assign(part, its)


class Reader:
    """What expressions of some files can be."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self.modules = {path: Module(path, ast.parse(text)) for path, text in sources.items()}

    def constant(self, module: Module, name: str, depth: int = 0) -> Interval | None:
        """A constant of a module or of one that it imports from."""
        if depth > len(self.modules):
            return None
        if name in module.assigned:
            return self.interval(module.assigned[name], module, {})
        if name in module.imported:
            origin, original = module.imported[name]
            return self._of(origin, original, depth + 1)
        return None

    def _of(self, origin: str, name: str, depth: int) -> Interval | None:
        path = origin.replace(".", "/")
        for candidate in (f"{path}.py", f"{path}/__init__.py"):
            if candidate in self.modules:
                return self.constant(self.modules[candidate], name, depth)
        return None

    def interval(self, node: ast.expr, module: Module, known: Mapping[str, Interval | None]) -> Interval | None:
        """All that an expression can be; None where the text does not tell.

        known  of the names and expressions of a function.
        """
        text = ast.unparse(node)
        if text in known:
            return known[text]
        match node:
            case ast.Constant(value=int(value)):
                return Interval(value, value)
            case ast.Name(id=name):
                return self.constant(module, name)
            case ast.Attribute():
                origin, _, name = text.rpartition(".")
                return self._of(origin, name, 0)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inner = self.interval(operand, module, known)
                return Interval(-inner.hi, -inner.lo) if inner else None
            case ast.BinOp(left=left, op=op, right=right):
                return _combined(op, self.interval(left, module, known), self.interval(right, module, known))
            case ast.Call(func=func, args=arguments) if not node.keywords and arguments:
                return self._call(ast.unparse(func).rpartition(".")[2], arguments, module, known)
        return None

    def _call(
        self, name: str, arguments: list[ast.expr], module: Module, known: Mapping[str, Interval | None]
    ) -> Interval | None:
        values = [self.interval(argument, module, known) for argument in arguments]
        if any(value is None for value in values):
            return None
        found = [value for value in values if value is not None]
        if name in CASTS and len(found) == 1:
            return found[0]
        if name in {"min", "max"}:
            choose = min if name == "min" else max
            return Interval(choose(v.lo for v in found), choose(v.hi for v in found))
        return None


def _combined(op: ast.operator, left: Interval | None, right: Interval | None) -> Interval | None:
    if isinstance(op, ast.BitAnd) and left and left.lo >= 0:
        return Interval(0, left.hi)  # whatever the other side is
    if not left or not right:
        return None
    match op:
        case ast.Add():
            return Interval(left.lo + right.lo, left.hi + right.hi)
        case ast.Sub():
            return Interval(left.lo - right.hi, left.hi - right.lo)
        case ast.Mult():
            corners = [a * b for a in left for b in right]
            return Interval(min(corners), max(corners))
        case ast.FloorDiv() if right.lo > 0:
            corners = [a // b for a in left for b in right]
            return Interval(min(corners), max(corners))
        case ast.LShift() if right.lo >= 0 and right.hi <= PLAIN_LARGEST and left.lo >= 0:
            return Interval(left.lo << right.lo, left.hi << right.hi)
    return None


def _is_kernel(function: ast.FunctionDef) -> bool:
    return any(ast.unparse(decorator).rpartition(".")[2] in KERNELS for decorator in function.decorator_list)


def _shifts(tree: ast.AST) -> Iterator[tuple[ast.expr, int]]:
    """The count of every shift, and its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, SHIFTS):
            yield node.right, node.lineno
        elif isinstance(node, ast.AugAssign) and isinstance(node.op, SHIFTS):
            yield node.value, node.lineno


def _locals(
    function: ast.FunctionDef, reader: Reader, module: Module, declared: dict[str, Interval | None]
) -> dict[str, Interval | None]:
    """What the names of a function are: declared, assigned once, or an index over constants; others are unknown."""
    known: dict[str, Interval | None] = {argument.arg: None for argument in function.args.args}
    stores = [n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    known |= dict.fromkeys(stores)
    known |= declared
    for node in ast.walk(function):
        name, values = _bound_once(node)
        if name and stores.count(name) == 1 and known[name] is None:
            found = [reader.interval(value, module, known) for value in values]
            if found and all(found):
                each = [value for value in found if value is not None]
                known[name] = Interval(min(v.lo for v in each), max(v.hi for v in each))
    return known


def _bound_once(node: ast.AST) -> tuple[str | None, list[ast.expr]]:
    """A name and the expressions that it takes, of an assignment or of a loop over a tuple."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return name, [value]
        case ast.For(target=ast.Name(id=name), iter=ast.Tuple(elts=values)):
            return name, values
    return None, []


def _declared(key: tuple[str, str], reader: Reader, module: Module) -> tuple[dict[str, Interval | None], list[str]]:
    """The ranges of a kernel in numbers, and complaints about what they name."""
    found: dict[str, Interval | None] = {}
    complaints = []
    for name, limits in RANGES.get(key, {}).items():
        ends = [reader.interval(ast.parse(text, mode="eval").body, module, {}) for text in (limits.lo, limits.hi)]
        lo, hi = ends
        if lo is None or hi is None:
            complaints.append(f"{key[0]}: the range {limits.lo} .. {limits.hi} of {name} in {key[1]} is unknown")
        else:
            found[name] = Interval(lo.lo, hi.hi)
        if not any(limits.by in other.functions for other in reader.modules.values()):
            complaints.append(f"{key[0]}: nothing is called {limits.by}, which ensures {name} in {key[1]}")
    return found, complaints


def _kernel_faults(function: ast.FunctionDef, reader: Reader, module: Module) -> Iterator[str]:
    declared, complaints = _declared((module.path, function.name), reader, module)
    yield from complaints
    known = _locals(function, reader, module, declared)
    for count, line in _shifts(function):
        found = reader.interval(count, module, known)
        text = ast.unparse(count)
        if found is None:
            yield f"{module.path}:{line}: the shift count {text} is not known to lie in 0..{LARGEST}"
        elif found.lo < 0 or found.hi > LARGEST:
            yield f"{module.path}:{line}: the shift count {text} is {found.lo}..{found.hi}, not 0..{LARGEST}"


def _plain_faults(module: Module, reader: Reader, inside: set[int]) -> Iterator[str]:
    """Constant counts outside kernels, of which `inside` are the nodes."""
    for count, line in _shifts(module.tree):
        found = None if id(count) in inside else reader.interval(count, module, {})
        if found and (found.lo < 0 or found.hi > PLAIN_LARGEST):
            yield f"{module.path}:{line}: the shift count {ast.unparse(count)} is {found.lo}, not 0..{PLAIN_LARGEST}"


def _width_faults(module: Module, reader: Reader) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "IntFormat" and node.args:
            found = reader.interval(node.args[0], module, {})
            if found and not WIDTHS[0] <= found.lo <= found.hi <= WIDTHS[1]:
                yield f"{module.path}:{node.lineno}: a format of {found.lo} bits, not {WIDTHS[0]}..{WIDTHS[1]}"


def _stale(reader: Reader) -> Iterator[str]:
    """Ranges of what is no longer there."""
    for (path, kernel), names in RANGES.items():
        if path in reader.modules:
            function = reader.modules[path].functions.get(kernel)
            text = ast.unparse(function) if function else ""
            yield from (
                f"{path}: no {name} in {kernel}, of which a range is declared" for name in names if name not in text
            )


def shifts_in_range(sources: Mapping[str, str], prefixes: tuple[str, ...]) -> list[str]:
    """Complain of every shift count and width that is, or may be, out of range.

    sources  path -> text, of every file that constants come from;  prefixes  of the paths that are audited.
    """
    reader = Reader(sources)
    complaints: list[str] = []
    for path in sorted(path for path in sources if path.startswith(prefixes)):
        module = reader.modules[path]
        kernels = [function for function in module.functions.values() if _is_kernel(function)]
        inside = {id(count) for function in kernels for count, _ in _shifts(function)}
        for function in kernels:
            complaints += _kernel_faults(function, reader, module)
        complaints += _plain_faults(module, reader, inside)
        complaints += _width_faults(module, reader)
    return [*complaints, *_stale(reader)]
