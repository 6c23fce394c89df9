"""Profiles: settings from a file, the environment and arguments, and who wins."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkmaite.jobs import (
    ConfigurationError,
    configure_job_backend,
    read_job_history,
    read_job_logs,
    shutdown_job_backend,
)
from checkmaite.jobs.spi import read_settings, value_of

TEAM = """
kind = "inline"
analytics_store = { backend = "null" }
[profiles.team]
idempotency_scope = "team-a"
analytics_store = { uri = "results", storage_options = { key = "hidden" } }
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def shut_down() -> Iterator[None]:
    yield
    shutdown_job_backend()


def test_a_layer_overrides_the_one_below(folder: Path) -> None:
    (folder / "checkmaite-jobs.toml").write_text(TEAM)
    variables = {"CHECKMAITE_JOBS_SCOPE": "mine", "CHECKMAITE_JOBS_MAX_RETRIES": "7", "CHECKMAITE_JOBS_ADDRESS": "auto"}

    found = read_settings("team", given={"address": "local"}, environment=variables)

    assert found.arguments == {
        "kind": "inline",
        "idempotency_scope": "mine",
        "max_retries": 7,
        "address": "local",
        "analytics_store": {"uri": str(folder / "results"), "storage_options": {"key": "hidden"}},
    }
    file = folder / "checkmaite-jobs.toml"
    assert found.origins == {
        "kind": str(file),
        "analytics_store": f"profile 'team' of {file}",
        "idempotency_scope": "CHECKMAITE_JOBS_SCOPE",
        "max_retries": "CHECKMAITE_JOBS_MAX_RETRIES",
        "address": "given",
    }
    assert (found.file, found.profile, found.profiles) == (str(file), "team", ("team",))
    assert "hidden" not in repr(found)


def test_what_stands_above_the_profiles_is_the_default_one(folder: Path) -> None:
    (folder / "checkmaite-jobs.toml").write_text(TEAM)
    assert dict(read_settings(environment={}).arguments) == {"kind": "inline", "analytics_store": {"backend": "null"}}


def test_a_variable_names_profile_and_file(folder: Path) -> None:
    (folder / "elsewhere.toml").write_text(TEAM)
    variables = {"CHECKMAITE_JOBS_CONFIG": "elsewhere.toml", "CHECKMAITE_JOBS_PROFILE": "team"}
    assert read_settings(environment=variables).arguments["idempotency_scope"] == "team-a"


def test_the_nearest_file_counts_and_a_pyproject_with_settings_is_one(folder: Path) -> None:
    (folder / "checkmaite-jobs.toml").write_text('address = "far"')
    below = folder / "project" / "src"
    below.mkdir(parents=True)
    (folder / "project" / "pyproject.toml").write_text('[tool.checkmaite-jobs]\naddress = "near"\njournal_uri = "kept"')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(below)
        assert read_settings(environment={}).arguments == {
            "address": "near",
            "journal_uri": str(folder / "project" / "kept"),
        }
        (folder / "project" / "pyproject.toml").write_text("[project]\nname = 'other'")
        assert read_settings(environment={}).arguments == {"address": "far"}


def test_without_a_file_there_are_the_environment_and_what_is_given(folder: Path) -> None:
    found = read_settings(given={"analytics_store": "s3://b/x"}, environment={"CHECKMAITE_JOBS_KIND": "inline"})
    assert dict(found.arguments) == {"kind": "inline", "analytics_store": {"uri": "s3://b/x"}}
    assert found.file is None


def test_none_stands_for_what_toml_has_no_word_for(folder: Path) -> None:
    (folder / "checkmaite-jobs.toml").write_text('journal_uri = "none"\nmax_active_jobs_per_scope = "none"')
    variables = {"CHECKMAITE_JOBS_SCHEDULING_TIMEOUT_S": "none"}
    assert read_settings(environment=variables).arguments == {
        "journal_uri": None,
        "max_active_jobs_per_scope": None,
        "scheduling_timeout_s": None,
    }
    assert read_settings(environment={"CHECKMAITE_JOBS_JOURNAL_URI": "none"}).arguments["journal_uri"] is None


