"""What a worker does with one job: run the capability, write the results durably, say how it ended.

Every backend uses it, and it is all that a worker needs. The user's objects travel as opaque bytes beside the order.
"""

from __future__ import annotations

import pickle
import sys
import time
from collections.abc import Callable
from contextvars import copy_context
from datetime import UTC, datetime
from typing import Any

from attrs import frozen
from checkmaite.jobs._shared.code import WrongProcessError, check_imports, enter
from checkmaite.jobs._shared.errors import IncompatibleVersionError
from checkmaite.jobs._shared.job_info import Used
from checkmaite.jobs._shared.naming import plain_text
from checkmaite.jobs._shared.news import Post, Printed, Reporter, Started
from checkmaite.jobs._shared.order import Wire, WorkOrder
from checkmaite.jobs._shared.outcome import Cancelled, Outcome
from checkmaite.jobs._shared.probing import ready_store
from checkmaite.jobs._shared.running import reporting
from checkmaite.jobs._shared.sealing import opened
from checkmaite.jobs._shared.staged import opening
from checkmaite.jobs._shared.store_protocols import AnalyticsStore
from checkmaite.jobs._workers.failing import failure
from checkmaite.jobs._workers.hygiene import WorkerProcess, for_one_job, from_fresh_entropy, suspect
from checkmaite.jobs._workers.interrupt import Interrupt
from checkmaite.jobs._workers.measuring import watch_memory
from checkmaite.jobs._workers.outages import patiently, until_stored
from checkmaite.jobs._workers.output import captured
from checkmaite.jobs._workers.report import collect_report
from checkmaite.jobs._workers.run_span import RunSpan, export_spans
from checkmaite.jobs._workers.salvaging import keep_rows, remembering
from checkmaite.jobs._workers.storing import found_result, keep_result
from checkmaite.jobs._workers.termination import ended_by_sigterm
from checkmaite.jobs._workers.unstaging import opener

Arguments = tuple[Any, Any, Any, Any, Any]
"""Capability, models, datasets, metrics, config."""
Say = Callable[[str], object]
"""Is told what a job waits for, as its progress; an empty text when it waits no more."""


@frozen(kw_only=True)
class Finished:
    """What `execute` returns.

    Attributes:
        outcome: How the job ended.
        printed: The output that no news has carried yet.
        started: What the worker says of itself; a short job has not announced it.
        used: What the process has used at most.
        took_s: How long all of it took; None where it is not known.
    """

    outcome: Outcome
    printed: Printed | None = None
    started: Started | None = None
    used: Used | None = None
    took_s: float | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _finished, (self.outcome, self.printed, self.started, self.used, self.took_s)


def _finished(
    outcome: Outcome, printed: Printed | None, started: Started | None, used: Used | None, took_s: float | None
) -> Finished:
    return Finished(outcome=outcome, printed=printed, started=started, used=used, took_s=took_s)


def execute(
    order: Wire,
    payload: bytes | memoryview,
    post: Post | None = None,
    process: WorkerProcess | None = None,
    interrupt: Interrupt | None = None,
) -> Finished:
    """Carry out one order in a worker process, one at a time. The only function that a worker needs.

    Args:
        order: `WorkOrder.to_wire`'s value.
        payload: The pickled `Arguments`.
        post: Where news of the job goes; None sends none.
        process: What becomes of this process, if it is a worker's own: after the job it is clean, or leaves.
        interrupt: The job's, where the caller has a say in it.

    Returns:
        How the job ended; no exception of the user's code leaves this function.
    """
    try:
        read = WorkOrder.from_wire(order)
        if read.terms.code is not None:
            enter(read.terms.code)
    except (IncompatibleVersionError, WrongProcessError) as error:
        return Finished(outcome=failure(error, phase="start"))
    began = time.monotonic()  # before the reporter notes the date, so that both together are not before the write
    reporter, interrupt, used = Reporter(read.job_id, post), interrupt or Interrupt(), watch_memory()

    def load(say: Say) -> Arguments:
        folder = None if process is None else process.node_folder
        with opening(opener(read.terms.store, folder, say)):
            arguments: Arguments = pickle.loads(  # noqa: S301 - the submitter sent it, and running its code is the point
                opened(payload, read.job_id)
            )
        if process is not None:
            from_fresh_entropy()  # after the modules were imported that have generators
            export_spans(read.trace)  # after those that may have seen to it themselves
        return arguments

    def work(before_write: Callable[[], None]) -> Outcome:
        try:
            return carry_out(
                read,
                load=load,
                open_store=lambda: ready_store(read.terms.store),
                reporter=reporter,
                interrupt=interrupt,
                before_write=before_write,
            )
        except BaseException as error:  # noqa: BLE001 - a tracer of the job's raises wherever anything is called
            raised = error
        finally:
            # Here, because Python 3.11 may spin where tracing ends while a generator's context manager exits; and in
            # this frame, because a call would be traced. Each time that a tracer raises, Python stops it.
            while process is not None:
                try:
                    sys.settrace(None)
                    sys.setprofile(None)
                    break
                except BaseException:  # noqa: BLE001, S112 - it is the tracer's own
                    continue
        return failure(raised, phase="run")

    with (
        captured(reporter),
        ended_by_sigterm(reporter.last_words),
        interrupt.from_signals(),
        for_one_job(process) as before_write,
    ):
        outcome = copy_context().run(work, before_write)
    took_s = time.monotonic() - began
    return Finished(outcome=outcome, printed=reporter.close(), started=reporter.started, used=used(), took_s=took_s)


