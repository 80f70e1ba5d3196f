"""Two attempts of one shard at the same time, as an engine makes them of a straggler, leave one good shard."""

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import s3_server

from shards import format, parts, storage

ATTEMPT = """
import hashlib, os, sys, time
import pyarrow as pa
from shards import format, parts
from shards.records import NO_LABEL, ClipRecord
from shards.writer import Content

out, signal, mine = sys.argv[1:]
ids = [f"vggsound:{number:011d}_000000" for number in range(200)]
plan = pa.Table.from_pylist([
    {"key": format.key_of(name), "clip_id": name, "category": "dog", "shard": "pool/pool-000000.tar"} for name in ids
])

def encode(row):
    time.sleep(0.002)  # both write for a while
    sound = Content.of(hashlib.sha256(row["key"].encode()).digest() * 1000)
    record = ClipRecord(
        id=row["clip_id"], key=row["key"], video_id=row["clip_id"][9:20], start_s=0.0, duration_s=1.0, label=NO_LABEL,
        official_split="train", sha256=sound.sha256, categories=("dog",), split="train",
    )
    return record, {"flac": sound}

open(mine, "w").close()
while not os.path.exists(signal):
    pass
kept, _ = parts.write(plan, out, "convert", encode, {"code": "1"})
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
    assert storage.names(storage.join(out, "pool")) == ["pool-000000.tar"]
    content = storage.read_bytes(storage.join(out, "pool/pool-000000.tar"))
    keys = sorted(format.key_of(f"vggsound:{number:011d}_000000") for number in range(200))
    for key in keys:
        assert content.count(hashlib.sha256(key.encode()).digest() * 1000) == 1
    part = parts.load(out, "pool/pool-000000.tar")
    assert (part.sha256, part.bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert part.rows["key"].to_pylist() == keys


def test_two_attempts_in_a_folder(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    check(out, race(out, tmp_path, 2))


@s3_server.needed
def test_two_attempts_on_s3(s3: s3_server.S3Server, tmp_path: Path) -> None:
    out = f"s3://{s3_server.BUCKET}/out"
    check(out, race(out, tmp_path, 2))
