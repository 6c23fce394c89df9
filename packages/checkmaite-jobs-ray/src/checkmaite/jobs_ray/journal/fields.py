"""Values as rows of JSON that name their fields, so that two versions of this project may know different ones.

- The classes themselves say which fields there are. `Fields` reads them off, so that a new one is kept without a line
  in the journal's modules.
- A field is left out where it has its default and that is nothing: None, False, 0 or empty. Reading takes defaults
  from the class, so a row of an older version has every field. A default that is nothing must stay what it is.
- Reading is strict: a value that is not what the class declares of its field is a ValueError. A field that the class
  does not have is a TypeError. `read` then sets aside what is unknown, which a newer version has written. Whoever
  writes the value again puts it back with `Part.merged`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Protocol, get_origin, get_type_hints

import attrs
from checkmaite.jobs_ray.journal.declared import (
    check_all,
    checked,
    checked_mapping,
    kinds_of,
    text,
    texts,
    without_none,
)

Row = list[Any]
"""A word that says what it is, and the fields of that."""
Unknown = Mapping[str, Any]
"""Fields that this version does not know, by name; those within a field that it knows are below the name of that."""
NOTHING_UNKNOWN: Unknown = {}
_MOST_SHARED = 256
_NEVER = object()


class Part(Protocol):
    """How values of one kind are written and read. None is None everywhere, so no part meets it."""

    @property
    def is_shared(self) -> bool:
        """Whether many jobs have equal values, which are then one object."""
        ...

    def row(self, value: Any, /) -> Any:
        """The value as JSON."""
        ...

    def value(self, row: Any, /) -> Any:
        """The value that `row` has written.

        Raises:
            TypeError: A field is unknown, or one without a default is missing.
            ValueError, KeyError: It has written none like this.
        """
        ...

    def separated(self, row: Any, /) -> tuple[Any, Unknown]:
        """A row without what is unknown in it, and that."""
        ...

    def merged(self, row: Any, unknown: Unknown, /) -> Any:
        """A row with what was unknown in an earlier one."""
        ...


def read(part: Part, row: Any) -> tuple[Any, Unknown]:
    """The value that a row stands for, and what is unknown in it.

    Raises:
        TypeError, ValueError, KeyError: It stands for none.
    """
    try:
        return part.value(row), NOTHING_UNKNOWN
    except TypeError:
        known, unknown = part.separated(row)
        if not unknown:
            raise
        return part.value(known), unknown


class Plain:
    """A value without fields.

    Args:
        value: Makes it of its JSON.
        row: Makes JSON of it; it is its own when left out.
        is_shared: See `Part`.
    """

    def __init__(
        self, value: Callable[[Any], Any], row: Callable[[Any], Any] | None = None, *, is_shared: bool = False
    ) -> None:
        self.value = value
        self.row = row or _itself
        self.is_shared = is_shared

    def separated(self, row: Any) -> tuple[Any, Unknown]:
        """See `Part`: nothing in it is unknown."""
        return row, NOTHING_UNKNOWN

    def merged(self, row: Any, unknown: Unknown) -> Any:
        """See `Part`."""
        return row


def _itself(value: Any) -> Any:
    return value


class Kinds(Plain):
    """A value that is its own JSON, of one of these classes."""

    def __init__(self, kinds: frozenset[type]) -> None:
        super().__init__(checked(kinds))
        self._kinds = kinds | {type(None)}

    def column(self, rows: Sequence[Any]) -> Sequence[Any]:
        """The values of several rows."""
        check_all(rows, self._kinds)
        return rows


ANYTHING = Plain(_itself)
TEXT = Plain(text, is_shared=True)
TEXTS = Plain(texts)


def _part_of(declared: Any) -> Plain:
    """How a field is read of which nothing else is said than its declared type."""
    if (kinds := kinds_of(declared)) is not None:
        return Kinds(kinds)
    if get_origin(declared) is Mapping:
        return Plain(checked_mapping(kinds_of(declared.__args__[1])))
    return ANYTHING


class Fields:
    """The fields of a named tuple or an attrs class, by name.

    Args:
        make: The class.
        parts: How the fields are written and read that are not JSON already.
        absent: Defaults of fields for which the class has none.
        without: Fields that are not written.
        words: What rows call fields that have another name in the class: names may become better, rows stay.
        nothing: A value that is written as None.
        is_shared: See `Part`.
    """

    def __init__(
        self,
        make: type[Any],
        parts: Mapping[str, Part] | None = None,
        *,
        absent: Mapping[str, Any] | None = None,
        without: Iterable[str] = (),
        words: Mapping[str, str] | None = None,
        nothing: Any = None,
        is_shared: bool = False,
    ) -> None:
        self.words: Mapping[str, str] = words or {}
        parts, absent = self._worded(parts or {}), self._worded(absent or {})
        is_tuple = issubclass(make, tuple)
        names, defaults = _of_tuple(make) if is_tuple else _of_attrs(make)
        written = tuple(name for name in names if name not in without)
        self._make = make
        self.names = tuple(self._worded(dict.fromkeys(written)))
        self.defaults = {**self._worded(defaults), **absent}
        declared = self._worded({name: without_none(each) for name, each in get_type_hints(make).items()})
        self.parts = {name: parts.get(name) or _part_of(declared[name][0]) for name in self.names}
        self._never_none = frozenset(name for name, (_, may_be) in declared.items() if not may_be)
        self.values = _itself if is_tuple and written == names else _getter(written)
        self.is_shared = is_shared
        self._absent = absent
        self._nothing = nothing
        left_out = {name: self.said(name, self.defaults[name]) for name in self.names if name in self.defaults}
        self._left_out = {name: said for name, said in left_out.items() if not said}
        self._writes = [
            (name, parts[name].row if name in parts else None, self._left_out.get(name, _NEVER)) for name in self.names
        ]
        self._reads = [(name, part.value) for name, part in self.parts.items() if part is not ANYTHING]
        self._values: dict[str, Any] = {}
        self._rows: dict[Any, Any] = {}

    def _worded(self, of_fields: Mapping[str, Any]) -> dict[str, Any]:
        """The same by the words of rows."""
        return {self.words.get(name, name): each for name, each in of_fields.items()}

    def said(self, name: str, value: Any) -> Any:
        """A field's value as JSON."""
        return None if value is None else self.parts[name].row(value)

    def is_left_out(self, name: str, said: Any) -> bool:
        """Whether a row says this of a field by leaving it out."""
        return not said and bool(said == self._left_out.get(name, _NEVER))

    def column(self, name: str, rows: Sequence[Any]) -> Sequence[Any]:
        """A field's values of several rows, in which some may be None."""
        if name in self._never_none and None in rows:
            raise ValueError(f"{name} says nothing")
        part = self.parts[name]
        if isinstance(part, Kinds):
            return part.column(rows)
        return [None if each is None else part.value(each) for each in rows]

    def row(self, value: Any) -> Any:
        """See `Part`. That of a shared value is shared too: it is never changed."""
        return _remembered(self._rows, value, self._row, value) if self.is_shared else self._row(value)

    def value(self, row: Mapping[str, Any]) -> Any:
        """See `Part`."""
        return _remembered(self._values, repr(row), self._value, row) if self.is_shared else self._value(row)

    def _row(self, value: Any) -> Any:
        if self._nothing is not None and value == self._nothing:
            return None
        row = {}
        for (name, write, left_out), each in zip(self._writes, self.values(value), strict=True):
            said = each if write is None or each is None else write(each)
            if said or said != left_out:
                row[name] = said
        return row

    def _value(self, row: Mapping[str, Any]) -> Any:
        given = {**self._absent, **row}
        for name, made in self._reads:
            said = row.get(name)
            if said is not None:
                given[name] = made(said)
            elif name in row and name in self._never_none:
                raise ValueError(f"{name} says nothing")
        for name, word in self.words.items():
            if word in given:
                given[name] = given.pop(word)
        return self._make(**given)

    def separated(self, row: Mapping[str, Any]) -> tuple[Any, Unknown]:
        """See `Part`."""
        known: dict[str, Any] = {}
        unknown: dict[str, Any] = {}
        for name, said in row.items():
            if name not in self.parts:
                unknown[name] = said
            elif said is None:
                known[name] = None
            else:
                known[name], below = self.parts[name].separated(said)
                if below:
                    unknown[name] = below
        return known, unknown

    def merged(self, row: Mapping[str, Any], unknown: Unknown) -> Any:
        """See `Part`. What was within a field that says nothing now is left out."""
        both = {**row}
        for name, said in unknown.items():
            if name not in self.parts:
                both[name] = said
            elif both.get(name) is not None:
                both[name] = self.parts[name].merged(both[name], said)
        return both


