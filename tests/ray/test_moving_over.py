"""Options of ``checkmaite.jobs`` 0.6.1, each taken for its nearest equivalent or refused by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from checkmaite.jobs.spi import parse_options
from checkmaite.jobs_ray.config import RayOptions, RegistrySettings
from checkmaite.jobs_ray.names import REFUSED, RENAMED

from tests.scripts import run_script

SCOPE = {"idempotency_scope": "moving"}
LIMITS = [
    "registry_max_pending_calls",
    "controller_max_pending_calls",
    "controller_retention_s",
    "max_retained_terminal_controllers",
    "terminal_job_retention_s",
    "max_retained_terminal_jobs_per_scope",
    "max_active_jobs_per_scope",
    "max_kept_log_bytes",
]
TAKEN_BEFORE = [
    "address",
    "runtime_env",
    "max_retries",
    "force_reinit",
    "idempotency_scope",
    "registry_namespace",
    "registry_num_cpus",
    "registry_memory",
    "registry_startup_timeout_s",
    "registry_resources",
    "registry_max_pending_calls",
    "registry_update_timeout_s",
    "scheduling_timeout_s",
    "controller_retention_s",
    "max_retained_terminal_controllers",
    "terminal_job_retention_s",
    "max_retained_terminal_jobs_per_scope",
    "max_active_jobs_per_scope",
    "controller_num_cpus",
    "controller_memory",
    "controller_resources",
    "controller_max_pending_calls",
    "registry_reservation_ttl_s",
    "registry_controller_heartbeat_ttl_s",
    "registry_sweep_on_submit",
    "registry_sweep_interval_s",
    "registry_sweep_batch_limit",
    "controller_actor_prefix",
    "controller_startup_timeout_s",
    "controller_heartbeat_interval_s",
    "controller_terminal_retry_interval_s",
    "max_scheduling_jobs_per_scope",
]


def parsed(**given: Any) -> RayOptions:
    options, problems = parse_options(RayOptions, {**SCOPE, **given})
    assert options is not None, problems
    return options


@pytest.mark.parametrize("name", TAKEN_BEFORE)
def test_every_option_of_before_is_known_by_its_name(name: str) -> None:
    assert name in {*(item.name for item in attrs.fields(RayOptions)), *RENAMED, *REFUSED}


@pytest.mark.parametrize(("former", "name"), RENAMED.items())
def test_what_means_the_same_is_taken(former: str, name: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"{former} is taken for {name}: write {name}"):
        assert getattr(parsed(**{former: 12.0}), name) == 12.0


@pytest.mark.parametrize("former", REFUSED)
def test_what_means_nothing_is_refused_with_what_is_nearest(former: str) -> None:
    options, problems = parse_options(RayOptions, {**SCOPE, former: 1})
    assert (options, [problem.path for problem in problems]) == (None, [former])
    known = {item.name for item in attrs.fields(RayOptions)}
    assert [word for word in problems[0].remedy.replace(",", " ").replace(":", " ").split() if word in known]


@pytest.mark.parametrize("name", LIMITS)
def test_none_is_no_limit(name: str) -> None:
    default = getattr(RegistrySettings(), name)
    assert name not in parsed().asked
    assert parsed(**{name: None}).asked[name] >= 1e15
    assert parsed(**{name: default}).asked == {name: default}
    options, problems = parse_options(RayOptions, {**SCOPE, name: -1})
    assert (options, [problem.path for problem in problems]) == (None, [name])


@pytest.mark.parametrize("name", ["controller_memory", "controller_resources", "registry_memory", "keep_logs"])
def test_none_of_what_is_no_limit_asks_for_nothing(name: str) -> None:
    assert parsed(**{name: None}).asked == {}


def test_a_scheduling_timeout_of_none_is_none() -> None:
    assert parsed(scheduling_timeout_s=None).scheduling_timeout_s is None


REATTACHING = """
import pathlib, ray
from checkmaite.jobs import *
from checkmaite.jobs.testing import SampleCapability
from checkmaite.jobs.testing._samples import wait_for_mark

folder = str(pathlib.Path.cwd())
ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False, object_store_memory=100_000_000,
         _node_ip_address="127.0.0.1")
options = dict(idempotency_scope="reattaching", analytics_store={"uri": "store"})
configure_job_backend("ray", **options)
job_id = submit_capability(SampleCapability(act="wait", folder=folder), config={"run_uid": "u"}).job_id
wait_for_mark(folder, "started")
shutdown_job_backend(wait=False)
pathlib.Path("go").touch()
configure_job_backend("ray", **options)
print(get_job(job_id).result(120).run_uid)
shutdown_job_backend()
print(ray.is_initialized())
ray.shutdown()
"""


def test_a_shutdown_without_waiting_leaves_jobs_of_a_ray_that_stays_up(tmp_path: Path) -> None:
    assert run_script(REATTACHING, tmp_path) == "u\nTrue\n"
