"""What a submission stands on: what differs is named, what has no digest is said, and nothing makes it fail."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections import OrderedDict, UserList, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any, NamedTuple

import pytest
from checkmaite.jobs._shared.prints import Content, Fingerprints, ObjectPrint, differences, incomparable
from checkmaite.jobs._submitters.fingerprint import (
    Fingerprinter,
    fingerprinting,
    fingerprints_of,
    hashing,
    paths,
    referred,
    walk,
)
from checkmaite.jobs._submitters.run_key import run_key
from checkmaite.jobs.testing import SampleCapability


def model(name: str, **attributes: Any) -> SimpleNamespace:
    return SimpleNamespace(metadata={"id": name}, **attributes)


def content(value: object) -> Content:
    return fingerprints_of(SampleCapability(), models=[value]).objects[0].content


def test_a_difference_is_named() -> None:
    before = fingerprints_of(
        SampleCapability(),
        models=[model("lenet", weights=[1.0]), model("vgg")],
        datasets={"test": model("digits")},
        config={"sigma": 1, "order": [1], "gone": 0},
    )
    after = fingerprints_of(
        SampleCapability(folder="elsewhere"),
        models=[model("lenet", weights=[1.5]), model("alexnet"), model("resnet")],
        config={"sigma": 9, "order": [1]},
    )
    assert differences(before, before) == ()
    assert differences(before, after) == (
        "capability: folder",
        "config: gone",
        "config: sigma",
        "models[0] 'lenet': content",
        "models[1] 'alexnet': was 'vgg'",
        "models[2] 'resnet': added",
        "datasets['test'] 'digits': left out",
    )
    assert before.digest != after.digest


def test_a_difference_in_an_object_of_fields_is_named_by_its_field() -> None:
    def settings(sigma: float) -> SimpleNamespace:
        return SimpleNamespace(sigma=sigma, steps=[1, 2], _seed=0)

    before, after = (fingerprints_of(SampleCapability(), config=settings(sigma)) for sigma in (1, 9))
    assert differences(before, after) == ("config: sigma",)


class Attributes:
    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


class Saying(Attributes):
    asked = 0

    def fingerprint(self) -> int:
        Saying.asked += 1
        return Saying.asked


class Pickled(Attributes):
    made = 0

    def __getstate__(self) -> int:
        Pickled.made += 1
        return Pickled.made


class Slots(Attributes):
    __slots__ = ("hidden",)


class Items(dict[str, int]):
    pass


def test_objects_of_a_class_with_the_same_attributes_are_taken_apart_once(monkeypatch: pytest.MonkeyPatch) -> None:
    given = [Attributes(**each) for each in ({"a": 1}, {"a": 1}, {"a": True}, {"a": [1]}, {}, {"b": {1}}, {"b": {1}})]
    alone = [fingerprints_of(each, models=[each]) for each in given]
    looked: list[Any] = []
    real = fingerprinting.content_of

    def content_of(value: Any, walk: Any, **how: Any) -> Content:
        if isinstance(value, Attributes):
            looked.append(value)
        return real(value, walk, **how)

    monkeypatch.setattr(fingerprinting, "content_of", content_of)
    together = Fingerprinter()
    assert [together.of(each, models=[each]) for each in given] == alone
    assert looked == [each for each in given if each is not given[1] for _ in ("of fields", "whole")]


def test_objects_that_may_say_more_than_their_attributes_are_taken_apart_each() -> None:
    slots = Slots(), Slots()
    slots[1].hidden = 1  # type: ignore[attr-defined]
    for one, other in (
        (Saying(), Saying()),
        (Pickled(), Pickled()),
        slots,
        (Items(a=1), Items(a=2)),
        (ValueError(1), ValueError(2)),
        (SimpleNamespace(a={1}), SimpleNamespace(a={2})),
    ):
        together = Fingerprinter()
        assert together.of(SampleCapability(), models=[one]) != together.of(SampleCapability(), models=[other]), one


def test_fingerprints_are_plain_json() -> None:
    found = fingerprints_of(SampleCapability(), models=[model("m", lines=(n for n in "ab"))], config={"a": {1, 2}})
    assert Fingerprints.from_plain(json.loads(json.dumps(found.to_plain()))) == found


def test_digests_of_another_scheme_are_not_compared() -> None:
    now = fingerprints_of(SampleCapability(), config={"a": 1})
    then = Fingerprints.from_plain({**fingerprints_of(SampleCapability(), config={"a": 2}).to_plain(), "scheme": 0})
    assert differences(then, now) == ()
    assert incomparable(then, now) == ("all content: fingerprinted by scheme 0 then and 1 now, which are not compared",)


class Named:
    """Of which a set holds several, in an order that is another one in each process."""

    def __init__(self, name: str, place: int) -> None:
        self.metadata = {"id": name}
        self._place = place

    def __hash__(self) -> int:
        return self._place

    def __eq__(self, other: object) -> bool:
        return self is other

    def __getstate__(self) -> object:
        return self.metadata


def test_objects_in_a_set_are_taken_by_their_ids() -> None:
    one, other = (
        {Named(name, place) for name, place in zip("abc", places, strict=True)} for places in ((1, 2, 3), (3, 2, 1))
    )
    assert [each.metadata["id"] for each in one] != [each.metadata["id"] for each in other]
    before, after = (fingerprints_of(SampleCapability(), models=given) for given in (one, other))
    assert [each.id for each in before.objects] == ["a", "b", "c"]
    assert differences(before, after) == ()
    assert run_key(SampleCapability(), models=one) == run_key(SampleCapability(), models=other)


# --- What cannot be fingerprinted -------------------------------------------------------------------------------


def test_what_cannot_be_fingerprinted_counts_as_equal_and_is_said() -> None:
    before, after, changed = (
        fingerprints_of(SampleCapability(), models=[model("m", lines=(n for n in lines), scale=scale)])
        for lines, scale in (("ab", 1), ("cd", 1), ("cd", 2))
    )
    assert differences(before, after) == ()
    (said,) = incomparable(before, after)
    assert said.startswith("models[0] 'm': .lines cannot be fingerprinted: it is a generator, which pickle cannot")
    assert differences(before, changed) == ("models[0] 'm': content",)
    nothing, something = (fingerprints_of(SampleCapability(), models=[each]) for each in (iter_of("ab"), "ab"))
    assert differences(nothing, something) == differences(something, nothing) == ()
    assert len(incomparable(something, nothing)) == 1


def iter_of(text: str) -> Iterator[str]:
    yield from text


class Raises:
    def __getstate__(self) -> object:
        raise RuntimeError("no state")


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class RaisesAtLength(Raises):
    def __reduce_ex__(self, protocol: object) -> Any:
        raise ValueError("x" * 100_000)


class RaisesUnprintably(Raises):
    def __getstate__(self) -> object:
        raise UnprintableError


class Liar:
    __class__ = property(lambda self: 1 / 0)  # type: ignore[assignment]


class Endless:
    """Whose state is another one, for ever."""

    def __getstate__(self) -> dict[str, object]:
        return {"next": Endless()}


class Lazy:
    """A dataset that reads nothing until it is iterated or indexed."""

    metadata = {"id": "lazy"}

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __iter__(self) -> Iterator[object]:
        raise AssertionError("was read")

    def __len__(self) -> int:
        raise AssertionError("was read")

    def __getitem__(self, index: int) -> object:
        raise AssertionError("was read")


OPAQUE: dict[str, Callable[[], object]] = {
    "a generator": lambda: (n for n in "ab"),
    "an open file": lambda: Path(__file__).open(encoding="utf-8"),  # noqa: SIM115 - closed below
    "a lock": threading.Lock,
    "a connection": lambda: sqlite3.connect(":memory:"),
    "an object whose state raises": Raises,
    "an object that raises at length": RaisesAtLength,
    "an object that raises what cannot be shown": RaisesUnprintably,
    "a bare object": object,
}


@pytest.mark.parametrize("name", OPAQUE)
def test_nothing_makes_it_fail(name: str) -> None:
    value = OPAQUE[name]()
    found, inside = content(value), content(model("m", held={"it": [value]}))
    close = getattr(value, "close", None)
    if close is not None:
        close()
    assert found.digest is None
    assert found.reason.startswith("cannot be fingerprinted: it is a")
    assert inside.digest is not None
    assert inside.reason.startswith(".held['it'][0] cannot be fingerprinted: it is a")
    assert max(len(found.reason), len(inside.reason)) < 500


def test_an_object_that_lies_about_its_class_is_said() -> None:
    assert content(Liar()).reason.startswith("cannot be fingerprinted: it is a")


def test_code_that_cannot_be_read_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*given: object, **named: object) -> None:
        raise PermissionError("no")

    monkeypatch.setattr(fingerprinting, "code_files", refused)
    found = fingerprints_of(SampleCapability())
    assert found.code == Content(digest=None, reason="cannot be fingerprinted: PermissionError: no")


def test_a_walk_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MOST_OBJECTS", 1000)
    monkeypatch.setattr(fingerprinting, "MOST_OBJECTS", 1000)
    found = content(Endless())
    assert found.digest is None
    assert found.reason.startswith("cannot be fingerprinted: it holds more than 1,000 objects; give it a fingerprint()")


def test_depth_and_sharing_cost_nothing() -> None:
    deep: list[object] = []
    shared: list[object] = [1.5]
    for _ in range(5_000):
        deep = [deep]
    for _ in range(60):
        shared = [shared, shared]
    assert content(deep).digest not in (None, content(shared).digest)


def test_a_long_reason_is_cut() -> None:
    found = content([threading.Lock() for _ in range(1000)])
    assert found.digest is not None
    assert len(found.reason) < 1000
    assert "and 997 more" in found.reason


# --- Files that an object names --------------------------------------------------------------------------------


def test_a_folder_is_not_read_and_that_is_said(tmp_path: Path) -> None:
    file = tmp_path / "weights.bin"
    file.write_text("one")
    lazy = content(Lazy(tmp_path))
    file.write_text("other")
    assert content(Lazy(tmp_path)) == lazy
    assert content(Lazy(tmp_path / "elsewhere")).digest != lazy.digest
    assert lazy.reason == f"folder {tmp_path} is not read"


@dataclass
class Table:
    path: Any
    metadata: dict[str, Any] = field(default_factory=lambda: {"id": "digits"})


def closing_over(path: Any) -> Callable[[], Any]:
    return lambda: path


def using_a_global(path: Any) -> Callable[[], Any]:
    return FunctionType((lambda: PATH).__code__, {"PATH": path})  # type: ignore[name-defined] # noqa: F821 - given here


class Row(NamedTuple):
    """As an index has them."""

    path: str
    label: int = 0


class MadeOf:
    """Says itself how it is made."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return MadeOf, (self._path,)


