"""``doctor``: what works from here, from a worker, and what to do about the rest."""

from __future__ import annotations

import platform
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from importlib.metadata import distributions
from pathlib import Path

import click
from checkmaite.jobs import JobsError
from checkmaite.jobs.spi import HasProbe, HookReport, TellsHooks, versions_here
from checkmaite.jobs_cli.commands.findings import (
    Finding,
    fault,
    no_worker_option,
    said_by_worker,
    timeout_option,
    told,
)
from checkmaite.jobs_cli.connecting import configured_backend
from checkmaite.jobs_cli.exits import Exit
from checkmaite.jobs_cli.loading import find_modules_here
from checkmaite.jobs_cli.options import Asked, as_json, configured, examples
from checkmaite.jobs_cli.worker_check import worker_check

_LARGE_BYTES = 100 * 2**20
_HOOK_S = 5.0
_OURS = re.compile(r"checkmaite-(jobs|store)\b|ray$|pyarrow$|duckdb$|s3fs$")


@click.command(
    epilog=examples("doctor", "doctor --profile team --import mycaps.robustness", "doctor --no-worker --json")
)
@click.option(
    "--import", "modules", multiple=True, metavar="MODULE", help="Whether a worker can import it; several times."
)
@no_worker_option
@timeout_option
@as_json
@configured
def doctor(asked: Asked, modules: Sequence[str], no_worker: bool, timeout: float, as_json: bool) -> Exit:
    """Look whether everything works, and say what to do about what does not.

    Settings, versions, the store from here, the size of working_dir, the cluster and its registry; then a small job
    looks from a worker: store, versions, GPUs, modules. That job is listed like any other, and stores nothing. Last,
    whether hooks take what they are told.

    Exit code 1: there is a fault. Records: check, state (ok, note or fault), found.
    """
    find_modules_here()
    return told(_findings(asked, modules, None if no_worker else timeout), as_json=as_json)


def _findings(asked: Asked, modules: Sequence[str], timeout_s: float | None) -> Iterator[Finding]:
    """Each check in turn; what others stand on comes first."""
    try:
        settings = asked.settings()
    except JobsError as error:
        yield fault("settings", error)
        return
    where = {origin for origin in settings.origins.values() if origin != "given"}
    yield Finding(check="settings", state="ok", found=f"from {', '.join(sorted(where)) or 'flags alone'}")
    yield Finding(check="versions", state="ok", found=_versions())
    yield _store(asked)
    environment = settings.arguments.get("runtime_env")
    folder = environment.get("working_dir") if isinstance(environment, dict) else None
    if isinstance(folder, str) and "://" not in folder:
        yield _working_dir(Path(folder))
    try:
        with configured_backend(asked) as backend:
            yield Finding(check="backend", state="ok", found=f"{backend.name!r} answers, and its versions fit these")
            if timeout_s is not None:
                yield from _worker(modules, timeout_s)
            if isinstance(backend, TellsHooks):
                yield from _hooks(backend)
    except JobsError as error:
        yield fault("backend", error)


def _versions() -> str:
    found = {each.name: each.version for each in distributions() if each.name and _OURS.match(each.name)}
    named = ", ".join(f"{name} {version}" for name, version in sorted(found.items()))
    return f"Python {platform.python_version()}; {named}"


def _store(asked: Asked) -> Finding:
    try:
        store = asked.store()
        if not isinstance(store, HasProbe):
            return Finding(check="store from here", state="note", found=f"{store!r} cannot be tried beforehand")
        store.probe()
    except JobsError as error:
        return fault("store from here", error)
    return Finding(check="store from here", state="ok", found=f"{store.uri} can be written and read")


def _working_dir(folder: Path) -> Finding:
    """How large it is: it is sent to the cluster once, and again after each change."""
    if not folder.is_dir():
        return Finding(
            check="working_dir", state="fault", found=f"{folder} is no folder. Mend runtime_env.working_dir."
        )
    sizes: dict[str, int] = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            part = path.relative_to(folder).parts[0]
            sizes[part] = sizes.get(part, 0) + path.stat().st_size
    largest = sorted(sizes.items(), key=lambda each: -each[1])[:3]
    told = ", ".join(f"{name} {size / 2**20:,.1f} MiB" for name, size in largest)
    total = sum(sizes.values())
    found = f"at most {total / 2**20:,.1f} MiB, before what its .gitignore leaves out; largest: {told or 'nothing'}"
    if total <= _LARGE_BYTES:
        return Finding(check="working_dir", state="ok", found=found)
    return Finding(
        check="working_dir",
        state="note",
        found=f"{found}. It travels to the cluster: leave large files out by .gitignore or runtime_env.excludes.",
    )


def _worker(modules: Sequence[str], timeout_s: float) -> Iterator[Finding]:
    config = {"run_uid": f"doctor-{uuid.uuid4().hex}", "modules": list(modules)}
    said = said_by_worker(worker_check(), config, timeout_s)
    if isinstance(said, Finding):
        yield said
        return
    here = versions_here()
    yield Finding(
        check="worker",
        state="ok",
        found=f"{said['host']}: Python {said['python']}, checkmaite-jobs-core {said['core']} (here {here.core}); "
        "it can write to the store and read",
    )
    gpus = ", ".join(said["gpus"])
    yield Finding(check="GPUs", state="ok" if gpus else "note", found=gpus or "that worker's machine has none")
    for name in modules:
        failure = said["import_failures"].get(name)
        if failure is None:
            yield Finding(check=f"import {name}", state="ok", found="a worker imports it")
        else:
            remedy = 'Install it there, or send it along: runtime_env={"working_dir": "."}.'
            yield Finding(check=f"import {name}", state="fault", found=f"a worker cannot: {failure}. {remedy}")


def _hooks(backend: TellsHooks) -> Iterator[Finding]:
    """How hooks are doing. What a job has just made them be told may be under way."""
    until = time.monotonic() + _HOOK_S
    while any(map(_is_busy, reports := backend.hook_reports())) and time.monotonic() < until:
        time.sleep(0.05)
    for report in reports:
        found = f"in {report.where}: events told {report.told}, failed {report.failed}, not told {report.dropped}"
        if report.last_error:
            found += f". The last failure: {report.last_error}"
        state = "note" if report.failed or report.dropped else "ok"
        if report.last_error and not report.told:
            state = "fault"
        yield Finding(check=f"hook {report.name}", state=state, found=found)


def _is_busy(report: HookReport) -> bool:
    """Whether it has events to take, and nothing yet says how that goes."""
    return report.waiting > 0 and not report.last_error
