"""A third party's backend: each job in a process of its own."""

import multiprocessing
import os
import signal
import threading
from pickle import dumps

from attrs import frozen
from checkmaite.jobs import JobStatus
from checkmaite.jobs.spi import Cancelled, Failed, Finished, JobLedger, RunOptions, accept, execute, open_store

processes = multiprocessing.get_context("spawn")


def work(order, payload, pipe):
    """Carry out one job; this is all that runs in its process."""
    pipe.send(("finished", execute(order, payload, lambda _, news: pipe.send(("news", list(news))))))


@frozen
class SampleOptions:
    """It has no options of its own."""


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
        return [self._start(prepared) for prepared in submissions]

    def _start(self, prepared):
        job, order = accept(prepared, controls=self, backend_name=self.name, store=self._spec)
        here, there = processes.Pipe()
        payload = dumps(prepared.arguments)
        process = processes.Process(target=work, args=(order.to_wire(), payload, there), daemon=True)
        self._ledger.add(job)
        self._processes[job.job_id] = process
        process.start()
        there.close()
        job.advance(JobStatus.SCHEDULING)
        threading.Thread(target=self._follow, args=(job, process, here), daemon=True).start()
        return job

    def _follow(self, job, process, pipe):
        finished = None
        try:
            while finished is None:
                kind, said = pipe.recv()
                if kind == "finished":
                    finished = said
                else:
                    for news in said:
                        job.apply(news)
        except EOFError:  # the process ended without a word
            killed = Failed(error_type="ProcessDied", error_message="its process died", lost=True)
            finished = Finished(outcome=Cancelled() if job.cancelling else killed)
        process.join()
        del self._processes[job.job_id]
        if finished.printed is not None:
            job.apply(finished.printed)
        job.finish(finished.outcome)

    def cancel(self, job, grace):
        process = self._processes.get(job.job_id)
        if process is not None:
            os.kill(process.pid, signal.SIGINT)
            by_force = threading.Timer(grace, process.kill)
            by_force.daemon = True
            by_force.start()
            job.add_done_callback(lambda _: by_force.cancel())

    def explain(self, job):
        return ""

    def get_job(self, job_id):
        return self._ledger.get(job_id)

    def list_jobs(self, query):
        return self._ledger.matching(query)

    def hand_over(self):
        """Processes go on by themselves."""

    def shutdown(self, *, wait=True):
        for job in self._ledger.live():
            job.wait() if wait else job.cancel(grace=0)