class StateIsAPath(MadeOf):
    __reduce__ = object.__reduce__

    def __getstate__(self) -> str:
        return self._path


NAMING: dict[str, Callable[[Any], Any]] = {
    "dataclass": Table,
    "path": lambda path: Table(Path(path)),
    "plain": lambda path: model("m", path=path),
    "metadata": lambda path: Table(None, {"id": "m", "source": path}),
    "nested": lambda path: model("m", paths={"test": {"images": path}}),
    "closure": lambda path: model("m", load=closing_over(path)),
    "partial": lambda path: model("m", load=partial(closing_over, path)),
    "keyword": lambda path: model("m", load=partial(closing_over, path=path)),
    "global": lambda path: model("m", load=using_a_global(path)),
    "namedtuple": lambda path: Table(Row(path)),
    "made of": lambda path: Table(MadeOf(path)),
    "state": lambda path: Table(StateIsAPath(path)),
    "ordered": lambda path: Table(OrderedDict(path=path)),
    "itself": Path,
}


@pytest.mark.parametrize("name", NAMING)
def test_a_small_file_counts_by_its_content_wherever_it_lies(tmp_path: Path, name: str) -> None:
    def print_of(path: Path) -> ObjectPrint:
        (found,) = fingerprints_of(SampleCapability(), datasets=[NAMING[name](str(path))]).objects
        assert found.content.reason == ""
        return found

    file, copy = tmp_path / "digits.csv", tmp_path / "elsewhere" / "copy.csv"
    file.write_text("1,2,3")
    first = print_of(file)
    os.utime(file)
    assert print_of(file) == first, "a file that is only touched is the same"
    copy.parent.mkdir()
    copy.write_text("1,2,3")
    assert print_of(copy).content == first.content
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    file.write_text("1,2,4")
    os.utime(file, ns=times)
    assert print_of(file).content != first.content, "also where size and time are the same within a moment"


