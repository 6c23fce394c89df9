"""The door for authors of job backends and analytics stores.

A job backend is a class named by an entry point of the group ``checkmaite.jobs.backends``:

- ``config_type``: an attrs class of its options, each made with `option`. A property ``is_remote`` says whether workers
  may run on other machines.
- ``run_options_type``: `RunOptions` or a subclass, the options of one job.
- ``__init__(options, context)`` with an instance of ``config_type`` and a `BackendContext`; it raises
  `ConfigurationError` and leaves nothing behind when it cannot work.
- optionally a property ``default_reuse``: the reuse policy of submissions that ask for none, ``auto`` without it;
  ``runs_in_process = True`` where jobs run in the submitting process, with the modules that it has imported; ``dumps``,
  which is called as `pickle.dumps`, where objects are pickled in a way of its own; and the methods of `PlansReuse` and
  `TellsOccupancy`.
- optionally classmethods ``read_history(options, context)`` for `checkmaite.jobs.read_job_history`, and
  ``read_logs(options, context, job_id)`` for `checkmaite.jobs.read_job_logs`.
- optionally ``metrics()`` of `TellsMetrics`.
- optionally ``hook_reports()`` of `TellsHooks`, where it tells the hooks of its context of its jobs: a `JobLedger` with
  `HookLines` does.
- the methods of `JobBackend`. `JobHandle` and `JobLedger` do most of the work; `execute` is the worker's side.

A store is a class named by an entry point of the group ``checkmaite.stores``: ``config_type`` likewise;
``__init__(**options)``, which makes no request; optionally a classmethod ``normalized_options(options)`` that makes
them independent of the working directory; the methods of `AnalyticsStore`, and optionally those of `HasMaintenance`,
`HasProbe`, `KeepsArtifacts`, `KeepsHistory` and `KeepsRevisions`. Where its options have a ``uri`` that fsspec opens,
and ``storage_options`` as fsspec takes them, the journal of jobs is kept beside its tables, in ``_jobs/``.
`TableStore` has what stores have in common whose tables are Arrow datasets, SQL among it; `running_select` and what is
beside it run the SQL; `check_runs` and its like refuse wrong arguments.

Check either with `checkmaite.jobs.testing`.

A hook is a subclass of `JobHook` named by an entry point of the group ``checkmaite.jobs.hooks``. It is made with an
instance of its ``config_type``, or with nothing where it has none.

A command or a page of its own over jobs takes its arguments from `read_settings`, as the command line does.
"""

