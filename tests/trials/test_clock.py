"""The clocks that trials set: those of whole processes, as long as they are Python's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tools.trials.machines import Clocks

TELL = """
import datetime, pickle, sys, time
import _strptime
for line in sys.stdin:
    true = time.clock_gettime(time.CLOCK_REALTIME)
    now = datetime.datetime.now(datetime.UTC)
    assert type(now) is datetime.datetime and pickle.loads(pickle.dumps(now)) == now
    dates = time.time(), time.time_ns() / 1e9, now.timestamp(), datetime.datetime.now().timestamp()
    assert abs(eval("time.time()", {"__name__": "grpc._channel", "time": time}) - true) < 1
    print(*(round(each - true) for each in dates), flush=True)
"""


def test_a_clock_is_set_while_its_process_runs(tmp_path: Path) -> None:
    clocks = Clocks(tmp_path / "clocks")
    process = subprocess.Popen(
        [sys.executable, "-c", TELL],
        env=clocks.env("head"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def told() -> list[int]:
        process.stdin.write("\n")
        process.stdin.flush()
        return [int(each) for each in process.stdout.readline().split()]

    with process:
        assert told() == [0, 0, 0, 0]
        clocks.set("head", 3_600.0)
        assert told() == [3_600] * 4
        clocks.set("head", -40.0)
        assert told() == [-40] * 4
        clocks.set("work", 3_600.0)
        assert told() == [-40] * 4, "another machine's"
        clocks.reset()
        assert told() == [0, 0, 0, 0]
        process.stdin.close()
