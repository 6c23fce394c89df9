"""Notebooks as processes, and what they write down."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import asdict, define

from tests.ray.clusters import Client
from tools.trials.invariants import Note
from tools.trials.plan import Batch

_SCRIPT = Path(__file__).with_name("notebook.py").read_text()


@define
class Notebook:
    """A client that is started again when it was killed, and goes on with what it has not finished."""

    number: int
    batches: Sequence[Batch]
    folder: Path
    lives: int = 0
    process: Client | None = None

    @property
    def log(self) -> Path:
        return self.folder / f"notebook-{self.number}.jsonl"

    def start(self, options: Mapping[str, Any], env: Mapping[str, str], late_s: float) -> None:
        done = {note["batch"] for note in read_notes(self.log) if note["what"] == "done"}
        done -= {max(done, default=0)}  # the last one once more: it is known already
        batches = [
            {"number": number, "at_s": batch.at_s, "runs": [asdict(run) for run in batch.runs]}
            for number, batch in enumerate(self.batches)
            if number not in done
        ]
        task = {"do": "work", "batches": batches, "late_s": late_s, "marks": str(self.folder / "marks")}
        self.lives += 1
        self.process = client(task, self.folder / f"notebook-{self.number}-{self.lives}", options, self.log, env)

    def kill(self) -> bool:
        """Whether it lived."""
        if self.process is None or self.process.code is not None:
            return False
        self.process.kill()
        self.process = None
        return True

    @property
    def has_finished(self) -> bool:
        return self.process is not None and self.process.code == 0


def client(
    task: Mapping[str, Any], folder: Path, options: Mapping[str, Any], log: Path, env: Mapping[str, str]
) -> Client:
    given = {"NOTEBOOK": json.dumps(task), "LOG": str(log), **env}
    return Client(_SCRIPT, folder, options, prelude="", **given)


def read_notes(path: Path) -> list[Note]:
    """Whole lines of a log; the last one of a process that was killed may be torn."""
    found = []
    if path.exists():
        for line in path.read_text().splitlines():
            with suppress(json.JSONDecodeError):
                found.append(json.loads(line))
    return found


def wrote(log: Path, what: str) -> bool:
    """Whether a log has a line of a kind."""
    return any(note["what"] == what for note in read_notes(log))
