"""From real photos, masks and clips to shards, two epochs of training, and an evaluation."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from real_data import MINI


@pytest.mark.slow
@pytest.mark.skipif(not MINI.is_dir(), reason="no shared/data/mini")
def test_two_epochs_on_real_data(tmp_path):
    (tmp_path / "mini.toml").write_text('name = "mini"\n[split]\ntrain = 70\nval = 15\ntest = 15\n')
    data, run = str(tmp_path / "data"), str(tmp_path / "run")
    for call in (
        ["pipelines.cli", "build", str(tmp_path / "mini.toml"), "--corpora", str(MINI), "--out", data],
        ["avs_train.cli", "fit", "tiny", "--data", data, "--out", run, "epochs=2", "validate_every=1"],
        ["avs_train.cli", "eval", run, "--data", data, "--robustness"],
    ):
        code = f"from {call[0]} import main; main({call[1:]!r})"
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "2"},
        )
        assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in Path(run, "metrics.jsonl").read_text().splitlines()]
    losses = [line["train/loss"] for line in lines if "train/loss" in line]
    assert losses[-1] < losses[0]
    result = json.loads(Path(run, "eval-mini-test.json").read_text())
    assert result["summary"]["samples"] > 0
    assert result["summary"]["corrupt"] == {}
    assert result["robustness"]["mJ"].keys() == {"true", "swapped", "silent"}
