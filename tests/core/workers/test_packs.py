"""A process that runs packs of short jobs: what it tells of each, what it gives back, and what its death leaves."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs._workers import pack_notes
from checkmaite.jobs.spi import take_left_pack

PRELUDE = """
import _thread, json, os, pickle, signal, sys, threading, time
from collections import deque
from concurrent.futures import Future
from functools import partial
from types import SimpleNamespace
from checkmaite.jobs.spi import PackedJob, StoreSpec, Terms, WorkerProcess, order_wire, run_packs
from checkmaite.jobs._workers import packs

TERMS = Terms(store=StoreSpec("null", {}), facts={"backend": "test"})
ACTS = {}
packs._LATE_S = 600.0  # however busy this machine is

class Does:
    def __init__(self, name):
        self.id = name

    def run(self, **_):
        ACTS[self.id]()
        return SimpleNamespace(run_uid=self.id, capability_id=self.id, extract=list, dataset_metadata=(),
                               model_metadata=(), metric_metadata=())

def done(result=None):
    future = Future()
    future.set_result(result)
    return future

class Line:
    '''Gives these packs, and notes what it hears.'''

    def __init__(self, *given):
        self.given = deque(given)
        self.heard, self.told, self.stops, self.news = [], [], (), []
        self.is_told = threading.Event()

    def next_pack(self, runner, news):
        self.heard.append(news)
        names = self.given.popleft() if self.given else ()
        return done(pickle.dumps([
            PackedJob((name, 1), order_wire(TERMS.written, job_id=name, submitted_at=1.0, run_uid=None, reuse="auto",
                                            report_threshold=0.5, prints=None),
                      pickle.dumps((Does(name), None, None, None, None)))
            for name in names
        ]))

    def tell(self, runner, news):
        self.told.append(news)
        answer = done(self.stops)
        self.is_told.set()
        return answer

    def post(self, sender, news):
        self.news.append(sender)
        return done()

def outcomes(news):
    read = ((each.sender[0], pickle.loads(each.finished)) for each in news.ended)
    return {name: [type(each.outcome).__name__, each.printed and each.printed.text] for name, each in read}

def run(line, left=[]):
    process = WorkerProcess(lambda: left.append("leaves"))
    last = pickle.loads(run_packs("runner-1", line, process))
    say(ended=[outcomes(each) for each in [*line.heard, last]], unbegun=[[job for job, _ in each.unbegun] for each in
        [*line.heard, last]], told=[outcomes(each) for each in line.told], left=left)

def say(**what):
    os.write(3, json.dumps(what).encode())

made, make = [], packs._Pack.__init__

def makes(pack, *given):
    make(pack, *given)
    made.append(pack)

packs._Pack.__init__ = makes

def long():
    made[-1]._late_at = 0.0
    assert line.is_told.wait(60), "what has not begun is not given back"

def quick():
    pass

def prints(text):
    print(text)

def fails():
    raise ValueError("no")
"""
RESULT = "Completed"


def run(text: str, folder: Path) -> dict[str, Any]:
    """What the process says."""
    reading, writing = os.pipe()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3>&{writing}', "-", sys.executable, "-c", PRELUDE + text],
            stdout=log,
            stderr=log,
            pass_fds=[writing],
            cwd=folder,
        )
    os.close(writing)
    with os.fdopen(reading) as said:
        found = said.read()
    process.wait()
    assert found, (folder / "log").read_text()
    answer: dict[str, Any] = json.loads(found)
    return answer


def test_each_job_of_a_pack_has_its_own_end_and_output_and_the_next_pack_follows(tmp_path: Path) -> None:
    said = run(
        """
ACTS |= {"a": partial(prints, "of a"), "b": fails, "c": quick}
ACTS |= {"d": partial(os.chdir, "/"), "e": lambda: prints(os.getcwd())}
run(Line(("a", "b", "c"), ("d", "e")))
""",
        tmp_path,
    )
    first = {"a": [RESULT, "of a\n"], "b": ["Failed", None], "c": [RESULT, None]}
    assert said["ended"] == [{}, first, {"d": [RESULT, None], "e": [RESULT, f"{tmp_path}\n"]}, {}]


def test_what_a_late_pack_has_not_begun_is_given_back_while_the_long_job_runs_on(tmp_path: Path) -> None:
    said = run(
        """
