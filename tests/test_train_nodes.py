"""Two nodes of two processes, started by torchrun, training on shards of a real S3 server: as one process would.

On loopback, and once on hosts of their own (network namespaces, which need root).
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time

import network
import pytest
import s3_server
from generated_shards import write_dataset
from safetensors.torch import load_file

pytestmark = [pytest.mark.slow, s3_server.needed]

SMALL = [
    "model.image_size=64", "window_shards=2", "data.workers=1", "tensorboard=false",
    "evaluate.pictures=0", "log_every=1",
    "validate_first=false", "validate_every=100", "data.augment=false",
]  # fmt: skip
ONE_STEP = [*SMALL, "train.epochs=1", "train.batch_size=16"]  # of 17 samples
MANY_STEPS = [*SMALL, "train.epochs=10", "train.batch_size=4", "save_every=1"]  # 40
LONG_S = 400


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A dataset on the server, and what a client needs to know of it in the environment."""
    with pytest.MonkeyPatch.context() as patch, s3_server.serving(tmp_path_factory.mktemp("s3") / "server"):
        patch.setenv("OMP_NUM_THREADS", "1")
        yield write_dataset(f"s3://{s3_server.BUCKET}/avs", {"train": 17, "val": 4}, size=64)


def start(nodes, per_node, data, out, settings, outs=None, net=None):
    """One torchrun a node on loopback or a network, each with a shard cache of its own and the run folder shared, but
    for `outs`."""
    addresses = [net.address_of(node) if net else "127.0.0.1" for node in range(nodes)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    agents = []
    for node in range(nodes):
        call = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--nnodes",
            str(nodes),
            "--nproc-per-node",
            str(per_node),
        ]
        call += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"{addresses[0]}:{port}", "--rdzv-id", out.name]
        call += (
            ["--rdzv-conf", f"is_host={int(node == 0)}"] if net else []
        )  # all hosts have this machine's name
        call += ["--local-addr", addresses[node], "-m", "avs_train", "fit", "tiny", "--data", data]
        call += ["--out", str(outs[node] if outs else out), *settings]
        call += [f"data.cache_dir={out.parent / f'cache-{out.name}-{node}'}"]
        if net:  # of several networks, this one
            call = net.command(node, ["env", f"GLOO_SOCKET_IFNAME={net.device_of(node)}", *call])
        with open(out.parent / f"{out.name}-{node}.log", "ab") as log:
            agents.append(subprocess.Popen(call, stdout=log, stderr=log))
    return agents


def ended(agents, out):
    """Exit codes; whatever is still there after LONG_S is killed, so that no process outlives a test."""
    end = time.monotonic() + LONG_S
    try:
        return [agent.wait(max(0.1, end - time.monotonic())) for agent in agents]
    except subprocess.TimeoutExpired:
        pytest.fail(f"still running after {LONG_S} s: {logs(out)}")
    finally:
        for agent in agents:
            kill_node(agent)


def kill_node(agent):
    """The agent and all its ranks, which lead process groups of their own, as when the machine goes away."""
    if agent.poll() is not None:
        return
    for process in [agent.pid, *children(agent.pid)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    agent.wait()


def children(parent):
    """Ids of all processes below one."""
    below = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True).stdout
    found = [int(line) for line in below.split()]
    return found + [process for child in found for process in children(child)]


def logs(out):
    return "\n".join(path.read_text()[-3000:] for path in sorted(out.parent.glob(f"{out.name}-*.log")))


def train(nodes, per_node, data, out, settings, net=None):
    codes = ended(start(nodes, per_node, data, out, settings, net=net), out)
    assert codes == [0] * nodes, logs(out)
    return out


def step_of(run):
    state = run / "last" / "state.json"
    try:
        return json.loads(state.read_text())["step"]
    except FileNotFoundError:
        return 0


