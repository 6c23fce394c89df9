"""A third party's backend: each job in a process of its own."""

import multiprocessing
import threading
from datetime import UTC, datetime
from pickle import dumps

from attrs import frozen
from checkmaite.jobs import JobStatus
from checkmaite.jobs.spi import (
    Cancelled,
    Failed,
    Finished,
    JobHandle,
    JobLedger,
    RunOptions,
    WorkOrder,
    execute,
    new_job_id,
    open_store,
)

processes = multiprocessing.get_context("spawn")


@frozen
class SampleOptions:
    """No options."""


def work(order, payload, pipe):
    pipe.send(("finished", execute(order, payload, lambda _, news: pipe.send(("news", list(news))))))


class SampleBackend:
    config_type = SampleOptions
    run_options_type = RunOptions
    name = "mine"

    def __init__(self, options, context):
        self._spec = context.store
        self.analytics_store = open_store(context.store)
        self._ledger = JobLedger(retained=100, where="the sample backend")
        self._processes = {}

    def submit(self, submissions):
        return [self._start(each) for each in submissions]

    def _start(self, prepared):
        now = datetime.now(UTC)
        job = JobHandle(
            job_id=new_job_id(),
            job_name=prepared.job_name,
            capability_id=prepared.capability_id,
            created_at=now,
            controls=self,
        )
        provenance = prepared.provenance.for_job(job_id=job.job_id, backend=self.name, submitted_at=now)
        order = WorkOrder.of(prepared, store=self._spec, provenance=provenance).to_wire()
        here, there = processes.Pipe()
        process = processes.Process(target=work, args=(order, dumps(prepared.arguments), there), daemon=True)
        self._ledger.add(job)
        self._processes[job.job_id] = process
        process.start()
        there.close()
        job.advance(JobStatus.SCHEDULING)
        threading.Thread(target=self._follow, args=(job, process, here), daemon=True).start()
        return job

    def _follow(self, job, process, pipe):
        finished = Finished(outcome=Failed(error_type="ProcessDied", error_message="no word", lost=True))
        try:
            while True:
                kind, said = pipe.recv()
                if kind == "finished":
                    finished = said
                    break
                for news in said:
                    job.apply(news)
        except EOFError:
            if job.cancelling:
                finished = Finished(outcome=Cancelled())
        process.join()
        if finished.printed is not None:
            job.apply(finished.printed)
        job.finish(finished.outcome)

    def get_job(self, job_id):
        return self._ledger.get(job_id)

    def list_jobs(self, query):
        return self._ledger.matching(query)

    def cancel(self, job, grace):
        threading.Timer(0, self._processes[job.job_id].kill).start()

    def explain(self, job):
        return ""

    def hand_over(self):
        """Processes go on by themselves."""

    def shutdown(self, *, wait=True):
        for job in self._ledger.live():
            job.wait() if wait else job.cancel()
