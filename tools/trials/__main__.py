"""Kills, S3 faults, clock steps and full disks against real processes, for as long as you like.

Run it with ``hatch run trials --minutes 60``. It prints a line for each trial and a table at the end, and writes
``trials-output/trials.json``. If anything was lost it fails, and keeps what that trial has written. What is tried, and
how to read the table: ``docs/design/trials.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import ExitStack, closing, suppress
from pathlib import Path

os.environ["RAY_AUTH_MODE"] = "disabled"  # as the clusters of trials have it; before Ray is imported

from rich.console import Console
from rich.status import Status

from tools.trials.invariants import Observed
from tools.trials.machines import Machines, machines
from tools.trials.notebooks import read_notes
from tools.trials.places import S3, can_mount, disk
from tools.trials.plan import KINDS, Trial, plan
from tools.trials.table import Result, faults_of, line_of, record_of, result_of, table_of
from tools.trials.world import World

OUTPUT = Path("trials-output")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="begin no trial after so many (10)")
    parser.add_argument("--trials", type=int, default=10**9, help="at most so many")
    parser.add_argument("--seed", type=int, help="of the first trial; the next one has the next number")
    parser.add_argument("--only", choices=KINDS, help="trials of this kind alone; else the seed says which")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long things go wrong in one trial (20)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"where trials.json is written ({OUTPUT}/)")
    asked = parser.parse_args()
    console = Console(width=150, highlight=False)
    folder = Path(tempfile.mkdtemp(prefix="tr-"))  # short: Ray's sockets are below it
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
    small_disks = can_mount(folder)
    if not small_disks:
        console.print("No disk can be filled: this process may not mount a small one. Run it as root for that.")
        if asked.only == "disk":
            sys.exit(2)
    first = secrets.randbelow(10**6) if asked.seed is None else asked.seed
    seeds = range(first, first + asked.trials)
    trials = (plan(seed, asked.only, seconds=asked.seconds, small_disks=small_disks) for seed in seeds)
    campaign = Campaign(console, asked)
    for each in (signal.SIGINT, signal.SIGTERM):  # a shell lets what it runs in the background ignore the first
        signal.signal(each, signal.default_int_handler)
    with machines(folder) as nodes, console.status("") as status, suppress(KeyboardInterrupt):
        campaign.carry_out(trials, folder, nodes, status)
    if campaign.tell(first):
        shutil.rmtree(folder, ignore_errors=True)  # Ray's last processes write logs there
    else:
        sys.exit(1)


class Campaign:
    """Trials one after the other, and what they have come to."""

    def __init__(self, console: Console, asked: argparse.Namespace) -> None:
        self._console = console
        self._asked = asked
        self._results: list[Result] = []
        self._failed: dict[int, str] = {}

    def carry_out(self, trials: Iterable[Trial], folder: Path, nodes: Machines, status: Status) -> None:
        """Carry trials out until there are no more, or the time is over."""
        deadline = time.monotonic() + self._asked.minutes * 60
        with ExitStack() as stack:
            s3: S3 | None = None
            for trial in trials:
                if time.monotonic() > deadline:
                    return
                kills = sum(each.kills for each in self._results)
                lost = sum(len(each.losses) for each in self._results)
                status.update(f"trial {trial.seed} ({trial.kind}); so far {kills} kills and {lost} losses")
                if trial.store == "s3" and s3 is None:
                    s3 = stack.enter_context(closing(S3()))
                try:
                    result = try_it(trial, folder, nodes, s3)
                except Exception as error:  # noqa: BLE001 - a night goes on: it is told, and is no trial
                    nodes.end()
                    self._failed[trial.seed] = repr(error)
                    self._console.print_exception()
                else:
                    self._results.append(result)
                    self._tell_one(result)

    def tell(self, first: int) -> bool:
        """Print and write down what all have come to; whether all went well."""
        asked, print_ = self._asked, self._console.print
        print_(table_of(self._results))
        print_(f"Went wrong on purpose: {faults_of(self._results)}")
        if self._failed:
            print_(f"{len(self._failed)} trials could not be carried out: {self._failed}", markup=False)
        asked.output.mkdir(parents=True, exist_ok=True)
        path = asked.output / "trials.json"
        more = {"seed": first, "only": asked.only, "seconds": asked.seconds, "failed": self._failed}
        path.write_text(json.dumps(record_of(self._results, **more), indent=2))
        print_(f"Written to {path.resolve()}", soft_wrap=True)
        return not self._failed and not any(each.losses for each in self._results)

    def _tell_one(self, result: Result) -> None:
        self._console.print(line_of(result))
        for loss in result.losses:
            self._console.print(f"  LOST: {loss.rule}: {loss.what}", markup=False, soft_wrap=True)
        if result.losses:
            only = f" --only {self._asked.only}" if self._asked.only else ""
            again = f"hatch run trials --seed {result.seed} --trials 1 --seconds {self._asked.seconds:g}{only}"
            self._console.print(f"  Kept in {result.folder}. Again: {again}", markup=False, soft_wrap=True)


def try_it(trial: Trial, folder: Path, nodes: Machines, s3: S3 | None) -> Result:
    """Carry one trial out."""
    here = folder / f"{trial.seed}"
    here.mkdir()
    began = time.monotonic()
    if trial.store == "s3":
        assert s3 is not None, "it was started"
        with s3.store(f"trial-{trial.seed}", here) as store:
            world = World(trial, here, nodes, store, proxy=s3.proxy)
            seen = observe(world)
    else:
        with disk(here, small=trial.store == "small disk") as (store, small):
            world = World(trial, here, nodes, store, disk=small)
            seen = observe(world)
    found = result_of(trial, seen, world.done, time.monotonic() - began, str(here))
    if not found.losses:
        shutil.rmtree(here)
    return found


def observe(world: World) -> Observed:
    """What is seen of a trial while it is carried out, and afterwards."""
    world.run()
    audit = world.audit()
    starts = defaultdict[str, set[str]](set)
    for mark in (world.folder / "marks").iterdir():
        uid, _, attempt = mark.name.removeprefix("start-").rpartition("-")
        starts[uid].add(attempt)
    return Observed(
        runs=world.trial.runs,
        notebooks=[read_notes(each.log) for each in world.notebooks],
        audit=audit,
        starts={uid: frozenset(attempts) for uid, attempts in starts.items()},
        left=world.left,
        accidents=world.accidents,
    )


if __name__ == "__main__":
    main()
