"""A third party's store and backend, installed beside ours, are found by name and pass the suites."""

from pathlib import Path

import pytest

from tests.distributions.building import ROOT, Distributions, FreshEnvironment

SUITES = """
from checkmaite.jobs.testing import AnalyticsStoreContract, JobBackendContract
from sample_store import SampleStore

class TestSampleStore(AnalyticsStoreContract):
    def make_store(self, folder):
        return SampleStore(str(folder / "store"))

class TestSampleBackend(JobBackendContract):
    kind = "mine"
    analytics_store = {"backend": "mine", "folder": "{folder}/store"}

class TestInlineOnTheSampleStore(JobBackendContract):
    kind = "inline"
    analytics_store = {"backend": "mine", "folder": "{folder}/store"}
"""


@pytest.mark.timeout(600)
def test_plug_ins_of_a_third_party_pass_the_suites(
    distributions: Distributions, fresh: FreshEnvironment, tmp_path: Path
) -> None:
    samples = [str(ROOT / "tests/plugins" / name) for name in ("sample-store", "sample-backend")]
    fresh.install(*distributions.pip_options, "checkmaite-jobs-core[testing]", *samples)
    (tmp_path / "test_samples.py").write_text(SUITES, "utf-8")
    said = fresh.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_samples.py", cwd=tmp_path)
    assert " passed" in said
    assert "failed" not in said
