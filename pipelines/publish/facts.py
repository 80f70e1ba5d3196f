"""What is known of an edition, for the documents that are published with it."""

import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.judge.quality import Quality
from pipelines.publish.edition import Profile
from shards import format
from shards.manifest import HeldOutList, Manifest

REFERENCES = Path(__file__).with_name("references.toml")


@dataclass(frozen=True)
class Facts:
    """What the card, the citation and Croissant say of an edition.

    Args:
        url: the version's place.
        clips: how many the samples hear, one or more each.
        image_licences, audio_licences: samples, and clips heard, per licence ("unknown": none is recorded).
        image_corpora, audio_corpora: samples per corpus of the photo and mask, clips heard per corpus.
        known: how many samples have `image_author`, `image_page`, `image_url`, and clips `audio_author`, `audio_url`.
        checked: lists of videos none of which its training hears, as was found before it was published.
        picture: the name of a picture of some samples; "": there is none.
    """

    manifest: Manifest
    version: str
    url: str
    profile: Profile
    image_licences: dict[str, int]
    audio_licences: dict[str, int]
    image_corpora: dict[str, int]
    audio_corpora: dict[str, int]
    known: dict[str, int]
    clips: int
    picture: str
    bytes: int
    has_availability: bool
    checked: tuple[HeldOutList, ...]
    kinds: dict[str, int]  # samples per kind, of scenes
    mask_sources: dict[str, int]  # samples by who drew their masks, where the dataset tells
    quality: Quality | None  # what people found who looked at samples; None: nobody did

    @property
    def samples(self) -> int:
        return sum(self.manifest.counts[split]["samples"] for split in format.SPLITS)

    @property
    def categories(self) -> tuple[str, ...]:
        counts = self.manifest.counts
        return tuple(sorted({name for split in format.SPLITS for name in counts[split]["categories"]}))

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(split for split in format.SPLITS if self.manifest.counts[split]["samples"])

    @property
    def joined(self) -> bool:
        """Whether photos and sounds were joined through a label map; else the dataset was imported."""
        return bool(self.manifest.label_map["name"])

    @property
    def place(self) -> str:
        """Where a reader finds the version: its address, or "." from the folder of the card itself."""
        return self.url if "://" in self.url else "."

    @property
    def works(self) -> list[dict[str, Any]]:
        """The works that the dataset comes from (references.toml)."""
        of = {"all", *self.image_corpora, *self.audio_corpora}
        listed = tomllib.loads(REFERENCES.read_text(encoding="utf-8"))["work"]
        return [work for work in listed if of.intersection(work["of"])]

    @property
    def hub(self) -> str | None:
        """ORG/NAME where the version is on the Hugging Face Hub."""
        if not self.url.startswith("hf://datasets/"):
            return None
        return self.url.removeprefix("hf://datasets/").split("@")[0].rstrip("/")

    @property
    def hub_url(self) -> str:
        return f"https://huggingface.co/datasets/{self.hub}"


def counted(values: list[Any]) -> dict[str, int]:
    """Values, most frequent first; None as "unknown"."""
    found = Counter("unknown" if value is None else str(value) for value in values)
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
