"""Tells the stories of all faults, and of all pairs of them: ``hatch run crashes``, or of some operations by name."""

from __future__ import annotations

import sys
import time

from checkmaite.jobs import StoreError

from tests.parquet.crash_disk import Fault
from tests.parquet.crash_stories import OPERATIONS, Stories, faults_of


def _fails(stories: Stories, *faults: Fault) -> bool:
    try:
        stories.tell(*faults)
    except (AssertionError, StoreError) as error:
        sys.stdout.write(f"{stories.operation}, {', '.join(map(str, faults))}: {type(error).__name__}: {error}\n")
        return True
    return False


def main(operations: list[str]) -> int:
    """Tell them; how many have failed."""
    failed = 0
    for operation in operations or OPERATIONS:
        stories, began, told = Stories.of(operation), time.monotonic(), 0
        for first in faults_of(stories.tell()):
            told += 1
            if _fails(stories, first):
                failed += 1
                continue
            for second in faults_of(stories.tell(first), first.at):
                told += 1
                failed += _fails(stories, first, second)
            sys.stderr.write(f"\r{operation}: {told} stories, {failed} failed ")
        sys.stdout.write(f"{operation}: {told:,} stories in {time.monotonic() - began:.0f} s\n")
    return failed


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
