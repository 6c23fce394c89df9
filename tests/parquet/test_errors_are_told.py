"""What cannot be read is never taken for empty: an error names the object and says what to do."""

from __future__ import annotations

import errno
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import duckdb
import pytest
from attrs import frozen
from checkmaite.jobs import StoreCorruptError, StoreError, StorePermissionError, StoreUnavailableError
from checkmaite.jobs.testing import SampleRun
from checkmaite.store_parquet import ParquetStore
from checkmaite.store_parquet._manifest import INDEXES

from tests.parquet.faulty import (
    FAULTS,
    Faults,
    FaultyFileSystem,
    Verb,
    open_folder,
    refusing_disk,
    refusing_s3,
    s3_error,
)

SOUND, HIT = "good", "t"
Operation = Callable[[ParquetStore, str], Any]


def run(uid: str, table: str, x: float = 1.0, **more: Any) -> SampleRun:
    return SampleRun(run_uid=uid, records=[{"table_name": table, "x": x, **more}])


def _connected(store: ParquetStore, table: str) -> Any:
    with store.connect() as connection:
        return connection.execute(f"select run_uid, x from {table} order by all").fetchall()


OF_TABLE: dict[str, Operation] = {
    "read_table": lambda store, table: sorted(store.read_table(table)["run_uid"].to_pylist()),
    "query_sql": lambda store, table: store.query_sql(f"select run_uid, x from {table} order by all").to_pylist(),
    "query_batches": lambda store, table: sum(each.num_rows for each in store.query_batches(f"select * from {table}")),
    "connect": _connected,
    "describe_table": lambda store, table: (store.describe_table(table).rows, store.describe_table(table).runs),
}
OF_STORE: dict[str, Operation] = {
    "list_tables": lambda store, _: store.list_tables(),
    "find_run": lambda store, _: store.find_run("t-one") is not None,
    "get_run_uri": lambda store, _: store.get_run_uri("t-one") is not None,
    "backlog": lambda store, _: store.backlog().results,
    "vacuum": lambda store, _: store.vacuum().parts,
}
ALL_READS = frozenset({*OF_TABLE, *OF_STORE})
READS = {f"{name} {table}" for name in OF_TABLE for table in (SOUND, HIT)}
OF_HIT = {f"{name} {HIT}" for name in OF_TABLE}
ALL = {"list_tables", "backlog", "compact"}
WRITES = {f"{name} {table}" for name in ("write", "write again", "revise") for table in (SOUND, HIT)}
OF_RUN = {"find_run", "get_run_uri"}
"""Whether an object is there S3 says by a listing of its name: who may not list does not learn it."""
TO_HIT = {f"{name} {HIT}" for name in ("write", "write again", "revise")}


@frozen
class Failure:
    """What cannot be done, and what must therefore be refused: everything else must be answered as if nothing were."""

    verb: Verb
    prefix: str
    refused: AbstractSet[str]
    either: AbstractSet[str] = frozenset()


PLAIN = {
    "the commits cannot be listed": Failure("list", "runs/", READS | ALL, WRITES | OF_RUN),
    "a commit cannot be read": Failure(
        "read",
        "runs/t-one.parquet/",
        READS | (ALL - {"backlog"}) | {"find_run", "get_run_uri", "write again t"},
    ),
    "rows cannot be read": Failure("read", "t/t-one.parquet/", OF_HIT | {"compact", "write again t"}),
    "types cannot be read": Failure("read", "_schema/t.json/", OF_HIT | TO_HIT | {"compact"}),
    "later types cannot be listed": Failure("list", "_schema/t/", OF_HIT | {"compact"}),
    "nothing can be created": Failure(
        "create",
        "",
        {"write good", "write t", "revise good", "revise t", "compact"},
        {"write again good", "write again t"},
    ),
    "no commit can be created": Failure(
        "create", "runs/", {"write good", "write t", "revise good", "revise t"}, {"write again good", "write again t"}
    ),
}
FEW = {"a commit cannot be read", "no commit can be created", "a copy cannot be read"}
COMPACTED = {
    "the copies cannot be listed": Failure("list", "_compact/", READS | ALL | {"vacuum"}, WRITES | OF_RUN),
    "the manifest cannot be read": Failure("read", "_compact/00000001.json/", READS | ALL | {"vacuum"}),
    "a copy cannot be read": Failure("read", "_compact/*/t.parquet/", OF_HIT, {"compact"}),
}


