"""A pyarrow that is there and cannot be imported beside the NumPy that is there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_CONFIGURE = """
from checkmaite.jobs import ConfigurationError, configure_job_backend
try:
    configure_job_backend("inline", analytics_store={"uri": "store"})
except ConfigurationError as error:
    (problem,) = error.problems
    print(problem.path, problem.cause, problem.remedy, sep="\\n")
"""


_OLD = "pyarrow requires NumPy 2.0 or newer, found 1.26.4"
_OTHER = "libarrow.so: cannot open shared object file"
_REMEDY = (
    "pyarrow 26.0.1 needs NumPy 2, and NumPy 1.26.4 is installed, as the CheckMAITE package asks for it. "
    'An earlier pyarrow works with both. Install it with: pip install "pyarrow<26"'
)


@pytest.mark.parametrize(
    ("numpy", "raised", "told"),
    [("1.26.4", _OLD, _REMEDY), ("2.4.0", _OTHER, _OTHER), ("1.26.4", _OTHER, _OTHER)],
    ids=["an older NumPy", "another fault", "another fault beside an older NumPy"],
)
def test_the_error_names_both_versions_and_what_to_install(tmp_path: Path, numpy: str, raised: str, told: str) -> None:
    (tmp_path / "pyarrow").mkdir()
    (tmp_path / "pyarrow/__init__.py").write_text(f"raise ImportError({raised!r})")
    for name, version in {"pyarrow": "26.0.1", "numpy": numpy}.items():
        (tmp_path / f"{name}-{version}.dist-info").mkdir()
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (tmp_path / f"{name}-{version}.dist-info/METADATA").write_text(about)
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", _CONFIGURE], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    path, said = done.stdout.split("\n", 1)
    assert path == "analytics_store.backend"
    assert told in said.replace("\n", " ")
    assert ("NumPy" in said) == ("NumPy" in told)
