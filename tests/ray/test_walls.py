"""What others may see and do: files for their owner alone."""

from __future__ import annotations

import stat
from functools import partial
from pathlib import Path
from typing import Any

from checkmaite.jobs import configure_job_backend, submit_capability

from tests.ray import capabilities
from tests.ray.conftest import submit


def test_what_registry_and_workers_write_is_for_its_owner_alone(own_options: dict[str, Any], tmp_path: Path) -> None:
    journal, kept = tmp_path / "journal", tmp_path / "kept"
    configure_job_backend(
        "ray",
        **{
            **own_options,
            "journal_uri": str(journal),
            "private_files": True,
            "artifact_store": {"uri": str(kept), "private_files": True},
        },
    )
    waiting = submit_capability(
        capabilities.Bulky(partial(capabilities.waits, str(tmp_path))), config={"run_uid": "waits"}
    )
    assert submit(capabilities.raises, tmp_path).exception(60) is not None
    (registry,) = journal.glob("*/*")
    names = {path.relative_to(registry).parts[0] for path in registry.rglob("*") if path.is_file()}
    assert names >= {"seg", "payload", "log"}
    assert others_may(registry) == []
    (tmp_path / "go").touch()
    report = waiting.result(60).report
    assert report is not None
    assert report.uri is not None
    assert others_may(kept) == []


def others_may(folder: Path) -> list[str]:
    """What is not for its owner alone of a folder and all below it."""
    wrong = {path: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}
    return [f"{path}: {mode:o}" for path, mode in wrong.items() if mode != (0o700 if path.is_dir() else 0o600)]
