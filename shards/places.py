"""Where members lie: what a table says of it, held against the manifest and against how tars are written.

A tar of this format is decided by its keys and sizes alone, so that every offset can be worked out again.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shards import format
from shards.manifest import Manifest
from shards.tables import column

_TEXTS = ("key", "split", "shard")
_KEY, _SHA256 = "^[0-9a-f]{20}$", "^[0-9a-f]{64}$"
_MAY_BE_UNKNOWN = ("licence", "image_licence", "audio_licence")
_OF_ONE_CLIP = ("clip_id", "video_id")  # a scene may have several or none


def columns(name: str, made: Manifest) -> list[str]:
    """The columns of samples.parquet or pool.parquet that `faults` needs."""
    members = [
        f"{column(extension)}_{part}" for extension in _members(name, made) for part in ("offset", "size")
    ]
    return [*_TEXTS, *members, *(("width", "height") if name == format.SAMPLES else ())]


def faults(name: str, table: pa.Table, made: Manifest) -> Iterator[str]:
    """What cannot be in a table with (at least) those columns; the first of each kind, in words.

    Args:
        name: samples.parquet or pool.parquet.
    """
    may_be_null = {*_MAY_BE_UNKNOWN, *(_OF_ONE_CLIP if made.targets and name == format.SAMPLES else ())}
    for each in table.column_names:
        if table[each].null_count and each not in may_be_null:
            yield f"{table[each].null_count} rows without a {each}"
            return
    for each in table.column_names:
        pattern = _KEY if each == "key" else _SHA256 if each.endswith("_sha256") else ""
        if pattern and pc.any(pc.invert(pc.match_substring_regex(table[each], pattern))).as_py():
            yield f"a {each} that is none: lower-case hexadecimal digits, {pattern}"
            return
        if pa.types.is_floating(table[each].type) and pc.any(pc.invert(pc.is_finite(table[each]))).as_py():
            yield f"a {each} that is no number"
        if pa.types.is_list(table[each].type) and table[each].combine_chunks().flatten().null_count:
            yield f"{each} with nothing in their midst"
    if (
        name == format.POOL_TABLE
        and not made.targets  # a recording may be of no class
        and "categories" in table.column_names
        and 0 in pc.list_value_length(table["categories"]).to_pylist()
    ):
        yield "a clip without categories"
    if name == format.SAMPLES:
        width, height = (table[side].to_numpy().astype(np.int64) for side in ("width", "height"))
        if (np.minimum(width, height) < 1).any() or (width * height > format.MAX_PIXELS).any():
            yield f"a photo of no pixel, or of more than {format.MAX_PIXELS:,}"
    yield from _layout(name, table, made)


def _members(name: str, made: Manifest) -> tuple[str, ...]:
    return made.sample_members if name == format.SAMPLES else format.CLIP_MEMBERS


def _layout(name: str, table: pa.Table, made: Manifest) -> Iterator[str]:
    """Whether the rows of each shard stand together, sorted by key, and each member is where the writer puts it."""
    entries = made.shards if name == format.SAMPLES else made.pool_shards
    keys, shards = table["key"].combine_chunks(), table["shard"].to_pylist()
    starts = [index for index in range(len(shards)) if index == 0 or shards[index] != shards[index - 1]]
    if [shards[index] for index in starts] != [entry.path for entry in entries]:
        known = {entry.path for entry in entries}
        strange = next((shards[index] for index in starts if shards[index] not in known), "")
        yield (
            f"a row of {strange!r}, which the manifest does not list"
            if strange
            else "not the manifest's shards, each once and in its order"
        )
        return
    members = _members(name, made)
    sizes = {extension: table[f"{column(extension)}_size"].to_numpy() for extension in members}
    offsets = {extension: table[f"{column(extension)}_offset"].to_numpy() for extension in members}
    for extension, size in sizes.items():
        if ((size < 0) | (size > format.MAX_BYTES[extension])).any():
            yield f"a {extension} of {size[np.argmax((size < 0) | (size > format.MAX_BYTES[extension]))]:,} bytes"
            return
    blocks = {extension: format.BLOCK * (1 + -(-size // format.BLOCK)) for extension, size in sizes.items()}
    splits = table["split"].to_pylist()
    falls = pc.greater_equal(keys[:-1], keys[1:]).to_numpy(zero_copy_only=False)
    for entry, start, end in zip(entries, starts, [*starts, len(shards)][1:], strict=True):
        inside = slice(start, end)
        if entry.samples != end - start:
            yield f"{end - start} rows of {entry.path}; the manifest says {entry.samples}"
        if falls[start : end - 1].any():
            yield f"the keys of {entry.path} do not ascend"
        if entry.split != format.POOL and set(splits[inside]) != {entry.split}:
            yield f"rows of {entry.path} that are not of {entry.split}"
        ends = np.cumsum(np.stack([blocks[extension][inside] for extension in sizes], axis=1)).reshape(
            -1, len(sizes)
        )
        for place, extension in enumerate(sizes):
            wanted = ends[:, place] - blocks[extension][inside] + format.BLOCK
            found = offsets[extension][inside]
            if (found != wanted).any():
                row = int(np.argmax(found != wanted))
                yield (
                    f"{keys[start + row]}.{extension} at byte {found[row]} of {entry.path}; by the sizes of what is "
                    f"before it, it lies at {wanted[row]}"
                )
                break
        size = int(ends[-1, -1]) + len(format.END_OF_ARCHIVE)
        if size != entry.bytes:
            yield f"{entry.path} with {size:,} bytes in all; the manifest says {entry.bytes:,}"
    if not set(splits) <= set(format.SPLITS):
        yield f"a split that is none of {', '.join(format.SPLITS)}"
