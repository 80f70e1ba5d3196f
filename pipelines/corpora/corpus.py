"""What a corpus declares of itself, and so all that the project knows of it; `README.md` shows how to add one."""

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any, Literal

from pipelines.corpora.source import Chunk, Source
from pipelines.matching.vocabularies import AudioLabel, VisualLabel

Kind = Literal["images", "sounds"]
Row = Mapping[str, Any]  # of MASKS or CLIPS
Readings = Callable[[str], Iterator[tuple[int, str]]]  # a file's name -> how likely (0: most) it means which
WEB = "web"


@dataclass(frozen=True)
class NamedLabel:
    """A label as a file has it. `name` and `synset` are empty where the file has none."""

    file: str  # how errors call it
    source: str  # as in a label map
    source_id: str
    name: str
    synset: str = ""


@dataclass(frozen=True)
class Need:
    """A file that a row needs: where it comes from, where it goes, and where it lies already (None: nowhere)."""

    name: str  # image id, mask id or clip id
    kind: Literal["photo", "mask", "clip"]
    url: str  # of a mask: its archive's; "": it has none, and comes out of archives
    path: str  # below the corpora folder
    there: str | None
    photo_key: str = ""  # of a photo: a name of the photograph that other corpora know, too
    start_s: float = 0.0  # of a clip: seconds into the video
    also_at: str = ""  # a path of another corpus at which this one reads the file, too


def own_name(stem: str) -> Iterator[tuple[int, str]]:
    """Of a corpus whose files have one name each."""
    yield 0, stem


@dataclass(frozen=True)
class Fetching:
    """How `avs-data fetch` brings a corpus.

    Attributes:
        addresses: names for `[fetch.sources]` of a recipe, with where each is found unless the recipe says another.
        needs: a row of MASKS or CLIPS and the addresses -> the files that the row needs.
        item_bytes: mean of a photo, or of what is downloaded for a clip: to plan by.
        media: where its files come from unless the recipe says other places, in order, as `[fetch.media]` has them;
            `{name}` stands for the address of that name, WEB for those that `needs` gives.
        readings: the corpora folder and some files' names without extension -> what another name of a file may mean.
        tells_start: whether the name of a clip's file, without extension, says where in its recording the clip
            begins; else a longer file may be all of the recording.
    """

    addresses: Mapping[str, str]
    needs: Callable[[Row, Mapping[str, str]], Iterator[Need]]
    item_bytes: int
    media: tuple[str, ...] = (WEB,)
    readings: Callable[[str, Set[str]], Readings] = lambda corpora, stems: own_name
    tells_start: Callable[[str], bool] = lambda stem: True


@dataclass(frozen=True)
class Vocabulary:
    """The labels of a corpus for `avs-data match`: from a folder of label files, and from the corpora folder.

    Both give nothing, or raise VocabularyError, where the files are not there.
    """

    files: Callable[[str], list[AudioLabel] | list[VisualLabel]]
    corpora: Callable[[str], list[AudioLabel] | list[VisualLabel]]


def no_guess(names: Mapping[str, str]) -> str:
    return ""


def no_labels(corpora: str) -> Iterator[NamedLabel]:
    return iter(())


@dataclass(frozen=True)
class Corpus:
    """One corpus.

    Attributes:
        name: in front of its ids, in label maps and in recipes; a-z, 0-9 and _, a letter first.
        title: as people write it.
        kind: what it has: `images` with masks, or `sounds`.
        layout: its files below the corpora folder, one a line, `what  is there`; the first one is what it needs.
        sources: the annotation files below a corpora folder or URL, sorted; none: the corpus is not there.
        read: one of them, streamed; every row that goes in is kept or rejected.
        labels: every label that the files name, to be held against a label map. None where its names are its ids.
        official: what to give where the files are not what they should be.
        numbered: label ids are mere numbers, so a file must name them.
        guess: what a file probably is whose labels are others, from ids and `name_key`s of its labels; "": no idea.
        vocabulary: its labels for `avs-data match`; None: it has none that is known beforehand.
        fetching: how it is downloaded; None: its user brings it.
        usual: fetched and matched where nobody names corpora.
        id_space: photos of two corpora that share it and have the same number are one photograph (`coco:<number>`
            among the `photo_keys` of both); "": its own.
        marks_all: its annotators looked for every category in every photo: what they do not mark, it does not show.
        annotation_licence: of masks or labels, not of the media.
    """

    name: str
    title: str
    kind: Kind
    layout: str
    sources: Callable[[str], list[Source]]
    read: Callable[[Source, str], Iterator[Chunk]]
    labels: Callable[[str], Iterator[NamedLabel]] = no_labels
    official: str = "Give the files that the map was made for"
    numbered: bool = False
    guess: Callable[[Mapping[str, str]], str] = no_guess
    vocabulary: Vocabulary | None = None
    fetching: Fetching | None = None
    usual: bool = False
    id_space: str = ""
    marks_all: bool = False
    annotation_licence: str = ""
