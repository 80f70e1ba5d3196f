"""Gold: known answers for some audio labels, to measure the matcher by and to mix into a review queue.

A CSV with the columns `audio_label,source,visual_label,relation`, the first one perhaps named `vggsound_label`, and
`audio_source` where labels of several sources stand in one file. For each audio label that it names it lists every
visual label that is the thing that sounds (`same`) and those near enough not to count either way (`related`);
`none`, with empty source and visual label, says that there is no `same` at all.
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass

from shards import storage
from shards.errors import AvsError

COLUMNS = ("audio_label", "source", "visual_label", "relation")
RELATIONS = ("same", "related", "none")
Sound = tuple[str, str]  # audio source, "" for any; audio label
Visual = tuple[str, str]  # source, label in lower case


class GoldError(AvsError, ValueError):
    """A gold file that is not in its format."""


@dataclass(frozen=True)
class Truth:
    """The relation of every visual label that counts, for some audio labels."""

    links: Mapping[Sound, Mapping[Visual, str]]

    def of(self, audio_source: str, audio_label: str) -> Mapping[Visual, str] | None:
        """Visual label -> `same` or `related`; None for an audio label that the truth does not name."""
        return self.links.get((audio_source, audio_label), self.links.get(("", audio_label)))

    def relation(self, audio_source: str, audio_label: str, source: str, visual_label: str) -> str | None:
        """`same`, `related`, `none` (the truth names the sound and not the visual label), or None: not known."""
        known = self.of(audio_source, audio_label)
        return None if known is None else known.get((source, visual_label.lower()), "none")


def read(url: str) -> Truth:
    """Raises GoldError where a column is missing or a relation is not one of RELATIONS."""
    try:
        reader = csv.DictReader(io.StringIO(storage.read_bytes(url).decode("utf-8-sig"), newline=""))
        named = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = [
            "audio_label" if name.endswith("_label") and name != "visual_label" else name for name in named
        ]
    except UnicodeDecodeError as error:
        raise GoldError(f"{url}: {error}: save the file as UTF-8") from error
    if not set(COLUMNS) <= set(reader.fieldnames) <= {*COLUMNS, "audio_source"}:
        raise GoldError(
            f"{url}: the header is {named}; a gold file has the columns {','.join(COLUMNS)}, "
            "and audio_source where it has labels of several sources"
        )
    links: dict[Sound, dict[Visual, str]] = {}
    for row in reader:
        if row["relation"] not in RELATIONS:
            raise GoldError(
                f"{url}:{reader.line_num}: relation is {row['relation']!r}; it is one of {', '.join(RELATIONS)}"
            )
        known = links.setdefault((row.get("audio_source") or "", row["audio_label"]), {})
        if row["relation"] != "none":
            known[row["source"], row["visual_label"].lower()] = row["relation"]
    return Truth(links)