def test_what_marks_a_worker_is_no_setting(folder: Path) -> None:
    assert read_settings(environment={"CHECKMAITE_JOBS_CODE": "x", "CHECKMAITE_JOBS_PROCESS": "1"}).arguments == {}


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://other", {"backend": "parquet", "uri": "s3://other", "storage_options": {"key": "k"}}),
        ("./here", {"uri": "./here"}),
        ("gs://other", {"uri": "gs://other"}),
    ],
)
def test_a_uri_alone_keeps_options_of_the_same_kind_of_place(folder: Path, uri: str, expected: object) -> None:
    (folder / "checkmaite-jobs.toml").write_text(
        'analytics_store = { backend = "parquet", uri = "s3://b", storage_options = { key = "k" } }'
    )
    assert read_settings(environment={"CHECKMAITE_JOBS_STORE": uri}).arguments["analytics_store"] == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("true", True),
        ("[1, 2]", [1, 2]),
        ("none", None),
        ("team", "team"),
        ("/a/b", "/a/b"),
        ('"7"', "7"),
        ("", ""),
    ],
)
def test_a_value_is_read_as_toml_where_it_is(text: str, value: object) -> None:
    assert value_of(text) == value


@pytest.mark.parametrize(
    ("text", "profile", "says"),
    [
        (TEAM, "taem", "unknown profile 'taem'. Did you mean 'team'?"),
        (None, "team", r"Write it into checkmaite-jobs.toml: \[profiles.team\]"),
        ("a = ", "team", "cannot be read as TOML"),
        ("profiles = 3", "team", r"Write \[profiles.NAME\]"),
        (TEAM, 3, "expected the name of a profile, got int"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(folder: Path, text: str | None, profile: str, says: str) -> None:
    if text is not None:
        (folder / "checkmaite-jobs.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=says):
        read_settings(profile, environment={})


def test_a_file_that_is_not_there_is_told(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"There is no file .*none\.toml"):
        read_settings(file="none.toml", environment={})


@pytest.mark.usefixtures("shut_down")
def test_a_backend_is_configured_by_a_profile(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "checkmaite-jobs.toml").write_text('[profiles.here]\nkind = "inline"\nanalytics_store.backend = "null"')
    monkeypatch.setenv("CHECKMAITE_JOBS_MAX_WORKERS", "0")
    with pytest.raises(ConfigurationError, match="max_workers"):
        configure_job_backend(profile="here")
    assert configure_job_backend(profile="here", max_workers=1).name == "inline"


@pytest.mark.usefixtures("shut_down")
def test_what_is_given_counts_more_than_the_profile(folder: Path) -> None:
    (folder / "checkmaite-jobs.toml").write_text('[profiles.far]\nkind = "nowhere"\nstore_retry_s = -1')
    backend = configure_job_backend("inline", profile="far", analytics_store={"backend": "null"}, store_retry_s=None)
    assert backend.name == "inline"


@pytest.mark.usefixtures("shut_down")
def test_without_a_profile_no_file_and_no_variable_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "checkmaite-jobs.toml").write_text("broken = ")
    monkeypatch.setenv("CHECKMAITE_JOBS_MAX_WORKERS", "0")
    assert configure_job_backend("inline", analytics_store={"backend": "null"}).name == "inline"


def test_help_shows_what_holds_for_an_argument_that_is_left_out() -> None:
    shown = {name: repr(each.default) for name, each in inspect.signature(configure_job_backend).parameters.items()}

    assert (shown["kind"], shown["analytics_store"], shown["store_retry_s"]) == ("'ray'", "<required>", "3600.0")
    for function in (read_job_history, read_job_logs):
        assert "kind: 'str' = 'ray'" in str(inspect.signature(function))


def test_a_required_option_is_named_once() -> None:
    with pytest.raises(ConfigurationError) as refused:
        configure_job_backend("inline", analytics_store={"backend": "null"}, artifact_store={})

    assert str(refused.value).count("uri") == 1
