"""Corpora and datasets that several tests read; none may change them."""

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def mini() -> str:
    """Real photos, masks and clips, where this checkout has them beside it."""
    if not (SHARED / "mini").is_dir():
        pytest.skip(f"no real data at {SHARED / 'mini'}")
    return str(SHARED / "mini")


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Small generated corpora in the official layouts, with something wrong of every kind."""
    from pipelines.demo import write_demo_corpora

    folder = tmp_path_factory.mktemp("corpora")
    write_demo_corpora(str(folder), images=40, clips=6)
    return str(folder)


@pytest.fixture(scope="session")
def dataset(corpora: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A dataset built from them by the recipe of `make demo`."""
    from pipelines import recipe, run

    out = str(tmp_path_factory.mktemp("dataset") / "demo")
    run.build(recipe.load("demo"), run.BuildOptions(corpora, out))
    return out
