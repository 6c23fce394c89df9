"""``metrics``: what has happened to jobs, in numbers, for a monitoring system."""

from __future__ import annotations

import click
from checkmaite.jobs import ConfigurationError
from checkmaite.jobs.spi import TellsMetrics, exposition
from checkmaite.jobs_cli.connecting import connected
from checkmaite.jobs_cli.options import Asked, as_json, configured, examples
from checkmaite.jobs_cli.printing import emit, line


@click.command(epilog=examples("metrics --profile team", "metrics --profile team --json"))
@as_json
@configured
def metrics(asked: Asked, as_json: bool) -> None:
    """The numbers of the scope's jobs, as Prometheus reads them.

    They have the names by which Ray exports them. Counters begin anew with the registry's process.

    Records: metric, kind, labels, value.
    """
    with connected(asked) as backend:
        if not isinstance(backend, TellsMetrics):
            raise ConfigurationError("This kind of backend counts no jobs. Use kind 'ray'.")
        found = backend.metrics()
    if not as_json:
        line(exposition(found).rstrip("\n"))
        return
    emit(
        {
            "metric": metric.name,
            "kind": metric.kind,
            "labels": dict(zip(metric.labels, values, strict=True)),
            "value": number,
        }
        for metric in found
        for values, number in sorted(metric.samples.items())
    )
