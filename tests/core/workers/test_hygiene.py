"""One process after a job: what is put back, and what makes it leave."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from checkmaite.jobs import Resources
from checkmaite.jobs._workers.hygiene import (
    KeptWorld,
    WorkerProcess,
    accelerators_of,
    for_one_job,
    from_fresh_entropy,
    hidden_accelerators,
    suspect,
)
from checkmaite.jobs._workers.hygiene import process as process_module
from checkmaite.jobs._workers.hygiene.health import take_suspicion
from checkmaite.jobs._workers.hygiene.world import OF_WRITES, World, _settings
from checkmaite.jobs.testing._samples import UnprintableError

from tests import soiling


@pytest.fixture
def left() -> list[str]:
    return []


@pytest.fixture
def process(left: list[str]) -> WorkerProcess:
    return WorkerProcess(leave=lambda: left.append("asked to leave"))


def run(act: Callable[[], object], process: WorkerProcess | None) -> None:
    """What `execute` does around a job."""
    with for_one_job(process):
        try:
            act()
        except BaseException as error:  # noqa: BLE001 - as `carry_out` does
            suspect(error)
        finally:  # as `execute` does
            sys.settrace(None)
            sys.setprofile(None)


@pytest.mark.parametrize("act", soiling.CLEANED)
def test_what_a_job_changes_is_put_back(act: str, process: WorkerProcess, left: list[str]) -> None:
    before = soiling.world()
    run(soiling.CLEANED[act], process)
    after = soiling.world()
    after["context variable"] = before["context variable"]  # `execute` gives each job a context of its own
    soiling._variable().set("clean")
    assert after == before
    assert not left


def test_jobs_that_follow_each_other_find_one_world_whatever_those_before_have_changed(
    left: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    kept = KeptWorld()
    process = WorkerProcess(leave=lambda: left.append("asked to leave"), kept=kept)
    before, found = soiling.world(), list[dict[str, Any]]()
    for act in soiling.CLEANED.values():
        run(lambda: found.append(soiling.world()), process)
        run(act, process)
        soiling._variable().set("clean")  # `execute` gives each job a context of its own
    run(lambda: found.append(soiling.world()), process)
    assert all(each == found[0] for each in found)
    assert found[0]["environment"]["CUDA_VISIBLE_DEVICES"] == ""
    kept.end()
    assert soiling.world() == before
    assert not left


def test_handlers_of_signals_are_those_of_each_job(process: WorkerProcess, left: list[str]) -> None:
    """Each is interrupted by a handler of its own, which is no change of the job's."""
    before, kept = signal.getsignal(signal.SIGUSR1), KeptWorld()
    process = WorkerProcess(leave=process.leave, kept=kept)
    try:
        for number in range(2):
            own = print if number else repr
            signal.signal(signal.SIGUSR1, own)  # type: ignore[arg-type]
            run(lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN), process)
            assert signal.getsignal(signal.SIGUSR1) is own
    finally:
        kept.end()
        signal.signal(signal.SIGUSR1, before)
    assert not left


