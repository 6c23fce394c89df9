"""A user's script, in a process of its own: it starts a Ray on this machine, and prints when it got how far.

Arguments: ``raw``, or the kind of a backend; a folder for its store and its journal.
"""

from __future__ import annotations

import json
import sys
import time

kind, folder = sys.argv[1:]
began_at = time.time()
if kind == "raw":
    import ray

    ray.init(
        "local",
        num_cpus=2,
        object_store_memory=200_000_000,
        include_dashboard=False,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
    )
    ready_at = time.time()
    ray.get(ray.remote(lambda number: number).remote(1))  # type: ignore[misc]
else:
    from checkmaite.jobs import configure_job_backend, submit_capability
    from work import OneRow

    configure_job_backend(
        kind,
        address="local",
        num_cpus=2,
        object_store_memory=200_000_000,
        analytics_store={"backend": "parquet", "uri": f"{folder}/store"},
        **({"idempotency_scope": "bench"} if kind == "ray" else {}),
    )
    ready_at = time.time()
    submit_capability(OneRow(), config=1).result()
print(json.dumps({"ready_s": ready_at - began_at, "result_s": time.time() - began_at}))
