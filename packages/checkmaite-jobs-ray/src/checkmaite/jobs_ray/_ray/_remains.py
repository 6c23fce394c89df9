"""What a dead worker has left of its job's output, asked of its node."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from checkmaite.jobs.spi import Remains
from checkmaite.jobs_ray_simple.wall import REMAINS_S, remains_of

_log = logging.getLogger("checkmaite.jobs")


async def left_output(job_id: str, host: str | None, runtime_env: Mapping[str, Any] | None) -> Remains | None:
    """What a job's dead worker has left on its node; None when that is nothing. See `remains_of`."""
    left: Remains | None
    try:
        async with asyncio.timeout(REMAINS_S):
            found = remains_of(job_id, host, runtime_env, leaves_driver=True)
            asked = [asyncio.wrap_future(each.future()) for each in found]
            for answer in asyncio.as_completed(asked):
                left = await answer
                if left is not None:
                    return left
    except Exception:  # noqa: BLE001 - whatever Ray raises about the node, what the worker has told is there
        _log.info("what job %s printed last could not be looked for", job_id, exc_info=True)
    return None
