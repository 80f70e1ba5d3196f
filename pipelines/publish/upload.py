"""Bring an edition to a target: send what is missing, copy what an earlier version has, read all of it again."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from pipelines.publish.edition import File, Publication, PublishError, by_path, dump
from pipelines.publish.target import Target
from pipelines.publish.version import Version
from shards import storage

Progress = Callable[[str, int, int], None]  # what is done, bytes done, bytes in all
WORKERS = 8  # files under way at once


@dataclass(frozen=True)
class Sent:
    """Bytes of an edition: sent now, taken from the previous version, there already from an interrupted publish."""

    uploaded: int
    reused: int
    present: int


def upload(
    target: Target, publication: Publication, previous: Publication | None, progress: Progress
) -> Sent:
    """Complete TARGET/VERSION, all but `publication.json`.

    Raises:
        PublishError: the store fails, or holds other bytes than were sent, twice; or the folder of the version has
            files of something else.
    """
    folder = publication.version
    target.abort_uploads(folder)
    storage.sweep_below(target.version_url(Version.parse(folder)))
    there = target.sizes(folder)
    if there and target.read(_begun(folder)) is None:
        raise PublishError(
            f"{target.url}/{folder} holds {len(there)} file(s) that no publication brought ({min(there)}): nothing "
            "was touched; publish under another number or to another target, or remove that folder"
        )
    target.write(_begun(folder), b"{}")
    wanted = {f"{folder}/{file.path}" for file in publication.files}
    for path in sorted(set(there) - wanted):
        target.remove(path)  # of an interrupted publish of something else; no reader was told of it
    known = {file.sha256: f"{previous.version}/{file.path}" for file in previous.files} if previous else {}
    present: list[File] = []
    copies: list[File] = []
    sends: list[File] = []
    for file in publication.files:
        if there.get(f"{folder}/{file.path}") == file.bytes:
            present.append(file)
        else:
            (copies if file.sha256 in known else sends).append(file)
    _each(copies, lambda file: target.copy(known[file.sha256], f"{folder}/{file.path}"), "Reusing", progress)
    _each(sends, lambda file: send(target, folder, file), "Uploading", progress)
    wrong = check(target, publication, progress)
    # a file of the right size may be left from other content, and a copy may be of a damaged one
    _each(wrong, lambda file: send(target, folder, file), "Uploading again", progress)
    bad = [file for file in wrong if target.sha256(f"{folder}/{file.path}") != file.sha256]
    for file in bad:
        if isinstance(file.source, str) and storage.sha256(file.source) != file.sha256:
            raise _changed(file.source)
    if bad:
        raise PublishError(
            f"{target.url}/{folder}/{bad[0].path} reads back other bytes than were sent, and {len(bad) - 1} more: "
            "the store or the way to it is broken; the version is not published"
        )
    again = {file.path for file in wrong}
    return Sent(
        sum(file.bytes for file in (*sends, *wrong)),
        sum(file.bytes for file in copies if file.path not in again),
        sum(file.bytes for file in present if file.path not in again),
    )


def end(target: Target, version: str) -> None:
    """Forget that a publication had begun: it is sealed."""
    target.remove(_begun(version))


def _begun(version: str) -> str:
    """The file that says that what lies in the folder of a version is of a publication that was stopped."""
    return f".publish/begun-{version}.json"


def send(target: Target, folder: str, file: File) -> None:
    if isinstance(file.source, bytes):
        target.write(f"{folder}/{file.path}", file.source)
    elif storage.exists(file.source):
        target.put(file.source, f"{folder}/{file.path}")
    else:
        raise _changed(file.source)


def _changed(source: str) -> PublishError:
    return PublishError(
        f"{source} changed while it was published: nothing is published; run the same command again once nobody writes "
        "to the dataset"
    )


def check(target: Target, publication: Publication, progress: Progress) -> list[File]:
    """Read every file again; those that are missing or differ."""
    wrong = []

    def one(file: File) -> None:
        if target.sha256(f"{publication.version}/{file.path}") != file.sha256:
            wrong.append(file)

    _each(list(publication.files), one, "Reading again", progress)
    return sorted(wrong, key=lambda file: file.path)


def seal(target: Target, publication: Publication) -> None:
    """Publish: from here on the version is there, and never changes.

    Raises:
        PublishError: another publisher sealed it with other content.
    """
    content = dump(publication)
    path = f"{publication.version}/publication.json"
    if not target.create(path, content) and target.read(path) != content:
        raise PublishError(f"{target.url}/{publication.version} was published by another process meanwhile")


def _each(files: list[File], do: Callable[[File], None], what: str, progress: Progress) -> None:
    done, total = 0, sum(file.bytes for file in files)
    if not files:
        return
    progress(what, 0, total)
    sizes = by_path(files)
    with ThreadPoolExecutor(WORKERS) as pool:
        running = {pool.submit(do, file): file.path for file in sorted(files, key=lambda f: -f.bytes)}
        try:
            for future in as_completed(running):
                future.result()
                done += sizes[running[future]].bytes
                progress(what, done, total)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
