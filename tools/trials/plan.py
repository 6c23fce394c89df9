"""What one trial does and suffers, from its seed alone: the same seed gives the same plan."""

from __future__ import annotations

import random
from collections.abc import Callable

from attrs import frozen

KINDS = ("kills", "s3", "clock", "disk", "mixed")
"""What goes wrong in a trial; `mixed` has kills beside one or two of the others."""
KILLS = ("worker", "controller", "registry", "client", "node", "cluster")
S3_FAULTS = ("500", "503", "409", "cut", "lost-reply", "slow")
MACHINES = ("head", "work", "notebook-0", "notebook-1")
"""Whose clocks are set: those of the two nodes, and of the machines where notebooks run."""
WORK_NODE = "work"
ROWS = 3

_STEPS_S = (-3_600.0, -40.0, 40.0, 3_600.0, 2_592_000.0)
_KILL_WEIGHTS = {"worker": 10, "controller": 4, "registry": 4, "client": 3, "node": 1, "cluster": 1}
_SLOW_KILLS = {"node": 2, "cluster": 1}
"""Those after which seconds go by until anything runs again: at most so many in a trial."""


@frozen
class Run:
    """One run that a notebook submits.

    Attributes:
        uid: The run's, and the job's name.
        fails: Whether it raises.
        seconds: How long it runs.
        ballast: Bytes in its payload.
        cancel: Whether the notebook cancels the job as soon as it has its handle.
    """

    uid: str
    fails: bool = False
    seconds: float = 0.0
    ballast: int = 0
    cancel: bool = False


@frozen
class Batch:
    """Runs that are submitted in one call, so many seconds after the beginning."""

    at_s: float
    runs: tuple[Run, ...]


@frozen
class Kill:
    """A process, or all of a node or cluster, is killed by SIGKILL. `number` says which of several."""

    at_s: float
    what: str
    number: int


@frozen
class S3Fault:
    """A share of all requests to S3 goes wrong in one way, for so many seconds."""

    at_s: float
    what: str
    share: float
    seconds: float


@frozen
class ClockStep:
    """A machine's clock is set, from one moment to the next."""

    at_s: float
    machine: str
    seconds: float


@frozen
class FullDisk:
    """The disk of store and journal has no byte left, for so many seconds."""

    at_s: float
    seconds: float


Fault = Kill | S3Fault | ClockStep | FullDisk


@frozen
class Trial:
    """One trial.

    Attributes:
        seed: Gives all of it.
        kind: One of `KINDS`.
        store: Where store and journal are: on a ``disk``, on a ``small disk``, or on ``s3``.
        controllers: How many.
        notebooks: What each client submits. Some runs are in several.
        faults: What goes wrong, by time.
    """

    seed: int
    kind: str
    store: str
    controllers: int
    notebooks: tuple[tuple[Batch, ...], ...]
    faults: tuple[Fault, ...]

    @property
    def runs(self) -> dict[str, Run]:
        """Every run by its uid."""
        return {run.uid: run for batches in self.notebooks for batch in batches for run in batch.runs}


def plan(seed: int, only: str | None = None, *, seconds: float = 20.0, small_disks: bool = True) -> Trial:
    """The trial of a seed.

    Args:
        seed: Any number.
        only: One of `KINDS`; else the seed says which.
        seconds: For how long notebooks submit and faults come.
        small_disks: Whether there can be any; else clocks are set where a disk would be full.
    """
    dice = random.Random(seed)
    kind = dice.choices(KINDS, (3, 1, 1, 1, 4))[0]
    kind = only or kind
    others = _with_kills(dice) if kind == "mixed" else {kind}
    if "disk" in others and not small_disks:
        kind, others = ("clock", {"clock"}) if kind == "disk" else (kind, {"kills", "clock"})
    faults = [fault for other in sorted(others) for fault in _FAULTS[other](dice, seconds)]
    place = dice.choice(("disk", "disk", "s3"))
    return Trial(
        seed=seed,
        kind=kind,
        store="s3" if "s3" in others else "small disk" if "disk" in others else place,
        controllers=dice.choice((1, 1, 2)),
        notebooks=_notebooks(dice, seconds),
        faults=tuple(sorted(faults, key=lambda each: each.at_s)),
    )


