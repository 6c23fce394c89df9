"""The walk over an object: what digests its parts, and what happens where they are shared or lead back.

A generator of steps asks for the parts of an object: it yields each with its label and is sent its digest.
So depth needs no recursion, and no case knows about sharing, cycles or limits.

Two objects that are equal but not the same, and one object met twice, give the same digest. A part that leads back to
an object around it is told by the distance. Objects on such a cycle have digests that depend on where the cycle was
entered, so another walk may meet them in another order only where a set holds them.
"""

from __future__ import annotations

import re
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Collection, Generator
from typing import Any

from attrs import define, field
from checkmaite.jobs._shared.staged import Staged
from checkmaite.jobs._shared.texts import class_name, message_text
from checkmaite.jobs._shared.values import with_article
from checkmaite.jobs._submitters.fingerprint.hashing import Pace, node, plain_container, scalar
from checkmaite.jobs._submitters.fingerprint.paths import names_some

Label = str | int
Steps = Generator[tuple[Label, Any], bytes, bytes]
"""Yields a part with its label, gets the part's bytes, returns the bytes of the whole."""

MOST_OBJECTS = 1_000_000
"""Objects and containers of one part of a submission that are looked at; plain lists and dicts count less."""
_OBJECTS_BETWEEN_TICKS = 1024
_FEW = 64
"""Items of a plain container that are digested again each time, rather than remembered."""
_MOST_CODE = 4096
_code: dict[int, tuple[types.CodeType, bytes, int]] = {}
"""Code that was digested in this process, with its bytes and its size: code never changes."""
_FIELD = re.compile(r"\.(\w+)(?<!__)|\['(.*)'\]")


class Opaque(Exception):  # noqa: N818 - no error, but an answer: this object has no fingerprint
    """An object cannot be fingerprinted; the text completes the sentence "it is ..."."""


class TooLarge(Exception):  # noqa: N818 - likewise
    """A walk met more objects than it looks at."""


@define
class _Frame:
    """An object whose parts are being digested.

    Attributes:
        value: The object.
        steps: Its case.
        position: The number of objects met before it, where shared ones count each time.
        lowest: The depth of the outermost object that something inside leads back to.
        opened: The number of finished objects that led back further than to themselves when this one was begun.
        label: The part that is being digested.
    """

    value: Any
    steps: Steps
    position: int
    lowest: int
    opened: int
    label: Label = ""


