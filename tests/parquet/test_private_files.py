"""What a store writes on a disk is for its owner alone, where that was asked for."""

from __future__ import annotations

import os
import pickle
import stat
from pathlib import Path

from checkmaite.jobs import AnalyticsStoreConfig, Provenance
from checkmaite.jobs.spi import open_store, store_spec
from checkmaite.jobs.testing import SampleRun


def test_all_that_a_private_store_writes_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Rows, commits, schemas, documents and compacted files, also by a store that was sent to another process."""
    spec, problems = store_spec(AnalyticsStoreConfig(uri=str(tmp_path / "store"), private_files=True), remote=False)
    assert spec is not None, problems
    store = pickle.loads(pickle.dumps(open_store(spec)))
    before = os.umask(0)
    try:
        for number in range(3):
            store.write(SampleRun(run_uid=f"run-{number}"), provenance=Provenance())
        store.put_artifact("run-0/report.md", b"# a report")
        store.compact()
    finally:
        os.umask(before)
    written = sorted((tmp_path / "store").rglob("*"))
    assert {path.name for path in written} >= {"runs", "_schema", "_compact", "report.md"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in written if path.is_file()} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (*written, tmp_path / "store") if path.is_dir()} == {0o700}
    assert store.query_sql("select count(distinct run_uid) from runs")[0][0].as_py() == 3
