"""The media files of clips: which file below a folder is which clip's, by the names in common use."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from urllib.parse import quote

from pipelines.corpora import names
from pipelines.corpora.corpus import Need, Readings, Row
from shards import storage

# What lies beside clips and is none; any other file may be one, and its content decides.
_NO_CLIPS = {
    "aria2", "ass", "avif", "bmp", "csv", "description", "gif", "gz", "htm", "html", "jpeg", "jpg", "json", "lock",
    "log", "lrc", "m3u", "m3u8", "md", "md5", "npy", "npz", "part", "pdf", "pkl", "png", "py", "sha256", "srt", "svg",
    "tar", "temp", "textgrid", "tiff", "tmp", "toml", "tsv", "txt", "url", "vtt", "webp", "xml", "yaml", "yml", "ytdl",
    "zip",
}  # fmt: skip


@dataclass(frozen=True)
class ClipFiles:
    """Which file is which clip's.

    Attributes:
        folder: that they lie below, relative to the corpora folder.
        files: clip name -> path below the corpora folder.
        spare: files for a clip that has another, and the file that is read instead of each.
        unknown: files of no listed clip.
        others: files whose names say that they are neither sound nor video.
    """

    folder: str
    files: dict[str, str]
    spare: dict[str, str]
    unknown: list[str]
    others: list[str]

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
        unknown, others = [], []
        for file in names.tree(storage.join(corpora, folder)) if there is None else there:
            if not may_be_media(file):
                others.append(file)
                continue
            name = file.rpartition("/")[2]
            stem = name.rpartition(".")[0] or name
            order, name = next(((order, name) for order, name in readings(stem) if name in listed), (0, ""))
            if name:
                found.setdefault(name, []).append((order, file.count("/"), file))
            else:
                unknown.append(file)
        ordered = {name: [file for *_, file in sorted(places)] for name, places in found.items()}
        spare = {file: places[0] for places in ordered.values() for file in places[1:]}
        files = {name: f"{folder}/{places[0]}" for name, places in ordered.items()}
        return cls(folder, files, spare, sorted(unknown), others)

    def notes(self, lists: str, called: str) -> tuple[str, ...]:
        """What a person should hear of files that are not read; `lists` list the clips, which are `called` so."""
        notes = []
        if self.unknown:
            notes.append(
                f"{len(self.unknown):,} file(s) below {self.folder} are no clip of {lists}, the first is "
                f"{self.unknown[0]}: a clip is called {called} and is listed"
            )
        if self.others:
            notes.append(
                f"{len(self.others):,} file(s) below {self.folder} are by their names neither sound nor video and not "
                f"read, the first is {self.others[0]}"
            )
        if self.spare:
            file = min(self.spare)
            notes.append(
                f"{len(self.spare):,} file(s) below {self.folder} are for clips that have another file: "
                f"{self.spare[file]} is read, not {file}"
            )
        return tuple(notes)


def may_be_media(file: str) -> bool:
    """Whether a name does not say that its file is neither sound nor video."""
    return file.rpartition("/")[2].rpartition(".")[2].lower() not in _NO_CLIPS


def needs(row: Row, addresses: Mapping[str, str], *, folder: str) -> Iterator[Need]:
    """The sound of a video's clip, which goes below `folder`/clips."""
    name = row["clip_id"].partition(":")[2]
    url = addresses["video"].format(video_id=quote(row["video_id"], safe=""))
    yield Need(
        row["clip_id"], "clip", url, f"{folder}/clips/{name}.flac", row["clip_path"], start_s=row["start_s"]
    )
