"""Two attempts of one shard at the same time, as an engine makes them of a straggler, leave one good shard."""

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import s3_server

from pipelines.build import parts
from shards import storage

ATTEMPT = """
import hashlib, os, sys, time
import pyarrow as pa
from pipelines.build import parts
from shards.writer import Content

out, signal, mine = sys.argv[1:]
keys = [f"{number:06d}" for number in range(200)]
table = pa.table({"key": keys, "shard": ["train/train-000000.tar"] * len(keys)})

def encode(row, rejections):
    time.sleep(0.002)  # both write for a while
    return row["key"], {"bin": Content.of(hashlib.sha256(row["key"].encode()).digest() * 1000)}

def describe(row, members):
    return {"key": row["key"], "bin_offset": members["bin"].offset}

open(mine, "w").close()
while not os.path.exists(signal):
    pass
kept = parts.write(table, out, pa.schema({"key": pa.string(), "bin_offset": pa.int64()}), encode, describe).kept
print(kept.num_rows, hashlib.sha256(str(kept.to_pydict()).encode()).hexdigest())
"""


def race(out: str, folder: Path, attempts: int) -> set[str]:
    """What each of some attempts that start at one time says of its shard."""
    signal, ready = folder / "signal", [folder / f"ready{number}" for number in range(attempts)]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", ATTEMPT, out, str(signal), str(path)], stdout=subprocess.PIPE, text=True
        )
        for path in ready
    ]
    while not all(path.exists() for path in ready):
        assert all(process.poll() is None for process in running)
        time.sleep(0.01)
    signal.touch()
    told = {process.communicate(timeout=60)[0] for process in running}
    assert not any(process.returncode for process in running)
    return told


def check(out: str, told: set[str]) -> None:
    (said,) = told
    assert said.startswith("200 ")
    assert storage.names(storage.join(out, "train")) == ["train-000000.tar"]
    content = storage.read_bytes(storage.join(out, "train/train-000000.tar"))
    for number in range(200):
        assert content.count(hashlib.sha256(f"{number:06d}".encode()).digest() * 1000) == 1
    part = parts.load(out, "train/train-000000.tar")
    assert (part.sha256, part.bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert part.rows["key"].to_pylist() == [f"{number:06d}" for number in range(200)]


def test_two_attempts_in_a_folder(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    check(out, race(out, tmp_path, 2))


@s3_server.needed
def test_two_attempts_on_s3(s3: s3_server.S3Server, tmp_path: Path) -> None:
    out = f"s3://{s3_server.BUCKET}/out"
    check(out, race(out, tmp_path, 2))
