"""Which environment variables show accelerators to a process, and how they are hidden from it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from checkmaite.jobs._shared.resources import Resources

VARIABLES: Mapping[str, tuple[str, ...]] = {
    "GPU": (
        "CUDA_VISIBLE_DEVICES",
        "NVIDIA_VISIBLE_DEVICES",  # read by containers that the job starts
        "HIP_VISIBLE_DEVICES",
        "ROCR_VISIBLE_DEVICES",
        "ZE_AFFINITY_MASK",
    ),
    "TPU": ("TPU_VISIBLE_CHIPS",),
    "neuron_cores": ("NEURON_RT_VISIBLE_CORES",),
    "HPU": ("HABANA_VISIBLE_MODULES",),
    "NPU": ("ASCEND_RT_VISIBLE_DEVICES",),
    "RBLN": ("RBLN_DEVICES",),
    "FURIOSA": ("FURIOSA_DEVICES",),
    "MBLT": ("QBRUNTIME_VISIBLE_DEVICES",),
    "TTNPU": ("TT_VISIBLE_DEVICES",),
}
"""The variables of each kind of accelerator, by the name of the resource that reserves it, as Ray calls them.

An empty value hides all devices of the kind.
"""


def accelerators_of(resources: Resources) -> frozenset[str]:
    """The kinds of accelerators that a job may see, by the names of `VARIABLES`: those that it reserves or shares."""
    reserved = {name for name, amount in resources.custom.items() if name in VARIABLES and amount > 0}
    if resources.num_gpus > 0 or resources.share_gpus:
        reserved.add("GPU")
    return frozenset(reserved)


def hidden_accelerators(visible: Collection[str] = ()) -> dict[str, str]:
    """Environment variables that hide all accelerators but those of the kinds in `visible`."""
    return {name: "" for kind, names in VARIABLES.items() if kind not in visible for name in names}
