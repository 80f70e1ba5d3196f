"""Training as properties: it resumes to the byte, averages gradients, refuses other data, and stops at NaN."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from alone import ALONE, Quiet
from generated_shards import write_dataset
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode

from avs_train import config as configuration
from avs_train import loop
from avs_train.data.order import SettingError
from avs_train.distributed import DeviceError, Place, choose_device
from avs_train.run_folder import RunError, RunFolder, load_checkpoint
from avs_train.schedule import learning_rate
from shards import owner

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = [
    "model.image_size=64", "epochs=2", "train.batch_size=4", "window_shards=2", "workers=1", "tensorboard=false",
    "evaluate.pictures=0", "log_every=2", "validate_first=false", "validate_every=1", "data.augment=false",
]  # fmt: skip


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data"), {"train": 17, "val": 4}, size=64)


@pytest.fixture(scope="module")
def finished(dataset, tmp_path_factory):
    """A run of two epochs (8 steps) in one go."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    loop.fit(settings(), dataset, out, ALONE, Quiet())
    return out


def settings(*overrides):
    return configuration.load("tiny", [*SMALL, *overrides])


def same_end(one, other):
    for link in ("last", "best"):
        for name in ("weights.safetensors", "optimizer.safetensors"):
            assert (one / link / name).read_bytes() == (other / link / name).read_bytes(), (link, name)
    states = [json.loads((run / "last" / "state.json").read_text()) for run in (one, other)]
    assert states[0]["best"] == states[1]["best"]
    assert states[0]["step"] == states[1]["step"] == 8


@pytest.mark.parametrize("cut", [1, 4, 6])
def test_stopping_and_going_on_is_training_in_one_go(dataset, finished, tmp_path, cut):
    first = loop.fit(settings(), dataset, tmp_path, ALONE, Quiet(), stop=cut)
    assert first.step == cut
    loop.fit(settings("workers=3"), dataset, tmp_path, ALONE, Quiet())
    same_end(tmp_path, finished)


_KILLED = """
import os, signal, torch
torch.set_num_threads(1)
from avs_train.cli import main
rename = os.replace
def replace(source, target):
    if os.path.basename(target) == {when!r}:
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target)
os.replace = replace
main({arguments!r})
"""