def rows(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def largest_difference(one, other):
    """Of the first moments, which are linear in the gradients, relative to each tensor's largest value."""
    a, b = (load_file(run / "last" / "optimizer.safetensors") for run in (one, other))
    assert a.keys() == b.keys()
    names = [name for name in a if name.endswith("exp_avg")]
    assert names
    return max(float((a[name] - b[name]).abs().max() / a[name].abs().max().clamp(min=1e-6)) for name in names)


@pytest.fixture(scope="module")
def alone(dataset, tmp_path_factory):
    """One process, the whole batch."""
    return train(1, 1, dataset, tmp_path_factory.mktemp("alone") / "run", ONE_STEP)


@pytest.mark.parametrize(("nodes", "per_node"), [(2, 2), (2, 1), (1, 2)])
def test_nodes_train_as_one_process_on_the_joint_batch(dataset, alone, tmp_path, nodes, per_node):
    run = train(nodes, per_node, dataset, tmp_path / "run", ONE_STEP)
    assert step_of(run) == step_of(alone) == 1
    assert largest_difference(run, alone) < 2e-3
    states = [json.loads((each / "last" / "state.json").read_text()) for each in (run, alone)]
    assert states[0]["last"] == pytest.approx(states[1]["last"], abs=0.02)  # validation is reduced over nodes
    for node in range(nodes):
        assert list((tmp_path / f"cache-run-{node}").glob("*.tar")), "each node fetches for itself"


@network.needed
def test_hosts_of_their_own(alone, tmp_path):
    """Each reaches the other, and the store, only through its cable."""
    with network.network(2) as net, s3_server.serving(tmp_path / "s3", net.address):
        data = write_dataset(f"s3://{s3_server.BUCKET}/avs", {"train": 17, "val": 4}, size=64)
        run = train(2, 2, data, tmp_path / "run", ONE_STEP, net)
    assert step_of(run) == 1
    assert largest_difference(run, alone) < 2e-3
    for node in range(2):
        assert list((tmp_path / f"cache-run-{node}").glob("*.tar")), "each node fetches for itself"


def test_another_batch_is_another_result(dataset, alone, tmp_path):
    """The comparison above can fail."""
    half = train(1, 1, dataset, tmp_path / "run", [*SMALL, "train.epochs=1", "train.batch_size=8"])
    assert largest_difference(half, alone) > 2e-2


def test_a_node_that_dies_stops_the_other_and_the_same_command_goes_on(dataset, tmp_path):
    whole = train(2, 2, dataset, tmp_path / "whole", MANY_STEPS)
    cut = tmp_path / "cut"
    agents = start(2, 2, dataset, cut, MANY_STEPS)
    end = time.monotonic() + LONG_S
    while step_of(cut) < 5:
        assert time.monotonic() < end, logs(cut)
        assert all(agent.poll() is None for agent in agents), logs(cut)
        time.sleep(0.02)
    kill_node(agents[1])
    codes = ended(agents, cut)
    assert codes[1] == -signal.SIGKILL
    assert codes[0] not in (0, -signal.SIGKILL), "the other node ends by itself, and says so"
    assert 5 <= step_of(cut) < 40
    train(2, 2, dataset, cut, MANY_STEPS)
    assert step_of(cut) == step_of(whole) == 40
    # The same batches in the same order. Sums over four ranks are not: gloo's order depends on who came first.
    losses = [
        {row["step"]: row["train/loss"] for row in rows(run) if "train/loss" in row} for run in (cut, whole)
    ]
    assert losses[0].keys() == losses[1].keys() == set(range(1, 41))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert largest_difference(cut, whole) < 2e-3
    steps = [row["step"] for row in rows(cut)]
    assert steps == sorted(steps)


def test_a_run_folder_that_the_nodes_do_not_share_is_refused(dataset, tmp_path):
    """They would go on from different steps."""
    settings = [*SMALL, "train.epochs=1", "train.batch_size=4"]
    mine, theirs = train(1, 1, dataset, tmp_path / "mine", settings), tmp_path / "theirs"
    agents = start(2, 1, dataset, mine, settings, outs=[mine, theirs])
    assert 0 not in ended(agents, mine)
    assert "--out must be on storage that all nodes share" in logs(mine)
    assert step_of(mine) == 4
    assert step_of(theirs) == 0
