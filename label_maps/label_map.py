"""A label map: the categories of a dataset and the labels of each source that belong to them."""

import difflib
import hashlib
import json
import os
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from label_maps.faults import BrokenRule, Row, check, parse
from label_maps.kinds import NO_KINDS, Kinds
from label_maps.links import SIDES, SOURCES, Link, Source, to_csv
from shards import storage
from shards.errors import AvsError
from shards.text import TextError, read_toml

_FOLDER = Path(__file__).parent
_SEMVER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", re.ASCII)
_KEYS = ("name", "version", "licence", "description")
_TABLES = ("kind_of", "heard_over", "sources", "groups")


class LabelMapError(AvsError, ValueError):
    """A label map that cannot be used. `faults` holds every broken rule, the message prints them all."""

    def __init__(self, path: Path, faults: Iterable[BrokenRule]) -> None:
        self.faults = tuple(faults)
        count = f"{len(self.faults)} fault{'s' if len(self.faults) != 1 else ''}"
        super().__init__("\n  ".join([f"label map {path} has {count}:", *map(str, self.faults)]))


class CategoryError(AvsError, ValueError):
    """Categories asked of a label map that it cannot give."""


@dataclass(frozen=True)
class LabelMap:
    """Links under a name and a version. Equal links and kinds have an equal `sha256`, however their file looked.

    Attributes:
        kinds: which categories are kinds of others.
        narrower_sounds: whether what a kind sounds is heard over masks that may show other kinds, too.
        sources: the vocabularies that it may link, those of its own `[sources]` too.
        groups: a category -> the group of things that could be taken for it by ear or by eye. Only off-screen sound
            asks for it, so `sha256` leaves it out and `groups_sha256` is its own.
    """

    name: str
    version: str
    links: tuple[Link, ...]
    kinds: Kinds = NO_KINDS
    narrower_sounds: bool = False
    sources: Mapping[str, Source] = field(default_factory=lambda: SOURCES)
    groups: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def sha256(self) -> str:
        """Hex sha256 of the canonical CSV of the links (`links.to_csv`), and of kinds and own sources, if any."""
        own = {name: source.side for name, source in self.sources.items() if name not in SOURCES}
        text = json.dumps({"sources": own}, sort_keys=True).encode() if own else b""
        return hashlib.sha256(to_csv(self.links) + self.kinds.to_bytes() + text).hexdigest()

    def is_sound(self, link: Link) -> bool:
        """Whether a link is one of a sound's label; else it is one of a label of things that can be seen."""
        return self.sources[link.source].side == "audio"

    @cached_property
    def groups_sha256(self) -> str:
        return hashlib.sha256(json.dumps(dict(self.groups), sort_keys=True).encode()).hexdigest()

    @cached_property
    def categories(self) -> tuple[str, ...]:
        """Category names, sorted."""
        return tuple(sorted({link.category for link in self.links}))

    @cached_property
    def shown(self) -> frozenset[str]:
        """Categories that have visual labels of their own: only these make samples."""
        return frozenset(link.category for link in self.links if not self.is_sound(link))

    @cached_property
    def _by_id(self) -> Mapping[tuple[str, str], Link]:
        return {(link.source, link.source_id): link for link in self.links}

    def link(self, source: str, source_id: str) -> Link | None:
        """The link of a source's label, or None where the map leaves that label out."""
        return self._by_id.get((source, source_id))

    def heard(self, link: Link) -> tuple[str, ...]:
        """The categories over whose masks a sound is heard, sorted: its own and the kinds of it, those with masks.

        A sound that is narrower than every mask label that could show its object (a baby's crying, where masks show
        persons) is heard over none, unless `narrower_sounds`.
        """
        return tuple(sorted(self.reached(link) & self.shown))

    def reached(self, link: Link) -> frozenset[str]:
        """The categories over which a sound is heard if they have masks."""
        return self.kinds.reached(link.category, link.source_id, self.narrower_sounds)

    @cached_property
    def hearing(self) -> frozenset[str]:
        """Categories over whose masks at least one sound is heard."""
        sounds = (link for link in self.links if self.is_sound(link))
        return frozenset(category for link in sounds for category in self.heard(link))

    def is_used(self, link: Link) -> bool:
        """Whether items of a label can come into a dataset: its sound is heard over masks, its masks hear sounds."""
        if self.is_sound(link):
            return bool(self.heard(link))
        return not self.hearing.isdisjoint((link.category, *self.kinds.above(link.category)))

    def restricted(self, categories: Iterable[str]) -> "LabelMap":
        """The same map for these categories and their kinds only, with all the sounds that are heard over them.

        Raises:
            CategoryError: a name that the map does not have, with the names nearest to it; or one that no sample can
                have, because only narrower sounds name its object, or no mask shows it.
        """
        named = set(categories)
        if unknown := sorted(named - set(self.categories)):
            hints = []
            for name in unknown:
                near = difflib.get_close_matches(name, self.categories)
                hints.append(f"{name!r} (near: {', '.join(near)})" if near else repr(name))
            raise CategoryError(
                f"label map {self.name} {self.version} has no category {', '.join(hints)}; "
                f"take names from its {len(self.categories)} categories"
            )
        for name in sorted(named):
            self._check_possible(name)
        wanted = named.union(*(self.kinds.below(name) for name in named))

        def stays(link: Link) -> bool:
            return link.category in wanted or (
                self.is_sound(link) and not wanted.isdisjoint(self.heard(link))
            )

        return self._with(link for link in self.links if stays(link))

    def of_sources(self, names: Container[str]) -> "LabelMap":
        """The same map for these sources only, without what then has nothing to hear or nothing to be heard over.

        So a label of one source that is linked changes nothing for who does not read it. Where the names have no
        sounds, or no images, the map stays as it is.
        """
        links = [link for link in self.links if link.source in names]
        sounds = [link for link in links if self.is_sound(link)]
        if len(sounds) in (0, len(links)):
            return self
        shown = {link.category for link in links if not self.is_sound(link)}
        reached = {link: self.kinds.reached(link.category, link.source_id, True) for link in sounds}
        heard = frozenset().union(*reached.values())

        def stays(link: Link) -> bool:
            if self.is_sound(link):
                return not shown.isdisjoint(reached[link])
            return not heard.isdisjoint((link.category, *self.kinds.above(link.category)))

        return self._with([link for link in links if stays(link)])

    def _with(self, links: Iterable[Link]) -> "LabelMap":
        """The same map with some of its links, and the kinds that these have to do with."""
        links = tuple(links)
        held = {link.category for link in links}
        sounds = {link.source_id for link in links if self.is_sound(link)}
        kinds = Kinds(
            {kind: wider for kind, wider in self.kinds.wider.items() if kind in held},
            {sound: over for sound, over in self.kinds.heard_over.items() if sound in sounds},
        )
        return replace(self, links=links, kinds=kinds)

    def _check_possible(self, category: str) -> None:
        """CategoryError where no sample can have this category or a kind of it."""
        family = {category} | self.kinds.below(category)
        if family & self.shown & self.hearing:
            return
        about = f"label map {self.name} {self.version} makes no samples of {category!r}"
        sounds = [link for link in self.links if self.is_sound(link) and link.category in family]
        over = (
            sorted(set(self.kinds.above(category)) & self.shown) if category not in self.shown else [category]
        )
        raise CategoryError(
            f"{about}: its sounds ({', '.join(link.label for link in sounds)}) are narrower than the masks they could "
            f"be heard over ({', '.join(over)}); set labels.narrower_sounds = true to have them over {over[0]}, or "
            "leave it out"
        )


