"""What Ray is told that a job needs, and what `explain` says of one that waits for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from checkmaite.jobs import Resources
from checkmaite.jobs_ray_simple.cluster import resources as resources_module
from checkmaite.jobs_ray_simple.cluster.labels import meets
from checkmaite.jobs_ray_simple.cluster.nodes import ClusterResources, Node
from checkmaite.jobs_ray_simple.cluster.resources import RemoteWork, _task_options, fits_no_node, shortage

TWO = [{"CPU": 4.0, "memory": 100.0}, {"CPU": 4.0, "GPU": 1.0}]
UNTIL = ": it will wait until such a node joins."
SPLIT = [{"CPU": 8.0}, {"CPU": 1.0, "GPU": 1.0, "fpga": 2.0}]


@pytest.mark.parametrize(
    ("wanted", "nodes", "said"),
    [
        (Resources(num_cpus=9), TWO, f"It asks for 9 CPUs, the cluster has 8{UNTIL}"),
        (
            Resources(num_cpus=6),
            TWO,
            f"It asks for 6 CPUs, and no single node has so much, the largest 4{UNTIL}",
        ),
        (
            Resources(num_cpus=2, num_gpus=1),
            SPLIT,
            f"It asks for 2 CPUs and 1 GPU, and no single node has all of that{UNTIL}",
        ),
        (
            Resources(num_cpus=2, custom={"fpga": 1}),
            SPLIT,
            f"It asks for 2 CPUs and 1 of 'fpga', and no single node has all of that{UNTIL}",
        ),
        (Resources(num_cpus=1), [], f"It asks for 1 CPU, the cluster has 0{UNTIL}"),
        (Resources(num_cpus=4, num_gpus=1), TWO, "It waits for 4 CPUs, of which 3 are free now."),
        (Resources(num_cpus=0, memory=100), TWO, "It waits for 100 bytes of memory, of which 0 are free now."),
        (Resources(num_cpus=3), TWO, "Ray has it and has not said that it started."),
        (Resources(num_cpus=0), [], "Ray has it and has not said that it started."),
    ],
)
def test_what_a_job_waits_for(wanted: Resources, nodes: Sequence[Mapping[str, float]], said: str) -> None:
    free = {"CPU": 3.0, "GPU": 1.0}
    there = [Node(each) for each in nodes]
    assert shortage(wanted, ClusterResources(there, free)) == said
    left_out = " What 2 nodes have that Ray drains is left out." if "asks" in said or "waits" in said else ""
    assert shortage(wanted, ClusterResources(there, free, leaving=2)) == said + left_out


MARKET, GPU = "ray.io/market-type", "ray.io/accelerator-type"
LABELLED = [
    Node({"CPU": 4.0}, {"ray.io/node-id": "1", MARKET: "spot", GPU: "A100"}),
    Node({"CPU": 2.0}, {"ray.io/node-id": "2", MARKET: "on-demand"}),
]


@pytest.mark.parametrize(
    ("selector", "those"),
    [
        ({MARKET: "spot"}, [0]),
        ({MARKET: "!spot"}, [1]),
        ({GPU: "!H200"}, [0, 1]),  # a node without the label has another value
        ({MARKET: "in(spot, on-demand)"}, [0, 1]),
        ({MARKET: "!in(spot,preemptible)"}, [1]),
        ({MARKET: "spot", GPU: "H200"}, []),
        ({MARKET: "Spot"}, []),
        ({}, [0, 1]),
    ],
)
def test_which_nodes_have_the_labels(selector: Mapping[str, str], those: list[int]) -> None:
    assert [number for number, node in enumerate(LABELLED) if meets(node.labels, selector)] == those


@pytest.mark.parametrize(
    ("wanted", "nodes", "said"),
    [
        (
            Resources(labels={GPU: "a-100"}),
            LABELLED,
            (
                f"It asks for {GPU}=a-100, and no node has these labels. Did you mean {GPU}=A100? "
                f"There are: {GPU}: A100; {MARKET}: on-demand, spot. It will wait until such a node joins."
            ),
        ),
        (
            Resources(labels={"ray.io/market": "spot"}, fallback=[{GPU: "H100"}]),
            LABELLED,
            (
                f"It asks for ray.io/market=spot or {GPU}=H100, and no node has these labels. Did you mean the key "
                f"'{MARKET}'? There are: {GPU}: A100; {MARKET}: on-demand, spot. It will wait until such a node joins."
            ),
        ),
        (
            Resources(labels={MARKET: "spot"}),
            [Node({"CPU": 4.0}, {"ray.io/node-id": "1"})],
            (
                f"It asks for {MARKET}=spot, and no node has labels but Ray's own: `ray start --labels` gives a node "
                "some. It will wait until such a node joins."
            ),
        ),
        (
            Resources(labels={MARKET: "on-demand"}, num_cpus=3),
            LABELLED,
            "It asks for 3 CPUs, the nodes with such labels have 2: it will wait until such a node joins.",
        ),
        (Resources(labels={MARKET: "spot"}), LABELLED, "It waits for room on a node with its labels."),
        (
            Resources(labels={MARKET: "none"}, fallback=[{MARKET: "spot"}], num_cpus=3),
            LABELLED,
            "It waits for room on a node with its labels.",
        ),
    ],
)
def test_what_a_job_with_labels_waits_for(wanted: Resources, nodes: list[Node], said: str) -> None:
    assert shortage(wanted, ClusterResources(nodes, {"CPU": 4.0})) == said
    assert fits_no_node(wanted, ClusterResources(nodes, {})) == ("until such a node joins" in said)


@pytest.mark.parametrize(
    ("wanted", "options"),
    [
        (Resources(labels={MARKET: "spot"}), {"label_selector": {MARKET: "spot"}}),
        (
            Resources(labels={MARKET: "!spot"}, fallback=({GPU: "A100"}, {})),
            {
                "label_selector": {MARKET: "!spot"},
                "fallback_strategy": [{"label_selector": {GPU: "A100"}}, {"label_selector": {}}],
            },
        ),
        (
            Resources(labels={MARKET: "on-demand"}, fallback=({MARKET: "spot"},), wait_for_first=True),
            {"label_selector": {MARKET: "on-demand"}},
        ),
        (  # no node with that label is large enough
            Resources(num_cpus=3, labels={MARKET: "on-demand"}, fallback=({MARKET: "spot"},), wait_for_first=True),
            {"label_selector": {MARKET: "spot"}},
        ),
        (
            Resources(labels={MARKET: "none"}, fallback=({GPU: "none"},), wait_for_first=True),
            {"label_selector": {MARKET: "none"}},
        ),
    ],
)
def test_how_ray_is_told_of_labels(
    monkeypatch: pytest.MonkeyPatch, wanted: Resources, options: Mapping[str, Any]
) -> None:
    monkeypatch.setattr(resources_module, "cluster_resources", lambda: ClusterResources(LABELLED, {}))
    told = _task_options("name", wanted)
    assert {name: told[name] for name in told if name in ("label_selector", "fallback_strategy")} == options


class Remote:
    """Stands for Ray's remote function: what it is told, and what each task then gets."""

    def __init__(self, told: list[dict[str, Any]]) -> None:
        self.told = told

    def options(self, **options: Any) -> Remote:
        self.told.append(options)
        return Remote([options])

    def remote(self, *arguments: Any) -> tuple[Any, ...]:
        return (*arguments, self.told[-1]["name"], self.told[-1]["num_cpus"], self.told[-1].get("runtime_env"))


