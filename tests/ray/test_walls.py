"""What others see and may do: keys of scopes, encrypted payloads, and files for their owner alone."""

from __future__ import annotations

import base64
import os
import secrets
import signal
import stat
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import (
    FailureKind,
    JobFailedError,
    ScopeKeyError,
    StoreNotFoundError,
    configure_job_backend,
    get_job,
    list_jobs,
    read_job_history,
    read_job_logs,
    submit_capability,
)

from tests.ray import capabilities
from tests.ray.clusters import wait_until
from tests.ray.conftest import Control, submit


def new_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def test_what_registry_and_workers_write_others_can_neither_read_nor_decrypt(
    own_options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker, key, wrong = f"marker-{secrets.token_hex(16)}", new_key(), new_key()
    journal, kept, key_file = tmp_path / "journal", tmp_path / "kept", tmp_path / "payload.key"
    key_file.write_text(key)
    options = {
        **own_options,
        "journal_uri": str(journal),
        "private_files": True,
        "artifact_store": {"uri": str(kept), "private_files": True},
    }
    configure_job_backend("ray", **options, payload_key={"file": str(key_file)})
    wait = partial(capabilities.waits, str(tmp_path))
    large = submit_capability(
        capabilities.Bulky(wait, ballast=marker * 2_000), config={"run_uid": "large"}, resources={"num_cpus": 4}
    )
    small = submit_capability(
        capabilities.Bulky(capabilities.nothing, ballast=marker), config={"run_uid": "small"}, resources={"num_cpus": 4}
    )
    wait_until(lambda: large.status == "RUNNING", "the large job does not run")
    (registry,) = journal.glob("*/*")
    assert {path.relative_to(registry).parts[0] for path in files_of(registry)} >= {"seg", "payload"}
    assert telling(files_of(registry), marker, key) == []

    (tmp_path / "go").touch()
    report = large.result(120).report
    assert report is not None
    assert report.uri is not None
    small.result(120)

    (tmp_path / "go").unlink()
    queued_behind = submit_capability(capabilities.Bulky(wait), config={"run_uid": "a"}, resources={"num_cpus": 4})
    late = submit_capability(
        capabilities.Bulky(wait, ballast=marker), config={"run_uid": "late"}, resources={"num_cpus": 4}
    )
    wait_until(lambda: queued_behind.status == "RUNNING", "nothing runs")
    key_file.write_text(wrong)
    (tmp_path / "go").touch()
    refused(late, f"the key in the file {key_file}: it is another key than the submitter's")

    monkeypatch.setenv("KEY_OF_THE_SUBMITTER_ALONE", key)
    configure_job_backend("ray", **options, payload_key={"env": "KEY_OF_THE_SUBMITTER_ALONE"})
    lonely = submit_capability(capabilities.Bulky(wait, ballast=marker), config={"run_uid": "lonely"})
    refused(lonely, "the environment variable KEY_OF_THE_SUBMITTER_ALONE is not set")

    assert submit(capabilities.prints_and_raises).exception(120) is not None
    wait_until(lambda: list(registry.glob("log/*")), "its output is not kept")
    assert {path.relative_to(registry).parts[0] for path in files_of(registry)} >= {"seg", "log"}
    assert telling(files_of(registry, kept, session_of_ray()), marker, key, wrong) == []
    assert open_to_others(registry) == open_to_others(kept) == []


def refused(job: Any, said: str) -> None:
    """The job fails because of its key, and says which."""
    error = job.exception(120)
    assert isinstance(error, JobFailedError), error
    assert error.kind is FailureKind.PAYLOAD_KEY
    assert error.error_type == "checkmaite.jobs.PayloadKeyError"
    assert said in str(error)


def test_who_has_not_the_key_of_a_scope_stays_outside_also_when_the_registry_was_killed(
    own_options: dict[str, Any], tmp_path: Path, control: Control
) -> None:
    key, wrong = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    options = {**own_options, "journal_uri": str(tmp_path / "journal")}
    configure_job_backend("ray", **options, scope_key=key)
    job = submit(partial(capabilities.waits, str(tmp_path)), tmp_path)
    failed = submit(capabilities.prints_and_raises)
    assert failed.exception(120) is not None
    wait_until(lambda: job.status == "RUNNING", "the job is not seen to run")
    wait_until(lambda: list((tmp_path / "journal").glob("*/*/log/*")), "the other one's output is not kept")
    where = {name: options[name] for name in ("idempotency_scope", "registry_namespace", "journal_uri")}
    where["analytics_store"] = options["analytics_store"]

    def strangers_are_refused() -> None:
        for more in ({}, {"scope_key": wrong}):
            for act in (
                partial(configure_job_backend, "ray", **options, **more),
                partial(read_job_history, **where, **more),
                partial(read_job_logs, failed.job_id, **where, **more),
            ):
                with pytest.raises(ScopeKeyError, match="Pass the key that the scope was given"):
                    act()

    strangers_are_refused()
    assert {each.job_id for each in list_jobs()} == {job.job_id, failed.job_id}, "the backend before still is active"
    os.kill(control.registry(), signal.SIGKILL)
    strangers_are_refused()
    wait_until(lambda: get_job(job.job_id).status == "RUNNING", "the new registry does not know that it runs")
    assert set(read_job_history(**where, scope_key=key)["job_id"].to_pylist()) == {job.job_id, failed.job_id}
    assert "before the error" in read_job_logs(failed.job_id, **where, scope_key=key)
    (tmp_path / "go").touch()
    job.result(120)
    configure_job_backend("ray", **{**options, "registry_actor_name": "own"}, scope_key=wrong)  # another registry's
    assert list_jobs() == []
    with pytest.raises(StoreNotFoundError):
        read_job_logs(failed.job_id, **{**where, "idempotency_scope": "another"})
    assert telling(files_of(tmp_path / "journal", session_of_ray()), key, wrong) == []


# -- files -------------------------------------------------------------------------------------------------------------


def session_of_ray() -> Path:
    import ray

    return Path(ray._private.worker.global_worker.node.get_session_dir_path())


def files_of(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


def telling(files: Iterable[Path], *texts: str) -> list[Path]:
    """Those that hold one of the texts."""
    found, count = [], 0
    for path in files:
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # a payload that no job needs any more, say
            continue
        count += bool(content)
        if any(text.encode() in content for text in texts):
            found.append(path)
    assert count, "there was something to look through"
    return found


def open_to_others(folder: Path) -> list[str]:
    """What is not for its owner alone of a folder and all below it."""
    modes = {}
    for path in (folder, *folder.rglob("*")):
        with suppress(FileNotFoundError):  # a payload that no job needs any more, say
            modes[path] = stat.S_IMODE(path.stat().st_mode)
    return [f"{path}: {mode:o}" for path, mode in modes.items() if mode != (0o700 if path.is_dir() else 0o600)]
