"""Hooks of a registry, in their own process on the cluster."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import ConfigurationError, JobBackend, get_job_backend
from checkmaite.jobs_ray.registry.model.tallies import HOOK_COUNTERS

from tests.hooking import Receiver, no_job_waits_for_a_hook, submitted
from tests.ray.clusters import REGISTRY, SOON_S, Cluster

HOOKS = "ray::JobHooks"
Configure = Callable[..., JobBackend]


def test_hooks_of_a_registry(
    cluster: Cluster, configure: Configure, own_options: dict[str, Any], tmp_path: Path
) -> None:
    own_options |= {"analytics_store": {"backend": "null"}, "journal_uri": str(tmp_path / "journal")}

    def with_hooks(hooks: Mapping[str, Any]) -> Any:
        return configure(**own_options, hooks=hooks)

    registries = cluster.pids(REGISTRY)
    with Receiver() as receiver:
        no_job_waits_for_a_hook(with_hooks, tmp_path, receiver)
        backend: Any = get_job_backend()
        counted = {each.name: each.samples.get(("webhook",)) for each in backend.metrics()}
        assert [counted[name] for name in HOOK_COUNTERS] == [len(receiver.received), 0, 0]
        (registry,) = cluster.pids(REGISTRY) - registries
        (process,) = cluster.pids(HOOKS)
        journal = [each.read_bytes() for each in (tmp_path / "journal").rglob("*") if each.is_file()]
        assert journal
        assert not any(b"127.0.0.1" in each for each in journal), "where hooks post is in no journal"

        # Whoever joins the registry has its hooks. Other ones are refused, and no URL is shown.
        configure(**own_options)
        with pytest.raises(ConfigurationError, match="other options of them; it has webhook") as caught:
            with_hooks({"webhook": {"url": "https://example.org/a-secret-path"}})
        assert "a-secret-path" not in str(caught.value)

        # The hooks' process dies: jobs go on, Ray starts it anew, and what happens then is told.
        os.kill(process, signal.SIGKILL)
        (job,) = submitted(tmp_path, "return")
        assert job.wait(SOON_S) == "COMPLETED"
        receiver.wait_for(lambda told: told[-1]["event_id"] == f"{job.job_id}.scope_idle", "its end was not told")
        assert cluster.pids(REGISTRY) - registries == {registry}
        assert cluster.pids(HOOKS).isdisjoint({process})
