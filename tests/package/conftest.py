"""A folder to work in, and a pipeline that is packaged quickly."""

from pathlib import Path

import pytest

from tests.package.packaging import make_pipeline


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workplace")


@pytest.fixture(scope="module")
def stock(workplace: Path) -> Path:
    """A pipeline with spaCy's own textcat, small and quick."""
    return make_pipeline(workplace / "stock", "textcat")
