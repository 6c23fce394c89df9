"""The manifests fit KubeRay's schemas and each other, and the values of its chart describe the same cluster."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from packaging.requirements import Requirement

from tests.deploying.dockerfiles import DEPLOY
from tests.deploying.schemas import KINDS, RECORDED, manifests
from tests.deploying.test_images import inputs

SCHEMAS = json.loads(RECORDED.read_text("utf-8"))
OBJECTS = manifests()
CHART = {
    "": {"fullnameOverride", "image", "common", "head", "worker", "additionalWorkerGroups"},
    "group": {
        *(
            "image",
            "rayStartParams",
            "serviceAccountName",
            "podSecurityContext",
            "securityContext",
            "ports",
            "resources",
        ),
        *(
            "volumes",
            "volumeMounts",
            "groupName",
            "replicas",
            "minReplicas",
            "maxReplicas",
            "nodeSelector",
            "tolerations",
        ),
    },
    "head": {"rayVersion", "enableInTreeAutoscaling", "autoscalerOptions"},
}
"""What the templates of KubeRay's chart read, of what our values say."""


def the(kind: str, name: str) -> dict[str, Any]:
    (found,) = [each for each in OBJECTS if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return dict(found)


def clusters() -> list[dict[str, Any]]:
    """The specs of all clusters."""
    return [the("RayCluster", "checkmaite")["spec"], the("RayJob", "nightly")["spec"]["rayClusterSpec"]]


def pods() -> Iterator[dict[str, Any]]:
    """The specs of all pods."""
    for cluster in clusters():
        for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
            yield group["template"]["spec"]
    yield the("CronJob", "checkmaite-keeper")["spec"]["jobTemplate"]["spec"]["template"]["spec"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_manifest_fits_its_schema(kind: str) -> None:
    """Written down of KubeRay's own; `hatch run manifests FOLDER` takes those themselves."""
    for each in OBJECTS:
        if each["kind"] == kind:
            jsonschema.validate(each, SCHEMAS[kind])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "authOptions", "mod"), "token"),
        (("spec", "authOptions", "mode"), "tokens"),
        (("spec", "headGroupSpec", "rayStartParams", "num-cpus"), 0),
        (("spec", "workerGroupSpecs", 0, "maxReplicas"), "10"),
        (
            ("spec", "workerGroupSpecs", 1, "template", "spec", "containers", 0, "livenessProbe", "grpc", "port"),
            "raylet",
        ),
    ],
)
def test_a_mistake_is_found(path: tuple[str | int, ...], value: Any) -> None:
    wrong = copy.deepcopy(the("RayCluster", "checkmaite"))
    *above, last = path
    place: Any = wrong
    for step in above:
        place = place[step]
    place[last] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMAS["RayCluster"])


def test_every_version_is_that_of_the_images() -> None:
    (ray,) = [Requirement(line) for line in inputs("head") if line.startswith("ray")]
    values = yaml.safe_load((DEPLOY / "helm/values.yaml").read_text("utf-8"))
    versions = {cluster["rayVersion"] for cluster in clusters()} | {values["head"]["rayVersion"]}
    assert versions == {str(ray.specifier).removeprefix("==")}
    images = {container["image"] for pod in pods() for container in pod["containers"]}
    built = {f"registry.example/checkmaite-{name}:0.1.0" for name in ("worker", "head", "client")}
    assert images == built
    for name in ("worker", "head", "client"):
        assert f"--tag registry.example/checkmaite-{name}:0.1.0" in (DEPLOY / f"{name}.Dockerfile").read_text("utf-8")


def test_no_pod_has_more_than_it_needs() -> None:
    for pod in pods():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 1000, "the user of the images"
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"]["memory"] == container["resources"]["limits"]["memory"]
    workers = [group["template"]["spec"] for cluster in clusters() for group in cluster["workerGroupSpecs"]]
    assert [pod["automountServiceAccountToken"] for pod in workers] == [False] * 3
    accounts = {each["metadata"]["name"] for each in OBJECTS if each["kind"] == "ServiceAccount"}
    assert {pod["serviceAccountName"] for pod in pods()} == accounts


