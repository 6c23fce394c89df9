"""Keys that a user gives: never shown, and kept in the environment or in a file rather than in a program."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Never

from attrs import field, frozen

_FORMS = '{"env": NAME} or {"file": ABSOLUTE PATH}'
LEAST_CHARACTERS = 16


@frozen
class KeyPlace:
    """Where a process finds a key: an environment variable, or a file. The place is no secret.

    Attributes:
        env: The variable's name; empty for a file.
        file: The absolute path; empty for a variable.
    """

    env: str = ""
    file: str = ""

    @classmethod
    def from_given(cls, given: object) -> KeyPlace:
        """The place that a user means; see `checkmaite.jobs._shared.codec`.

        Raises:
            TypeError, ValueError: It is none. What was given may be the key itself, and is not shown.
        """
        if isinstance(given, KeyPlace):
            return given
        if not isinstance(given, Mapping) or len(given) != 1 or not given.keys() <= {"env", "file"}:
            raise TypeError(f"expected the place of a key, {_FORMS}, got {type(given).__name__}")
        ((kind, name),) = given.items()
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise ValueError(f"its {kind} is no name")
        if kind == "file" and not os.path.isabs(name):
            raise ValueError("the path of its file is not absolute: processes have working directories of their own")
        return cls(**{kind: name})

    def __str__(self) -> str:
        return f"the environment variable {self.env}" if self.env else f"the file {self.file}"

    def plain(self) -> dict[str, str]:
        """As it was given."""
        return {"env": self.env} if self.env else {"file": self.file}

    def read(self) -> str:
        """The key, as this process finds it there.

        Raises:
            ValueError: It finds none.
        """
        if self.env:
            text = os.environ.get(self.env)
            if text is None:
                raise ValueError(f"{self} is not set")
        else:
            try:
                text = Path(self.file).read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(
                    f"{self} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}"
                ) from None
        if not text.strip():
            raise ValueError(f"{self} is empty")
        return text.strip()


@frozen(repr=False)
class SecretText:
    """A key in words. It is not shown and not pickled, so that it stays in the process that was given it."""

    _text: str = field()

    @classmethod
    def from_given(cls, given: object) -> SecretText:
        """The key that a user gave, or that is where the user says; see `checkmaite.jobs._shared.codec`.

        Raises:
            TypeError, ValueError: There is none, or it is too short. It is not shown.
        """
        if isinstance(given, SecretText):
            return given
        text = given if isinstance(given, str) else KeyPlace.from_given(given).read()
        if len(text) < LEAST_CHARACTERS:
            raise ValueError(f"it has fewer than {LEAST_CHARACTERS} characters, which can be guessed")
        return cls(text)

    def reveal(self) -> str:
        """The text."""
        return self._text

    def __repr__(self) -> str:
        return "SecretText(***)"

    def __reduce__(self) -> Never:
        raise TypeError("a secret is not sent to other processes")
