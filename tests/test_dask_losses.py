"""What a cluster may lose while it builds, on hosts of their own and on S3: the same bytes, or one line and then they.

Slow: `pytest -m slow tests/test_dask_losses.py`. The hosts are network namespaces, so they need root;
`benchmarks/bench_losses.py` prints what came of each.
"""

from pathlib import Path

import network
import pytest
import s3_server
from dask_losses import LOSSES, Place, digest
from test_engines import installed  # noqa: F401

from pipelines.build.run import BuildOptions, build
from pipelines.demo import write_demo_corpora
from pipelines.recipes import recipe

pytestmark = pytest.mark.slow
NEEDED = {"of three hosts": network.needed, "the S3 server": s3_server.needed}


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Corpora that take a while, and the hash of what is built from them here."""
    folder = tmp_path_factory.mktemp("larger")
    corpora = str(folder / "corpora")
    write_demo_corpora(corpora, images=300, clips=12, every=False)
    build(recipe.load("demo"), BuildOptions(corpora, str(folder / "here")))
    return corpora, digest(str(folder / "here"))


@pytest.mark.parametrize(
    "what",
    [
        pytest.param(what, marks=[mark for word, mark in NEEDED.items() if what.startswith(word)])
        for what in LOSSES
    ],
)
def test_a_build_that_loses_something(
    what: str,
    larger: tuple[str, str],
    installed: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    corpora, expected = larger
    play, code = LOSSES[what]
    ending = play(Place(corpora, tmp_path, installed))
    assert ending.digest == expected
    assert code is None or ending.code == code, ending.line
