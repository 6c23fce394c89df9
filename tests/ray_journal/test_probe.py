"""A store that cannot hold a journal is refused with the reason and what to do."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from checkmaite.jobs import ConfigurationError
from checkmaite.jobs.spi import ObjectStore
from checkmaite.jobs_ray.journal.runner import probe


class Overwrites(ObjectStore):
    """Creates whatever is there already."""

    def create(self, key: str, content: bytes) -> bool:
        path = Path(self.uri_of(key))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return True


class LooksFirst(ObjectStore):
    """Looks, and creates then: of eight who look at the same time nobody sees another's object."""

    looked = threading.Barrier(8)

    def create(self, key: str, content: bytes) -> bool:
        if self.exists(key):
            return False
        self.looked.wait(timeout=30)
        super().create(key, content)
        return True


class ForgetsTheWinner(ObjectStore):
    """Says of every object that it was there."""

    def create(self, key: str, content: bytes) -> bool:
        super().create(key, content)
        return False


class KeepsTheLast(ObjectStore):
    """Lets one win, and keeps what another wrote."""

    def create(self, key: str, content: bytes) -> bool:
        return super().create(key, b"another" if content.isdigit() else content)


def test_an_exclusive_store_is_good(objects: ObjectStore) -> None:
    probe(objects)
    assert objects.names("probe") == []


@pytest.mark.parametrize("kind", [Overwrites, LooksFirst, ForgetsTheWinner, KeepsTheLast])
def test_another_is_refused(tmp_path: Path, kind: type[ObjectStore]) -> None:
    objects = kind(str(tmp_path))
    with pytest.raises(ConfigurationError) as caught:
        probe(objects)
    (problem,) = caught.value.problems
    assert problem.path == "journal_uri"
    assert str(tmp_path) in problem.cause
    assert "journal_uri=None" in problem.remedy
    assert objects.names("probe") == []


def test_memory_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="ends with its process"):
        probe(ObjectStore("memory://journal"))
