"""Corpora and datasets that several tests read; none may change them."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from real_data import DATA

if TYPE_CHECKING:
    import hub_server
    import review_world
    import s3_server

# A busy machine draws slowly: that is no fault of what is tested.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
# A shell that runs the suite in the background makes it, and all that it starts, deaf to Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)


SCENES_RECIPE = """
name = "scenes"
seed = 0
[select]
min_area_fraction = 0.01
image_licences = ["cc-by-2.0", "cc-by-sa-2.0"]
[split]
train = 70
val = 15
test = 15
[scene]
targets = ["binary", "classes", "instances"]
off_screen = "not_annotated"
[scene.shares]
mixture_of_2 = 0.6
mixture_of_3 = 0.4
silence = 0.5
noise = 0.5
off_screen = 0.9
[scene.evaluation]
silence = 1
[scene.sound]
rule = "snr"
crop = "loudest"
duration_s = 2.5
stereo = true
delay = true
[shards]
samples_per_shard = 25
clips_per_shard = 50
"""


@pytest.fixture(scope="session")
def mini() -> str:
    """Real photos, masks and clips, where this checkout has them beside it."""
    if not (DATA / "mini").is_dir():
        pytest.skip(f"no real data at {DATA / 'mini'}")
    return str(DATA / "mini")


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Small generated corpora in the official layouts, with something wrong of every kind."""
    from pipelines.demo import write_demo_corpora

    folder = tmp_path_factory.mktemp("corpora")
    write_demo_corpora(str(folder), images=40, clips=6, every=False)
    return str(folder)


@pytest.fixture(scope="session")
def every_corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Generated corpora of every kind that can be built from."""
    from pipelines.demo import write_demo_corpora

    folder = tmp_path_factory.mktemp("every_corpus")
    write_demo_corpora(str(folder), images=30, clips=4)
    return str(folder)


@pytest.fixture(scope="session")
def dataset(corpora: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A dataset built from them by the recipe of `make demo`."""
    from pipelines.build import run
    from pipelines.recipes import recipe

    out = str(tmp_path_factory.mktemp("dataset") / "demo")
    run.build(recipe.load("demo"), run.BuildOptions(corpora, out))
    return out


@pytest.fixture(scope="session")
def scenes_recipe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a recipe of scenes with all kinds and targets, in stereo; all else is that of `dataset`."""
    path = tmp_path_factory.mktemp("recipe") / "scenes.toml"
    path.write_text(SCENES_RECIPE)
    return str(path)


@pytest.fixture(scope="session")
def scenes(scenes_recipe: str, corpora: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A dataset built by it."""
    from pipelines.build import run
    from pipelines.recipes import recipe

    out = str(tmp_path_factory.mktemp("scenes") / "out")
    run.build(recipe.load(scenes_recipe), run.BuildOptions(corpora, out))
    return out


@pytest.fixture
def s3(tmp_path: Path) -> "Iterator[s3_server.S3Server]":
    """A running S3 server of the test's own; tests that take it are marked `s3_server.needed`."""
    import s3_server

    with s3_server.serving(tmp_path / "s3") as server:
        yield server


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> "Iterator[hub_server.HubServer]":
    """A stand-in for the Hugging Face Hub that the client of this process knows."""
    import hub_server

    with hub_server.serving(monkeypatch) as server:
        yield server


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Tensors this small gain nothing from threads, and lose much when several tests run at once."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> "review_world.World":
    """A review with photos and sounds that the tests of a module share."""
    import review_world

    return review_world.make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def fresh(tmp_path: Path) -> "review_world.World":
    """The same for one test alone."""
    import review_world

    return review_world.make_world(tmp_path)
