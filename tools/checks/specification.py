"""SPEC.md and the code say the same."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from dataclasses import dataclass

CLAUSE = r"[A-Z][A-Z0-9]*-\d+"
HEADING = re.compile(rf"^\*\*({CLAUSE})\*\*", re.MULTILINE)
VERSION = re.compile(r"^Version (\d+\.\d+\.\d+)\.", re.MULTILINE)
MENTION = re.compile(rf"\bSPEC\s+({CLAUSE}(?:(?:,\s+|\s+and\s+|,\s+and\s+){CLAUSE})*)")
FENCE = re.compile(rf"^```python spec:({CLAUSE})[ \t]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
ANY_SPEC_FENCE = re.compile(r"^[ \t]*[`~]{3,}[^\n]*\bspec:.*$", re.MULTILINE)
ERROR_ROW = re.compile(r"^\|\s*`?(RC-[A-Z0-9-]+)`?\s*\|\s*(.*?)\s*\|\s*$", re.MULTILINE)

BUILTINS = frozenset({"abs", "bool", "divmod", "int", "max", "min", "sum"})
BUILTINS |= {"enumerate", "len", "list", "range", "reversed", "sorted", "tuple", "zip"}
# The whole language of a clause. Extending it is a decision about who can read SPEC.md.
Nodes = tuple[type[ast.AST], ...]
STATEMENTS: Nodes = (ast.FunctionDef, ast.Return, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.For, ast.If, ast.Expr)
JUMPS: Nodes = (ast.Break, ast.Continue)
ARITHMETIC: Nodes = (ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.IfExp, ast.Compare, ast.Call, ast.Constant, ast.Name)
LISTS: Nodes = (ast.Attribute, ast.Subscript, ast.Slice, ast.List, ast.Tuple, ast.ListComp, ast.GeneratorExp)
PARTS: Nodes = (ast.Module, ast.arguments, ast.arg, ast.comprehension, ast.expr_context)
OPERATORS: Nodes = (ast.operator, ast.unaryop, ast.boolop, ast.cmpop)
GRAMMAR: Nodes = (*STATEMENTS, *JUMPS, *ARITHMETIC, *LISTS, *PARTS, *OPERATORS)
FORBIDDEN_OPERATORS: Nodes = (ast.Div, ast.MatMult, ast.Is, ast.IsNot)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of SPEC.md: the clause it belongs to, the line it starts at, its Python."""

    clause: str
    line: int
    source: str


def spec_blocks(spec: str) -> list[Block]:
    """Every ```python spec:CLAUSE block of SPEC.md."""
    return [Block(m[1], spec.count("\n", 0, m.start()) + 1, m[2]) for m in FENCE.finditer(spec)]


def clause_texts(spec: str) -> dict[str, str]:
    """What every clause says, from its number to the next clause or section."""
    starts = list(HEADING.finditer(spec))
    ends = [match.start() for match in re.finditer(rf"^(?:\*\*{CLAUSE}\*\*|##? )", spec, re.MULTILINE)] + [len(spec)]
    return {match[1]: spec[match.start() : min(e for e in ends if e > match.start())].strip() for match in starts}


def clause_digests(spec: str) -> str:
    """The document that says of which text the package's conformance cases are: a SHA-256 of every clause."""
    version = VERSION.search(spec)
    clauses = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in clause_texts(spec).items()}
    return json.dumps({"version": version and version[1], "clauses": clauses}, indent=1, sort_keys=True) + "\n"


def stale_digests(spec: str, recorded: str) -> list[str]:
    """Complain where the recorded digests are those of another text."""
    if recorded == clause_digests(spec):
        return []
    return ["refcodec/vectorgen/clauses.json: not the digests of SPEC.md: run tools/ship_clauses.py, rebuild vectors/"]


def malformed_fences(spec: str) -> list[str]:
    """Complain of a fence that names spec: but that spec_blocks does not read."""
    read = {block.line for block in spec_blocks(spec)}
    lines = [spec.count("\n", 0, match.start()) + 1 for match in ANY_SPEC_FENCE.finditer(spec)]
    return [f"SPEC.md:{line}: not of the form ```python spec:CLAUSE-1" for line in lines if line not in read]


