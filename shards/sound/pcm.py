"""Plain WAVs without a decoder: whole numbers of 16 bit, complete, as most are."""

import struct
from typing import NamedTuple

import numpy as np

from shards.sound.chunks import wav_chunks
from shards.sound.section import Section

_INTEGERS = 1  # the format's number
_KNOWN = {b"fmt ", b"data", b"LIST", b"fact"}


class Plain(NamedTuple):
    """Where the samples of a WAV lie: from byte `begin`, `length` of each channel."""

    section: Section
    begin: int
    length: int
    channels: int
    rate_hz: int

    def read(self, begin: int, end: int) -> np.ndarray:
        """int16 from one sample to another, ((end - begin) * channels,), all channels by turns."""
        size = 2 * self.channels
        return np.frombuffer(self.section.at(self.begin + begin * size, (end - begin) * size), "<i2")


def plain(section: Section) -> Plain | None:
    """None where it is anything else, or not surely what FFmpeg would read."""
    if section.at(0, 4) != b"RIFF":
        return None
    found = list(wav_chunks(section))
    names = [name for name, _, _ in found]
    if {*names} - _KNOWN or names.count(b"fmt ") != 1 or names.count(b"data") != 1:
        return None
    _, last, length = found[-1]
    if not 0 <= section.size - (last + length) <= length % 2:
        return None
    (_, heading, _), (_, begin, length) = found[names.index(b"fmt ")], found[names.index(b"data")]
    kind, channels, rate_hz, _, size, bits = struct.unpack(
        "<HHIIHH", section.at(heading, 16).ljust(16, b"\0")
    )
    if (kind, bits, size) != (_INTEGERS, 16, 2 * channels) or heading > begin or not 0 < size <= length:
        return None
    return Plain(section, begin, length // size, channels, rate_hz)
