"""A large model or dataset is copied as rarely as it can be: by its client twice, by the control plane never."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import JobBackend, submit_capability
from checkmaite.jobs.testing import SampleRun

SIZE = 48_000_000


class Weighs:
    """Says how large its model is."""

    id = "weighs"

    def run(self, *, models: Any, **_: Any) -> SampleRun:
        (model,) = models
        return SampleRun(run_uid=f"weighs-{len(model.weights)}", capability_id=self.id)


class Model:
    def __init__(self, size: int) -> None:
        self.metadata = {"id": "large"}
        self.weights = bytearray(size)


def _begin() -> Callable[[Any], None]:
    """Counts what an actor's process allocates from now on. Nested, so that it travels by value."""

    def begin(_: Any) -> None:
        import tracemalloc

        tracemalloc.start(1)

    return begin


def _end() -> Callable[[Any], int]:
    def end(_: Any) -> int:
        import tracemalloc

        (_, peak) = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    return end


@pytest.mark.parametrize("kept", [True, False], ids=["with a journal", "in memory"])
def test_a_large_payload_is_copied_twice_by_its_client_and_not_at_all_by_the_control_plane(
    configure: Callable[..., JobBackend], own_options: dict[str, Any], attached: Any, tmp_path: Path, kept: bool
) -> None:
    import sys

    attached.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    journal = tmp_path / "journal"
    if kept:
        configure(**{**own_options, "journal_uri": str(journal)})
    else:
        with pytest.warns(UserWarning, match="in memory only"):
            configure(**{**own_options, "journal_uri": None})
    submit_capability(Weighs(), models=[Model(1)], config={}).result(60)  # from now on everything is imported
    namespace = own_options["registry_namespace"]
    named = [each for each in attached.util.list_named_actors(all_namespaces=True) if each["namespace"] == namespace]
    actors = [attached.get_actor(each["name"], namespace) for each in named]
    assert len(actors) == 2
    attached.get([actor.__ray_call__.remote(_begin()) for actor in actors])
    model = Model(SIZE)
    tracemalloc.start(1)
    job = submit_capability(Weighs(), models=[model], config={"run": 2}, reuse="never")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    if kept:
        (payload,) = (each for each in journal.rglob("*") if each.is_file() and each.stat().st_size > SIZE)
        assert payload.parent.name == "payload"
    job.result(60)
    assert peak < 2.2 * SIZE
    assert max(attached.get([actor.__ray_call__.remote(_end()) for actor in actors])) < 0.5 * SIZE
    attached.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def test_what_is_ordinary_is_sent_along() -> None:
    from checkmaite.jobs_ray._config import RayOptions

    assert RayOptions(idempotency_scope="s").max_payload_bytes >= 200_000_000 + 500_000_000