def _with_kills(dice: random.Random) -> set[str]:
    also = {"clock"} if dice.random() < 0.5 else set()
    return {"kills", dice.choice(("s3", "clock", "disk")), *also}


def _kills(dice: random.Random, seconds: float) -> list[Fault]:
    """About one a second, some of them at the same moment."""
    found: list[Fault] = []
    slow = dict(_SLOW_KILLS)
    at_s = 0.0
    while (at_s := at_s + dice.choice((0.0, 0.3, 1.0, 1.0, 1.5, 2.0))) < seconds:
        what = dice.choices(list(_KILL_WEIGHTS), list(_KILL_WEIGHTS.values()))[0]
        if what in slow:
            slow[what] -= 1
            if slow[what] < 0:
                what = "worker"
        found.append(Kill(at_s, what, dice.randrange(100)))
    return found


def _s3_faults(dice: random.Random, seconds: float) -> list[Fault]:
    found: list[Fault] = []
    at_s = dice.uniform(0, 2)
    while at_s < seconds:
        lasts_s = dice.uniform(1, 5)
        found.append(S3Fault(at_s, dice.choice(S3_FAULTS), dice.choice((0.2, 0.5, 1.0)), lasts_s))
        at_s += lasts_s + dice.uniform(0.5, 3)
    return found


def _clock_steps(dice: random.Random, seconds: float) -> list[Fault]:
    found: list[Fault] = []
    at_s = dice.uniform(0, 2)
    while at_s < seconds:
        found.append(ClockStep(at_s, dice.choice(MACHINES), dice.choice(_STEPS_S)))
        at_s += dice.uniform(0.5, 4)
    return found


def _full_disks(dice: random.Random, seconds: float) -> list[Fault]:
    found: list[Fault] = []
    at_s = dice.uniform(0, 2)
    while at_s < seconds:
        lasts_s = dice.uniform(1, 6)
        found.append(FullDisk(at_s, lasts_s))
        at_s += lasts_s + dice.uniform(1, 4)
    return found


_FAULTS: dict[str, Callable[[random.Random, float], list[Fault]]] = {
    "kills": _kills,
    "s3": _s3_faults,
    "clock": _clock_steps,
    "disk": _full_disks,
}


def _notebooks(dice: random.Random, seconds: float) -> tuple[tuple[Batch, ...], ...]:
    """Two that submit for all of the time; one run in eight is in both."""
    found: tuple[list[Batch], list[Batch]] = [], []
    number = 0
    for own, others in ((found[0], found[1]), (found[1], found[0])):
        at_s = 0.0
        while at_s < seconds:
            runs = []
            for _ in range(dice.choice((1, 1, 4, 8))):
                runs.append(_run(dice, f"run-{number}"))
                number += 1
            own.append(Batch(at_s, tuple(runs)))
            if dice.random() < 0.25:
                others.append(Batch(at_s, tuple(runs[:2])))
            at_s += dice.uniform(0.3, 3)
    return tuple(tuple(sorted(each, key=lambda batch: batch.at_s)) for each in found)


def _run(dice: random.Random, uid: str) -> Run:
    return Run(
        uid,
        fails=dice.random() < 0.05,
        seconds=dice.choice((0.0, 0.1, 0.5, 1.5)),
        ballast=60_000 if dice.random() < 0.05 else 0,
        cancel=dice.random() < 0.06,
    )


def kind_of(fault: Fault) -> str:
    """What a fault is counted as."""
    match fault:
        case Kill(what=what):
            return f"{what} killed"
        case S3Fault(what=what):
            return f"S3: {what}"
        case ClockStep():
            return "clock set"
        case FullDisk():
            return "disk full"
