"""What `explain` says of a job that waits: what one node must have, and what all have together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from checkmaite.jobs import Resources
from checkmaite.jobs_ray_simple._demand import shortage

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
    assert shortage(wanted, nodes=nodes, free={"CPU": 3.0, "GPU": 1.0}) == said
