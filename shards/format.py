"""Names, bytes and places of the shard format; `shards/README.md` is its normative text."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

FORMAT = "avs-shards"
FORMAT_VERSION = 2
READABLE_VERSIONS = (1, 2)
SPLITS = ("train", "val", "test")
POOL = "pool"
SAMPLE_MEMBERS = ("flac", "jpg", "json", "mask.png")  # in the order of the tar
CLASSES = "classes.png"  # beside them, where a dataset has the target `classes`
CLIP_MEMBERS = ("flac", "json")
TARGETS = ("binary", "classes", "instances")
LATEST = "latest.json"  # beside published versions, each a dataset: the newest one's name
IGNORE = 255  # in KEY.classes.png
MANIFEST, SAMPLES, POOL_TABLE, REJECTIONS = (
    "manifest.json",
    "samples.parquet",
    "pool.parquet",
    "rejections.parquet",
)
REFERENCE = "reference"  # holds the full dataset's manifest in an edition without sounds

MAX_PIXELS = 100_000_000  # of a photo and its mask
# Of a member; what is larger is none of this format, and is not read.
MAX_BYTES = {"flac": 1 << 20, "jpg": 256 << 20, "json": 4 << 20, "mask.png": 64 << 20, CLASSES: 64 << 20}

BLOCK = 512
END_OF_ARCHIVE = bytes(2 * BLOCK)


def key_of(item_id: str) -> str:
    """The KEY of a sample id or clip id: 20 hexadecimal digits, so shards sorted by key are shuffled by id."""
    return hashlib.sha256(item_id.encode()).hexdigest()[:20]


def sample_id(image_id: str, category: str, mask_id: str | None = None) -> str:
    return "|".join([image_id, category] + ([mask_id] if mask_id else []))


def is_frame(image_id: str) -> bool:
    """Whether a photo is a frame of a video, VIDEO#FRAME: what sounds there may not be seen."""
    return "#" in image_id


def sample_members(targets: Sequence[str]) -> tuple[str, ...]:
    """The extensions of a sample, in the order of the tar."""
    return (CLASSES, *SAMPLE_MEMBERS) if "classes" in targets else SAMPLE_MEMBERS


def shard_count(samples: int, samples_per_shard: int) -> int:
    return max(1, -(-samples // samples_per_shard))


def pinned_shard_count(samples: int, samples_per_shard: int, pinned: int) -> int:
    """As many shards as an earlier version had (0: there was none), until they hold twice what they should.

    A number that stays lets one changed sample change one shard.
    """
    fresh = shard_count(samples, samples_per_shard)
    return pinned if pinned and fresh <= 2 * pinned else fresh


def shard_index(key: str, shards: int) -> int:
    """Linear hashing: with one shard more, one shard is divided and all others stay as they are."""
    number = int(key[:16], 16)
    level = (shards - 1).bit_length()
    index = number % (1 << level)
    return index if index < shards else number % (1 << (level - 1))


def shard_path(split: str, index: int) -> str:
    return f"{split}/{split}-{index:06d}.tar"


def json_bytes(record: Mapping[str, Any]) -> bytes:
    """The one way this format writes JSON in a shard."""
    return json.dumps(
        record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


# A ustar header but for the name (100 bytes), the size (12) and the checksum (8), which are all that differs.
_HEAD = b"0000644\0" + b"0000000\0" * 2
_TIME = b"00000000000\0"
_TAIL = b"0" + bytes(100) + b"ustar\0" + b"00" + bytes(64) + b"0000000\0" * 2 + bytes(167)
_FIXED_SUM = sum(_HEAD + _TIME + _TAIL) + 8 * ord(" ")


def tar_header(name: str, size: int) -> bytes:
    """512 bytes of POSIX ustar for a regular file of `size` bytes.

    Raises:
        ValueError: the name is over 100 bytes or the size over 8 GiB, more than plain ustar can say.
    """
    encoded, length = name.encode(), b"%011o\0" % size
    if len(encoded) > 100 or size >= 8**11:
        raise ValueError(
            f"{name!r} with {size} bytes: ustar takes names up to 100 bytes and sizes under 8 GiB"
        )
    checksum = b"%06o\0 " % (_FIXED_SUM + sum(encoded) + sum(length))
    return encoded.ljust(100, b"\0") + _HEAD + length + _TIME + checksum + _TAIL


def padding(size: int) -> bytes:
    return bytes(-size % BLOCK)
