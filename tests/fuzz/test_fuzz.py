"""Whatever is damaged, a command ends: with a result, or with one line; soon, in little memory, and inside its folder.

Every trial follows from FUZZ_SEED and its number. `make fuzz` runs many.
"""

import importlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random

import pytest
from fuzz import damage, trial, world
from test_verify import edit_members

from avs_train import cli as train_cli
from pipelines import cli as data_cli
from shards import format, storage

SEED, TRIALS = int(os.environ.get("FUZZ_SEED", 0)), int(os.environ.get("FUZZ_TRIALS", 4))
FIRST = int(
    os.environ.get("FUZZ_FIRST", 0)
)  # number of the first trial: one that failed is repeated by it alone

Damage = Callable[[Random, Path], None]  # damages what lies in a folder
READS = (
    "verify {0}/data", "verify {0}/data --deep", "stats {0}/data --out {0}/out --samples 2", "diff {0}/data {0}/data",
    "explain {0}/data gen:train_00000", "export {0}/data --format coco --out {0}/out",
    "export {0}/data --format fiftyone --out {0}/out",
    "takedown {0}/data --video gen:train_bell_000 --reason asked --out {0}/out",
    "publish {0}/data --version 1.0.0 --to {0}/out",
    "publish {0}/data --version 1.0.0 --to {0}/out --reference-only audio --dry-run",
    "browse {0}/data --export {0}/out --samples 3", "judge draw {0}/data --queue {0}/out.sqlite --sample 3",
    "train eval {0}/run --data {0}/data --out {0}/out.json --split test",
)  # fmt: skip
DATASET_CALLS = (*READS, "build {0}/recipe.toml --corpora {0}/corpora --out {0}/out --base {0}/data")


def manifest(random: Random, folder: Path) -> None:
    _json(random, folder / "data" / "manifest.json")


def carried(random: Random, folder: Path) -> None:
    """The list of takedowns."""
    _json(random, folder / "data" / "takedowns.json")


def _json(random: Random, path: Path) -> None:
    if random.random() < 0.3:
        path.write_bytes(damage.of_bytes(random, path.read_bytes()))
        return
    record = json.loads(path.read_bytes())
    for _ in range(random.choice((1, 1, 1, 3))):
        record = damage.of_json(random, record)
    path.write_bytes(damage.dumped(record))


def tables(random: Random, folder: Path) -> None:
    path = (
        folder
        / "data"
        / random.choice((format.SAMPLES, format.SAMPLES, format.POOL_TABLE, format.REJECTIONS))
    )
    kind = random.random()
    if kind < 0.7:
        damage.of_table(random, path)
    elif kind < 0.85:
        damage.of_page(random, path)
    else:
        path.write_bytes(damage.of_bytes(random, path.read_bytes()))
    if random.random() < 0.8:  # as if nothing had happened
        _agree(folder / "data", path.name)


def _agree(data: Path, name: str) -> None:
    import pyarrow.parquet as pq

    try:
        rows = pq.ParquetFile(data / name).metadata.num_rows
    except (OSError, ValueError):
        rows = 1
    record = json.loads((data / "manifest.json").read_bytes())
    url = str(data / name)
    record["tables"][name] = {"rows": rows, "bytes": storage.size(url), "sha256": storage.sha256(url)}
    (data / "manifest.json").write_bytes(json.dumps(record).encode())


def tars(random: Random, folder: Path) -> None:
    path = random.choice(sorted((folder / "data").glob("*/*.tar")))
    path.write_bytes(damage.of_bytes(random, path.read_bytes()))


def members(random: Random, folder: Path) -> None:
    """A record, photo, mask or sound wrong, with hashes, offsets and tables that agree with it."""

    def change(found: dict[str, dict[str, bytes]]) -> None:
        key = random.choice(sorted(found))
        extension = random.choice(("json", "json", *found[key]))
        content = found[key][extension]
        if extension == "json" and random.random() < 0.7:
            wrong = damage.of_json(random, json.loads(content))
            found[key][extension] = json.dumps(wrong, sort_keys=True, separators=(",", ":")).encode()
        elif extension == "mask.png" and random.random() < 0.5:
            size = random.choice((40_000, 2**31 - 1)).to_bytes(4, "big")
            found[key][extension] = content[:16] + size * 2 + content[24:]
        elif extension == "jpg" and random.random() < 0.5:
            at = content.index(b"\xff\xc0") + 5
            found[key][extension] = (
                content[:at] + random.choice((b"\x9c\x40", b"\xff\xff")) * 2 + content[at + 4 :]
            )
        else:
            found[key][extension] = damage.of_bytes(random, content)[: 1 << 20]

    edit_members(folder / "data", random.choice((format.SAMPLES, format.POOL_TABLE)), change)


def files(random: Random, folder: Path) -> None:
    damage.of_file(
        random, random.choice([path for path in sorted((folder / "data").rglob("*")) if path.is_file()])
    )


def edition(random: Random, folder: Path) -> None:
    path = random.choice([path for path in sorted((folder / "edition").rglob("*")) if path.is_file()])
    if random.random() < 0.2:
        damage.of_file(random, path)
    elif path.suffix == ".json":
        _json(random, path)
    elif path.suffix == ".parquet":
        damage.of_table(random, path)
    else:
        path.write_bytes(damage.of_bytes(random, path.read_bytes()))


def text(name: str) -> Damage:
    def change(random: Random, folder: Path) -> None:
        path = folder / name
        if random.random() < 0.1:
            damage.of_file(random, path)
        else:
            path.write_bytes(damage.of_text(random, path.read_text()))

    return change


