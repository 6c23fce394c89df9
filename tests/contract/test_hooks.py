from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import ConfigurationError, configure_job_backend, shutdown_job_backend
from checkmaite.jobs._shared import hook_lines
from checkmaite.jobs._shared.discovery import HOOKS_GROUP, hook_specs

from tests.hooking import Receiver, no_job_waits_for_a_hook, submitted
from tests.pages.blocks import blocks


@pytest.fixture(autouse=True)
def _shut_down() -> Iterator[None]:
    yield
    shutdown_job_backend()


def configure(hooks: Mapping[str, Any]) -> Any:
    return configure_job_backend("inline", analytics_store={"backend": "null"}, max_workers=3, hooks=hooks)


def test_no_job_of_this_process_waits_for_a_hook(tmp_path: Path) -> None:
    with Receiver() as receiver:
        no_job_waits_for_a_hook(configure, tmp_path, receiver)


def test_a_shutdown_lets_hooks_be_told_of_the_last_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook_lines, "_END_S", 60.0)  # on a busy machine
    with Receiver() as receiver:
        configure({"webhook": {"url": receiver.url, "events": ["finished"]}})
        jobs = submitted(tmp_path, "return", "return")
        shutdown_job_backend()
        assert {event["job_id"] for event in receiver.events} == {job.job_id for job in jobs}


def test_a_profile_names_hooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as receiver:
        (tmp_path / "checkmaite-jobs.toml").write_text(
            f'kind = "inline"\nanalytics_store = {{backend = "null"}}\n[hooks.webhook]\nurl = "{receiver.url}"\n'
        )
        monkeypatch.chdir(tmp_path)
        configure_job_backend(profile="default")
        submitted(tmp_path, "return")
        receiver.wait_for(lambda events: len(events) == 4, "the profile's hook was not told")


@pytest.mark.parametrize(
    ("hooks", "said"),
    [
        ({"webhok": {}}, "hooks.webhok: no hook 'webhok' is installed. Did you mean 'webhook'?"),
        ({"webhook": {"url": "ftp://example.org"}}, "hooks.webhook.url: it is no http or https URL."),
        ({"webhook": {"url": "https://me:word@example.org"}}, "hooks.webhook.url: it holds a user or a password"),
        ({"webhook": {}}, "hooks.webhook: pass either url or url_at."),
        ({"webhook": {"url": "https://example.org", "secret": "abc"}}, "hooks.webhook.secret: expected the place of"),
        ({"webhook": {"url": "https://example.org", "events": ["ended"]}}, "hooks.webhook.events: 'ended' is none of"),
        ({"webhook": 3}, "hooks.webhook: expected a mapping of its options, got int."),
        (["webhook"], "hooks: expected a mapping, got list."),
    ],
)
def test_a_wrong_hook_is_told_when_it_is_configured(hooks: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        configure(hooks)
    assert said in str(caught.value)
    assert "word" not in str(caught.value).replace("password", "")


def test_what_the_page_says_in_toml_is_understood() -> None:
    profile, project = (tomllib.loads(each.text) for each in blocks("toml") if each.page.endswith("hooks.md"))
    specs, problems = hook_specs(profile["hooks"])
    assert ([each.name for each in specs], problems) == (["webhook"], [])
    assert project["project"]["entry-points"] == {HOOKS_GROUP: {"pager": "team_hooks:Pager"}}