def test_what_is_raised_where_restoring_begins_disturbs_nothing(
    process: WorkerProcess, left: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal's handler that the job has left behind can raise there, which is before what `restore` catches."""
    restore, begun = World.restore, []

    def interrupted(world: World) -> list[str]:
        begun.append(world)
        if len(begun) == 1:
            raise TimeoutError("the job's own")
        return restore(world)

    monkeypatch.setattr(World, "restore", interrupted)
    run(lambda: sys.argv.append("--soiled"), process)
    assert len(begun) == 2
    assert "--soiled" not in sys.argv
    assert not left


def test_all_that_a_write_relies_on_is_put_back_before_it(process: WorkerProcess) -> None:
    names = {setting.name for setting in _settings()}
    assert names >= OF_WRITES
    found = []
    with for_one_job(process) as before_write:
        os.umask(0o777)
        sys.argv.append("--not-for-a-write")
        before_write()
        found = [soiling.world()["umask"], sys.argv[-1]]
    assert found == [soiling.world()["umask"], "--not-for-a-write"]
    assert sys.argv[-1] != "--not-for-a-write"


def test_a_process_that_is_not_the_backends_own_is_left_alone() -> None:
    def act() -> None:
        sys.argv.append("--mine")

    run(act, None)
    assert sys.argv.pop() == "--mine"


def test_outside_the_main_thread_nothing_is_put_back(process: WorkerProcess) -> None:
    thread = threading.Thread(target=run, args=(lambda: sys.argv.append("--mine"), process))
    thread.start()
    thread.join()
    assert sys.argv.pop() == "--mine"


def test_a_directory_that_cannot_be_made_again_makes_the_process_leave(
    process: WorkerProcess, left: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path.cwd())  # so that the process is brought back to it

    def refused(path: str) -> None:
        raise PermissionError(path)

    def act() -> None:
        os.chdir("/")
        monkeypatch.setattr(os, "chdir", refused)

    run(act, process)
    monkeypatch.undo()
    assert left == ["asked to leave"]


@pytest.mark.parametrize("asked", ["asked to leave", None], ids=["reused", "used once"])
def test_a_process_leaves_in_spite_of_a_thread_that_goes_on(
    process: WorkerProcess, left: list[str], monkeypatch: pytest.MonkeyPatch, asked: str | None
) -> None:
    ending = threading.Event()
    monkeypatch.setattr(process_module, "_end_after_main_thread", ending.set)
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    run(thread.start, process if asked else WorkerProcess())
    assert left == ([asked] if asked else [])
    assert ending.wait(60)
    stop.set()
    thread.join()


def test_an_idle_pool_keeps_nobody_from_going_on(process: WorkerProcess, left: list[str]) -> None:
    pool = ThreadPoolExecutor(1)
    run(lambda: pool.submit(int).result(), process)
    pool.shutdown()
    assert not left


class _Torch(ModuleType):
    """Errors of the names and bases that PyTorch 2.13.0 gives them."""

    class AcceleratorError(RuntimeError):
        pass

    class OutOfMemoryError(RuntimeError):
        pass


for _error in (_Torch.AcceleratorError, _Torch.OutOfMemoryError):
    _error.__module__, _error.__qualname__ = "torch", _error.__name__


def chained(error: BaseException) -> BaseException:
    try:
        raise ValueError("the evaluation failed") from error
    except ValueError as outer:
        return outer


DEVICE_SIDE_ASSERT = "CUDA error: device-side assert triggered\nSearch for `cudaErrorAssert' in https://docs.nvidia.com"
NO_MEMORY = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried ..."


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("no more of it"),
        type("ArrayMemoryError", (MemoryError,), {})("Unable to allocate 8 EiB"),
        _Torch.AcceleratorError(DEVICE_SIDE_ASSERT),
        _Torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        RuntimeError(DEVICE_SIDE_ASSERT),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        RuntimeError("CUDA driver error: unknown error"),
        RuntimeError("HIP out of memory. Tried to allocate 20.00 MiB."),
        RuntimeError(NO_MEMORY),
        chained(_Torch.AcceleratorError(DEVICE_SIDE_ASSERT)),
        ExceptionGroup("several", [ValueError("one"), MemoryError("two")]),
    ],
    ids=lambda error: f"{type(error).__name__}: {str(error)[:40]}",
)
def test_after_such_an_error_the_process_leaves(error: BaseException, process: WorkerProcess, left: list[str]) -> None:
    def act() -> None:
        raise error

    run(act, process)
    assert left == ["asked to leave"]
    run(lambda: None, process)
    assert left == ["asked to leave"], "it is said once"


