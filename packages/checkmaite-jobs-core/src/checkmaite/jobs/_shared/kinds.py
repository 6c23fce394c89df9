"""What can end a job without its result, and what it can wait for: each with its name, cause and remedy.

Errors, explanations, the history and the pages for users take their words from here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class _Kind(StrEnum):
    """A name with a cause and a remedy, both whole sentences."""

    cause: str
    remedy: str

    def __new__(cls, name: str, cause: str = "", remedy: str = "") -> Self:
        member = str.__new__(cls, name)
        member._value_ = name
        member.cause = cause
        member.remedy = remedy
        return member


class FailureKind(_Kind):
    """What ended a job that did not complete.

    A name that this version does not know, because a newer one gave it, is `OTHER`.
    """

    EXCEPTION = (
        "exception",
        "The capability raised an exception, in run() or in extract().",
        "Read the traceback, mend the capability or its arguments, and submit again.",
    )
    CANNOT_LOAD = (
        "cannot-load",
        "The worker could not unpickle the capability or its arguments.",
        "Install what their code imports in the worker's environment, or send it along with runtime_env.",
    )
    PAYLOAD_KEY = (
        "payload-key",
        "The worker could not decrypt what it was to run: it has no key for it, or another one.",
        "Give the workers the submitter's key, in the place that payload_key names, and submit again.",
    )
    STAGED_OBJECT = (
        "staged-object",
        "The worker could not read an object that was staged: it is gone, changed, or cannot be reached from there.",
        "Stage the object again and submit with the new reference; or give the workers access to where it is.",
    )
    CANNOT_START = (
        "cannot-start",
        "No worker could be prepared for the job: its environment, its packages or its versions do not fit.",
        "Mend the runtime_env, or install what the error names on every node.",
    )
    NO_NODE = (
        "no-node",
        "No node of the cluster can run the job.",
        "Ask for resources that the cluster has, or start a node that has them.",
    )
    NO_WORKER_IN_TIME = (
        "no-worker-in-time",
        "No worker took the job within scheduling_timeout_s.",
        "Ask for resources that the cluster has free, or raise scheduling_timeout_s.",
    )
    STORE_REFUSED = (
        "store-refused",
        "The analytics store could not be opened or written on the worker.",
        "Mend the store or its credentials, and submit again; read_salvaged_run() has rows that were kept.",
    )
    RECORDS_REFUSED = (
        "records-refused",
        "What the run extracted cannot be stored as it is; nothing of it was written.",
        "Mend the fields that the error names in the capability's extract().",
    )
    RESULT_REQUIRED = (
        "result-required",
        'The job was to reuse a result (reuse="require"), and the store holds none that agrees.',
        'Submit it with reuse="auto" to have it made.',
    )
    WORKER_SIGNAL = (
        "worker-signal",
        "The worker process got a signal: somebody ended it, or native code crashed.",
        "Read the end of job.logs(); submit again when the node was taken away.",
    )
    WORKER_MEMORY = (
        "worker-memory",
        "The worker process was killed because its node was running out of memory.",
        'Reserve more with resources={"memory": bytes}, or give each job more CPUs so that fewer run at once.',
    )
    WORKER_EXIT = (
        "worker-exit",
        "The worker process was ended by the job's own code, as by os._exit().",
        "The capability, or a library that it uses, ends its process: have it raise an exception instead.",
    )
    WORKER_LOST = (
        "worker-lost",
        "The worker process was gone without a word, as after SIGKILL or a crash in native code.",
        'If memory ran out, reserve more with resources={"memory": bytes}; the node\'s system log says so.',
    )
    NODE_LOST = (
        "node-lost",
        "The node that ran the job died or was taken away.",
        "Submit it again, or raise max_retries.",
    )
    CONTROLLER_DIED = (
        "controller-died",
        "The process of the controller that ran the job died.",
        'Submit it again, or raise max_attempts; with recovery="resubmit" that happens by itself.',
    )
    CONTROLLER_SILENT = (
        "controller-silent",
        "The controller that ran the job did not answer for longer than lease_ttl_s, so it was ended.",
        "Submit it again, or raise max_attempts; raise lease_ttl_s where its node is overloaded.",
    )
    CLUSTER_LOST = (
        "cluster-lost",
        "The job was lost with its cluster.",
        'Submit it again, or raise max_attempts; with recovery="resubmit" that happens by itself.',
    )
    CANNOT_CONNECT = (
        "cannot-connect",
        "This process lost its connection to the cluster; the job may go on there.",
        "Configure the backend again; get_job() and list_jobs() show what is still known.",
    )
    FORGOTTEN = (
        "forgotten",
        "The job is not known any more: it ended, and was kept for as long as the retention says.",
        "Look in the analytics store; a run that is not there can be submitted again.",
    )
    SUBMITTED_AGAIN = (
        "submitted-again",
        "Another job was submitted for the same run while this one could not be reached.",
        "Use the other job, which the error names.",
    )
    CANCELLED = (
        "cancelled",
        "Somebody cancelled the job, and its work has stopped.",
        "Submit it again if it should run after all.",
    )
    OTHER = (
        "other",
        "An earlier or a later version, or Ray, ended the job in a way that has no name here.",
        "Read the error; submit it again when it says that the machinery failed.",
    )

    @classmethod
    def _missing_(cls, value: object) -> FailureKind:
        return cls.OTHER


class PendingReason(_Kind):
    """What a job that has not started waits for."""

    BUSY = (
        "busy",
        "Other jobs are before it, or hold what it needs.",
        "Wait, or give the cluster more nodes.",
    )
    NO_CONTROLLER = (
        "no-controller",
        "No controller of its registry runs, which would start it.",
        "Start a node that has what the controller_* options ask for, or ask for less there.",
    )
    NO_NODE = (
        "no-node",
        "No node has the resources that it asks for.",
        "Ask for less, or start a node that has them.",
    )
    NO_PROGRAM = (
        "no-program",
        "No node has the program that its runtime_env starts.",
        "Mend runtime_env, or install the program on the nodes.",
    )
    CLIENT_NEEDED = (
        "client-needed",
        "Its cluster was lost, and the journal does not keep the credentials and folders that it needs.",
        "Configure the backend with the same scope, store and runtime_env.",
    )
    STORE_ASKED = (
        "store-asked",
        "Its controller was lost, and the store is asked whether the run was stored before.",
        "Wait; when the store does not answer, mend it.",
    )
    JOURNAL_SILENT = (
        "journal-silent",
        "The registry's journal does not answer, so nothing new is begun.",
        "Mend the journal's store or its credentials.",
    )

    @property
    def sentence(self) -> str:
        """What an explanation says of it, beside what is known of the one job."""
        return f"Reason: {self}. {self.remedy}"
