"""Loops that go on whatever happens in one of their turns; in registries and controllers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

_log = logging.getLogger("checkmaite.jobs")
_AGAIN_S = 1.0
_ANSWER_TURNS = 4
"""Turns of an event loop until Ray has an answer: the call's own end, what Ray waits for, and two for its thread."""


async def answers_first() -> None:
    """Let answers that are ready leave before the caller goes on, for whom nobody waits.

    Ray hands each answer to a thread of its own. That needs the interpreter, which a task keeps until its turn ends: a
    call to another actor would hold the answer up for most of a millisecond.
    """
    for _ in range(_ANSWER_TURNS):
        await asyncio.sleep(0)


async def take_turns(turn: Callable[[], Awaitable[object]]) -> None:
    """Take turns for ever, each of which has its own wait.

    One that fails is logged and the next one follows: nobody would miss a loop that has ended.
    """
    while True:
        try:
            await turn()
        except Exception:  # noqa: BLE001 - whatever failed may succeed the next time
            _log.exception("%s failed; it is done again", getattr(turn, "__qualname__", turn))
            await asyncio.sleep(_AGAIN_S)