@pytest.mark.parametrize(
    "error",
    [
        ValueError("CUDA error is only mentioned"),
        RuntimeError("Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU"),
        RuntimeError("No CUDA GPUs are available"),
        AssertionError("Torch not compiled with CUDA enabled"),
        SystemExit(3),
        KeyboardInterrupt(),
        UnprintableError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_after_any_other_error_it_stays(error: BaseException, process: WorkerProcess, left: list[str]) -> None:
    def act() -> None:
        raise error

    run(act, process)
    assert not left


def test_errors_of_inline_jobs_are_nobody_elses(process: WorkerProcess, left: list[str]) -> None:
    suspect(MemoryError())
    run(lambda: None, process)
    assert not left
    assert not take_suspicion()


# -- accelerators -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resources", "kinds"),
    [
        (Resources(), set()),
        (Resources(num_gpus=0.25), {"GPU"}),
        (Resources(share_gpus=True), {"GPU"}),
        (Resources(custom={"TPU": 4, "fpga": 1, "NPU": 0}), {"TPU"}),
    ],
)
def test_which_accelerators_a_job_sees(resources: Resources, kinds: set[str]) -> None:
    assert accelerators_of(resources) == kinds
    hidden = hidden_accelerators(kinds)
    assert ("CUDA_VISIBLE_DEVICES" in hidden) == ("GPU" not in kinds)
    assert ("TPU_VISIBLE_CHIPS" in hidden) == ("TPU" not in kinds)
    assert set(hidden.values()) == {""}


def test_accelerators_are_hidden_in_a_process_that_is_reused(
    process: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    seen: list[str | None] = []
    for each in (process, WorkerProcess(), None):
        run(lambda: seen.append(os.environ.get("CUDA_VISIBLE_DEVICES")), each)
    assert seen == ["", "0,1", "0,1"]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"


def test_they_are_hidden_from_native_code_too(process: WorkerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.delenv("TPU_VISIBLE_CHIPS", raising=False)
    seen: list[list[str | None]] = []

    def look() -> None:
        seen.append([_seen_by_native_code(name) for name in ("CUDA_VISIBLE_DEVICES", "TPU_VISIBLE_CHIPS")])

    run(look, process)
    look()
    assert seen == [["", ""], ["0,1", None]]


def _seen_by_native_code(name: str) -> str | None:
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_char_p
    found: bytes | None = getenv(name.encode())
    return None if found is None else found.decode()


# -- libraries that may be loaded -------------------------------------------------------------------------------------


class FakeTorch(ModuleType):
    """What is asked of PyTorch, with the names and the results of PyTorch 2.13.0."""

    def __init__(self) -> None:
        super().__init__("torch")
        self.state: dict[str, Any] = {
            "device": "cpu",
            "dtype": "torch.float32",
            "grad": True,
            "deterministic": (False, False),
            "anomaly": False,
            "precision": "highest",
        }
        self.float32, self.float64 = "torch.float32", "torch.float64"
        self.seeds: list[str] = []
        self.autograd = SimpleNamespace(set_detect_anomaly=lambda mode: self.state.update(anomaly=mode))
        self.default_generator = SimpleNamespace(seed=lambda: self.seeds.append("cpu"))
        self.cuda = SimpleNamespace(is_initialized=lambda: False)

    def get_default_device(self) -> str:
        return str(self.state["device"])

    def set_default_device(self, device: str | None) -> None:
        self.state["device"] = device or "cpu"

    def get_default_dtype(self) -> str:
        return str(self.state["dtype"])

    def set_default_dtype(self, dtype: str) -> None:
        self.state["dtype"] = dtype

    def is_grad_enabled(self) -> bool:
        return bool(self.state["grad"])

    def set_grad_enabled(self, mode: bool) -> None:
        self.state["grad"] = mode

    def are_deterministic_algorithms_enabled(self) -> bool:
        return bool(self.state["deterministic"][0])

    def is_deterministic_algorithms_warn_only_enabled(self) -> bool:
        return bool(self.state["deterministic"][1])

    def use_deterministic_algorithms(self, mode: bool, *, warn_only: bool) -> None:
        self.state["deterministic"] = mode, warn_only

    def is_anomaly_enabled(self) -> bool:
        return bool(self.state["anomaly"])

    def get_float32_matmul_precision(self) -> str:
        return str(self.state["precision"])

    def set_float32_matmul_precision(self, precision: str) -> None:
        self.state["precision"] = precision

    def soil(self) -> None:
        self.state |= {"device": "cuda:1", "dtype": "torch.float64", "grad": False, "anomaly": True}
        self.state |= {"deterministic": (True, True), "precision": "medium"}


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTorch]:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    return FakeTorch()


@pytest.mark.parametrize("loaded_by_the_job", [True, False])
def test_torchs_defaults_are_put_back(
    torch: FakeTorch,
    loaded_by_the_job: bool,
    process: WorkerProcess,
    left: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = dict(torch.state)
    if not loaded_by_the_job:
        monkeypatch.setitem(sys.modules, "torch", torch)

    def act() -> None:
        monkeypatch.setitem(sys.modules, "torch", torch)
        torch.soil()

    run(act, process)
    assert torch.state == before
    assert not left
    from_fresh_entropy()
    assert torch.seeds == ["cpu"]


def test_random_numbers_begin_anew() -> None:
    seen = set()
    for _ in range(3):
        random.seed(0)
        from_fresh_entropy()
        seen.add(random.random())
    assert len(seen) == 3


def test_nothing_is_imported_for_it() -> None:
    text = (
        "import sys; from checkmaite.jobs._workers.hygiene import *; from_fresh_entropy()\n"
        "with for_one_job(WorkerProcess(leave=print)): pass\n"
        "print({'numpy', 'torch', 'asyncio', 'multiprocessing', 'decimal', 'tracemalloc'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_timer_that_ran_before_goes_on(process: WorkerProcess, left: list[str]) -> None:
    before = signal.signal(signal.SIGVTALRM, signal.SIG_IGN)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, 1_000, 7)
        run(lambda: None, process)
        assert signal.getitimer(signal.ITIMER_VIRTUAL)[1] == 7
        run(lambda: signal.setitimer(signal.ITIMER_VIRTUAL, 0), process)
        assert signal.getitimer(signal.ITIMER_VIRTUAL)[1] == 7
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    assert not left


def test_a_cancellation_that_comes_too_late_disturbs_nothing(
    process: WorkerProcess, left: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, change, interrupted = Path.cwd(), os.chdir, []

    def interrupts_once(path: str) -> None:
        if not interrupted:
            interrupted.append(path)
            raise KeyboardInterrupt
        change(path)

    def act() -> None:
        os.umask(0o777)
        os.chdir("/")
        sys.argv.append("--soiled")
        monkeypatch.setattr(os, "chdir", interrupts_once)

    found = soiling.world()
    run(act, process)
    monkeypatch.undo()
    assert interrupted == [str(before)]
    assert soiling.world() == found
    assert not left
