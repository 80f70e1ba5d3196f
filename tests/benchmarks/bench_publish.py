#!/usr/bin/env python3
"""The life of a dataset on a real S3 server, then publishing timed against plain uploads of the same bytes.

The story: build and publish 1.0.0; add two categories and lose one clip, build and publish 1.1.0; take a video down,
publish 1.1.1; publish a reference edition and rehydrate it; read it back with all three loaders. Each step is checked.

The times: `avs-data publish` without and with its verify and re-read, against `s3fs.put`, `aws s3 sync` (where an `aws`
command is given) and, on a stand-in of the Hub's endpoints on this machine, `huggingface_hub.upload_folder`.

    python tests/benchmarks/bench_publish.py --corpora CORPORA --work FOLDER [--aws PATH/aws] [--held-out CSV]...
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import hub_server
import s3_server

SOME = ["airplane", "bird", "car", "cat", "computer_keyboard", "dog", "person", "toilet", "train"]
MORE = [*SOME, "computer_mouse", "horse"]


def story(options: argparse.Namespace, server: s3_server.S3Server) -> Path:
    """Run the story; gives the folder of 1.1.0."""
    from pipelines.build import run
    from pipelines.publish import takedown
    from pipelines.publish.edition import Profile
    from pipelines.publish.rehydrate import rehydrate
    from pipelines.recipes import recipe
    from shards import storage
    from shards.reader import Dataset
    from shards.verify import verify

    url, work = f"s3://{s3_server.BUCKET}/avs", Path(options.work)
    text = recipe.load("avs_synthetic").text
    text = text.replace("samples_per_shard = 1000", "samples_per_shard = 10\nclips_per_shard = 10")
    corpora = work / "corpora"
    shutil.copytree(options.corpora, corpora)

    def build(name: str, categories: list[str], base: str = "") -> str:
        written = text.replace('map = "avs"', f'map = "avs"\ncategories = {json.dumps(categories)}')
        out = str(work / name)
        loaded = recipe.parse(recipe.tomllib.loads(written), written, name)
        run.build(loaded, run.BuildOptions(str(corpora), out, base=base))
        return out

    def show(report: object) -> None:
        sent, diff = report.sent, report.diff
        told = f"{sent.uploaded:,} bytes uploaded, {sent.reused:,} reused"
        changes = (
            "; ".join(f"{n} {kind} ({cause})" for (kind, cause), n in diff.causes().items()) if diff else ""
        )
        shards = f"; {diff.shards_same} shards the same, {diff.shards_changed} not" if diff else ""
        print(f"- {report.publication.version}: {told}{shards}{'; ' if changes else ''}{changes}")

    one = build("1.0.0", SOME)
    show(publish(one, "1.0.0", url, options))
    clip = Dataset(one).table().to_pylist()[0]["clip_id"]
    for media in (corpora / "vggsound" / "clips").glob(clip.split(":", 1)[1] + ".*"):
        media.unlink()
    two = build("1.1.0", MORE, base=f"{url}/1.0.0")
    report = publish(two, "1.1.0", url, options)
    show(report)
    assert report.diff.shards_changed <= len(report.diff.changes) + len(report.diff.clips_added) + len(
        report.diff.clips_removed
    )
    video = Dataset(two).table().to_pylist()[-1]["video_id"]
    takedown.takedown(Dataset(f"{url}/1.1.0"), str(work / "1.1.1"), [], [video], "its owner asked")
    show(publish(str(work / "1.1.1"), "1.1.1", url, options))
    for version in ("1.0.0", "1.1.0", "1.1.1"):
        assert verify(f"{url}/{version}") == [], version
    publish(two, "1.1.0", f"s3://{s3_server.BUCKET}/reference", options, Profile((), ("audio",)))
    again = work / "rehydrated"
    assert (
        rehydrate(f"s3://{s3_server.BUCKET}/reference/1.1.0", str(corpora), str(again), lambda *_: None) == []
    )
    entries = (*Dataset(two).manifest.shards, *Dataset(two).manifest.pool_shards)
    names = [entry.path for entry in entries] + ["manifest.json", *Dataset(two).manifest.tables]
    assert all(storage.sha256(f"{two}/{name}") == storage.sha256(f"{again}/{name}") for name in names)
    print(f"- rehydrated: {len(names)} files, every byte as in 1.1.0")
    print(f"- read from {url}/1.1.1: {', '.join(load(url + '/1.1.1', work / 'copy'))}")
    return Path(two)


def load(url: str, folder: Path) -> list[str]:
    """Samples of train that each loader finds in a version on S3: ours there, the others in a copy (see the card)."""
    import fsspec
    import webdataset
    from datasets import Features, Value, load_dataset

    from shards.reader import Dataset

    fs, root = fsspec.url_to_fs(url)
    fs.get(f"{root}/train/", f"{folder}/train/", recursive=True)
    ours = [sample.key for sample in Dataset(url).samples("train")]
    files = {"train": f"{folder}/train/*.tar"}
    stream = load_dataset("webdataset", data_files=files, split="train", streaming=True)
    plain = Features({**stream.features, "flac": Value("binary")})  # decoding sound needs torchcodec there
    stream = load_dataset("webdataset", data_files=files, split="train", streaming=True, features=plain)
    theirs = [row["__key__"] for row in stream]
    shards = sorted(str(path) for path in (folder / "train").glob("*.tar"))
    others = [row["__key__"] for row in webdataset.WebDataset(shards, shardshuffle=False)]
    assert sorted(ours) == sorted(theirs) == sorted(others)
    found = (("our reader", ours), ("datasets", theirs), ("webdataset", others))
    return [f"{len(keys)} with {name}" for name, keys in found]


def publish(
    dataset: str, version: str, to: str, options: argparse.Namespace, profile: object = None
) -> object:
    from pipelines.publish import release
    from pipelines.publish.edition import Profile
    from pipelines.publish.version import Version

    asked = release.Options(
        Version.parse(version), to, profile or Profile(), held_out=tuple(options.held_out)
    )
    return release.publish(dataset, asked, lambda *_: None)


def times(dataset: Path, options: argparse.Namespace) -> list[tuple[str, list[float]]]:
    """Seconds per way to bring the bytes of `dataset` (a published version's folder) to S3, several runs each."""
    import s3fs

    from pipelines.publish import upload
    from pipelines.publish.edition import parse
    from pipelines.publish.target import Target

    publication = parse((dataset / "publication.json").read_bytes(), str(dataset))
    files = tuple(
        type(file)(file.path, file.bytes, file.sha256, str(dataset / file.path)) for file in publication.files
    )
    sealed = type(publication)(**{**vars(publication), "files": files})

    def ours(run: int) -> None:
        upload.upload(Target(f"s3://{s3_server.BUCKET}/ours-{run}"), sealed, None, lambda *_: None)

    def sent_alone(run: int) -> None:
        target = Target(f"s3://{s3_server.BUCKET}/alone-{run}")
        upload._each(list(files), lambda file: upload.send(target, "1.0.0", file), "", lambda *_: None)

    def s3fs_put(run: int) -> None:
        s3fs.S3FileSystem().put(f"{dataset}/", f"{s3_server.BUCKET}/put-{run}/", recursive=True)

    def s3fs_put_and_read(run: int) -> None:
        s3fs_put(run + 100)
        fs = s3fs.S3FileSystem()
        for path in fs.find(f"{s3_server.BUCKET}/put-{run + 100}"):
            fs.cat_file(path)

    def aws(run: int) -> None:
        command = [
            options.aws,
            "s3",
            "sync",
            str(dataset),
            f"s3://{s3_server.BUCKET}/aws-{run}",
            "--only-show-errors",
        ]
        subprocess.run(command, check=True)

    ways: list[tuple[str, Callable[[int], None]]] = [
        ("our upload alone", sent_alone),
        ("our upload, all read again and hashed", ours),
        ("s3fs.put", s3fs_put),
        ("s3fs.put, all read again", s3fs_put_and_read),
    ]
    if options.aws:
        ways.append(("aws s3 sync", aws))
    return measured(ways, options.runs)


def hub_times(
    dataset: Path, options: argparse.Namespace, hub: hub_server.HubServer
) -> list[tuple[str, list[float]]]:
    """The same for the Hub, on a stand-in: one process for both, so the client's share is what differs."""
    from huggingface_hub import HfApi

    from pipelines.publish.edition import parse
    from pipelines.publish.hub import Hub

    publication = parse((dataset / "publication.json").read_bytes(), str(dataset))
    files = tuple(
        type(file)(file.path, file.bytes, file.sha256, str(dataset / file.path)) for file in publication.files
    )
    sealed = type(publication)(**{**vars(publication), "files": files})

    def ours(run: int) -> None:
        hub.objects.clear()
        Hub(f"hf://datasets/ours/run-{run}").publish(sealed, None, lambda *_: None)

    def theirs(run: int) -> None:
        hub.objects.clear()
        api = HfApi()
        api.create_repo(f"theirs/run-{run}", repo_type="dataset")
        api.upload_folder(repo_id=f"theirs/run-{run}", folder_path=str(dataset), repo_type="dataset")

    def theirs_and_read(run: int) -> None:
        theirs(run + 100)
        copy = Path(options.work) / f"hub-{run}"
        HfApi().snapshot_download(f"theirs/run-{run + 100}", repo_type="dataset", local_dir=copy)

    ways: list[tuple[str, Callable[[int], None]]] = [
        ("our publish to the Hub, all read again and hashed", ours),
        ("upload_folder", theirs),
        ("upload_folder, snapshot_download", theirs_and_read),
    ]
    return measured(ways, options.runs)


def measured(ways: list[tuple[str, Callable[[int], None]]], runs: int) -> list[tuple[str, list[float]]]:
    seconds: dict[str, list[float]] = {name: [] for name, _ in ways}
    for run in range(runs):
        for name, way in ways:
            start = time.perf_counter()
            way(run)
            seconds[name].append(time.perf_counter() - start)
    return list(seconds.items())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpora", required=True, help="small corpora in the official layouts")
    parser.add_argument("--work", required=True, help="a new folder for datasets and the server's files")
    parser.add_argument("--held-out", action="append", default=[], help="lists that the recipe names")
    parser.add_argument("--aws", default=shutil.which("aws"), help="the AWS command line, for comparison")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    server = s3_server.S3Server(Path(options.work) / "s3")
    hub = hub_server.HubServer()
    os.environ |= server.environment
    os.environ |= {"HF_ENDPOINT": hub.url, "HF_TOKEN": hub.token, "HF_HUB_DISABLE_XET": "1"}  # read at import
    server.start()
    try:
        print("## The story\n")
        two = story(options, server)
        local = Path(options.work) / "local"
        publish(str(two), "1.0.0", str(local), options)
        edition = local / "1.0.0"
        size = sum(path.stat().st_size for path in edition.rglob("*") if path.is_file())
        number = sum(path.is_file() for path in edition.rglob("*"))
        print(f"\n## The times: {number} files, {size:,} bytes, median of {options.runs} runs\n")
        print("| way | s | MB/s |\n|---|---:|---:|")
        for name, seconds in [*times(edition, options), *hub_times(edition, options, hub)]:
            middle = statistics.median(seconds)
            print(f"| {name} | {middle:.2f} | {size / middle / 1e6:.0f} |")
    finally:
        server.kill()


if __name__ == "__main__":
    main()
