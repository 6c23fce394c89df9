"""Blocks for a shell, SQL and settings: each is run, is checked against what it speaks of, or says why it is not."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from checkmaite.jobs import shutdown_job_backend
from checkmaite.jobs.testing import SampleRecord, SampleRun
from checkmaite.jobs_cli.app import app, run
from checkmaite.store_parquet import ParquetStore
from packaging.requirements import Requirement

from tests.pages.blocks import ROOT, Block, blocks

LANGUAGES = ("console", "dockerfile", "json", "sh", "sql", "toml")
ELSEWHERE = {
    ("docs/how-to/command-line.md", "console"): "cli/test_page.py",
    ("docs/how-to/command-line.md", "toml"): "cli/test_page.py",
    ("docs/how-to/hooks.md", "toml"): "contract/test_hooks.py",
    ("docs/how-to/kubernetes.md", "json"): "deploying/test_rights.py",
    ("docs/how-to/plug-ins.md", "toml"): "contract/test_tutorial.py",
}
"""Blocks that a test of their subject runs, and which."""
PLAIN_SQL = {
    "parse_filename": "parquet/test_plain_readers.py",
    "_tags/report-2026-11.parquet": "parquet/test_as_of.py",
    "_compact/*/accuracy": "parquet/test_originals.py",
}
"""Queries of files, by a text of theirs, and which test runs them in DuckDB alone."""
JOURNAL = {
    "JOURNAL_URI": str(ROOT / "tests/ray_journal/golden/version-1"),
    "REGISTRY_ACTOR_NAME": "golden",
    "SCOPE": "team-a",
}
"""One that is there, so that no cluster has to be."""
PROGRAMS = ("pip", "hatch", "bash", "python", "checkmaite-jobs")
ALL = list(blocks(*LANGUAGES))
HERE = [each for each in ALL if not each.excuse and (each.page, each.language) not in ELSEWHERE]
SQL = [each for each in HERE if each.language == "sql"]
SHELL = [each for each in HERE if each.language in ("console", "sh")]
WORKSPACE = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECTS = {
    project["name"]: set(project.get("optional-dependencies", {}))
    for path in ROOT.glob("packages/*/pyproject.toml")
    for project in [tomllib.loads(path.read_text("utf-8"))["project"]]
}
CAPABILITIES = """
from checkmaite.jobs import Submission
from checkmaite.jobs.testing import SampleCapability as Robustness

def sweep():
    return [Submission(capability=Robustness(), config={"run_uid": name}) for name in ("one", "two")]
"""


def test_every_block_is_run_or_says_why_not() -> None:
    unknown = [each for each in HERE if each not in SQL and each not in SHELL]
    assert list(map(str, unknown)) == []
    wrong = [str(each) for each in SHELL for words in commands(each) if words[0] not in PROGRAMS]
    assert wrong == []


@pytest.mark.parametrize(("block", "test"), ELSEWHERE.items(), ids=lambda value: str(value))
def test_a_block_that_is_run_elsewhere_is_there(block: tuple[str, str], test: str) -> None:
    assert block in {(each.page, each.language) for each in ALL}
    reads = (ROOT / "tests" / test).read_text("utf-8") + (ROOT / "tests/tutorial.py").read_text("utf-8")
    assert block[0].rpartition("/")[2] in reads


@pytest.mark.parametrize("block", SQL, ids=str)
def test_a_query_runs(block: Block, tmp_path: Path) -> None:
    """Of the store's tables here; of files in a test that compares the answer with the library's."""
    if "read_parquet" in block.text:
        (test,) = [test for text, test in PLAIN_SQL.items() if text in block.text]
        (text,) = [text for text in PLAIN_SQL if text in block.text]
        assert text in (ROOT / "tests" / test).read_text("utf-8")
        return
    store = ParquetStore(str(tmp_path))
    rows = [{"table_name": name, "value": 0.5} for name in ("my_table", "accuracy")]
    store.write(SampleRun(run_uid="weigh-lenet", records=rows))
    assert store.query_sql(block.text).num_rows > 0


def commands(block: Block) -> Iterator[list[str]]:
    """The words of each command; one that goes on after ``&&`` is two, and what a console prints is left out."""
    lines = block.text.splitlines()
    if any(line.startswith("$ ") for line in lines):
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    for line in lines:
        for part in line.split(" && "):
            if words := shlex.split(part, comments=True):
                yield words


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a team's commands run: a profile of theirs, a capability, and a store with results."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    ParquetStore("results").write(SampleRun(run_uid="here", records=[SampleRecord("model-1", 0.5)]))
    (tmp_path / "checkmaite-jobs.toml").write_text('analytics_store = "results"\n[profiles.team]\n')
    (tmp_path / "mycaps.py").write_text(CAPABILITIES)
    for module, name in {"zoo": "resnet50", "data": "validation"}.items():
        text = f"from types import SimpleNamespace\n{name} = SimpleNamespace(metadata={{'id': '{name}'}})\n"
        (tmp_path / f"{module}.py").write_text(text)
    (tmp_path / "robustness.json").write_text('{"run_uid": "robust"}')
    yield tmp_path
    for name in ("mycaps", "zoo", "data"):
        sys.modules.pop(name, None)
    shutdown_job_backend()


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("block", SHELL, ids=str)
def test_a_command_is_one_that_there_is(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    for program, *words in commands(block):
        match program, words:
            case "pip", ["install", *wanted]:
                for each in map(Requirement, wanted):
                    assert each.name == "hatch" or is_known(each), str(each)
            case "hatch", ["run", name, *rest]:
                environment, _, script = name.rpartition(":")
                assert script in WORKSPACE["tool"]["hatch"]["envs"][environment or "default"]["scripts"]
                assert [path for path in rest if path.startswith("tests/") and not (ROOT / path).exists()] == []
                assert_options(script, [word for word in rest if word.startswith("-")])
            case (("bash" | "python"), [path, *_]):
                assert (ROOT / path).exists()
            case "checkmaite-jobs", ["ui", *rest]:  # it serves until it is ended: tests/ui
                command = app.get_command(app.make_context("checkmaite-jobs", ["ui"]), "ui")
                assert command is not None
                command.make_context("ui", rest)
            case "checkmaite-jobs", [name, *_]:
                settings = {"KIND": "inline"} if name in ("submit", "store") else JOURNAL
                for variable, value in settings.items():
                    monkeypatch.setenv(f"CHECKMAITE_JOBS_{variable}", value)
                assert run([word.replace("s3://team-checkmaite/analytics-store", "results") for word in words]) == 0
            case _:
                raise AssertionError(f"{program} {words}")


def is_known(wanted: Requirement) -> bool:
    """Whether a distribution of ours has these extras, or ours is tried with it; tests/distributions installs them."""
    if wanted.name in PROJECTS:
        return wanted.extras <= PROJECTS[wanted.name]
    return str(wanted) in WORKSPACE["tool"]["hatch"]["envs"]["checkmaite"]["dependencies"]


def assert_options(script: str, given: list[str]) -> None:
    """The options are pytest's, or among those that the script's own parser is given."""
    if script == "test":
        shown = help_of_pytest()
    else:
        shown = "".join(path.read_text("utf-8") for path in ROOT.glob(f"tools/{script}/*.py"))
    assert [each for each in given if not re.search(rf"(?<![\w-]){re.escape(each.partition('=')[0])}\b", shown)] == []


@cache
def help_of_pytest() -> str:
    """What pytest says of its options, those of its plug-ins included."""
    call = [sys.executable, "-m", "pytest", "--help"]
    return subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True).stdout
