"""Equal objects have equal digests, in every process; different ones have different digests."""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
import os
import pickle
import subprocess
import sys
import weakref
from collections import Counter, OrderedDict, defaultdict, deque
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import attrs
import pytest
from checkmaite.jobs._shared.prints import Content
from checkmaite.jobs._submitters.fingerprint import cases, fingerprints_of, hashing, pickled, remembered, walk
from checkmaite.jobs.testing import SampleCapability

numpy = pytest.importorskip("numpy")


def content(value: object) -> Content:
    return fingerprints_of(SampleCapability(), models=[value]).objects[0].content


def digest(value: object) -> str:
    found = content(value)
    assert found.digest is not None, found.reason
    assert found.reason == ""
    return found.digest


# --- Plain values and containers --------------------------------------------------------------------------------


def test_order_counts_where_it_means_something() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest(OrderedDict(a=1, b=2)) == digest(OrderedDict(b=2, a=1))
    assert digest({1: "x", None: "y", (1, "z"): []}) == digest({(1, "z"): [], None: "y", 1: "x"})
    assert digest({"a", 1, (2, "b")}) == digest({(2, "b"), 1, "a"})
    assert digest([1, 2]) != digest([2, 1])
    assert digest(deque([1, 2])) != digest(deque([2, 1]))
    assert digest(deque([1], maxlen=1)) != digest(deque([1]))


class Tagged(OrderedDict[str, int]):
    """Has attributes beside its items, as a plain one may have."""


def with_empty_ones() -> SimpleNamespace:
    """Empty OrderedDicts: alone, twice in a list, on a cycle, one with an attribute, and one of a subclass."""
    tagged, empty = OrderedDict(), OrderedDict()  # type: ignore[var-annotated]
    tagged.tag = 1
    found = SimpleNamespace(a=empty, b=[empty, OrderedDict()], c=tagged, d=Tagged(), e=OrderedDict(x=1))
    found.around = [found, OrderedDict()]
    return found


def test_empty_ordered_dicts_are_looked_at_once_and_nothing_else_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = digest(with_empty_ones())
    monkeypatch.setattr(walk, "_is_empty", lambda _: False)
    assert digest(with_empty_ones()) == quick
    monkeypatch.undo()
    reduced: list[object] = []
    taken = pickled._taken
    monkeypatch.setattr(pickled, "_taken", lambda value: reduced.append(value) or taken(value))
    digest(with_empty_ones())
    assert [type(each) for each in reduced if not each].count(OrderedDict) == 2, "the first, and the one with a tag"


def test_kinds_of_mappings_differ() -> None:
    kinds = [
        {"a": 1},
        MappingProxyType({"a": 1}),
        OrderedDict(a=1),
        Counter(a=1),
        defaultdict(int, a=1),
        defaultdict(list, a=1),
    ]
    assert len({digest(each) for each in kinds}) == len(kinds)


def test_long_lists_differ_wherever_they_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "_MOST_PLAIN", 100)
    monkeypatch.setattr(cases, "SLICE", 64)
    for long in ([*range(300)], [{"id": n, "box": [0.5 * n, 1.0]} for n in range(300)], [{n} for n in range(300)]):
        same = digest(long)
        assert digest(copy.deepcopy(long)) == same
        for place in (0, 63, 64, 299):
            changed: list[object] = [*long]
            changed[place] = -1
            assert digest(changed) != same
        assert digest(long[:-1]) != same
    assert digest([[{"b": 1, "a": [2]}]] * 99) == digest([[{"a": [2], "b": 1}]] * 99)


def test_a_container_that_is_used_often_is_not_written_often() -> None:
    wide: list[Any] = [0] * 1000
    for _ in range(5):
        wide = [wide] * 1000
    assert digest(wide) == digest(copy.deepcopy(wide))


# --- Sharing and cycles -----------------------------------------------------------------------------------------


class Node:
    def __init__(self, name: str) -> None:
        self.name = name
        self.links: list[Node] = []
        self.parent: Node | None = None


def linked(names: str = "abc") -> list[Node]:
    nodes = [Node(name) for name in names]
    for index, each in enumerate(nodes):
        each.links = [nodes[index - 1], nodes[(index + 1) % len(nodes)]]
        each.parent = nodes[0]
    return nodes


