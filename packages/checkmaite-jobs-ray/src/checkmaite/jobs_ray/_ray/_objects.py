"""Payloads too large for a registry's memory."""

from __future__ import annotations

from typing import Any

import ray

_INLINE_LIMIT_BYTES = 32 * 1024


async def own_payload(payload: Any) -> Any:
    """The same payload, owned by this process: what another process owns would be lost with that one."""
    return ray.put(await payload) if isinstance(payload, ray.ObjectRef) else payload


def is_large(payload: Any) -> bool:
    """Whether a payload is too large to be kept in memory, or in a journal, for a job that may wait for long."""
    return isinstance(payload, bytes) and len(payload) > _INLINE_LIMIT_BYTES


def keep_payload(payload: Any) -> Any:
    """The payload itself when it is small, else a reference to it in Ray's object store, owned by this process."""
    return ray.put(payload) if is_large(payload) else payload
