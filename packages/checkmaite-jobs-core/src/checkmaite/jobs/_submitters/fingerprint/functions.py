"""Functions, classes and their code.

What a worker imports by name is told by its name, and its module is noted: the code is then compared by file. What
travels by value, as it does from ``__main__``, a notebook cell or the inside of a function, is taken apart.
"""

from __future__ import annotations

import dis
import sys
import types
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from checkmaite.jobs._submitters.fingerprint.field_classes import GENERATORS
from checkmaite.jobs._submitters.fingerprint.hashing import node
from checkmaite.jobs._submitters.fingerprint.referred import attribute
from checkmaite.jobs._submitters.fingerprint.walk import Steps, Walk

_MAIN = ("__main__", "__mp_main__")
_LEFT_OUT = frozenset(
    {
        *("__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__", "__static_attributes__"),
        "__slotnames__",  # which pickle leaves in a class when it meets the first instance
    }
)
"""Names in a class that say nothing about what it does."""
_KEPT_ASIDE = ("_abc_", "__abc", "__pydantic_", "__signature__", "__private_attributes__", "__class_vars__")
"""Likewise, by their beginning: caches, and what pydantic computes from the annotations."""
_GLOBAL_OPCODES = {"LOAD_GLOBAL", "STORE_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_WITHOUT_MEANING = {"CACHE", "EXTENDED_ARG", "NOP", "RESUME", "PRECALL"}


def is_imported_by_name(value: Any) -> bool:
    """Whether a worker finds a class or a function by importing its module, which is how cloudpickle decides, too."""
    name: Any = getattr(value, "__module__", None)
    module = sys.modules.get(name) if isinstance(name, str) else None
    if module is None or name in _MAIN or _is_sent_by_value(name):
        return False
    found: Any = module
    for part in value.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is value


def _is_sent_by_value(module: str) -> bool:
    """Whether somebody has told cloudpickle so, by `register_pickle_by_value`."""
    for pickler in ("cloudpickle", "ray.cloudpickle"):
        registered: set[str] = getattr(sys.modules.get(pickler), "list_registry_pickle_by_value", set)()
        if any(module == name or module.startswith(f"{name}.") for name in registered):
            return True
    return False


def _name_of(value: Any) -> bytes:
    return node("global", [str(value.__module__).encode(), value.__qualname__.encode()])


def global_name(value: Any, walk: Walk) -> Steps:
    """A built-in function, or the method of a built-in object."""
    owner = value.__self__
    if owner is None or isinstance(owner, types.ModuleType):
        return node("global", [str(value.__module__).encode(), value.__name__.encode()])
    return node("method", [(yield ".__self__", owner), value.__name__.encode()])


def type_steps(value: type, walk: Walk) -> Steps:
    """A class: its name where it is imported; else its name, bases, metaclass and members."""
    if is_imported_by_name(value) or value.__module__ in sys.builtin_module_names:
        walk.modules.update(each.__module__ for each in value.__mro__)
        return _name_of(value)
    if walk.named is None or value in walk.named:
        return _name_of(value)
    return (yield from _class_by_value(value))


def _class_by_value(value: type) -> Steps:
    parts = [value.__qualname__.encode()]
    parts.append((yield ".__bases__", value.__bases__))
    if type(value) is not type:
        parts.append((yield ".__class__", type(value)))
    members = vars(value)
    for name in sorted(members):
        member = members[name]
        if name in _LEFT_OUT or name.startswith(_KEPT_ASIDE):
            continue
        if isinstance(member, (types.MemberDescriptorType, types.GetSetDescriptorType)) or _is_generated(member):
            continue
        parts += name.encode(), (yield f".{name}", member)
    for name, each in sorted(getattr(value, "__pydantic_fields__", {}).items()):
        parts += name.encode(), (yield f".{name}", each.default), (yield f".{name}", each.default_factory)
    return node("class", parts)


def _is_generated(member: object) -> bool:
    """Whether attrs wrote a method: it follows from the fields, and a ``__hash__`` holds a number of this process."""
    if not isinstance(member, types.FunctionType):
        return False
    return member.__code__.co_filename.startswith("<attrs generated") or member.__module__ in GENERATORS


def function_steps(value: types.FunctionType, walk: Walk) -> Steps:
    """A function: its name where it is imported; else its code, defaults, closure and the globals that it uses."""
    if is_imported_by_name(value):
        walk.modules.add(value.__module__)
        return _name_of(value)
    parts = [(yield "()", value.__code__)]
    parts.append((yield ".__defaults__", value.__defaults__))
    parts.append((yield ".__kwdefaults__", value.__kwdefaults__))
    for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
        parts.append((yield f"() {name}", cell))
    for name in _global_names(value.__code__):
        if name in value.__globals__:
            parts += name.encode(), (yield f"() {name}", attribute(value.__globals__[name], walk))
    attributes = {name: each for name, each in vars(value).items() if name != "__wrapped__"}
    parts.append((yield ".__dict__", attributes))
    return node("function", parts)


@lru_cache(maxsize=1024)
def _global_names(code: types.CodeType) -> tuple[str, ...]:
    return tuple(sorted(set(_globals_of(code))))


def _globals_of(code: types.CodeType) -> Iterator[str]:
    """The names of globals that a function and the functions inside it use."""
    for step in dis.get_instructions(code):
        if step.opname in _GLOBAL_OPCODES:
            yield step.argval
    for inside in code.co_consts:
        if isinstance(inside, types.CodeType):
            yield from _globals_of(inside)


def code_steps(value: types.CodeType, walk: Walk) -> Steps:
    """Code: its instructions with what they refer to, without docstring, line numbers and file name."""
    steps: list[dis.Instruction] = []
    places: dict[Any, int] = {}
    for step in dis.get_instructions(value):
        places[step.offset] = len(steps)
        if step.opname not in _WITHOUT_MEANING:
            steps.append(step)
    parts = [
        ascii((value.co_argcount, value.co_posonlyargcount, value.co_kwonlyargcount, value.co_flags)).encode(),
        ascii((value.co_varnames, value.co_freevars, value.co_cellvars)).encode(),
        value.co_exceptiontable if hasattr(value, "co_exceptiontable") else b"",
    ]
    for step in steps:
        parts.append(step.opname.encode())
        if step.opcode in dis.hasconst:
            parts.append((yield "()", step.argval))
        elif step.opcode in dis.hasjrel or step.opcode in dis.hasjabs:
            parts.append(b"%d" % places[step.argval])
        else:
            parts.append((step.argrepr or str(step.arg)).encode())
    return node("code", parts)
