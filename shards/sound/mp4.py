"""The boxes of MP4, M4A, MOV and 3GP."""

import struct
from collections.abc import Iterator

from shards.rejections import Reason, Rejected
from shards.sound.section import Section

FIRST = (b"ftyp", b"moov", b"mdat", b"moof", b"styp", b"sidx", b"free", b"skip", b"wide", b"pnot", b"uuid")
_FOLDERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf")


def _boxes(section: Section, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte of the content, and end of each box; the last one may go on behind `end`."""
    while at + 8 <= end:
        length, name = struct.unpack(">I4s", section.at(at, 8).ljust(8, b"\0"))
        begin = at + 8
        if length == 1:
            length, begin = int.from_bytes(section.at(begin, 8), "big"), begin + 8
        box_end = end if length == 0 else at + length
        if box_end < begin or min(name) < 32:  # no box
            return
        yield name, begin, box_end
        at = box_end


def ending(section: Section) -> str:
    """What shows that a file ends early; empty if nothing does."""
    names, end = set(), 0
    for name, _, end in _boxes(section, 0, section.size):
        if cut := section.overrun(f"its box {name.decode('latin-1')!r}", end):
            return cut
        names.add(name)
    if 0 < section.size - end < 8 and any(section.at(end, 8)):
        return "it ends within the head of a box"
    return "" if b"moov" in names else "it has no index (box 'moov')"


def check(section: Section) -> None:
    """An index may not list many more samples than the file has bytes: FFmpeg makes room for each."""
    most = 2 * section.size + 100_000
    folders = [(0, section.size)]
    while folders:
        for name, begin, end in _boxes(section, *folders.pop()):
            end = min(end, section.size)
            if name in _FOLDERS:
                folders.append((begin, end))
            elif (
                name in (b"stsz", b"trun", b"stts") and (listed := _listed(section, name, begin, end)) > most
            ):
                detail = f"its index lists {listed:,} samples, it has {section.size:,} bytes"
                raise Rejected(Reason.AUDIO_TRUNCATED, detail)


def _listed(section: Section, name: bytes, begin: int, end: int) -> int:
    place = begin + (8 if name == b"stsz" else 4)
    count = int.from_bytes(section.at(place, 4), "big")
    if name != b"stts":
        return count
    runs = section.at(place + 4, min(8 * count, max(0, end - place - 4)))
    return sum(run for run, _ in struct.iter_unpack(">II", runs[: len(runs) // 8 * 8]))