def test_each_task_gets_its_own_options_which_ray_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(resources_module.ray, "remote", lambda **_: lambda _: Remote(told))
    work = RemoteWork(lambda _: lambda: b"", claim=str)
    wanted = [
        ("a", 1, None),
        ("a", 1, None),
        ("a", 2, None),
        ("b", 2, None),
        ("b", 2, {"env_vars": {}}),
        ("a", 1, None),
    ]
    for number, (name, cpus, env) in enumerate(wanted):
        others = {} if env is None else {"runtime_env": env}
        found = work.start(
            number,
            job_name=name,
            resources=Resources(num_cpus=cpus),
            isolation="reuse",
            code="mine",
            max_retries=0,
            **others,
        )
        assert found == (number, name, cpus, env and {"env_vars": {"CHECKMAITE_JOBS_CODE": "mine"}})
    assert len(told) == 5


def test_jobs_of_another_code_are_kept_apart_and_those_of_the_first_take_any_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resources_module.ray, "remote", lambda **_: lambda _: Remote([]))
    job: dict[str, Any] = {"job_name": "a", "resources": Resources(num_cpus=1), "isolation": "reuse"}

    def marks(work: RemoteWork, *codes: str) -> list[Any]:
        started = [work.start(0, **job, code=code) for code in codes]
        return [env and env["env_vars"]["CHECKMAITE_JOBS_CODE"] for *_, env in started]

    assert marks(RemoteWork(lambda _: lambda: b"", claim=str), "one", "two", "one") == [None, "two", None]
    later = RemoteWork(lambda _: lambda: b"", claim=lambda code: "one")  # another owner of the Ray job was first
    assert marks(later, "two", "", "one") == ["two", "", None]
    sent = {"env_vars": {"COLOUR": "green"}, "working_dir": "gcs://package.zip"}
    work = RemoteWork(lambda _: lambda: b"", claim=str)
    *_, env = work.start(0, **job, code="one", runtime_env=sent)
    assert env == {**sent, "env_vars": {"COLOUR": "green", "CHECKMAITE_JOBS_CODE": "one"}}
    assert marks(work, "one") == [None]
