"""Publish one version: check what is asked for, make the documents, upload, read again, move the pointer."""

import json
import tempfile
from dataclasses import dataclass, field

from pipelines.build.split import held_out_list, read_held_out
from pipelines.judge import quality, results
from pipelines.publish import documents, hub, profiles, takedown, upload
from pipelines.publish.diff import Diff
from pipelines.publish.edition import File, Profile, Publication, PublishError
from pipelines.publish.lock import FOLDER, Lock
from pipelines.publish.target import Target
from pipelines.publish.version import Version
from shards import format, processes, storage
from shards.reader import Dataset
from shards.takedowns import load as taken_down
from shards.verify import REMEDY, verify


@dataclass(frozen=True)
class Options:
    """What `avs-data publish` is asked for."""

    version: Version
    to: str
    profile: Profile = field(default_factory=Profile)
    held_out: tuple[str, ...] = ()  # CSV files of videos that training must not hear
    corpora: str | None = None
    judgements: str = ""  # what `avs-data judge export` wrote; "": what lies beside the dataset
    workers: int = 1
    dry_run: bool = False


@dataclass(frozen=True)
class Report:
    """What became of a publication. `state`: published | unchanged (it was there already) | planned."""

    state: str
    url: str
    publication: Publication
    diff: Diff | None
    sent: upload.Sent


def publish(
    dataset_url: str,
    options: Options,
    progress: upload.Progress,
    pool: processes.Pool = processes.pool,
) -> Report:
    """
    Args:
        pool: where the workers are that verify it.

    Raises:
        DatasetError: no dataset, or nothing of it fits the profile.
        JudgeError: the judgements are those of another version.
        PublishError: refused, or the target failed; the message says what to do.
    """
    dataset = source = Dataset(dataset_url)
    found = results.find(dataset.url, options.judgements)
    target = hub.Hub(options.to) if options.to.startswith("hf://") else Target(options.to)
    _check(dataset, options, progress, pool, deep=options.version not in target.versions())
    with tempfile.TemporaryDirectory(prefix="avs-publish-") as folder:
        if options.profile.licences:
            dataset = profiles.with_licences(
                dataset, options.profile.licences, storage.join(folder, "licensed")
            )
        manifest_sha256 = storage.sha256(storage.join(dataset.url, format.MANIFEST))
        versions = target.versions()
        asked = Publication(
            dataset.manifest.name,
            str(options.version),
            str(versions[-1]) if versions else None,
            manifest_sha256,
            options.profile,
            (),
        )
        known = target.publication(options.version) if options.version in versions else None
        if known:
            _same(known, asked, options)
            if not options.dry_run and isinstance(target, Target):
                _end(target, versions[-1], progress)
            return Report(
                "unchanged", target.version_url(options.version), known, None, upload.Sent(0, 0, known.bytes)
            )
        previous = _previous(target, versions, asked, dataset)
        takedowns = taken_down(dataset_url)
        before = None
        if previous:
            before = documents.Before(previous.version, target.version_url(Version.parse(previous.version)))
            takedowns = tuple(sorted({*takedowns, *taken_down(before.url)}))
        if back := takedown.returned(dataset, takedowns):
            raise PublishError(
                f"brings back what was taken down: {'; '.join(back[:5])}"
                + (f" and {len(back) - 5} more" if len(back) > 5 else "")
                + ". Take it out with `avs-data takedown`, or out of the corpora, and publish that"
            )
        progress("Writing the documents", 0, 0)
        files = _files(dataset, options.profile, storage.join(folder, "reference"))
        made, changed = documents.documents(
            dataset,
            files,
            version=str(options.version),
            url=target.version_url(options.version),
            profile=options.profile,
            before=before,
            takedowns=takedowns,
            corpora=options.corpora,
            checked=[held_out_list(one, one.rsplit("/", 1)[-1]) for one in options.held_out],
            judged=quality.of_edition(found, source, dataset) if found else None,
        )
        publication = Publication(
            asked.name, asked.version, asked.previous, manifest_sha256, options.profile, (*files, *made)
        )
        if options.dry_run:
            return Report(
                "planned",
                target.version_url(options.version),
                publication,
                changed,
                _planned(publication, previous),
            )
        if isinstance(target, hub.Hub):
            sent = target.publish(publication, previous, progress)
        else:
            sent = _upload(target, publication, previous, progress)
    return Report("published", target.version_url(options.version), publication, changed, sent)


def _upload(
    target: Target, publication: Publication, previous: Publication | None, progress: upload.Progress
) -> upload.Sent:
    with Lock(target, publication.version, progress) as lock:
        versions = target.versions()
        if versions and str(versions[-1]) != publication.previous:
            raise PublishError(
                f"{target.url} got version {versions[-1]} meanwhile: run the same command again to see whether "
                f"{publication.version} still fits"
            )
        sent = upload.upload(target, publication, previous, progress)
        lock.check()
        upload.seal(target, publication)
        _point(target, Version.parse(publication.version))
    return sent


