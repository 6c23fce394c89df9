"""Prints how many no-op tasks dask.distributed does in a second, as JSON, a number for each round.

It runs in an environment of its own, which has nothing of this project: see `against_dask`. Arguments: tasks, rounds.
"""

from __future__ import annotations

import json
import sys
import time

from distributed import Client, LocalCluster


def nothing(number: int) -> int:
    return number


def main() -> None:
    count, rounds = map(int, sys.argv[1:])
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        rates = []
        for number in range(rounds + 1):
            began = time.perf_counter()
            client.gather(client.map(nothing, range(number * count, (number + 1) * count), pure=False))
            rates.append(count / (time.perf_counter() - began))
    print(json.dumps(rates[1:]))  # the first has started the workers


if __name__ == "__main__":
    main()
