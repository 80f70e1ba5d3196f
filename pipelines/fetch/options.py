"""`[fetch]` of a recipe: one frozen record a table, every fault reported together.

Cookies and proxies are not among them: a recipe is published
with its dataset. They come by command line and environment.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from pipelines.corpora import registry
from pipelines.corpora.corpus import WEB, Corpus
from pipelines.fetch.audio import AudioRules, ClipRules
from pipelines.fetch.photos import PhotoRules
from pipelines.recipes.recipe import Recipe, RecipeError, number, read_table

SPLITS = ("train", "validation", "test")
VIDEO = {"video": "https://www.youtube.com/watch?v={video_id}"}


@dataclass(frozen=True)
class Photos:
    min_side_px: int = number(64, 1)
    max_pixels: int = number(100_000_000, 1)
    max_bytes: int = number(50_000_000, 1)
    decode: bool = True  # before a photo gets its name; false: header, end marker and length alone
    near_duplicate_bits: int = number(4, 0, 16)  # of 64


@dataclass(frozen=True)
class Clips:
    clip_s: float = number(10.0, 0.1, 600)
    min_s: float = number(1.0, 0)
    min_rms_db: float = number(-60.0, -200, 0)
    max_clipped: float = number(0.10, 0, 1)
    near_duplicate_error: float = number(0.30, 0, 0.5)  # bit error rate
    exclude: tuple[
        str, ...
    ] = ()  # CSV files whose first column names clips (<video>_<start>) or videos to leave out
    modality_list: str = ""  # a CSV with the columns video_id, modality and static_image, as VGGSounder's
    modalities: tuple[str, ...] = ("A", "AV")  # of the clips in that list, those heard


@dataclass(frozen=True)
class YouTube:
    videos_per_hour: float = number(280.0, 0.001)  # a session; a guest's limit is about 300
    burst: int = number(5, 1)
    concurrency: int = number(4, 1, 64)  # over all sessions
    rest_s: float = number(3600.0, 1)  # after a bot check; doubles with each further one
    rest_cap_s: float = number(86_400.0, 1)
    deadline_s: float = number(900.0, 1)
    max_bytes: int = number(500_000_000, 1)
    yt_dlp: dict[str, Any] = field(default_factory=dict)  # more options of yt-dlp, of those in YT_DLP


@dataclass(frozen=True)
class Host:
    """How one host may be asked. `per_s` 0: as fast as `concurrency` allows."""

    concurrency: int = number(16, 1, 256)
    per_s: float = number(0.0, 0)
    burst: int = number(16, 1)


@dataclass(frozen=True)
class FetchOptions:
    corpora: tuple[str, ...] = field(default_factory=lambda: tuple(one.name for one in fetched(usual=True)))
    splits: tuple[str, ...] = SPLITS  # of the visual corpora
    boxes: bool = False  # Open Images box files (2.3 GB): groups, depictions, objects without a mask
    # Open Images' labels that people verified (0.4 GB): off-screen sound rests on them; true where a scene needs them
    image_labels: bool = False
    patience_s: float = number(7200.0, 0)  # a source that rests longer is left to the next run
    stall_s: float = number(20.0, 0.1)
    # a mirror takes the place of any address that a corpus gives: http, https, s3 (unsigned) or gs (unsigned)
    sources: dict[str, Any] = field(default_factory=dict)
    # corpus -> where its photos, masks and clips come from, one place after another; the last may be "web"
    media: dict[str, Any] = field(default_factory=dict)
    photos: Photos = Photos()
    clips: Clips = Clips()
    youtube: YouTube = YouTube()
    # host name -> a table of Host; "default" for the others
    hosts: dict[str, Any] = field(default_factory=dict)

    def host(self, name: str) -> Host:
        table = self.hosts.get(name, self.hosts.get("default", {}))
        host: Host = read_table(Host, table, "", [])
        return host

    @cached_property
    def addresses(self) -> dict[str, str]:
        """Where everything comes from, by the names of `sources`; no address ends with a slash."""
        return {name: url.rstrip("/") for name, url in {**_addresses(), **self.sources}.items()}

    def places(self, corpus: str) -> tuple[str, ...]:
        """Where a corpus's media come from, in order: folders, archives, WEB."""
        fetching = registry.get(corpus).fetching
        usual = [place.format_map(self.addresses) for place in fetching.media] if fetching else []
        return tuple(self.media.get(corpus, usual))

    @property
    def photo_rules(self) -> PhotoRules:
        return PhotoRules(self.photos.min_side_px, self.photos.max_pixels, self.photos.decode)

    @property
    def clip_rules(self) -> ClipRules:
        listening = AudioRules(self.clips.min_s, self.clips.min_rms_db, self.clips.max_clipped)
        return ClipRules(
            self.clips.clip_s,
            self.youtube.max_bytes,
            self.youtube.deadline_s,
            max(self.stall_s, 5.0),
            listening,
        )


def fetched(*, usual: bool = False) -> list[Corpus]:
    """The corpora that can be fetched; `usual`: those that are, where nobody names any."""
    return [one for one in registry.chosen() if one.fetching and (one.usual or not usual)]


def _addresses() -> dict[str, str]:
    found: dict[str, str] = {}
    for corpus in fetched():
        found |= corpus.fetching.addresses if corpus.fetching else {}
    return found | VIDEO


# What may be set in [fetch.youtube.yt_dlp]: nothing that names credentials, runs programs or writes
# elsewhere.
YT_DLP = (
    "force_generic_extractor",
    "format",
    "format_sort",
    "geo_bypass_country",
    "sleep_interval_requests",
    "source_address",
)
_SECRETS = ("cookies", "proxies", "proxy", "cookie_files")


