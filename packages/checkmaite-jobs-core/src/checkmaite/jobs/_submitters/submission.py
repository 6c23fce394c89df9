"""One run to submit, as a user gives it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import field, fields, frozen
from checkmaite.jobs._shared.errors import JobSubmissionError
from checkmaite.jobs._shared.problems import Problem, nearest_name
from checkmaite.jobs._shared.resources import Resources


@frozen(kw_only=True)
class Submission:
    """One run to submit; the arguments of `submit_capability` as a value.

    Attributes:
        capability: An object with ``id`` and ``run``.
        models: What the capability takes as models: objects with ``metadata["id"]``.
        datasets: Likewise for datasets.
        metrics: Likewise for metrics.
        config: The capability's configuration.
        use_cache: Must be False; see `submit_capability`.
        job_name: A name for people, at most 255 bytes; the capability's id when None. Names need not be unique.
        resources: A mapping with any of ``num_cpus``, ``num_gpus``, ``memory`` (bytes) and ``custom``, or a
            `Resources`.
        tags: Names and texts to find the job by, for example ``{"team": "vision"}``.
        options: Further options of one job, by name; which there are depends on the backend.
    """

    capability: Any
    models: Any = None
    datasets: Any = None
    metrics: Any = None
    config: Any = None
    use_cache: bool = False
    job_name: str | None = None
    resources: Resources | Mapping[str, Any] | None = None
    tags: Mapping[str, str] | None = None
    options: Mapping[str, Any] = field(factory=dict)


def submissions_of(given: Iterable[Mapping[str, Any] | Submission]) -> list[Submission]:
    """Submissions from mappings of `submit_capability`'s arguments.

    Raises:
        JobSubmissionError: One of them is neither, lacks a capability or has an argument of the wrong kind.
    """
    if isinstance(given, (Mapping, Submission, str, bytes)) or not isinstance(given, Iterable):
        problem = Problem(
            "submissions",
            f"expected a sequence of submissions, got {type(given).__name__}.",
            "Pass a list of mappings or Submission objects; submit_capability takes a single one.",
        )
        raise JobSubmissionError("Nothing was submitted.", phase="validate", problems=[problem])
    known = [item.name for item in fields(Submission) if item.name != "options"]
    found: list[Submission] = []
    problems: list[Problem] = []
    for index, each in enumerate(given):
        path = f"submissions[{index}]"
        if isinstance(each, Submission):
            found.append(each)
        elif not isinstance(each, Mapping):
            cause = f"expected a mapping or a Submission, got {type(each).__name__}."
            problems.append(Problem(path, cause, 'Pass, for example, {"capability": ..., "models": [...]}.'))
        elif "capability" not in each:
            near = nearest_name("capability", [key for key in each if isinstance(key, str) and key not in known])
            meant = f" Is {near!r} meant to be it?" if near else ""
            remedy = f"Pass the object whose run() is to be called.{meant}"
            problems.append(Problem(f"{path}.capability", "is required.", remedy))
        else:
            named = {name: each[name] for name in known if name in each}
            nested = each.get("options", {})
            if not isinstance(nested, Mapping):
                cause = f"expected a mapping, got {type(nested).__name__}."
                problems.append(Problem(f"{path}.options", cause, 'Pass, for example, {"force": True}.'))
                continue
            loose = {name: value for name, value in each.items() if name not in named and name != "options"}
            found.append(Submission(**named, options={**nested, **loose}))
    if problems:
        raise JobSubmissionError("Nothing was submitted.", phase="validate", problems=problems)
    return found
