"""A job that soils its process in all ways still has its rows written as if it had not."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from checkmaite.store_parquet import ParquetStore

PROGRAM = """
import builtins, decimal, inspect, os, pickle, resource, signal, sys, tempfile, threading
from datetime import UTC, datetime
import numpy  # so that its settings are soiled too
from checkmaite.jobs._workers.hygiene import WorkerProcess
from checkmaite.jobs._shared.order import Terms
from checkmaite.jobs._shared.provenance import SHARED_FIELDS
from checkmaite.jobs.spi import Failed, StoreSpec, WorkOrder, execute
from checkmaite.jobs.testing import SampleRun
from tests import soiling

class Broken:
    encoding = "ascii"
    def write(self, text):
        raise OSError("a stream of the job's own")
    flush = write

def soils():
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)
    os.umask(0o777)
    signal.setitimer(signal.ITIMER_REAL, 60.0)
    soiling.changes_warnings_and_logging()
    soiling.changes_libraries()
    soiling.changes_python()
    soiling.takes_signals()
    soiling.pins_itself()
    sys.stdout = sys.stderr = Broken()
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, (5, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    builtins.open = None
    tempfile.tempdir = "/nowhere"
    sys.setrecursionlimit(len(inspect.stack()) + 25)

class Raising:
    def __init__(self, event):
        self.event = event
    def __call__(self, frame, event, _):
        if event == self.event:
            raise ValueError("the tracer's own")
        return self

class Record:  # says what it finds when it is written

    def model_dump(self, **_):
        alarm = signal.getitimer(signal.ITIMER_REAL)[0]
        return {"table_name": "t", "x": 0.5, "text": "\u00e9", "found": f"{alarm} {decimal.getcontext().prec}"}

class Soils:
    id = "soils"
    def __init__(self, act):
        self.act = act
    def run(self, *, config, **_):
        run = SampleRun(run_uid=config, capability_id=self.id, records=[Record()])
        self.act()
        return run

def order(name, store):
    return WorkOrder(job_id=name, submitted_at=datetime(2026, 1, 2, tzinfo=UTC), run_uid=None, reuse="auto",
        report_threshold=0.5, prints=None,
        terms=Terms(store=store, facts=dict.fromkeys(SHARED_FIELDS)))

def outcome_of(name, act, process, store):
    payload = pickle.dumps((Soils(act), None, None, None, name))
    return execute(order(name, store).to_wire(), payload, process=process).outcome

def trace():
    sys.settrace(Raising("call"))
def profile():
    sys.setprofile(Raising("c_call"))
def trace_and_profile():
    sys.setprofile(Raising("call")), sys.settrace(Raising("call"))
def record():
    sys.settrace(lambda frame, *_: seen.append(frame.f_code.co_name))
def return_():
    sys.setprofile(Raising("return"))

seen = []
for act in [soiling.traces, record, trace, profile, trace_and_profile, return_] * 30:  # until Python has specialized it
    outcome = outcome_of("traced", act, WorkerProcess(leave=print), StoreSpec("null", {}))
    assert not isinstance(outcome, Failed) or outcome.error_message == "the tracer's own", outcome
    assert (sys.gettrace(), sys.getprofile(), threading.gettrace(), threading.getprofile()) == (None,) * 4
assert "write_with_receipt" in seen and "restore" not in seen, "3.11 may spin where tracing ends in a generator's exit"
os.umask(0o022)
parquet = StoreSpec("parquet", {"uri": sys.argv[1]})
for name in ("first", "second"):
    outcome = outcome_of(name, soils, WorkerProcess(leave=print), parquet)
    assert not isinstance(outcome, Failed), outcome
outcome = outcome_of("alone", soils, WorkerProcess(), parquet)
assert not isinstance(outcome, Failed), outcome
os._exit(0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits and signals of Linux")
def test_rows_of_a_job_that_soils_its_process_are_written_right(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "store")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TMPDIR": str(tmp_path)},
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    store = ParquetStore(str(tmp_path / "store"))
    written = store.read_table("t", run_uids=["first", "second", "alone"])
    assert written.select(["x", "text", "found"]).to_pylist() == [{"x": 0.5, "text": "\u00e9", "found": "0.0 28"}] * 3
    modes = {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "store").rglob("*.parquet")}
    assert modes == {0o644}, "the worker's own umask"
