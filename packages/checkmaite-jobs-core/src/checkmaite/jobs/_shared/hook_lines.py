"""Tells hooks of events, each on a thread of its own behind a queue with an end: nobody ever waits for a hook."""

from __future__ import annotations

import atexit
import logging
import os
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from attrs import evolve
from checkmaite.jobs._shared.deadline import Deadline
from checkmaite.jobs._shared.discovery import open_hook
from checkmaite.jobs._shared.hooks import HookReport, HookSpec, JobEvent, JobHook
from checkmaite.jobs._shared.texts import class_name, message_text, shortened

_log = logging.getLogger("checkmaite.jobs")
_WAITING = 1_000
"""Events that wait for one hook at most."""
_END_S = 5.0
"""What a process that ends gives its hooks to be told the rest."""
_MESSAGE_BYTES = 500


class HookLines:
    """Every hook of one backend, told by this process. Thread-safe, and no call of `tell` waits or raises.

    Args:
        specs: The hooks.
        waiting: Events that wait for one hook at most; of more the newest are dropped.
    """

    def __init__(self, specs: Sequence[HookSpec], *, waiting: int = _WAITING) -> None:
        where = f"process {os.getpid()} on {socket.gethostname()}"
        self._lines = [_Line(spec, where, waiting) for spec in specs]
        if self._lines:
            atexit.register(self.close)

    def __bool__(self) -> bool:
        """Whether there are any hooks."""
        return bool(self._lines)

    def tell(self, event: JobEvent) -> None:
        """Have every hook told of an event, after those before it; what was missed before it counts as dropped."""
        for line in self._lines:
            line.offer(event)

    def reports(self) -> list[HookReport]:
        """How each of them is doing."""
        return [line.report() for line in self._lines]

    def settle(self, timeout_s: float) -> bool:
        """Wait until all have been told everything, or `timeout_s` seconds have passed; whether they have."""
        deadline = Deadline.after(timeout_s)
        return sum(line.settle(deadline) for line in self._lines) == len(self._lines)

    def close(self, timeout_s: float | None = None) -> None:
        """Tell nothing more; what is waiting is told for `timeout_s` seconds, 5 when None, and then dropped."""
        atexit.unregister(self.close)
        for line in self._lines:
            line.begin_to_end()
        deadline = Deadline.after(_END_S if timeout_s is None else timeout_s)
        for line in self._lines:
            line.end(deadline)


class _Line:
    """One hook, its queue and its thread."""

    def __init__(self, spec: HookSpec, where: str, limit: int) -> None:
        self._spec, self._limit = spec, limit
        self._known = HookReport(name=spec.name, where=where)
        self._waiting: deque[JobEvent] = deque()
        self._missed = 0
        self._ends = self._is_broken = False
        self._is_busy = True  # it is made first
        self._hook: JobHook | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=f"checkmaite hook {spec.name}", daemon=True)
        self._thread.start()

    def offer(self, event: JobEvent) -> None:
        with self._changed:
            self._drop(event.missed)
            if self._ends or self._is_broken or len(self._waiting) >= self._limit:
                self._drop(1)
                return
            self._waiting.append(evolve(event, missed=self._missed) if self._missed else event)
            self._missed = 0
            self._changed.notify_all()

    def report(self) -> HookReport:
        with self._changed:
            return evolve(self._known, waiting=len(self._waiting))

    def settle(self, deadline: Deadline) -> bool:
        with self._changed:
            return self._changed.wait_for(self._is_settled, deadline.remaining_s())

    def begin_to_end(self) -> None:
        with self._changed:
            self._ends = True
            self._changed.notify_all()

    def end(self, deadline: Deadline) -> None:
        if not self.settle(deadline):
            with self._changed:
                self._drop(len(self._waiting))
                self._waiting.clear()
        if self._hook is not None:
            with suppress(Exception):  # it is asked to hurry, and the process ends either way
                self._hook.give_up()

    def _is_settled(self) -> bool:
        return not self._waiting and not self._is_busy

    def _drop(self, count: int) -> None:
        """Count what the hook is not told. The lock is held."""
        if not count:
            return
        before, self._missed = self._known.dropped, self._missed + count
        self._known = evolve(self._known, dropped=before + count)
        if _is_worth_a_word(before, before + count):
            _log.warning(
                "the hook %r is too slow, or cannot work: %d events were not told",
                self._spec.name,
                before + count,
            )

    def _run(self) -> None:
        call = self._opened()
        while (event := self._next()) is not None:
            try:
                call(event)
            except BaseException as error:  # noqa: BLE001 - whatever a hook raises, SystemExit too, is its own affair
                self._note_failure(error)
            else:
                with self._changed:
                    self._known = evolve(self._known, told=self._known.told + 1)

    def _opened(self) -> Callable[[JobEvent], object]:
        try:
            hook = self._hook = open_hook(self._spec)
        except BaseException as error:  # noqa: BLE001 - as above; a hook that cannot be made is told nothing
            _log.warning("the hook %r cannot work here and is told nothing: %s", self._spec.name, error)
            with self._changed:
                self._is_broken = True
                self._known = evolve(self._known, last_error=_said(error))
                self._drop(len(self._waiting))
                self._waiting.clear()
                self._changed.notify_all()
            return lambda _: None
        return hook.on_event

    def _next(self) -> JobEvent | None:
        """The next event, once there is one; None at the end."""
        with self._changed:
            self._is_busy = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._waiting or self._ends or self._is_broken)
            if not self._waiting:
                return None
            self._is_busy = True
            return self._waiting.popleft()

    def _note_failure(self, error: BaseException) -> None:
        with self._changed:
            before = self._known.failed
            self._known = evolve(self._known, failed=before + 1, last_error=_said(error))
        if _is_worth_a_word(before, before + 1):
            _log.warning("the hook %r failed, %d times now", self._spec.name, before + 1, exc_info=error)


def _is_worth_a_word(before: int, now: int) -> bool:
    """Whether a count has reached the next power of two: what goes on for ever is not logged for ever."""
    return before.bit_length() != now.bit_length()


def _said(error: BaseException) -> str:
    return shortened(f"{class_name(error)}: {message_text(error)}", _MESSAGE_BYTES)
