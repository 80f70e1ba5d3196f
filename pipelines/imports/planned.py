"""What an importer found: one sample of a published dataset, by the files it is made of."""

from dataclasses import dataclass, field

from shards.errors import AvsError
from shards.rejections import Reason, rejection

Rejections = list[dict[str, str | None]]


@dataclass(frozen=True)
class PlannedSample:
    """Paths are relative to the imported folder.

    window: which part of the audio belongs to the photo, [0.96 window, 0.96 window + 0.975] s; -1 for the whole clip.
    video_id: of the clip. component: what belongs together, as all frames of a video. clip_id, video_id and audio_path
    are empty for a sample that hears a clip of its category and split, drawn from those that can be heard.
    """

    image_id: str
    category: str
    split: str
    image_path: str
    mask_id: str
    mask_path: str
    clip_id: str
    video_id: str
    audio_path: str
    window: int
    component: str


@dataclass(frozen=True)
class PlannedClip:
    """A clip that samples of its category may hear, besides those that samples name."""

    clip_id: str
    video_id: str
    audio_path: str
    window: int
    split: str
    category: str


@dataclass
class Found:
    """All samples of a folder, further clips of its pools, and the rows that are no sample."""

    name: str
    samples: list[PlannedSample] = field(default_factory=list)
    clips: list[PlannedClip] = field(default_factory=list)
    rejections: Rejections = field(default_factory=list)

    def bad_row(self, item: str, detail: str) -> None:
        self.rejections.append(rejection("import", item, Reason.BAD_ROW, detail))


class LayoutError(AvsError):
    """A folder that is not laid out as published; says what is missing."""
