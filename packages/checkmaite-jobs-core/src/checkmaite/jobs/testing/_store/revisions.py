"""What a store promises that keeps more than one result of a run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from checkmaite.jobs import (
    AnalyticsStore,
    Report,
)
from checkmaite.jobs.spi import KeepsRevisions
from checkmaite.jobs.testing._samples import SampleRecord
from checkmaite.jobs.testing._store.suite import PROVENANCE, StoreSuite, made_by, scores


class RevisionContract(StoreSuite):
    """Results are numbered, and each is kept whole; skipped where a store keeps one of each run."""

    @pytest.fixture
    def keeper(self, store: AnalyticsStore) -> KeepsRevisions:
        """The store of one test, where it keeps more than one result of a run."""
        if not isinstance(store, KeepsRevisions):
            pytest.skip("this store keeps one result of a run, which is allowed: it has no find_run()")
        return store

    def test_a_result_may_supersede_another(self, store: AnalyticsStore, keeper: KeepsRevisions) -> None:
        run = self.run()
        first = keeper.write_with_receipt(run, provenance=PROVENANCE, supersede=True)
        changed = evolve(run, records=[SampleRecord("model-1", 0.9)])
        second = keeper.write_with_receipt(changed, provenance=made_by("job-2"), supersede=True)
        assert [(each.revision, each.created) for each in (first, second)] == [(1, True), (2, True)]
        assert scores(store.read_table("sample_scores")) == [0.9]
        assert len(store.read_table("runs")) == 3
        assert store.get_run_uri(run.run_uid) == second.store_uri
        asked: Any = store  # which reads by revision too
        assert scores(asked.read_table("sample_scores", revision=1)) == [0.5]
        assert scores(asked.read_table("sample_scores", revision="all")) == [0.5, 0.9]
        every = asked.read_table("runs", revision="all").column("revision").to_pylist()
        assert sorted(every) == [1, 1, 1, 2, 2, 2]
        joined = "select sum(score) as total from sample_scores join runs using (run_uid) where entity_type = 'dataset'"
        assert store.query_sql(joined).column("total").to_pylist() == [0.9]
        assert asked.query_sql(joined, revision=1).column("total").to_pylist() == [0.5]

    def test_a_result_is_found_whole(self, keeper: KeepsRevisions) -> None:
        run = self.run()
        text = Report(kind="inline_text", text="# one\n" * 5_000)
        receipt = keeper.write_with_receipt(run, provenance=PROVENANCE, report=text)
        other = Report(kind="artifact", media_type="image/png", uri="s3://elsewhere/plot.png", filename="plot.png")
        keeper.write_with_receipt(run, provenance=made_by("job-2"), report=other, supersede=True)
        found = [keeper.find_run(run.run_uid, revision=1), keeper.find_run(run.run_uid, run_event_id="job-1")]
        assert found[0] is not None
        assert found[0] == found[1]
        assert (found[0].ref.report, found[0].ref.commit_uri) == (text, receipt.commit_uri)
        assert found[0].provenance == PROVENANCE
        newest = keeper.find_run(run.run_uid)
        assert newest is not None
        assert (newest.ref.revision, newest.ref.report, newest.provenance.job_id) == (2, other, "job-2")
        assert keeper.find_run(run.run_uid, revision=3) is None
        assert keeper.find_run("never") is None

    def test_what_a_result_stands_on_is_kept(self, store: AnalyticsStore, keeper: KeepsRevisions) -> None:
        run = self.run()
        prints = [f'{{"scheme": 1, "config": "{number}"}}' for number in range(2)]
        for number, text in enumerate(prints):
            keeper.write_with_receipt(
                run, provenance=evolve(made_by(f"job-{number}"), fingerprints=text), supersede=True
            )
        for number, text in enumerate(prints):
            found = keeper.find_run(run.run_uid, revision=number + 1)
            assert found is not None
            assert found.provenance.fingerprints == text
        assert set(store.read_table("runs").column("fingerprints").to_pylist()) == {prints[1]}

    def test_one_execution_stores_one_result(self, store: AnalyticsStore, keeper: KeepsRevisions) -> None:
        run = self.run()
        for number, provenance in enumerate((PROVENANCE, made_by("job-2"), made_by("job-2"), PROVENANCE)):
            changed = evolve(run, records=[SampleRecord("model-1", number)])
            receipt = keeper.write_with_receipt(changed, provenance=provenance, supersede=True)
            assert (receipt.created, receipt.revision) == (number < 2, 1 + (number in (1, 2)))
        asked: Any = store
        assert scores(asked.read_table("sample_scores", revision="all")) == [0, 1]

    def test_writers_of_next_results_get_a_number_each(self, keeper: KeepsRevisions, tmp_path: Path) -> None:
        run = self.run()

        def write(number: int) -> Any:
            store: Any = self.make_store(tmp_path)
            return store.write_with_receipt(run, provenance=made_by(f"job-{number}"), supersede=True)

        with ThreadPoolExecutor(4) as pool:
            receipts = list(pool.map(write, range(4)))
        assert sorted(receipt.revision for receipt in receipts) == [1, 2, 3, 4]
        for number, receipt in enumerate(receipts):
            found = keeper.find_run(run.run_uid, revision=receipt.revision)
            assert found is not None
            assert found.provenance.job_id == f"job-{number}"