def test_a_killed_run_goes_on_to_the_same_end(dataset, finished, tmp_path):
    """SIGKILL when the fourth checkpoint is written but has no name yet; the next call ends at the same bytes."""
    arguments = ["fit", "tiny", "--data", dataset, "--out", str(tmp_path / "run"), *SMALL, "save_every=1"]
    code = _KILLED.format(when="step-00000004", arguments=arguments)
    killed = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, timeout=300)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert list((tmp_path / "run").glob(".step-*.tmp"))
    saved = RunFolder(tmp_path / "run").load()
    assert saved.state["step"] == 3
    loop.fit(settings("save_every=1"), dataset, tmp_path / "run", ALONE, Quiet())
    same_end(tmp_path / "run", finished)
    steps = [
        json.loads(line)["step"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    assert steps == sorted(steps)
    assert not list((tmp_path / "run").glob(".*.tmp"))


def test_what_a_kill_left_of_a_moving_link_is_removed(tmp_path):
    """Not what it leads to: a link to a folder is no folder."""
    folder, saved = RunFolder(tmp_path), tmp_path / "step-00000001"
    saved.mkdir()
    (saved / "weights.safetensors").touch()
    me = owner.mine()
    gone = owner.Owner(me.host, me.machine, me.process, me.started + 1)  # the id was given out again
    os.symlink(saved.name, tmp_path / f".last.{gone}-0.tmp")
    os.symlink(saved.name, tmp_path / f".best.{me}-1.tmp")
    folder.clean()
    assert sorted(os.listdir(tmp_path)) == [f".best.{me}-1.tmp", "step-00000001"]
    assert os.listdir(saved) == ["weights.safetensors"]


@pytest.mark.parametrize("moved", [0, 1])
def test_a_kill_between_the_two_links_loses_no_best_checkpoint(moved, tmp_path, monkeypatch):
    """What `last` says of the best checkpoint is true of `best`, however many links had moved."""
    folder, weights, point, done = RunFolder(tmp_path), {"a": torch.zeros(1)}, RunFolder._point, []
    folder.save(1, weights, {}, {"best": {"mJ": 0.1, "step": 1}}, best=True)

    def stopped(self, link, name):
        if len(done) == moved:
            raise KeyboardInterrupt
        done.append(link)
        point(self, link, name)

    monkeypatch.setattr(RunFolder, "_point", stopped)
    with pytest.raises(KeyboardInterrupt):
        folder.save(2, weights, {}, {"best": {"mJ": 0.2, "step": 2}}, best=True)
    last, best = (folder.load(link).state for link in ("last", "best"))
    assert last["best"]["step"] <= best["step"]
    folder.clean()
    assert len(list(tmp_path.glob("step-*"))) == len({last["step"], best["step"]})


def test_calling_again_after_the_end_changes_nothing(dataset, finished):
    before = (finished / "last" / "weights.safetensors").read_bytes()
    assert loop.fit(settings(), dataset, finished, ALONE, Quiet()).step == 8
    assert (finished / "last" / "weights.safetensors").read_bytes() == before


def test_micro_batches_add_up_to_the_batch(dataset, tmp_path):
    for name, micro in (("whole", 0), ("parts", 1)):
        loop.fit(settings(f"micro_batch={micro}"), dataset, tmp_path / name, ALONE, Quiet(), stop=2)
    assert_close(tmp_path / "whole", tmp_path / "parts")


def assert_close(one, other):
    """First moments are linear in the gradients, so they compare gradients; AdamW's own steps would blow up signs."""
    a, b = (load_file(run / "last" / "optimizer.safetensors") for run in (one, other))
    assert a.keys() == b.keys()
    for name in (name for name in a if name.endswith("exp_avg")):
        scale = a[name].abs().max().clamp(min=1e-6)
        assert (a[name] - b[name]).abs().max() / scale < 2e-3, name


_RANK = """
import sys, torch
torch.set_num_threads(1)
sys.path.insert(0, {tests!r})
from alone import Quiet
from test_train_loop import settings
from avs_train import loop
from avs_train.distributed import joined
with joined("cpu", timeout_s=60) as place:
    loop.fit(settings("micro_batch=1"), {data!r}, {averaged!r}, place, Quiet(), stop=1)
    loop.fit(settings(), {data!r}, {resumed!r}, place, Quiet())
"""


@pytest.fixture(scope="module")
def two_ranks(dataset, tmp_path_factory):
    """Two processes: one step from the start, and a run that one process began and they end."""
    averaged, resumed = tmp_path_factory.mktemp("averaged"), tmp_path_factory.mktemp("resumed")
    loop.fit(settings(), dataset, resumed, ALONE, Quiet(), stop=3)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = {
        "tests": str(Path(__file__).parent),
        "data": dataset,
        "averaged": str(averaged),
        "resumed": str(resumed),
    }
    processes = []
    for rank in range(2):
        place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
        place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        call = [sys.executable, "-c", _RANK.format(**places)]
        processes.append(subprocess.Popen(call, env={**os.environ, **place}, stderr=subprocess.PIPE))
    errors = [process.communicate(timeout=300)[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)
    return averaged, resumed


def test_two_processes_train_as_one_on_the_joint_batch(dataset, two_ranks, tmp_path):
    """Gradients are averaged: without it each rank would follow its own half. With micro-batches too."""
    loop.fit(settings(), dataset, tmp_path / "one", ALONE, Quiet(), stop=1)
    assert_close(tmp_path / "one", two_ranks[0])
    loop.fit(settings("data.fraction=0.5"), dataset, tmp_path / "else", ALONE, Quiet(), stop=1)
    with pytest.raises(AssertionError):
        assert_close(tmp_path / "else", two_ranks[0])


def test_a_run_goes_on_with_another_number_of_ranks(finished, two_ranks):
    alone, apart = (load_checkpoint(run / "last") for run in (finished, two_ranks[1]))
    assert apart.state["step"] == 8
    # Validation is reduced over ranks: the same number, not that of rank 0's share.
    assert apart.state["last"] == pytest.approx(alone.state["last"], abs=0.02)


def test_other_data_or_settings_are_refused_with_what_differs(dataset, finished, tmp_path):
    with pytest.raises(RunError, match=r"train\.batch_size: 4 then, 2 now") as caught:
        loop.fit(settings("train.batch_size=2", "train.lr=0.5"), dataset, finished, ALONE, Quiet())
    assert "train.lr: 0.001 then, 0.5 now" in str(caught.value)
    other = write_dataset(tmp_path / "other", {"train": 20, "val": 4}, size=64)
    with pytest.raises(RunError, match=r"data: samples: 17 then, 20 now"):
        loop.fit(settings(), other, finished, ALONE, Quiet())


@pytest.fixture
def poisoned(monkeypatch):
    """The loss of step 2 is NaN."""
    real, calls = loop.loss_of, []

    def bad(*arguments):
        calls.append(1)
        return real(*arguments) * (float("nan") if len(calls) == 3 else 1)

    monkeypatch.setattr(loop, "loss_of", bad)


def test_nan_stops_saves_and_names_the_batch(dataset, tmp_path, poisoned):
    with pytest.raises(loop.NonFiniteError, match="not finite at step 2") as caught:
        loop.fit(settings("save_every=1"), dataset, tmp_path, ALONE, Quiet())
    saved = load_checkpoint(tmp_path / "non-finite-00000002")
    keys = saved.state["batch"][0]["samples"]
    assert saved.state["batch"][0]["loss"] == "nan"
    assert len(keys) == 4
    assert all(key in str(caught.value) for key in keys)
    before = load_checkpoint(tmp_path / "last")
    assert before.state["step"] == 2
    assert all(torch.equal(saved.weights[name], before.weights[name]) for name in before.weights)


def test_nan_that_is_seen_late_has_changed_nothing(dataset, tmp_path, poisoned):
    """Step 2 is bad, the host looks after step 3; parameters and optimizer are still those before step 2."""
    loop.fit(settings("log_every=100"), dataset, tmp_path / "before", ALONE, Quiet(), stop=2)
    with pytest.raises(loop.NonFiniteError, match="not finite at step 2"):
        loop.fit(settings("log_every=100"), dataset, tmp_path / "before", ALONE, Quiet())
    before, saved = (load_checkpoint(tmp_path / "before" / name) for name in ("last", "non-finite-00000002"))
    assert saved.state["step"] == before.state["step"] == 2
    for one, other in ((before.weights, saved.weights), (before.optimizer, saved.optimizer)):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_no_step_waits_for_the_device(dataset, tmp_path):
    """What brings a number to the host is called as often in three steps as in one."""

    class Counted(TorchDispatchMode):
        waits = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.waits += func in (
                torch.ops.aten._local_scalar_dense.default,
                torch.ops.aten.is_nonzero.default,
            )
            return func(*args, **(kwargs or {}))

    waits = []
    for steps in (1, 3):
        with Counted() as mode:
            out = tmp_path / str(steps)
            loop.fit(settings("log_every=100", "audio.embeddings="), dataset, out, ALONE, Quiet(), stop=steps)
        waits.append(mode.waits)
    assert waits[0] == waits[1] > 0


def test_chance_is_measured_but_never_the_best_checkpoint(dataset, tmp_path):
    result = loop.fit(
        settings("validate_first=true", "train.lr=0.0", "lr_end=0.0"), dataset, tmp_path, ALONE, Quiet()
    )
    steps = [
        line["step"] for line in map(json.loads, (tmp_path / "metrics.jsonl").open()) if "val/mJ" in line
    ]
    assert steps == [0, 4, 8]
    assert load_checkpoint(tmp_path).state["best"] == {"mJ": result.best_mj, "step": 4}


def test_fine_tuning_begins_with_the_trained_parameters(dataset, finished, tmp_path):
    still = settings(f"train.init={finished}", "train.lr=0.0", "weight_decay=0.0", "lr_end=0.0")
    loop.fit(still, dataset, tmp_path, ALONE, Quiet(), stop=1)
    begun, source = load_checkpoint(tmp_path / "last"), load_checkpoint(finished)
    assert all(torch.equal(begun.weights[name], source.weights[name]) for name in source.weights)


def test_a_checkpoint_of_another_model_is_refused(dataset, finished, tmp_path):
    with pytest.raises(RunError, match=r"does not fit this model, .* differences"):
        loop.fit(
            settings(f"train.init={finished}", "model.adapters=2"), dataset, tmp_path, ALONE, Quiet(), stop=1
        )


def test_a_checkpoint_holds_trained_parameters_only(finished):
    state = json.loads((finished / "last" / "state.json").read_text())
    weights = load_file(finished / "last" / "weights.safetensors")
    assert not any("iou_prediction_head" in name for name in weights)
    assert state["config"]["train"]["batch_size"] == 4
    assert sorted(path.name for path in finished.glob("step-*")) == sorted(
        {os.readlink(finished / link) for link in ("last", "best")}
    )


def test_a_damaged_checkpoint_is_an_error(finished, tmp_path):
    (tmp_path / "state.json").write_text((finished / "last" / "state.json").read_text())
    (tmp_path / "weights.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(RunError, match="is damaged"):
        load_checkpoint(tmp_path)
    with pytest.raises(RunError, match="holds no checkpoint"):
        load_checkpoint(tmp_path / "nowhere")


def test_too_few_samples_and_uneven_ranks_are_refused(dataset, tmp_path):
    with pytest.raises(SettingError, match="17 samples do not fill one global batch of 64"):
        loop.fit(settings("train.batch_size=64"), dataset, tmp_path, ALONE, Quiet())
    with pytest.raises(SettingError, match="cannot be shared equally by 3 ranks"):
        loop.fit(settings(), dataset, tmp_path, Place(0, 0, 3, torch.device("cpu")), Quiet())


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_no_cuda_is_said():
    with pytest.raises(DeviceError, match=r"PyTorch sees 0: .* or say train\.device=cpu"):
        choose_device("cuda")


def test_the_schedule_is_pytorchs_cosine():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=2e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=80, eta_min=1e-7)
    for epoch in range(80):
        assert learning_rate(epoch, 80, 2e-4, 1e-7) == pytest.approx(schedule.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        schedule.step()
