"""The pages of Ogg."""

from shards.rejections import Reason, Rejected
from shards.sound.section import Section

_FIRST, _LAST = 2, 4  # flags of a page
_REACH = 1 << 20  # bytes of junk that may lie between two pages


def ending(section: Section) -> str:
    """What shows that a file ends early; empty if nothing does. Each of its streams has a page marked as its last.

    Raises:
        Rejected: a page between is missing.
    """
    at, ended, numbers = 0, dict[bytes, bool](), dict[bytes, int]()
    while len(head := section.at(at, 27)) == 27:
        if head[:4] != b"OggS":
            following = section.find(b"OggS", at + 1, _REACH)
            if following < 0:
                break
            at = following
            continue
        at += 27 + head[26] + sum(section.at(at + 27, head[26]))
        if cut := section.overrun("its last page", at):
            return cut
        flags, serial, number = head[5], head[14:18], int.from_bytes(head[18:22], "little")
        if not flags & _FIRST and number != (numbers.get(serial, number - 1) + 1) % 2**32:
            raise Rejected(Reason.AUDIO_UNREADABLE, f"a page is missing before its page {number:,}")
        ended[serial], numbers[serial] = bool(flags & _LAST), number
    rest = section.at(at, 4)
    if rest and b"OggS".startswith(rest):
        return "it ends within the head of a page"
    return "" if ended and all(ended.values()) else "its last page is not marked as the last"
