"""Files of named chunks, tags or objects with lengths: WAV and its kin, AIFF, CAF, AU, AVI, FLAC's header, FLV, ASF.

Each `…_ending` tells what shows that a file ends early; an empty text if nothing does. Each `check_…` rejects what
FFmpeg would read in part.
"""

import struct
from collections.abc import Iterator

from shards.rejections import Reason, Rejected
from shards.sound.section import Section

Chunks = Iterator[tuple[bytes, int, int]]  # name, first byte, length

# Lengths from these on, and 0, are what a writer to a pipe puts, who cannot go back to say the true one.
_UNKNOWN, _UNKNOWN_64 = 0x7FFF_0000, 1 << 62
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


def chunks(section: Section, at: int, form: str, own_header: bool = False, align: int = 2) -> Chunks:
    """The chunks from byte `at` on, up to what is none. own_header: names are GUIDs, lengths count the header."""
    size = struct.calcsize(form)
    while len(head := section.at(at, size)) == size:
        name, length = struct.unpack(form, head)
        if not own_header and not (name.isascii() and name.decode().isprintable()):
            return
        length -= size if own_header else 0
        yield name, at + size, length
        if length < 0:
            return
        at += size + length + (-length % align)


def wav_ending(section: Section) -> str:
    unknown_from = _UNKNOWN_64 if section.at(0, 4) == b"RF64" else _UNKNOWN
    return _data_ending(section, wav_chunks(section), b"data", unknown_from)


def w64_ending(section: Section) -> str:
    return _data_ending(section, _of_w64(section), b"data", _UNKNOWN_64)


def aiff_ending(section: Section) -> str:
    return _data_ending(section, _of_aiff(section), b"SSND")


def caf_ending(section: Section) -> str:
    return _data_ending(section, _of_caf(section), b"data", _UNKNOWN_64)


def wav_chunks(section: Section) -> Chunks:
    """An RF64's data chunk may have its length in another chunk."""
    large = 0
    for name, begin, length in chunks(section, 12, ">4sI" if section.at(0, 4) == b"RIFX" else "<4sI"):
        if name == b"ds64":
            large = int.from_bytes(section.at(begin + 8, 8), "little")
        apart = name == b"data" and length == 0xFFFF_FFFF and section.at(0, 4) == b"RF64"
        yield name, begin, large if apart else length


def _of_w64(section: Section) -> Chunks:
    return chunks(section, 40, "<16sQ", own_header=True, align=8)


def _of_aiff(section: Section) -> Chunks:
    return chunks(section, 12, ">4sI")


def _of_caf(section: Section) -> Chunks:
    return chunks(section, 8, ">4sq", align=1)


def au_ending(section: Section) -> str:
    begin, length = struct.unpack(">II", section.at(4, 8).ljust(8, b"\0"))
    return "" if length >= _UNKNOWN else section.overrun("its data", begin + length)


def _data_ending(section: Section, found: Chunks, data: bytes, unknown_from: int = _UNKNOWN) -> str:
    end = section.size
    for name, begin, length in found:
        if name[:4] == data:
            unknown = length <= 0 or (length >= unknown_from and section.size < length)
            return "" if unknown else section.overrun("its data", begin + length)
        end = begin + length
    return "it ends before its data begins" if end + 8 >= section.size else ""  # else these are no chunks


def check_wav(section: Section) -> None:
    """A data chunk of length 0 is read to the end of the file, unless only other chunks follow: then it is empty."""
    empty, last, end = False, b"", 0
    for last, begin, length in wav_chunks(section):
        empty, end = empty or last == b"data", begin + length + length % 2
        if last == b"data" and length:
            return _check_one(wav_chunks(section), b"data")
    if empty and last != b"data" and end in (section.size, section.size + 1):
        raise Rejected(Reason.AUDIO_TOO_SHORT, "no samples: its data chunk is empty")


def check_w64(section: Section) -> None:
    _check_one(_of_w64(section), b"data")


def check_aiff(section: Section) -> None:
    _check_one(_of_aiff(section), b"SSND")


def check_caf(section: Section) -> None:
    _check_one(_of_caf(section), b"data")


def _check_one(found: Chunks, data: bytes) -> None:
    """Of several chunks of sound FFmpeg would read one alone."""
    number = sum(name[:4] == data and length > 0 for name, _, length in found)
    if number > 1:
        raise Rejected(Reason.AUDIO_UNREADABLE, f"{number} chunks of sound; a file has one")


def avi_ending(section: Section) -> str:
    for name, begin, length in chunks(section, 0, "<4sI"):
        if name != b"RIFF":
            break
        for inner, at, size in chunks(section, begin + 4, "<4sI"):
            if length and at >= begin + length:
                break
            if inner == b"LIST" and section.at(at, 4) == b"movi":
                if cut := _movie_ending(section, at, size):
                    return cut
                break
        else:
            return "it ends before its list of frames"
    return ""


def _movie_ending(section: Section, at: int, length: int) -> str:
    if 0 < length < _UNKNOWN:
        return section.overrun("its list of frames", at + length)
    frames = chunks(section, at + 4, "<4sI")  # never finished: what can be known is whether the last is there
    return next(
        filter(None, (section.overrun("its last frame", start + size) for _, start, size in frames)), ""
    )


def flac_ending(section: Section) -> str:
    """The header's part of it: FFmpeg knows how many samples follow, and of the last frame by its checksum."""
    at, last = 4, False
    while not last:
        head = section.at(at, 4).ljust(4, b"\0")
        last = bool(head[0] & 0x80)
        at += 4 + int.from_bytes(head[1:], "big")
        if cut := section.overrun("its header", at):
            return cut
    return "it ends before its first frame" if at >= section.size else ""


def flv_ending(section: Section) -> str:
    at = int.from_bytes(section.at(5, 4), "big") + 4
    while len(head := section.at(at, 11)) == 11:
        at += 15 + int.from_bytes(head[1:4], "big")
        if cut := section.overrun("its last tag", at):
            return cut
    return "it ends within the head of a tag" if at < section.size else ""


def asf_ending(section: Section) -> str:
    for name, begin, _ in chunks(section, 30, "<16sQ", own_header=True, align=1):
        if name == _ASF_FILE:
            live = section.at(begin + 64, 1)
            size = int.from_bytes(section.at(begin + 16, 8), "little")
            return "" if not live or live[0] & 1 else section.overrun("it", size)
    return "it ends within its header"
