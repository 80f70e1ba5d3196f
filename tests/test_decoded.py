"""Photos that fetch has decoded are not decoded again; whatever else lies under their names is."""

import hashlib
import shutil
import sqlite3
from pathlib import Path

import fetched
import numpy as np
import pytest

from pipelines.build import run
from pipelines.build.decoded import Decoded
from pipelines.fetch import ledger
from pipelines.fetch.causes import Failure
from pipelines.fetch.ledger import Ledger
from pipelines.fetch.photos import PhotoRules, check
from pipelines.media import images
from pipelines.recipes import recipe
from shards import storage
from shards.reader import Dataset
from shards.rejections import Reason


def note(corpora: Path, **photos: object) -> set[bytes]:
    """Have fetch find the good photos of a folder and write its ledger; their digests."""
    paths = [path.relative_to(corpora).as_posix() for path in corpora.rglob("*.jpg") if is_good(path)]
    fetched.find(corpora, paths, min_side_px=8, **photos)
    with Ledger(str(corpora)) as kept:  # which checks the database
        assert all(row.ok for row in kept.latest().values())
        assert len(kept.latest()) == len(paths)
    return {hashlib.sha256((corpora / path).read_bytes()).digest() for path in paths}


def is_good(photo: Path) -> bool:
    try:
        check(photo.read_bytes(), "", PhotoRules(min_side_px=8))
    except Failure:
        return False
    return True


def build(corpora: Path, out: Path) -> dict[str, str]:
    """The hash of every file of the dataset."""
    run.build(recipe.load("demo"), run.BuildOptions(str(corpora), str(out)))
    found = [path for path in out.rglob("*") if path.is_file() and ".work" not in path.parts]
    return {str(path.relative_to(out)): storage.sha256(str(path)) for path in found}


def test_what_fetch_has_decoded(
    corpora: str, dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "corpora"
    shutil.copytree(corpora, here)
    decoded = {digest.hex() for digest in note(here)}
    shown, seen = images.shown, set[str]()

    def watched(content: bytes, target: tuple[int, int]) -> object:
        seen.add(hashlib.sha256(content).hexdigest())
        return shown(content, target)

    monkeypatch.setattr(images, "shown", watched)
    made = build(here, tmp_path / "out")
    assert not seen & decoded
    assert made == {name: storage.sha256(f"{dataset}/{name}") for name in made}

    rows = Dataset(str(tmp_path / "out")).table(columns=["image_id", "jpg_sha256"]).to_pylist()
    used = {row["jpg_sha256"]: row["image_id"] for row in rows}
    photo = next(path for path in sorted(here.rglob("*.jpg")) if storage.sha256(str(path)) in used)
    image_id = used[storage.sha256(str(photo))]
    cut = photo.read_bytes()[:-400] + b"\xff\xd9"
    photo.write_bytes(cut)
    build(here, tmp_path / "other")
    assert hashlib.sha256(cut).hexdigest() in seen
    assert not seen & decoded
    other = Dataset(str(tmp_path / "other"))
    assert image_id not in other.table(columns=["image_id"])["image_id"].to_pylist()
    assert Reason.IMAGE_UNREADABLE in other.table("rejections.parquet")["reason"].to_pylist()


def test_only_what_this_check_has_decoded_is_listed(
    corpora: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ledger.decoded(str(tmp_path), images.DECODER) == []
    for decode, name in ((True, "decoded"), (False, "headers")):
        here = tmp_path / name
        shutil.copytree(corpora, here)
        good = note(here, decode=decode)
        assert good
        assert ledger.decoded(str(here), images.DECODER) == (sorted(good) if decode else [])
        assert ledger.decoded(str(here), "an earlier check") == []
    (tmp_path / "decoded" / "_fetch" / "ledger.sqlite").write_bytes(b"damaged " * 4096)
    assert ledger.decoded(str(tmp_path / "decoded"), images.DECODER) == []

    def refuse(*_: object, **__: object) -> sqlite3.Connection:
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(sqlite3, "connect", refuse)  # as somebody else's, which this user may not read
    assert ledger.decoded(str(tmp_path / "headers"), images.DECODER) == []


def test_hashes_are_found_as_in_a_set() -> None:
    chance = np.random.default_rng(1)
    digests = [chance.bytes(32) for _ in range(2_000)]
    digests += [bytes(9) + chance.bytes(3) + bytes(20), chance.bytes(8) + bytes(24), bytes(32)]
    listed = sorted(digests[::2])
    known = Decoded(b"".join(digest[:16] for digest in listed))
    for digest in digests:
        assert known.has("photo", digest.hex()) == (digest in listed)
    known.add("photo", digests[1].hex())
    assert known.has("photo", digests[1].hex())
    assert not known.has("another", digests[1].hex())
    assert not Decoded().has("photo", digests[0].hex())
