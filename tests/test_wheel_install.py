"""The steps of docker/pipelines/Dockerfile by hand: the wheel, a fresh environment, a build in an empty folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from shards.manifest import load

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_installed_wheel_builds_what_the_checkout_builds(corpora, dataset, tmp_path):
    def call(*words, cwd=ROOT):
        done = subprocess.run(
            [str(word) for word in words], cwd=cwd, capture_output=True, text=True, timeout=900
        )
        assert done.returncode == 0, f"{words}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    call(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "wheel")
    (wheel,) = (tmp_path / "wheel").glob("avs_data-*.whl")
    call(sys.executable, "-m", "venv", tmp_path / "env")
    bin_ = tmp_path / "env" / "bin"
    call(bin_ / "pip", "install", "--quiet", "--disable-pip-version-check", "uv")
    call(
        bin_ / "uv",
        "pip",
        "install",
        "--python",
        bin_ / "python",
        "--constraint",
        ROOT / "constraints.txt",
        wheel,
    )

    empty = tmp_path / "empty"
    empty.mkdir()
    where = call(
        bin_ / "python", "-c", "import pipelines, shards, label_maps; print(pipelines.__file__)", cwd=empty
    )
    assert where.startswith(str(tmp_path / "env"))
    torch = subprocess.run([bin_ / "python", "-c", "import torch"], cwd=empty, capture_output=True)
    assert torch.returncode != 0, "the data half brings no torch"
    assert "build" in call(bin_ / "avs-data", "--help", cwd=empty)
    assert "limits:" in call(bin_ / "avs-data", "plan", "avs_synthetic", "--workers", 16, cwd=empty)
    call(bin_ / "avs-data", "build", "demo", "--corpora", corpora, "--out", "out", "--workers", 2, cwd=empty)
    assert load(str(empty / "out")) == load(dataset)
    assert (empty / "out" / "manifest.json").read_bytes() == (Path(dataset) / "manifest.json").read_bytes()
