"""Changes what was stored, and sees that whatever reads it keeps its promises.

``hatch run fuzz`` tries a million cases, ``hatch run fuzz 4711`` one of them and ``hatch run fuzz FIRST:END`` some. A
case that ends its process, or does not end, is told by its number, and the next process goes on after it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from tests.fuzzing.journal import JournalReader, LogReader, PrintsReader, SalvagedReader
from tests.fuzzing.reading import Reader, case_of, check
from tests.fuzzing.store import store_readers

_SILENT_S = 120.0
_MORE_BYTES = 4 * 2**30
_AT_ONCE = 500


@contextmanager
def readers() -> Iterator[dict[str, Reader]]:
    """All of them, by name."""
    with store_readers() as of_store, tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        others = {
            "journals": JournalReader(),
            "logs": LogReader(),
            "prints": PrintsReader(),
            "salvaged": SalvagedReader(Path(folder)),
        }
        yield {**others, **of_store}


def failure_of(number: int, found: dict[str, Reader], seen: Counter[str]) -> str | None:
    """What is wrong with a case; what became of it is counted."""
    case = case_of(number, found)
    try:
        seen[f"{case.reader}: {check(case, found[case.reader])}"] += 1
    except Exception as error:  # noqa: BLE001 - a reader may raise anything: that is what is looked for
        seen[f"{case.reader}: FAILED"] += 1
        return f"case {number} ({case.reader}, {case.key}): {type(error).__name__}: {error}"
    return None


def _try(first: int, end: int, tell: Connection) -> None:
    """Try cases in a process of their own, which may take so much memory and no more."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    with readers() as found:
        resource.setrlimit(resource.RLIMIT_DATA, (used + _MORE_BYTES, used + _MORE_BYTES))
        seen: Counter[str] = Counter()
        for number in range(first, end):
            tell.send(number)
            if failure := failure_of(number, found, seen):
                tell.send(failure)
            if (number + 1) % _AT_ONCE == 0:
                tell.send(seen)
                seen = Counter()
        tell.send(seen)
        tell.send(None)


def main() -> int:
    """Try the cases that the command line says; how many have failed."""
    parser = argparse.ArgumentParser(description="Read what somebody has changed.")
    parser.add_argument("cases", nargs="?", default="0:1000000", help="one, or FIRST:END")
    begin, _, last = parser.parse_args().cases.partition(":")
    number, end = int(begin), int(last) if last else int(begin) + 1
    count, began, failed = end - number, time.monotonic(), 0
    seen: Counter[str] = Counter()
    while number < end:
        here, there = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("spawn").Process(target=_try, args=(number, end, there))
        process.start()
        there.close()
        is_done = False
        try:
            while here.poll(_SILENT_S) and (told := here.recv()) is not None:
                if isinstance(told, int):
                    number = told
                elif isinstance(told, Counter):
                    seen.update(told)
                    sys.stderr.write(f"\r{number + 1 - int(begin)} cases, {failed} failed ")
                else:
                    failed += 1
                    sys.stdout.write(f"{told}\n")
            is_done = told is None
        except EOFError:
            pass
        process.kill()
        process.join()
        if is_done:
            break
        failed += 1
        sys.stdout.write(f"case {number} ended its process, or took {_SILENT_S:.0f} s: exit code {process.exitcode}\n")
        number += 1
    for name, times in sorted(seen.items()):
        sys.stdout.write(f"{times:9,} {name}\n")
    sys.stdout.write(f"{count:,} cases in {time.monotonic() - began:.0f} s, {failed} failed\n")
    return failed


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