class Several:
    """A tuple of values of one kind.

    Args:
        part: How each is written and read.
    """

    is_shared = False

    def __init__(self, part: Part) -> None:
        self._part = part

    def row(self, values: Iterable[Any]) -> list[Any]:
        """See `Part`."""
        return [self._part.row(each) for each in values]

    def value(self, row: list[Any]) -> tuple[Any, ...]:
        """See `Part`."""
        if type(row) is not list:
            raise ValueError(f"{row!r:.80} is no list")
        return tuple([self._part.value(each) for each in row])

    def separated(self, row: list[Any]) -> tuple[list[Any], Unknown]:
        """See `Part`: what is unknown is below the number of the value."""
        both = [self._part.separated(each) for each in row]
        return [known for known, _ in both], {str(number): below for number, (_, below) in enumerate(both) if below}

    def merged(self, row: list[Any], unknown: Unknown) -> list[Any]:
        """See `Part`."""
        return [self._part.merged(each, unknown.get(str(number), {})) for number, each in enumerate(row)]


class OneOf:
    """A value of one of several classes: its row is a word for the class, and the fields.

    Args:
        kinds: The classes' fields by that word.
    """

    is_shared = False

    def __init__(self, kinds: Mapping[str, tuple[type[Any], Fields]]) -> None:
        self._words = {make: (word, fields) for word, (make, fields) in kinds.items()}
        self._kinds = {word: fields for word, (_, fields) in kinds.items()}

    def row(self, value: Any) -> Row:
        """See `Part`."""
        word, fields = self._words[type(value)]
        return [word, fields.row(value)]

    def value(self, row: Row) -> Any:
        """See `Part`."""
        word, said = row
        return self._kinds[word].value(said)

    def separated(self, row: Row) -> tuple[Row, Unknown]:
        """See `Part`."""
        word, said = row
        known, unknown = self._kinds[word].separated(said)
        return [word, known], unknown

    def merged(self, row: Row, unknown: Unknown) -> Row:
        """See `Part`."""
        word, said = row
        return [word, self._kinds[word].merged(said, unknown)]


def one_of(**kinds: Fields) -> OneOf:
    """One of several classes, each with its word."""
    return OneOf({word: (fields._make, fields) for word, fields in kinds.items()})


def _remembered(known: dict[Any, Any], key: Any, make: Callable[[Any], Any], given: Any) -> Any:
    found = known.get(key)
    if found is None:
        if len(known) >= _MOST_SHARED:
            known.clear()
        found = known[key] = make(given)
    return found


def _of_tuple(make: Any) -> tuple[tuple[str, ...], dict[str, Any]]:
    return make._fields, make._field_defaults


def _of_attrs(make: type[Any]) -> tuple[tuple[str, ...], dict[str, Any]]:
    found = attrs.fields(make)
    defaults = {
        each.name: each.default.factory() if isinstance(each.default, attrs.Factory) else each.default  # type: ignore[arg-type]
        for each in found
        if each.default is not attrs.NOTHING
    }
    return tuple(each.name for each in found), defaults


def _getter(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) > 1:
        return attrgetter(*names)
    return lambda value: tuple(getattr(value, name) for name in names)