def _point(target: Target, version: Version) -> None:
    """Move the pointer to the newest version; the last write of a publication."""
    if target.latest() != str(version):
        target.write(format.LATEST, json.dumps({"version": str(version)}).encode() + b"\n")
    upload.end(target, str(version))


def _end(target: Target, newest: Version, progress: upload.Progress) -> None:
    """Finish what a publisher left that was killed after its seal: the pointer, and its lock."""
    if target.latest() != str(newest) or target.sizes(FOLDER):
        with Lock(target, str(newest), progress):
            _point(target, newest)


def _check(
    dataset: Dataset, options: Options, progress: upload.Progress, pool: processes.Pool, deep: bool
) -> None:
    """Refuse what is damaged or leaks.

    deep: decode all of it. What is published already was decoded then: that it has the same bytes, hashes tell.
    """
    entries = (*dataset.manifest.shards, *dataset.manifest.pool_shards)
    total = sum(entry.bytes for entry in entries)
    unchecked = [entry["list"] for entry in dataset.manifest.held_out if entry["videos"] is None]
    given = {url.rsplit("/", 1)[-1] for url in options.held_out}
    missing = [name for name in unchecked if name.rsplit("/", 1)[-1] not in given]
    if missing:
        raise PublishError(
            f"the build did not find {', '.join(missing)}, so nothing says whether training hears its videos: "
            "give each with --held-out FILE, or build again with it in the corpora folder"
        )
    faults = verify(
        dataset.url,
        options.workers,
        lambda done, all_: progress("Verifying", total * done // max(all_, 1), total),
        {url: read_held_out(url) for url in options.held_out},
        pool,
        deep,
    )
    if faults:
        told = "\n".join(f"  - {fault.where}: {fault.what}" for fault in faults[:10])
        more = f"\n  - and {len(faults) - 10} more" if len(faults) > 10 else ""
        raise PublishError(
            f"{dataset.url} has {len(faults)} fault(s):\n{told}{more}\nTo mend it, {REMEDY}; then check with "
            "`avs-data verify --deep`"
        )


def _same(known: Publication, asked: Publication, options: Options) -> None:
    if not known.same_content(asked):
        raise PublishError(
            f"{options.to} has version {options.version} already, with other content (manifest "
            f"{known.manifest_sha256[:12]}, here {asked.manifest_sha256[:12]}; profile {_told(known.profile)}, here "
            f"{_told(asked.profile)}): versions never change; publish under the next number"
        )


def _previous(
    target: "Target | hub.Hub", versions: list[Version], asked: Publication, dataset: Dataset
) -> Publication | None:
    """The newest version, which the new one must follow."""
    if not versions:
        return None
    latest = versions[-1]
    if Version.parse(asked.version) < latest:
        raise PublishError(
            f"version {asked.version} would go backwards: {target.url} is at {latest}; give a higher one"
        )
    previous = target.publication(latest)
    if previous is None:
        raise PublishError(f"{target.url}/{latest} vanished while it was read; run the command again")
    if previous.name != asked.name:
        raise PublishError(
            f"{target.url} holds {previous.name!r}, not {asked.name!r}: publish another dataset elsewhere"
        )
    if previous.profile.reference_only and not asked.profile.reference_only:
        raise PublishError(
            f"{target.url} leaves out {', '.join(previous.profile.reference_only)}: add --reference-only "
            f"{' '.join(previous.profile.reference_only)}, or publish the full edition elsewhere"
        )
    if previous.profile.licences:
        outside = profiles.unlicensed(dataset, previous.profile.licences)
        if outside:
            raise PublishError(
                f"{target.url} is for {', '.join(previous.profile.licences)} alone, and {len(outside)} item(s) are "
                f"not: "
                f"{'; '.join(outside[:3])}. Give --licences {','.join(previous.profile.licences)} to leave them "
                "out, or publish elsewhere"
            )
    return previous


def _told(profile: Profile) -> str:
    return ", ".join([*profile.licences, *(f"no {name}" for name in profile.reference_only)]) or "everything"


def _files(dataset: Dataset, profile: Profile, folder: str) -> list[File]:
    """Shards and tables of the edition, with their hashes."""
    if profile.reference_only:
        paths = profiles.without_sounds(dataset, folder)
        urls = {path: storage.join(folder, path) for path in paths}
        return [File(path, storage.size(url), storage.sha256(url), url) for path, url in urls.items()]
    made = dataset.manifest
    found = [
        File(entry.path, entry.bytes, entry.sha256, storage.join(dataset.url, entry.path))
        for entry in (*made.shards, *made.pool_shards)
    ]
    found += [
        File(name, entry.bytes, entry.sha256, storage.join(dataset.url, name))
        for name, entry in made.tables.items()
    ]
    return [*found, File.of(format.MANIFEST, storage.read_bytes(storage.join(dataset.url, format.MANIFEST)))]


def _planned(publication: Publication, previous: Publication | None) -> upload.Sent:
    known = {file.sha256 for file in previous.files} if previous else set()
    reused = sum(file.bytes for file in publication.files if file.sha256 in known)
    return upload.Sent(publication.bytes - reused, reused, 0)
