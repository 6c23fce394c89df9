"""What jobs are made of is encrypted on its way to the worker, by a key that both find in the same place."""

from __future__ import annotations

import base64
import secrets
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import (
    ConfigurationError,
    FailureKind,
    JobFailedError,
    configure_job_backend,
    shutdown_job_backend,
    submit_capability,
)
from checkmaite.jobs.testing import SampleCapability
from checkmaite.jobs_ray_simple import task

STORE = {"backend": "null"}


def test_a_job_with_an_encrypted_payload_runs_where_the_key_is_and_nowhere_else(
    local_ray: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    (tmp_path / "key").write_text(key)
    monkeypatch.setenv("KEY_OF_THE_SUBMITTER_ALONE", key)
    sent: list[bytes] = []
    carried = task.carried
    monkeypatch.setattr(task, "carried", lambda payload: sent.append(payload) or carried(payload))
    try:
        for place in ({"file": str(tmp_path / "key")}, {"env": "KEY_OF_THE_SUBMITTER_ALONE"}):
            configure_job_backend("ray-simple", analytics_store=STORE, payload_key=place)
            job = submit_capability(SampleCapability(), config={"run_uid": "a marker"})
            if "file" in place:
                assert job.result(120).run_uid == "a marker"
                continue
            error = job.exception(120)
            assert isinstance(error, JobFailedError)
            assert error.kind is FailureKind.PAYLOAD_KEY
            assert "KEY_OF_THE_SUBMITTER_ALONE is not set" in str(error)
    finally:
        shutdown_job_backend()
    assert len(sent) == 2
    assert not any(secret in payload for payload in sent for secret in (b"a marker", key.encode()))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"payload_key": {"env": "NO_SUCH_KEY"}}, "payload_key: the environment variable NO_SUCH_KEY is not set"),
        ({"payload_key": "the key itself"}, "payload_key: expected the place of a key"),
        (
            {"payload_key": {"env": "A_KEY"}, "runtime_env": {"env_vars": {"A_KEY": "hidden"}}},
            "runtime_env.env_vars: A_KEY is the key of the payloads, and Ray writes env_vars into its logs",
        ),
        ({"scope_key": "x" * 16}, "scope_key"),
        ({"private_files": True}, "private_files"),
    ],
)
def test_what_cannot_be_is_refused_before_ray_is_asked(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        configure_job_backend("ray-simple", analytics_store=STORE, **options)
    assert "hidden" not in str(caught.value)
    assert "the key itself" not in str(caught.value)