ACTS |= {"a": quick, "b": long, "c": quick, "d": quick}
line = Line(("a", "b", "c", "d"))
run(line)
""",
        tmp_path,
    )
    assert said["told"][0] == {"a": [RESULT, None]}
    assert said["unbegun"][1] == ["c", "d"]
    assert said["ended"][1] == {"a": [RESULT, None], "b": [RESULT, None]}


@pytest.mark.parametrize("how", ["SIG_UNBLOCK", "SIG_BLOCK"])
def test_a_signal_stops_the_job_that_is_meant_and_no_other(tmp_path: Path, how: str) -> None:
    said = run(
        f"signal.pthread_sigmask(signal.{how}, {{signal.SIGINT}})  # Ray's processes have it blocked"
        """
def asks(stops):
    line.stops = stops
    line.is_told.clear()
    _thread.interrupt_main()  # as Ray does it
    assert line.is_told.wait(60)
    while ("b", 1) in stops:
        time.sleep(0.01)

ACTS |= {"a": partial(asks, [("c", 1)]), "b": partial(asks, [("b", 1)]), "c": quick, "d": quick}
line = Line(("a", "b", "c", "d"))
run(line)
""",
        tmp_path,
    )
    (ended,) = [each for each in said["ended"] if each]
    assert {name: end for name, (end, _) in ended.items()} == {
        "a": RESULT,
        "b": "Cancelled",
        "c": "Cancelled",
        "d": RESULT,
    }


def test_a_runner_that_was_given_its_pack_runs_that_one_alone_and_its_result_says_all(tmp_path: Path) -> None:
    said = run(
        """
from checkmaite.jobs.spi import GivenPack

def tells(runner, said):
    news = pickle.loads(said)
    answer = line.tell(runner, news)
    if not news.number:
        line.is_told.clear()
    return SimpleNamespace(future=lambda: answer)

class Mailbox:
    tell_of_pack = SimpleNamespace(remote=tells)
    post = SimpleNamespace(remote=lambda job_id, news: SimpleNamespace(future=lambda: line.post(job_id, news)))

ACTS |= {"a": partial(prints, "of a"), "b": fails, "c": long, "d": quick}
line = Line(("a", "b", "c", "d"))
pack = line.next_pack(None, None).result()
last = pickle.loads(run_packs("runner-1", GivenPack(pack, Mailbox), WorkerProcess(lambda: None)))
say(ended=outcomes(last), unbegun=[job for job, _ in last.unbegun], number=last.number,
    told=[each.number for each in line.told])
""",
        tmp_path,
    )
    assert said["ended"] == {"a": [RESULT, "of a\n"], "b": ["Failed", None], "c": [RESULT, None]}
    assert said["unbegun"] == ["d"]
    assert said["number"] == 1
    assert said["told"] == [0, 1], "it says that it begins, and what it gives back while the long job runs"


def test_a_process_that_cannot_be_put_right_begins_nothing_more(tmp_path: Path) -> None:
    said = run(
        """
def leaves_a_thread():
    threading.Thread(target=threading.main_thread().join).start()  # for as long as the process has anything to do

ACTS |= {"a": quick, "b": leaves_a_thread, "c": quick}
run(Line(("a", "b", "c"), ("d",)))
""",
        tmp_path,
    )
    assert {name: end for name, (end, _) in said["ended"][-1].items()} == {"a": RESULT, "b": RESULT}
    assert (said["unbegun"][-1], said["left"]) == (["c"], ["leaves"])
    assert len(said["ended"]) == 2, "it asks for no other pack"


def test_where_nothing_can_be_noted_jobs_run_and_nothing_old_is_left(tmp_path: Path) -> None:
    said = run(
        """
def closes():
    for each in os.listdir("/proc/self/fd"):
        if os.path.exists(f"/proc/self/fd/{each}") and os.readlink(f"/proc/self/fd/{each}").endswith(".pack"):
            os.close(int(each))

def looks():
    print([each for each in os.listdir(".") if each.endswith(".pack")])

ACTS |= {"a": closes, "b": looks, "c": quick}
run(Line(("a", "b"), ("c",)))
""",
        tmp_path,
    )
    assert said["ended"] == [{}, {"a": [RESULT, None], "b": [RESULT, "[]\n"]}, {"c": [RESULT, None]}, {}]


def test_a_signal_after_the_last_job_does_not_take_the_results_along(tmp_path: Path) -> None:
    said = run(
        """