@frozen
class Place:
    """Where a store is, and how it can be made to refuse.

    Attributes:
        store: Opens it as a new process would.
        refuses: Makes it refuse a kind of request for some objects.
        kind: The error that users get.
        asks: What is asked there.
        fails: What fails there.
    """

    store: Callable[[], ParquetStore]
    refuses: Callable[[Verb, str], AbstractContextManager[None]]
    kind: type[StoreError]
    asks: AbstractSet[str] = ALL_READS
    fails: AbstractSet[str] = frozenset({*PLAIN, *COMPACTED})


@pytest.fixture(params=["disk", "EIO", "S3"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    match request.param:
        case "disk":
            with open_folder() as folder:
                yield Place(
                    lambda: ParquetStore(folder / "store"),
                    lambda verb, prefix: refusing_disk(folder / "store", verb, prefix),
                    StorePermissionError,
                    asks=ALL_READS - {"query_batches", "connect"},
                )
        case "EIO":
            yield faulty(request.getfixturevalue("tmp_path"), errno.EIO, StoreError)
        case "S3":
            faults = Faults(error=s3_error("AccessDenied", 403))
            bucket, options = request.getfixturevalue("bucket"), request.getfixturevalue("s3_options")
            with refusing_s3(faults, "store"):
                yield Place(
                    lambda: ParquetStore(f"s3://{bucket}/store", options),
                    faults.of,
                    StorePermissionError,
                    asks={"read_table", "query_sql", "find_run"},
                    fails=FEW,
                )


def faulty(folder: Any, number: int, kind: type[StoreError]) -> Place:
    """A folder that is reached through fsspec, also by Arrow."""
    FaultyFileSystem.root = str(folder)
    return Place(
        lambda: ParquetStore(f"faulty://{folder}"),
        lambda verb, prefix: FAULTS.of(verb, prefix, lambda path: OSError(number, os.strerror(number), path)),
        kind,
    )


def filled(place: Place, *, compacts: bool) -> None:
    store = place.store()
    store.write([run(f"{table}-{number}", table) for table in (SOUND, HIT) for number in ("one", "two")])
    if compacts:
        store.compact()
    store.write([run("t-later", HIT, y=1), run("good-later", SOUND)])
    for name, ask in OF_TABLE.items():  # who is nobody afterwards imports nothing more
        if name in place.asks and place.kind is StorePermissionError and store._objects.is_local:
            ask(store, HIT)


def asked(names: AbstractSet[str] = ALL_READS) -> dict[str, Operation]:
    """What can be asked without a change, by name."""
    of_tables = {
        f"{name} {table}": (lambda store, _, ask=ask, table=table: ask(store, table))
        for name, ask in OF_TABLE.items()
        for table in (SOUND, HIT)
        if name in names and (table, name) != (SOUND, "query_batches")
    }
    return {**of_tables, **{name: ask for name, ask in OF_STORE.items() if name in names}}


def changes(uid: str) -> dict[str, Operation]:
    """What changes a store, by name."""
    return {
        **{
            f"write {table}": lambda store, _, t=table: store.write(run(f"{uid}-{t}", t))[0].created
            for table in (SOUND, HIT)
        },
        **{
            f"write again {table}": lambda store, _, t=table: store.write(run(f"{t}-one", t))[0].created
            for table in (SOUND, HIT)
        },
        **{
            f"revise {table}": lambda store, _, t=table: (
                store.write(run(f"{t}-two", t, x=2.0), supersede=True)[0].created
            )
            for table in (SOUND, HIT)
        },
    }


def outcome(place: Place, failure: Failure, operation: Operation) -> Any:
    """What a new process gets of it while something is refused."""
    INDEXES.forget()
    with place.refuses(failure.verb, failure.prefix), warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is left out
        try:
            return operation(place.store(), "")
        except (StoreError, duckdb.Error, RuntimeWarning) as error:
            return error


def check_told(place: Place, failure: Failure, said: Any, what: str) -> None:
    is_engine = "connect" in what and isinstance(said, duckdb.Error)  # the user's own connection
    assert is_engine or type(said) is place.kind, f"{what}: {said!r}"
    named = failure.prefix.strip("/").partition("*")[0]
    assert f"{place.store().uri}/{named}".rstrip("/") in str(said), f"{what} names no object: {said}"
    assert str(said).rstrip(".").count(". ") >= 1, f"{what} does not say what to do: {said}"


@pytest.mark.parametrize("compacts", [False, True], ids=["plain", "compacted"])
def test_what_is_refused_is_told_and_nothing_else_suffers(place: Place, compacts: bool) -> None:
    filled(place, compacts=compacts)
    failures = {name: each for name, each in (COMPACTED if compacts else PLAIN).items() if name in place.fails}
    right = {what: ask(place.store(), "") for what, ask in asked(place.asks).items()}
    for name, failure in failures.items():
        for what, ask in asked(place.asks).items():
            said = outcome(place, failure, ask)
            if what in failure.refused or (what in failure.either and isinstance(said, Exception)):
                check_told(place, failure, said, f"{name}: {what}")
            else:
                assert said == right[what], f"{name}: {what}"
        if "compact" in failure.refused:
            check_told(place, failure, outcome(place, failure, lambda store, _: store.compact()), f"{name}: compact")
    for number, (name, failure) in enumerate(failures.items()):
        created = {}
        for what, change in changes(f"new-{number}").items():
            said = outcome(place, failure, change)
            if what in failure.refused or (what in failure.either and isinstance(said, Exception)):
                check_told(place, failure, said, f"{name}: {what}")
            else:
                assert said is (not what.startswith("write again")), f"{name}: {what}: {said!r}"
            created[what] = said is True
        for table in (SOUND, HIT):  # the same call again does what is left to do, once
            again = place.store().write(run(f"new-{number}-{table}", table))[0].created
            assert again is not created[f"write {table}"], f"{name}: {table}"
    check_one_of_each(place.store())


def check_one_of_each(store: ParquetStore) -> None:
    """Every revision of each run is there once."""
    for table in (SOUND, HIT):
        rows = store.read_table(table, revision="all").select(["run_uid", "revision"]).to_pylist()
        assert len(rows) == len({tuple(row.values()) for row in rows})


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, StoreUnavailableError), (errno.EDQUOT, StoreUnavailableError), (errno.EROFS, StorePermissionError)],
    ids=["ENOSPC", "EDQUOT", "EROFS"],
)
@pytest.mark.parametrize("prefix", ["", "runs/", "t/", "_schema/"])
def test_what_cannot_be_written_is_written_once_afterwards(tmp_path: Any, number: int, kind: Any, prefix: str) -> None:
    place = faulty(tmp_path, number, kind)
    failure = Failure("create", prefix, set())
    check_told(place, failure, outcome(place, failure, lambda store, _: store.write(run("one", HIT))), "write")
    assert place.store().list_tables() == []
    assert place.store().find_run("one") is None
    assert place.store().write(run("one", HIT))[0].created
    said = outcome(place, failure, lambda store, _: store.write(run("one", HIT, x=2.0), supersede=True))
    if prefix != "_schema/":
        check_told(place, failure, said, "revise")
        assert place.store().read_table(HIT)["x"].to_pylist() == [1.0]
        assert place.store().write(run("one", HIT, x=2.0), supersede=True)[0].revision == 2
    assert place.store().read_table(HIT)["x"].to_pylist() == [2.0]
    check_foreign(place.store())


