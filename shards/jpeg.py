"""JPEG files as every reader shows them: what the header says, and the same pixels with no order to turn them.

Format: ITU-T T.81 (segments), Exif 2.32 (TIFF in APP1), XMP part 3 (XML in APP1). No pixel is decoded here.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

MAX_SCANS = 100  # progressive photos have some ten; each costs a pass over the whole image

_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_CODINGS = {
    0xC3: "lossless coding", 0xC5: "hierarchical coding", 0xC6: "hierarchical coding", 0xC7: "lossless coding",
    0xC9: "arithmetic coding", 0xCA: "arithmetic coding", 0xCB: "lossless coding", 0xCD: "arithmetic coding",
    0xCE: "arithmetic coding", 0xCF: "lossless coding",
}  # fmt: skip
_PROGRESSIVE = 0xC2
_NO_PIXELS = frozenset({*range(0xE1, 0xF0), 0xFE}) - {0xEE}  # APP1 to APP15 but Adobe's, and comments
_APP1, _APP2, _APP13 = 0xE1, 0xE2, 0xED
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])")  # in coded data: not a stuffed byte, not a restart
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")

_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_MORE = b"http://ns.adobe.com/xmp/extension/\0"
_XMP_MORE_HEAD = len(_XMP_MORE) + 32 + 4 + 4  # a name, the length of the whole, where this piece belongs
_ORIENTATION = 0x0112
_EXIF_IFD = 0x8769
_UPRIGHT = 1
_MOST_DIRECTORIES = 64  # of one Exif block; cameras write some five
# The property in any namespace: as an attribute, or as an element's start or end.
_NAMED = re.compile(rb"(?<![\w.-])Orientation(?![\w.-])|O\0r\0i\0e\0n\0t\0a\0t\0i\0o\0n")
_NUMBERED = re.compile(rb"(?<![\w.-])(Orientation\s*(?:=\s*[\"']\s*|>\s*))\d+(?=\s*[\"'<])")
_SAYS_UPRIGHT = re.compile(
    rb"(?<![\w.-])Orientation\s*(?:=\s*[\"']\s*1\s*[\"']|>\s*1\s*<)|/(?:[\w.-]+:)?Orientation\s*>"
)
_EXIF_RESOURCES = (b"8BIM\x04\x22", b"8BIM\x04\x23")  # Photoshop's own copies


class JpegError(ValueError):
    """Not a JPEG."""


class CutShort(JpegError):
    """The bytes end before the header does."""


@dataclass(frozen=True)
class Frame:
    """What the header says. `unsupported`: why some readers show it differently or not at all; empty: none does."""

    width: int  # pixels
    height: int
    unsupported: str


class _Segment(NamedTuple):
    marker: int
    start: int  # of its 0xFF
    end: int

    def payload(self, content: bytes) -> bytes:
        return content[self.start + 4 : self.end]


def frame(content: bytes) -> Frame:
    """The header of a photo, from its first bytes.

    Raises:
        CutShort: more bytes are needed. JpegError: no JPEG.
    """
    for segment in _segments(content):
        if segment.marker in _FRAMES:
            payload = segment.payload(content)
            if len(payload) < 6:
                raise JpegError("a frame header without a size")
            precision, height, width, components = struct.unpack(">BHHB", payload[:6])
            if not width or not height:
                raise JpegError(f"{width} x {height} pixels")
            return Frame(width, height, _unsupported(segment.marker, precision, components))
        if segment.marker == _SOS:
            break
    raise JpegError("no frame header before the coded data")


def _unsupported(marker: int, precision: int, components: int) -> str:
    if marker in _CODINGS:
        return _CODINGS[marker]
    if precision != 8:
        return f"{precision} bits a channel"
    if components not in (1, 3):
        return f"{components} channels" + (" (CMYK)" if components == 4 else "")
    return ""


def scans(content: bytes) -> int:
    """How many passes over the image its coded data makes."""
    return sum(segment.marker == _SOS for segment in _coded(content, [*_segments(content)][-1]))


def complete_scans(content: bytes) -> int:
    """How many passes over the image its coded data makes, which together code all of it.

    Raises:
        JpegError: more than MAX_SCANS, no end, or coefficients are missing: a photo of several scans that ends early.
    """
    segments = list(_segments(content))
    header = next((segment for segment in segments if segment.marker in _FRAMES), None)
    if header is None:
        raise JpegError("no frame header before the coded data")
    *starts, end = _coded(content, segments[-1])
    if end.marker != _EOI:
        raise JpegError("the coded data has no end")
    found = [segment.payload(content) for segment in starts]
    if len(found) > MAX_SCANS:
        raise JpegError(f"{len(found)} scans; at most {MAX_SCANS}")
    progressive, components = header.marker == _PROGRESSIVE, header.payload(content)[6::3]
    lacking = {(component, band) for component in components for band in range(64 if progressive else 1)}
    for scan in found:
        if len(scan) < 6 or len(scan) < 4 + 2 * scan[0]:
            raise JpegError("a scan whose header is cut")
        which, how = scan[1 : 1 + 2 * scan[0] : 2], scan[1 + 2 * scan[0] :]
        bands = range(how[0], how[1] + 1) if progressive else range(1)
        if not progressive or not how[2] & 15:  # else their last bits are still to come
            lacking -= {(component, band) for component in which for band in bands}
    if lacking:
        raise JpegError(f"its {len(found)} scans lack {len(lacking)} coefficients")
    return len(found)


def bare(content: bytes, noise: bytes = b"") -> bytes:
    """The photo with nothing that its pixels do not need.

    Args:
        noise: put behind the coded data, where it changes no pixel if that is complete. Without bytes of 255, and only
            for a photo that has an end.
    """
    parts, at = [content[:2]], 2
    segments = list(_segments(content))
    for segment in segments:
        if segment.marker not in _NO_PIXELS:
            parts.append(content[segment.start : segment.end])
        at = segment.end
    if noise:
        *_, scan, end = [segment.end for segment in _coded(content, segments[-1])]
        restart = bytes((0xFF, 0xD0 + len(_RESTART.findall(content, scan, end - 2)) % 8))
        parts += [content[at : end - 2], noise, restart, noise]
        at = end - 2
    return b"".join([*parts, content[at:]])


def cleared(content: bytes) -> bytes:
    """The photo with orientation 1 wherever an orientation is written; the same bytes where none turns it.

    In Exif the tag's value is set, so that no other offset moves; in XMP the number. A block that cannot be
    read, or says it in another way, is left out.
    """
    parts, at = [], 0
    segments = list(_segments(content))
    exif_seen, more = False, _extended(content, segments)
    for segment in segments:
        if segment.marker not in (_APP1, _APP13):
            continue
        payload = segment.payload(content)
        kept: bytes | None = payload
        if segment.marker == _APP1 and payload.startswith(b"Exif"):
            kept = None if exif_seen else _clear_exif(payload)
            exif_seen = True
        elif segment.marker == _APP1 and payload.startswith(_XMP_MORE):
            kept = None if _NAMED.search(more) else payload
        elif segment.marker == _APP1 and _NAMED.search(payload):
            kept = _clear_xmp(payload)
        elif segment.marker == _APP13 and (
            _NAMED.search(payload) or any(name in payload for name in _EXIF_RESOURCES)
        ):
            kept = None
        if kept is payload or kept == payload:
            continue
        parts.append(content[at : segment.start])
        at = segment.end
        if kept is not None:
            parts.append(struct.pack(">BBH", 0xFF, segment.marker, len(kept) + 2) + kept)
    return b"".join([*parts, content[at:]]) if parts else content


def plain(content: bytes) -> bytes:
    """The photo as the shards hold it: `cleared`, and one picture alone, that ends where its coded data ends.

    Further pictures (Multi-Picture Format) and whatever else follows are left out.
    """
    content = cleared(content)
    segments = list(_segments(content))
    end = next((each.end for each in _coded(content, segments[-1]) if each.marker == _EOI), len(content))
    parts, at = [], 0
    for segment in segments:
        if segment.marker == _APP2 and segment.payload(content).startswith(b"MPF\0"):
            parts.append(content[at : segment.start])
            at = segment.end
    return b"".join([*parts, content[at:end]]) if parts or end < len(content) else content


def _segments(content: bytes) -> Iterator[_Segment]:
    """Every segment of the header, the first start of scan the last. Bytes between two are passed over."""
    if len(content) < 2:
        raise CutShort("empty" if not content else "one byte")
    if content[:2] != bytes((0xFF, _SOI)):
        raise JpegError(f"begins with {content[:4].hex(' ')}")
    at = 2
    while True:
        found = _MARKER.search(content, at)
        if found is None or found.end() + 2 > len(content):
            raise CutShort("the bytes end inside the header")
        marker = found[1][0]
        if marker in (_SOI, _EOI):
            raise JpegError("a header that ends before the coded data")
        length = int.from_bytes(content[found.end() : found.end() + 2], "big")
        at = found.end() + length
        if length < 2:
            raise JpegError("a segment of no length")
        if at > len(content):
            raise CutShort("the bytes end inside the header")
        yield _Segment(marker, found.start(), at)
        if marker == _SOS:
            return


def _coded(content: bytes, scan: _Segment) -> Iterator[_Segment]:
    """Every start of scan, from the first on, and the end."""
    yield scan
    at = scan.end
    while found := _MARKER.search(content, at):
        marker = found[1][0]
        if marker == _EOI:
            yield _Segment(marker, found.start(), found.end())
            return
        if marker == _SOI:
            return
        at = found.end() + int.from_bytes(content[found.end() : found.end() + 2], "big")
        if marker == _SOS:
            yield _Segment(marker, found.start(), at)


def _extended(content: bytes, segments: list[_Segment]) -> bytes:
    """Extended XMP, put together from its pieces in the order of the file."""
    found = [segment.payload(content) for segment in segments if segment.marker == _APP1]
    return b"".join(piece[_XMP_MORE_HEAD:] for piece in found if piece.startswith(_XMP_MORE))


def _clear_xmp(payload: bytes) -> bytes | None:
    changed = _NUMBERED.sub(rb"\g<1>%d" % _UPRIGHT, payload)
    return None if _NAMED.search(_SAYS_UPRIGHT.sub(b"", changed)) else changed


def _clear_exif(payload: bytes) -> bytes | None:
    """An Exif payload with every orientation set to 1; None where its directories cannot be followed."""
    if payload[:6] != b"Exif\0\0":
        return None
    tiff = bytearray(payload[6:])
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(tiff[:4]))
    if order is None or len(tiff) < 8:
        return None
    upright = struct.pack(f"{order}HHIHH", _ORIENTATION, 3, 1, _UPRIGHT, 0)

    def number(at: int, size: str) -> int:
        return int(struct.unpack_from(order + size, tiff, at)[0])

    first = number(4, "I")
    todo, seen = [first], set()
    while todo:
        at = todo.pop()
        if at in seen or not 0 < at <= len(tiff) - 2:
            if at == first and at not in seen:
                return None
            continue
        seen.add(at)
        if len(seen) > _MOST_DIRECTORIES:
            return None
        entries = number(at, "H")
        end = at + 2 + 12 * entries
        if end > len(tiff):
            return None
        for entry in range(at + 2, end, 12):
            tag = number(entry, "H")
            if tag == _ORIENTATION:
                tiff[entry : entry + 12] = upright
            elif tag == _EXIF_IFD:
                todo.append(number(entry + 8, "I"))
        if end + 4 <= len(tiff):
            todo.append(number(end, "I"))
    return None if _NAMED.search(tiff) else payload[:6] + bytes(tiff)
