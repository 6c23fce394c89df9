"""One scope's jobs in order, and the ways to find them without reading them all."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from checkmaite.jobs import JobStatus
from checkmaite.jobs.spi import LABELS, JobQuery
from checkmaite.jobs_ray.registry.model.record import JobRecord
from checkmaite.jobs_ray.registry.model.retention import FinishTimes
from checkmaite.jobs_ray.registry.model.short_runs import ShortRuns
from checkmaite.jobs_ray.wire import Identity


class Timeline:
    """Job ids in the order of acceptance. Forgotten ones leave gaps, which are closed when they are the half."""

    def __init__(self) -> None:
        self._times = array("d")
        self._ids: list[str | None] = []
        self._gaps = 0

    def __len__(self) -> int:
        return len(self._ids) - self._gaps

    def add(self, job_id: str, created_at: float) -> None:
        """Add a job, as a rule the newest."""
        if not self._times or created_at > self._times[-1]:
            self._times.append(created_at)
            self._ids.append(job_id)
        else:
            place = bisect_right(self._times, created_at)
            self._times.insert(place, created_at)
            self._ids.insert(place, job_id)

    def fill(self, jobs: Sequence[tuple[float, str]]) -> None:
        """Begin with jobs in their order: when each was accepted, and its id."""
        self._times = array("d", [at for at, _ in jobs])
        self._ids = [job_id for _, job_id in jobs]

    def discard(self, job_id: str, created_at: float) -> None:
        """Leave out a job."""
        place = self._ids.index(job_id, bisect_left(self._times, created_at), bisect_right(self._times, created_at))
        self._ids[place] = None
        self._gaps += 1
        if self._gaps * 2 > len(self._ids) + 64:
            kept = [(at, each) for at, each in zip(self._times, self._ids, strict=True) if each is not None]
            self._times = array("d", (at for at, _ in kept))
            self._ids = [each for _, each in kept]
            self._gaps = 0

    def newest_first(self, before: float | None) -> Iterator[str]:
        """Job ids from the newest, or from the newest accepted before an instant, back in time."""
        end = len(self._ids) if before is None else bisect_left(self._times, before)
        for place in range(end - 1, -1, -1):
            job_id = self._ids[place]
            if job_id is not None:
                yield job_id


class Groups:
    """Job ids by some value. A group of one, such as that of a name used once, costs no container."""

    def __init__(self) -> None:
        self._of: dict[str, str | dict[str, None]] = {}

    def __getitem__(self, value: str) -> Collection[str]:
        group = self._of.get(value, ())
        return (group,) if isinstance(group, str) else group

    def add(self, value: str, job_id: str) -> None:
        """Put a job into a group."""
        group = self._of.setdefault(value, job_id)
        if isinstance(group, dict):
            group[job_id] = None
        elif group != job_id:
            self._of[value] = {group: None, job_id: None}

    def fill(self, groups: Mapping[str, Sequence[str]]) -> None:
        """Begin with groups, none of them empty."""
        self._of = {value: ids[0] if len(ids) == 1 else dict.fromkeys(ids) for value, ids in groups.items()}

    def discard(self, value: str, job_id: str) -> None:
        """Take a job out of a group."""
        group = self._of[value]
        if isinstance(group, dict):
            del group[job_id]
        if not group or group == job_id:
            del self._of[value]


class ScopeIndex:
    """Finds the jobs of one scope by run key, status, label and time."""

    def __init__(self) -> None:
        self.live: dict[Identity, str] = {}
        """Live jobs by run key and what they stand on."""
        self.completed: dict[str, str] = {}
        """Run key to the job that completed last."""
        self.finished: deque[str] = deque()
        """Final jobs in the order in which they became so."""
        self.finish_times = FinishTimes()
        self.short_runs = ShortRuns()
        self._timeline = Timeline()
        self._statuses: dict[JobStatus, dict[str, None]] = {status: {} for status in JobStatus}
        self._live_of = Groups()
        self._labels = {name: Groups() for name in LABELS}
        self._tagged = Groups()

    @classmethod
    def of(cls, records: Sequence[JobRecord]) -> ScopeIndex:
        """The index of jobs that are known from before; those that are final in the order in which they became so."""
        index = cls()
        ids: defaultdict[JobStatus, list[str]] = defaultdict(list)
        labels: list[tuple[str, defaultdict[str, list[str]]]] = [(name, defaultdict(list)) for name in LABELS]
        live_of: defaultdict[str, list[str]] = defaultdict(list)
        tagged: defaultdict[str, list[str]] = defaultdict(list)
        for record in records:
            spec, status = record.spec, record.status
            job_id = spec.job_id
            ids[status].append(job_id)
            for name, jobs in labels:
                if (value := getattr(spec, name)) is not None:
                    jobs[value].append(job_id)
            for tag in spec.tags:
                tagged[_group_of(tag)].append(job_id)
            if record.is_live:
                index.live[spec.identity] = job_id
                live_of[spec.run_key].append(job_id)
            else:
                index.finished.append(job_id)
                index.short_runs.note(record)
                if status is JobStatus.COMPLETED:
                    index.completed[spec.run_key] = job_id
        index._statuses.update((status, dict.fromkeys(jobs)) for status, jobs in ids.items())
        index._live_of.fill(live_of)
        for name, jobs in labels:
            index._labels[name].fill(jobs)
        index._tagged.fill(tagged)
        index._timeline.fill(sorted((record.created_at, record.spec.job_id) for record in records))
        return index

    def add(self, record: JobRecord) -> None:
        """Take in an accepted job."""
        spec = record.spec
        if self.live.setdefault(spec.identity, spec.job_id) == spec.job_id:
            self._live_of.add(spec.run_key, spec.job_id)
        self._timeline.add(spec.job_id, record.created_at)
        self._statuses[record.status][spec.job_id] = None
        for name, groups in self._labels.items():
            if (value := getattr(spec, name)) is not None:
                groups.add(value, spec.job_id)
        for tag in spec.tags:
            self._tagged.add(_group_of(tag), spec.job_id)

    def update(self, before: JobStatus, record: JobRecord, now: float) -> None:
        """Take in that a job's status is no longer `before`, since `now`."""
        job_id, run_key = record.spec.job_id, record.spec.run_key
        del self._statuses[before][job_id]
        self._statuses[record.status][job_id] = None
        if record.status.is_final:
            if self.live.get(record.spec.identity) == job_id:
                del self.live[record.spec.identity]
                self._live_of.discard(run_key, job_id)
            self._finish(record)
            self.finish_times.note(now)

    def _finish(self, record: JobRecord) -> None:
        self.finished.append(record.spec.job_id)
        self.short_runs.note(record)
        if record.status is JobStatus.COMPLETED:
            self.completed[record.spec.run_key] = record.spec.job_id

    def forget_oldest(self, record: JobRecord) -> None:
        """Leave out the job that has been final for longest."""
        spec = record.spec
        oldest = self.finished.popleft()
        self.finish_times.forget()
        assert oldest == spec.job_id, f"{oldest} ended before {spec.job_id}"
        if self.completed.get(spec.run_key) == spec.job_id:
            del self.completed[spec.run_key]
        self._timeline.discard(spec.job_id, record.created_at)
        del self._statuses[record.status][spec.job_id]
        for name, groups in self._labels.items():
            if (value := getattr(spec, name)) is not None:
                groups.discard(value, spec.job_id)
        for tag in spec.tags:
            self._tagged.discard(_group_of(tag), spec.job_id)

    def __len__(self) -> int:
        return len(self._timeline)

    def live_of(self, run_key: str) -> list[str]:
        """The live jobs of a run, which differ in what they stand on, as a rule the newest first."""
        return [*self._live_of[run_key]][::-1]

    def count(self, status: JobStatus) -> int:
        """How many jobs are in a status."""
        return len(self._statuses[status])

    def counts(self) -> dict[JobStatus, int]:
        """How many jobs there are, by status; without those that are none."""
        return {status: len(ids) for status, ids in self._statuses.items() if ids}

    def newest(self) -> str | None:
        """The job that was accepted last."""
        return next(self._timeline.newest_first(None), None)

    def with_status(self, *statuses: JobStatus) -> Iterator[str]:
        """Ids of the jobs in one of these statuses."""
        for status in statuses:
            yield from self._statuses[status]

    def matching(self, query: JobQuery, find: Callable[[str], JobRecord]) -> list[JobRecord]:
        """The jobs that a query wants, newest first."""
        found: list[JobRecord] = []
        after, labels = query.submitted_after_ts, query.labels.items()
        for record in map(find, self._candidates(query, find)):
            if after is not None and record.created_at < after:
                break
            if (
                (query.submitted_before_ts is None or record.created_at < query.submitted_before_ts)
                and (query.statuses is None or record.status in query.statuses)
                and all(getattr(record.spec, name) == wanted for name, wanted in labels)
                and all(tag in record.spec.tags for tag in query.tags)
            ):
                found.append(record)
                if len(found) == query.limit:
                    break
        return found

    def _candidates(self, query: JobQuery, find: Callable[[str], JobRecord]) -> Iterator[str]:
        """Ids of jobs that may match, newest first: a group, sorted, or all jobs where that is likely to be less work.

        Of a group of g among n jobs, about `limit` * n / g of all are met before `limit` of the group are.
        """
        choices: list[list[Collection[str]]] = []
        if query.statuses is not None:
            choices.append([self._statuses[status] for status in query.statuses])
        choices += [[self._labels[name][wanted]] for name, wanted in query.labels.items()]
        choices += [[self._tagged[_group_of(tag)]] for tag in query.tags]
        smallest = min(choices, key=_size, default=None)
        limit = len(self) if query.limit is None else query.limit
        if smallest is None or _size(smallest) ** 2 > limit * len(self):
            return self._timeline.newest_first(query.submitted_before_ts)
        ids = [job_id for group in smallest for job_id in group]
        return iter(sorted(ids, key=lambda job_id: find(job_id).created_at, reverse=True))


def _group_of(tag: tuple[str, str]) -> str:
    """The name of a tag's group: no name of a tag has an equals sign."""
    return "=".join(tag)


def _size(groups: list[Collection[str]]) -> int:
    return sum(map(len, groups))
