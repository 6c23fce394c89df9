"""Listens to the mailbox for as long as there is something to hear. All methods are called on the courier's thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from checkmaite.jobs.spi import Letter
from checkmaite.jobs_ray_simple.courier import Courier
from checkmaite.jobs_ray_simple.mailbox import Mailbox

_AGAIN_AFTER_S = 1.0
_LOOK_AFTER_S = 1.0  # how soon a connection is missed that the user ended; a look asks nobody


class Listening:
    """One question to the mailbox at a time.

    Args:
        mailbox: It.
        courier: Brings the answers.
        hear: Takes letters.
        is_wanted: Whether letters may come.
        lose: Called when the connection was ended.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        courier: Courier,
        *,
        hear: Callable[[Sequence[Letter]], object],
        is_wanted: Callable[[], object],
        lose: Callable[[], object],
    ) -> None:
        self._mailbox = mailbox
        self._courier = courier
        self._hear = hear
        self._is_wanted = is_wanted
        self._lose = lose
        self._number = 0
        self._is_under_way = False

    def listen(self) -> None:
        """Ask for the next letters, unless that is done already."""
        if self._is_under_way:
            return
        if not self._courier.is_connected:
            self._lose()
            return
        self._is_under_way = True
        self._number += 1
        # A connection that the user ends leaves every reference unanswered, the next one too.
        self._courier.at(time.monotonic() + _LOOK_AFTER_S, partial(self._check, self._number))
        self._courier.follow(self._mailbox.collect(), self._take)

    def _take(self, future: Future[Any]) -> None:
        self._is_under_way = False
        if future.exception() is not None:  # the mailbox's node died: Ray starts it again, empty
            self._courier.at(time.monotonic() + _AGAIN_AFTER_S, self._listen_or_lose)
            return
        letters = self._mailbox.read(future.result())
        self._hear(letters)
        if letters or self._is_wanted():  # the last words of a job may come after its end
            self.listen()

    def _check(self, number: int) -> None:
        if self._is_under_way and self._number == number:
            self._is_under_way = self._courier.is_connected
            self._listen_or_lose()
            if self._is_under_way:
                self._courier.at(time.monotonic() + _LOOK_AFTER_S, partial(self._check, number))

    def _listen_or_lose(self) -> None:
        if self._is_wanted() or not self._courier.is_connected:
            self.listen()
