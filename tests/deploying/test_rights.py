"""What the page grants is what is asked for: an S3 server tells the rights that each operation needs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from checkmaite.jobs.testing import SampleCapability
from checkmaite.store_parquet import ParquetStore

from tests.deploying.dockerfiles import ROOT
from tests.deploying.rights import Rights, watched

PAGE = (ROOT / "docs/how-to/kubernetes.md").read_text("utf-8")


@pytest.fixture
def rights(s3_endpoint: str, bucket: str) -> Iterator[Rights]:
    with watched(bucket) as found:
        yield found


@pytest.fixture
def store(bucket: str, s3_options: dict[str, Any]) -> ParquetStore:
    return ParquetStore(f"s3://{bucket}/analytics-store", s3_options)


def policy(name: str, bucket: str) -> list[dict[str, Any]]:
    """The statements of a policy on the page, for a test's bucket instead of the team's."""
    (text,) = re.findall(rf"^\*\*{name}\*\*.*?^```json\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    statements: list[dict[str, Any]] = json.loads(text.replace("team-checkmaite", bucket))["Statement"]
    return statements


def write(store: ParquetStore, *uids: str) -> None:
    for uid in uids:
        store.write(SampleCapability().run(config={"run_uid": uid}))


def age(bucket: str) -> None:
    """Everything in the bucket was written three days ago."""
    from moto.s3.models import s3_backends

    for backend in s3_backends.values():
        for found in backend["aws"].buckets.values():
            if found.name == bucket:
                for key in found.keys.values():
                    key.last_modified = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=3)


def test_each_operation_asks_for_the_rights_on_the_page(store: ParquetStore, rights: Rights, bucket: str) -> None:
    asked: dict[str, set[str]] = {}

    def ask(name: str, *operations: Callable[[], Any]) -> None:
        rights.take()
        for operation in operations:
            operation()
        asked[name] = rights.take()

    ask("a probe, as of each worker and each `configure_job_backend`", store.probe)
    ask("a run's rows", lambda: write(store, "one"), lambda: write(store, "one", "two"))
    ask("a report or kept rows", lambda: store.put_artifact("a.txt", b"1"))
    ask("taking back the report of an attempt that lost", lambda: store.delete_artifact("a.txt"))
    reads = (store.list_tables, lambda: store.describe_table("runs"), lambda: store.read_table("sample_scores"))
    ask("any reading, SQL included", *reads, lambda: store.query_sql("SELECT count(*) FROM runs"))
    ask("`tag`", lambda: store.tag("release"))
    ask("`delete_tag`", lambda: store.delete_tag("release"))
    ask("`compact`, also by a worker in passing", store.compact)
    write(store, "three")
    store.compact()
    age(bucket)
    ask("`vacuum`", lambda: store.vacuum(grace_s=7_200, originals=True))
    said = dict(re.findall(r"^\| ([^|]+) \| ((?:`s3:\w+`(?:, )?)+) \|", PAGE, flags=re.MULTILINE))
    assert {name: set(re.findall(r"s3:\w+", said[name])) for name in asked} == asked


def test_the_policy_of_workers_is_enough_for_what_they_do(store: ParquetStore, rights: Rights, bucket: str) -> None:
    """And for no more: a worker deletes no rows, and does not write into the journal."""
    rights.granted = policy("Workers", bucket)
    store.probe()
    write(store, "one", "one", "two")
    store.find_run("one")
    store.delete_artifact(re.sub(r".*_artifacts/", "", store.put_artifact("a.txt", b"1")))
    store.compact()
    assert not rights.grants("s3:DeleteObject", f"arn:aws:s3:::{bucket}/analytics-store/runs/one.parquet")
    assert not rights.grants("s3:PutObject", f"arn:aws:s3:::{bucket}/other/object")


def test_the_policy_of_readers_is_enough_for_reading(store: ParquetStore, rights: Rights, bucket: str) -> None:
    write(store, "one")
    rights.granted = policy("Readers", bucket)
    assert store.read_table("sample_scores").num_rows > 0
    with pytest.raises(PermissionError):
        write(store, "two")
