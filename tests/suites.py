"""The suite of backends for a store that keeps nothing."""

from __future__ import annotations

from checkmaite.jobs.testing import JobBackendContract


class SuiteWithoutResults(JobBackendContract):
    """Without the tests that read results or use one again, and those of the executor: each backend runs those once,
    with Parquet.
    """

    test_a_result_is_used_again_for_what_it_was_made_of_alone = None  # type: ignore[assignment]
    test_reuse_is_as_it_was_asked_for = None  # type: ignore[assignment]
    test_rows_say_which_job_made_them = None  # type: ignore[assignment]
    test_an_executor_runs_what_it_is_given = None  # type: ignore[assignment]
    test_a_map_gives_results_in_order = None  # type: ignore[assignment]
    test_a_run_that_has_begun_is_not_cancelled_by_its_future = None  # type: ignore[assignment]
    test_what_no_worker_has_begun_is_cancelled_with_the_executor = None  # type: ignore[assignment]
