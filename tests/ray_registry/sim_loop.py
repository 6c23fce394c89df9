"""An event loop on simulated time: what was written for asyncio goes on a callback at a time, when it is told to.

Callbacks run in the order in which asyncio would run them. What it may run them with in between, such as a reply, a
timer or the death of the process, is up to whoever calls `run`.
"""

from __future__ import annotations

import asyncio
import warnings
from asyncio import events
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from types import CoroutineType
from typing import Any


class Loop(asyncio.AbstractEventLoop):
    """The event loop of one process.

    Args:
        clock: Gives the time, in seconds, by a clock that nobody sets.
        failed: Told of each exception that nobody has caught.
    """

    def __init__(self, clock: Callable[[], float], failed: Callable[[BaseException], object]) -> None:
        self._clock = clock
        self._failed = failed
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = count()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_dead = False

    # -- what the simulation does -------------------------------------------------------------------------------------

    @property
    def has_work(self) -> bool:
        """Whether there is something to run now."""
        self._look_at_timers()
        return bool(self._ready)

    @property
    def next_at(self) -> float | None:
        """When the next timer is due; None without one."""
        while self._timers and self._timers[0][2].cancelled():
            heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def run(self, most: int) -> None:
        """Run so many callbacks, as far as there are any."""
        self._look_at_timers()
        events._set_running_loop(self)
        try:
            while self._ready and most:
                handle = self._ready.popleft()
                if not handle.cancelled():
                    most -= 1
                    handle._run()
        finally:
            events._set_running_loop(None)

    def die(self) -> None:
        """The process ends here: nothing of it is ever run again."""
        self._is_dead = True
        self._ready.clear()
        self._timers.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of what it had not begun to do
            for task in list(self._tasks):
                task._log_destroy_pending = False  # type: ignore[attr-defined] - it is no fault here
                coroutine = task.get_coro()
                assert isinstance(coroutine, CoroutineType), coroutine
                coroutine.close()
        self._tasks.clear()

    # -- what asyncio asks --------------------------------------------------------------------------------------------

    def time(self) -> float:
        return self._clock()

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        if not self._is_dead:
            self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        return self.call_at(self._clock() + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass  # it is left out when it is due

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **named: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, **named)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        """What is computed in a thread is so at once; storage is asked in another way."""
        future = self.create_future()
        future.set_result(func(*args))
        return future

    def call_exception_handler(self, context: Any) -> None:
        if self._is_dead:
            return
        error = context.get("exception")
        self._failed(error if error is not None else RuntimeError(str(context)))

    def _look_at_timers(self) -> None:
        now = self._clock()
        while self._timers and self._timers[0][0] <= now:
            handle = heappop(self._timers)[2]
            if not handle.cancelled():
                self._ready.append(handle)
