"""Checks submissions and fills in their defaults: the result is what a backend gets."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import attrs
from attrs import evolve, frozen
from checkmaite.jobs._shared.comparing import prints_of
from checkmaite.jobs._shared.config import option, parse_options
from checkmaite.jobs._shared.errors import ConfigurationError, JobSubmissionError
from checkmaite.jobs._shared.naming import plain_text
from checkmaite.jobs._shared.problems import Problem, unknown_name
from checkmaite.jobs._shared.provenance import Provenance, unwritable_fields
from checkmaite.jobs._shared.resources import Resources, resolve_resources
from checkmaite.jobs._shared.reuse import Prints, ReusePolicy, check_policy
from checkmaite.jobs._shared.staged import Staged
from checkmaite.jobs._shared.tags import Tags, checked_tags
from checkmaite.jobs._shared.trace_context import TraceContext
from checkmaite.jobs._submitters.capability import capability_problems, class_problem
from checkmaite.jobs._submitters.default_config import config_text, default_config
from checkmaite.jobs._submitters.fingerprint import Fingerprinter
from checkmaite.jobs._submitters.run_key import NoRunKeyError, RunKey, run_key
from checkmaite.jobs._submitters.staging import staged_problems
from checkmaite.jobs._submitters.submission import Submission

if TYPE_CHECKING:
    from checkmaite.jobs._shared.staged_objects import StagingPlace

JOB_NAME_LIMIT_BYTES = 255
_USE_CACHE_REFUSED = Problem(
    "use_cache",
    "jobs cannot use the capability's own cache: a worker's cache is neither shared nor kept.",
    "Leave use_cache out; a run that the analytics store holds already is not computed again anyway.",
)


def _share(_: object, attribute: Any, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{value!r} is not between 0 and 1")


@frozen(kw_only=True)
class RunOptions:
    """Options of one job that every backend understands; a backend may subclass it to add its own."""

    reuse: str | None = option(
        'when a result that is there is used again: "auto", where run key and fingerprints agree; "always", where the '
        'run key agrees; "never"; or "require", an error where the run would have to be made. Left out: as the backend '
        "was configured.",
        default=None,
        validator=check_policy,
    )
    force: bool = option(
        'True runs again even when there is a result already; another way to write reuse="never".', default=False
    )
    report_threshold: float = option(
        "the threshold given to collect_md_report, between 0 and 1.", default=0.5, validator=_share
    )

    def __attrs_post_init__(self) -> None:
        if self.force and self.reuse not in {None, "never"}:
            cause = f'means reuse="never", and reuse={self.reuse!r} was given too.'
            problem = Problem("force", cause, "Leave out one of them.")
            raise ConfigurationError("These options contradict each other.", [problem])


@frozen(kw_only=True)
class PreparedSubmission:
    """A submission that passed every check that needs no backend.

    Attributes:
        submission: What the user gave; a config that was left out is the capability's default, where it has one.
        capability_id: The capability's id.
        job_name: The name, default filled in.
        run_key: Identity of the run.
        prints: Fingerprints of what the run stands on.
        reuse: When a result that is there stands for the run, defaults filled in.
        resources: What the run needs, defaults filled in.
        provenance: As resolved on this side; the backend adds its own facts.
        options: An instance of the backend's ``run_options_type``.
        path: Where it is in what the user gave, for problems: ``submissions[3]``; empty when it was given alone.
        has_default_config: Whether the config is the capability's default.
        tags: What the job can be found by beside its name.
        staged: References to staged objects in what the user gave.
        trace: What it is submitted in; no part of its identity.
    """

    submission: Submission
    capability_id: str
    job_name: str
    run_key: RunKey
    prints: Prints
    reuse: ReusePolicy
    resources: Resources
    provenance: Provenance
    options: RunOptions
    path: str = ""
    has_default_config: bool = False
    tags: Tags = ()
    staged: frozenset[Staged] = frozenset()
    trace: TraceContext | None = None

    @property
    def arguments(self) -> tuple[Any, Any, Any, Any, Any]:
        """Capability, models, datasets, metrics and config: what a worker unpickles."""
        given = self.submission
        return given.capability, given.models, given.datasets, given.metrics, given.config


def prepare(
    submissions: Sequence[Submission],
    *,
    options_type: type[RunOptions],
    provenance: Provenance,
    several: bool = True,
    default_reuse: ReusePolicy = "auto",
    in_process: bool = False,
    place: StagingPlace | None = None,
    trace: TraceContext | None = None,
) -> list[PreparedSubmission]:
    """Check submissions and fill in their defaults, before anything is submitted.

    Args:
        submissions: What the user gave.
        options_type: The backend's class of per-job options.
        provenance: The submitter's provenance.
        several: Whether the user gave a list, so that paths say which element.
        default_reuse: The policy of submissions that ask for none.
        in_process: Whether the backend runs jobs in this process.
        place: Where its workers read what was staged.
        trace: What all of them are submitted in.

    Raises:
        JobSubmissionError: With every fault of every submission, or of the provenance that all of them share.
    """
    checked: list[dict[str, Any]] = []
    problems: list[Problem] = []
    phase = "validate"
    if unwritable := unwritable_fields(provenance):
        raise JobSubmissionError("Nothing was submitted.", phase=phase, problems=unwritable)
    for index, submission in enumerate(submissions):
        path = f"submissions[{index}]" if several else ""
        found, faults, failed_phase = _prepare_one(submission, path, options_type, provenance, default_reuse)
        problems += [fault.below(path) for fault in faults]
        if found is not None:
            checked.append(found)
        elif failed_phase == "run_key" and len(problems) == len(faults):
            phase = failed_phase
        else:
            phase = "validate"
    if problems:
        raise JobSubmissionError("Nothing was submitted.", phase=phase, problems=problems)
    fingerprinter = Fingerprinter(_say, in_process=in_process)
    prepared = []
    resources: Resources | None = None
    for each in checked:
        # Equal ones in a row are one object, which travels once and is compared in no time wherever it arrives.
        resources = each["resources"] = resources if each["resources"] == resources else each["resources"]
        prints = _prints(each, fingerprinter)
        problems += [fault.below(each["path"]) for fault in staged_problems(fingerprinter.staged, place)]
        prepared.append(PreparedSubmission(**each, prints=prints, staged=fingerprinter.staged, trace=trace))
    if problems:
        raise JobSubmissionError("Nothing was submitted.", phase="validate", problems=problems)
    return prepared


def _prints(checked: Mapping[str, Any], fingerprinter: Fingerprinter) -> Prints:
    given = checked["submission"]
    found = fingerprinter.of(
        given.capability, models=given.models, datasets=given.datasets, metrics=given.metrics, config=given.config
    )
    if checked["has_default_config"]:
        found = evolve(found, config=evolve(found.config, default=config_text(given.config)))
    return prints_of(found)


def _say(message: str) -> None:
    """Tell the user what takes long, as a progress bar would."""
    print(message, file=sys.stderr, flush=True)  # noqa: T201 - a submission that reads gigabytes must not look stuck


def _prepare_one(
    submission: Submission,
    path: str,
    options_type: type[RunOptions],
    provenance: Provenance,
    default_reuse: ReusePolicy,
) -> tuple[dict[str, Any] | None, list[Problem], str]:
    """What `PreparedSubmission` takes but fingerprints, or what is wrong, and in which phase that was found."""
    capability, config, has_default_config = submission.capability, submission.config, False
    problems = capability_problems(capability)
    if config is None and not problems:
        config, problems = default_config(capability)
        submission, has_default_config = evolve(submission, config=config), config is not None
    if isinstance(config, type):
        problems.append(class_problem("config", config))
    if submission.use_cache is not False:
        problems.append(_USE_CACHE_REFUSED)
    problems += name_problems(submission.job_name)
    tags, faults = checked_tags(submission.tags)
    problems += faults
    resources, faults = resolve_resources(submission.resources, config=config, capability=capability)
    problems += faults
    options, faults = read_options(submission.options, options_type)
    problems += faults
    if problems or options is None:
        return None, problems, "validate"
    try:
        key = run_key(
            capability,
            models=submission.models,
            datasets=submission.datasets,
            metrics=submission.metrics,
            config=config,
        )
    except NoRunKeyError as error:
        return None, [Problem("run_key", f"cannot be computed: {error}.", error.remedy)], "run_key"
    except Exception as error:  # noqa: BLE001 - the user's own run_key() or compute_uid() may raise anything
        cause = f"cannot be computed: {type(error).__name__}: {error}."
        return (
            None,
            [Problem("run_key", cause, "Mend the capability's run_key() or compute_uid().")],
            "run_key",
        )
    return (
        {
            "submission": submission,
            "capability_id": plain_text(capability.id),
            "job_name": _name_of(submission),
            "run_key": key,
            "reuse": "never" if options.force else options.reuse or default_reuse,
            "resources": resources,
            "provenance": provenance,
            "options": options,
            "path": path,
            "has_default_config": has_default_config,
            "tags": tags,
        },
        [],
        "",
    )


def _name_of(submission: Submission) -> str:
    if submission.job_name is not None:
        return str(plain_text(submission.job_name))
    name: str = plain_text(submission.capability.id)
    encoded = name.encode()
    return name if len(encoded) <= JOB_NAME_LIMIT_BYTES else encoded[:JOB_NAME_LIMIT_BYTES].decode(errors="ignore")


def name_problems(name: object) -> list[Problem]:
    """What is wrong with a name of a job."""
    if name is None:
        return []
    if not isinstance(name, str):
        return [Problem("job_name", f"expected text, got {type(name).__name__}.", "Pass a string or leave it out.")]
    if not name.strip() or not name.isprintable():
        return [Problem("job_name", f"{name!r} is not a printable name.", "Use printable characters, or leave it out.")]
    size = len(name.encode())
    if size > JOB_NAME_LIMIT_BYTES:
        cause = f"is {size} bytes long; at most {JOB_NAME_LIMIT_BYTES} are allowed."
        return [Problem("job_name", cause, "Shorten it; details belong in the config or in provenance.")]
    return []


def read_options(given: Any, options_type: type[RunOptions]) -> tuple[RunOptions | None, list[Problem]]:
    """The options of one job, and what is wrong with them."""
    if not isinstance(given, Mapping):
        return None, [Problem("options", f"expected a mapping, got {type(given).__name__}.", "Pass a dict.")]
    if not given:
        return _defaults(cast("Any", options_type))  # a class can be hashed, whatever mypy makes of its instances
    known = {item.name for item in attrs.fields(Submission)} | {
        item.alias for item in attrs.fields(cast("type[Any]", options_type))
    }
    options, problems = parse_options(options_type, given)
    # A misspelt argument of submit_capability arrives here as an unknown option: suggest from both.
    return options, [
        unknown_name(problem.path, problem.path, known - {"options"}, what="argument")
        if problem.cause.startswith("unknown option")
        else problem
        for problem in problems
    ]


@lru_cache(maxsize=8)
def _defaults(options_type: type[RunOptions]) -> tuple[RunOptions | None, list[Problem]]:
    return parse_options(options_type, {})
