"""Writes docs/reference/options.md: every option of every backend and store, as the classes declare them.

When somebody changes an option from its default is in `when_to_change.toml`: it is advice, which no program needs.
"""

import inspect
import tomllib
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import attrs
from checkmaite.jobs import configure_job_backend
from checkmaite.jobs._shared.config import ArtifactFolder
from checkmaite.jobs._submitters.configuring import CommonOptions

PAGE = Path(__file__).parents[1] / "docs/reference/options.md"
_FILE = Path(__file__).parent / "when_to_change.toml"
ADVICE: dict[str, str] = tomllib.loads(_FILE.read_text("utf-8"))
_HEAD = """# Options

What the classes declare, made by `hatch run reference`; times are in seconds and sizes in bytes unless said otherwise.
What stands behind an option is told by the pages on [backends](../how-to/job-backends.md), [`"ray"`](../how-to/ray.md),
[`"ray-simple"`](../how-to/ray-simple.md), the [Parquet store](../how-to/analytics-store.md), the
[Delta store](../how-to/delta-store.md) and [hooks](../how-to/hooks.md). Each can stand in a
[profile](../how-to/command-line.md), too.
"""
_BACKENDS = ("inline", "ray-simple", "ray")
_STORES = ("parquet", "delta")
_HOOKS = ("webhook",)
_GIVEN = {
    "kind": ('`"ray"`', "The job backend: one of those below, or a plug-in's."),
    "analytics_store": (
        "required",
        'Where results go: `{"backend": NAME, ...}` with [the store\'s options](#analytics-stores).',
    ),
    "artifact_store": (
        "`None`",
        (
            "Where documents go, such as [large reports](../how-to/job-backends.md#where-large-reports-go); "
            "[these options](#artifact-store). Left out: into the analytics store, if it keeps any."
        ),
    ),
    "profile": (
        "`None`",
        "The profile of `checkmaite-jobs.toml` from which, after the environment, what is left out is taken.",
    ),
}
"""Arguments that are no options of a class."""


def page() -> str:
    """The text of the page."""
    parts = [_HEAD, f"## Of every backend\n\n{_heading()}"]
    parts[-1] += "".join(_row(name, *_GIVEN[name], _when("", name)) for name in _arguments())
    parts[-1] += _rows(CommonOptions, "")
    for kind in _BACKENDS:
        backend = _loaded("checkmaite.jobs.backends", kind)
        parts.append(f'## `configure_job_backend("{kind}", ...)`\n\n{_heading()}{_rows(backend.config_type, kind)}')
        if attrs.fields(backend.run_options_type):
            own = _rows(backend.run_options_type, "run")
            parts.append(f'### Of one job on `"{kind}"`\n\n{_heading()}{own}')
    parts.append("## Analytics stores\n")
    for kind in _STORES:
        store = _loaded("checkmaite.stores", kind)
        parts.append(f'### `{{"backend": "{kind}", ...}}`\n\n{_heading()}{_rows(store.config_type, kind)}')
    parts.append(f"## Artifact store\n\n{_heading()}{_rows(ArtifactFolder, 'artifacts')}")
    parts.append("## Hooks\n")
    for name in _HOOKS:
        hook = _loaded("checkmaite.jobs.hooks", name)
        parts.append(f'### `hooks={{"{name}": {{...}}}}`\n\n{_heading()}{_rows(hook.config_type, name)}')
    return "\n".join(parts)


def _arguments() -> list[str]:
    """What `configure_job_backend` takes beside options that a class declares."""
    declared = {item.alias for item in attrs.fields(CommonOptions)}
    taken = inspect.signature(configure_job_backend).parameters.values()
    return [each.name for each in taken if each.kind is not each.VAR_KEYWORD and each.name not in declared]


def _loaded(group: str, name: str) -> Any:
    (entry,) = entry_points(group=group, name=name)
    return entry.load()


def _heading() -> str:
    return "| option | default | meaning | change it when |\n|---|---|---|---|\n"


def _rows(options: Any, where: str) -> str:
    return "".join(_row(*each) for each in _declared(options, where))


def _declared(options: Any, where: str) -> Iterator[tuple[str, str, str, str]]:
    for item in attrs.fields(options):
        default = item.default.factory() if isinstance(item.default, attrs.Factory) else item.default
        shown = "required" if default is attrs.NOTHING else f"`{default!r}`"
        if getattr(default, "name", "") == "LEFT_OUT":  # None has a meaning of its own there
            shown = "left out"
        yield item.alias, shown, item.metadata.get("doc", ""), _when(where, item.alias)


def _when(where: str, name: str) -> str:
    told = ADVICE.get(f"{where}.{name}") or ADVICE.get(name)
    if told is None:
        raise LookupError(f"when does a user change {name} of {where or 'every backend'}? Say so in {_FILE.name}")
    return told


def _row(name: str, default: str, meaning: str, when: str) -> str:
    told = [_sentence(each).replace("|", "\\|") for each in (meaning, when)]
    return f"| `{name}` | {default} | {told[0]} | {told[1]} |\n"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


if __name__ == "__main__":
    PAGE.write_text(page())
