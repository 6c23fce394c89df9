"""The trace that a job is part of: what travels with it, as W3C Trace Context and Baggage write it.

No package is needed to carry a trace: it is three texts. The ids of a job's spans follow from the job, so that its
worker can hang spans below one that another process makes when the job has ended.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from typing import NamedTuple

_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})", re.ASCII)
_PRINTABLE = re.compile(r"[\x20-\x7e]*", re.ASCII)
_TRACESTATE_BYTES = 512
_BAGGAGE_BYTES = 1024
"""Less than the 8 KiB of the recommendation: it is kept with every job."""
_SAMPLED = 1


class TraceContext(NamedTuple):
    """Where in a trace something is done.

    Attributes:
        traceparent: The trace, the span that it is done in, and whether that is recorded.
        tracestate: What tracing systems have added; empty for nothing.
        baggage: What the application has; empty for nothing.
    """

    traceparent: str
    tracestate: str = ""
    baggage: str = ""

    @property
    def trace_id(self) -> str:
        """The trace, as 32 hexadecimal digits."""
        return self.traceparent[3:35]

    @property
    def span_id(self) -> str:
        """The span, as 16 hexadecimal digits."""
        return self.traceparent[36:52]

    @property
    def flags(self) -> int:
        """Its flags; see `is_sampled`."""
        return int(self.traceparent[53:], 16)

    @property
    def is_sampled(self) -> bool:
        """Whether the trace is recorded."""
        return bool(self.flags & _SAMPLED)


def usable_trace(said: object) -> TraceContext | None:
    """The context that somebody has sent, in parts or as one; None when it is none.

    Of one that is too long, or holds what no header may, what is beside the ``traceparent`` is left out.
    """
    if not isinstance(said, (tuple, list)) or not 1 <= len(said) <= len(TraceContext._fields):
        return None
    traceparent, tracestate, baggage = (*said, "", "")[:3]
    if not isinstance(traceparent, str) or _TRACEPARENT.fullmatch(traceparent) is None:
        return None
    return TraceContext(traceparent, _bounded(tracestate, _TRACESTATE_BYTES), _bounded(baggage, _BAGGAGE_BYTES))


def _bounded(text: object, limit: int) -> str:
    return text if isinstance(text, str) and len(text) <= limit and _PRINTABLE.fullmatch(text) else ""


def job_span(job_id: str, trace: TraceContext | None) -> TraceContext:
    """The span of a job as a whole. A job that is part of no trace begins one."""
    if trace is None:
        return TraceContext(f"00-{_digest(32, 'trace', job_id)}-{_digest(16, 'job', job_id)}-01")
    return TraceContext(f"00-{trace.trace_id}-{_digest(16, 'job', job_id)}-{trace.flags:02x}", trace.tracestate)


def attempt_span(job_id: str, started_at: datetime, trace: TraceContext | None) -> TraceContext:
    """The span of the start of a job that a worker has begun at that instant, by its own clock."""
    job = job_span(job_id, trace)
    began = str(round(started_at.timestamp() * 1e6))
    return job._replace(traceparent=f"00-{job.trace_id}-{_digest(16, 'attempt', job_id, began)}-{job.flags:02x}")


def _digest(digits: int, *parts: str) -> str:
    """Hexadecimal digits that follow from parts; all zeros, which no id may be, is as likely as it is by chance."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:digits]
