"""Whether a place can hold a store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import StorePermissionError, StoreUnavailableError
from checkmaite.jobs.spi import ObjectStore
from checkmaite.store_parquet import ParquetStore

CHECKS = ["write", "read", "exclusive create", "list", "clock", "delete"]


def states(store: ParquetStore) -> dict[str, str]:
    return {each.check: each.state for each in store.doctor()}


def found(store: ParquetStore, check: str) -> str:
    return next(each.found for each in store.doctor() if each.check == check)


def test_a_good_place_is_told_and_left_as_it_was(tmp_path: Path) -> None:
    assert states(ParquetStore(tmp_path / "store")) == dict.fromkeys(CHECKS, "ok")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert ParquetStore(tmp_path / "store").list_tables() == []


def test_a_bucket(bucket: str, s3_options: dict[str, Any]) -> None:
    store = ParquetStore(f"s3://{bucket}/store", s3_options)
    assert states(store) == dict.fromkeys(CHECKS, "ok")
    assert store._objects.folders() == []


def test_where_nothing_can_be_written_nothing_else_is_tried(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    (check,) = ParquetStore(tmp_path / "file" / "store").doctor()
    assert (check.check, check.state) == ("write", "fault")
    assert "file" in check.found


def _as_if_replacing(real: Callable[..., bool]) -> Callable[..., bool]:
    def create(self: ObjectStore, key: str, content: bytes) -> bool:
        real(self, key, content)
        return True

    return create


def _listing_late(real: Callable[..., list[str]]) -> Callable[..., list[str]]:
    return lambda self, prefix: [name for name in real(self, prefix) if name != "object"]


def _refusing(_: Any) -> Callable[..., Any]:
    def refuse(self: ObjectStore, key: str, *rest: Any) -> Any:
        raise StorePermissionError(f"{key}: refused. Ask for the permission.", uri=key)

    return refuse


def _silent(_: Any) -> Callable[..., Any]:
    def fail(self: ObjectStore, key: str, *rest: Any) -> Any:
        raise StoreUnavailableError(f"{key}: no answer.", uri=key)

    return fail


@pytest.mark.parametrize(
    ("operation", "change", "check", "state", "said"),
    [
        ("create", _as_if_replacing, "exclusive create", "fault", "of 8 writers of one object 8 were told"),
        ("names", _listing_late, "list", "fault", "is not listed"),
        ("find", lambda real: lambda self, key: b"other", "read", "fault", "another content is read"),
        ("find", _silent, "read", "fault", "no answer"),
        ("delete", _refusing, "delete", "note", "Ask for the permission. Runs are stored and read without"),
        ("delete", lambda real: lambda self, key: None, "delete", "fault", "listed after it was deleted"),
        ("modified", lambda real: lambda self, prefix: {}, "clock", "note", "does not say when"),
        (
            "modified",
            lambda real: lambda self, prefix: {name: at + 90 for name, at in real(self, prefix).items()},
            "clock",
            "note",
            "90 s ahead of",
        ),
    ],
)
def test_what_a_place_lacks_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
    change: Callable[[Any], Any],
    check: str,
    state: str,
    said: str,
) -> None:
    monkeypatch.setattr(ObjectStore, operation, change(getattr(ObjectStore, operation)))
    (found,) = (each for each in ParquetStore(tmp_path).doctor() if each.check == check)
    assert (found.state, said in found.found) == (state, True), found
