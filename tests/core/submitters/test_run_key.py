"""Configs that differ in any value or class have different keys, equal ones equal keys in every process."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import define, frozen
from checkmaite.jobs._submitters.run_key import NoRunKeyError, run_key
from hypothesis import given
from hypothesis import strategies as st

pydantic = pytest.importorskip("pydantic")


class Step(pydantic.BaseModel):
    name: str = "step"


class Blur(Step):
    sigma: float


class Pipeline(pydantic.BaseModel):
    step: Step = Step()
    labels: set[str] = set()
    limit: Any = None
    more: Any = None


class Noted(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    depth: int = 1
    _seed: int = pydantic.PrivateAttr(0)


@frozen
class Gauss:
    radius: int


@frozen
class Median:
    radius: int


@define(slots=False)
class Loose:
    radius: int = 3


@dataclasses.dataclass
class Settings:
    radius: Any = 3
    _order: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Narrow:
    radius: Any = 3


class Mode(Enum):
    FAST = "fast"
    EXACT = "exact"


class Other(Enum):
    FAST = "fast"


class Capability:
    id = "capability"

    def run(self, *, models: Any, datasets: Any, metrics: Any, config: Any, use_cache: bool = False) -> None: ...


def key(config: object, capability: object = None) -> str:
    return run_key(capability or Capability(), models=[SimpleNamespace(metadata={"id": "m"})], config=config).value


def noted(seed: int) -> Noted:
    made = Noted()
    made._seed = seed
    return made


def marked() -> Loose:
    made = Loose()
    made.mark = 1  # type: ignore[attr-defined]
    return made


DIFFERENT: dict[str, list[object]] = {
    "a subclass's fields in a field declared with its base": [
        Pipeline(step=Blur(sigma=1)),
        Pipeline(step=Blur(sigma=9)),
        Pipeline(),
    ],
    "classes with the same fields": [Gauss(3), Median(3), Loose(3), Settings(3), Narrow(3), {"radius": 3}],
    "the same at depth": [{"filter": [Gauss(3)]}, {"filter": [Median(3)]}],
    "no number, none, or too many": [
        Pipeline(limit=float("inf")),
        Pipeline(limit=float("-inf")),
        Pipeline(limit=float("nan")),
        Pipeline(limit=None),
    ],
    "numbers that compare equal": [1, 1.0, True, 1 + 0j, "1", b"1"],
    "zeros": [0.0, -0.0],
    "extra and private attributes of a model": [Noted(), Noted(extra=1), Noted(extra=2), noted(seed=7)],
    "attributes set beside the fields": [Loose(3), marked()],
    "members of enumerations": [Mode.FAST, Mode.EXACT, Other.FAST, "fast"],
    "containers": [[1, 2], (1, 2), {1, 2}, frozenset({1, 2}), [2, 1]],
    "keys": [{1: 2}, {"1": 2}, {1.0: 2}],
    "texts that look alike": ["é", "e\u0301", "\udc80"],
    "long numbers": [10**5000, [10**5000], [10**5000 + 1]],
    "paths and their texts": [Path("/data"), "/data"],
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_different_configs_have_different_keys(case: str) -> None:
    keys = [key(config) for config in DIFFERENT[case]]
    assert len(set(keys)) == len(keys)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.sampled_from(Mode),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.builds(lambda each: (each,), inner)
        | st.builds(Settings, inner)
        | st.builds(Narrow, inner)
        | st.builds(lambda each: Pipeline(limit=each, step=Blur(sigma=1)), inner)
        | st.builds(lambda each: Pipeline(more=each), inner)
    ),
    max_leaves=8,
)


def copied(config: Any) -> Any:
    """An equal config that shares nothing with another one and was built in another order."""
    if isinstance(config, dict):
        return {name: copied(config[name]) for name in reversed(config)}
    if isinstance(config, (list, tuple)):
        return type(config)([copied(each) for each in config])
    if isinstance(config, (Settings, Narrow)):
        return type(config)(copied(config.radius))
    if isinstance(config, Pipeline):
        return Pipeline(more=copied(config.more), limit=copied(config.limit), step=config.step.model_copy())
    return config


def told_apart(config: Any) -> Any:
    """What a key has to tell apart, as a value that compares so: types beside values, nan equal to itself."""
    if isinstance(config, dict):
        return dict, frozenset((name, told_apart(each)) for name, each in config.items())
    if isinstance(config, (list, tuple)):
        return type(config), tuple(map(told_apart, config))
    if isinstance(config, (Settings, Narrow)):
        return type(config), told_apart(config.radius)
    if isinstance(config, Pipeline):
        return Pipeline, told_apart(config.limit), told_apart(config.more), type(config.step)
    return type(config), repr(config)


@given(plain, plain)
def test_keys_are_equal_where_configs_are(one: Any, other: Any) -> None:
    assert key(one) == key(copied(one))
    assert (key(one) == key(other)) == (told_apart(one) == told_apart(other))


EVERY_PROCESS = """
import dataclasses, enum, json, pathlib, datetime, decimal
from typing import Any
import attrs, pydantic
from checkmaite.jobs._submitters.default_config import config_text
from checkmaite.jobs._submitters.run_key import run_key