def test_a_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "digits.csv"
    file.write_text("1,2,3")
    os.utime(file, (1e9, 1e9))
    read: list[str] = []
    monkeypatch.setattr(paths, "content", lambda kind, held, pace: read.append(kind) or hashed(kind, held, pace))
    hashed = hashing.content
    assert content(Table(str(file))) == content(Table(str(file)))
    assert read == ["file"]
    file.write_text("1,2,3,4")
    content(Table(str(file)))
    assert read == ["file", "file"]


def test_files_that_are_not_read_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(referred, "MOST_BYTES", 4)
    files = [tmp_path / name for name in ("a.bin", "b.bin")]
    for file in files:
        file.write_text("12345")
    names = [str(file) for file in files]
    large = content(Table(names[0]))
    assert large.reason == f"file {names[0]} is not read, since it has 5 bytes"
    assert content(Table(names[1])).digest != large.digest, "of what is not read the path counts"
    files[0].write_text("54321")
    assert content(Table(names[0])).digest == large.digest
    files[0].write_text("123456")
    assert content(Table(names[0])).digest != large.digest, "and the size"
    for several in (names, tuple(files), {*names}, [{"file_name": names[0]}], dict.fromkeys(range(99), names[0])):
        assert content(Table(several)).reason == "files that it names are not read"
    (tmp_path / "gone.bin").symlink_to(tmp_path / "nowhere")
    for name in ("nothing.bin", "gone.bin", "a\0.bin", "x" * 2000 + ".bin", "1.5", "", "a://", "n/a", "mean/std", "/"):
        assert ("is not read" in content(Table(name)).reason) is (name == "/")