@define
class Walk:
    """Digests objects; remembers each for as long as it lives.

    Attributes:
        case: Gives the steps of an object that is neither a scalar nor a plain container.
        pace: Told of the work done.
        named: Classes that stand for their names, whatever their code is; None means all.
        modules: Names of the modules whose classes and functions were met.
        notes: What is not in the digest, by path, and why.
        fields: The bytes of the fields or items of the whole object, by name.
        refers: Whether files that attributes name are looked at.
        reads: Whether the content of such a file counts.
        unread: What is told of those whose content does not count, by path.
        staged: References to staged objects that were met.
    """

    case: Callable[[Any, Walk], Steps]
    pace: Pace
    named: Collection[type] | None = ()
    modules: set[str] = field(factory=set)
    notes: dict[str, str] = field(factory=dict)
    fields: dict[str, bytes] = field(factory=dict)
    refers: bool = True
    reads: bool = False
    unread: dict[str, str] = field(factory=dict)
    staged: set[Staged] = field(factory=set)
    _done: dict[int, tuple[bytes, int]] = field(factory=dict)
    _alive: list[Any] = field(factory=list)  # whose id is in use
    _open: dict[int, tuple[Any, int, int]] = field(factory=dict)  # in the order in which they were finished
    _stack: list[_Frame] = field(factory=list)
    _depths: dict[int, int] = field(factory=dict)
    _position: int = 0
    _met: int = 0
    _empty: tuple[bytes, int] | None = None
    """What is remembered of the first empty OrderedDict: each torch module has eleven of them."""

    def quick(self, value: Any) -> bytes | None:
        """The bytes of a plain value, without steps; None when it needs them."""
        done = scalar(value, self.pace)
        if done is None and id(value) in self._done:
            done, size = self._done[id(value)]
            self._position += size
        elif done is None and (known := _code.get(id(value))) is not None:
            _, done, size = known
            self._position += size
        elif done is None and self._empty is not None and _is_empty(value):
            done, size = self._empty
            self._position += size
        elif done is None and not (self.refers and type(value) is dict and names_some(value)):
            done = plain_container(value, self.pace)
            if done is not None and len(value) > _FEW:
                self._keep(value, done, 0)
        return done

    def digest(self, value: Any) -> bytes:
        """The bytes of any value.

        Raises:
            TooLarge: It holds more than `MOST_OBJECTS`.
        """
        sent = self._enter(value)
        if sent is not None and type(value) is dict:
            self.fields = {name: node("field", [self.quick(each) or b""]) for name, each in value.items()}
        while self._stack:
            frame = self._stack[-1]
            if sent is not None and len(self._stack) == 1:
                self._note_field(frame.label, sent)
            try:
                frame.label, part = next(frame.steps) if sent is None else frame.steps.send(sent)
            except StopIteration as end:
                sent = self._leave(end.value)
            except Opaque as reason:
                sent = self._give_up(str(reason))
            except Exception as error:  # noqa: BLE001 - the user's code may raise anything, and it is told
                sent = self._give_up(f"{named(frame.value)}, which cannot be read ({told(error)})")
            else:
                sent = self._enter(part)
        assert sent is not None
        return sent

    @property
    def way(self) -> str:
        """The way in which this looks at objects, which decides what counts."""
        return "key" if self.named is None else "reads" if self.reads else "writes"

    def size_of(self, value: Any) -> int:
        """The number of objects that were met in a value, which was digested; 0 for a plain one."""
        return self._done.get(id(value), (b"", 0))[1]

    def staged_steps(self, reference: Staged) -> Steps:
        """A reference to a staged object counts as the object."""
        found = reference.prints[self.way]
        path = self._path()
        self.staged.add(reference)
        self.modules |= found.modules
        for known, told in ((self.notes, found.notes), (self.unread, found.unread)):
            for inside, why in told.items():
                known.setdefault(path + inside, why)
        if not path and len(self._stack) == 1:
            self.fields |= found.fields
        self._position += found.size - 1
        return found.digest
        yield

    def tell_unread(self, why: str) -> None:
        """The content of a file that the object at hand names does not count."""
        self.unread.setdefault(self._path(), why)

    def _note_field(self, label: Label, digest: bytes) -> None:
        named = _FIELD.fullmatch(str(label))
        if named:
            self.fields[named[1] or named[2]] = node("field", [digest])

    def _enter(self, value: Any) -> bytes | None:
        """The bytes of a value that are known already; None after its steps were begun."""
        quick = self.quick(value)
        if quick is not None:
            return quick
        key = id(value)
        self._position += 1
        if key in self._depths:
            depth = self._depths[key]
            self._stack[-1].lowest = min(self._stack[-1].lowest, depth)
            return b"^%d" % (len(self._stack) - depth)
        if key in self._open:
            _, position, lowest = self._open[key]
            self._stack[-1].lowest = min(self._stack[-1].lowest, lowest)
            return b"~%d" % (self._position - position)
        self._met += 1
        if self._met > MOST_OBJECTS:
            raise TooLarge
        if self._met % _OBJECTS_BETWEEN_TICKS == 0:
            self.pace.tick()
        self._depths[key] = depth = len(self._stack)
        self._stack.append(_Frame(value, self._steps(value), self._position, depth, len(self._open)))
        return None

    def _steps(self, value: Any) -> Steps:
        return (yield from self.case(value, self))

    def _give_up(self, reason: str) -> bytes:
        """An object that cannot be fingerprinted stands for its class; the rest of the walk goes on."""
        self.notes.setdefault(self._path(), reason)
        return self._leave(node("opaque", [type(self._stack[-1].value).__qualname__.encode()]))

    def _leave(self, digest: bytes) -> bytes:
        frame = self._stack.pop()
        key, depth = id(frame.value), len(self._stack)
        del self._depths[key]
        if frame.lowest < depth:
            self._open[key] = frame.value, frame.position, frame.lowest
            self._stack[-1].lowest = min(self._stack[-1].lowest, frame.lowest)
            return digest
        self._keep(frame.value, digest, self._position - frame.position + 1)
        while len(self._open) > frame.opened:  # the objects of a cycle that ends here: known by their place within
            _, (inside, position, _) = self._open.popitem()
            self._keep(inside, node("within", [digest, b"%d" % (position - frame.position)]), 1)
        return digest

    def _keep(self, value: Any, digest: bytes, size: int) -> None:
        if type(value) is types.CodeType:
            if len(_code) >= _MOST_CODE:
                _code.clear()
            _code[id(value)] = value, digest, size
        elif _is_empty(value):
            self._empty = digest, size
        self._done[id(value)] = digest, size
        self._alive.append(value)

    def _path(self) -> str:
        """Where the innermost object is, as a text such as ``.layers[2].handle``."""
        labels = (each.label for each in self._stack[:-1])
        return "".join(f"[{label}]" if isinstance(label, int) else label for label in labels)


def _is_empty(value: Any) -> bool:
    return type(value) is OrderedDict and not value and not vars(value)


def named(value: Any) -> str:
    """An object as a message names it: ``a Lock``."""
    return with_article(type(value).__name__)


def told(error: Exception) -> str:
    """An exception of the user's code as a message tells it."""
    return f"{class_name(error)}: {message_text(error)}"


def loaded(module: str, name: str) -> Any:
    """A name of a module that this process has imported already; an empty tuple, which is no class, otherwise."""
    return getattr(sys.modules.get(module), name, ())
