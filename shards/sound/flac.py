"""The numbers of FLAC's frames (RFC 9639, section 9.1): they tell of a frame that FFmpeg could not find."""


class Numbers:
    """Follows the packets of one native FLAC, each of which is one frame unless the file is damaged."""

    def __init__(self) -> None:
        self._due: int | None = None

    def fault(self, packet: bytes, blocks: list[int]) -> str:
        """What shows that frames are missing; empty if nothing does.

        Args:
            blocks: of each frame that was decoded of the packet, its samples.
        """
        if b"fLaC" in packet:  # a second file behind the first
            self._due = None
            return ""
        number, due = _number(packet), self._due
        by_sample = len(packet) > 1 and packet[1] & 1
        self._due = number + (sum(blocks) if by_sample else 1)
        if len(blocks) == 1 and due in (None, number):
            return ""
        return f"a frame with a wrong checksum, at or before its frame {number:,}"


def _number(packet: bytes) -> int:
    """Of the packet's first frame, coded as UTF-8 codes characters: of the frame, or of its first sample."""
    first = packet[4:5] or b"\0"
    more = max(0, 7 - (first[0] ^ 0xFF).bit_length())
    number = first[0] & (0x7F >> more)
    for byte in packet[5 : 5 + more]:
        number = number << 6 | byte & 0x3F
    return number
