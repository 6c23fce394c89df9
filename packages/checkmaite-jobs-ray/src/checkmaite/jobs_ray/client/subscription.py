"""Keeps the handles of this process's jobs up to date: one parked call to the registry, however many jobs there are."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager

from checkmaite.jobs import BackendUnavailableError, FailureKind, JobsError
from checkmaite.jobs.spi import Failed
from checkmaite.jobs_ray.client.cluster import BrokenOffError, Calls, ParkedCalls
from checkmaite.jobs_ray.client.job import RayJob
from checkmaite.jobs_ray.wire import Change, Context, Cursor, JobFacts

_log = logging.getLogger("checkmaite.jobs")
_LONGEST_WAIT_S = 20.0
_LEAST_PATIENCE_S = 20.0
"""What a client that lets single calls wait for less gives a registry to come back before its handles are lost."""
_AGAIN_S = 0.5
_REST_S = 1.0
"""A thread that has nothing to listen for rests so long: where one job follows another, none has to be started."""
_MOST_AHEAD = 100_000
"""Changes that are kept for answers on their way; the oldest is dropped."""
_JOIN_TIMEOUT_S = 5.0
_UNKNOWN = (
    "the registry does not know it: it died, and what it knew of the job with it, or it lists the job no more, because "
    "terminal_job_retention_s or max_retained_terminal_jobs_per_scope passed while it could not tell this client"
)


class Subscription:
    """Keeps the handles of live jobs up to date, from a thread that asks nothing when there are none, and soon ends.

    Args:
        calls: The registry.
        scope: The client's.
        context: What a registry that has begun anew may have to be told again; None of who submits nothing there.
        proof: What is shown for the scope's key; None for no key.
        patience_s: How late an answer may be. A registry that cannot be reached for so long is given up, and so are the
            handles.
        idle: Called when the last live job is final.
    """

    def __init__(
        self,
        calls: Calls,
        scope: str,
        context: Context | None,
        proof: bytes | None = None,
        *,
        patience_s: float,
        idle: Callable[[], object],
    ) -> None:
        self.client = secrets.token_hex(8)
        self._parked = ParkedCalls(calls)
        self._here = scope, context, proof
        self._patience_s = patience_s
        self._wait_s = min(_LONGEST_WAIT_S, patience_s)
        self._idle = idle
        self._lock = threading.Lock()
        self._live: dict[str, list[RayJob]] = {}
        """The handles of each job: one for each thing that was decided about submissions that it answers."""
        self._asking = 0
        self._ahead: dict[str, JobFacts | Change] = {}
        """While the registry is asked, the last news of jobs that no answer has named yet, and of those that have
        ended: an answer that was given before, and comes later, knows less."""
        self._cursor = Cursor("", 0)
        self._unsure: set[str] = set()
        """Live jobs that the registry may have been told to follow before it began anew."""
        self._thread: threading.Thread | None = None
        self._resting: threading.Thread | None = None
        self._is_needed = threading.Event()
        """The thread that rests is to go on."""
        self._closed = False

    def handle(self, job_id: str) -> RayJob | None:
        """The handle of a live job that this process has already, the first if there are several."""
        return next(iter(self._live.get(job_id, ())), None)

    @property
    def known_as(self) -> str:
        """What the registry calls this subscription to all live jobs; something else once it has begun anew."""
        return self._cursor.subscription

    @contextmanager
    def asking(self) -> Iterator[str]:
        """Within the block the registry is asked for jobs; gives what `known_as` is before that."""
        with self._lock:
            self._asking += 1
            known_as = self.known_as
        try:
            yield known_as
        finally:
            with self._lock:
                self._asking -= 1
                if not self._asking:
                    self._ahead.clear()

    def handles(
        self, found: Iterable[JobFacts], make: Callable[[JobFacts], RayJob], asked: str | None = None
    ) -> list[RayJob]:
        """The handle that this process has of each of these jobs, kept up to date until it is final.

        There is one for a job and what was decided: who submits a run that is under way is told that it was joined.

        Args:
            found: What the registry said of them; whoever said it knew then that this client follows them.
            make: Makes a handle.
            asked: What `asking` gave. When it is another one now, the jobs are followed again, for the answer may be
                the last of a registry that has died. None: nothing can have happened.
        """
        handles: list[RayJob] = []
        told: list[tuple[RayJob, JobFacts | Change]] = []
        with self._lock:
            for facts in found:
                known = self._live.get(facts.job_id, [])
                told += [(each, facts) for each in known]
                job = next((each for each in known if each.reuse == facts.reuse), None)
                if job is None:
                    job = make(facts)
                    if job.outcome is None:
                        self._live[job.job_id] = [*known, job]
                        if asked is not None and asked != self.known_as:
                            self._unsure.add(job.job_id)
                    if (ahead := self._ahead.get(job.job_id)) is not None:
                        told.append((job, ahead))
                handles.append(job)
            if self._live and self._thread is None and not self._closed:
                self._begin()
        for job, said in told:
            self._tell(job, said)
        return handles

    def live(self) -> list[RayJob]:
        """A handle of each job that is not final, oldest first."""
        with self._lock:
            return [jobs[0] for jobs in self._live.values()]

    def fall_silent(self) -> None:
        """Listen no more: nothing asks Ray for anything after this."""
        self._closed = True
        self._parked.break_off()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_JOIN_TIMEOUT_S)

    def close(self, why: str) -> None:
        """Listen no more; jobs that are not final are lost to this process."""
        self.fall_silent()
        self._lose(self.live(), why)

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Listen while there are live jobs. A registry is silent while a call is parked: patience begins after."""
        reached_at = time.monotonic()
        while True:
            try:
                self._hear()
                reached_at = time.monotonic()
            except BrokenOffError:
                return
            except BackendUnavailableError as error:
                self._give_up_after(reached_at, error)
            except JobsError as error:
                self._lose(self.live(), str(error))
            except Exception as error:  # noqa: BLE001 - whatever Ray raises here, handles must not wait for ever
                _log.exception("the news of the registry could not be heard")
                self._give_up_after(reached_at, error)
            if self._ends():
                self._idle()
                if not self._rests():
                    return
                reached_at = time.monotonic()

    def _give_up_after(self, reached_at: float, error: Exception) -> None:
        if time.monotonic() - reached_at > self._wait_s + max(self._patience_s, _LEAST_PATIENCE_S):
            self._lose(self.live(), str(error))
        time.sleep(_AGAIN_S)

    def _hear(self) -> None:
        if self._unsure:
            self._follow_unsure()
        wait_s, timeout_s = self._wait_s, self._wait_s + self._patience_s
        answer = self._parked.ask("changes", self.client, self._cursor, wait_s, wait_s / 2, timeout_s=timeout_s)
        if answer is None:
            self._follow_all()
        else:
            self._cursor, changes = answer
            self._take(changes)

    def _begin(self) -> None:
        """Have a thread listen."""
        if self._resting is not None:
            self._thread, self._resting = self._resting, None
            self._is_needed.set()
        else:
            self._thread = threading.Thread(target=self._listen, name="checkmaite-ray-subscription", daemon=True)
            self._thread.start()

    def _ends(self) -> bool:
        with self._lock:
            if self._live and not self._closed:
                return False
            self._thread, self._resting = None, self._thread
            self._is_needed.clear()
            return True

    def _rests(self) -> bool:
        """Do nothing for a moment; whether this thread is needed again."""
        self._is_needed.wait(_REST_S)
        with self._lock:
            if self._resting is not threading.current_thread():
                return True
            self._resting = None
            return False

    def _take(self, changes: Iterable[Change]) -> None:
        for change in changes:
            with self._lock:
                jobs = self._live.get(change.job_id, [])
                if not jobs:  # the answer that names the job is still on its way
                    self._keep(change)
            for job in jobs:
                try:
                    self._tell(job, change)
                except Exception:  # noqa: BLE001 - what one cannot read must not keep the others from their news
                    _log.exception("the news of job %s could not be read", job.job_id)

    def _tell(self, job: RayJob, said: JobFacts | Change) -> None:
        job.learn(said)
        if said.outcome is None:
            return
        with self._lock:
            self._keep(said)
            handles = self._drop(job.job_id)
        for each in handles:  # also one that was made since, of facts that were older
            each.learn(said)

    def _keep(self, said: JobFacts | Change) -> None:
        """Remember the change of a job without a live handle, when an answer may be on its way that knows less."""
        if not self._asking:
            return
        self._ahead.pop(said.job_id, None)
        self._ahead[said.job_id] = said
        if len(self._ahead) > _MOST_AHEAD:
            del self._ahead[next(iter(self._ahead))]

    def _follow_all(self) -> None:
        """Say what is followed to a registry that does not know, or may know the latest only."""
        ids = {job.job_id for job in self.live()}
        known_as = self._follow(ids)
        with self._lock:
            self._cursor = Cursor(known_as, 0)
            self._unsure = self._live.keys() - ids

    def _follow_unsure(self) -> None:
        with self._lock:
            ids = {*self._unsure}
        if self._follow(ids) == self.known_as:  # else the registry has begun anew meanwhile, and will say so
            with self._lock:
                self._unsure -= ids

    def _follow(self, ids: Collection[str]) -> str:
        """Subscribe to these jobs; what the registry calls the subscription. Those that it does not know are lost."""
        known_as: str
        known_as, unknown = self._parked.ask("follow", self.client, [*ids], *self._here, timeout_s=2 * self._wait_s)
        self._lose([job for job in self.live() if job.job_id in set(unknown)], _UNKNOWN)
        return known_as

    def _lose(self, jobs: Iterable[RayJob], why: str) -> None:
        lost = Failed(
            error_type="JobLost",
            error_message=why,
            phase="lost",
            exit_cause=why,
            lost=True,
            kind=FailureKind.FORGOTTEN if why == _UNKNOWN else FailureKind.CANNOT_CONNECT,
            remedy="Configure the backend again; get_job() and list_jobs() show what is still known, and a run that is "
            "not can be submitted again.",
        )
        for job_id in [job.job_id for job in jobs]:
            with self._lock:
                handles = self._drop(job_id)
            for each in handles:
                each.finish(lost)

    def _drop(self, job_id: str) -> list[RayJob]:
        """Follow a job no more; the handles that it had."""
        self._unsure.discard(job_id)
        return self._live.pop(job_id, [])
