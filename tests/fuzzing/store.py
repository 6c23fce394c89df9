"""Readers of what the Parquet store keeps: its objects one by one, and a whole store of which one file is changed."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

from checkmaite.jobs import CapabilityRunRef, IncompatibleVersionError, Provenance, Report, StoreError
from checkmaite.jobs.spi import prints_text
from checkmaite.jobs.testing import SampleRun
from checkmaite.store_parquet import ParquetStore, _store, _types, _writing
from checkmaite.store_parquet._commits import Commits
from checkmaite.store_parquet._compacted import CompactedRuns
from checkmaite.store_parquet._manifest import INDEXES, newest_manifest
from checkmaite.store_parquet._originals import DeletedOriginals
from checkmaite.store_parquet._reading import columns_of
from checkmaite.store_parquet._rows import COMMIT_METADATA_KEY, RUNS_METADATA_KEY
from checkmaite.store_parquet._schema import arrow_schema

from tests.fuzzing.mutating import changed_bytes, changed_json, changed_parquet
from tests.fuzzing.reading import Reader, Shelf, refusals_name
from tests.ray_registry.making import PRINTS

RECORDED = Path(__file__).parent.parent / "parquet" / "recorded" / "checkmaite-0.6.1"
SOUND, HIT = "good", "t"
"""Two tables. What is changed belongs to the second one, or to all."""
_SOUND = (f"{SOUND}/", f"/{SOUND}", "runs/one.", "runs/two.")
"""In the names of what must not suffer."""
REPORTS = {"short": "# A report", "long": "a long report\n" * 2000}


def run(uid: str, *tables: str, x: float = 1.5) -> SampleRun:
    rows = [{"x": x + number, "n": number, "label": f"row {number}", "raw": b"\0\1"} for number in range(3)]
    return SampleRun(run_uid=uid, records=[{"table_name": table, **row} for table in tables for row in rows])


class _FixedDatetime(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return datetime(2026, 1, 2, 3, 4, 5, tzinfo=tz)


@contextmanager
def always_the_same() -> Iterator[None]:
    """Within the block what is drawn and what time it is are the same in every process."""
    numbers = itertools.count(1)
    with (
        mock.patch("secrets.token_hex", lambda count: f"{next(numbers):0{2 * count}x}"),
        mock.patch.object(_store, "datetime", _FixedDatetime),
        mock.patch.object(_types, "datetime", _FixedDatetime),
        mock.patch.object(_writing, "datetime", _FixedDatetime),
    ):
        yield


def make_store(folder: Path) -> None:
    """Fill a folder with runs of two tables, revisions, reports of all sizes, and files of CheckMAITE's own store."""
    shutil.copytree(RECORDED, folder)
    store = ParquetStore(folder)
    whose = Provenance(user_id="ann", job_id="job", run_event_id="job", fingerprints=prints_text(PRINTS))
    store.write([run("one", SOUND), run("two", SOUND, x=2.5)], provenance=whose)
    store.write([run("bad", HIT), run("worse", HIT, x=0.5)], provenance=whose)
    store.write(run("bad", HIT, x=3.5), provenance=Provenance(run_event_id="again"), supersede=True)
    for uid, text in REPORTS.items():
        report = Report(kind="inline_text", text=text)
        store.write_with_receipt(run(uid, HIT), provenance=whose, report=report)


def contents_of(folder: Path) -> dict[str, bytes]:
    """What is in a folder, by key."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def changed_object(random: Random, key: str, content: bytes) -> bytes:
    """Another content for an object of a store, by what it is."""
    if key.endswith(".json"):
        return changed_json(random, content)
    if not key.endswith(".parquet"):
        return changed_bytes(random, content)
    of_ours = not key.startswith("_") and "_" not in key.partition("/")[2]
    facts = "" if not of_ours else COMMIT_METADATA_KEY if key.startswith("runs/") else RUNS_METADATA_KEY
    return changed_parquet(random, content, facts)


@contextmanager
def store_folders() -> Iterator[dict[str, Path]]:
    """A store of small files, and the same one compacted."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as above:
        plain, compacted = Path(above, "plain"), Path(above, "compacted")
        with always_the_same():
            make_store(plain)
            shutil.copytree(plain, compacted)
            ParquetStore(compacted).compact()
            ParquetStore(compacted).write(run("later", HIT))
        yield {"plain": plain, "compacted": compacted}


class CommitReader:
    """One commit, as whoever asks for its run reads it."""

    weight = 150

    def __init__(self, contents: dict[str, bytes]) -> None:
        self._contents = contents
        self.keys = [key for key in contents if key.startswith("runs/") and "_" not in key]

    def changed(self, random: Random, key: str) -> bytes:
        return changed_object(random, key, self._contents[key])

    def read(self, key: str, content: bytes) -> None:
        shelf = Shelf({**self._contents, key: content})
        run_uid = key.removeprefix("runs/").removesuffix(".parquet").partition("!")[0]
        commits = Commits(shelf, DeletedOriginals(shelf))
        with refusals_name(shelf, key, "_artifacts/"):
            found = commits.newest(run_uid)
            assert found is not None
            stored = commits.whole(found)
        ref = stored.ref
        assert CapabilityRunRef.from_json(ref.to_json()) == ref
        assert ref.run_uid == run_uid
        assert ref.store_uri is not None
        assert ref.store_uri.startswith(f"{shelf.root}/{HIT}/") or ref.store_uri.startswith(f"{shelf.root}/{SOUND}/")