def parse(table: dict[str, Any], source: str = "recipe") -> FetchOptions:
    """FetchOptions from a recipe's [fetch] table. RecipeError names every fault."""
    faults: list[str] = []
    for where, part in (("fetch", table), ("fetch.youtube", table.get("youtube", {}))):
        for name in _SECRETS:
            if isinstance(part, dict) and name in part:
                faults.append(
                    f"{where}.{name}: a recipe is published with its dataset and holds no credentials; "
                    "use --cookies and AVS_DATA_PROXIES"
                )
    options: FetchOptions = read_table(FetchOptions, _without_secrets(table), "fetch.", faults)
    for name, host in options.hosts.items():
        if isinstance(host, dict):
            read_table(Host, host, f"fetch.hosts.{name}.", faults)
        else:
            faults.append(
                f"fetch.hosts.{name} = {host!r}: write it as a table with concurrency, per_s, burst"
            )
    fetchable = tuple(one.name for one in fetched())
    for name, chosen, known in (("corpora", options.corpora, fetchable), ("splits", options.splits, SPLITS)):
        for word in chosen:
            if word not in known:
                faults.append(f"fetch.{name} names {word!r}; known: {', '.join(known)}")
    for name, url in options.sources.items():
        if name not in _addresses():
            faults.append(f"fetch.sources.{name} is unknown; known here: {', '.join(_addresses())}")
        elif not isinstance(url, str):
            faults.append(f"fetch.sources.{name} = {url!r}: takes a text")
        else:
            faults += [f"fetch.sources.{name}: {fault}" for fault in _address_faults(url, name)]
    for corpus, places in options.media.items():
        faults += _media_faults(corpus, places, fetchable)
    for name in sorted(set(options.youtube.yt_dlp) - set(YT_DLP)):
        faults.append(f"fetch.youtube.yt_dlp.{name} is not allowed in a recipe; allowed: {', '.join(YT_DLP)}")
    if faults:
        raise RecipeError(
            f"{source} has {len(faults)} fault(s):\n" + "\n".join(f"  - {fault}" for fault in faults)
        )
    return options


def of_recipe(loaded: Recipe, source: str = "recipe") -> FetchOptions:
    """`[fetch]` of a recipe, with what the rest of it needs. RecipeError names every fault."""
    options, scene = parse(loaded.fetch, source), loaded.scene
    off_screen = scene.shares.off_screen or scene.evaluation.off_screen
    verified = bool(off_screen) and scene.off_screen == "verified"
    return replace(options, image_labels=options.image_labels or verified)


def _media_faults(corpus: str, places: object, known: tuple[str, ...]) -> Iterator[str]:
    where = f"fetch.media.{corpus}"
    if corpus not in known:
        yield f"{where}: no corpus of that name is fetched; known: {', '.join(known)}"
        return
    fetching = registry.get(corpus).fetching
    if not isinstance(places, list) or not places or not all(isinstance(one, str) and one for one in places):
        yield f'{where} = {places!r}: takes a list of texts, as ["../videos", "{WEB}"]'
        return
    if WEB in places[:-1]:
        yield f"{where}: {WEB!r} is what is asked last; name the other places before it"
    if WEB in places and fetching and WEB not in fetching.media:
        yield f"{where}: {corpus} has no files on the web beside its archives; leave out {WEB!r}"
    for place in places:
        parts = urlsplit(place)
        if "://" in place and parts.scheme not in ("http", "https", "s3", "gs", "hf", "file", "memory"):
            yield f"{where} names {place!r}: a path, or an address with http, https, s3, gs or hf"
        elif "@" in parts.netloc or ("://" in place and parts.query):
            yield f"{where} names an address with a password or a query: a recipe holds no credentials"


def with_media(options: FetchOptions, words: Sequence[str]) -> FetchOptions:
    """`options` with places of the command line, `CORPUS=PLACE`, instead of the recipe's for those corpora.

    Raises:
        RecipeError: a word that names no corpus or no place.
    """
    media: dict[str, list[str]] = {}
    for word in words:
        corpus, equals, place = word.partition("=")
        if not equals:
            raise RecipeError(f"--media {word}: write CORPUS=PLACE, as vggsound=/data/vggsound_00.tar.gz")
        is_path = "://" not in place and place != WEB
        media.setdefault(corpus, []).append(os.path.abspath(place) if is_path else place)
    known = tuple(one.name for one in fetched())
    faults = [fault for corpus, places in media.items() for fault in _media_faults(corpus, places, known)]
    if faults:
        raise RecipeError("--media: " + "; ".join(faults))
    return replace(options, media={**options.media, **media})


def _without_secrets(table: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in table.items() if name not in _SECRETS}
    if isinstance(kept.get("youtube"), dict):
        kept["youtube"] = {name: value for name, value in kept["youtube"].items() if name not in _SECRETS}
    return kept


def _address_faults(url: str, name: str) -> list[str]:
    faults = []
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https", "s3", "gs") or not parts.netloc:
        faults.append(f"{parts.scheme or url!r} is not a web address; use http, https, s3 or gs")
    if "@" in parts.netloc:
        faults.append("an address in a recipe holds no user or password")
    if name == "video" and "{video_id}" not in url:
        faults.append(
            "the address of a video holds {video_id}, as https://www.youtube.com/watch?v={video_id}"
        )
    if name != "video" and parts.query:
        faults.append("an address in a recipe holds no query: it may be a signature")
    return faults
