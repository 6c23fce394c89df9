from pathlib import Path

import pytest

from tests.distributions.building import Distributions, FreshEnvironment


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    return Distributions(tmp_path_factory.mktemp("distributions"))


@pytest.fixture
def fresh(tmp_path: Path) -> FreshEnvironment:
    return FreshEnvironment(tmp_path / "venv")
