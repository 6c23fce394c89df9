"""What travels in bundles, by the pickler that Ray uses."""

from __future__ import annotations

import pickle
from types import ModuleType

import pytest
from checkmaite.jobs import CapabilityRunRef
from checkmaite.jobs.spi import Completed, Started, Used
from checkmaite.jobs_ray.wire import Bundle, EndReport, bundled
from ray import cloudpickle


def reports() -> list[EndReport]:
    outcome = Completed(ref=CapabilityRunRef(run_uid="run", capability_id="sample"), notes=("a note",))
    return [
        EndReport(f"job-{number}", 1, outcome, False, 2.5, Started(), used=Used(memory_bytes=7)) for number in (1, 2)
    ]


def test_a_bundle_arrives_as_a_list_and_no_pickler_of_python_looks_into_it(monkeypatch: pytest.MonkeyPatch) -> None:
    given, asked = reports(), list[type]()
    ask = cloudpickle.CloudPickler.reducer_override

    def noting(pickler: cloudpickle.CloudPickler, each: object) -> object:
        asked.append(type(each))
        return ask(pickler, each)

    monkeypatch.setattr(cloudpickle.CloudPickler, "reducer_override", noting)
    arrived = pickle.loads(cloudpickle.dumps((3, Bundle(given))))
    assert arrived == (3, given)
    assert type(arrived[1]) is list
    assert EndReport not in asked


def test_what_is_known_by_value_alone_travels_by_value() -> None:
    main = ModuleType("__main__")
    exec("class Name(str): pass", vars(main))
    (arrived,) = pickle.loads(cloudpickle.dumps(Bundle([main.Name("job")])))
    assert arrived == "job"


@pytest.mark.parametrize(("payloads", "kind"), [([b"small"], Bundle), ([b"small", memoryview(b"large")], list)])
def test_only_plain_payloads_are_bundled(payloads: list[object], kind: type) -> None:
    assert type(bundled([1, 2], payloads)) is kind
