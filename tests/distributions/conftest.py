from pathlib import Path

import pytest

from tests.distributions.building import Distributions, FreshEnvironment


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    return Distributions(tmp_path_factory.mktemp("distributions"))


@pytest.fixture(scope="session")
def growing(tmp_path_factory: pytest.TempPathFactory) -> FreshEnvironment:
    """One environment for several tests, since Ray takes long to install: who needs least comes first."""
    return FreshEnvironment(tmp_path_factory.mktemp("growing") / "venv")


@pytest.fixture
def fresh(tmp_path: Path) -> FreshEnvironment:
    return FreshEnvironment(tmp_path / "venv")
