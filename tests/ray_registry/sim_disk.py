"""An object store, and the storage calls of processes that may be stopped anywhere within them.

A call has two moments: when it takes effect, and when its caller hears of it. In between anything may happen. It may
fail before its effect, or fail to its caller and take effect all the same, at once or much later, also when its caller
is dead by then.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

from attrs import define, field
from checkmaite.jobs import JobsError, StoreError, StoreUnavailableError
from checkmaite.jobs_ray.journal.steps import Create, Delete, Exists, Names, Pause, Read, ReadMany, Request, Steps

SECRET = "open-sesame"


@define(eq=False)
class Errand:
    """Logic of a process that asks for storage calls, and the one that is under way.

    Attributes:
        who: Its process.
        what: For the story.
        then: Called with its result.
        failed: Called with the error that ends it.
        request: What it asks for now; None when it is over.
        is_done: Whether the call has taken effect, or never will, so that the answer is next.
    """

    who: str
    what: str
    steps: Steps[Any]
    then: Callable[[Any], object]
    failed: Callable[[JobsError], object]
    request: Request | None = None
    is_done: bool = False
    reply: Any = None
    error: StoreError | None = None
    left: list[int] = field(factory=list)

    def go_on(self) -> None:
        """Hear the answer and ask for the next call."""
        reply, error = self.reply, self.error
        self.request = self.reply = self.error = None
        self.is_done = False
        try:
            request = self.steps.send(reply) if error is None else self.steps.throw(error)
        except StopIteration as end:
            go_on = partial(self.then, end.value)
        except JobsError as failure:
            go_on = partial(self.failed, failure)
        else:
            self.request = request
            if isinstance(request, ReadMany | Delete):
                self.left = list(range(len(request.keys)))
                self.reply = [None] * len(request.keys)
            return
        go_on()


@define(eq=False)
class Disk:
    """The objects, and calls that take effect later than anybody expects.

    Attributes:
        created: Told of each object that is created: its key and its content.
        deleted: Told of each object that is deleted.
        say: Takes what goes wrong.
        trouble: How many of a hundred calls go wrong.
    """

    dice: Random
    created: Callable[[str, bytes], object]
    deleted: Callable[[str], object]
    say: Callable[..., object]
    trouble: float
    objects: dict[str, bytes] = field(factory=dict)
    late: list[tuple[str, Request]] = field(factory=list)

    def work_on(self, errand: Errand) -> None:
        """Let the call of an errand go on: it takes effect, in whole or in part, or fails."""
        request = errand.request
        assert request is not None, "it asks for something"
        if self.trouble and not isinstance(request, Pause) and self.dice.random() < self.trouble:
            self._fail(errand, request)
            return
        match request:
            case Create(key, content):
                errand.reply = self.create(key, content)
            case Read(key):
                errand.reply = self.objects.get(key)
            case Exists() | Names():
                errand.reply = self._look(request)
            case ReadMany(keys):
                for place in self._some_of(errand):
                    errand.reply[place] = self.objects.get(keys[place])
            case Delete(keys):
                for place in self._some_of(errand):
                    self.delete(keys[place])
            case Pause():
                pass
        errand.is_done = not errand.left

    def create(self, key: str, content: bytes) -> bool:
        """Create an object exclusively; whether this did it."""
        if key in self.objects:
            return False
        self.objects[key] = content
        assert not has_secret(content), f"{key} tells a secret"
        self.created(key, content)
        return True

    def delete(self, key: str) -> None:
        """Delete an object, if it is there."""
        if self.objects.pop(key, None) is not None:
            self.deleted(key)

    def abandon(self, errand: Errand) -> None:
        """The process is dead; what it has asked for may take effect all the same, at any time."""
        if errand.request is not None and not errand.is_done and self.dice.random() < 0.4:
            self._later(errand)
        errand.steps.close()

    def catch_up(self) -> None:
        """One of the calls that nobody expects any more takes effect."""
        if self.late:
            who, request = self.late.pop(self.dice.randrange(len(self.late)))
            if isinstance(request, Create):
                did = self.create(request.key, request.content)
                self.say(f"{who}'s late create of {request.key} {'is done' if did else 'finds it there'}")
            elif isinstance(request, Delete):
                self.say(f"{who}'s late delete of {', '.join(request.keys)} is done")
                for key in request.keys:
                    self.delete(key)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _fail(self, errand: Errand, request: Request) -> None:
        how = "fails"
        if isinstance(request, Create | Delete):
            how = self.dice.choice(("fails", "loses its reply", "fails and is done later"))
        if how == "loses its reply":
            self._carry_out(request)
        elif how == "fails and is done later":
            self._later(errand)
        name = getattr(request, "key", None) or getattr(request, "folder", None) or "some"
        self.say(f"{errand.who}'s {type(request).__name__} of {name}, to {errand.what}, {how}")
        errand.left = []
        errand.error, errand.is_done = StoreUnavailableError("the store does not answer", uri="journal"), True

    def _carry_out(self, request: Request) -> None:
        if isinstance(request, Create):
            self.create(request.key, request.content)
        elif isinstance(request, Delete):
            for key in request.keys:
                self.delete(key)

    def _later(self, errand: Errand) -> None:
        if isinstance(errand.request, Create | Delete):
            self.late.append((errand.who, errand.request))

    def _look(self, request: Exists | Names) -> bool | list[str]:
        if isinstance(request, Exists):
            return request.key in self.objects
        prefix = f"{request.folder}/"
        return [key.removeprefix(prefix) for key in self.objects if key.startswith(prefix)]

    def _some_of(self, errand: Errand) -> list[int]:
        """Some of the places that are left, in any order."""
        left = errand.left
        if len(left) > 1 and self.dice.random() < 0.5:
            self.dice.shuffle(left)
            now, errand.left = left[: len(left) // 2], left[len(left) // 2 :]
            return now
        errand.left = []
        return left


def has_secret(content: bytes) -> bool:
    """Whether an object says what nobody may read in it."""
    line, _, body = content.partition(b"\n")
    text = zlib.decompress(body) if line.startswith(b'{"magic"') and body else content
    return SECRET.encode() in text or SECRET.encode() in line
