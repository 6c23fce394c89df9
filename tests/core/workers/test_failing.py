"""Whatever the user's exceptions are like, what is told of them is text, whole at both ends, and of bounded size."""

from __future__ import annotations

import json
import pickle
import re
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from checkmaite.jobs import CapabilityRunRef, JobSubmissionError, Problem, RecordError
from checkmaite.jobs._shared.outcome import MESSAGE_BYTES, TRACEBACK_BYTES, error_of
from checkmaite.jobs.spi import Cancelled, Completed, Failed, failure, shortened, table_rows
from hypothesis import given
from hypothesis import strategies as st

_LIMIT = 64 * 2**10
_LEFT_OUT = re.compile(r"\n\[\.\.\. ([\d,]+) characters left out(?:; somewhere)? \.\.\.\]\n")
anything = st.text(st.characters(exclude_categories=()))


@given(
    st.lists(anything, max_size=4), st.integers(0, 1_000), st.integers(256, 4_000), st.sampled_from(["", "somewhere"])
)
def test_a_shortened_text_is_its_two_ends(parts: list[str], times: int, limit: int, whole: str) -> None:
    text = (chr(0x1F600) + "é").join(part * times for part in parts)
    plain = text.encode("utf-8", "backslashreplace").decode()
    short = shortened(text, limit, whole=whole)
    assert len(short.encode()) <= limit
    if len(plain.encode()) <= limit:
        assert short == plain
        return
    (note,) = list(_LEFT_OUT.finditer(short))[-1:]
    head, tail, left_out = short[: note.start()], short[note.end() :], int(note[1].replace(",", ""))
    assert plain.startswith(head)
    assert plain.endswith(tail)
    assert len(head.encode()) + len(tail.encode()) > limit - 180
    escaped = sum(0xD800 <= ord(character) <= 0xDFFF for character in text[:limit] + text[-limit:])
    assert 0 <= len(head) + len(tail) + left_out - len(text) <= 5 * escaped


class Loud(str):
    def encode(self, *_: Any) -> bytes:
        raise SystemExit

    __len__ = __getitem__ = __str__ = __format__ = __repr__ = encode  # type: ignore[assignment]


class Silent(type):
    """A class that says nothing about itself."""

    def __getattribute__(cls, _: str) -> Any:
        raise SystemExit


def raiser(name: str, answer: Callable[[Any], Any]) -> BaseException:
    return type("Odd", (Exception,), {name: answer})("what happened")


def bad(_: Any) -> Any:
    raise SystemExit(3)


def recurse(self: Any) -> str:
    return str(self)


def circle() -> BaseException:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    return one


def chain(length: int) -> BaseException:
    error = ValueError("the first")
    for number in range(length):
        later = ValueError(f"number {number}")
        later.__context__, error = error, later
    return error


def nested_groups() -> BaseException:
    error: Exception = ValueError("within")
    for _ in range(2_000):
        error = ExceptionGroup("a group", [error])
    return error


def with_notes(notes: Any) -> BaseException:
    error = ValueError("what happened")
    error.__notes__ = notes
    return error


