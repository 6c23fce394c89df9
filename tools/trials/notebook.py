"""A client of a trial: submits its runs, asks again what was not answered, and writes down all that it is told.

It is a script: what is defined here travels to workers by value, as from any notebook. Whoever starts it gives the
options of the backend in OPTIONS, what to do in NOTEBOOK, and where to write in LOG, line by line: a process that is
killed has written what it knew.
"""

import json
import os
import random
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path

from checkmaite.jobs import (
    JobsError,
    JobStatus,
    UnconfirmedError,
    configure_job_backend,
    get_job,
    list_jobs,
    submit_capabilities,
)
from checkmaite.jobs.testing import SampleRecord, SampleRun

SETTLE_S = 240.0
ASK_AGAIN_S = 0.5


class TrialRun(SampleRun):
    """A run whose report is what its rows say that they are of: one attempt."""

    def collect_md_report(self, threshold):
        return self.records[0].model_id


class TrialCapability:
    """Draws a text for each attempt, which is in every row and in the report; marks in a folder say what began."""

    id = "trial"

    def __init__(self, run, folder):
        self.run_spec, self.folder = run, folder
        self.ballast = random.Random(run["uid"]).randbytes(run["ballast"])  # the same in every notebook

    def run(self, *, config, **_):
        attempt = uuid.uuid4().hex
        uid = config["run_uid"]
        Path(self.folder, f"start-{uid}-{attempt}").touch()
        time.sleep(self.run_spec["seconds"])
        if self.run_spec["fails"]:
            raise ValueError(f"{uid} was told to fail")
        records = [SampleRecord(attempt, score_of(uid, number)) for number in range(3)]
        return TrialRun(run_uid=uid, capability_id=self.id, records=records)


def score_of(uid, number):
    return int(uid.partition("-")[2]) + number / 4


class Notebook:
    """What one process does, by its task."""

    def __init__(self):
        self.task = json.loads(os.environ["NOTEBOOK"])
        self.log = os.open(os.environ["LOG"], os.O_APPEND | os.O_CREAT | os.O_WRONLY)
        self.jobs = {}

    def note(self, what, **more):
        line = json.dumps({"what": what, "at": time.monotonic(), "pid": os.getpid(), **more}, default=str)
        os.write(self.log, f"{line}\n".encode())

    def insist(self, what, call):
        """What a call gives, which is made again for as long as it says that it may."""
        deadline = time.monotonic() + SETTLE_S
        while True:
            try:
                return call()
            except JobsError as error:
                unconfirmed = error.job_ids if isinstance(error, UnconfirmedError) else ()
                self.note(
                    "refused",
                    call=what,
                    error=type(error).__name__,
                    text=str(error)[:500],
                    retryable=error.retryable,
                    job_ids=unconfirmed,
                )
                if time.monotonic() > deadline:
                    raise
                time.sleep(min(getattr(error, "retry_after_s", ASK_AGAIN_S), ASK_AGAIN_S))

    def configure(self):
        self.insist("configure", lambda: configure_job_backend("ray", **json.loads(os.environ["OPTIONS"])))
        self.note("configured")

    def submit(self, runs):
        submissions = [
            {
                "capability": TrialCapability(run, self.task["marks"]),
                "config": {"run_uid": run["uid"]},
                "job_name": run["uid"],
                "resources": {"num_cpus": 0.5},
            }
            for run in runs
        ]
        self.note("submitting", uids=[run["uid"] for run in runs])
        jobs = self.insist("submit", lambda: submit_capabilities(submissions))
        for run, job in zip(runs, jobs, strict=True):
            self.note("accepted", uid=run["uid"], job=job.job_id)
            self.jobs[job.job_id] = job
            job.add_done_callback(self.tell)
        for run, job in zip(runs, jobs, strict=True):
            if run["cancel"]:
                self.note("cancelling", job=job.job_id)
                self.note("cancelled", job=job.job_id, said=self.insist("cancel", lambda job=job: job.cancel(grace=1)))

    def tell(self, job):
        """Write down a job's end, once it is told."""
        said = {"job": job.job_id, "status": str(job.status)}
        if job.status is JobStatus.COMPLETED:
            ref = job.result(0)
            said |= {"run_uid": ref.run_uid, "report": str(ref.report), "revision": ref.revision}
        elif job.status is JobStatus.FAILED:
            error = job.exception(0)
            said |= {"kind": str(error.kind), "error": str(error)[:500]}
        self.note("told", **said)

    def work(self):
        self.configure()
        began = time.monotonic() - self.task["late_s"]
        for batch in self.task["batches"]:
            while (early_s := began + batch["at_s"] - time.monotonic()) > 0:
                time.sleep(min(early_s, 0.2))
            self.submit(batch["runs"])
            self.note("done", batch=batch["number"])
            self.insist("list", list_jobs)
        self.wait(self.jobs.values())
        self.note("finished")

    def wait(self, jobs):
        deadline = time.monotonic() + SETTLE_S
        for job in jobs:
            if not job.wait(max(0.0, deadline - time.monotonic())).is_final:
                self.note("waits", job=job.job_id, why=self.insist("explain", job.explain))

    def audit(self):
        """Write down what every way of asking says of every job, once all have ended."""
        from checkmaite.jobs import get_job_backend, read_job_history

        self.configure()
        self.wait(self.insist("list", lambda: list_jobs(limit=None)))
        for place, job in enumerate(self.insist("list", lambda: list_jobs(limit=None))):
            self.note("listed", job=job.job_id, uid=job.job_name, status=str(job.status), place=place)
        for job in self.insist("list", lambda: list_jobs(limit=None)):
            self.tell(self.insist("get", lambda job=job: get_job(job.job_id)))
        options = json.loads(os.environ["OPTIONS"])
        options.pop("address")
        history = self.insist("history", lambda: read_job_history("ray", **options))
        for row in history.select(["job_id", "job_name", "status", "run_uid", "failure_kind"]).to_pylist():
            self.note("recorded", **row)
        store = get_job_backend().analytics_store
        for table in ("sample_scores", "runs"):
            if table in self.insist("tables", store.list_tables):
                for row in self.insist("read", lambda table=table: store.read_table(table)).to_pylist():
                    names = ("run_uid", "model_id", "score", "job_id", "entity_type", "entity_id")
                    self.note("row", table=table, **{name: row[name] for name in names if name in row})
        self.note("finished")
        sys.stdin.readline()
        self.end_actors(options["registry_namespace"])

    def end_actors(self, namespace):
        """End the registry and its controllers, also those that one of them has started in the meantime."""
        import ray

        while names := [
            each for each in ray.util.list_named_actors(all_namespaces=True) if each["namespace"] == namespace
        ]:
            for each in names:
                with suppress(ValueError):  # it has ended
                    ray.kill(ray.get_actor(each["name"], namespace))


if __name__ == "__main__":
    notebook = Notebook()
    notebook.note("began")
    try:
        getattr(notebook, notebook.task["do"])()
    except BaseException as error:
        notebook.note("broke", error=type(error).__name__, text=str(error)[:4000])
        raise
    sys.stdout.flush()
    os._exit(0)