class CopiesReader:
    """A manifest, or the index of a part, as every reader of a compacted store reads it."""

    weight = 200

    def __init__(self, contents: dict[str, bytes]) -> None:
        self._contents = contents
        self.keys = [
            key for key in contents if key.startswith("_compact/") and key.endswith((".json", "_index.parquet"))
        ]

    def changed(self, random: Random, key: str) -> bytes:
        return changed_object(random, key, self._contents[key])

    def read(self, key: str, content: bytes) -> None:
        shelf = Shelf({**self._contents, key: content})
        INDEXES.forget()
        with refusals_name(shelf, key, "_compact/"):
            runs = CompactedRuns(shelf, newest_manifest(shelf))
            runs.not_in(shelf.names("runs"))
            assert runs.runs is not None
            runs.choose(None, runs.later, None)


class TypesReader:
    """What a store keeps of a table's columns."""

    weight = 50

    def __init__(self, contents: dict[str, bytes]) -> None:
        self._contents = contents
        self.keys = [key for key in contents if key.startswith(f"_schema/{HIT}")]

    def changed(self, random: Random, key: str) -> bytes:
        return changed_object(random, key, self._contents[key])

    def read(self, key: str, content: bytes) -> None:
        shelf = Shelf({**self._contents, key: content})
        with refusals_name(shelf, key):
            columns = columns_of(shelf, HIT, True)
        arrow_schema(columns)


ASKS: dict[str, Callable[[ParquetStore, str], Any]] = {
    "read_table": lambda store, table: sorted(
        store.read_table(table, columns=["run_uid", "x", "n"]).to_pylist(), key=str
    ),
    "query_sql": lambda store, table: store.query_sql(f"select run_uid, x, n from {table} order by all").to_pylist(),
    "joined": lambda store, table: store.query_sql(
        f"select distinct run_uid, user_id, x from {table} join runs using (run_uid) order by all"
    ).to_pylist(),
    "describe_table": lambda store, table: (store.describe_table(table).rows, store.describe_table(table).runs),
    "revisions": lambda store, table: store.read_table(table, revision="all").num_rows,
    "limited": lambda store, table: store.read_table(table, limit=2).num_rows,
    "compact": lambda store, table: store.compact() and None,
    "read again": lambda store, table: sorted(store.read_table(table, columns=["run_uid", "x"]).to_pylist(), key=str),
}


class StoreReader:
    """A store of which one file is changed: nothing that it holds beside that may suffer."""

    weight = 1

    def __init__(self, folders: dict[str, Path]) -> None:
        self._folders = folders
        self._contents = {
            f"{kind}:{key}": content for kind, folder in folders.items() for key, content in contents_of(folder).items()
        }
        self.keys: Sequence[str] = [key for key in self._contents if not any(name in key for name in _SOUND)]
        self._right = {kind: self._answers(ParquetStore(folder), SOUND) for kind, folder in self._copies()}

    def _copies(self) -> Iterator[tuple[str, Path]]:
        for kind in self._folders:
            with self._copy(kind) as copied:
                yield kind, copied

    @contextmanager
    def _copy(self, kind: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="fuzz-", dir=self._folders[kind].parent) as above:
            copied = Path(above, "store")
            shutil.copytree(self._folders[kind], copied)
            yield copied
            INDEXES.forget()

    def changed(self, random: Random, key: str) -> bytes:
        return changed_object(random, key.partition(":")[2], self._contents[key])

    def read(self, key: str, content: bytes) -> None:
        kind, _, name = key.partition(":")
        with self._copy(kind) as folder:
            (folder / name).write_bytes(content)
            chosen = Random(content).sample(sorted(ASKS), 3)
            self._check(ParquetStore(folder), kind, name, chosen)

    def _check(self, store: ParquetStore, kind: str, name: str, chosen: Sequence[str]) -> None:
        is_of_all = name.startswith("_compact/")
        about = ["_compact/"] if is_of_all else [name]
        for ask in chosen:
            answer, right = self._answer(store, SOUND, ask, about), self._right[kind][ask]
            may_fail = is_of_all or (ask == "joined" and name.startswith("runs/"))
            assert answer == right or (may_fail and isinstance(answer, StoreError)), f"{ask}: {answer} is not {right}"
            self._answer(store, HIT, ask, about if not name.startswith("_schema") else [])

    def _answers(self, store: ParquetStore, table: str) -> dict[str, Any]:
        return {ask: ASKS[ask](store, table) for ask in ASKS}

    def _answer(self, store: ParquetStore, table: str, ask: str, about: Sequence[str]) -> Any:
        try:
            with refusals_name(store._objects, *about) if about else nullcontext():
                return ASKS[ask](store, table)
        except (StoreError, IncompatibleVersionError) as error:
            return error


@contextmanager
def store_readers() -> Iterator[dict[str, Reader]]:
    """A reader of each kind, and the stores that they need."""
    with store_folders() as folders:
        plain, compacted = contents_of(folders["plain"]), contents_of(folders["compacted"])
        yield {
            "commits": CommitReader(plain),
            "copies": CopiesReader(compacted),
            "types": TypesReader(plain),
            "stores": StoreReader(folders),
        }