def test_sharing_makes_no_difference() -> None:
    one, other = SimpleNamespace(x=[1]), SimpleNamespace(x=[1])
    assert digest([one, one]) == digest([one, other])


def test_cycles_end_and_count() -> None:
    assert digest(linked()) == digest(linked()) == digest(pickle.loads(pickle.dumps(linked())))
    assert digest(linked("abd")) != digest(linked())
    crossed = linked()
    crossed[1].links.reverse()
    assert digest(crossed) != digest(linked())
    left, right = linked(), linked()
    for nodes, place in ((left, 1), (right, 2)):  # leads to one or the other of two that are done, but for the circle
        nodes.append(Node("d"))
        nodes[0].links = [nodes[1], nodes[2], nodes[3]]
        nodes[1].links = nodes[2].links = []
        nodes[3].links = [nodes[place]]
    assert digest(left[0]) != digest(right[0])
    itself: list[object] = []
    itself.append(itself)
    assert digest(itself) != digest([[]])


def test_an_object_on_a_cycle_is_told_from_its_neighbour() -> None:
    nodes, other = linked(), linked()
    assert digest([*nodes, nodes[1]]) == digest([*other, other[1]]) != digest([*other, other[2]])


# --- Objects ----------------------------------------------------------------------------------------------------


class Cached:
    def __init__(self, radius: int) -> None:
        self.radius = radius

    @functools.cached_property
    def area(self) -> int:
        return self.radius**2


class Slotted:
    __slots__ = ("left", "right")

    def __init__(self, left: object) -> None:
        self.left = left


class Items(list):  # type: ignore[type-arg]
    def __init__(self, *items: object, note: str = "") -> None:
        super().__init__(items)
        self.note = note


class Stateful:
    """With a state_dict, as torch modules have it, whose attributes alone would not tell."""

    def __init__(self, weight: object, *, stride: int = 1) -> None:
        self._held = weakref.WeakKeyDictionary({Cached: weight})
        self.stride = stride
        self.training = True

    def state_dict(self) -> dict[str, object]:
        return {"conv.weight": self._held[Cached], "conv.bias": numpy.zeros(2)}

    def __getstate__(self) -> dict[str, object]:
        return {"stride": self.stride, "training": self.training}


def test_a_value_that_was_computed_and_kept_makes_no_difference() -> None:
    used = Cached(3)
    assert used.area == 9
    assert digest(used) == digest(Cached(3)) != digest(Cached(4))


def leaving_out_weights(self: Any) -> dict[str, Any]:
    return {"layers": self.layers}


@attrs.define(slots=False)
class AttrsSparing:
    layers: int
    weights: Any
    __getstate__ = leaving_out_weights


@dataclasses.dataclass
class DataSparing:
    layers: int
    weights: Any
    __getstate__ = leaving_out_weights


class StatefulSparing(DataSparing):
    def state_dict(self) -> dict[str, Any]:
        return {"layers": self.layers}


@pytest.mark.parametrize("kind", [AttrsSparing, DataSparing, StatefulSparing])
def test_what_pickle_leaves_out_does_not_count_since_no_worker_gets_it(kind: Any) -> None:
    one = kind(2, numpy.zeros(3))
    assert not hasattr(pickle.loads(pickle.dumps(one)), "weights")
    assert content(one) == content(kind(2, numpy.ones(3))) == content(pickle.loads(pickle.dumps(one)))
    assert content(one) != content(kind(3, numpy.zeros(3)))


