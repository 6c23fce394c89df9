"""The fingerprints of submissions: which objects are looked at, and what their digests are called."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from itertools import islice
from typing import Any

from attrs import frozen
from checkmaite.jobs._shared.prints import Content, Fingerprints, ObjectPrint
from checkmaite.jobs._shared.staged import Staged
from checkmaite.jobs._shared.texts import shortened
from checkmaite.jobs._submitters.fingerprint.cases import case_of, is_ordinary
from checkmaite.jobs._submitters.fingerprint.code import code_files, is_own
from checkmaite.jobs._submitters.fingerprint.distributions import distributions_of
from checkmaite.jobs._submitters.fingerprint.functions import is_imported_by_name
from checkmaite.jobs._submitters.fingerprint.given import each_given, id_of
from checkmaite.jobs._submitters.fingerprint.hashing import Pace, node, plain_bytes
from checkmaite.jobs._submitters.fingerprint.paths import names_some
from checkmaite.jobs._submitters.fingerprint.referred import attribute
from checkmaite.jobs._submitters.fingerprint.staged import MOST_PARTS
from checkmaite.jobs._submitters.fingerprint.walk import MOST_OBJECTS, Opaque, TooLarge, Walk, told

_DIGEST = 32
_SHORT = 16
_MOST_NOTES = 3
_NOTE_BYTES = 256


@frozen
class _Seen:
    """An object's content, the modules that its classes and functions come from, and what was staged of it."""

    value: Any
    content: Content
    modules: frozenset[str]
    staged: frozenset[Staged]


class Fingerprinter:
    """Fingerprints submissions that are made at one time; what several of them have in common is looked at once.

    An object that is changed while this lives keeps its fingerprint: make a new one for each call of the user's.

    Args:
        progress: Gets a message a second, from the first second on.
        in_process: Whether the jobs run in this process: with modules as it has imported them, not as their files are.
    """

    def __init__(self, progress: Callable[[str], None] | None = None, *, in_process: bool = False) -> None:
        self._pace = Pace(progress)
        self._in_process = in_process
        self._seen: dict[tuple[int, bool], _Seen] = {}
        self._alike: dict[tuple[Any, ...], _Seen] = {}
        self.staged: frozenset[Staged] = frozenset()
        self._code: dict[tuple[type, frozenset[str]], tuple[Content, Mapping[str, str]]] = {}

    def of(
        self,
        capability: Any,
        *,
        models: object = None,
        datasets: object = None,
        metrics: object = None,
        config: object = None,
    ) -> Fingerprints:
        """The fingerprints of one submission. No object makes it fail: what has no digest says why.

        Afterwards `staged` holds the references to staged objects that were met in it.
        """
        modules: set[str] = set()
        self.staged = frozenset()
        kind = type(capability)
        state = self._content("capability", capability, modules, named=(kind,))
        settings = self._content("config", config, modules)
        objects = tuple(
            self._object(path, each, modules)
            for name, given in (("models", models), ("datasets", datasets), ("metrics", metrics))
            for path, each in each_given(name, given)
        )
        code, distributions = self._code_of(kind, frozenset(modules))
        return Fingerprints(capability=state, code=code, config=settings, distributions=distributions, objects=objects)

    def _object(self, path: str, value: Any, modules: set[str]) -> ObjectPrint:
        name = id_of(value) or ""
        content = self._content(f"{path} {name!r}" if name else path, value, modules, by_field=False)
        return ObjectPrint(path=path, id=name, content=content)

    def _content(
        self, doing: str, value: Any, modules: set[str], *, named: Collection[type] = (), by_field: bool = True
    ) -> Content:
        self._pace.doing = doing
        plain = _plain_content(value, self._pace, by_field=by_field)
        if plain is not None:
            return plain
        key = id(value), by_field
        seen = self._seen.get(key)
        if seen is None:
            seen = self._seen[key] = self._looked_at(value, named, by_field=by_field)
        modules |= seen.modules
        self.staged |= seen.staged
        return seen.content

    def _looked_at(self, value: Any, named: Collection[type], *, by_field: bool) -> _Seen:
        state = plain_bytes(vars(value), self._pace) if is_ordinary(type(value)) else None
        alike = type(value), state, tuple(named), by_field
        if state is not None and (seen := self._alike.get(alike)) is not None:
            return _Seen(value, seen.content, seen.modules, seen.staged)
        # What a capability or a config names may be what it writes; models, datasets and metrics are read.
        walk = Walk(case_of, self._pace, named=named, reads=not by_field)
        content = content_of(value, walk, by_field=by_field)
        seen = _Seen(value, content, frozenset(walk.modules), frozenset(walk.staged))
        if state is not None:
            self._alike[alike] = seen
        return seen

    def _code_of(self, kind: type, modules: frozenset[str]) -> tuple[Content, Mapping[str, str]]:
        known = self._code.get((kind, modules))
        if known is None:
            self._pace.doing = "code"
            try:
                known = _code_of(kind, modules, self._pace, as_imported=self._in_process)
            except Exception as error:  # noqa: BLE001 - folders that may not be read, or damaged metadata of a distribution
                known = Content(digest=None, reason=f"cannot be fingerprinted: {_shown(told(error))}"), {}
            self._code[kind, modules] = known
        return known


