"""Runs clauses of the executable specification on unknown integers, and asks z3 whether a claim about them holds.

The text of a function is interpreted, not copied: what is proven is what the package runs. Known are the statements
and operators that clauses use, with these limits: divisors are positive, shift amounts and the bounds of loops are
known numbers, and no list is indexed.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Sequence
from typing import Any

import pytest

z3: Any = pytest.importorskip(
    "z3", reason="z3-solver is not installed; the extra `test` brings it", exc_type=ImportError
)

SECONDS = 20  # after which a proof counts as failed; the slowest needs less than one
Environment = dict[str, Any]
Path = tuple[list[Any], Environment]  # the conditions under which it is taken, and the variables at its end
OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: lambda a, b: a // b if type(a) is type(b) is int else a / b,  # z3's division of integers floors
    ast.Mod: operator.mod,
    ast.LShift: lambda a, s: a * 2**s,
    ast.RShift: lambda a, s: a >> s if type(a) is int else a / 2**s,
    ast.BitAnd: lambda a, mask: a & mask if type(a) is int else a % low_bits(mask),
    ast.USub: operator.neg,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
}


def low_bits(mask: int) -> int:
    """2**n of a mask of n ones."""
    if mask & (mask + 1):
        raise NotImplementedError(f"mask {mask:#x}")
    return mask + 1


def choose(condition: Any, one: Any, other: Any) -> Any:
    """One of two values, by a condition that is known or not."""
    if isinstance(condition, bool):
        return one if condition else other
    return one if one is other else z3.If(condition, one, other)


class Clauses:
    """The functions of a module's text, to be called with integers, some of which are z3's unknowns."""

    def __init__(self, text: str) -> None:
        self.functions = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}

    def call(self, name: str, *arguments: Any) -> Any:
        """What a function returns."""
        function = self.functions[name]
        names = [argument.arg for argument in function.args.args]
        return self._returned(function.body, dict(zip(names, arguments, strict=True)))

    def loop(self, name: str) -> tuple[list[ast.stmt], ast.For, list[ast.stmt]]:
        """What stands before the only loop of a function, the loop, and what stands after it."""
        body = self.functions[name].body
        (place,) = [i for i, statement in enumerate(body) if isinstance(statement, ast.For)]
        loop = body[place]
        assert isinstance(loop, ast.For)
        return body[:place], loop, body[place + 1 :]

    def before(self, name: str, known: Environment) -> tuple[Environment, list[int]]:
        """The variables before the loop, and the values that the loop's own takes."""
        before, loop, _ = self.loop(name)
        ((_, environment),) = self._paths(before, known)
        assert isinstance(loop.iter, ast.Call)
        return environment, list(range(*(self._value(bound, environment) for bound in loop.iter.args)))

    def step(self, name: str, known: Environment, index: int) -> list[Path]:
        """The ways through one step of the loop, from any values of the variables."""
        _, loop, _ = self.loop(name)
        assert isinstance(loop.target, ast.Name)
        return self._paths(loop.body, {**known, loop.target.id: index})

    def after(self, name: str, known: Environment) -> Any:
        """What the function returns, from any values of the variables after the loop."""
        return self._returned(self.loop(name)[2], known)

    def _returned(self, body: Sequence[ast.stmt], known: Environment) -> Any:
        for place, statement in enumerate(body):
            if isinstance(statement, ast.Return) and statement.value is not None:
                return self._value(statement.value, known)
            if isinstance(statement, ast.If):
                rest = body[place + 1 :]
                one, other = ([*branch, *rest] for branch in (statement.body, statement.orelse))
                condition = self._value(statement.test, known)
                return choose(condition, self._returned(one, known), self._returned(other, known))
            ((_, known),) = self._paths([statement], known)
        raise NotImplementedError("a function without a result")

    def _paths(self, body: Sequence[ast.stmt], known: Environment) -> list[Path]:
        paths: list[Path] = [([], known)]
        for statement in body:
            paths = [
                ([*conditions, *more], environment)
                for conditions, before in paths
                for more, environment in self._executed(statement, before)
            ]
        return paths

    def _executed(self, statement: ast.stmt, known: Environment) -> list[Path]:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                return [([], {**known, name: self._value(value, known)})]
            case ast.If(test=test, body=body, orelse=orelse):
                holds = self._value(test, known)
                one = [([holds, *more], environment) for more, environment in self._paths(body, known)]
                return one + [([z3.Not(holds), *more], found) for more, found in self._paths(orelse, known)]
            case ast.Expr(value=ast.Constant()):  # the docstring
                return [([], known)]
        raise NotImplementedError(ast.unparse(statement))

    def _value(self, node: ast.expr, known: Environment) -> Any:
        match node:
            case ast.Constant(value=int(value)):
                return value
            case ast.Name(id=name):
                return known[name]
            case ast.BinOp(left=left, op=op, right=right):
                return OPERATORS[type(op)](self._value(left, known), self._value(right, known))
            case ast.UnaryOp(op=op, operand=operand):
                return OPERATORS[type(op)](self._value(operand, known))
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return OPERATORS[type(op)](self._value(left, known), self._value(right, known))
            case ast.BoolOp(op=op, values=values):
                join = z3.And if isinstance(op, ast.And) else z3.Or
                return join(*(self._value(value, known) for value in values))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return choose(*(self._value(part, known) for part in (test, body, orelse)))
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self.call(name, *(self._value(argument, known) for argument in arguments))
        raise NotImplementedError(ast.unparse(node))


def unknowns(names: str) -> list[Any]:
    """Integers of which nothing is known."""
    found: list[Any] = z3.Ints(names)
    return found


def counterexample(claim: Any, *assumptions: Any) -> dict[str, int] | None:
    """Values of the unknowns for which the assumptions hold and the claim does not; None if there are none."""
    solver = z3.Solver()
    solver.set("timeout", SECONDS * 1000)
    solver.add(*assumptions, z3.Not(claim))
    result = solver.check()
    if result == z3.unsat:
        return None
    assert result == z3.sat, f"neither proven nor refuted: {solver.reason_unknown()}"
    model = solver.model()
    return {known.name(): model[known].as_long() for known in model.decls() if known.arity() == 0}


def proven(claim: Any, *assumptions: Any) -> bool:
    """Whether z3 finds that the claim follows; False also where it finds nothing in time."""
    solver = z3.Solver()
    solver.set("timeout", SECONDS * 1000)
    solver.add(*assumptions, z3.Not(claim))
    found: bool = solver.check() == z3.unsat
    return found
