"""Everything that leaves a worker process by its file descriptors is the job's output."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from checkmaite.jobs._workers.output import _HEAD_BYTES, take_left_output

PRELUDE = """
import ctypes, logging, multiprocessing, os, signal, subprocess, sys, threading, time
from checkmaite.jobs._shared.news import Printed, Reporter
from checkmaite.jobs._workers.output import captured, take_left_output

def output_of(job_id, act):
    reporter = Reporter(job_id, None)
    with captured(reporter):
        act()
    printed = reporter.close()
    return printed.text if printed else ""

def say(*what):
    print(*what, file=told, flush=True)

told = os.fdopen(3, "w")
"""
FORKS = ("-W", "ignore:This process:DeprecationWarning")
"""From Python 3.12 on it warns where a process with threads forks, among what the job prints."""


def run(text: str, folder: Path) -> tuple[list[str], bytes]:
    """What a process says, and what is in its own log; its stdout and stderr are one file, as a worker's may be."""
    reading, writing = os.pipe()
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3>&{writing}', "-", sys.executable, *FORKS, "-c", PRELUDE + text],
            stdout=log,
            stderr=log,
            pass_fds=[writing],
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": ""},  # which would take libc's buffers away too
        )
    os.close(writing)
    with os.fdopen(reading) as lines:
        said = lines.read().splitlines()
    process.wait()
    return said, (folder / "log").read_bytes()


def test_every_way_to_print_is_seen_in_order_and_passed_on(tmp_path: Path) -> None:
    said, log = run(
        """
logging.basicConfig(format="%(message)s")

def in_pool(number):
    print("pool", number, flush=True)

def act():
    print("print", flush=True)
    print("stderr", file=sys.stderr)
    logging.warning("logging")
    os.write(1, b"one\\n")
    os.write(2, b"two\\n")
    subprocess.run(["sh", "-c", "echo child; echo complaint >&2"])
    ctypes.CDLL(None).puts(b"native")
    ctypes.CDLL(None).fflush(None)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        pool.map(in_pool, [1])
    if not os.fork():
        print("fork")
        sys.stdout.flush()
        os._exit(0)
    os.wait()
    sys.stdout.buffer.write("é".encode()[:1])
    sys.stdout.flush()
    os.write(1, "é".encode()[1:])
    print(" whole")
    ctypes.CDLL(None).puts(b"buffered by libc")

print("before")
told.write(repr(output_of("job-1", act)) + "\\n")
print("after")
told.write(repr(output_of("job-2", lambda: None)) + "\\n")
""",
        tmp_path,
    )
    text = "print\nstderr\nlogging\none\ntwo\nchild\ncomplaint\nnative\npool 1\nfork\né whole\nbuffered by libc\n"
    assert said == [repr(text), "''"]
    assert log.decode() == "before\n" + text + "after\n"
    assert list(tmp_path.iterdir()) == [tmp_path / "log"], "a file is left behind"


def test_more_than_a_pipe_holds_is_printed_by_native_code_that_holds_the_interpreters_lock(tmp_path: Path) -> None:
    said, _ = run(
        """
held = ctypes.PyDLL(None)  # its calls keep the lock
many = b"x" * 1_000_000
say(len(output_of("job-1", lambda: held.write(1, many, len(many)))))
""",
        tmp_path,
    )
    assert said == ["1000000"]


def test_what_is_read_is_freed_on_the_disk(tmp_path: Path) -> None:
    said, log = run(
        """
def act():
    size, line = 0, b"y" * 999 + b"\\n"
    for _ in range(60_000):
        size += os.write(1, line)
    deadline = time.monotonic() + 60
    while (used := os.fstat(1).st_blocks * 512) > 10_000_000 and time.monotonic() < deadline:
        time.sleep(0.01)
    say(size, used <= 10_000_000)

text = output_of("job-1", act)
say(len(text), text[-3:] == "yy\\n")
""",
        tmp_path,
    )
    assert said == ["60000000 True", "1000000 True"]
    assert len(log) == 60_000_000


def test_a_system_that_frees_nothing_still_tells_all(tmp_path: Path) -> None:
    said, log = run(
        """
from types import SimpleNamespace
from checkmaite.jobs._workers import output

output._libc = lambda: SimpleNamespace(fflush=ctypes.CDLL(None).fflush)  # as on macOS

def act():
    for _ in range(20_000):
        os.write(1, b"y" * 999 + b"\\n")

text = output_of("job-1", act)
say(len(text), text[-3:] == "yy\\n")
""",
        tmp_path,
    )
    assert said == ["1000000 True"]
    assert len(log) == 20_000_000


def test_what_a_child_prints_after_the_job_is_not_the_next_ones(tmp_path: Path) -> None:
    said, log = run(
        """
def leave_a_child():
    global child
    child = subprocess.Popen(["sh", "-c", "read go; echo late"], stdin=subprocess.PIPE)
    print("first")

def next_job():
    child.communicate(b"go\\n")
    print("second")

say(repr(output_of("job-1", leave_a_child)), repr(output_of("job-2", next_job)))
""",
        tmp_path,
    )
    assert said == [r"'first\n' 'second\n'"]
    assert log == b"first\nsecond\n"


