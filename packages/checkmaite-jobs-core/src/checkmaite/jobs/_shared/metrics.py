"""Numbers about jobs for a monitoring system, and how Prometheus reads them as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from attrs import frozen


@frozen
class Metric:
    """One number for each combination of its labels.

    Attributes:
        name: As Prometheus has it; that of a counter ends in ``_total``.
        kind: ``counter``, which grows until its process begins anew, or ``gauge``.
        meaning: A sentence without its full stop.
        labels: Names of its labels.
        samples: The numbers, by the values of the labels.
    """

    name: str
    kind: str
    meaning: str
    labels: tuple[str, ...]
    samples: Mapping[tuple[str, ...], float]


@runtime_checkable
class TellsMetrics(Protocol):
    """A backend whose jobs are counted by a process that they share."""

    def metrics(self) -> Sequence[Metric]:
        """The numbers of its scope."""
        ...


def exposition(metrics: Iterable[Metric]) -> str:
    """Metrics in Prometheus's text format."""
    lines: list[str] = []
    for metric in metrics:
        lines.append(f"# HELP {metric.name} {_escaped(metric.meaning)}")
        lines.append(f"# TYPE {metric.name} {metric.kind}")
        for values, number in sorted(metric.samples.items()):
            labels = ",".join(
                f'{name}="{_escaped(value, quoted=True)}"' for name, value in zip(metric.labels, values, strict=True)
            )
            lines.append(f"{metric.name}{{{labels}}} {number:.17g}")
    return "\n".join([*lines, ""])


def _escaped(text: str, *, quoted: bool = False) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quoted else text
