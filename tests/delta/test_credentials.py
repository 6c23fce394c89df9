"""The tables have the credentials of the objects beside them, and see new ones as these do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from checkmaite.jobs import StorePermissionError
from checkmaite.store_delta import DeltaStore

from tests.conftest import FoundCredentials
from tests.delta.writing import run_of


@pytest.mark.parametrize("way", ["in_file", "in_environment", "by_process"])
def test_found_credentials_that_were_renewed(
    bucket: str, s3_endpoint: str, expired_keys: set[str], found_credentials: FoundCredentials, way: str
) -> None:
    give: Callable[[str], None] = getattr(found_credentials, way)
    give("first")
    store = DeltaStore(f"s3://{bucket}/store", {"endpoint_url": s3_endpoint})
    store.write(run_of("one"))
    give("second")
    expired_keys.add("first")
    assert [receipt.created for receipt in store.write(run_of("two"))] == [True]
    give("third")
    expired_keys.add("second")
    assert store.read_table("part_a", columns=["run_uid"]).num_rows == 4


def test_a_process_that_finds_none_asks_nobody(
    bucket: str, s3_endpoint: str, found_credentials: FoundCredentials
) -> None:
    """The library alone would ask the network for those of a machine."""
    store = DeltaStore(f"s3://{bucket}/store", {"endpoint_url": s3_endpoint})
    with pytest.raises(StorePermissionError, match="NoCredentialsError"):
        store.list_tables()
    found_credentials.in_file("later")
    assert store.list_tables() == []


def test_those_of_a_profile(bucket: str, s3_endpoint: str, found_credentials: FoundCredentials) -> None:
    found_credentials.in_file("of-the-profile", profile="evaluations")
    store = DeltaStore(f"s3://{bucket}/store", {"endpoint_url": s3_endpoint, "profile": "evaluations"})
    store.write(run_of("one"))
    assert store.find_run("one") is not None
