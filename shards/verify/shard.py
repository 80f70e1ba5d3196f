"""A shard, read once from its begin to its end, a sample at a time."""

import hashlib
from typing import Any

from shards import format, storage
from shards.tables import column
from shards.verify import media, records
from shards.verify.faults import Fault
from shards.verify.job import Job, ShardCheck


def check_shard(job: Job) -> ShardCheck:
    """Every fault of a shard, and the photographs in it."""
    entry, check = job.entry, ShardCheck()
    url = storage.join(job.url, entry.path)
    digest = hashlib.sha256()
    try:
        with storage.open_read(url) as file:
            size = storage.size(url)
            for number, row in enumerate(job.rows):
                length = _length(row, job)
                content = memoryview(file.read(length))
                digest.update(content)
                if len(content) < length:
                    what = f"ends in the middle of {row['key']}; {len(job.rows) - number - 1} samples follow it in "
                    check.faults.append(Fault(entry.path, what + "the table"))
                    break
                _check_row(job, row, _members(content, row, job, check), check)
            end = file.read(len(format.END_OF_ARCHIVE) + 1)
            digest.update(end)
    except FileNotFoundError:
        check.faults.append(Fault(entry.path, "missing, but the manifest lists it"))
        return check
    sha256 = digest.hexdigest() if size == entry.bytes else "not looked at"
    if (size, sha256) != (entry.bytes, entry.sha256):
        what = f"{size} bytes, sha256 {sha256}; the manifest says {entry.bytes}, {entry.sha256}"
        check.faults.append(Fault(entry.path, what))
    if end != format.END_OF_ARCHIVE:
        check.faults.append(Fault(entry.path, "does not end with two blocks of zeros"))
    return check


def _length(row: dict[str, Any], job: Job) -> int:
    """Bytes of all members of a row, with headers and padding."""
    sizes = [row[f"{column(extension)}_size"] for extension in job.extensions]
    return sum(format.BLOCK + size + len(format.padding(size)) for size in sizes)


def _members(content: memoryview, row: dict[str, Any], job: Job, check: ShardCheck) -> dict[str, memoryview]:
    """The members of a row, extension -> content, with headers and padding as the format has them."""
    found, at = {}, 0
    for extension in job.extensions:
        name, where = column(extension), f"{job.entry.path}: {row['key']}.{extension}"
        size = row[f"{name}_size"]
        start, zeros = at + format.BLOCK, format.padding(size)
        if content[at:start] != format.tar_header(f"{row['key']}.{extension}", size):
            what = "another name, size, mode, owner, time or type in its header than the table's and the format's"
            check.faults.append(Fault(where, what))
        found[extension] = content[start : start + size]
        at = start + size + len(zeros)
        if content[start + size : at] != zeros:
            check.faults.append(Fault(where, "padded with other bytes than zeros"))
        if (sha256 := hashlib.sha256(found[extension]).hexdigest()) != row[f"{name}_sha256"]:
            what = f"{size} bytes, sha256 is not {row[f'{name}_sha256']} but {sha256}"
            check.faults.append(Fault(where, what))
    return found


def _check_row(job: Job, row: dict[str, Any], parts: dict[str, memoryview], check: ShardCheck) -> None:
    where = f"{job.entry.path}: {row['key']}"
    record, faults = records.check(row, bytes(parts["json"]), job, check)
    check.faults += [Fault(where, what) for what in faults]
    if job.deep:
        contents = {extension: bytes(part) for extension, part in parts.items()}
        check.faults += [Fault(where, what) for what in media.faults(row, contents, record, job)]