@pytest.mark.parametrize(
    "name", ["s3://bucket/a.bin", "/no/such/folder", "images/no such.png", Path("no-such.bin"), Path("images")]
)
def test_what_is_elsewhere_counts_by_its_name_and_that_is_said(name: Any) -> None:
    found = content(Table(name))
    assert found.reason == f"{name} is not here and not read"
    assert content(Table([name])).reason == "files that it names are not read"
    assert found.digest != content(Table(f"{name}x")).digest


def test_that_files_named_by_arrays_and_tables_are_not_read_is_said(tmp_path: Path) -> None:
    numpy, pandas, arrow = (pytest.importorskip(name) for name in ("numpy", "pandas", "pyarrow"))
    file = tmp_path / "a.png"
    file.touch()
    columns = {"label": ["cat", "dog"], "file": [str(file), "b.png"]}
    index = pandas.DataFrame(columns)
    naming = [
        *(index, index["file"], index.astype(object), index.set_index("file"), index.astype("category")),
        *(arrow.table(columns), arrow.array(columns["file"]), arrow.chunked_array([columns["file"]])),
        *(numpy.array(columns["file"]), numpy.array(columns["file"], dtype=object)),
        *(deque(columns["file"]), UserList(columns["file"])),
    ]
    if find_spec("polars") is not None:
        polars = import_module("polars")
        naming += [polars.DataFrame(columns), polars.Series(columns["file"])]
    for each in naming:
        assert content(Table(each)).reason == "files that it names are not read", each
    for each in (index[["label"]], index[:0], numpy.array(["a/b"]), arrow.table({"n": [1]})):
        assert content(Table(each)).reason == "", each


