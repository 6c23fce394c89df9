"""Asks a store again that does not answer: briefly before a job has computed anything, for long afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from checkmaite.jobs._shared.errors import StoreError
from checkmaite.jobs._workers.interrupt import Interrupt

PATIENCE_S = 60.0
"""How long a job that has computed nothing yet asks a store again: a short outage ends no job."""

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 8.0
_LONGEST_PAUSE_OF_RESULTS_S = 30.0
_LOOK_S = 0.2
_T = TypeVar("_T")


def patiently(ask: Callable[[], _T], say: Callable[[str], object]) -> _T:
    """A store's answer, asked for again for a while when the store does not answer; other errors are raised at once.

    Args:
        ask: Asks it.
        say: Is told what is waited for; an empty text at the end.
    """

    def wait(error: StoreError, seconds: float) -> None:
        say(f"nothing has run yet: {error} It is asked again, for {PATIENCE_S:g} s in all.")
        time.sleep(seconds)

    return _asked_again(ask, say, wait, limit_s=PATIENCE_S, longest_pause_s=_LONGEST_PAUSE_S)


def until_stored(
    store: Callable[[], _T], say: Callable[[str], object], *, limit_s: float | None, interrupt: Interrupt
) -> _T:
    """Store a result, again and again while the store does not answer: the result took long to compute.

    Args:
        store: Stores it, whole or not at all.
        say: Is told what is waited for; an empty text at the end.
        limit_s: Seconds in all, after which the store's error is raised; None waits without end.
        interrupt: Says whether the job was asked to stop, in a block that is shielded from it.

    Raises:
        KeyboardInterrupt: The job was asked to stop, between two tries; the store's error is its cause.
    """
    how_long = "" if limit_s is None else f", for {limit_s:g} s in all"

    def wait(error: StoreError, seconds: float) -> None:
        say(f"the run is over, and its results wait to be stored: {error} It is asked again{how_long}.")
        until = time.monotonic() + seconds
        while not interrupt.requested and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _LOOK_S))
        if interrupt.requested:
            raise KeyboardInterrupt from error

    return _asked_again(store, say, wait, limit_s=limit_s, longest_pause_s=_LONGEST_PAUSE_OF_RESULTS_S)


def _asked_again(
    ask: Callable[[], _T],
    say: Callable[[str], object],
    wait: Callable[[StoreError, float], None],
    *,
    limit_s: float | None,
    longest_pause_s: float,
) -> _T:
    began, seconds, waited = time.monotonic(), _FIRST_PAUSE_S, False
    while True:
        try:
            answer = ask()
        except StoreError as error:
            if not error.retryable:
                raise
            if limit_s is not None and time.monotonic() + seconds > began + limit_s:
                raise
            wait(error, seconds)
        else:
            if waited:
                say("")
            return answer
        waited = True
        seconds = min(2 * seconds, longest_pause_s)
