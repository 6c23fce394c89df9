"""What is asked of a bucket, as the rights that S3 asks for, and a bucket that grants no more than some."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from attrs import field, mutable


@mutable
class Rights:
    """The rights that were asked for since the last `take`, and those that are granted; None grants all."""

    asked: set[tuple[str, str]] = field(factory=set)
    granted: list[dict[str, Any]] | None = None

    def take(self) -> set[str]:
        """The actions that were asked for, as a policy calls them."""
        actions = {action for action, _ in self.asked}
        self.asked.clear()
        return actions

    def grants(self, action: str, resource: str) -> bool:
        """Whether a statement allows it."""
        return self.granted is None or any(
            action in statement["Action"] and any(fnmatch.fnmatch(resource, each) for each in statement["Resource"])
            for statement in self.granted
        )


@contextmanager
def watched(bucket: str) -> Iterator[Rights]:
    """Has the S3 server of this process tell what is asked of a bucket, and refuse what is not granted.

    Of other buckets it is not told: what an earlier test has left on a cluster may still ask for something there.
    """
    from moto.s3.exceptions import S3AccessDeniedError
    from moto.s3.responses import S3Response

    rights = Rights()

    def authorize(self: Any, bucket_name: str | None = None, key_name: str | None = None) -> None:
        if bucket_name not in (bucket, None):
            return
        action = {"HeadBucket": "ListBucket"}.get(self._get_action(), self._get_action())
        resource = f"arn:aws:s3:::{bucket_name}" + (f"/{key_name}" if key_name else "")
        rights.asked.add((f"s3:{action}", resource))
        if not rights.grants(f"s3:{action}", resource):
            raise S3AccessDeniedError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(S3Response, "_authenticate_and_authorize_s3_action", authorize)
        yield rights