ODD: dict[str, Callable[[], BaseException]] = {
    "str exits": lambda: raiser("__str__", bad),
    "str is interrupted": lambda: raiser("__str__", lambda _: (_ for _ in ()).throw(KeyboardInterrupt)),
    "str is no text": lambda: raiser("__str__", lambda _: 3),
    "str is a loud text": lambda: raiser("__str__", lambda _: Loud("what happened")),
    "str never ends": lambda: raiser("__str__", recurse),
    "repr exits": lambda: type("Odd", (KeyError,), {"__repr__": bad})("what happened"),
    "class exits": lambda: raiser("__class__", property(bad)),  # type: ignore[arg-type]
    "module is a number": lambda: raiser("__module__", 5),  # type: ignore[arg-type]
    "cause exits": lambda: raiser("__cause__", property(bad)),  # type: ignore[arg-type]
    "traceback exits": lambda: raiser("__traceback__", property(bad)),  # type: ignore[arg-type]
    "any attribute exits": lambda: raiser("__getattribute__", lambda *_: bad(_)),
    "its class is silent": lambda: Silent("Odd", (Exception,), {})("what happened"),
    "name of a missing module exits": lambda: ImportError("what happened", name=Loud("module")),  # type: ignore[arg-type]
    "notes are a number": lambda: with_notes(5),
    "notes exit": lambda: with_notes([type("Odd", (), {"__str__": bad, "__repr__": bad})()]),
    "arguments exit": lambda: ValueError(type("Odd", (), {"__str__": bad, "__repr__": bad})()),
    "surrogates": lambda: ValueError("what happened \udcff\ud83d"),
    "surrogates in its name": lambda: type("Odd\udcff", (Exception,), {})("what happened"),
    "a long name": lambda: type("Odd" * 10_000, (Exception,), {})("what happened"),
    "a circle": circle,
    "a chain": lambda: chain(3_000),
    "a group": lambda: ExceptionGroup("a group", [ValueError("x" * 10_000)] * 50),
    "a group of groups": nested_groups,
    "an exit": lambda: SystemExit("what happened"),
}


@pytest.mark.parametrize("phase", ["load", "run", "write"])
@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_an_exception_may_be_as_odd_as_it_likes(make: Callable[[], BaseException], phase: str) -> None:
    def capability() -> None:
        raise make()

    try:
        capability()
    except BaseException as error:  # noqa: BLE001 - that is what is tested
        failed = failure(error, phase=phase)
    assert failed.error_type
    assert failed.error_message
    assert "capability" in failed.traceback_text
    error = error_of(failed, job_id="job-1", job_name="odd")
    for text in (str(error), json.dumps(failed.error_message, ensure_ascii=False)):
        assert len(text.encode()) < _LIMIT
    assert len(pickle.dumps(error)) < _LIMIT
    assert {type(getattr(failed, name)) for name in ("error_type", "error_message", "traceback_text", "remedy")} == {
        str
    }


def test_a_long_message_is_kept_elsewhere_and_copied_a_few_times_at_most() -> None:
    kept: list[str] = []
    error = ValueError("begin" + "x" * 30_000_000 + "end")
    tracemalloc.start()
    failed = failure(error, phase="run", keep=kept.append)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2.5 * 30_000_000
    assert len(failed.error_message) <= MESSAGE_BYTES
    assert len(failed.traceback_text) <= TRACEBACK_BYTES
    assert "job.logs() has more of it" in failed.error_message
    (more,) = kept
    assert "begin" in more
    assert more.endswith("end\n")
    assert MESSAGE_BYTES + TRACEBACK_BYTES < len(more) <= 400_000


def test_an_error_that_fits_is_told_whole_and_nowhere_else() -> None:
    kept: list[str] = []
    failed = failure(ValueError("é" * 1_000), phase="run", keep=kept.append)
    assert failed.error_message == "é" * 1_000
    assert kept == []


def test_what_other_processes_say_of_an_end_is_bounded_too() -> None:
    long = "x" * 1_000_000 + "\udcff"
    failed = Failed(error_type=long, error_message=long, traceback_text=long, exit_cause=long, remedy=long)
    ref = CapabilityRunRef(run_uid="u", capability_id="c")
    completed = Completed(ref=ref, notes=(long,) * 1_000)
    for outcome in (failed, completed, Cancelled(reason=long)):
        assert len(pickle.dumps(outcome)) < _LIMIT
    for text in (failed.error_type, completed.notes[0]):
        text.encode()


def test_of_many_problems_the_first_are_listed_and_all_are_counted() -> None:
    rows = [{"table_name": "t", "value": {"nested": 1}}] * 20_000
    with pytest.raises(RecordError, match=r"records\[0\]") as caught:
        table_rows(rows, run_uid="u")
    assert len(str(caught.value)) < 10_000
    assert str(caught.value).endswith(f"and {20_000 - 20:,} more")
    assert len(caught.value.problems) == 20_000
    long = JobSubmissionError("no", phase="validate", problems=[Problem("a", "x" * 10**6, "y")] * 100)
    assert len(str(long)) < _LIMIT