def checkpoint(random: Random, folder: Path) -> None:
    path = random.choice([path for path in sorted((folder / "run" / "last").resolve().iterdir())])
    path = random.choice((path, path, folder / "weights.pth", folder / "weights.safetensors"))
    kind = random.random()
    if kind < 0.15:
        damage.of_file(random, path)
    elif path.name == "state.json":
        _json(random, path)
    elif path.suffix == ".safetensors" and kind < 0.6:  # its head is JSON
        content = path.read_bytes()
        size = int.from_bytes(content[:8], "little")
        head = damage.dumped(damage.of_json(random, json.loads(content[8 : 8 + size])))
        path.write_bytes(len(head).to_bytes(8, "little") + head + content[8 + size :])
    else:
        path.write_bytes(damage.of_bytes(random, path.read_bytes()))


def ledger(random: Random, folder: Path) -> None:
    path = folder / "ledger" / "_fetch" / "ledger.sqlite"
    if random.random() < 0.2:
        damage.of_file(random, path)
    else:
        path.write_bytes(damage.of_bytes(random, path.read_bytes()))


TARGETS: dict[str, tuple[Damage, tuple[str, ...]]] = {
    "manifest": (manifest, DATASET_CALLS),
    "takedowns": (carried, READS[7:9]),
    "tables": (tables, DATASET_CALLS),
    "tars": (tars, READS),
    "members": (members, READS),
    "files": (files, DATASET_CALLS),
    "edition": (
        edition,
        ("rehydrate {0}/edition --corpora {0}/corpora --out {0}/out", "diff {0}/data {0}/edition"),
    ),
    "recipe": (text("recipe.toml"), ("build {0}/recipe.toml --corpora {0}/corpora --out {0}/out",)),
    "label map": (
        text("map.csv"),
        ("review import {0}/proposals.csv --queue {0}/out.sqlite --map {0}/map.csv",),
    ),
    "label map's page": (
        text("map.toml"),
        ("review import {0}/proposals.csv --queue {0}/out.sqlite --map {0}/map.csv",),
    ),
    "proposals": (text("proposals.csv"), ("review import {0}/proposals.csv --queue {0}/out.sqlite",)),
    "checkpoint": (
        checkpoint,
        (
            "train eval {0}/run --data {0}/data --out {0}/out.json",
            "train convert {0}/weights.pth {0}/out.safetensors",
            "train convert {0}/weights.safetensors {0}/out.pth",
            "train fit tiny --data {0}/data --out {0}/run train.epochs=1 model.image_size=64 train.batch_size=2",
        ),
    ),
    "ledger": (
        ledger,
        (
            "fetch ledger --corpora {0}/ledger",
            "fetch retry {0}/recipe.toml --corpora {0}/ledger --cause timeout",
        ),
    ),
}


IMPORTED = (
    *(
        f"pipelines.commands.{name}"
        for name in (
            "browse",
            "build",
            "diff",
            "explain",
            "export",
            "judge.draw",
            "publish",
            "stats",
            "verify",
        )
    ),
    *(
        "pipelines.commands.takedown",
        "pipelines.commands.rehydrate",
        "pipelines.commands.review",
        "pipelines.stats",
    ),
    *(
        "pipelines.build.run",
        "pipelines.publish.release",
        "pipelines.publish.rehydrate",
        "pipelines.publish.exports",
    ),
    *("pipelines.publish.explain", "pipelines.review.intake", "pipelines.fetch.run"),
    *("pipelines.browse.app", "pipelines.browse.export", "pipelines.judge.intake"),
    *(
        "avs_train.loop",
        "avs_train.robustness",
        "avs_train.report",
        "avs_train.conversion",
        "avs_train.commands.eval",
    ),
)


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for name in IMPORTED:  # so that no trial does
        importlib.import_module(name)
    root = tmp_path_factory.mktemp("right")
    trial.aside(lambda: world.make(root))
    return root


@pytest.mark.parametrize("name", TARGETS)
def test_damaged(name: str, right: Path, tmp_path: Path) -> None:
    change, calls = TARGETS[name]
    wrong = []
    for number in range(FIRST, FIRST + TRIALS):
        random = Random(f"{SEED} {name} {number}")
        folder = tmp_path / str(number) / "inside"
        shutil.copytree(right, folder, symlinks=True)
        (folder / "corpora").mkdir()
        call = random.choice(calls)
        trial.aside(partial(change, random, folder))
        before = dict(_listed(tmp_path))
        ended = trial.run(partial(_command, call.format(folder).split()), folder)
        fault = ended.fault or _escaped(before, dict(_listed(tmp_path)), folder)
        if fault:
            wrong.append(f"FUZZ_SEED={SEED} FUZZ_FIRST={number}: {call}: {fault}")
        shutil.rmtree(folder.parent)
    assert not wrong, "\n".join(["", *wrong])


def _command(words: list[str]) -> None:
    if words[0] == "train":
        train_cli.main(words[1:])
    else:
        data_cli.main(words)


def _listed(root: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        yield str(path.relative_to(root)), (status.st_size, status.st_mtime_ns if path.is_file() else 0)


def _escaped(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]], folder: Path) -> str:
    """What a call wrote elsewhere than to where it was told."""
    if any(Path("/tmp").glob("avs-fuzz-escape*")):
        return "wrote to an absolute name"
    inside = f"{folder.parent.name}/{folder.name}/"
    mine = tuple(
        inside + name for name in ("out", "run", "stderr", "ledger", "avs-data", "tmp", "avs-", "runs")
    )
    strange = [name for name in after if after[name] != before.get(name) and not name.startswith(mine)]
    strange += [name for name in before if name not in after]
    return f"changed {strange[:3]}" if strange else ""
