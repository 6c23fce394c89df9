"""Processes that use one store at once. A server that has imported it forks them: importing it takes a second."""

from __future__ import annotations

import multiprocessing

serving = multiprocessing.get_context("forkserver")
serving.set_forkserver_preload(["checkmaite.jobs.testing", "checkmaite.store_parquet", "duckdb", "pytest", "s3fs"])
