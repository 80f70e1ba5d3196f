"""The media files of clips: which file below a folder is which clip's, by the names in common use."""

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass

from pipelines.corpora import names
from shards import storage

_AUDIO = {"aac", "aif", "aiff", "flac", "m4a", "mka", "mp3", "oga", "ogg", "opus", "wav", "weba", "wma"}
_VIDEO = {"3gp", "avi", "flv", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "ogv", "ts", "webm", "wmv"}

Readings = Callable[[str], Iterator[tuple[int, str]]]


@dataclass(frozen=True)
class ClipFiles:
    """Which file is which clip's.

    Attributes:
        folder: that they lie below, relative to the corpora folder.
        files: clip name -> path below the corpora folder.
        spare: files for a clip that has another, and the file that is read instead of each.
        unknown: media files of no listed clip.
    """

    folder: str
    files: dict[str, str]
    spare: dict[str, str]
    unknown: list[str]

    @classmethod
    def find(
        cls,
        corpora: str,
        folder: str,
        listed: Set[str],
        readings: Readings,
        there: Sequence[str] | None = None,
    ) -> "ClipFiles":
        """Of several files for one clip the likeliest name is read, then the one in the fewest folders, then by name.

        Args:
            listed: names of clips.
            readings: a file's name without extension -> what clips it may mean, the likeliest first: how likely (0:
                most), and the clip's name. The first that is listed is taken.
            there: files below the folder, where they are known already.
        """
        found: dict[str, list[tuple[int, int, str]]] = {}
        unknown = []
        for file in names.tree(storage.join(corpora, folder)) if there is None else there:
            if not is_media(file):
                continue
            stem = file.rpartition("/")[2].rpartition(".")[0]
            order, name = next(((order, name) for order, name in readings(stem) if name in listed), (0, ""))
            if name:
                found.setdefault(name, []).append((order, file.count("/"), file))
            else:
                unknown.append(file)
        ordered = {name: [file for *_, file in sorted(places)] for name, places in found.items()}
        spare = {file: places[0] for places in ordered.values() for file in places[1:]}
        files = {name: f"{folder}/{places[0]}" for name, places in ordered.items()}
        return cls(folder, files, spare, sorted(unknown))

    def notes(self, lists: str, called: str) -> tuple[str, ...]:
        """What a person should hear of files that are not read; `lists` list the clips, which are `called` so."""
        notes = []
        if self.unknown:
            notes.append(
                f"{len(self.unknown):,} file(s) below {self.folder} are no clip of {lists}, the first is "
                f"{self.unknown[0]}: a clip is called {called} and is listed"
            )
        if self.spare:
            file = min(self.spare)
            notes.append(
                f"{len(self.spare):,} file(s) below {self.folder} are for clips that have another file: "
                f"{self.spare[file]} is read, not {file}"
            )
        return tuple(notes)


def is_media(file: str) -> bool:
    """Whether a name has an extension of sound or video."""
    return file.rpartition(".")[2].lower() in _AUDIO | _VIDEO
