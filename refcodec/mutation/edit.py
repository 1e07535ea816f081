"""Replacing the code of a function by an edited form of its own text, for a while (SPEC GATE-1)."""

from __future__ import annotations
import __future__

import ast
import importlib
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import Any


@dataclass(frozen=True, slots=True)
class Edit:
    """One change to the text of a function.

    target  `module:name`, or `module:Class.name` of a method or property;  old  stands in the function exactly once.
    """

    target: str
    old: str
    new: str


def function_of(target: str) -> FunctionType:
    """The function that a target names.  Raises AttributeError, ImportError, TypeError where there is none."""
    module, _, path = target.partition(":")
    found: Any = importlib.import_module(module)
    for name in path.split("."):
        found = inspect.getattr_static(found, name)
    if isinstance(found, property):
        found = found.fget
    if isinstance(found, classmethod | staticmethod):
        found = found.__func__
    if not isinstance(found, FunctionType):
        raise TypeError(f"{target} is not a plain function")
    return found


@cache
def _tree(module: str) -> tuple[str, ast.Module]:
    source = inspect.getsource(importlib.import_module(module))
    return source, ast.parse(source)


def source_of(target: str) -> str:
    """The text of a function in its module's file, without decorators, whatever code it has at the moment."""
    module, _, path = target.partition(":")
    source, tree = _tree(module)
    node: Any = tree
    for name in path.split("."):
        kinds = ast.FunctionDef | ast.ClassDef
        node = next(inner for inner in node.body if isinstance(inner, kinds) and inner.name == name)
    return textwrap.dedent("\n".join(source.splitlines()[node.lineno - 1 : node.end_lineno])) + "\n"


def compiled(text: str, name: str) -> CodeType:
    """The code of the only function of a text.  Raises SyntaxError."""
    module = compile(text, f"<{name}>", "exec", __future__.annotations.compiler_flag, True)
    return next(constant for constant in module.co_consts if isinstance(constant, CodeType))


def edited(edit: Edit) -> CodeType:
    """The code of a function after an edit.  Raises ValueError unless the old text stands there exactly once."""
    source = source_of(edit.target)
    if source.count(edit.old) != 1:
        raise ValueError(f"{edit.target} holds {source.count(edit.old)} times, not once: {edit.old!r}")
    return compiled(source.replace(edit.old, edit.new), edit.target)


def _names(code: CodeType) -> set[str]:
    """The names that a code uses, those of the functions within it too."""
    inner = (_names(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*inner)


@contextmanager
def replaced(codes: Mapping[str, CodeType], names: Mapping[str, object]) -> Iterator[None]:
    """Give functions other code, and their modules further names, and take both back at the end.

    codes  by target;  names  that the new codes use.  Raises ValueError where a module has such a name itself.
    """
    saved: list[tuple[FunctionType, CodeType]] = []
    added: list[tuple[dict[str, Any], str]] = []
    try:
        for target, code in codes.items():
            function = function_of(target)
            for name in _names(code) & set(names):
                space = function.__globals__
                if space.get(name, names[name]) is not names[name]:
                    raise ValueError(f"{target}: its module has a name {name}")
                if name not in space:
                    space[name] = names[name]
                    added.append((space, name))
            saved.append((function, function.__code__))
            function.__code__ = code
        yield
    finally:
        for function, code in reversed(saved):
            function.__code__ = code
        for space, name in added:
            del space[name]


def module_name(module: ModuleType) -> str:
    """The last part of a module's name: how edited code calls it."""
    return module.__name__.rpartition(".")[2]
