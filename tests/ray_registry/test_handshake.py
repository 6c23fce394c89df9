"""Client and registry say which of them is to change when they do not understand each other."""

from __future__ import annotations

from typing import Any

import pytest
from checkmaite.jobs import ConfigurationError, IncompatibleVersionError
from checkmaite.jobs_ray.config import RegistrySettings
from checkmaite.jobs_ray.handshake import check_client, client_hello


def check(**changes: Any) -> Any:
    client = {**client_hello({}, patience_s=1.0, scope="s"), **changes}
    return check_client(client, registry="r", settings=RegistrySettings(journal_uri="/journal"))


def test_who_understands_learns_where_the_journal_is() -> None:
    assert check()["journal_uri"] == "/journal"


@pytest.mark.parametrize(
    ("difference", "older"), [(-1, "Upgrade checkmaite-jobs-ray in the client"), (1, "Start a reg")]
)
def test_another_protocol_is_refused(difference: int, older: str) -> None:
    with pytest.raises(IncompatibleVersionError, match=older):
        check(protocol=client_hello({}, patience_s=1.0, scope="s")["protocol"] + difference)


def test_other_settings_are_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="lease_ttl_s"):
        check(asked={"lease_ttl_s": 7.0})