def test_a_pydantic_model_that_leaves_something_out_is_taken_at_its_word() -> None:
    pydantic = pytest.importorskip("pydantic")

    class Sparing(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        layers: int
        weights: list[float]

        def __getstate__(self) -> dict[Any, Any]:
            taken: dict[Any, Any] = super().__getstate__()
            return {**taken, "__dict__": {"layers": self.layers}}

    assert content(Sparing(layers=2, weights=[1.0])) == content(Sparing(layers=2, weights=[2.0]))
    assert content(Sparing(layers=3, weights=[1.0])) != content(Sparing(layers=2, weights=[1.0]))


def test_what_libraries_note_about_use_makes_no_difference() -> None:
    pandas = pytest.importorskip("pandas")
    sparse = pytest.importorskip("scipy.sparse")
    text = pytest.importorskip("sklearn.feature_extraction.text")
    frame = pandas.DataFrame({"number": [1, 2], "text": ["x", "y"]})
    used = frame.copy()
    used["more"] = 1
    del used["more"]
    assert digest(used) == digest(frame)
    matrix = sparse.csr_matrix(numpy.eye(3))
    before = digest(matrix)
    assert matrix.has_sorted_indices
    assert matrix.has_canonical_format
    assert digest(matrix) == before
    fitted = [text.CountVectorizer().fit(["a cat", "a dog"]) for _ in range(2)]
    fitted[1]._stop_words_id += 1  # where None lies in another process
    assert digest(fitted[0]) == digest(fitted[1])
    assert digest(fitted[0]) != digest(text.CountVectorizer().fit(["a cat", "a cow"]))


def test_slots_and_items_count() -> None:
    assert digest(Slotted(1)) == digest(Slotted(1)) != digest(Slotted(2))
    assert digest(Items(1, note="a")) == digest(Items(1, note="a")) != digest(Items(2, note="a"))
    assert digest(Items(1, note="a")) != digest(Items(1, note="b"))


def test_state_dict_counts_with_what_is_not_in_it() -> None:
    def ones() -> object:
        return numpy.ones(3, numpy.float32)

    assert digest(Stateful(ones())) == digest(Stateful(ones()))
    assert digest(Stateful(ones())) != digest(Stateful(ones() * 2))
    assert digest(Stateful(ones())) != digest(Stateful(ones(), stride=2))
    evaluating = Stateful(ones())
    evaluating.training = False
    assert digest(Stateful(ones())) != digest(evaluating)


def test_functions_by_code_defaults_closure_and_globals() -> None:
    def made(source: str, **names: object) -> Any:
        exec(source, names)
        return names["f"]

    base = made("def f(x, y=1):\n    return x + offset + len(str(y))", offset=1)
    same = made("\n\ndef f(x, y=1):\n    'What it does.'\n    # how\n    return (x + offset) + len(str(y))", offset=1)
    assert digest(base) == digest(same)
    for source, offset in [
        ("def f(x, y=1):\n    return x - offset + len(str(y))", 1),
        ("def f(x, y=2):\n    return x + offset + len(str(y))", 1),
        ("def f(x, y=1):\n    return x + offset + len(repr(y))", 1),
        ("def f(x, y=1):\n    return x + offset + len(str(y))", 2),
    ]:
        assert digest(made(source, offset=offset)) != digest(base)

    def bound(value: object) -> object:
        return lambda: value

    assert digest(bound([1])) == digest(bound([1])) != digest(bound([2]))
    assert digest(functools.partial(bound([1]), 3)) != digest(functools.partial(bound([1]), 4))
    helper = made("def g(x):\n    return x + 1\ndef f(x):\n    return g(x)")
    changed = made("def g(x):\n    return x + 2\ndef f(x):\n    return g(x)")
    assert digest(helper) != digest(changed)
    again = made("def f(n):\n    return n and f(n - 1)")
    assert digest(again) == digest(made("def f(n):\n    return n and f(n - 1)"))


NOTEBOOK = """
import abc
class Kind(type):
    def kind(cls): return 1
class Step:
    rate = 1
class Part(Step, metaclass=Kind):
    step = Step
    table = {"a": 1}
    short = lambda self: 1
    @property
    def size(self): return 1
    @staticmethod
    def half(): return 1
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("def kind(cls): return 1", "def kind(cls): return 2"),
        ("metaclass=Kind", "metaclass=abc.ABCMeta"),
        ("rate = 1", "rate = 2"),
        ('{"a": 1}', '{"a": 2}'),
        ("lambda self: 1", "lambda self: 2"),
        ("def size(self): return 1", "def size(self): return 2"),
        ("def half(): return 1", "def half(): return 2"),
        ("(Step, ", "("),
    ],
)
def test_a_class_of_a_notebook_counts_with_all_that_it_is_made_of(before: str, after: str) -> None:
    def made(source: str) -> Any:
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(source, names)
        return names["Part"]

    assert digest(made(NOTEBOOK)) == digest(made(NOTEBOOK.replace("class Step:", "class Step:  # as above")))
    assert digest(made(NOTEBOOK)) != digest(made(NOTEBOOK.replace(before, after)))


def test_what_is_imported_stands_for_its_name() -> None:
    assert digest(json.dumps) != digest(json.loads)
    assert digest([1].append) != digest([2].append)
    assert digest(len) != digest(sum)
    assert digest(Node("a").__init__) != digest(Node("b").__init__)  # type: ignore[misc]


# --- Arrays -----------------------------------------------------------------------------------------------------


def test_arrays_by_type_shape_and_bytes() -> None:
    array = numpy.arange(24, dtype=numpy.int32).reshape(4, 6)
    different = [
        array,
        array.astype(numpy.int64),
        array.astype(numpy.float32),
        array.reshape(6, 4),
        array.ravel(),
        array.T,
        numpy.zeros((0, 3)),
        numpy.zeros((3, 0)),
        numpy.zeros(0),
        numpy.float64(1),
        numpy.float32(1),
        numpy.array(1.0),
        numpy.datetime64("2026-01-01", "D"),
        numpy.datetime64("2026-01-01", "s"),
        numpy.dtype("f8"),
        1.0,
        array.tolist(),
    ]
    assert len({digest(each) for each in different}) == len(different)
    assert digest(array) == digest(array.copy(order="F")) == digest(numpy.repeat(array, 2, axis=0)[::2])
    assert digest(array[1]) == digest(array[1].copy())


def test_arrays_whose_buffers_say_nothing() -> None:
    texts = numpy.array(["a", "bc", None], dtype=object)
    assert digest(texts) == digest(numpy.array(["a", "b" + "c", None], dtype=object)) != digest(texts[::-1])
    long = numpy.array(["a" * 100, "b"], dtype=numpy.dtypes.StringDType())
    assert digest(long) == digest(long.copy()) != digest(long[::-1])
    padded = numpy.dtype([("a", "i1"), ("b", "f8")], align=True)
    one, other = numpy.empty(5, padded), numpy.empty(5, padded)
    one.view(numpy.uint8)[:], other.view(numpy.uint8)[:] = 1, 2
    for each in (one, other):
        each["a"], each["b"] = 3, 4.5
    assert one.tobytes() != other.tobytes()
    assert digest(one) == digest(other)


def test_masks_and_generators_count() -> None:
    masked = numpy.ma.masked_array([1, 2], mask=[False, True])
    assert digest(masked) == digest(pickle.loads(pickle.dumps(masked)))
    assert digest(masked) != digest(numpy.ma.masked_array([1, 2], mask=[True, False]))
    assert digest(numpy.random.default_rng(1)) == digest(numpy.random.default_rng(1))
    assert digest(numpy.random.default_rng(1)) != digest(numpy.random.default_rng(2))


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> Any:
    """An array that counts as large, and how often one was digested."""
    monkeypatch.setattr(remembered, "_LARGE_BYTES", 2**20)
    monkeypatch.setattr(remembered, "_digests", OrderedDict())
    times: list[int] = []
    real = remembered.content
    monkeypatch.setattr(remembered, "content", lambda *given: times.append(1) or real(*given))
    return numpy.random.default_rng(0).random((512, 1024)), times


def test_a_large_array_is_digested_once(large: Any) -> None:
    array, times = large
    first = digest(array)
    assert [digest(array), digest(SimpleNamespace(array=array).array), digest(array.view())] == [first] * 3
    assert len(times) == 1


def test_a_large_array_that_was_changed_in_place_has_a_new_digest(large: Any) -> None:
    array, _ = large
    found = [digest(array)]
    array[3, 5] += 1
    found.append(digest(array))
    array[[0, 1]] = array[[1, 0]]
    found.append(digest(array))
    array[:, [0, 1]] = array[:, [1, 0]]
    found.append(digest(array))
    array[0, 0], array[1, 1] = array[1, 1], array[0, 0]
    found.append(digest(array))
    array[:] = numpy.roll(array, 64, axis=0)
    found.append(digest(array))
    assert len(set(found)) == len(found)
    assert digest(array) == digest(array.copy()) == found[-1]


def test_arrow_tables_by_content() -> None:
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table({"a": [1, 2, 3], "b": ["x", None, "z"]})
    chunked = arrow.concat_tables([table.slice(0, 1), table.slice(1)])
    assert digest(table) == digest(chunked)
    array = arrow.array([1, None, 3])
    assert digest(array) == digest(arrow.array([0, 1, None, 3])[1:]) != digest(arrow.array([1, 2, 3]))
    assert digest(table) != digest(table.slice(1))
    assert digest(table) != digest(table.rename_columns(["a", "c"]))


# --- Libraries, and every process -------------------------------------------------------------------------------


def test_a_fitted_forest_keeps_its_digest_through_pickle() -> None:
    ensemble = pytest.importorskip("sklearn.ensemble")
    features = numpy.random.default_rng(0).random((60, 4))
    labels = features[:, 0] > 0.5

    def fitted(seed: int) -> Any:
        return ensemble.RandomForestClassifier(5, random_state=seed).fit(features, labels)

    forest = fitted(0)
    assert pickle.dumps(forest) != pickle.dumps(pickle.loads(pickle.dumps(forest))), "pickle's bytes would do"
    assert digest(forest) == digest(pickle.loads(pickle.dumps(forest))) == digest(fitted(0)) != digest(fitted(1))
    forest.predict(features)
    assert digest(forest) == digest(fitted(0))
    forest.estimators_[2].tree_.value[0] += 1
    assert digest(forest) != digest(fitted(0))


EVERY_PROCESS = """
import dataclasses, datetime, decimal, enum, functools, json, pathlib, pickle, re, typing, uuid, zoneinfo
import attrs, numpy, pydantic
from types import SimpleNamespace
from checkmaite.jobs._submitters.fingerprint import fingerprints_of

OFFSET = {"b", "a", "c"}

def helper(x):
    return [y for y in range(3) if y > x and y in OFFSET]

@attrs.frozen
class Frozen:
    x: int = 1
    y: frozenset = attrs.field(factory=lambda: frozenset({"a", "b", "c"}))

@attrs.define(cache_hash=True, frozen=True)
class CachedHash:
    x: int = 1

@dataclasses.dataclass
class Data:
    a: object = None
    b: float = float("nan")

class Color(enum.Enum):
    RED = 1
    GREEN = 2

class Step(pydantic.BaseModel):
    name: str = "s"
    @pydantic.field_validator("name")
    def check(cls, value): return value

class Blur(Step):
    sigma: float = 1
    labels: set[str] = {"x", "y", "z"}

class Metric:
    def __init__(self, scale): self.scale, self.metadata = scale, {"id": "metric"}
    def __call__(self, x): return super().__hash__() and x in {"p", "q", "r"}

class Capability:
    id = "c"
    THRESHOLDS = {"low", "high"}
    def run(self, **given): return helper(1)

def closure(k):
    seen = {"k", "l", "m"}
    return lambda q: (helper(q), k, seen)

hashed = CachedHash(); hash(hashed)
values = dict(
    numpy=[numpy.arange(6).reshape(2, 3), numpy.random.default_rng(1), numpy.array(["x", None], object)],
    attrs=[Frozen(), hashed, CachedHash()],
    dataclass=Data(Data(numpy.float32(2))),
    enum=[Color.RED, {Color.RED, Color.GREEN}, re.IGNORECASE | re.MULTILINE],
    pydantic=[Blur(), SimpleNamespace(step=Blur(sigma=2))],
    closure=[closure(2), functools.partial(helper, 2), helper, Metric(1).__call__, Metric],
    plain=[datetime.datetime(2026, 1, 1, tzinfo=zoneinfo.ZoneInfo("UTC")), decimal.Decimal("1.10"), uuid.UUID(int=5)],
    typing=[typing.Optional[int], list[str], int | None, re.compile("a+")],
    path=pathlib.PurePath("/data"),
    numbers=[-0.0, float("inf"), float("nan"), 2**70, 1j],
)
try:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
except ImportError:
    pass
else:
    features = numpy.random.default_rng(0).random((40, 3))
    model = make_pipeline(StandardScaler(), RandomForestClassifier(3, random_state=0))
    model.fit(features, features[:, 0] > 0.5)
    values["sklearn"] = [model, pickle.loads(pickle.dumps(model))]
found = fingerprints_of(
    Capability(), config=values, metrics=[Metric({"n", "o"})], models={name: each for name, each in values.items()}
)
assert not found.unknown, found.unknown
print(json.dumps(found.to_plain()))
"""


def test_equal_objects_have_equal_digests_in_every_process(tmp_path: Path) -> None:
    pytest.importorskip("pydantic")
    script = tmp_path / "script.py"
    script.write_text(EVERY_PROCESS)
    seen = set()
    for seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, str(script)]
        seen.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    (plain,) = (json.loads(each) for each in seen)
    assert set(plain["code"]["parts"]) == {"__main__.Capability"}
