"""A registry's folder is below the journals' folder, whatever the registry is called."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkmaite.jobs_ray.journal.location import JournalLocation


@pytest.mark.parametrize(
    ("namespace", "registry", "folder"),
    [
        ("checkmaite_jobs", "registry-a-0123456789", "checkmaite_jobs/registry-a-0123456789"),
        ("team/a", "my registry", "team%2Fa/my%20registry"),
        (".hidden", "a.b", ".hidden/a.b"),
        ("..", ".", "%2E%2E/%2E"),
        ("../..", "...", "..%2F../..."),
    ],
)
def test_no_name_leads_to_another_folder(tmp_path: Path, namespace: str, registry: str, folder: str) -> None:
    objects = JournalLocation(uri=str(tmp_path / "_jobs")).objects(namespace, registry)
    assert objects.root == f"{tmp_path}/_jobs/{folder}"