from checkmaite.jobs._shared.code import Code, content_of, packed
from checkmaite.jobs._shared.columns import ColumnType
from checkmaite.jobs._shared.comparing import Comparison, compared, prints_text
from checkmaite.jobs._shared.config import (
    DEFAULT_RETRY_S,
    ArtifactFolder,
    BackendContext,
    StoreSpec,
    option,
    parse_options,
    uri_problem,
    usable_uri,
)
from checkmaite.jobs._shared.deadline import Deadline
from checkmaite.jobs._shared.discovery import forget_plugins, open_store, store_spec
from checkmaite.jobs._shared.examining import Check
from checkmaite.jobs._shared.fitting import fitted, twin_table, two_types, unwidened, wanting_floats
from checkmaite.jobs._shared.hook_events import idle_event, job_event
from checkmaite.jobs._shared.hook_lines import HookLines
from checkmaite.jobs._shared.hooks import HookReport, HookSpec, JobEvent, JobEventKind, JobHook, TellsHooks
from checkmaite.jobs._shared.job_info import Used
from checkmaite.jobs._shared.job_protocols import PlansReuse, ResourceUse, TellsOccupancy
from checkmaite.jobs._shared.keys import KeyPlace, SecretText
from checkmaite.jobs._shared.logs import LOG_LIMIT_CHARACTERS, LogBudget, LogTail, LostOutput, joined_output
from checkmaite.jobs._shared.mailbox import Letter, NewsMailbox, PackTold
from checkmaite.jobs._shared.metrics import Metric, TellsMetrics, exposition
from checkmaite.jobs._shared.naming import case_twins, object_name
from checkmaite.jobs._shared.news import Leaving, News, Post, Printed, Progressed, RemotePost, Started
from checkmaite.jobs._shared.objects import ObjectStore
from checkmaite.jobs._shared.order import Terms, Wire, WorkOrder, order_wire, terms_of
from checkmaite.jobs._shared.outcome import Cancelled, Completed, Failed, Outcome, kind_of, status_of
from checkmaite.jobs._shared.paces import SHORT_RUNS, ShortRuns
from checkmaite.jobs._shared.packing import (
    MOST_PACKED_BYTES,
    NOTHING_BEGUN,
    EndedShortJob,
    LeftPackNews,
    Packing,
    RunnerNews,
    RunnerOrder,
    ShortJob,
    ShortJobs,
)
from checkmaite.jobs._shared.problems import nearest_name, unknown_name
from checkmaite.jobs._shared.provenance import provenance_columns
from checkmaite.jobs._shared.records import TableRows, run_entities, run_tables, runs_of, table_rows
from checkmaite.jobs._shared.refs import earlier_ref
from checkmaite.jobs._shared.resources import amount_problem, custom_problems
from checkmaite.jobs._shared.reuse import RUN, Prints, ReusePolicy, check_policy, settled
from checkmaite.jobs._shared.running import store_of_job
from checkmaite.jobs._shared.scalars import text_cause
from checkmaite.jobs._shared.sealing import check_key, resealed, sealed
from checkmaite.jobs._shared.seen_results import AsOf, Revision, SeenResults, StoreTags, not_there
from checkmaite.jobs._shared.sql_engine import (
    FrameKind,
    SqlLimits,
    SqlTables,
    duckdb_of,
    frame_converter,
    running_select,
    sql_connection,
    sql_limits,
    table_of,
)
from checkmaite.jobs._shared.store_arguments import (
    check_as_of,
    check_choice,
    check_document,
    check_flag,
    check_one_run,
    check_place,
    check_query,
    check_revision,
    check_runs,
    check_seconds,
    check_tag,
    check_text,
    check_whole,
    provenance_given,
)
from checkmaite.jobs._shared.store_protocols import (
    HasMaintenance,
    HasProbe,
    KeepsArtifacts,
    KeepsHistory,
    KeepsRevisions,
)
from checkmaite.jobs._shared.stored import StoredRun
from checkmaite.jobs._shared.table_store import ARTIFACTS, TableStore, artifact_key
from checkmaite.jobs._shared.tags import Tags
from checkmaite.jobs._shared.texts import shortened
from checkmaite.jobs._shared.trace_context import TraceContext, job_span, usable_trace
from checkmaite.jobs._shared.values import is_finite, shown
from checkmaite.jobs._shared.versions import Versions, check_versions, versions_here
from checkmaite.jobs._shared.watched import SETTLED_NS, Version, Watched
from checkmaite.jobs._submitters.accepting import accept
from checkmaite.jobs._submitters.again import Changes, RunsAgain
from checkmaite.jobs._submitters.arguments import usable_grace_s
from checkmaite.jobs._submitters.changing import CheckedChanges, checked_changes
from checkmaite.jobs._submitters.handle import (
    DEFAULT_GRACE_S,
    EXPLANATION_BYTES,
    JobControls,
    JobHandle,
    TellsPendingReason,
    new_job_id,
)
from checkmaite.jobs._submitters.ledger import JobLedger
from checkmaite.jobs._submitters.listing import LABELS, JobQuery, labels_for, labels_of, submitter_of
from checkmaite.jobs._submitters.preparing import PreparedSubmission, RunOptions
from checkmaite.jobs._submitters.rendering import span_text
from checkmaite.jobs._submitters.run_key import RunKey
from checkmaite.jobs._submitters.settings import DEFAULT_PROFILE, Settings, read_settings, value_of
from checkmaite.jobs._workers.execution import Finished, execute
from checkmaite.jobs._workers.failing import failure
from checkmaite.jobs._workers.given_pack import GivenPack
from checkmaite.jobs._workers.hygiene import WorkerProcess, accelerators_of, hidden_accelerators
from checkmaite.jobs._workers.maintaining import maintain_store
from checkmaite.jobs._workers.node_cache import NodeFolder
from checkmaite.jobs._workers.output import Remains, take_left_output
from checkmaite.jobs._workers.pack_notes import LeftPack, take_left_pack
from checkmaite.jobs._workers.pack_reading import read_left_pack, read_pack_news
from checkmaite.jobs._workers.packs import EndedJob, PackedJob, PackNews, RemoteLine, run_packs
from checkmaite.jobs._workers.reconcile import stored_runs
from checkmaite.jobs._workers.storing import outputs_uri_of

