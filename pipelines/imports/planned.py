"""What an importer found: one sample of a published dataset, by the files it is made of."""

from dataclasses import dataclass, field

from shards import format
from shards.errors import AvsError
from shards.records import RECORDING
from shards.rejections import Reason, rejection

Rejections = list[dict[str, str | None]]


@dataclass(frozen=True)
class PlannedSource:
    """One thing that sounds in a scene: its class, its mask, its clip, and from where; pan: None in mono."""

    category: str
    mask_id: str
    clip_id: str
    pan: float | None


@dataclass(frozen=True)
class PlannedSample:
    """Paths are relative to the imported folder.

    window: which part of the audio belongs to the photo, [0.96 window, 0.96 window + 0.975] s; -1 for the whole clip.
    video_id: of the clip. component: what belongs together, as all frames of a video. clip_id, video_id and audio_path
    are empty for a sample that hears a clip of its category and split, drawn from those that can be heard.
    start_s: of the audio's file, in its video. official_split: as released, where the sample was moved.

    A frame with a mask of several classes has no category before its mask is read: `category` is empty, `mask_path` an
    image of numbers, `colours_path` one of colours; label: what the release says of the clip, names: the classes in it.
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
    start_s: float = 0.0
    official_split: str = ""
    colours_path: str = ""
    label: str = ""
    names: tuple[str, ...] = ()
    kind: str = (
        ""  # of a negative, under whose sound nothing of the photo is marked: silence, noise, off_screen
    )
    sources: tuple[
        PlannedSource, ...
    ] = ()  # of a scene that is put together; its clips are among the clips found

    @property
    def sample_id(self) -> str:
        if self.sources:
            return format.sample_id(self.image_id, self.category)
        if self.kind:
            return format.sample_id(self.image_id, "", self.kind)
        if not self.category:
            return format.sample_id(self.image_id, "", RECORDING)
        return format.sample_id(self.image_id, self.category, self.mask_id)

    @property
    def heard_as(self) -> tuple[str, ...]:
        """The categories that its clip is heard for."""
        return (
            (self.category,) if self.category else self.names
        )  # of a negative its clip's own, as that has them


@dataclass(frozen=True)
class PlannedClip:
    """A clip that samples of its category may hear, besides those that samples name."""

    clip_id: str
    video_id: str
    audio_path: str
    window: int
    split: str
    category: str
    start_s: float = 0.0
    official_split: str = ""
    label: str = ""

    @property
    def heard_as(self) -> tuple[str, ...]:
        return (self.category,)


@dataclass
class Found:
    """All samples of a folder, further clips of its pools, and the rows that are no sample.

    classes: of masks of several classes, by number from 1 on; empty where a mask has one category.
    values: what the masks have for each class; empty: its number.
    """

    name: str
    samples: list[PlannedSample] = field(default_factory=list)
    clips: list[PlannedClip] = field(default_factory=list)
    rejections: Rejections = field(default_factory=list)
    classes: tuple[str, ...] = ()
    values: tuple[int, ...] = ()

    def bad_row(self, item: str, detail: str) -> None:
        self.rejections.append(rejection("import", item, Reason.BAD_ROW, detail))


class LayoutError(AvsError):
    """A folder that is not laid out as published; says what is missing."""
