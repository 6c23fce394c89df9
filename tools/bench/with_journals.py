"""What a journal costs where the default run does not look: jobs with a Parquet store, ``ray://``, queued jobs."""

from __future__ import annotations

import tempfile

from cluster import Cluster
from endpoint import journal_places
from figures import Comparison, Figure
from queued import queue_jobs, queued_figures
from through_client import batch_rates
from throughput import JOURNAL_REACHES, rates, run_storing_jobs

_STORING_JOBS = 1_000


def with_journals(cluster: Cluster) -> list[Figure]:
    """Each rate with a journal against the same without; what is queued with a journal alone."""
    storing, through_client = _storing(cluster, None), _through_client(cluster, None)
    found: list[Figure] = []
    with journal_places() as places:
        for (where, uri), reach in zip(places.items(), JOURNAL_REACHES, strict=True):
            for name, without, rates_with in (
                (f"jobs that store one row as Parquet, {_STORING_JOBS:,} at once", storing, _storing(cluster, uri)),
                ("500 no-op jobs at once through ray://", through_client, _through_client(cluster, uri)),
            ):
                title = f'"ray": {name}, journal {where} against none'
                found.append(Comparison(name=title, unit="1/s", baseline=without, measured=rates_with).at_least(reach))
            with cluster.registry(journal_uri=uri) as registry:
                found += queued_figures(queue_jobs(registry), f", journal {where}")
    return found


def _storing(cluster: Cluster, journal_uri: str | None) -> list[float]:
    with (
        tempfile.TemporaryDirectory() as folder,
        cluster.registry({"backend": "parquet", "uri": folder}, journal_uri=journal_uri),
    ):
        return rates(_STORING_JOBS, run_storing_jobs)


def _through_client(cluster: Cluster, journal_uri: str | None) -> list[float]:
    with cluster.registry(journal_uri=journal_uri) as registry:
        return batch_rates(registry, cluster.client)
