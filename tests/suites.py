"""The suite of backends for a store that keeps nothing."""

from __future__ import annotations

from checkmaite.jobs.testing import JobBackendContract


class SuiteWithoutResults(JobBackendContract):
    """Without the tests that read results or use one again: each backend runs those with Parquet."""

    test_a_result_is_used_again_for_what_it_was_made_of_alone = None  # type: ignore[assignment]
    test_reuse_is_as_it_was_asked_for = None  # type: ignore[assignment]
    test_rows_say_which_job_made_them = None  # type: ignore[assignment]