def load(name_or_path: str | os.PathLike[str] = "avs") -> LabelMap:
    """Read and check a map: `NAME.csv` with `NAME.toml` beside it.

    Args:
        name_or_path: the name of a map that ships with this package, or a path to a CSV file.

    Raises:
        LabelMapError: with every fault of both files (row, value, rule, remedy).
        FileNotFoundError: one of the two files is not there.
    """
    path = path_of(name_or_path)
    rows, unreadable = parse(storage.read_bytes(str(path)))
    about, kinds, sources = _checked(path, rows, unreadable)
    links = tuple(link for _, link in rows)
    return LabelMap(about["name"], about["version"], links, kinds, sources=sources, groups=_groups(about))


def write(path: str | os.PathLike[str], links: Iterable[Link]) -> None:
    """Write links as canonical CSV, sorted, in one step: a reader sees the old file or the new one.

    The TOML beside it stays as it is; the links must fit the kinds and groups in it.

    Raises:
        LabelMapError: the links break a rule; the file is left as it was.
    """
    storage.write_atomic(os.fspath(path), canonical(path, links))


def sort(path: str | os.PathLike[str]) -> None:
    """Rewrite the rows of a map in canonical order.

    Raises:
        LabelMapError: they break another rule (rows count in the file's order); the file is left as it was.
    """
    rows, unreadable = parse(storage.read_bytes(os.fspath(path)))
    _checked(Path(path), rows, unreadable, ordered=False)
    write(path, (link for _, link in rows))


def canonical(path: str | os.PathLike[str], links: Iterable[Link]) -> bytes:
    """The CSV that `write` writes.

    Raises:
        LabelMapError: the links break a rule (rows count in sorted order).
    """
    ordered = sorted(links)
    _checked(Path(path), list(enumerate(ordered, start=2)))
    return to_csv(ordered)


