"""A file as its readers see it: bytes from a place on, without a name."""

from typing import IO

from shards.interrupts import called_from_c
from shards.rejections import Reason, Rejected

_BLOCK = 4096  # bytes that a search reads at once: where much is found, little is read twice
_MOST = 2_000_000  # looks into one file: some seconds, whatever it is made of


class Section:
    """The bytes of a file from `begin` on. It has no name, so that a decoder judges by content alone.

    size: bytes from `begin` to the end.
    """

    def __init__(self, file: IO[bytes], begin: int = 0) -> None:
        self._file, self._at, self._looks = file, 0, 0
        self.begin = begin
        self.size = max(0, file.seek(0, 2) - begin)

    def at(self, position: int, length: int) -> bytes:
        """`length` bytes from `position`, fewer where the file ends.

        Raises:
            Rejected: so many looks that the file is made to keep its reader busy.
        """
        self._looks += 1
        if self._looks > _MOST:
            raise Rejected(Reason.AUDIO_UNREADABLE, f"more than {_MOST:,} parts")
        if not 0 <= position < self.size:
            return b""
        self._file.seek(self.begin + position)
        return self._file.read(max(0, min(length, self.size - position)))

    @called_from_c
    def read(self, length: int) -> bytes:
        self._file.seek(self.begin + self._at)
        content = self._file.read(length)
        self._at += len(content)
        return content

    @called_from_c
    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, self.size)[whence])
        return self._at

    @called_from_c
    def tell(self) -> int:
        return self._at

    def find(self, needle: bytes, position: int, reach: int) -> int:
        """Where `needle` lies first from `position` on, at most `reach` bytes on; -1 if it does not."""
        end = min(self.size, position + reach)
        while position < end:
            block = self.at(position, min(_BLOCK, end - position))
            found = block.find(needle)
            if found >= 0:
                return position + found
            if len(block) <= len(needle):
                break
            position += len(block) - len(needle) + 1
        return -1

    def overrun(self, what: str, end: int) -> str:
        """What to say of a part that should end at `end`, counted from `begin`; empty if the file has all of it."""
        if end <= self.size:
            return ""
        return f"{what} should end at byte {self.begin + end:,}, the file ends at byte {self.begin + self.size:,}"