def test_a_silent_job_that_leaves_nobody_leaves_its_file_to_the_next_one(tmp_path: Path) -> None:
    said, _ = run(
        """
files = []

def act():
    files.append(os.fstat(1).st_ino)

def daemon():
    act()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    global go, gone
    reading, go = os.pipe()
    gone, alive = os.pipe()
    if not os.fork():
        if not os.fork():
            os.close(go)
            os.read(reading, 1)
            os.write(1, b"late\\n")
        os._exit(0)
    os.close(alive)

def next_job():
    act()
    os.write(1, b"mine\\n")
    os.close(go)
    os.read(gone, 1)

output_of("job-1", act)
output_of("job-2", daemon)
said = output_of("job-3", next_job)
output_of("job-4", act)
say(files[0] == files[1] != files[2] == files[3], repr(said))
""",
        tmp_path,
    )
    assert said == [r"True 'mine\n'"]


def test_a_process_that_dies_after_a_job_leaves_nothing_of_it(tmp_path: Path) -> None:
    run('output_of("job-1", lambda: print("told"))\nos.kill(os.getpid(), signal.SIGKILL)\n', tmp_path)
    assert len(list(tmp_path.glob("checkmaite-*.out"))) == 1
    said, _ = run('say(take_left_output("job-1"))\n', tmp_path)
    assert said == ["None"]


def test_a_file_that_somebody_has_deleted_is_made_again(tmp_path: Path) -> None:
    said, _ = run(
        """
import glob
output_of("job-1", lambda: None)
for path in glob.glob("checkmaite-*.out"):
    os.unlink(path)
say(repr(output_of("job-2", lambda: print("seen"))))
""",
        tmp_path,
    )
    assert said == [r"'seen\n'"]


def test_what_is_left_in_a_process_that_dies_is_found_by_another_one_of_its_node(tmp_path: Path) -> None:
    run(
        """
def act():
    print("last words")
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)

output_of("job-dies", act)
""",
        tmp_path,
    )
    said, _ = run(
        """
left = take_left_output("job-dies")
say(left.printed.start, repr(left.printed.text), left.exit_status)
say(take_left_output("job-dies"), take_left_output("job-other"))
""",
        tmp_path,
    )
    assert said == [r"0 'last words\n' None", "None None"]


def test_what_a_process_exited_with_is_left_too_but_not_what_its_children_did(tmp_path: Path) -> None:
    said, _ = run(
        """
def act():
    if not os.fork():
        os._exit(4)
    os.wait()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(os.getpid)
    say("still there", [(open(name, "rb").read(9), "exited" in name) for name in os.listdir() if name != "log"])
    threading.Thread(target=os._exit, args=(3,)).start()
    time.sleep(60)

exit_of_python = os._exit
output_of("job-before", lambda: say(os._exit is exit_of_python))
say(os._exit is exit_of_python)
output_of("job-exits", act)
""",
        tmp_path,
    )
    assert said == ["False", "True", "still there [(b'job-exits', False)]"]
    said, _ = run(
        """
left = take_left_output("job-exits")
say(left.exit_status, left.pid > 0, os.listdir())
""",
        tmp_path,
    )
    assert said == ["3 True ['log']"]


def test_what_nobody_takes_of_a_dead_process_goes_to_the_log_of_the_next_one(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    left = tmp_path / f"checkmaite-1a2b3c-{dead.pid}.out"
    left.write_bytes(b"job-gone".ljust(_HEAD_BYTES, b"\0") + b"last words\n")
    os.utime(left, (0, 0))
    said, log = run('say(repr(output_of("job-1", lambda: print("mine"))))\n', tmp_path)
    assert said == [r"'mine\n'"]
    assert log.decode() == "[... what is left of job-gone ...]\nlast words\nmine\n"
    assert not left.exists()


def test_a_remark_follows_what_the_job_has_printed_before(tmp_path: Path) -> None:
    said, _ = run(
        """
reporter = Reporter("job-1", None)
class Odd:
    def flush(self):
        raise SystemExit("a stream of the job's own")

with captured(reporter):
    print("first", end=" ")
    ctypes.CDLL(None).puts(b"second")
    kept, sys.stdout = sys.stdout, Odd()
    reporter.remark("a remark")
    sys.stdout = kept
    print(" third", end="")
say(repr(reporter.close().text))
""",
        tmp_path,
    )
    assert said == [repr("first second\na remark third")]


def test_where_no_file_can_be_made_the_job_runs_and_its_output_says_so(tmp_path: Path) -> None:
    said, log = run(
        """
import checkmaite.jobs._workers.output as output
output.folder_of_remains = lambda: "/proc"
text = output_of("job-1", lambda: print("seen"))
say(text.startswith("[... not what this job prints: no file can be made for it: "))
""",
        tmp_path,
    )
    assert said == ["True"]
    assert log == b"seen\n"


def test_nothing_is_left_of_a_job_that_never_was() -> None:
    assert take_left_output("job-that-never-was") is None
