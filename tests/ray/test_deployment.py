"""The topology of deploy/kubernetes on one machine, and what happens when parts of it are taken away."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from checkmaite.jobs import read_job_history

from tests.deploying.dockerfiles import DEPLOY
from tests.deploying.rights import Rights, watched
from tests.deploying.test_rights import policy
from tests.ray.clusters import CONTROLLER, REGISTRY, SOON_S, WITHOUT_PANDAS, Client, Cluster, wait_until

ANYWHERE = {"custom": {"worker": 0.1}}
SUBMITS = """
from checkmaite.jobs import configure_job_backend, shutdown_job_backend, submit_capability
from checkmaite.jobs.testing import SampleCapability
import time

resources = {resources}
configure_job_backend(profile="default")
waits = SampleCapability(act="wait", folder="{folder}")
job = submit_capability(waits, config={{"run_uid": "long"}}, resources=resources)
quick = submit_capability(SampleCapability(), config={{"run_uid": "quick"}}, resources=resources)
print(quick.wait(120), flush=True)
while "(pid " not in job.explain():
    time.sleep(0.1)
print(job.explain().partition("(pid ")[2].partition(")")[0], flush=True)
input()
"""


def manifest(file: str, kind: str) -> dict[str, Any]:
    """The one object of its kind in a file of manifests."""
    objects = yaml.safe_load_all((DEPLOY / "kubernetes" / file).read_text("utf-8"))
    (found,) = [each for each in objects if each["kind"] == kind]
    return dict(found)


def keeper() -> dict[str, Any]:
    """The container that configures the scope again and again."""
    (container,) = manifest("keeper.yaml", "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    return dict(container)


@pytest.fixture
def rights(bucket: str) -> Iterator[Rights]:
    with watched(bucket) as found:
        yield found


@pytest.fixture
def env(s3_endpoint: str, bucket: str) -> dict[str, str]:
    """The variables of the manifests, with the test's bucket, and a token and keys in place of secrets."""
    said = {each["name"]: each["value"] for each in keeper()["env"] if "value" in each}
    return {
        **said,
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ACCESS_KEY_ID": "test-access-key",
        "AWS_SECRET_ACCESS_KEY": "test-secret-key",
        "CHECKMAITE_JOBS_STORE": said["CHECKMAITE_JOBS_STORE"].replace("team-checkmaite", bucket),
        "PYTHONPATH": os.pathsep.join(
            filter(None, (WITHOUT_PANDAS, str(DEPLOY / "capability/src"), os.environ.get("PYTHONPATH")))
        ),
    }


def start(env: dict[str, str]) -> Cluster:
    """A head as in the manifests, which offers no CPU."""
    (head,) = [manifest("raycluster.yaml", "RayCluster")["spec"]["headGroupSpec"]["rayStartParams"]["num-cpus"]]
    return Cluster(int(head), client_server=True, **env)


def is_serving(port: int) -> bool:
    """What Kubernetes asks by a `grpc` probe: gRPC's own health check, without a token."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        try:
            answer: bytes = check(b"", timeout=SOON_S)
        except grpc.RpcError:
            return False
    return answer == b"\x08\x01"  # SERVING


def test_a_deployment_loses_a_node_and_its_head_and_no_job(
    tmp_path: Path, env: dict[str, str], rights: Rights, bucket: str, s3_options: dict[str, Any]
) -> None:
    started, go = tmp_path / "started", tmp_path / "go"
    with start(env) as cluster:
        workers = [cluster.add_node(2, {"worker": 1}) for _ in range(2)]
        gcs, raylets = int(cluster.driver.rpartition(":")[2]), cluster.raylet_ports()
        assert [is_serving(port) for port in (gcs, *raylets)] == [True] * 4, "the probes of all pods"
        script = SUBMITS.format(folder=tmp_path, resources=ANYWHERE)
        at_the_head = {**env, "CHECKMAITE_JOBS_ADDRESS": cluster.client}
        client = Client(script, tmp_path / "client", {}, prelude="", **at_the_head)
        assert client.line() == "COMPLETED"
        assert cluster.head.pids(REGISTRY)
        assert cluster.head.pids(CONTROLLER)

        # A spot worker is taken away: a notice, then the end.
        pid = int(client.line())
        (taken,) = [node for node in workers if pid in node.pids()]
        wait_until(started.exists, "the job does not begin")  # its worker tells of itself before
        started.unlink()  # before: the job may be started again at once
        cluster.drain(taken)
        taken.kill()
        assert [is_serving(port) for port in (gcs, *raylets)].count(False) == 1
        wait_until(started.exists, "the job is not started again on the other worker")

        # The head is lost, and KubeRay ends the workers with it. Whoever submitted is gone, too.
        client.kill()
        for node in cluster.nodes:
            node.kill()
        started.unlink()
    with start(env) as cluster:
        cluster.add_node(2, {"worker": 1})
        keeps = subprocess.run(
            [sys.executable, *keeper()["command"][1:]],
            env={**os.environ, **env, "CHECKMAITE_JOBS_ADDRESS": cluster.client},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert keeps.returncode == 0, keeps.stderr
        wait_until(started.exists, "the new registry does not go on with the journal")
        go.touch()
        store = {"uri": env["CHECKMAITE_JOBS_STORE"], "storage_options": s3_options}
        scope = env["CHECKMAITE_JOBS_SCOPE"]

        def ends() -> dict[str, str]:
            table = read_job_history("ray", idempotency_scope=scope, analytics_store=store)
            return {row["run_uid"]: row["status"] for row in table.to_pylist()}

        wait_until(lambda: ends() == {"long": "COMPLETED", "quick": "COMPLETED"}, f"not all is done: {ends()}")

    by_role = {role: Rights(granted=policy(role, bucket)) for role in ("Workers", "The head", "Readers")}
    assert {each for each in rights.asked if not any(role.grants(*each) for role in by_role.values())} == set()
    assert {each for each in rights.asked if "/_jobs/" in each[1] and not by_role["The head"].grants(*each)} == set()
