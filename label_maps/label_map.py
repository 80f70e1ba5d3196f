"""A label map: the categories of a dataset and the labels of each source that belong to them."""

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from label_maps.faults import Fault, check, parse
from label_maps.links import Link, content_hash, to_csv
from shards import storage
from shards.errors import AvsError

_FOLDER = Path(__file__).parent
_SEMVER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", re.ASCII)
_KEYS = ("name", "version", "licence", "description")


class LabelMapError(AvsError, ValueError):
    """A label map that cannot be used. `faults` holds every broken rule, the message prints them all."""

    def __init__(self, path: Path, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        count = f"{len(self.faults)} fault{'s' if len(self.faults) != 1 else ''}"
        super().__init__("\n  ".join([f"label map {path} has {count}:", *map(str, self.faults)]))


@dataclass(frozen=True)
class LabelMap:
    """Links under a name and a version. Equal links have an equal `sha256`, however their file looked."""

    name: str
    version: str
    links: tuple[Link, ...]

    @cached_property
    def sha256(self) -> str:
        """Hex sha256 of the canonical CSV of the links (`label_maps.links.to_csv`)."""
        return content_hash(self.links)

    @cached_property
    def categories(self) -> tuple[str, ...]:
        """Category names, sorted."""
        return tuple(sorted({link.category for link in self.links}))

    @cached_property
    def _by_id(self) -> Mapping[tuple[str, str], Link]:
        return {(link.source, link.source_id): link for link in self.links}

    def link(self, source: str, source_id: str) -> Link | None:
        """The link of a source's label, or None where the map leaves that label out."""
        return self._by_id.get((source, source_id))

    def restricted(self, categories: Iterable[str]) -> "LabelMap":
        """The same map with these categories only.

        Raises:
            ValueError: a name that the map does not have, with the names nearest to it.
        """
        wanted = set(categories)
        unknown = sorted(wanted - set(self.categories))
        if unknown:
            hints = []
            for name in unknown:
                near = difflib.get_close_matches(name, self.categories)
                hints.append(f"{name!r} (near: {', '.join(near)})" if near else repr(name))
            raise ValueError(
                f"label map {self.name} {self.version} has no category {', '.join(hints)}; "
                f"take names from its {len(self.categories)} categories"
            )
        return LabelMap(
            self.name, self.version, tuple(link for link in self.links if link.category in wanted)
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
    faults: list[Fault] = []
    about = _read_about(path.with_suffix(".toml"), path.stem, faults)
    rows, unreadable = parse(path.read_bytes())
    faults += unreadable + check(rows, whole=not unreadable)
    if faults:
        raise LabelMapError(path, faults)
    return LabelMap(about["name"], about["version"], tuple(link for _, link in rows))


def write(path: str | os.PathLike[str], links: Iterable[Link]) -> None:
    """Write links as canonical CSV, sorted, in one step: a reader sees the old file or the new one.

    Raises:
        LabelMapError: the links break a rule (rows count in sorted order); the file is left as it was.
    """
    target = Path(path)
    ordered = sorted(links)
    if faults := check(list(enumerate(ordered, start=2))):
        raise LabelMapError(target, faults)
    storage.write_atomic(str(target), to_csv(ordered))


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


def _read_about(path: Path, stem: str, faults: list[Fault]) -> dict[str, str]:
    try:
        about = tomllib.loads(path.read_bytes().decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        faults.append(Fault(0, path.name, str(error), "must be TOML in UTF-8", "repair the file"))
        return {}
    for key in _KEYS:
        if not isinstance(about.get(key), str) or not about[key].strip():
            faults.append(Fault(0, f"{path.name} {key}", str(about.get(key)), "must be text", f"set {key}"))
    for key in sorted(set(about) - set(_KEYS)):
        rule = f"keys are {', '.join(_KEYS)}"
        faults.append(Fault(0, path.name, key, rule, "remove it or correct its spelling"))
    if isinstance(about.get("name"), str) and about["name"] != stem:
        rule = "the name is the file's name without its ending"
        faults.append(
            Fault(0, f"{path.name} name", about["name"], rule, f"write {stem!r} or rename the files")
        )
    if isinstance(about.get("version"), str) and not _SEMVER.fullmatch(about["version"]):
        rule = "a version is MAJOR.MINOR.PATCH"
        faults.append(Fault(0, f"{path.name} version", about["version"], rule, "write it as in 1.0.0"))
    return about
