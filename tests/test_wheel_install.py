"""The wheel in clean environments: its base alone reads a dataset; with the extra `build` it makes one."""

import subprocess
import sys
from pathlib import Path

import pytest

from shards.manifest import load

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


def call(*words: object, cwd: Path = ROOT) -> str:
    done = subprocess.run(list(map(str, words)), cwd=cwd, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"{words}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    call(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
    (path,) = folder.glob("avs_data-*.whl")
    return path


def environment(folder: Path, wheel: Path, *options: str, extras: str = "") -> Path:
    """The `bin` of a new environment in which nothing but the wheel and what it asks for is installed."""
    call(sys.executable, "-m", "venv", folder)
    uv = Path(sys.executable).with_name("uv")
    call(uv, "pip", "install", "--python", folder / "bin" / "python", *options, f"{wheel}{extras}")
    return folder / "bin"


PINNED = ("--constraint", str(ROOT / "constraints.txt"))
READ = """
import io, sys
import label_maps
from PIL import Image
from shards.reader import Dataset

samples = list(Dataset(sys.argv[1]).samples())
assert all(Image.open(io.BytesIO(sample.mask_png)).mode == "L" for sample in samples)
assert {sample.record["category"] for sample in samples} <= set(label_maps.load().categories)
print(len(samples))
"""


@pytest.mark.parametrize("options", [PINNED, ("--resolution", "lowest-direct")], ids=["pinned", "lowest"])
def test_the_base_alone_reads_and_verifies_a_dataset(options, wheel, dataset, tmp_path):
    bin_ = environment(tmp_path / "env", wheel, *options)
    assert int(call(bin_ / "python", "-c", READ, dataset, cwd=tmp_path)) == sum(
        each["samples"] for each in load(dataset).counts.values()
    )
    call(bin_ / "avs-data", "verify", dataset, "--deep", cwd=tmp_path)
    for words, extra in (
        ("avs-data fetch ledger --corpora .", "fetch"),
        (f"avs-train fit tiny --data {dataset} --out run", "train"),
    ):
        program, *rest = words.split()
        done = subprocess.run([bin_ / program, *rest], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 1
        assert done.stderr.endswith(f"is not installed; it comes with: pip install 'avs-data[{extra}]'\n")
        assert done.stderr.count("Error: ") == 1
    for heavy in ("apache_beam", "av", "torch", "uvicorn", "yt_dlp"):
        found = subprocess.run([bin_ / "python", "-c", f"import {heavy}"], capture_output=True, text=True)
        assert f"No module named '{heavy}'" in found.stderr


def test_the_installed_wheel_builds_what_the_checkout_builds(wheel, corpora, dataset, tmp_path):
    """The steps of docker/pipelines/Dockerfile by hand."""
    bin_ = environment(tmp_path / "env", wheel, *PINNED, extras="[build]")
    empty = tmp_path / "empty"
    empty.mkdir()
    where = call(bin_ / "python", "-c", "import pipelines; print(pipelines.__file__)", cwd=empty)
    assert where.startswith(str(tmp_path / "env"))
    assert "build" in call(bin_ / "avs-data", "--help", cwd=empty)
    assert "limits:" in call(bin_ / "avs-data", "plan", "avs_synthetic", "--workers", 16, cwd=empty)
    call(bin_ / "avs-data", "build", "demo", "--corpora", corpora, "--out", "out", "--workers", 2, cwd=empty)
    assert load(str(empty / "out")) == load(dataset)
    assert (empty / "out" / "manifest.json").read_bytes() == (Path(dataset) / "manifest.json").read_bytes()
