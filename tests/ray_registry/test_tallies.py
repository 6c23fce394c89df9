"""Counts of jobs for a monitoring system, and how they are written."""

from __future__ import annotations

import pytest
from checkmaite.jobs.spi import HookReport, Metric, exposition
from checkmaite.jobs_ray.registry.cluster import Published
from checkmaite.jobs_ray.registry.model.tallies import HOOK_COUNTERS, Tallies, hook_metrics

from tests.ray_registry.making import CRASH, ERROR, spec
from tests.ray_registry.rig import Rig


class Counted:
    """Numbers of a rig's jobs, brought up to date with each step."""

    def __init__(self, **bounds: int) -> None:
        self.rig = Rig()
        self.tallies = Tallies(**bounds)

    def note(self) -> None:
        self.tallies.note(self.rig.registry.table.take_events(), self.rig.registry.table)

    def numbers(self, scope: str | None = None) -> dict[str, float]:
        self.note()
        return {
            f"{metric.name.removeprefix('ray_checkmaite_jobs_')} {' '.join(labels)}": number
            for metric in self.tallies.metrics(self.rig.registry.table, scope)
            for labels, number in metric.samples.items()
            if number
        }


def test_what_happens_to_jobs_is_counted() -> None:
    counted = Counted()
    rig = counted.rig
    rig.submit(spec("one"), spec("two"), spec("other", scope="other", capability_id="another"))
    assert counted.numbers() == {
        "live scope PENDING": 2,
        "live other PENDING": 1,
        "submitted_total scope capability": 2,
        "submitted_total other another": 1,
    }
    rig.go()
    rig.end("two", ERROR)
    rig.end("other")
    assert counted.numbers("other") == {
        "submitted_total other another": 1,
        "finished_total other another COMPLETED": 1,
    }
    assert counted.numbers("scope") == {
        "live scope SCHEDULING": 1,
        "submitted_total scope capability": 2,
        "finished_total scope capability FAILED": 1,
    }


def test_each_start_is_counted_and_the_time_of_the_last_one() -> None:
    counted = Counted()
    rig = counted.rig
    rig.submit(spec("job"))
    for _ in range(2):
        rig.go()
        rig.start("job")
        counted.note()
        rig.end("job", CRASH, worker_lost=True)
    numbers = counted.numbers()
    assert (numbers["started_total scope capability"], numbers["finished_total scope capability FAILED"]) == (2, 1)
    assert numbers["run_seconds_total scope capability"] == rig.record("job").state.at - 100.5


def test_labels_are_bounded_and_what_is_beyond_counts_together() -> None:
    counted = Counted(scopes=2, capabilities=3)
    for number in range(8):
        counted.rig.submit(spec(f"job-{number}", scope=f"s{number}", capability_id=f"c{number}"))
        counted.note()
    numbers = {name: number for name, number in counted.numbers().items() if name.startswith("submitted")}
    assert numbers == {
        "submitted_total s0 c0": 1,
        "submitted_total s1 c1": 1,
        "submitted_total other c2": 1,
        "submitted_total other other": 5,
    }
    live = {name: number for name, number in counted.numbers().items() if name.startswith("live")}
    assert live == {"live s0 PENDING": 1, "live s1 PENDING": 1, "live other PENDING": 6}


ODD = Metric("jobs_total", "counter", "What\nhappened\\", ("scope",), {('a "b"\n\\',): 3.0, ("größer",): 0.1})


def test_prometheus_reads_what_is_written() -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    (family,) = parser.text_string_to_metric_families(exposition([ODD]))
    assert (family.type, family.documentation) == ("counter", "What\nhappened\\")
    read = {tuple(sample.labels.values()): sample.value for sample in family.samples}
    assert read == ODD.samples
    assert {sample.name for sample in family.samples} == {ODD.name}


def test_nothing_counted_is_nothing_but_heads() -> None:
    text = exposition(Tallies().metrics(Rig().registry.table))
    assert [each for each in text.splitlines() if not each.startswith("# ")] == []


def test_ray_is_given_what_a_counter_has_gained_and_what_a_gauge_is() -> None:
    given: list[tuple[str, str, float, dict[str, str]]] = []

    class Ours:
        def __init__(self, name: str, meaning: str, labels: tuple[str, ...]) -> None:
            self.name = name

        def inc(self, number: float, tags: dict[str, str]) -> None:
            given.append(("inc", self.name, number, tags))

        def set(self, number: float, tags: dict[str, str]) -> None:
            given.append(("set", self.name, number, tags))

    published = Published()
    published._ours = {"jobs": Ours("jobs", "", ()), "live": Ours("live", "", ())}
    for number in (2.0, 2.0, 5.0, 1.0):  # the process that counts has begun anew at last
        counter = Metric("ray_jobs_total", "counter", "", ("scope",), {("a",): number})
        published.publish([counter, Metric("ray_live", "gauge", "", ("scope",), {("a",): number})])
    tags = {"scope": "a"}
    assert [each for each in given if each[0] == "inc"] == [
        ("inc", "jobs", 2.0, tags),
        ("inc", "jobs", 3.0, tags),
        ("inc", "jobs", 1.0, tags),
    ]
    assert [each[2] for each in given if each[0] == "set"] == [2.0, 2.0, 5.0, 1.0]


def test_hooks_are_counted_by_their_names() -> None:
    reports = [
        HookReport(name="webhook", where="here", told=7, failed=2, dropped=1),
        HookReport(name="pager", where="here", told=3),
    ]
    found = hook_metrics(reports)
    assert [(each.kind, each.labels) for each in found] == [("counter", ("hook",))] * 3
    assert {each.name: dict(each.samples) for each in found} == dict(
        zip(
            HOOK_COUNTERS,
            (
                {("webhook",): 7, ("pager",): 3},
                {("webhook",): 2, ("pager",): 0},
                {("webhook",): 1, ("pager",): 0},
            ),
            strict=True,
        )
    )
