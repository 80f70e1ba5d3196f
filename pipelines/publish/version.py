"""Version numbers as Semantic Versioning 2.0.0 orders them (semver.org, sections 2, 9, 10 and 11)."""

import re
from dataclasses import dataclass
from functools import total_ordering

from shards.errors import AvsError

_NUMBER = r"(0|[1-9]\d*)"
_SEMVER = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
)


class VersionError(AvsError, ValueError):
    """A text that is no version; the message says what one looks like."""


@total_ordering
@dataclass(frozen=True)
class Version:
    """`major.minor.patch[-prerelease]`; the text is kept as written."""

    text: str
    numbers: tuple[int, int, int]
    prerelease: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Version":
        """
        Raises:
            VersionError: not semver, or with build metadata, which orders nothing and so cannot name a release.
        """
        found = _SEMVER.fullmatch(text)
        names = tuple(found[4].split(".")) if found and found[4] else ()
        if not found or found[5] or any(name.isdigit() and name[0] == "0" and name != "0" for name in names):
            raise VersionError(
                f"{text!r} is no version: write MAJOR.MINOR.PATCH, such as 1.1.0 or 1.1.0-rc.1 (semver.org, no '+')"
            )
        return cls(text, (int(found[1]), int(found[2]), int(found[3])), names)

    def _order(self) -> tuple[object, ...]:
        names = tuple((0, int(name), "") if name.isdigit() else (1, 0, name) for name in self.prerelease)
        return (*self.numbers, not self.prerelease, names)

    def __lt__(self, other: "Version") -> bool:
        return self._order() < other._order()

    def __str__(self) -> str:
        return self.text