def check_foreign(store: ParquetStore) -> None:
    assert store.list_tables() == ["runs", HIT]


@frozen
class Damage:
    """A file that is damaged, what is refused therefore, and where a warning says that it is left out."""

    file: str
    refused: AbstractSet[str]
    warned: AbstractSet[str] = frozenset()


DAMAGED = {
    False: (
        Damage("runs/t-one.parquet", OF_RUN | {"write again t"}, READS | {"list_tables"}),
        Damage("t/t-one.parquet", OF_HIT),
        Damage("_schema/t.json", OF_HIT | TO_HIT),
    ),
    True: (
        Damage("_compact/00000001.json", READS | {"list_tables", "backlog", "vacuum"}),
        Damage("_compact/*/_index.parquet", READS | {"list_tables", "backlog"}),
        Damage("_compact/*/t.parquet", OF_HIT),
    ),
}
CONTENTS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "torn": lambda content: content[: len(content) // 2],
}


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("compacts", DAMAGED, ids=["plain", "compacted"])
def test_what_is_damaged_is_told_and_nothing_else_suffers(tmp_path: Path, compacts: bool, content: str) -> None:
    place = Place(lambda: ParquetStore(tmp_path), lambda _, __: nullcontext(), StoreCorruptError)
    filled(place, compacts=compacts)
    right = {what: ask(place.store(), "") for what, ask in asked().items()}
    for damage in DAMAGED[compacts]:
        (file,) = tmp_path.glob(damage.file)
        file.write_bytes(CONTENTS[content](before := file.read_bytes()))
        failure = Failure("read", file.relative_to(tmp_path).as_posix(), damage.refused)
        asks = ALL_READS if content == "torn" else {"read_table", "find_run"}
        for what, ask in {**asked(asks), **changes("")}.items():
            if what.startswith(("write ", "revise ")) and what not in damage.refused:
                continue
            said = outcome(place, failure, ask)
            if what in damage.refused:
                check_told(place, failure, said, f"{damage.file}: {what}")
            elif what in damage.warned:
                assert isinstance(said, RuntimeWarning), f"{damage.file}: {what}: {said!r}"
                assert f"{file} is left out" in str(said)
            else:
                assert said == right[what], f"{damage.file}: {what}"
        if content == "torn" and not compacts:
            assert place.store().compact().left_out  # that one; the rest is copied
            shutil.rmtree(tmp_path / "_compact")
        file.write_bytes(before)
    assert {what: ask(place.store(), "") for what, ask in asked().items()} == right


