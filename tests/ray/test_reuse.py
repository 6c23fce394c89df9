from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from tests.ray.clusters import Cluster
from tests.ray.conftest import SHARED_REGISTRY
from tests.reusing import ReuseStory


@pytest.mark.usefixtures("attached")
class TestReuseRay(ReuseStory):
    kind = "ray"

    @pytest.fixture(autouse=True)
    def _own_scope(self, cluster: Cluster, journals: Path) -> None:
        type(self).options = {
            "address": cluster.driver,
            "idempotency_scope": uuid.uuid4().hex,
            "registry_actor_name": SHARED_REGISTRY,
            "journal_uri": str(journals),
        }
