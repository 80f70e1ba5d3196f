"""One spelling for each licence, whatever a corpus writes: a URL, a name or an SPDX id.

`licences.csv` beside this file is the table: the first pattern that fits gives the licence. A pattern of form
`url` is looked for anywhere in the text, one of form `name` must be the whole text; case does not matter.
"""

import csv
import functools
import re
from importlib import resources


@functools.cache
def _table() -> tuple[tuple[str, re.Pattern[str], str], ...]:
    text = resources.files("pipelines.corpora").joinpath("licences.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple((row["form"], re.compile(row["pattern"]), row["licence"]) for row in rows)


@functools.lru_cache(maxsize=4096)
def normalise(written: str | None) -> str | None:
    """`cc-by-2.0`, `cc0`, `no-known-restrictions`, ...; None where nothing is written or no pattern fits."""
    text = " ".join((written or "").lower().split())
    for form, pattern, licence in _table():
        found = pattern.search(text) if form == "url" else pattern.fullmatch(text)
        if found:
            return found.expand(licence)
    return None