def test_what_a_capability_or_a_config_names_may_be_what_it_writes(tmp_path: Path) -> None:
    file = tmp_path / "log.txt"
    file.write_text("one")
    capability = SampleCapability(folder=str(file))
    first = fingerprints_of(capability, config={"log": str(file)})
    file.write_text("one\ntwo")
    assert fingerprints_of(capability, config={"log": str(file)}) == first
    assert first.unknown == (f"capability: file {file} is not read", f"config: file {file} is not read")


def test_a_file_makes_no_other_key(tmp_path: Path) -> None:
    file = str(tmp_path / "labels.csv")
    before = run_key(SampleCapability(), config={"labels": file}).value
    Path(file).write_text("a")
    assert run_key(SampleCapability(), config={"labels": file}).value == before


# --- Who says what the content is -------------------------------------------------------------------------------


class Says:
    def __init__(self, said: object, **attributes: object) -> None:
        self.said = said
        self.__dict__.update(attributes)

    def fingerprint(self) -> object:
        return self.said


class Dask(Says):
    fingerprint = None  # type: ignore[assignment]

    def __dask_tokenize__(self) -> object:
        return ("token", [self.said])


class SaysNothing:
    def fingerprint(self) -> str:
        raise LookupError("not now")


class WithArgument(Says):
    def fingerprint(self, salt: str) -> object:  # type: ignore[override]
        raise AssertionError("was called")


def test_an_object_may_say_its_fingerprint() -> None:
    assert content(Says("a", ignored=1)) == content(Says("a", ignored=2)) != content(Says("b"))
    assert content(Dask("a", ignored=1)) == content(Dask("a", ignored=2)) != content(Dask("b"))
    assert content(WithArgument("a", counted=1)) != content(WithArgument("a", counted=2))


def test_metadata_may_say_it() -> None:
    for name in ("fingerprint", "digest", "sha256"):
        one, same, other = (
            SimpleNamespace(metadata={"id": "m", name: said}, data=data)
            for said, data in (("x", 1), ("x", 2), ("y", 1))
        )
        assert content(one) == content(same) != content(other)


def test_the_objects_own_fingerprint_comes_first() -> None:
    def made(said: str, told: str) -> object:
        return Says(said, metadata={"digest": told})

    assert content(made("a", "b")) == content(made("a", "c")) != content(made("d", "b"))


def test_a_wrong_fingerprint_is_said() -> None:
    assert content(SaysNothing()).reason == (
        "cannot be fingerprinted: it is a SaysNothing, which cannot be read (LookupError: not now)"
    )
    assert content(Says([1])).reason == "cannot be fingerprinted: it is a Says, whose fingerprint() returned a list"


# --- Work -------------------------------------------------------------------------------------------------------


class Counted:
    def __init__(self) -> None:
        self.times = 0

    def fingerprint(self) -> str:
        self.times += 1
        return "same"


def test_what_submissions_have_in_common_is_looked_at_once() -> None:
    counted, fingerprinter = Counted(), Fingerprinter()
    found = [fingerprinter.of(SampleCapability(), models=[counted], config={"n": n}) for n in range(3)]
    assert counted.times == 1
    assert len({each.digest for each in found}) == 3
    assert len({each.objects[0].content.digest for each in found}) == 1


def test_work_of_more_than_a_second_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def later() -> float:
        nonlocal now
        now += 0.4
        return now

    monkeypatch.setattr(hashing, "time", SimpleNamespace(monotonic=later))  # other threads look at the real clock
    said: list[str] = []
    fingerprints_of(SampleCapability(), models=[model("m", big=bytes(50_000_000))], progress=said.append)
    assert said
    assert said[0] == "Fingerprinting models[0] 'm': 1 s, 0.0 GB so far."
    assert len(said) <= now, "at most one message a second"
