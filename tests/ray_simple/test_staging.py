from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from checkmaite.jobs import (
    FailureKind,
    JobFailedError,
    JobSubmissionError,
    configure_job_backend,
    shutdown_job_backend,
    stage,
    submit_capability,
)
from checkmaite.jobs.testing import SampleCapability

from tests.staging import StagingStory


@pytest.mark.usefixtures("local_ray")
class TestStagingRaySimple(StagingStory):
    kind = "ray-simple"


def test_what_is_staged_is_encrypted_as_payloads_are(local_ray: Any, tmp_path: Path) -> None:
    marker, key, staged = f"marker-{secrets.token_hex(16)}", tmp_path / "key", tmp_path / "store" / "_staged"

    def configure(**changes: Any) -> None:
        store = {"backend": "parquet", "uri": str(tmp_path / "store")}
        configure_job_backend("ray-simple", analytics_store=store, **changes)

    def result_with(reference: Any) -> Any:
        job = submit_capability(SampleCapability(folder=str(tmp_path)), models=[reference], config={"run_uid": marker})
        return job.exception(120)

    model = SimpleNamespace(metadata={"id": "net"}, text=marker)
    try:
        key.write_text(new_key())
        configure()
        plain = stage(model)
        assert marker.encode() in b"".join(each.read_bytes() for each in staged.glob("*/*.part"))
        configure(payload_key={"file": str(key)})
        with pytest.raises(JobSubmissionError, match=r"which was not encrypted with the key in the file .*key"):
            result_with(plain)
        first = stage(model)
        assert (first.digest, first.name.partition("-")[0]) == (plain.digest, plain.name)
        sealed = staged / first.name
        assert marker.encode() not in b"".join(each.read_bytes() for each in sealed.iterdir())
        key.write_text(new_key())
        second = stage(model)
        assert second.name != first.name
        with pytest.raises(JobSubmissionError, match="Stage the object again"):
            result_with(first)
        assert result_with(second) is None
        # Parts are bound to their place: those of another object do not open there.
        third = stage(SimpleNamespace(metadata={"id": "net"}, text=marker[::-1]))
        for each in (staged / third.name).glob("*.part"):
            each.write_bytes((staged / second.name / each.name).read_bytes())
        error = result_with(third)
        assert isinstance(error, JobFailedError)
        assert error.kind is FailureKind.PAYLOAD_KEY
    finally:
        shutdown_job_backend()


def new_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def test_functions_and_classes_of_functions_are_staged_by_value(local_ray: Any, tmp_path: Path) -> None:
    class Local:
        metadata = {"id": "local"}

        def __init__(self, scale: Callable[[float], float]) -> None:
            self.scale = scale

    class Scales(SampleCapability):
        def run(self, *, models: Any, config: Any, **_: Any) -> Any:
            assert models[0].scale(2.0) == 6.0
            return super().run(config=config)

    configure_job_backend("ray-simple", analytics_store={"backend": "parquet", "uri": str(tmp_path / "store")})
    try:
        reference = stage(Local(lambda each: 3 * each))
        assert "Local" in repr(reference)
        assert submit_capability(Scales(), models=[reference], config={"run_uid": "u"}).exception(120) is None
    finally:
        shutdown_job_backend()