class Step(pydantic.BaseModel):
    names: set[str] = {"a", "b", "c", "d"}

class Config(pydantic.BaseModel):
    step: Step = Step()
    labels: frozenset[str] = frozenset({"bus", "car", "cat", "dog", "person"})
    anything: Any = None

@attrs.frozen
class Part:
    inner: Any
    kinds: frozenset = frozenset({"x", "y", "z", 1, None, (1, "q")})
    hidden: Any = attrs.field(default=frozenset({"secret", "another"}), repr=False)

@dataclasses.dataclass
class Plain:
    part: Part
    path: pathlib.Path = pathlib.Path("/data/coco")
    when: Any = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    share: Any = decimal.Decimal("0.10")

class Mode(enum.Flag):
    A = 1
    B = 2

class Capability:
    id = "c"

configs = [
    Config(),
    {"b": Part(Config(anything={"q", "r", "s"})), "a": Plain(Part(Mode.A | Mode.B))},
    {frozenset({"k", "l"}): {Mode.A, Mode.B, "text", b"bytes", 2.5}},
    Plain(Part(float("nan"))),
]
keys = [run_key(Capability(), config=config).value for config in configs]
nested = {"b": [Part(Config(anything={frozenset({1, "q"}), "r", "s"}))], "a": frozenset(), "c": set("xyz")}
print(json.dumps([keys, [config_text(config) for config in (*configs, nested)]]))
"""


def test_equal_configs_have_equal_keys_in_every_process(tmp_path: Path) -> None:
    (tmp_path / "configs.py").write_text(EVERY_PROCESS)
    seen = set()
    for seed in ("0", "1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, str(tmp_path / "configs.py")]
        seen.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    ((keys, texts),) = map(json.loads, seen)
    assert len(set(keys)) == 4
    assert "kinds=frozenset({'x', 'y', 'z', (1, 'q'), 1, None})" in texts[1]
    assert "anything={'r', 's', frozenset({'q', 1})}" in texts[-1]
    assert texts[-1].endswith("'a': frozenset(), 'c': {'x', 'y', 'z'}}")
    assert not any("secret" in text for text in texts)


# --- The key of earlier versions --------------------------------------------------------------------------------


class Blurred(pydantic.BaseModel):
    blur: Blur
    share: float | None = None


def takes(declared: Any) -> Capability:
    def run(self: object, *, config: Any = None, **given: Any) -> None: ...

    run.__annotations__["config"] = declared
    made: Callable[[], Capability] = type("Declared", (Capability,), {"run": run})
    return made()


def former(config: object, capability: object = None) -> tuple[str, str] | None:
    found = run_key(capability or Capability(), config=config).former
    return None if found is None else (found.value, found.doubt)


def test_the_former_key_of_a_plain_config_is_what_it_was() -> None:
    config = {"b": [1.5, None, True], "a": {"x": "é"}}
    one = run_key(
        Capability(),
        models=[SimpleNamespace(metadata={"id": "m"})],
        datasets={"test": SimpleNamespace(metadata={"id": 7})},
        config=config,
    )
    assert one.former is not None
    assert one.former.value == "9dfeac55cdb9b04f692ab5b8913ab7305f568dd01c1293cfce37752fea08ad7c"  # by 0.1.0
    assert one.former.doubt == ""


CERTAIN: list[tuple[str, object, object]] = [
    ("plain values", {"a": [1, 2.5, {"b": None}], "c": "text"}, Any),
    ("nothing", None, Any),
    ("attrs, declared", Gauss(3), Gauss),
    ("a dataclass, declared, or none", Narrow(1), Narrow | None),
    ("a model of declared fields", Blurred(blur=Blur(sigma=1)), Blurred),
    ("a list of a declared class", [Gauss(1), Gauss(2)], list[Gauss]),
]
UNCERTAIN: list[tuple[str, object, object, str]] = [
    ("a class that is not declared", Gauss(3), Any, "config is a Gauss, whose name"),
    ("one of two classes", Gauss(3), Gauss | Median, "config is a Gauss, whose name"),
    ("a class inside plain values", {"filter": Gauss(3)}, Any, "config.filter is a Gauss, whose name"),
    ("a class that others are made from", Step(), Step, "config is a Step, whose name"),
    ("a subclass in a base-typed field", Pipeline(step=Blur(sigma=1)), Pipeline, "config.step is a Blur, whose name"),
    ("the base itself in that field", Pipeline(), Pipeline, "config.step is a Step, whose name"),
    ("a value of any type in a model", Noted(extra=float("inf")), Noted, "config is a Noted with values"),
    ("a member of an enumeration", {"mode": Mode.FAST}, Any, "config.mode is a Mode, whose name"),
]


@pytest.mark.parametrize(("config", "declared"), [case[1:] for case in CERTAIN], ids=[case[0] for case in CERTAIN])
def test_a_former_key_is_certain_where_nothing_else_can_have_had_it(config: object, declared: object) -> None:
    found = former(config, takes(declared))
    assert found is not None
    assert found[1] == ""


@pytest.mark.parametrize(
    ("config", "declared", "doubt"), [case[1:] for case in UNCERTAIN], ids=[case[0] for case in UNCERTAIN]
)
def test_a_former_key_is_in_doubt_where_it_lost_something(config: object, declared: object, doubt: str) -> None:
    found = former(config, takes(declared))
    assert found is not None
    assert found[1].startswith(doubt)


class Open(pydantic.BaseModel):
    value: Any = None


def test_null_is_in_doubt_where_infinity_was_written_so() -> None:
    none, inf = former(Open(), takes(Open)), former(Open(value=float("inf")), takes(Open))
    assert none is not None
    assert inf is not None
    assert none[0] == inf[0]
    assert none[1].startswith("config.value is declared so that other values")
    assert key(Open()) != key(Open(value=float("inf")))


def test_a_former_key_in_doubt_finds_nothing() -> None:
    """Whatever the policy: "always" trusts a run's key, and this one may be another run's."""
    certain, doubtful = (run_key(Capability(), config=config) for config in ({"radius": 3}, Gauss(3)))
    assert certain.former is not None
    assert doubtful.former is not None
    assert doubtful.former.doubt
    assert (certain.former_value, doubtful.former_value) == (certain.former.value, None)


def test_what_had_no_key_has_no_former_one() -> None:
    assert former({1: 2}) is None
    assert former({"path": Path("/data")}) is None


def test_a_key_that_the_capability_makes_has_always_been_the_same() -> None:
    class Own(Capability):
        def run_key(self, **_: object) -> str:
            return "own"

    assert former({"a": 1}, Own()) is None


@pytest.mark.parametrize("own", ["", " ", "half: \ud800", 3, None])
def test_a_key_that_is_no_text_is_refused(own: Any) -> None:
    class Own(Capability):
        def run_key(self, **_: object) -> Any:
            return own

    with pytest.raises(NoRunKeyError, match=r"capability\.run_key\(\) returned"):
        run_key(Own(), config=None)


@pytest.mark.parametrize("uid", ["", " ", "half: \ud800", "one\n", "x" * 2000, 3, None])
def test_a_uid_that_no_store_would_take_is_refused_before_the_run(uid: Any) -> None:
    class Run:
        @staticmethod
        def compute_uid(**_: object) -> Any:
            return uid

    class Known(Capability):
        _RUN_TYPE = Run

    with pytest.raises(NoRunKeyError, match=r"compute_uid\(\) returned") as caught:
        run_key(Known(), config=None)
    assert len(str(caught.value)) < 500
