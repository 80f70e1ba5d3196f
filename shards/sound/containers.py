"""What a file of sound is, told by its first bytes, and how the rest of it is read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

from shards.rejections import Reason, Rejected
from shards.sound import chunks, matroska, mp4, mpeg, ogg
from shards.sound.section import Section


@dataclass(frozen=True)
class Container:
    """A kind of file.

    demuxer: FFmpeg's name.
    ending: what shows that a file ends early, or an empty text; raises Rejected where a part between is missing.
    check: raises Rejected for what FFmpeg must not see.
    clocked: its frames have times that tell of a gap.
    seeks: FFmpeg finds a time in it to the sample.
    states: FFmpeg gives the length of a track as the file states it.
    """

    name: str
    demuxer: str
    ending: Callable[[Section], str]
    check: Callable[[Section], None] | None = None
    clocked: bool = False
    seeks: bool = False
    states: bool = False


_WAV = Container("WAV", "wav", chunks.wav_ending, check=chunks.check_wav)
_AIFF = Container("AIFF", "aiff", chunks.aiff_ending, check=chunks.check_aiff, states=True)
_MP4 = Container("MP4", "mov", mp4.ending, check=mp4.check, clocked=True, seeks=True, states=True)
_TRANSPORT = Container("MPEG-TS", "mpegts", mpeg.transport_ending, clocked=True)
_FRAMES = {
    "mp3": Container("MP3", "mp3", mpeg.frames_ending),
    "aac": Container("AAC", "aac", mpeg.frames_ending),
}
_BY_FIRST_BYTES: dict[bytes, Container] = {
    b"fLaC": Container("FLAC", "flac", chunks.flac_ending, states=True),
    b"OggS": Container("Ogg", "ogg", ogg.ending, clocked=True),
    b"\x1a\x45\xdf\xa3": Container("Matroska", "matroska", matroska.ending, clocked=True, seeks=True),
    b"caff": Container("CAF", "caf", chunks.caf_ending, check=chunks.check_caf, states=True),
    b".snd": Container("AU", "au", chunks.au_ending, states=True),
    b"riff": Container("W64", "w64", chunks.w64_ending, check=chunks.check_w64),
    b"FLV\1": Container("FLV", "flv", chunks.flv_ending, clocked=True),
    b"\x30\x26\xb2\x75": Container("ASF", "asf", chunks.asf_ending, clocked=True),
    b"\0\0\1\xba": Container("MPEG-PS", "mpeg", mpeg.program_ending, clocked=True),
}
_BY_FORM = {
    b"RIFFWAVE": _WAV,
    b"RIFXWAVE": _WAV,
    b"RF64WAVE": _WAV,
    b"FORMAIFF": _AIFF,
    b"FORMAIFC": _AIFF,
    b"RIFFAVI ": Container("AVI", "avi", chunks.avi_ending),
}


def recognise(file: IO[bytes]) -> tuple[Container, Section]:
    """The kind of a file by its content, and its bytes from where that begins, behind tags and junk.

    Raises:
        Rejected: nothing that is known, or what FFmpeg must not see.
    """
    section = Section(file)
    if section.size == 0:
        raise Rejected(Reason.AUDIO_UNREADABLE, "an empty file")
    while tag := mpeg.id3_length(section.at(0, 10)):
        section = Section(file, section.begin + tag)
    head = section.at(0, 12)
    container = _BY_FORM.get(head[:4] + head[8:]) or _BY_FIRST_BYTES.get(head[:4])
    if container is None and head[4:8] in mp4.FIRST:
        container = _MP4
    if container is None and mpeg.transport(section):
        container = _TRANSPORT
    if container is not None:
        if container.check:
            container.check(section)
        return container, section
    for place in (section, Section(file)):  # a tag's length may be wrong
        if found := mpeg.find(place, 0):
            return _FRAMES[found[1]], Section(file, place.begin + found[0])
    raise Rejected(
        Reason.AUDIO_UNREADABLE,
        f"no known kind of sound or video: it begins with {Section(file).at(0, 12)!r}",
    )
