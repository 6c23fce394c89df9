"""Each public name of core leaves by exactly one of three doors; ray-simple has one more, for its sibling "ray"."""

import ast
import importlib
import inspect
from itertools import combinations
from types import ModuleType

import pytest

LAYER = "checkmaite.jobs_ray_simple.cluster"
DOORS = ["checkmaite.jobs", "checkmaite.jobs.spi", "checkmaite.jobs.testing"]


@pytest.fixture(params=[*DOORS, LAYER])
def door(request: pytest.FixtureRequest) -> ModuleType:
    if request.param == LAYER:
        pytest.importorskip("checkmaite.jobs_ray_simple")  # absent from the environment that has core alone
    return importlib.import_module(request.param)


def test_a_door_declares_what_leaves_by_it(door: ModuleType) -> None:
    assert door.__all__, "a door without __all__ promises nothing"
    assert len(set(door.__all__)) == len(door.__all__)
    assert [name for name in door.__all__ if name.startswith("_") or not hasattr(door, name)] == []


def test_nothing_leaves_by_a_door_undeclared(door: ModuleType) -> None:
    visible = {
        name for name, thing in vars(door).items() if not name.startswith("_") and not isinstance(thing, ModuleType)
    }
    assert visible - set(door.__all__) == set()


def test_a_door_only_re_exports(door: ModuleType) -> None:
    """Logic lives in underscored modules; a door is a docstring, imports, some for types alone, and `__all__`."""
    statements = [part for node in ast.parse(inspect.getsource(door)).body for part in _for_types(node)]
    logic = [node for node in statements if not isinstance(node, (ast.Import, ast.ImportFrom))][1:]
    assert [ast.unparse(node) for node in logic if not _declares_all(node)] == []
    assert door.__doc__


def _for_types(node: ast.stmt) -> list[ast.stmt]:
    match node:
        case ast.If(test=ast.Attribute(value=ast.Name(id="typing"), attr="TYPE_CHECKING")):
            return node.body + node.orelse
        case _:
            return [node]


def _declares_all(node: ast.stmt) -> bool:
    match node:
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case _:
            return False


@pytest.mark.parametrize(("one", "other"), list(combinations(DOORS, 2)))
def test_no_name_and_no_thing_leaves_by_two_doors(one: str, other: str) -> None:
    first, second = importlib.import_module(one), importlib.import_module(other)
    assert set(first.__all__) & set(second.__all__) == set()
    by_identity = {id(getattr(first, name)): name for name in first.__all__}
    twice = [
        (by_identity[id(getattr(second, name))], name)
        for name in second.__all__
        if id(getattr(second, name)) in by_identity
    ]
    assert twice == []