def without_docstrings(tree: ast.Module) -> ast.Module:
    """Drop the docstring of every function, in place."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def definitions(source: str) -> dict[str, str]:
    """Name -> canonical form of each function and constant at the top level, docstrings dropped."""
    found = {}
    for node in without_docstrings(ast.parse(source)).body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = ast.dump(node)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = ast.dump(node)
    return found


def functions(source: str) -> dict[str, ast.FunctionDef]:
    """The functions at the top level, by name."""
    return {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}


def mentions(source: str) -> set[str]:
    """Clauses that a text names as `SPEC XX-1` or `SPEC XX-1, XX-2`."""
    return {clause for match in MENTION.finditer(source) for clause in re.findall(CLAUSE, match[1])}


def spec_is_code(spec: str, quoted_sources: dict[str, str]) -> list[str]:
    """Complain where a block of SPEC.md differs from the code that it quotes, or where one lacks what the other has.

    quoted_sources  path -> text of each module that SPEC.md quotes; no name stands in two of them.
    """
    complaints = []
    code: dict[str, str] = {}
    code_functions: dict[str, ast.FunctionDef] = {}
    for source in quoted_sources.values():
        code |= definitions(source)
        code_functions |= functions(source)
    quoted: set[str] = set()
    for block in spec_blocks(spec):
        where = f"SPEC.md:{block.line}: {block.clause}"
        try:
            defined = definitions(block.source)
        except SyntaxError as error:
            complaints.append(f"{where}: not Python: {error.msg}")
            continue
        quoted |= set(defined)
        for name in defined:
            if name not in code:
                complaints.append(f"{where}: {name} is not in the code")
            elif defined[name] != code[name]:
                complaints.append(f"{where}: {name} differs from the code")
        named = [mentions(ast.get_docstring(code_functions[name]) or "") for name in defined if name in code_functions]
        if not any(block.clause in clauses for clauses in named):
            complaints.append(f"{where}: no function of this block names the clause in the code")
    for path, source in quoted_sources.items():
        public = [name for name in functions(source) if not name.startswith("_")]
        complaints += [f"{path}: {name} is not quoted in SPEC.md" for name in public if name not in quoted]
    return complaints


def call_fault(call: ast.Call, known: frozenset[str]) -> str | None:
    """What is wrong with a call: only known functions, a few builtins and list.append may be called."""
    if isinstance(call.func, ast.Attribute):
        return None if call.func.attr == "append" else f"call of .{call.func.attr}"
    if isinstance(call.func, ast.Name) and call.func.id in known | BUILTINS:
        return None
    return f"call of {ast.unparse(call.func)}"


def language_fault(node: ast.AST, known: frozenset[str], called: set[ast.AST]) -> str | None:
    """What takes one node outside the language of a clause, if anything."""
    if not isinstance(node, GRAMMAR) or isinstance(node, FORBIDDEN_OPERATORS):
        return type(node).__name__
    if isinstance(node, ast.Constant) and type(node.value) not in (int, bool):
        return f"constant {node.value!r}"
    if isinstance(node, ast.Call):
        return call_fault(node, known)
    if isinstance(node, ast.Attribute) and node not in called:
        return f"attribute .{node.attr}"
    if isinstance(node, ast.FunctionDef) and node.decorator_list:
        return "decorator"
    if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Call):
        return "expression without effect"
    if isinstance(node, ast.For) and node.orelse:
        return "else of a loop"
    return None


def computing_nodes(source: str) -> list[ast.AST]:
    """Every node that computes: docstrings and annotations are left out."""
    tree = without_docstrings(ast.parse(source))
    aside: set[ast.AST] = set()
    for node in ast.walk(tree):
        annotation = node.returns if isinstance(node, ast.FunctionDef) else getattr(node, "annotation", None)
        if annotation is not None:
            aside |= set(ast.walk(annotation))
    return [node for node in ast.walk(tree) if node not in aside]


def spec_language(spec: str) -> list[str]:
    """Complain of what a clause may not use: floats, `/`, imports, while, attributes other than .append, classes."""
    complaints = []
    blocks = []
    for block in spec_blocks(spec):
        try:
            blocks.append((block, computing_nodes(block.source)))
        except SyntaxError as error:
            complaints.append(f"SPEC.md:{block.line}: {block.clause}: not Python: {error.msg}")
    known = frozenset(node.name for _, nodes in blocks for node in nodes if isinstance(node, ast.FunctionDef))
    for block, nodes in blocks:
        called: set[ast.AST] = {node.func for node in nodes if isinstance(node, ast.Call)}
        for node in nodes:
            fault = language_fault(node, known, called)
            if fault:
                line = block.line + getattr(node, "lineno", 0)
                complaints.append(f"SPEC.md:{line}: {block.clause}: not in the language of a clause: {fault}")
    return complaints


def clause_links(spec: str, code: dict[str, str], tests: dict[str, str]) -> list[str]:
    """Complain of clauses named in the code and absent from SPEC.md, and of clauses that nothing names.

    code, tests  path -> text.
    """
    headings = HEADING.findall(spec)
    complaints = [f"SPEC.md: {clause} stands twice" for clause in sorted(set(headings)) if headings.count(clause) > 1]
    named = {path: mentions(text) for path, text in {**code, **tests}.items()}
    for path in sorted(code):
        missing = sorted(named[path] - set(headings))
        complaints += [f"{path}: names {clause}, which SPEC.md does not have" for clause in missing]
    unnamed = set(headings).difference(*named.values())
    complaints += [f"SPEC.md: nothing in refcodec/, hw/ or tests/ names {clause}" for clause in sorted(unnamed)]
    unfounded = {block.clause for block in spec_blocks(spec)} - set(headings)
    return complaints + [f"SPEC.md: {clause} has a block and no heading" for clause in sorted(unfounded)]


def one_demand(spec: str) -> list[str]:
    """Complain of clauses that say MUST more than once: each clause can be broken in one way only."""
    prose = FENCE.sub("", spec)
    complaints = []
    for match in HEADING.finditer(prose):
        clause = re.split(r"\n## |\n\*\*[A-Z]", prose[match.end() :])[0]
        demands = len(re.findall(r"\bMUST\b", clause))
        if demands > 1:
            complaints.append(f"SPEC.md: {match[1]} says MUST {demands} times, split it or make it a list")
    return complaints


def error_table(spec: str, codes: dict[str, str]) -> list[str]:
    """Complain where the rows `| RC-... | meaning |` of SPEC.md differ from refcodec.errors.CODES."""
    rows = ERROR_ROW.findall(spec)
    names = [name for name, _ in rows]
    complaints = [f"SPEC.md: {name} stands twice" for name in sorted(set(names)) if names.count(name) > 1]
    complaints += [f"SPEC.md: no row for {name}" for name in codes if name not in names]
    for name, meaning in rows:
        if name not in codes:
            complaints.append(f"SPEC.md: {name} is not in refcodec.errors.CODES")
        elif codes[name] != meaning:
            complaints.append(f"SPEC.md: {name} means {meaning!r} here and {codes[name]!r} in refcodec.errors.CODES")
    return complaints
