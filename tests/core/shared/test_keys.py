"""Keys are found where a user says, and never shown."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from checkmaite.jobs.spi import KeyPlace, SecretText, option, parse_options

SECRET = "correct horse battery staple"


@frozen
class Options:
    key: SecretText | None = option("a key.", default=None)  # noqa: RUF009 - it makes a field
    place: KeyPlace | None = option("a place.", default=None)  # noqa: RUF009 - it makes a field


def test_a_key_is_a_text_or_is_found_in_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", SECRET)
    (tmp_path / "key").write_text(f"{SECRET}\n")
    for given in (SECRET, {"env": "THE_KEY"}, {"file": str(tmp_path / "key")}):
        options, problems = parse_options(Options, {"key": given})
        assert problems == []
        assert options is not None
        assert options.key is not None
        assert options.key.reveal() == SECRET
        assert SECRET not in f"{options!r} {options} {options.key}"
        with pytest.raises(TypeError, match="not sent"):
            pickle.dumps(options.key)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"key": "short" * 3}, "fewer than 16 characters"),
        ({"key": 12345678901234567890}, "expected the place of a key"),
        ({"key": {"env": "NOT_SET"}}, "the environment variable NOT_SET is not set"),
        ({"key": {"env": "EMPTY"}}, "the environment variable EMPTY is empty"),
        ({"key": {"file": "/not/there"}}, "the file /not/there cannot be read: No such file"),
        ({"key": {"file": "relative"}}, "is not absolute"),
        ({"key": {"enviroment": SECRET}}, "expected the place of a key"),
        ({"key": {"env": ""}}, "its env is no name"),
        ({"place": SECRET}, 'expected the place of a key, {"env": NAME} or {"file": ABSOLUTE PATH}, got str'),
    ],
)
def test_a_key_that_cannot_be_is_told_and_not_shown(
    given: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMPTY", " ")
    _, (problem,) = parse_options(Options, given)
    assert problem.path == next(iter(given))
    assert said in problem.cause
    assert not any(secret in f"{problem}" for secret in (SECRET, "shortshort", "123456"))
