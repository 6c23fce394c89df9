"""``init``: a profile, by asking."""

from __future__ import annotations

import getpass
import json
from pathlib import Path

import click
from checkmaite.jobs import ConfigurationError
from checkmaite.jobs.spi import DEFAULT_PROFILE, read_settings
from checkmaite.jobs_cli.options import examples
from checkmaite.jobs_cli.printing import say

_FILE = "checkmaite-jobs.toml"
_QUESTIONS = {
    "kind": "Job backend: ray, ray-simple or inline",
    "address": 'Ray: "local" for one of your own, host:port, or ray://host:10001',
    "idempotency_scope": "Scope: who has the same one shares jobs",
    "analytics_store": "Analytics store: a folder, or a URL such as s3://bucket/folder",
}


@click.command(
    epilog=examples(
        "init", "init --profile team --address ray://head:10001 --scope team-a --store s3://team/store --yes"
    )
)
@click.option(
    "-p", "--profile", default=DEFAULT_PROFILE, show_default=True, metavar="NAME", help="The profile to write."
)
@click.option("--kind", metavar="NAME", help="The job backend.")
@click.option("--address", metavar="ADDRESS", help="The Ray cluster.")
@click.option("--scope", metavar="NAME", help="The idempotency scope.")
@click.option("--store", metavar="URI", help="The analytics store.")
@click.option("--yes", is_flag=True, help="Take the defaults for what no flag says, and ask nothing.")
def init(profile: str, kind: str | None, address: str | None, scope: str | None, store: str | None, yes: bool) -> None:
    """Write a profile into checkmaite-jobs.toml of this folder, by asking.

    A profile that is there is never changed.
    """
    file = Path(_FILE)
    if file.exists():
        known = read_settings(file=file, environment={})
        if profile in known.profiles or profile == DEFAULT_PROFILE:
            raise ConfigurationError(
                f"{file} has the profile {profile!r} already. Edit it, or name another: --profile."
            )
    given = {"kind": kind, "address": address, "idempotency_scope": scope, "analytics_store": store}
    settings: dict[str, str] = {}
    for name, answer in given.items():
        if name == "address" and settings["kind"] == "inline":
            continue
        if name == "idempotency_scope" and settings["kind"] != "ray":
            continue
        default = _default(name)
        if answer is None:
            answer = default if yes else click.prompt(_QUESTIONS[name], default=default, err=True)
        settings[name] = answer
    head = [] if profile == DEFAULT_PROFILE else [f"[profiles.{_key(profile)}]"]
    lines = [*head, *(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in settings.items())]
    before = f"{file.read_text('utf-8').rstrip()}\n\n" if file.exists() else ""
    file.write_text(before + "\n".join(lines) + "\n", "utf-8")
    flag = "" if profile == DEFAULT_PROFILE else f" --profile {profile}"
    say(f"Written to {file}. See whether all works: checkmaite-jobs doctor{flag}")


def _default(name: str) -> str:
    if name == "idempotency_scope":
        return f"{getpass.getuser()}-{Path.cwd().name}"
    return {"kind": "ray", "address": "local", "analytics_store": "./analytics_store"}[name]


def _key(profile: str) -> str:
    return profile if profile.replace("-", "").replace("_", "").isalnum() and profile.isascii() else json.dumps(profile)
