"""Reads what runners of short jobs have said, on the side of whoever gives them their packs."""

from __future__ import annotations

import pickle

from checkmaite.jobs._shared.packing import EndedShortJob, LeftPackNews, RunnerNews
from checkmaite.jobs._workers.execution import Finished
from checkmaite.jobs._workers.failing import failure
from checkmaite.jobs._workers.pack_notes import LeftPack
from checkmaite.jobs._workers.packs import PackNews


def read_pack_news(said: bytes) -> RunnerNews:
    """What a runner says; what cannot be read of a job has failed, and keeps no other back."""
    news: PackNews = pickle.loads(said)  # noqa: S301 - made by `run_packs`, of this project's classes alone
    ended = [EndedShortJob(sender, took_s, _finished(written)) for sender, took_s, written in news.ended]
    return RunnerNews(news.started, news.number, ended, news.unbegun)


def read_left_pack(left: LeftPack) -> LeftPackNews:
    """Likewise what a runner that has died has noted of its pack."""
    return LeftPackNews({job: _finished(written) for job, written in left.ended.items()}, left.running)


def _finished(written: bytes) -> Finished:
    try:
        finished: Finished = pickle.loads(written)  # noqa: S301 - made by `execute`
    except Exception as unreadable:  # noqa: BLE001 - whatever a result raises when it is unpickled
        return Finished(outcome=failure(unreadable, phase="run"))
    return finished
