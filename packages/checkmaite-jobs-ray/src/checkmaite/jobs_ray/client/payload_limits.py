"""How much one call may carry to the registry: it holds all of a call in memory, and every client of it waits."""

from __future__ import annotations

from collections.abc import Sequence

from checkmaite.jobs import JobSubmissionError, Problem

MOST_BATCH_BYTES = 256 * 2**20
"""A batch is accepted whole or not at all, so it travels in one call. A single job may be allowed to have more."""
_REMEDY = (
    "Publish what is large once, and pass the reference in its place: `from checkmaite.jobs import stage`, then "
    "models=[stage(model)]; jobs get the model itself. Or pass paths, URLs or dataset ids that run() opens"
)


def refuse_large(payloads: Sequence[bytes], most_bytes: int) -> None:
    """See that payloads may be sent.

    Args:
        payloads: Those of one batch.
        most_bytes: Of one job, ``max_payload_bytes``.

    Raises:
        JobSubmissionError: One is too large, or all together are.
    """
    problems = _too_large(payloads, most_bytes) or _too_large_together(payloads, max(most_bytes, MOST_BATCH_BYTES))
    if problems:
        raise JobSubmissionError("Nothing was submitted.", phase="serialize", problems=problems)


def _too_large(payloads: Sequence[bytes], most_bytes: int) -> list[Problem]:
    path = "submissions[{}]" if len(payloads) > 1 else "submission"
    return [
        Problem(
            path.format(number),
            f"its capability and arguments have {len(payload):,} bytes, pickled; at most {most_bytes:,} are sent "
            "along.",
            f"{_REMEDY}, or raise max_payload_bytes.",
        )
        for number, payload in enumerate(payloads)
        if len(payload) > most_bytes
    ]


def _too_large_together(payloads: Sequence[bytes], most_bytes: int) -> list[Problem]:
    together = sum(map(len, payloads))
    if together <= most_bytes:
        return []
    return [
        Problem(
            "submissions",
            f"the capabilities and arguments of this batch have {together:,} bytes, pickled; at most {most_bytes:,} "
            "are sent in one call.",
            f"{_REMEDY}, or submit it in several calls.",
        )
    ]
