"""What a worker's process has used at most: what the system counts, asked for without the libraries that count too."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from checkmaite.jobs._workers import measuring
from checkmaite.jobs._workers.measuring import watch_memory

MIB = 2**20


@pytest.fixture(autouse=True)
def _no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)


def _touch(size: int) -> None:
    block = bytearray(size)
    block[:: 2**12] = b"x" * len(block[:: 2**12])


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not count it for each job")
@pytest.mark.parametrize("agrees", [True, False], ids=["asked cheaply", "read"])
def test_each_job_has_a_peak_of_its_own(monkeypatch: pytest.MonkeyPatch, agrees: bool) -> None:
    monkeypatch.setattr(measuring, "_usage_agrees", lambda: agrees)
    first = watch_memory()
    _touch(192 * MIB)
    high = first()
    assert high is not None
    assert high.memory_bytes is not None
    assert high.memory_bytes > 192 * MIB
    second = watch_memory()
    low = second()
    assert low is not None
    assert low.memory_bytes is not None
    assert low.memory_bytes < high.memory_bytes - 96 * MIB, "the job before is counted"


@pytest.mark.parametrize(("usage_kb", "status_kb", "agrees"), [(10, 10, True), (11, 10, False), (10, None, False)])
def test_what_the_program_before_had_is_not_taken_for_the_jobs(
    monkeypatch: pytest.MonkeyPatch, usage_kb: int, status_kb: int | None, agrees: bool
) -> None:
    monkeypatch.setattr(measuring, "_peak_by_usage_kb", lambda: usage_kb)
    monkeypatch.setattr(measuring, "_peak_by_status_kb", lambda: status_kb)
    assert measuring._usage_agrees.__wrapped__() is agrees


def test_where_the_system_does_not_count_nothing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(measuring, "_RESET", str(tmp_path / "not" / "there"))
    assert watch_memory()() is None


@pytest.mark.parametrize(("is_used", "found"), [(True, 30), (False, None)])
def test_gpus_are_asked_about_where_pytorch_is_used(
    monkeypatch: pytest.MonkeyPatch, is_used: bool, found: int | None
) -> None:
    cuda = SimpleNamespace(
        is_initialized=lambda: is_used, device_count=lambda: 2, max_memory_reserved=lambda number: 10 * (number + 1)
    )
    used = watch_memory()
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))  # type: ignore[arg-type]
    said: Any = used()
    assert (said and said.gpu_memory_bytes) == found


def test_a_device_that_does_not_answer_fails_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> bool:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    used = watch_memory()
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=SimpleNamespace(is_initialized=broken)))  # type: ignore[arg-type]
    said: Any = used()
    assert said is None or said.gpu_memory_bytes is None
