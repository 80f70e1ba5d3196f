"""How each kind of item is fetched: from its address to a checked file with its final name."""

import contextlib
import hashlib
import io
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version

import urllib3

from pipelines.fetch import annotations, audio, clips, fingerprints, photos, report, taking, zips
from pipelines.fetch.causes import Cause, Failure
from pipelines.fetch.http import Client
from pipelines.fetch.items import Item, Kind
from pipelines.fetch.options import FetchOptions
from pipelines.fetch.places import Place, Reading
from pipelines.fetch.politeness import Job
from pipelines.fetch.store import Store
from pipelines.fetch.workers import Done, Tally, Task
from shards.sound import RATE_HZ

TOOL = f"avs-data {version('avs-data')}, urllib3 {urllib3.__version__}"
CLIP_TOOL = f"avs-data {version('avs-data')}, {clips.TOOL}"


def photo(store: Store, client: Client, options: FetchOptions) -> Task:
    fetched = fetched_photo(store, client, options)
    return Task(lambda job: fetched(job.item), TOOL)


def fetched_photo(
    store: Store, client: Client, options: FetchOptions, processes: int = 1
) -> Callable[[Item], Done]:
    """What fetches a photo, in one of so many processes."""
    rules, limit = options.photo_rules, options.photos.max_bytes
    # Many threads wait for the network, few work: more would take Python's lock from each other at each call.
    cores = threading.BoundedSemaphore(max(1, (os.cpu_count() or 1) // processes))

    def fetched(item: Item) -> Done:
        content, content_type = client.get(item.url, limit)
        with cores:
            fingerprint = photos.check(content, content_type, rules)
            sha256 = store.put(item.path, content) if store.is_local else ""
        sha256 = sha256 or store.put(item.path, content)  # an upload waits for the network too
        return Done(len(content), sha256, fingerprint=fingerprint)

    return fetched


def clip(store: Store, recorder: clips.Recorder) -> Task:
    def run(job: Job) -> Done:
        content, samples = recorder.clip(job.item.url, job.item.start_s, job.session.access)
        words = fingerprints.sound_words(samples).tobytes()
        return Done(len(content), store.put(job.item.path, content), f"{len(samples) / RATE_HZ:.3f} s", words)

    return Task(run, CLIP_TOOL)


def archive(
    store: Store,
    client: Client,
    parts: str,
    options: FetchOptions,
    members: dict[str, list[Item]],
    note: Callable[[Item, Done | Failure], None],
    tally: Tally,
) -> Task:
    """Zips of masks, of which only the needed members are fetched where the server gives ranges.

    Args:
        members: archive's item name -> the masks that are needed of it.
        note: takes what became of each.
    """

    keep = taking.Keeper(store, options)

    def run(job: Job) -> Done:
        masks = {item.name: item for item in members[job.item.name]}
        wanted, taken, spoiled = taking.Wanted(masks.values(), options), taking.Taken(), list[Item]()

        def noted(item: Item, member: str, outcome: Done | Failure) -> None:
            if isinstance(outcome, Failure) and outcome.cause is Cause.DECODE_ERROR:
                spoiled.append(item)  # perhaps on the way
            elif isinstance(outcome, Failure):
                outcome = Failure(outcome.cause, outcome.detail, final=True)
            note(item, outcome)
            if item not in spoiled:
                del masks[item.name]

        part = part_path(parts, job.item)
        reading = Reading(Place(job.item.url), client, part)
        try:
            found = reading.members(wanted, tally.download(job.item))
            with taking.keeping(1) as pool:
                taking.take(found, wanted, keep, noted, reading.check, pool, 1, taken)
        except Failure as failure:
            if failure.cause is Cause.ARCHIVE_CORRUPT:
                forget(part)
                raise Failure(Cause.BAD_CONTENT, failure.detail) from failure
            raise
        finally:
            members[job.item.name] = list(masks.values())
        forget(part)
        if spoiled:
            raise Failure(Cause.BAD_CONTENT, f"{len(spoiled)} members do not match their checksums")
        for item in masks.values():
            note(item, Failure(Cause.NOT_FOUND, "the archive has no such member", final=True))
        members[job.item.name] = []
        read = report.read_of(reading.bytes_read(), reading.size)
        return Done(reading.bytes_read(), "", f"{taken.told()}; {read}")

    return Task(run, TOOL)


def annotation(
    store: Store,
    client: Client,
    parts: str,
    wanted: Mapping[str, tuple[annotations.AnnotationFile, str]],
    pins: annotations.Pins,
    accept_drift: bool,
    tally: Tally,
) -> Task:
    """Files of annotations; of those that come out of one zip, whichever is asked for first brings all.

    Args:
        wanted: by item name.
    """
    made: dict[str, Done] = {}
    locks = {url: threading.Lock() for _, url in wanted.values()}

    def run(job: Job) -> Done:
        url = job.item.url
        with locks[url]:
            if job.item.name not in made:
                part = part_path(parts, job.item)
                client.get_file(url, part, annotations.MAX_BYTES, tally.download(job.item))
                pinned = annotations.file_digest(part)
                made[job.item.name] = keep(wanted[job.item.name][0], url, part, pinned)
                for name, (file, from_url) in wanted.items():
                    if from_url == url and name not in made:
                        with contextlib.suppress(Failure):  # told when it is asked for itself
                            made[name] = keep(file, url, part, pinned)
                forget(part)
            return made[job.item.name]

    def keep(file: annotations.AnnotationFile, url: str, part: str, pinned: tuple[int, str]) -> Done:
        _check_annotation(file, part)
        try:
            pins.check(file, url, *pinned, accept_drift)
        except annotations.DriftError:
            forget(part)  # with --accept-drift it comes anew: it may have changed again by then
            raise
        final = part
        if file.member:
            final = part + ".member"
            zips.unpack(part, file.member, final, annotations.MAX_BYTES)
        stored = annotations.file_digest(final)
        pins.record(file.path, annotations.Pin(url, *pinned, *stored))
        store.put_file(file.path, final)
        return Done(*stored)

    return Task(run, TOOL)


def _check_annotation(file: annotations.AnnotationFile, part: str) -> None:
    """A page of a captive portal or an error page is not an annotation file."""
    with open(part, "rb") as begun:
        head = begun.read(64).lstrip().lower()
    fits = (
        head.startswith(b"pk\x03\x04")
        if file.member
        else head and not head.startswith((b"<!doctype", b"<html", b"<?xml"))
    )
    if not fits:
        forget(part)
        raise Failure(Cause.BAD_CONTENT, f"the content begins with {head[:24]!r}")


def part_path(parts: str, item: Item) -> str:
    """Where an unfinished download lies: a local name that no other item has."""
    return os.path.join(parts, hashlib.sha256(f"{item.name}\n{item.url}".encode()).hexdigest()[:24])


def forget(part: str) -> None:
    for path in (part, part + ".etag", part + ".member"):
        if os.path.exists(path):
            os.remove(path)


def adopt(store: Store, item: Item, options: FetchOptions) -> Done:
    """Check a file that lies under its name without a row: a kill came before its row, or the user put it there."""
    content = store.read(item.path)
    digest = hashlib.sha256(content).hexdigest()
    fingerprint = None
    if item.kind is Kind.PHOTO:
        fingerprint = photos.check(content, "", options.photo_rules)
    elif item.kind is Kind.MASK:
        photos.check(content, "", taking.MASK_RULES, form="PNG")
    elif item.kind is Kind.CLIP:
        samples = audio.cut(io.BytesIO(content), 0.0, options.clips.clip_s, options.clips.min_s)
        audio.check(samples, options.clip_rules.listening)
        fingerprint = fingerprints.sound_words(samples).tobytes()
    return Done(len(content), digest, "found in the folder and checked", fingerprint)


def fingerprint_of(store: Store, item: Item, options: FetchOptions) -> bytes:
    """The fingerprint of a stored photo or clip. Raises Failure where it cannot be decoded."""
    content = store.read(item.path)
    if item.kind is Kind.PHOTO:
        return photos.check(content, "", replace(options.photo_rules, decode=True)) or b""
    samples = audio.cut(io.BytesIO(content), 0.0, options.clips.clip_s, options.clips.min_s)
    return fingerprints.sound_words(samples).tobytes()
