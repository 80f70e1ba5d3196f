"""Publishing to a real S3 server: complete, immutable, resumed after a crash, one publisher at a time."""

import json
import os
from pathlib import Path

import fsspec
import pytest
import s3_server
import s3fs

from pipelines.publish import edition, upload
from pipelines.publish.edition import PublishError
from pipelines.publish.release import Options, Report, publish
from pipelines.publish.target import Target
from pipelines.publish.version import Version
from shards import storage
from shards.reader import Dataset
from shards.verify import verify

pytestmark = s3_server.needed
URL = f"s3://{s3_server.BUCKET}/avs"


def go(dataset: str, version: str, progress=lambda *_: None, to: str = URL) -> Report:
    return publish(dataset, Options(Version.parse(version), to), progress)


def test_a_version_is_whole_for_its_readers_and_never_changes(
    dataset: str, s3: s3_server.S3Server, tmp_path: Path
) -> None:
    first = go(dataset, "1.0.0")
    assert (first.state, first.sent.reused, first.sent.present) == ("published", 0, 0)
    assert first.sent.uploaded == first.publication.bytes
    assert verify(f"{URL}/1.0.0") == []
    there = list(Dataset(f"{URL}/1.0.0").samples())
    here = list(Dataset(dataset).samples())
    assert there == here
    fs, root = fsspec.url_to_fs(URL)
    assert json.loads(fs.cat_file(f"{root}/latest.json")) == {"version": "1.0.0"}
    listed = {file.path for file in first.publication.files} | {"publication.json"}
    assert {path.split("1.0.0/")[1] for path in fs.find(f"{root}/1.0.0")} == listed

    before = {path: info["LastModified"] for path, info in fs.find(root, detail=True).items()}
    assert go(dataset, "1.0.0").state == "unchanged"
    fs.invalidate_cache()
    assert {path: info["LastModified"] for path, info in fs.find(root, detail=True).items()} == before

    second = go(dataset, "1.1.0")  # the same shards under another number: only documents are sent
    assert second.sent.reused >= sum(entry.bytes for entry in Dataset(dataset).manifest.shards)
    assert second.sent.uploaded < 0.05 * second.publication.bytes
    with pytest.raises(PublishError, match="would go backwards"):
        go(dataset, "1.0.5")


def test_a_killed_server_costs_only_what_was_missing(
    dataset: str, s3: s3_server.S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()

    def crash(what: str, done: int, total: int) -> None:
        if what == "Uploading" and done:
            s3.kill()

    with pytest.raises(PublishError, match="run the same command to resume"):
        go(dataset, "1.0.0", crash)
    s3.start()
    assert Target(URL).versions() == []
    assert Target(URL).latest() is None
    again = go(dataset, "1.0.0")
    assert again.state == "published"
    assert again.sent.present > 0
    assert again.sent.uploaded + again.sent.present == again.publication.bytes
    assert verify(f"{URL}/1.0.0") == []


def test_large_files_go_in_parts_and_parts_of_a_dead_upload_are_removed(
    s3: s3_server.S3Server, tmp_path: Path
) -> None:
    target, fs = Target(URL), s3fs.S3FileSystem()
    key = "avs/1.0.0/train/train-000000.tar"
    left = fs.call_s3("create_multipart_upload", Bucket=s3_server.BUCKET, Key=key)
    fs.call_s3(
        "upload_part",
        Bucket=s3_server.BUCKET,
        Key=key,
        UploadId=left["UploadId"],
        PartNumber=1,
        Body=b"x" * 100,
    )
    other = fs.call_s3("create_multipart_upload", Bucket=s3_server.BUCKET, Key="elsewhere/file")
    assert target.abort_uploads("1.0.0") == 1
    assert [upload["UploadId"] for upload in fs.list_multipart_uploads(s3_server.BUCKET)] == [
        other["UploadId"]
    ]

    large = tmp_path / "large.tar"
    large.write_bytes(os.urandom(1 << 20) * 120)
    target.put(str(large), "1.0.0/large.tar")
    assert fs.info(f"{s3_server.BUCKET}/avs/1.0.0/large.tar")["ETag"].strip('"').endswith("-3")  # three parts
    assert target.sha256("1.0.0/large.tar") == storage.sha256(str(large))


def test_what_was_left_with_other_bytes_is_sent_again(dataset: str, s3: s3_server.S3Server) -> None:
    """A file of the right size from an interrupted publish of something else is found by reading it."""
    entry = Dataset(dataset).manifest.shards[0]
    target = Target(URL)
    target.write(upload._begun("1.0.0"), b"{}")
    target.write(f"1.0.0/{entry.path}", bytes(entry.bytes))
    target.write("1.0.0/train/train-000099.tar", b"left over")
    report = go(dataset, "1.0.0")
    assert report.sent.uploaded == report.publication.bytes
    assert verify(f"{URL}/1.0.0") == []


def test_wrong_credentials_and_a_read_only_store_are_told(
    dataset: str, s3: s3_server.S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(PublishError, match="AWS_ACCESS_KEY_ID"):
        go(dataset, "1.0.0")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.SECRET)
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(PublishError, match="Create the bucket"):
        go(dataset, "1.0.0", to="s3://there-is-none/avs")
    s3.kill()
    s3.start("--readonly")
    with pytest.raises(PublishError, match="refuses"):
        go(dataset, "1.0.0")
    assert list((s3.folder / "data" / s3_server.BUCKET).rglob("*.*")) == []  # nothing was written


def test_the_seal_is_set_once(s3: s3_server.S3Server) -> None:
    one = edition.Publication("avs", "1.0.0", None, "a", edition.Profile(), ())
    other = edition.Publication("avs", "1.0.0", None, "b", edition.Profile(), ())
    upload.seal(Target(URL), one)
    upload.seal(Target(URL), one)
    with pytest.raises(PublishError, match="published by another process"):
        upload.seal(Target(URL), other)
