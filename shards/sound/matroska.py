"""The elements of Matroska and WebM."""

import struct

from shards.sound.section import Section

_OPEN = -1  # the length of an element that goes on until another one begins
_SEGMENT, _CLUSTER, _INFO, _GROUP = b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75", b"\x15\x49\xa9\x66", b"\xa0"
_DURATION, _SCALE, _TIME, _BLOCKS = b"\x44\x89", b"\x2a\xd7\xb1", b"\xe7", (b"\xa1", b"\xa3")
_LATE_S = 0.5  # a last picture's or a subtitle's own length


def ending(section: Section) -> str:
    """What shows that a file ends early; empty if nothing does.

    A segment that states its length decides. A streamed one does not: then its last element has to be all there, and
    its last block near the duration that it states, if it does.
    """
    at, duration, scale_ns, cluster, last = 0, 0.0, 1_000_000, 0, 0
    while at < section.size:
        name, name_length = _number(section, at)
        length, length_length = _length(section, at + name_length)
        if not name_length or not length_length:
            if section.size - at < 12:
                return "it ends within the head of an element"
            break  # junk behind the last element
        identity, at = name.to_bytes(name_length, "big"), at + name_length + length_length
        if length != _OPEN and (cut := section.overrun("its last element", at + length)):
            return cut
        if identity == _SEGMENT and length != _OPEN:
            return ""
        if identity in (_SEGMENT, _CLUSTER, _INFO, _GROUP):
            continue
        if length == _OPEN:
            break
        content = section.at(at, min(length, 12))
        if identity == _DURATION and length in (4, 8):
            (duration,) = struct.unpack(">f" if length == 4 else ">d", content)
        elif identity == _SCALE:
            scale_ns = int.from_bytes(content, "big")
        elif identity == _TIME:
            cluster = int.from_bytes(content, "big")
        elif identity in _BLOCKS:
            _, track = _number(section, at)
            last = max(last, cluster + int.from_bytes(content[track : track + 2], "big", signed=True))
        at += length
    last_s, duration_s = last * scale_ns / 1e9, duration * scale_ns / 1e9
    return (
        f"its last block is at {last_s:.3f} s, it states {duration_s:.3f} s"
        if last_s < duration_s - _LATE_S
        else ""
    )


def _number(section: Section, at: int) -> tuple[int, int]:
    """A number of 1 to 8 bytes, its mark included, and its length in bytes; 0, 0 where there is none."""
    first = section.at(at, 1)
    length = 9 - first[0].bit_length() if first and first[0] else 0
    content = section.at(at, length)
    return (int.from_bytes(content, "big"), length) if len(content) == length else (0, 0)


def _length(section: Section, at: int) -> tuple[int, int]:
    """A number without its mark, or _OPEN, and its length in bytes."""
    value, length = _number(section, at)
    value -= 1 << 7 * length
    return (_OPEN if value == (1 << 7 * length) - 1 else value), length
