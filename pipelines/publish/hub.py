"""Versions on the Hugging Face Hub: one commit and one tag each; what the repository has already is not sent."""

import hashlib
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipelines.publish.edition import PUBLICATION, File, Publication, PublishError, by_path, dump, parse
from pipelines.publish.upload import Progress, Sent
from pipelines.publish.version import Version, VersionError
from shards import storage

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

_PREFIX = "hf://datasets/"
_WORKERS = 8
_GROUP_BYTES = 1 << 30


class Hub:
    """A dataset repository. `main` holds the newest version's files, the tag VERSION those of each.

    A version is published when its tag is there. The tag is set after everything has been read again.

    Args:
        url: hf://datasets/ORG/NAME.

    Raises (every method):
        PublishError: the Hub refuses or does not answer.
    """

    def __init__(self, url: str) -> None:
        from huggingface_hub import HfApi, HfFileSystem
        from huggingface_hub.utils import disable_progress_bars

        disable_progress_bars()  # a bar a file; `progress` tells of all of them
        self.url = url.rstrip("/")
        self._repo = self.url.removeprefix(_PREFIX)
        if not self.url.startswith(_PREFIX) or self._repo.count("/") != 1 or "@" in self._repo:
            raise PublishError(f"{url} names no dataset repository: write hf://datasets/ORG/NAME")
        self._api = HfApi()
        self._files = HfFileSystem(skip_instance_cache=True, use_listings_cache=False)

    def versions(self) -> list[Version]:
        """Published versions, oldest first."""
        from huggingface_hub.errors import RepositoryNotFoundError

        found = []
        with self._explained():
            try:
                tags = self._api.list_repo_refs(self._repo, repo_type="dataset").tags
            except RepositoryNotFoundError:
                return []
        for tag in tags:
            try:
                found.append(Version.parse(tag.name))
            except VersionError:
                continue  # a tag of something else
        return sorted(found)

    def publication(self, version: Version) -> Publication | None:
        return self._publication(str(version))

    def version_url(self, version: Version) -> str:
        return f"{self.url}@{version}"

    def publish(self, publication: Publication, previous: Publication | None, progress: Progress) -> Sent:
        """Commit the files that differ from `main`, read all of them again, set the tag."""
        from huggingface_hub.errors import HfHubHTTPError

        with self._explained():
            self._api.create_repo(self._repo, repo_type="dataset", exist_ok=True)
            head = self._api.repo_info(self._repo, repo_type="dataset").sha
        there = self._publication("main")
        if there is not None and there.version not in {publication.version, publication.previous}:
            raise PublishError(
                f"{self.url} is being published to, version {there.version}: wait for its tag, then run this again"
            )
        sealed = File.of(PUBLICATION, dump(publication))
        known = by_path(there.files) if there else {}
        send = [
            file
            for file in publication.files
            if file.path not in known or known[file.path].sha256 != file.sha256
        ]
        if there is None or dump(there) != sealed.source:
            add = self._additions([*send, sealed], progress)
            gone = sorted(set(known) - set(by_path(publication.files)))
            with self._explained():
                try:
                    commit = self._api.create_commit(
                        self._repo,
                        [*add, *self._deletions(gone)],
                        repo_type="dataset",
                        commit_message=f"Version {publication.version}",
                        parent_commit=head,
                    )
                except HfHubHTTPError as error:
                    if error.response is not None and error.response.status_code == 412:
                        raise PublishError(
                            f"another publisher changed {self.url} meanwhile: run the same command to see what it made"
                        ) from error
                    raise
            head = commit.oid
        self._check(publication, str(head), progress)
        with self._explained():
            self._api.create_tag(self._repo, tag=publication.version, revision=head, repo_type="dataset")
        sent = sum(file.bytes for file in send)
        return Sent(sent, publication.bytes - sent, 0)

    def _additions(self, files: list[File], progress: Progress) -> "list[CommitOperationAdd]":
        """Operations whose large files are on the Hub already; those that it had before are not sent."""
        from huggingface_hub import CommitOperationAdd

        done, total = 0, sum(file.bytes for file in files)
        additions = []
        for group in _groups(sorted(files, key=lambda file: -file.bytes)):
            progress("Uploading", done, total)
            with self._explained():
                added = [
                    CommitOperationAdd(path_in_repo=file.path, path_or_fileobj=_source(file))
                    for file in group
                ]
                self._api.preupload_lfs_files(self._repo, added, repo_type="dataset", num_threads=_WORKERS)
            done += sum(file.bytes for file in group)
            additions += added
        progress("Uploading", done, total)
        return additions

    def _deletions(self, paths: list[str]) -> "list[CommitOperationDelete]":
        from huggingface_hub import CommitOperationDelete

        return [CommitOperationDelete(path_in_repo=path) for path in paths]

    def _check(self, publication: Publication, revision: str, progress: Progress) -> None:
        from huggingface_hub import HfFileSystem

        done = 0
        progress("Reading again", 0, publication.bytes)
        files = HfFileSystem(skip_instance_cache=True)  # lists once: a commit never changes
        with self._explained():
            files.find(self._at(revision, "").rstrip("/"))
        with ThreadPoolExecutor(_WORKERS) as pool:
            running = {
                pool.submit(self._sha256, files, revision, file.path): file for file in publication.files
            }
            for future in as_completed(running):
                file = running[future]
                if future.result() != file.sha256:
                    pool.shutdown(cancel_futures=True)
                    raise PublishError(
                        f"{self.url}: {file.path} reads back other bytes than were sent; the tag "
                        f"{publication.version} was not set"
                    )
                done += file.bytes
                progress("Reading again", done, publication.bytes)

    def _sha256(self, files: Any, revision: str, path: str) -> str:
        with self._explained(), files.open(self._at(revision, path), "rb", block_size=storage.CHUNK) as file:
            return hashlib.file_digest(io.BufferedReader(file), "sha256").hexdigest()

    def _publication(self, revision: str) -> Publication | None:
        with self._explained():
            try:
                content = self._files.cat_file(self._at(revision, PUBLICATION))
            except FileNotFoundError:
                return None
        return parse(content, f"{self.url}@{revision}/{PUBLICATION}")

    def _at(self, revision: str, path: str) -> str:
        return f"datasets/{self._repo}@{revision}/{path}"

    @contextmanager
    def _explained(self) -> Iterator[None]:
        from huggingface_hub.errors import HTTPError

        try:
            yield
        except (HTTPError, OSError) as error:
            status = getattr(getattr(error, "response", None), "status_code", None)
            text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            if status in (401, 403) or "token" in text.lower():
                raise PublishError(
                    f"{self.url} refuses ({text}): log in with `hf auth login`, or set HF_TOKEN to a token that "
                    "may write there"
                ) from error
            raise PublishError(
                f"{self.url}: {text}. What is there stays good: run the same command to resume"
            ) from error


def _groups(files: list[File]) -> Iterator[list[File]]:
    """Files sent together: few requests for small ones, progress between large ones."""
    group: list[File] = []
    for file in files:
        group.append(file)
        if sum(one.bytes for one in group) >= _GROUP_BYTES:
            yield group
            group = []
    if group:
        yield group


def _source(file: File) -> Any:
    """What the client takes: bytes, a path, or an open file."""
    if isinstance(file.source, bytes):
        return file.source
    if storage.is_local(file.source):
        return storage.local_path(file.source)
    return io.BufferedReader(storage.open_read(file.source))