def _checked(
    path: Path, rows: Sequence[Row], unreadable: Sequence[BrokenRule] = (), ordered: bool = True
) -> tuple[dict[str, Any], Kinds, Mapping[str, Source]]:
    """What the TOML beside a CSV says, its kinds, and the sources that may be linked.

    Raises:
        LabelMapError: with every fault of the two together.
    """
    faults: list[BrokenRule] = []
    toml = path.with_suffix(".toml")
    about = _read_about(toml, path.stem, faults)
    kinds, sources = _read_tables(about, toml, faults)
    faults += [*unreadable, *check(rows, ordered=ordered, whole=not unreadable, kinds=kinds, sources=sources)]
    faults += _group_faults(about, toml, {link.category for _, link in rows})
    if faults:
        raise LabelMapError(path, faults)
    return about, kinds, sources


def path_of(name_or_path: str | os.PathLike[str]) -> Path:
    """The CSV file that `load` reads for a shipped name or a path."""
    text = os.fspath(name_or_path)
    if text.endswith(".csv"):
        return Path(text)
    path = _FOLDER / f"{text}.csv"
    if os.sep in text or not path.is_file():
        shipped = ", ".join(sorted(file.stem for file in _FOLDER.glob("*.csv")))
        raise FileNotFoundError(
            f"no label map {text!r}: give a name that ships ({shipped}) or the path of a .csv file"
        )
    return path


def _read_about(path: Path, stem: str, faults: list[BrokenRule]) -> dict[str, Any]:
    try:
        about = read_toml(str(path))
    except TextError as error:
        faults.append(BrokenRule(0, path.name, str(error), "must be TOML in UTF-8", "repair the file"))
        return {}
    for key in _KEYS:
        if not isinstance(about.get(key), str) or not about[key].strip():
            faults.append(
                BrokenRule(0, f"{path.name} {key}", str(about.get(key)), "must be text", f"set {key}")
            )
    for key in sorted(set(about) - {*_KEYS, *_TABLES}):
        rule = f"keys are {', '.join((*_KEYS, *_TABLES))}"
        faults.append(BrokenRule(0, path.name, key, rule, "remove it or correct its spelling"))
    if isinstance(about.get("name"), str) and about["name"] != stem:
        rule = "the name is the file's name without its ending"
        faults.append(
            BrokenRule(0, f"{path.name} name", about["name"], rule, f"write {stem!r} or rename the files")
        )
    if isinstance(about.get("version"), str) and not _SEMVER.fullmatch(about["version"]):
        rule = "a version is MAJOR.MINOR.PATCH"
        faults.append(BrokenRule(0, f"{path.name} version", about["version"], rule, "write it as in 1.0.0"))
    return about


def _read_tables(
    about: dict[str, Any], path: Path, faults: list[BrokenRule]
) -> tuple[Kinds, Mapping[str, Source]]:
    """The kinds, and the sources that may be linked."""
    found: dict[str, dict[str, Any]] = {}
    rules = {
        "kind_of": "a category's name",
        "heard_over": "a list of kinds",
        "sources": " or ".join(SIDES),
        "groups": "a list of categories",
    }
    for name in _TABLES:
        table = about.get(name, {})
        if not isinstance(table, dict):
            faults.append(
                BrokenRule(0, f"{path.name} {name}", str(table), "must be a table", f"write it as [{name}]")
            )
            table = {}
        found[name] = {}
        for key, value in table.items():
            texts = value if name in ("heard_over", "groups") else [value]
            fits = isinstance(texts, list) and all(isinstance(text, str) and text for text in texts)
            if fits and (name != "sources" or value in SIDES):
                found[name][key] = tuple(value) if isinstance(value, list) else value
            else:
                rule = f"{key} takes {rules[name]}"
                faults.append(BrokenRule(0, f"{path.name} {name}", str(value), rule, "write it so"))
    for name in sorted(found["sources"].keys() & SOURCES.keys()):
        rule = "this source is known to every map"
        faults.append(
            BrokenRule(0, f"{path.name} sources", name, rule, "remove it, or give your own another name")
        )
    own = {name: Source(name, side) for name, side in found["sources"].items() if name not in SOURCES}
    return Kinds(found["kind_of"], found["heard_over"]), {**SOURCES, **own}


def _groups(about: Mapping[str, Any]) -> dict[str, str]:
    """The group of each category that the table `groups` lists."""
    return {category: group for group, named in about.get("groups", {}).items() for category in named}


def _group_faults(about: Mapping[str, Any], path: Path, categories: set[str]) -> Iterator[BrokenRule]:
    """Categories in `groups` that the map does not have, or has in another group; nothing where it is no table."""
    table = about.get("groups")
    seen: dict[str, str] = {}
    for group, named in table.items() if isinstance(table, dict) else ():
        for category in named if isinstance(named, list) else ():
            if category not in categories:
                rule, remedy = "groups list categories of the map", "remove it or correct its spelling"
                yield BrokenRule(0, f"{path.name} groups", f"{group}: {category}", rule, remedy)
            elif seen.setdefault(category, group) != group:
                rule = f"{category} is in {seen[category]} already"
                yield BrokenRule(
                    0, f"{path.name} groups", f"{group}: {category}", rule, "keep it in one group"
                )