def test_probes_ask_where_somebody_listens() -> None:
    for cluster in clusters():
        (head,) = cluster["headGroupSpec"]["template"]["spec"]["containers"]
        assert {head[probe]["grpc"]["port"] for probe in ("livenessProbe", "readinessProbe")} == {6379}
        assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
        for group in cluster["workerGroupSpecs"]:
            (worker,) = group["template"]["spec"]["containers"]
            ports = {str(worker[probe]["grpc"]["port"]) for probe in ("livenessProbe", "readinessProbe")}
            assert ports == {group["rayStartParams"]["node-manager-port"]}


def test_clients_and_the_operator_may_come_in() -> None:
    policy = the("NetworkPolicy", "checkmaite")["spec"]
    assert policy["podSelector"]["matchLabels"] == {
        "ray.io/cluster": the("RayCluster", "checkmaite")["metadata"]["name"]
    }
    keeper = the("CronJob", "checkmaite-keeper")["spec"]["jobTemplate"]["spec"]["template"]
    (clients,) = [
        rule
        for rule in policy["ingress"]
        if rule["from"] == [{"podSelector": {"matchLabels": keeper["metadata"]["labels"]}}]
    ]
    address = next(
        each["value"] for each in keeper["spec"]["containers"][0]["env"] if each["name"].endswith("_ADDRESS")
    )
    assert int(re.findall(r":(\d+)$", address)[0]) in {port["port"] for port in clients["ports"]}


def test_the_page_lets_the_head_out_to_receivers_of_webhooks() -> None:
    page = (DEPLOY.parent / "docs/how-to/kubernetes.md").read_text("utf-8")
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    policy = yaml.safe_load(block)["spec"]
    general = the("NetworkPolicy", "checkmaite")["spec"]
    assert policy["podSelector"]["matchLabels"].items() > general["podSelector"]["matchLabels"].items()
    assert (policy["policyTypes"], "ingress" in policy) == (["Egress"], False), "who may come in stays as it is"
    assert all(rule["to"] and rule["ports"] for rule in policy["egress"])


def test_the_values_of_the_chart_describe_the_same_cluster() -> None:
    values = yaml.safe_load((DEPLOY / "helm/values.yaml").read_text("utf-8"))
    assert set(values) == CHART[""]
    groups = {"on-demand": values["worker"], **values["additionalWorkerGroups"]}
    for name, group in {"head": values["head"], **groups}.items():
        assert set(group) <= CHART["group"] | (CHART["head"] if name == "head" else set()), name
    cluster = the("RayCluster", "checkmaite")["spec"]
    specs = {"head": cluster["headGroupSpec"], **{each["groupName"]: each for each in cluster["workerGroupSpecs"]}}
    for name, group in {"head": values["head"], **groups}.items():
        pod = specs[name]["template"]["spec"]
        (container,) = pod["containers"]
        assert group["resources"] == container["resources"]
        assert group["securityContext"] == container["securityContext"]
        assert group["podSecurityContext"] == pod["securityContext"]
        assert (group["volumes"], group["volumeMounts"]) == (pod["volumes"], container["volumeMounts"])
        assert group["serviceAccountName"] == pod["serviceAccountName"]
        image = group.get("image", values["image"])
        assert f"{image['repository']}:{image['tag']}" == container["image"]
        if name != "head":
            counts = ("replicas", "minReplicas", "maxReplicas")
            assert [group[each] for each in counts] == [specs[name][each] for each in counts]
            assert group.get("tolerations") == pod.get("tolerations")
    given = {each["name"] for each in values["common"]["containerEnv"]}
    assert {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN"} <= given, "the chart has no authOptions"
    assert values["head"]["autoscalerOptions"]["env"] == values["common"]["containerEnv"]


def test_the_nightly_script_runs(tmp_path: Path) -> None:
    """As it stands, with a backend that needs no cluster."""
    (tmp_path / "nightly.py").write_text(the("ConfigMap", "nightly")["data"]["nightly.py"])
    (head,) = the("RayJob", "nightly")["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"]
    said = {each["name"]: each["value"] for each in head["env"]}
    settings = ("CHECKMAITE_JOBS_ADDRESS", "CHECKMAITE_JOBS_SCOPE")
    env = {name: value for name, value in {**os.environ, **said}.items() if name not in settings}
    here = {"CHECKMAITE_JOBS_KIND": "inline", "CHECKMAITE_JOBS_STORE": str(tmp_path / "store")}
    path = os.pathsep.join(filter(None, (str(DEPLOY / "capability/src"), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "nightly.py"],
        cwd=tmp_path,
        env={**env, **here, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" COMPLETED\n") == 100
