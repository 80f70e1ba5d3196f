"""Where versions go: a folder, S3, GCS or any other store that fsspec reaches.

TARGET/VERSION/ holds a complete dataset; TARGET/latest.json names the newest one.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pipelines.publish.edition import PUBLICATION, Publication, PublishError, parse
from pipelines.publish.version import Version, VersionError
from shards import format, storage, unfinished
from shards.errors import StorageError, of_a_store

_NOT_DONE = "{} did not take or give a file ({}). What is there stays good: run the same command to resume"


class Target:
    """The files below one URL; every path is relative to it. Listings are always fresh.

    Raises (every method):
        PublishError: the store refuses or does not answer.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        with self._explained():
            self._fs, root = storage.filesystem(self.url)
        self._root = root.rstrip("/")
        self._local = storage.is_local(self.url)

    def create(self, path: str, content: bytes) -> bool:
        """Write a small file unless there is one of that name (False). One of many writers gets True."""
        with self._explained():
            return storage.create(self._of(path), content)

    def write(self, path: str, content: bytes) -> None:
        """Write or replace a file in one step."""
        with self._explained():
            storage.write_atomic(self._of(path), content)

    def put(self, source: str, path: str) -> None:
        """Upload a file from a path or URL; in parts when it is large."""
        with self._explained():
            if self._local or not storage.is_local(source):
                with storage.open_read(source) as read, storage.open_atomic(self._of(path)) as file:
                    shutil.copyfileobj(read, file, storage.CHUNK)
            else:
                self._fs.put_file(storage.local_path(source), self._at(path))

    def copy(self, source: str, path: str) -> None:
        """A file of the target under a second name, without sending its bytes."""
        with self._explained():
            if self._local:
                storage.link(self._of(source), self._of(path))
            else:
                self._fs.cp_file(self._at(source), self._at(path))

    def read(self, path: str) -> bytes | None:
        """A file's bytes; None where there is none."""
        with self._explained():
            try:
                return self._fs.cat_file(self._at(path))
            except FileNotFoundError:
                return None

    def sha256(self, path: str) -> str | None:
        """The hash of what a reader gets; None where there is no such file."""
        with self._explained():
            try:
                return storage.sha256(self._of(path))
            except FileNotFoundError:
                return None

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of every file below a folder, by path below the target."""
        with self._explained():
            self._fs.invalidate_cache()
            found = self._fs.find(self._at(folder), detail=True)
            names = {os.path.relpath(name, self._root): int(info["size"]) for name, info in found.items()}
            return {name: size for name, size in names.items() if not unfinished.litter(name)}

    def remove(self, path: str) -> None:
        with self._explained(), suppress(FileNotFoundError):
            self._fs.rm_file(self._at(path))

    def abort_uploads(self, folder: str) -> int:
        """End uploads in parts that a killed publisher left below a folder (S3 keeps, and bills, their parts)."""
        if not hasattr(self._fs, "list_multipart_uploads"):
            return 0
        bucket, _, prefix = self._at(folder).partition("/")
        with self._explained():
            left = [
                upload
                for upload in self._fs.list_multipart_uploads(bucket) or []
                if upload["Key"].startswith(prefix + "/")
            ]
            for upload in left:
                self._fs.call_s3(
                    "abort_multipart_upload", Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                )
        return len(left)

    def versions(self) -> list[Version]:
        """Published versions, oldest first."""
        found = []
        with self._explained():
            self._fs.invalidate_cache()
            try:
                entries = self._fs.ls(self._root, detail=False)
            except FileNotFoundError:
                entries = []
        for entry in entries:
            with suppress(VersionError):
                found.append(Version.parse(entry.rstrip("/").rsplit("/", 1)[-1]))
        return sorted(version for version in found if self.read(f"{version}/{PUBLICATION}") is not None)

    def publication(self, version: Version) -> Publication | None:
        content = self.read(f"{version}/{PUBLICATION}")
        return None if content is None else parse(content, f"{self.url}/{version}/{PUBLICATION}")

    def version_url(self, version: Version) -> str:
        return f"{self.url}/{version}"

    def latest(self) -> str | None:
        """The version that the pointer names; None where there is no pointer, or a damaged one."""
        try:
            return str(json.loads(self.read(format.LATEST) or b"")["version"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return None

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def _of(self, path: str) -> str:
        return storage.join(self.url, path)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (ImportError, ValueError) as error:
            raise PublishError(f"cannot reach {self.url}: {error}") from error
        except (PermissionError, StorageError) as error:
            if not _is_refusal(error):
                raise PublishError(_NOT_DONE.format(self.url, _text(error))) from error
            raise PublishError(
                f"{self.url} refuses: {_text(error)}. Check the credentials (for S3 AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE) and that they may list, read and write there"
            ) from error
        except FileNotFoundError as error:
            raise PublishError(f"{self.url}: {_text(error)}. Create the bucket or folder first") from error
        except Exception as error:
            if not of_a_store(type(error)):
                raise
            told = f"{type(error).__name__}: {_text(error)}"
            raise PublishError(_NOT_DONE.format(self.url, told)) from error


def _is_refusal(error: BaseException | None) -> bool:
    """Whether a store's answer, under whatever wraps it, is that it does not let this user in."""
    while error is not None:
        answer = getattr(error, "response", None)
        status = (
            answer.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(answer, dict) else None
        )
        if isinstance(error, PermissionError) or status in (401, 403):
            return True
        error = error.__cause__
    return False


def _text(error: Any) -> str:
    return str(getattr(error, "strerror", None) or error).strip().rstrip(".")
