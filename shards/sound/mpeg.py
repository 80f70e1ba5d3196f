"""MPEG's streams of frames and packets: MP1, MP2, MP3 and ADTS frames, transport and program streams.

They have no length of their own. Whether one ends early is told by its last frame or packet, and for MP3 by the
number of frames in a Xing, Info or VBRI header.
"""

import struct
from dataclasses import dataclass

from shards.sound.section import Section

_MP1 = (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448)
_MP2 = (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384)
_MP3 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_LOW_MP1 = (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256)
_LOW_MP23 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_KBPS = ((_MP1, _MP2, _MP3), (_LOW_MP1, _LOW_MP23, _LOW_MP23))
_AC3 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_RATES_HZ = (44_100, 48_000, 32_000)
_REACH = 1 << 20  # bytes of junk that may lie before the first frame, or between two
_SURE = 3  # frames one behind the other that make a stream
_TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3")
_TS = 188


@dataclass(frozen=True)
class Frame:
    """What a frame's header says. `kind`: what all frames of one stream share."""

    length: int
    kind: tuple[str, int, int]
    side_info: int = 0


def frame(head: bytes) -> Frame | None:
    """The frame that 7 bytes begin, or None."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    if layer == 4:  # 0 in the file: ADTS
        length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
        rate = head[2] >> 2 & 15
        return Frame(length, ("aac", version, rate)) if version & 2 and rate < 13 and length > 7 else None
    bitrate, rate = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or not 0 < bitrate < 15 or rate == 3:
        return None
    low = version != 3
    hz = _RATES_HZ[rate] >> (3 - version if version else 2)
    kbps = _KBPS[low][layer - 1][bitrate - 1]
    padding = head[2] >> 1 & 1
    if layer == 1:
        length = (12_000 * kbps // hz + padding) * 4
    else:
        length = (72_000 if low and layer == 3 else 144_000) * kbps // hz + padding
    mono = head[3] >> 6 == 3
    side_info = ((17, 9) if low else (32, 17))[mono]
    return Frame(length, ("mp3", 10 * version + layer, hz), side_info)


def find(section: Section, begin: int, reach: int = _REACH) -> tuple[int, str] | None:
    """Where the first of three frames of one kind lies that follow each other, and `mp3` or `aac`."""
    end = begin + reach
    while (at := section.find(b"\xff", begin, end - begin)) >= 0:
        first = frame(section.at(at, 7))
        if first and _chain(section, at, first):
            return at, first.kind[0]
        begin = at + 1
    return None


def _chain(section: Section, at: int, first: Frame) -> bool:
    for count in range(1, _SURE):
        at += first.length
        if at >= section.size:
            return count > 1
        following = frame(section.at(at, 7))
        if following is None or following.kind != first.kind:
            return False
        first = following
    return True


def frames_ending(section: Section) -> str:
    """What shows that a stream of frames ends early; empty if nothing does. A frame begins at byte 0."""
    at, count, stated = 0, 0, None
    while at + 7 <= section.size:
        found = frame(section.at(at, 7))
        if found is None:
            tag = tag_length(section.at(at, 11), section.size - at)
            following = None if tag else find(section, at + 1)
            if tag:
                at += tag
            elif following is None:
                break
            else:
                at = following[0]
            continue
        if cut := section.overrun("its last frame", at + found.length):
            return cut
        if count == 0 and stated is None and (stated := _stated_frames(section, at, found)):
            count -= 1  # the frame that holds the number holds no sound
        at, count = at + found.length, count + 1
    if section.size - at < 7 and section.at(at, 1) == b"\xff":
        return f"{section.size - at} bytes of a further frame follow its last one"
    if stated and count < stated - 1:  # some writers count their own header
        return f"it has {count:,} frames, its header states {stated:,}"
    return ""


def _stated_frames(section: Section, at: int, first: Frame) -> int | None:
    for place, name, offset in ((4 + first.side_info, (b"Xing", b"Info"), 8), (36, (b"VBRI",), 14)):
        head = section.at(at + place, 18)
        if head[:4] in name and len(head) == 18 and (name == (b"VBRI",) or head[7] & 1):
            return int(struct.unpack_from(">I", head, offset)[0])
    return None


def id3_length(head: bytes) -> int:
    """Bytes of the ID3v2 tag that 10 bytes begin; 0 if they begin none."""
    if len(head) < 10 or head[:3] != b"ID3" or any(byte & 0x80 for byte in head[6:10]):
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return size + (20 if head[5] & 0x10 else 10)


def is_cut(packet: bytes) -> bool:
    """Whether a packet has less of its frame, of MPEG audio or AC-3, than that says of its length."""
    if packet[:2] == b"\x0b\x77":
        return len(packet) < _ac3_length(packet)
    if 0 < len(packet) < 7:  # less than a header
        return packet[0] == 0xFF
    found = frame(packet[:7])
    return found is not None and len(packet) < found.length


def _ac3_length(packet: bytes) -> int:
    """Bytes of the frame of AC-3 or E-AC-3 that a packet begins; 0 where it does not say."""
    if len(packet) < 6:
        return 6
    if packet[5] >> 3 > 10:  # E-AC-3
        return 2 * ((packet[2] & 7) << 8 | packet[3]) + 2
    rate, code = packet[4] >> 6, packet[4] & 63
    if rate == 3 or code >= 2 * len(_AC3):
        return 0
    kbps = _AC3[code // 2]
    return 2 * (kbps * 320 // 147 + code % 2) if rate == 1 else kbps * (4, 0, 6)[rate]


def is_stray(packet: bytes) -> bool:
    """Whether a packet holds bytes that are neither its frame nor a tag."""
    found = frame(packet[:7])
    rest = packet[found.length :] if found else packet
    return bool(rest) and not tag_length(rest[:11], len(rest))


def tag_length(head: bytes, left: int) -> int:
    """Bytes of a tag that 11 bytes begin, between or behind frames; one that is no ID3v2 has all that is `left`."""
    return id3_length(head) or (left if head.startswith(_TAGS) else 0)


def transport(section: Section) -> tuple[int, int] | None:
    """First byte and stride of a transport stream's packets: 188, or 192 or 204 with something between."""
    head = section.at(0, 2048)
    for first in range(min(_TS, len(head))):
        for stride in (188, 192, 204):
            marks = range(first, len(head), stride)
            if len(marks) >= 4 and all(head[mark] == 0x47 for mark in marks):
                return first, stride
    return None


