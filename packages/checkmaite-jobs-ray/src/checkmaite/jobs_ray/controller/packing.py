"""The short jobs of one controller, which runners ask it for; see core's `Packing`."""

from __future__ import annotations

from attrs import frozen
from checkmaite.jobs.spi import MOST_PACKED_BYTES, Cancelled, Failed, Finished, ShortJob, accelerators_of
from checkmaite.jobs.spi import Packing as _Packing
from checkmaite.jobs_ray.controller.machine import ControllerMachine
from checkmaite.jobs_ray.wire import AttemptId, Launch, attempt_of

_AHEAD = 4


def is_packed(launch: Launch) -> bool:
    """Whether a job shares a runner: one that is short, needs no process of its own, and is small."""
    spec = launch.spec
    return (
        (launch.is_short or spec.resources.short)
        and spec.policy.isolation == "reuse"
        and not accelerators_of(spec.resources)
        and isinstance(spec.payload, bytes)
        and len(spec.payload) <= MOST_PACKED_BYTES
    )


@frozen
class _Launches:
    """What the machine knows of short jobs, and is told of them."""

    machine: ControllerMachine

    def described(self, job: Launch) -> ShortJob[Launch]:
        """The jobs of one runner have context and resources in common."""
        spec = job.spec
        return ShortJob(attempt_of(job), (spec.context, spec.resources), spec.capability_id, len(spec.payload), job)

    def begins(self, start: AttemptId, now: float) -> bool:
        """See `ControllerMachine.begins`."""
        return self.machine.begins(start, now)

    def ended(self, start: AttemptId, finished: Finished, now: float) -> None:
        """It has ended."""
        if finished.printed is not None:
            self.machine.printed(start, finished.printed)
        self.machine.ended(
            start,
            finished.outcome,
            worker_lost=False,
            now=now,
            started=finished.started,
            used=finished.used,
            took_s=finished.took_s,
        )

    def cancelled(self, start: AttemptId, now: float) -> None:
        """It was stopped before a runner had it."""
        self.machine.ended(start, Cancelled(), worker_lost=False, now=now)

    def doubted(self, start: AttemptId, failed: Failed, now: float) -> None:
        """It was lost with its runner, and may have stored its run: the registry looks."""
        self.machine.ended(start, failed, worker_lost=True, now=now, counts=False, in_doubt=True)


class Packing(_Packing[Launch]):
    """The short jobs of one controller.

    Args:
        prefix: Ids of runners begin so; another one for each start of the controller's process.
        machine: The controller's.
    """

    def __init__(self, prefix: str, machine: ControllerMachine) -> None:
        super().__init__(prefix, _Launches(machine), ahead=_AHEAD)
