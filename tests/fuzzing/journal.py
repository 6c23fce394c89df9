"""Readers of what the registry keeps: the journal's objects and the output of jobs."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from checkmaite.jobs import Provenance, Report, StoreError, read_salvaged_run
from checkmaite.jobs._shared.comparing import prints_from_text
from checkmaite.jobs._shared.salvage_format import first_line, lines_of
from checkmaite.jobs.spi import ObjectStore, compared, prints_text
from checkmaite.jobs.testing import SampleRun
from checkmaite.jobs_ray.client.history import table_of_records
from checkmaite.jobs_ray.journal.logs import find_log, kept_log
from checkmaite.jobs_ray.journal.reading import read_journal
from checkmaite.jobs_ray.journal.replay import table_of
from checkmaite.jobs_ray.journal.runner import perform
from checkmaite.jobs_ray.journal.snapshot import restore, snapshot_rows
from checkmaite.jobs_ray.registry.model.job_table import JobTable, ReplayState

from tests.fuzzing.mutating import changed_bytes, changed_json, changed_value
from tests.fuzzing.reading import Shelf, refusals_name
from tests.ray_registry.making import PRINTS

GOLDEN = Path(__file__).parent.parent / "ray_journal" / "golden"
_CHECKSUM = b',"crc":'


class JournalReader:
    """A journal of each version, of which one object is changed: its bytes, or what it says under a new checksum."""

    weight = 200

    def __init__(self) -> None:
        self._shelves: dict[str, Shelf] = {}
        self._records: dict[str, Any] = {}
        for folder in sorted(GOLDEN.iterdir()):
            root = folder / "checkmaite_jobs" / "golden"
            contents = {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("0*"))}
            self._shelves[folder.name] = shelf = Shelf(contents)
            self._records[folder.name] = _table(shelf).records
        self.keys: Sequence[str] = [
            f"{version}:{key}" for version, shelf in self._shelves.items() for key in _needed(shelf)
        ]

    def changed(self, random: Random, key: str) -> bytes:
        version, _, name = key.partition(":")
        content = self._shelves[version].contents[name]
        if not random.randrange(5):
            return changed_bytes(random, content)
        line, _, body = content.partition(b"\n")
        fields = json.loads(line)
        text = zlib.decompress(body)
        match random.randrange(8):
            case 0:
                fields = _header(changed_value(random, fields), fields)
            case 1:
                body = changed_bytes(random, body)
            case 2:
                body = zlib.compress(changed_bytes(random, text), 1)
            case _:
                rows = [json.loads(each) for each in text.splitlines()]
                rows = changed_value(random, rows)
                rows = rows if isinstance(rows, list) else [rows]
                body = zlib.compress("".join(f"{json.dumps(row)}\n" for row in rows).encode(), 1)
                fields["rows"] = len(rows)
        return signed(fields, body)

    def read(self, key: str, content: bytes) -> None:
        version, _, name = key.partition(":")
        there = self._shelves[version]
        shelf = Shelf({**there.contents, name: content})
        is_signed = _is_signed(content)
        with refusals_name(shelf, *(["seg/0", "snap/0"] if is_signed else [name])):
            table = _table(shelf)
        if not is_signed or content == there.contents[name]:
            assert table.records == self._records[version], "bytes have changed, and it was read as something else"
        _use(table)


def _header(changed: Any, fields: dict[str, Any]) -> dict[str, Any]:
    return changed if isinstance(changed, dict) else fields


def _needed(shelf: Shelf) -> list[str]:
    """The objects that reading the journal takes."""
    asked: list[str] = []

    class Asked(Shelf):
        def read(self, key: str) -> bytes:
            asked.append(key)
            return super().read(key)

    perform(read_journal(shelf.root), Asked(shelf.contents))
    return sorted({key for key in asked if key in shelf.contents})


def _table(objects: ObjectStore) -> JobTable:
    return table_of(perform(read_journal(objects.root), objects))


def _use(table: JobTable) -> None:
    """What readers and the next registry do with a table."""
    rows = table_of_records(list(table.records.values()))
    assert rows.num_rows == len(table.records)
    for record in table.records.values():
        table.facts(record)
        compared(record.spec.basis.prints, PRINTS)
    written = json.loads(json.dumps(list(snapshot_rows(table)), allow_nan=False))
    again = ReplayState()
    restore(again, written)
    assert again.records.keys() == table.records.keys()


def _is_signed(content: bytes) -> bool:
    """Whether an object's checksum fits."""
    line, _, body = content.partition(b"\n")
    covered, _, checksum = line.rpartition(_CHECKSUM)
    return checksum == b"%d}" % zlib.crc32(body, zlib.crc32(covered))


def signed(fields: dict[str, Any], body: bytes) -> bytes:
    """An object that says this, with a checksum that fits."""
    said = {**fields, "bytes": len(body)}
    said.pop("crc", None)
    line = json.dumps(said, separators=(",", ":")).encode()[:-1]
    return line + _CHECKSUM + b"%d}\n" % zlib.crc32(body, zlib.crc32(line)) + body


class LogReader:
    """The kept output of a job, and the names of such objects."""

    weight = 50

    def __init__(self) -> None:
        kept = [kept_log("job", "some output\n" * 50), kept_log("job", "of a start\n", 1, 2)]
        self._contents = {each.key: content for each, content in kept}
        self.keys: Sequence[str] = [*self._contents]

    def changed(self, random: Random, key: str) -> bytes:
        return changed_bytes(random, self._contents[key])

    def read(self, key: str, content: bytes) -> None:
        shelf = Shelf({**self._contents, key: content, f"log/{content[:40].decode('latin-1')}.txt.gz": b""})
        with refusals_name(shelf, key):
            find_log(shelf, "job")


class SalvagedReader:
    """The rows of a run that could not be stored."""

    weight = 50

    def __init__(self, folder: Path) -> None:
        sample = SampleRun(
            run_uid="salvaged", records=[{"table_name": "t", "x": 1.5, "at": datetime(2026, 1, 2, tzinfo=UTC)}]
        )
        report = Report(kind="inline_text", text="# A report")
        error = StoreError("why")
        first = first_line(sample, provenance=Provenance(user_id="ann"), report=report, error=error, left_out=0)
        lines, _ = lines_of(sample.records, 10**6)
        self._content = b"\n".join([first, *lines, b""])
        self._folder = folder
        self.keys: Sequence[str] = ["rows.jsonl"]

    def changed(self, random: Random, key: str) -> bytes:
        lines = self._content.split(b"\n")
        place = random.randrange(len(lines) - 1)
        lines[place] = changed_json(random, lines[place])
        return b"\n".join(lines)

    def read(self, key: str, content: bytes) -> None:
        path = self._folder / key
        path.write_bytes(content)
        with refusals_name(ObjectStore(str(self._folder)), key):
            found = read_salvaged_run(str(path))
        assert isinstance(found.extract(), list)
        assert all(isinstance(text, str) for text in (found.run_uid, found.capability_id, found.error))


class PrintsReader:
    """Fingerprints, as a commit and a journal keep them."""

    weight = 50
    keys: Sequence[str] = ("fingerprints",)

    def changed(self, random: Random, key: str) -> bytes:
        text = prints_text(PRINTS)
        assert text is not None
        return changed_json(random, text.encode())

    def read(self, key: str, content: bytes) -> None:
        text = content.decode("utf-8", "surrogatepass") if content.isascii() else content.decode("latin-1")
        found = prints_from_text(text)
        compared(found, PRINTS)
        compared((text,), PRINTS)
        assert found is None or prints_text(found) is not None
