#!/usr/bin/env bash
# One would expect: when a node runs out of memory, Ray's memory monitor ends the worker that uses it up; an actor of 60 MB that may be
# restarted, and a small task beside it, live on.
# What happens: since 2.56 it ends workers that may be started again first, the newest of them first, whatever memory they have, until enough
# is free. A small actor with max_restarts=-1 is therefore ended before a task of any size with max_retries=0, and a small task with retries
# before a large one without. With max_retries=1 for the large task it goes first, and alone.
# Versions: ray 2.60.0. Seen 2026-11-28.
# Why it matters: a service that is built of restartable actors loses all of them to each user's task that runs out of memory and was
# submitted without retries. Give such tasks a retry, and let them ask for their attempt number if they must not run twice.
# It needs Linux, and user namespaces: the monitor reads a file of this script's in the place of /proc/meminfo, so that no memory is used up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf -- "$work" || { sleep 3; rm -rf -- "$work"; }' EXIT
python3 -m venv "$work/v"
"$work/v/bin/pip" install -qq --disable-pip-version-check 'ray==2.60.0'
export RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 RAY_USAGE_STATS_ENABLED=0
export RAY_memory_usage_threshold=0.5 RAY_memory_monitor_refresh_ms=50 RAY_max_kill_memory_buffer_bytes=1048576
HOME="$work" timeout --kill-after=10 150 unshare -rm "$work/v/bin/python" - "$work" <<'PY'
import os
import pathlib
import subprocess
import sys
import time

import ray

folder = pathlib.Path(sys.argv[1])
meminfo = folder / "meminfo"
TOTAL = 4 * 2**20
changed = []


def check(holds, text):
    print("as seen:" if holds else "CHANGED:", text)
    if not holds:
        changed.append(text)


def free(kib):
    """Let this much memory be free, in the monitor's eyes."""
    amounts = {"MemTotal": TOTAL, "MemFree": kib, "MemAvailable": kib, "Buffers": 0, "Cached": 0, "SReclaimable": 0, "Shmem": 0}
    text = "".join(f"{name + ':':16}{amount:>8} kB\n" for name, amount in amounts.items())
    with open(meminfo, "r+" if meminfo.exists() else "w") as file:
        file.write(text)


def hold(path, size):
    kept = b"x" * size
    pathlib.Path(path).write_text(str(os.getpid()))
    time.sleep(3600)
    return len(kept)


def out_of_memory(name, retries):
    """Which processes end when a task of 200 MB uses up the memory; a task of its own, and a small actor is there."""
    path = folder / name
    task = ray.remote(hold).options(num_cpus=1, max_retries=retries).remote(str(path), 200 * 2**20)
    while not path.exists() or not path.read_text():
        time.sleep(0.02)
    pids = {"actor": ray.get(actor.pid.remote()), "task": int(path.read_text())}
    free(TOTAL // 2 - 30 * 2**10)  # 30 MB too little: less than the actor has
    while all(os.path.exists(f"/proc/{pid}") for pid in pids.values()):
        time.sleep(0.01)
    free(TOTAL // 4 * 3)
    time.sleep(1)
    ended = {what for what, pid in pids.items() if not os.path.exists(f"/proc/{pid}")}
    ray.cancel(task, force=True)
    return ended


class Small:
    def pid(self):
        return os.getpid()


free(TOTAL // 4 * 3)
subprocess.check_call(["mount", "--bind", str(meminfo), "/proc/meminfo"])
ray.init(
    address="local",
    num_cpus=2,
    include_dashboard=False,
    object_store_memory=100 * 2**20,
    log_to_driver=False,
    logging_level="ERROR",
    _node_ip_address="127.0.0.1",
    _temp_dir=str(folder / "r"),
)
try:
    actor = ray.remote(Small).options(num_cpus=0, max_restarts=-1, max_task_retries=-1).remote()
    ray.get(actor.pid.remote())
    ended = out_of_memory("without", retries=0)
    check(ended == {"actor"}, f"a task of 200 MB without retries beside an actor of 60 MB with restarts: ended {sorted(ended)}")
    ended = out_of_memory("with", retries=1)
    check(ended == {"task"}, f"control, with one retry: ended {sorted(ended)}")
finally:
    ray.shutdown()
sys.exit(1 if changed else 0)
PY