end, is_over, seen = packs.KeptWorld.end, [], []

def interrupted(world):
    _thread.interrupt_main()
    end(world)

packs.KeptWorld.end = interrupted
ACTS |= {"a": quick, "b": quick}
for name in ACTS:
    last = run_packs(name, Line((name,)), WorkerProcess(lambda: None), task_is_over=lambda: bool(is_over))
    _thread.interrupt_main()
    seen.append(outcomes(pickle.loads(last)))
is_over.append(True)
for _ in range(2):
    try:
        _thread.interrupt_main()
        time.sleep(0)
    except KeyboardInterrupt:
        seen.append(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
say(seen=seen)
""",
        tmp_path,
    )
    assert said["seen"] == [{}, {}, True, True], "the handler of before is there again"


def test_a_signal_that_comes_when_its_job_is_nearly_over_breaks_off_nothing_else(tmp_path: Path) -> None:
    said = run(
        """
execute = packs.execute

def interrupted(order, *given):
    finished = execute(order, *given)
    if "interrupted" in str(order):
        raise KeyboardInterrupt
    return finished

packs.execute = interrupted
ACTS |= {"a": quick, "interrupted": quick, "c": quick}
run(Line(("a", "interrupted", "c")))
""",
        tmp_path,
    )
    assert said["ended"][-1] == {"a": [RESULT, None], "interrupted": ["Cancelled", None]}
    assert (said["unbegun"][-1], said["left"]) == (["c"], ["leaves"])


def test_a_child_that_a_job_has_forked_and_that_comes_back_runs_none_of_the_others(tmp_path: Path) -> None:
    said = run(
        """
def forks():
    if child := os.fork():
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1

def notes():
    with open("ran", "a") as file:
        file.write("x")

ACTS |= {"a": forks, "b": notes}
run(Line(("a", "b")))
""",
        tmp_path,
    )
    assert said["ended"][1] == {"a": [RESULT, None], "b": [RESULT, None]}
    assert (tmp_path / "ran").read_text() == "x"


def test_notes_stay_until_the_process_has_another_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be ended while its last result is on its way."""
    said = run(
        """
ACTS |= {"a": quick, "b": quick, "c": quick}
run_packs("runner-0", Line(("a",)), WorkerProcess(lambda: None))
say(before=os.path.exists(packs.PackNotes._last._path))
run_packs("runner-1", Line(("b",), ("c",)), WorkerProcess(lambda: None))
""",
        tmp_path,
    )
    assert said == {"before": True}
    (kept,) = tmp_path.glob("*.pack")
    assert kept.name.startswith("checkmaite-runner-1-")
    monkeypatch.setattr(pack_notes, "folder_of_remains", lambda: str(tmp_path))
    found = take_left_pack("runner-1")
    assert found is not None
    assert (list(found.ended), found.running) == ([("c", 1)], None)


def test_a_death_leaves_what_had_ended_and_which_job_was_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = run(
        """
def dies():
    say(died=True)
    os.kill(os.getpid(), signal.SIGKILL)

ACTS |= {"a": quick, "b": dies, "c": quick}
run(Line(("a", "b", "c")))
""",
        tmp_path,
    )
    assert said == {"died": True}
    (left,) = tmp_path.glob("*.pack")
    monkeypatch.setattr(pack_notes, "folder_of_remains", lambda: str(tmp_path))
    found = take_left_pack("runner-1")
    assert found is not None
    assert (list(found.ended), found.running) == ([("a", 1)], ("b", 1))
    assert not left.exists()


def test_nothing_is_left_of_a_runner_that_never_was() -> None:
    assert take_left_pack("runner-that-never-was") is None


class Trap:
    """Says where it was unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("is_mine", [True, False])
def test_nothing_of_another_account_is_unpickled(
    is_mine: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Notes may lie in a folder of everybody's, where a name is no secret."""
    mark, account = tmp_path / "unpickled", os.geteuid()
    monkeypatch.setattr(pack_notes, "folder_of_remains", lambda: str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: account if is_mine else account + 1)
    (tmp_path / "checkmaite-runner-1-7.pack").write_bytes(pickle.dumps((Trap(mark), None)))
    assert (take_left_pack("runner-1") is not None) is is_mine
    assert mark.exists() is is_mine
