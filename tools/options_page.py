"""Writes docs/reference/options.md: every option of every backend and store, as the classes declare them."""

from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import attrs

PAGE = Path(__file__).parents[1] / "docs/reference/options.md"
_HEAD = """# Options

What the classes declare, made by `hatch run options`; times are in seconds and sizes in bytes unless said otherwise.
When to change one is said by the pages on [backends](../how-to/job-backends.md), [`"ray"`](../how-to/ray.md),
[`"ray-simple"`](../how-to/ray-simple.md), the [Parquet store](../how-to/analytics-store.md) and the
[Delta store](../how-to/delta-store.md).
"""
_BACKENDS = ("inline", "ray-simple", "ray")
_STORES = ("parquet", "delta")


def page() -> str:
    """The text of the page."""
    parts = [_HEAD]
    for kind in _BACKENDS:
        backend = _loaded("checkmaite.jobs.backends", kind)
        parts.append(f'## `configure_job_backend("{kind}", ...)`\n\n{_table(backend.config_type)}')
        if attrs.fields(backend.run_options_type):
            parts.append(f'### Of one job on `"{kind}"`\n\n{_table(backend.run_options_type)}')
    for kind in _STORES:
        store = _loaded("checkmaite.stores", kind)
        parts.append(f'## `analytics_store={{"backend": "{kind}", ...}}`\n\n{_table(store.config_type)}')
    return "\n".join(parts)


def _loaded(group: str, name: str) -> Any:
    (entry,) = entry_points(group=group, name=name)
    return entry.load()


def _table(options: Any) -> str:
    return "\n".join(["| option | default | meaning |", "|---|---|---|", *_rows(options), ""])


def _rows(options: Any) -> Iterator[str]:
    for item in attrs.fields(options):
        default = item.default.factory() if isinstance(item.default, attrs.Factory) else item.default
        shown = "required" if default is attrs.NOTHING else f"`{default!r}`"
        if getattr(default, "name", "") == "LEFT_OUT":  # None has a meaning of its own there
            shown = "left out"
        meaning = item.metadata.get("doc", "").replace("|", "\\|")
        yield f"| `{item.alias}` | {shown} | {meaning[:1].upper()}{meaning[1:]} |"


if __name__ == "__main__":
    PAGE.write_text(page())
