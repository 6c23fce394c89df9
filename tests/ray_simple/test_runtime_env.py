"""A runtime environment that cannot work is refused by path before Ray is touched."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import JobBackend, configure_job_backend, shutdown_job_backend
from checkmaite.jobs_ray_simple.cluster import ConnectionOptions, start_obstacle
from checkmaite.jobs_ray_simple.cluster import runtime_env as runtime_env_module
from ray.exceptions import RuntimeEnvSetupError

from tests.refusals import Said, assert_refused, assert_said

FAR = "host:6379"


@pytest.fixture
def active() -> Iterator[JobBackend]:
    yield configure_job_backend("inline", analytics_store={"backend": "null"})
    shutdown_job_backend(wait=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: some code, some files."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "python.sh").write_text('#!/bin/sh\nexec python "$@"\n')
    (tmp_path / "code" / "python.sh").chmod(0o755)
    (tmp_path / "code" / "exits").mkdir()
    (tmp_path / "code" / "exits" / "sitecustomize.py").write_text("raise SystemExit(1)")
    for name in ("code.zip", "module.py", "notes.txt", "requirements.txt", "conda.yaml"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CODE", str(tmp_path / "code"))
    return tmp_path


@pytest.fixture
def everything_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_env_module, "find_spec", lambda name: name)
    monkeypatch.setattr(runtime_env_module, "which", lambda name: name)


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_env_module, "find_spec", lambda name: None)
    monkeypatch.setattr(runtime_env_module, "which", lambda name: None)


LISTED, PATTERNS, PACKAGES = "Pass a list of folders, .py and", "Pass patterns as in .gitignore", 'as ["scipy==1.14"]'
TEXTS, FOLDER, COMMAND = (
    "Write names and values as text",
    "Pass a folder, an archive (.zip,",
    "Pass the path of a Python",
)
BAD_ENVIRONMENTS: list[tuple[str, dict[str, Any], Said]] = [
    ("no folder", {"working_dir": "cod"}, Said("working_dir", "there is no 'cod' in '/", FOLDER)),
    ("folder at home", {"working_dir": "~/no-such"}, Said("working_dir", "there is no '~/no-such'", "does not know ~")),
    ("folder a text file", {"working_dir": "notes.txt"}, Said("working_dir", "is a file that Ray cannot send", FOLDER)),
    ("folder no text", {"working_dir": 3}, Said("working_dir", "expected a path or a URL, got 3", FOLDER)),
    ("modules a text", {"py_modules": "code"}, Said("py_modules", "expected a list, got str", LISTED)),
    ("no module", {"py_modules": ["code", "no.py"]}, Said("py_modules[1]", "there is no 'no.py' in '/", LISTED)),
    ("module no path", {"py_modules": [3]}, Said("py_modules[0]", "expected a path, a module or a URL, got 3", LISTED)),
    ("module a text file", {"py_modules": ["notes.txt"]}, Said("py_modules[0]", "a file that Ray cannot send", LISTED)),
    ("excludes a text", {"excludes": "data/"}, Said("excludes", "expected a list of texts, got str", PATTERNS)),
    ("excludes numbers", {"excludes": ["a", 3]}, Said("excludes[1]", "expected text, got 3", PATTERNS)),
    ("variable a number", {"env_vars": {"TOKEN": 12345678}}, Said("env_vars.TOKEN", "expected text, got int", TEXTS)),
    ("variable None", {"env_vars": {"TOKEN": None}}, Said("env_vars.TOKEN", "expected text, got NoneType", TEXTS)),
    ("variable no name", {"env_vars": {1: "x"}}, Said("env_vars", "expected text as a name, got 1", TEXTS)),
    ("variables a list", {"env_vars": ["hunter2"]}, Said("env_vars", "expected a mapping, got list", TEXTS)),
    ("pip misspelt", {"pip": {"package": ["x"]}}, Said("pip.package", "unknown field", "Did you mean 'packages'?")),
    ("pip of nothing", {"pip": {"pip_check": True}}, Said("pip.packages", "is required", PACKAGES)),
    ("pip a number", {"pip": 3}, Said("pip", "expected a list of packages, got 3", PACKAGES)),
    ("pip of numbers", {"pip": ["x", 3]}, Said("pip[1]", "expected text, got 3", PACKAGES)),
    (
        "pip's file",
        {"pip": "no.txt"},
        Said("pip", "there is no file 'no.txt' in '/", "the path of a requirements file"),
    ),
    ("pip's check", {"pip": {"packages": [], "pip_check": "yes"}}, Said("pip.pip_check", "True or False, got str", "")),
    (
        "pip's options",
        {"pip": {"packages": ["x"], "pip_install_options": "--index-url=https://ada:hunter2@host"}},
        Said("pip.pip_install_options", "expected a list of texts, got str", PACKAGES),
    ),
    ("uv misspelt", {"uv": {"package": ["x"]}}, Said("uv.package", "unknown field", "Did you mean 'packages'?")),
    ("uv's check", {"uv": {"packages": ["x"], "uv_check": 1}}, Said("uv.uv_check", "True or False, got 1", PACKAGES)),
    ("conda's file", {"conda": "no.yaml"}, Said("conda", "there is no file 'no.yaml'", "an environment file that is")),
    ("conda's folder", {"conda": "/no/such"}, Said("conda", "there is no folder '/no/such'", "Pass the name of an")),
    ("conda a list", {"conda": ["x"]}, Said("conda", "expected text or a mapping, got list", "Pass the name of an")),
    ("two installers", {"pip": ["x"], "uv": ["x"]}, Said("uv", "cannot be combined with pip", "Keep one of them")),
    ("program a list", {"py_executable": ["python"]}, Said("py_executable", "expected a command, got list", COMMAND)),
    ("program empty", {"py_executable": " "}, Said("py_executable", "expected a command, got str", COMMAND)),
    ("program unquoted", {"py_executable": "'py"}, Said("py_executable", "cannot be read as a command: No", COMMAND)),
    ("config misspelt", {"config": {"setup_timeout": 1}}, Said("config.setup_timeout", "unknown field", "'setup_time")),
    (
        "config refused",
        {"config": {"setup_timeout_seconds": 0}},
        Said("config", "is refused by Ray: setup_ti", "Pass, "),
    ),
    ("image a number", {"image_uri": 3}, Said("image_uri", "expected the URI of an image, got 3", "Pass a text")),
    (
        "image and code",
        {"image_uri": "repo/image", "working_dir": "code", "env_vars": {"A": "b"}},
        Said("image_uri", "cannot be combined with working_dir", "Put these into the image"),
    ),
]


@pytest.mark.usefixtures("folder", "everything_installed")
@pytest.mark.parametrize("address", ["local", FAR])
@pytest.mark.parametrize(
    ("env", "said"), [case[1:] for case in BAD_ENVIRONMENTS], ids=[case[0] for case in BAD_ENVIRONMENTS]
)
def test_a_bad_environment(active: JobBackend, env: dict[str, Any], said: Said, address: str) -> None:
    options = {"address": address, "runtime_env": env, "analytics_store": {"backend": "null"}}
    assert_refused(active, "ray-simple", options, said._replace(path=f"runtime_env.{said.path}"))


LACKING: list[tuple[dict[str, Any], Said]] = [
    (
        {"pip": ["x"]},
        Said("runtime_env.pip", "needs virtualenv, which is not installed here", "pip install virtualenv"),
    ),
    ({"uv": ["x"]}, Said("runtime_env.uv", "needs virtualenv, which is not installed here", "pip install virtualenv")),
    (
        {"conda": "name"},
        Said("runtime_env.conda", "needs 'conda', which is not here", "Install conda, or set RAY_CONDA"),
    ),
    ({"image_uri": "x"}, Said("runtime_env.image_uri", "needs podman, which is not here", "Install podman")),
    ({"container": {"image": "x"}}, Said("runtime_env.container", "needs podman, which is not here", "Install podman")),
    *(
        (
            {"py_executable": program, "working_dir": "code"},
            Said(
                "runtime_env.py_executable",
                f"the program of py_executable={program!r} is not on this",
                "or leave it out",
            ),
        )
        for program in ("/no/such/python", "pythonx -u", "./no.sh", "notes.txt", "cd", "/tmp", "A=1 python")
    ),
    (
        {"py_executable": "python", "env_vars": {"PATH": "/no/such"}},
        Said("runtime_env.py_executable", "the program of py_executable='python' is not on this", "or leave it out"),
    ),
    (
        {"py_executable": f"'{sys.executable}' -I -S"},
        Said("runtime_env.py_executable", "is a Python without Ray on this machine", "that has Ray, or leave it out"),
    ),
    (
        {"py_executable": sys.executable, "env_vars": {"PYTHONHOME": "/no/such"}},
        Said("runtime_env.py_executable", "a Python that does not start on this machine with env_vars PYTHONHOME:", ""),
    ),
    *(
        (
            {"env_vars": {**variables, "COLOUR": "secret"}},
            Said("runtime_env.env_vars", f"{cause} with env_vars {', '.join(variables)}: Ray would", "Leave out what"),
        )
        for variables, cause in (
            ({"PYTHONHOME": "/no/such"}, "Python does not start on this machine"),
            ({"PYTHONIOENCODING": "no-such"}, "Python does not start on this machine"),
            ({"PYTHONNOUSERSITE": "1", "PYTHONPATH": "code/exits"}, "Python does not start on this machine"),
            ({"LD_PRELOAD": "./code/no.so", "PYTHONHASHSEED": "x"}, "Python does not start on this machine"),
            ({"PATH": "/no/such"}, "there is no bash on this machine"),
        )
    ),
]


@pytest.mark.usefixtures("folder", "nothing_installed")
@pytest.mark.parametrize(("env", "said"), LACKING, ids=[json.dumps(env) for env, _ in LACKING])
def test_what_is_not_on_this_machine_is_missed_where_jobs_run_here(
    active: JobBackend, env: dict[str, Any], said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RAY_CONDA_HOME", "CONDA_EXE"):
        monkeypatch.delenv(name, raising=False)
    options = {"address": "local", "runtime_env": env, "analytics_store": {"backend": "null"}}
    assert_refused(active, "ray-simple", options, said)
    ConnectionOptions(address=FAR, runtime_env=env)  # the nodes of a cluster may have it


@pytest.mark.parametrize(
    ("env", "said"),
    [
        (
            {"env_vars": {"PYTHONHOME": "/no/such"}},
            "Python does not start on .* with env_vars PYTHONHOME.*mend env_vars",
        ),
        ({"py_executable": "/no/such"}, "py_executable='/no/such' is not on .*mend py_executable"),
        ({"env_vars": {"PYTHONHASHSEED": "1", "COLOUR": "green"}}, "^$"),
        ({"env_vars": {"PYTHONHOME": "/no/such"}, "pip": ["x"]}, "^$"),
    ],
    ids=str,
)
def test_what_keeps_the_workers_of_a_node_from_starting_is_one_sentence(env: dict[str, Any], said: str) -> None:
    assert re.search(said, start_obstacle(env))


@pytest.mark.usefixtures("folder", "everything_installed")
@pytest.mark.parametrize(
    "env",
    [
        {"working_dir": ".", "excludes": ["data/"], "env_vars": {"A": "b"}, "config": {"setup_timeout_seconds": -1}},
        {
            "working_dir": Path("code"),
            "py_executable": "./python.sh -u",
            "py_modules": ["module.py", Path("code"), json],
        },
        {"working_dir": "code.zip", "py_executable": "./in-the-archive"},
        {"working_dir": "s3://bucket/code.zip", "py_modules": ["https://host/module.whl"], "excludes": []},
        {"py_executable": sys.executable},
        {"py_executable": f"'{sys.executable}' -u"},
        {
            "env_vars": {
                "PYTHONPATH": "${CODE}",
                "PYTHONUNBUFFERED": "1",
                "LD_LIBRARY_PATH": "/no/such",
                "PATH": "${PATH}",
            }
        },
        {"py_executable": "$HERE/python.sh", "env_vars": {"HERE": "${CODE}"}},
        {"pip": "requirements.txt"},
        {"pip": {"packages": "requirements.txt", "pip_check": False, "pip_version": "==25"}, "py_executable": "none"},
        {"uv": {"packages": ["x"], "uv_pip_install_options": ["--no-cache"]}},
        {"conda": "conda.yaml"},
        {"conda": {"dependencies": ["pip"]}},
        {"container": {"image": "x"}, "env_vars": {}, "config": {}},
        {"worker_process_setup_hook": print, "_nsight": "default"},
        {"pip": None, "uv": None, "working_dir": None, "py_executable": None},
    ],
    ids=str,
)
def test_a_good_environment(env: dict[str, Any]) -> None:
    ConnectionOptions(address="local", runtime_env=env)


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (
            "Failed to upload working_dir /code to the cluster: Package size (600.00MiB) exceeds the maximum size. To",
            Said(
                "runtime_env.working_dir",
                "cannot be sent: Package size (600.00MiB) exceeds the maximum size.",
                'runtime_env={"excludes": [...]}',
            ),
        ),
        (
            "Failed to upload module /code to the Ray cluster: Package size (600.00MiB) exceeds the maximum size of 5",
            Said("runtime_env.py_modules", "cannot be sent: Package size (600.00MiB) exceeds", "excludes"),
        ),
        ("something else.", Said("runtime_env", "cannot be sent: something else.", "Mend it")),
    ],
)
def test_code_that_cannot_be_sent_is_named(raised: str, said: Said) -> None:
    assert_said([runtime_env_module.upload_problem(RuntimeEnvSetupError(f"Failed to set up.\n{raised}\n"))], said)


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        (
            "RuntimeError: Please install virtualenv `python -m pip install virtualenv`to enable pip",
            "Install virtualenv",
        ),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'podman'", "Install podman"),
        (
            "RuntimeError: Podman command failed: cmd=['podman', 'run', '--rm', 'no/such'], returncode=125, stdout=",
            "try `podman run",
        ),
        ("RuntimeError: no space left", "$"),
    ],
)
def test_what_keeps_an_environment_from_being_made_has_its_own_remedy(said: str, remedy: str) -> None:
    assert re.match(rf"^.*?{remedy}", runtime_env_module.setup_remedy(said))