def fingerprints_of(
    capability: Any,
    *,
    models: object = None,
    datasets: object = None,
    metrics: object = None,
    config: object = None,
    progress: Callable[[str], None] | None = None,
) -> Fingerprints:
    """The fingerprints of one submission; see `Fingerprinter`."""
    return Fingerprinter(progress).of(capability, models=models, datasets=datasets, metrics=metrics, config=config)


def identity_of(value: object, name: str) -> str:
    """A digest of a value in which classes stand for their names: it differs when any value or class differs.

    Raises:
        Opaque: There is none; the text says why, and calls the value by this name.
    """
    pace = Pace()
    plain = plain_bytes(value, pace)
    if plain is not None:
        return _short(plain, _DIGEST)
    walk = Walk(case_of, pace, named=None, refers=False)
    try:
        digest = walk.digest(value)
    except TooLarge:
        raise Opaque(f"{name} holds more than {MOST_OBJECTS:,} objects") from None
    for path, why in walk.notes.items():
        raise Opaque(f"{name}{path} is {why}")
    return _short(digest, _DIGEST)


def content_of(value: Any, walk: Walk, *, by_field: bool = False) -> Content:
    """The content of one object.

    Args:
        value: The object.
        walk: A new walk.
        by_field: Whether each of its fields gets a digest of its own.
    """
    try:
        digest = walk.digest(attribute(value, walk))
    except TooLarge:
        reason = f"it holds more than {MOST_OBJECTS:,} objects; give it a fingerprint() or a metadata['digest']"
        return Content(digest=None, reason=f"cannot be fingerprinted: {reason}")
    if "" in walk.notes:
        return Content(digest=None, reason=f"cannot be fingerprinted: it is {_shown(walk.notes[''])}")
    parts = walk.fields if by_field and len(walk.fields) <= MOST_PARTS else {}
    return Content(
        digest=_short(digest, _DIGEST),
        reason=_told(walk.notes, walk.unread),
        parts={name: _short(each, _SHORT) for name, each in parts.items()},
    )


def _plain_content(value: Any, pace: Pace, *, by_field: bool) -> Content | None:
    """What `content_of` gives of plain values that name no files, as most configs are; None for everything else."""
    plain = None if names_some(value) else plain_bytes(value, pace)
    if plain is None:
        return None
    parts = {}
    if by_field and type(value) is dict and len(value) <= MOST_PARTS:
        parts = {name: _short(node("field", [plain_bytes(each, pace) or b""]), _SHORT) for name, each in value.items()}
    return Content(digest=_short(plain, _DIGEST), parts=parts)


def _told(notes: Mapping[str, str], unread: Mapping[str, str]) -> str:
    said = [f"{path} cannot be fingerprinted: it is {_shown(why)}" for path, why in islice(notes.items(), _MOST_NOTES)]
    said += [_shown(why) for why in islice(sorted({*unread.values()}), _MOST_NOTES)]
    shown = said[:_MOST_NOTES]
    more = len(notes) + len({*unread.values()}) - len(shown)
    return "; ".join([*shown, f"and {more} more"] if more else shown)


def _shown(why: str) -> str:
    return shortened(why, _NOTE_BYTES)


def _short(digest: bytes, length: int) -> str:
    return hashlib.sha256(digest).hexdigest()[:length]


def _code_of(
    kind: type, modules: frozenset[str], pace: Pace, *, as_imported: bool
) -> tuple[Content, Mapping[str, str]]:
    """The code of a capability's class, and of the modules that its arguments' classes come from."""
    parts: dict[str, str] = {}
    reasons = []
    own = (kind.__module__,) if is_imported_by_name(kind) else ()
    if not own:
        walk = Walk(case_of, pace)
        content = content_of(kind, walk)
        parts[f"{kind.__module__}.{kind.__qualname__}"] = (content.digest or "")[:_SHORT]
        reasons += [content.reason] if content.reason else []
        modules |= walk.modules
    patched: dict[str, object] | None = {} if as_imported else None
    files = code_files(modules, pace=pace, installed=own, as_imported=as_imported, patched=patched)
    if own and not files and not is_own(kind.__module__):
        reasons.append(f"the module {kind.__module__} has no file that could be read")
    parts |= files
    for name, value in sorted((patched or {}).items()):
        walk = Walk(case_of, pace)
        content = content_of(value, walk)
        parts |= code_files(walk.modules, pace=pace, as_imported=as_imported)
        parts[f"{name} (changed at run time)"] = (content.digest or "")[:_SHORT]
        reasons += [f"{name}: {content.reason}"] if content.reason else []
    whole = hashlib.sha256(ascii(sorted(parts.items())).encode()).hexdigest()[:_DIGEST]
    return Content(digest=whole, reason="; ".join(reasons), parts=parts), distributions_of(kind.__module__)
