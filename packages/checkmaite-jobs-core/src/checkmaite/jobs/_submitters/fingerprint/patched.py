"""What was put into an imported module at run time, where jobs run in the process that has imported it.

The module's file says nothing of it, and no worker would see it. A function, a method or a class counts that stands
where the file defines another one, and a plain number, text or flag that differs from the one that the file assigns.
"""

from __future__ import annotations

import ast
import sys
import types
from collections import Counter
from collections.abc import Iterator
from typing import Any

_MISSING = object()
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_CONSTANTS = (int, float, complex, str, bytes, bool, type(None))

Defined = tuple[tuple[str, Any], ...]
"""Names that a module's file defines, with a dot for what is in a class, and the constant that each is; `CODE` for what
is a function or a class."""
CODE, DECORATED = "code", "decorated"
_BUILT_IN = ("staticmethod", "classmethod")


def defined_in(tree: ast.AST) -> Defined:
    """What a syntax tree defines once and for all."""
    statements = list(_statements(getattr(tree, "body", [])))
    times = Counter(name for name, _ in statements)
    rebound = set(_rebound(tree))
    return tuple(
        (name, what)
        for name, what in statements
        if what != DECORATED and times[name] == 1 and name.rpartition(".")[2] not in rebound
    )


def _rebound(tree: ast.AST) -> Iterator[str]:
    """Names that the code itself assigns later, such as counters."""
    for each in ast.walk(tree):
        if isinstance(each, ast.Global):
            yield from each.names
        elif isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store):
            yield each.attr


def _statements(body: list[ast.stmt], inside: str = "") -> Iterator[tuple[str, Any]]:
    for each in body:
        if isinstance(each, _FUNCTIONS):  # what other decorators make of a function is theirs
            plain = all(isinstance(by, ast.Name) and by.id in _BUILT_IN for by in each.decorator_list)
            yield f"{inside}{each.name}", CODE if plain else DECORATED
        elif isinstance(each, ast.ClassDef):
            yield f"{inside}{each.name}", CODE
            if not inside:
                yield from _statements(each.body, f"{each.name}.")
        elif isinstance(each, (ast.Assign, ast.AnnAssign)) and isinstance(each.value, (ast.Constant, ast.UnaryOp)):
            targets = each.targets if isinstance(each, ast.Assign) else [each.target]
            try:
                value = ast.literal_eval(each.value)
            except ValueError:
                continue
            if type(value) in _CONSTANTS:
                yield from ((f"{inside}{name.id}", (value,)) for name in targets if isinstance(name, ast.Name))


def patched_in(module: str, defined: Defined) -> Iterator[tuple[str, Any]]:
    """What stands in an imported module in the place of something that its file defines, by name."""
    imported = sys.modules.get(module)
    for name, what in defined:
        value = _value(imported, name)
        if what != CODE:
            if type(value) in _CONSTANTS and ascii((value,)) != ascii(what):
                yield name, value
        elif isinstance(value, (types.FunctionType, type)) and value.__module__ != module:
            yield name, value


def _value(imported: Any, name: str) -> Any:
    for part in name.split("."):
        imported = getattr(imported, "__dict__", {}).get(part, _MISSING)
    return imported.__func__ if isinstance(imported, (staticmethod, classmethod)) else imported
