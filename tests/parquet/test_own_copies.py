"""Jobs of this process begin with what was submitted, each with copies of its own."""

from __future__ import annotations

import copy
import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from checkmaite.jobs import (
    Job,
    JobFailedError,
    JobStatus,
    configure_job_backend,
    plan_capabilities,
    shutdown_job_backend,
    submit_capability,
)
from checkmaite.jobs.testing import SampleRun

SOON_S = 30.0
CAPABILITY = """
from types import SimpleNamespace

SCALE = 2.0
_calls = 0
_seen = []

def noting(function):
    def noted(number):
        _seen.append(number)
        return function(number)
    return noted

@noting
def kept(number):
    return number

def scaled(number):
    return SCALE * kept(number)

class Scale:
    id = "scale"
    offset = 0.0
    runs = 0

    def shifted(self, number):
        return number + self.offset

    def run(self, *, models, config, **given):
        global _calls
        _calls += 1
        Scale.runs += 1
        from checkmaite.jobs.testing import SampleRun
        score = self.shifted(scaled(sum(models[0].weights)))
        models[0].weights.append(1000.0)
        return SampleRun(run_uid=config, records=[{"table_name": "scores", "score": score}])
"""


@pytest.fixture
def caps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    (tmp_path / "scaling.py").write_text(CAPABILITY)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("scaling")
    del sys.modules["scaling"]


@pytest.fixture
def submit(tmp_path: Path) -> Iterator[Callable[..., Job]]:
    """Submits to a backend that runs one job at a time."""
    store = {"backend": "parquet", "uri": str(tmp_path / "store")}
    configure_job_backend("inline", max_workers=1, analytics_store=store)
    yield submit_capability
    shutdown_job_backend(wait=False)


@pytest.fixture
def busy(submit: Callable[..., Job]) -> Iterator[threading.Event]:
    """A job runs, so that others wait, until this event."""
    go = threading.Event()

    class Busy:
        id = "busy"
        ready = threading.Event()

        def run(self, **_: Any) -> SampleRun:
            self.ready.set()
            go.wait(SOON_S)
            return SampleRun(run_uid="busy", records=[])

    job = submit(Busy())
    assert Busy.ready.wait(60), job.explain()
    yield go
    go.set()


def model(*weights: float, **others: Any) -> Any:
    return SimpleNamespace(metadata={"id": "net"}, weights=list(weights), **others)


def scores() -> list[float]:
    from checkmaite.jobs import get_job_backend

    found: list[float] = get_job_backend().analytics_store.read_table("scores").column("score").to_pylist()
    return sorted(found)


@pytest.mark.parametrize("others", [{}, {"lock": threading.Lock()}], ids=["copied", "cannot be copied"])
def test_what_was_changed_while_the_job_waited_is_not_computed(
    caps: ModuleType, submit: Callable[..., Job], busy: threading.Event, others: dict[str, Any]
) -> None:
    net, capability = model(1.0, **others), caps.Scale()
    jobs = [submit(capability, models=[net], config="a"), submit(caps.Scale(), models=[model(1.0)], config="b")]
    net.weights[0] = 5.0
    busy.set()
    with pytest.raises(JobFailedError, match=r"since this job was submitted: models\[0\] 'net': content") as failed:
        jobs[0].result(SOON_S)
    assert failed.value.error_type.endswith("EditedObjectError")
    assert jobs[1].wait(SOON_S) is JobStatus.COMPLETED
    assert scores() == [2.0]


@pytest.mark.parametrize("name", ["capability", "code", "method", "constant"])
def test_whatever_was_changed_is_named(
    caps: ModuleType,
    submit: Callable[..., Job],
    busy: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    capability = caps.Scale()
    job = submit(capability, models=[model(1.0)], config="a")
    if name == "capability":
        capability.offset = 1.0
    elif name == "code":
        monkeypatch.setattr(caps, "scaled", lambda number: 7 * number)
    elif name == "method":
        monkeypatch.setattr(caps.Scale, "shifted", lambda self, number: number)
    else:
        monkeypatch.setattr(caps, "SCALE", 3.0)
    busy.set()
    error = job.exception(SOON_S)
    told = {
        "capability": "capability: offset",
        "code": "code: scaling.scaled (changed at run time)",
        "method": "code: scaling.Scale.shifted (changed at run time)",
        "constant": "code: scaling.SCALE (changed at run time)",
    }
    assert f"submitted: {told[name]}. " in str(error)


def test_jobs_do_not_see_what_others_do_to_their_objects(
    caps: ModuleType, submit: Callable[..., Job], busy: threading.Event
) -> None:
    net = model(1.0)
    jobs = [submit(caps.Scale(), models=[net], config=uid) for uid in "abc"]
    busy.set()
    assert [job.wait(SOON_S) for job in jobs] == [JobStatus.COMPLETED] * 3
    assert scores() == [2.0] * 3
    assert net.weights == [1.0]


def test_a_patched_module_is_another_code_and_its_own_counters_are_not(
    caps: ModuleType, submit: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    def again() -> tuple[str, tuple[str, ...]]:
        submission = {"capability": caps.Scale(), "models": [model(1.0)], "config": "a"}
        (plan,) = plan_capabilities([submission])
        job = submit(**submission)
        assert job.wait(SOON_S) is JobStatus.COMPLETED
        assert (job.reuse.kind, job.reuse.differences) == (plan.kind, plan.differences)
        return job.reuse.kind.value, job.reuse.differences

    caps.Scale._RUN_TYPE = SimpleNamespace(compute_uid=lambda config, **_: config)
    assert again() == ("RUN", ())
    assert again() == ("REUSED", ())
    assert (caps._calls, caps.Scale.runs) == (1, 1)
    with monkeypatch.context() as patch:
        patch.setattr(caps, "SCALE", 3.0)
        assert again() == ("STALE", ("code: scaling.SCALE (changed at run time)",))
        assert again() == ("REUSED", ())
        assert scores() == [3.0]
    assert again() == ("STALE", ("code: scaling.SCALE (changed at run time)",))
    assert scores() == [2.0]


class CopiesOtherwise:
    """Whose copy is not equal to it."""

    metadata = {"id": "net"}

    def __init__(self, generation: int) -> None:
        self.weights, self.generation = [1.0], generation

    def __deepcopy__(self, memo: dict[int, Any]) -> CopiesOtherwise:
        return CopiesOtherwise(self.generation + 1)


def test_objects_whose_copies_differ_are_used_themselves(caps: ModuleType, submit: Callable[..., Job]) -> None:
    net = CopiesOtherwise(1)
    assert submit(caps.Scale(), models=[net], config="a").wait(SOON_S) is JobStatus.COMPLETED
    assert net.weights == [1.0, 1000.0]
    assert copy.deepcopy(net).generation == 2