__all__ = [
    "ARTIFACTS",
    "DEFAULT_GRACE_S",
    "DEFAULT_PROFILE",
    "DEFAULT_RETRY_S",
    "EXPLANATION_BYTES",
    "LABELS",
    "LOG_LIMIT_CHARACTERS",
    "MOST_PACKED_BYTES",
    "NOTHING_BEGUN",
    "RUN",
    "SETTLED_NS",
    "SHORT_RUNS",
    "ArtifactFolder",
    "AsOf",
    "BackendContext",
    "Cancelled",
    "Changes",
    "Check",
    "CheckedChanges",
    "Code",
    "ColumnType",
    "Comparison",
    "Completed",
    "Deadline",
    "EndedJob",
    "EndedShortJob",
    "Failed",
    "Finished",
    "FrameKind",
    "GivenPack",
    "HasMaintenance",
    "HasProbe",
    "HookLines",
    "HookReport",
    "HookSpec",
    "JobControls",
    "JobEvent",
    "JobEventKind",
    "JobHandle",
    "JobHook",
    "JobLedger",
    "JobQuery",
    "KeepsArtifacts",
    "KeepsHistory",
    "KeepsRevisions",
    "KeyPlace",
    "Leaving",
    "LeftPack",
    "LeftPackNews",
    "Letter",
    "LogBudget",
    "LogTail",
    "LostOutput",
    "Metric",
    "News",
    "NewsMailbox",
    "NodeFolder",
    "ObjectStore",
    "Outcome",
    "PackNews",
    "PackTold",
    "PackedJob",
    "Packing",
    "PlansReuse",
    "Post",
    "PreparedSubmission",
    "Printed",
    "Prints",
    "Progressed",
    "Remains",
    "RemoteLine",
    "RemotePost",
    "ResourceUse",
    "ReusePolicy",
    "Revision",
    "RunKey",
    "RunOptions",
    "RunnerNews",
    "RunnerOrder",
    "RunsAgain",
    "SecretText",
    "SeenResults",
    "Settings",
    "ShortJob",
    "ShortJobs",
    "ShortRuns",
    "SqlLimits",
    "SqlTables",
    "Started",
    "StoreSpec",
    "StoreTags",
    "StoredRun",
    "TableRows",
    "TableStore",
    "Tags",
    "TellsHooks",
    "TellsMetrics",
    "TellsOccupancy",
    "TellsPendingReason",
    "Terms",
    "TraceContext",
    "Used",
    "Version",
    "Versions",
    "Watched",
    "Wire",
    "WorkOrder",
    "WorkerProcess",
    "accelerators_of",
    "accept",
    "amount_problem",
    "artifact_key",
    "case_twins",
    "check_as_of",
    "check_choice",
    "check_document",
    "check_flag",
    "check_key",
    "check_one_run",
    "check_place",
    "check_policy",
    "check_query",
    "check_revision",
    "check_runs",
    "check_seconds",
    "check_tag",
    "check_text",
    "check_versions",
    "check_whole",
    "checked_changes",
    "compared",
    "content_of",
    "custom_problems",
    "duckdb_of",
    "earlier_ref",
    "execute",
    "exposition",
    "failure",
    "fitted",
    "forget_plugins",
    "frame_converter",
    "hidden_accelerators",
    "idle_event",
    "is_finite",
    "job_event",
    "job_span",
    "joined_output",
    "kind_of",
    "labels_for",
    "labels_of",
    "maintain_store",
    "nearest_name",
    "new_job_id",
    "not_there",
    "object_name",
    "open_store",
    "option",
    "order_wire",
    "outputs_uri_of",
    "packed",
    "parse_options",
    "prints_text",
    "provenance_columns",
    "provenance_given",
    "read_left_pack",
    "read_pack_news",
    "read_settings",
    "resealed",
    "run_entities",
    "run_packs",
    "run_tables",
    "running_select",
    "runs_of",
    "sealed",
    "settled",
    "shortened",
    "shown",
    "span_text",
    "sql_connection",
    "sql_limits",
    "status_of",
    "store_of_job",
    "store_spec",
    "stored_runs",
    "submitter_of",
    "table_of",
    "table_rows",
    "take_left_output",
    "take_left_pack",
    "terms_of",
    "text_cause",
    "twin_table",
    "two_types",
    "unknown_name",
    "unwidened",
    "uri_problem",
    "usable_grace_s",
    "usable_trace",
    "usable_uri",
    "value_of",
    "versions_here",
    "wanting_floats",
]