def test_what_others_put_into_the_folder_of_a_table_is_nothing_to_it(tmp_path: Path) -> None:
    place = Place(lambda: ParquetStore(tmp_path), lambda _, __: nullcontext(), StoreError)
    filled(place, compacts=False)
    right = {what: ask(place.store(), "") for what, ask in asked().items()}
    for name in ("notes.txt", "empty.parquet", "1700000000000_0f.parquet", "a folder/x.parquet", ".hidden"):
        (tmp_path / HIT / name).parent.mkdir(exist_ok=True)
        (tmp_path / HIT / name).write_bytes(b"")
    nothing = Failure("read", "nothing", set())
    assert {what: outcome(place, nothing, ask) for what, ask in asked().items()} == right
    assert [outcome(place, nothing, change) for change in changes("new").values()] == [
        True,
        True,
        False,
        False,
        True,
        True,
    ]
    assert place.store().compact().left_out == {}
    check_one_of_each(place.store())


@pytest.mark.parametrize(("status", "kind"), [(503, StoreUnavailableError), (403, type(None))])
def test_a_bucket_that_does_not_answer_is_not_taken_for_none(
    bucket: str, s3_options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, status: int, kind: type
) -> None:
    """Who may not ask about the bucket alone may be allowed all that a store needs."""
    from moto.s3.responses import S3Response

    monkeypatch.setattr(S3Response, "head_bucket", lambda _: (status, {}, ""))
    monkeypatch.setattr("s3fs.core.S3FileSystem.retries", 1)
    few = {**s3_options, "config_kwargs": {"retries": {"max_attempts": 1}}}
    said: Any = None
    try:
        assert ParquetStore(f"s3://{bucket}/store", few).find_run("none") is None
    except StoreError as error:
        said = error
    assert type(said) is kind
