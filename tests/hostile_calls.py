"""Calls of every command, and what may be wrong with each value that a person gives."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

# path of the command -> a call that works, as words; `{name}` is a value of the world that goes wrong in turn
CALLS = {
    "avs-data build": "{recipe} --corpora {corpora} --out {out} --held-out {held_out} --base {dataset} --dry-run",
    "avs-data corpora": "",
    "avs-data demo-corpora": "--out {out} --images 1 --clips-per-category 1",
    "avs-data diff": "{dataset} {imported}",
    "avs-data explain": "{dataset} {key}",
    "avs-data export": "{dataset} --format coco --out {out}",
    "avs-data fetch doctor": "{recipe} --corpora {corpora} --cookies {cookies}",
    "avs-data fetch ledger": "--corpora {fetched} --cause {cause}",
    "avs-data fetch plan": "{recipe} --corpora {fetched} --cookies {cookies}",
    "avs-data fetch retry": "{recipe} --corpora {fetched} --cause {cause} --cookies {cookies}",
    "avs-data fetch run": "{recipe} --corpora {fetched} --only annotations --cookies {cookies}",
    "avs-data import": "avsbench {s4} --out {out}",
    "avs-data index": "--corpora {corpora} --out {out}",
    "avs-data judge draw": "{dataset} --queue {judging} --sample 30",
    "avs-data judge estimate": "--queue {judging}",
    "avs-data judge export": "--queue {judging} --out {out}",
    "avs-data judge flags": "--queue {judging} --out {out}",
    "avs-data judge list": "--queue {judging}",
    "avs-data judge serve": "--queue {judging} --host {host}",
    "avs-data match": "--labels {labels} --out {out} --audio {audio}",
    "avs-data plan": "{recipe} --corpora {corpora}",
    "avs-data publish": "{dataset} --version {version} --to {out} --corpora {fetched} --held-out {held_out} "
    "--judgements {judgements} --dry-run",
    "avs-data rehydrate": "{edition} --corpora {corpora} --out {out}",
    "avs-data review accept": "{link} --queue {queue} --reviewer {reviewer} --category {name}",
    "avs-data review agreement": "--queue {queue}",
    "avs-data review apply": "--queue {queue} --map {map} --dry-run",
    "avs-data review defer": "{link} --queue {queue} --reviewer {reviewer}",
    "avs-data review export": "--queue {queue} --out {out}",
    "avs-data review import": "{proposals} --queue {queue} --map {map} --labels {labels} --index {index} --gold {gold}",
    "avs-data review list": "--queue {queue} --map {map} --impact",
    "avs-data review reject": "{link} --queue {queue} --reviewer {reviewer}",
    "avs-data browse": "{dataset} --host {host}",
    "avs-data review serve": "--queue {queue} --map {map} --host {host}",
    "avs-data review show": "{link} --queue {queue} --map {map}",
    "avs-data review undo": "--queue {queue} --reviewer {reviewer} --decision {link}",
    "avs-data stats": "{dataset} --out {out}",
    "avs-data takedown": "{dataset} --image {key} --reason asked --out {out}",
    "avs-data verify": "{dataset}",
    "avs-train convert": "{checkpoint} {weights}",
    "avs-train embed": "{config} {override} --data {generated} --out {table}",
    "avs-train eval": "{run} {override} --data {generated} --out {out}",
    "avs-train fit": "{config} {override} --data {generated} --out {run_out}",
    "avs-train plan-experiments": "--table 7",
    "avs-train predict": "{photo} {sound} {override} --model {run} --out {picture}",
    "avs-train segment": "{recipe} --corpora {corpora} --checkpoint {checkpoint}",
    "avs-train report": "{result} --out {out}",
}

Damage = Callable[[Path, Path], str]  # the right value's path, an empty folder -> a wrong value


def _file(name: str, content: bytes) -> Damage:
    def make(right: Path, folder: Path) -> str:
        path = folder / f"{name}{right.suffix}"
        path.write_bytes(content)
        return str(path)

    return make


def _part(right: Path, folder: Path) -> str:
    """The first half of a file; of a folder a copy whose files are all cut so."""
    target = folder / right.name
    if right.is_dir():
        shutil.copytree(right, target)
        files = [path for path in sorted(target.rglob("*")) if path.is_file()]
    else:
        shutil.copy(right, target)
        files = [target]
    for path in files:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return str(target)


def _spoilt(content: bytes) -> Damage:
    """A folder whose files all hold the same nonsense."""

    def make(right: Path, folder: Path) -> str:
        if not right.is_dir():
            return _file("spoilt", content)(right, folder)
        target = folder / right.name
        shutil.copytree(right, target)
        for path in target.rglob("*"):
            if path.is_file():
                path.write_bytes(content)
        return str(target)

    return make


GARBAGE = np.random.default_rng(0).bytes(3000)
ANYTHING: dict[str, Damage] = {
    "missing": lambda right, folder: str(folder / f"nowhere{right.suffix}"),
    "below a file": lambda right, folder: _file("file", b"text\n")(right, folder) + "/x",
    "empty": _file("empty", b""),
    "garbage": _file("garbage", GARBAGE),
    "latin-1": _file("latin", "nom,café\nà,é\n".encode("latin-1")),
    "utf-16": _file("utf16", "name,text\na,b\n".encode("utf-16")),
    "one word": _file("word", b"hello\n"),
    "unclosed quote": _file("quote", b'a,b\n"c,d\ne,f\n'),
    "json": _file("json", b'{"a": [1, 2]}\n'),
    "deep json": _file("deep", b"[" * 100_000),
    "folder": lambda right, folder: str(folder),
    "folder[red]": lambda right, folder: str(_made(folder / f"c[red]new{right.suffix}")),
    "unknown scheme": lambda right, folder: "nosuch://bucket/x" + right.suffix,
    "nothing": lambda right, folder: "",
    "control": lambda right, folder: "a\x1b[31m\x07b" + right.suffix,
    "cut": _part,
    "spoilt": _spoilt(GARBAGE),
    "emptied": _spoilt(b""),
    "texted": _spoilt("été\n".encode("latin-1")),
}
OUTS = ("below a file", "garbage", "folder", "folder[red]", "unknown scheme", "nothing", "control")
WORDS: dict[str, Damage] = {
    "unknown": lambda right, folder: "nosuch",
    "dash": lambda right, folder: "-3Bn-Nt_8aG4"[:11],
    "nothing": lambda right, folder: "",
    "control": lambda right, folder: "a\x1b[31m\x07b",
    "markup": lambda right, folder: "[red]x[/nope]",
    "number": lambda right, folder: "99999999999999999999",
    "commas": lambda right, folder: ",,",
}


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _manifest(change: Callable[[dict], object]) -> Damage:
    """The manifest changed; of an edition without sounds its own list of files."""

    def make(right: Path, folder: Path) -> str:
        target = folder / "dataset"
        shutil.copytree(right, target)
        path = next(target / name for name in LISTS if (target / name).exists())
        record = json.loads(path.read_text())
        changed = change(record)
        path.write_text(json.dumps(record if changed is None else changed))
        return str(target)

    return make


def _without(pattern: str) -> Damage:
    def make(right: Path, folder: Path) -> str:
        target = folder / "dataset"
        shutil.copytree(right, target)
        for path in target.glob(pattern):
            path.unlink()
        return str(target)

    return make


def _with(name: str, content: bytes) -> Damage:
    def make(right: Path, folder: Path) -> str:
        target = folder / "dataset"
        shutil.copytree(right, target)
        (target / name).write_bytes(content)
        return str(target)

    return make


LISTS = ("manifest.json", "reference/manifest.json", "publication.json")
DATASETS: dict[str, Damage] = {
    "no manifest": _without("**/*.json"),
    "manifest of another format": _manifest(lambda record: record.update(format="other")),
    "manifest is a list": _manifest(lambda record: []),
    "manifest is empty": _manifest(lambda record: {}),
    "manifest lacks shards": _manifest(lambda record: record.pop("shards", None) and None),
    "no samples table": _without("samples.parquet"),
    "samples table is garbage": _with("samples.parquet", GARBAGE),
    "no pool table": _without("pool.parquet"),
    "pool table is garbage": _with("pool.parquet", GARBAGE),
    "no rejections": _without("rejections.parquet"),
    "no shards": _without("*/*.tar"),
}


def damages(name: str) -> Iterator[tuple[str, Damage]]:
    """What may be wrong with the value of that name in the world."""
    if name in ("key", "cause", "audio", "version", "link", "reviewer", "name", "host", "override"):
        yield from WORDS.items()
        return
    if name in ("out", "run_out", "table", "picture", "weights"):  # written: another name is as good
        yield from ((kind, ANYTHING[kind]) for kind in OUTS)
        return
    yield from ANYTHING.items()
    if name in ("dataset", "imported", "edition", "generated"):
        yield from DATASETS.items()
