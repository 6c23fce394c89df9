"""Who a KeyboardInterrupt comes from."""

from __future__ import annotations

import signal

import pytest
from checkmaite.jobs._interrupt import Interrupt


@pytest.fixture
def interrupt() -> Interrupt:
    return Interrupt()


def test_a_signal_leaves_a_note(interrupt: Interrupt) -> None:
    with interrupt.from_signals():
        assert not interrupt.may_have_raised
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert interrupt.may_have_raised


def test_a_job_that_takes_the_handler_away_may_have_been_asked_to_stop(interrupt: Interrupt) -> None:
    with interrupt.from_signals():
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert not interrupt.requested
        assert interrupt.may_have_raised
    assert not interrupt.may_have_raised