def carry_out(
    order: WorkOrder,
    *,
    load: Callable[[Say], Arguments],
    open_store: Callable[[], AnalyticsStore],
    reporter: Reporter,
    interrupt: Interrupt,
    before_write: Callable[[], object] | None = None,
) -> Outcome:
    """Run one order on this thread.

    Args:
        order: What to do.
        load: Gives the user's objects; called once, with what is told what it waits for.
        open_store: Gives the store to write to.
        reporter: Takes what the job reports; the caller sees to what it prints.
        interrupt: Says whether the job was asked to stop; the caller has armed it for this thread.
        before_write: Called when the user's code has run, before anything is written.
    """
    phase = _Phase()
    try:
        with reporting(reporter):
            return _run(order, load, open_store, reporter, interrupt, phase, before_write)
    except KeyboardInterrupt as error:
        return (
            Cancelled()
            if interrupt.may_have_raised
            else failure(error, phase=phase.name, kept=phase.kept, keep=reporter.remark)
        )
    except BaseException as error:  # noqa: BLE001 - the user's code may raise anything, and all of it must reach the submitter
        suspect(error)
        # sys.exit() and the like end the job, not the worker
        return failure(error, phase=phase.name, kept=phase.kept, keep=reporter.remark)


class _Phase:
    """What the worker is doing, for the message when it fails."""

    name = "start"
    kept = ""  # where the rows are, when they could not be stored


def _run(
    order: WorkOrder,
    load: Callable[[Say], Arguments],
    open_store: Callable[[], AnalyticsStore],
    reporter: Reporter,
    interrupt: Interrupt,
    phase: _Phase,
    before_write: Callable[[], object] | None,
) -> Outcome:
    def say(text: str) -> None:
        reporter.progress_note = 0, None, text, time.time()

    phase.name = "store"
    store = reporter.store = patiently(open_store, say)
    phase.name = "load"
    capability, models, datasets, metrics, config = load(say)
    phase.name = "write"
    found = patiently(lambda: found_result(store, order, plain_text(capability.id)), say)
    if found is not None:
        return found
    phase.name = "load"
    check_imports()
    phase.name = "run"
    with RunSpan(order, capability, reporter.started):
        run = capability.run(models=models, datasets=datasets, metrics=metrics, config=config, use_cache=False)
    del models, datasets, metrics
    draft = collect_report(run, threshold=order.report_threshold, interrupt=interrupt)
    check_imports()
    phase.name = "write"
    remembered = remembering(run)
    with interrupt.shielded():
        if before_write is not None:
            before_write()
        provenance = order.provenance(completed_at=datetime.now(UTC))

        def keep() -> Outcome:
            return keep_result(remembered, draft, store=store, order=order, provenance=provenance)

        def save(error: Exception) -> str:
            return keep_rows(
                remembered,
                error,
                store=store,
                artifacts=order.terms.store.artifacts,
                provenance=provenance,
                report=draft.report if draft.content is None else None,
            )

        try:
            return until_stored(keep, say, limit_s=order.terms.store.retry_s, interrupt=interrupt)
        except KeyboardInterrupt as stopped:
            if isinstance(error := stopped.__cause__, Exception):
                reporter.remark(f"The job was stopped while its results waited to be stored. {save(error)}\n")
            raise
        except Exception as error:
            phase.kept = save(error)
            raise
