"""What a finished job hands to its submitter: small, frozen, JSON round-trip."""

from __future__ import annotations

from attrs import asdict, frozen

REPORT_INLINE_LIMIT_BYTES = 256 * 1024
"""A report larger than this, in UTF-8 bytes, is kept as an artifact and `CapabilityRunRef.report` is its URI."""


@frozen(kw_only=True)
class CapabilityRunRef:
    """Where the results of one run are.

    Attributes:
        run_uid: Identity of the run; the ``run_uid`` column of every table in the store.
        capability_id: The capability that ran.
        store_uri: URI of the run's commit object in the analytics store; None when the run gave no rows.
        outputs_uri: URI of further outputs that the run wrote by itself; None when it named none.
        report: The Markdown report up to 256 KiB, or the URI of a larger one, or None when there is none.
    """

    run_uid: str
    capability_id: str
    store_uri: str | None = None
    outputs_uri: str | None = None
    report: str | None = None

    def to_json(self) -> str:
        """The ref as a JSON object with sorted keys."""
        import json  # slow to import, and only for refs that leave Python

        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> CapabilityRunRef:
        """The ref that `to_json` wrote.

        Raises:
            ValueError: The text is not JSON.
            TypeError: A field is missing or unknown.
        """
        import json

        return cls(**json.loads(text))
