"""What users bring: capabilities, and the runs that these return. Nothing need inherit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Capability(Protocol):
    """A test that can be run on models and datasets."""

    @property
    def id(self) -> str:
        """Stable identity of the capability, part of every run key."""
        ...

    def run(
        self,
        *,
        models: Any = None,
        datasets: Any = None,
        metrics: Any = None,
        config: Any = None,
        use_cache: bool = False,
    ) -> CapabilityRun:
        """Do the work and return the run. Workers always pass ``use_cache=False``."""
        ...


class CapabilityRun(Protocol):
    """What `Capability.run` returns.

    It may also have ``collect_md_report(threshold)``, whose NotImplementedError means that there is no report, and
    ``outputs_uri``.
    """

    @property
    def run_uid(self) -> str:
        """Identity of the run; the same inputs give the same uid."""
        ...

    @property
    def capability_id(self) -> str:
        """The capability that ran."""
        ...

    @property
    def dataset_metadata(self) -> Sequence[Mapping[str, Any]]:
        """One mapping with an ``"id"`` for each dataset."""
        ...

    @property
    def model_metadata(self) -> Sequence[Mapping[str, Any]]:
        """One mapping with an ``"id"`` for each model."""
        ...

    @property
    def metric_metadata(self) -> Sequence[Mapping[str, Any]]:
        """One mapping with an ``"id"`` for each metric."""
        ...

    def extract(self) -> Iterable[Any]:
        """The run's flat records; see `checkmaite.jobs.Record`."""
        ...