def transport_ending(section: Section) -> str:
    """Whether the last packet, and the last sound that each program's packets carry, is all there."""
    found = transport(section)
    if found is None:
        return ""
    at, stride = found
    over = (section.size - at) % stride
    if 0 < over < _TS:
        return f"its last packet has {over} of {_TS} bytes"
    missing: dict[int, int] = {}  # packet id -> bytes of its sound that are still to come
    while block := section.at(at, 4096 * stride):
        for start in range(0, len(block) - _TS + 1, stride):
            packet = block[start : start + _TS]
            pid = (packet[1] & 0x1F) << 8 | packet[2]
            skip = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
            payload = packet[skip:] if packet[3] & 0x10 else b""
            if packet[1] & 0x40:
                missing.pop(pid, None)
                if payload[:3] == b"\0\0\1" and len(payload) > 5 and _is_sound(payload[3]):
                    length = payload[4] << 8 | payload[5]
                    if length:
                        missing[pid] = length + 6 - len(payload)
            elif pid in missing:
                missing[pid] -= len(payload)
        at += len(block)
    lacking = max(missing.values(), default=0)
    return f"{lacking:,} bytes of its last packet of sound are missing" if lacking > 0 else ""


def _is_sound(stream_id: int) -> bool:
    return 0xC0 <= stream_id <= 0xDF or stream_id in (0xBD, 0xFD)


def program_ending(section: Section) -> str:
    """Whether the last packet of a program stream is all there."""
    at = 0
    while at + 4 <= section.size:
        head = section.at(at, 14)
        if head[:3] != b"\0\0\1":
            at = section.find(b"\0\0\1", at + 1, _REACH)
            if at < 0:
                return ""
            continue
        if head[3] == 0xB9:
            return ""
        if head[3] == 0xBA:
            length = (
                12
                if len(head) > 4 and head[4] & 0xF0 == 0x20
                else 14 + (head[13] & 7 if len(head) == 14 else 0)
            )
        elif head[3] > 0xBA:
            length = 6 + (head[4] << 8 | head[5]) if len(head) >= 6 else 6
        else:
            length = 4
        if cut := section.overrun("its last packet", at + length):
            return cut
        at += length
    return ""
