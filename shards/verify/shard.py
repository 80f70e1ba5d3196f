"""A shard, read once from its begin to its end, a sample at a time."""

import hashlib
from typing import IO, Any

import soundfile

from shards import format, storage
from shards.pictures import PictureError
from shards.records import RecordError
from shards.tables import column
from shards.verify import pictures, records, scenes
from shards.verify.faults import Fault
from shards.verify.job import Job, ShardCheck


def check_shard(job: Job) -> ShardCheck:
    """Every fault of a shard, and the photographs in it."""
    entry, check = job.entry, ShardCheck()
    url = storage.join(job.url, entry.path)
    try:
        with storage.open_read(url) as file:
            size, digest = storage.size(url), hashlib.sha256()
            for row in job.rows:
                _check_row(job, row, _members(file, row, job, check, digest), check)
            end = file.read(len(format.END_OF_ARCHIVE) + 1)
            digest.update(end)
    except FileNotFoundError:
        check.faults.append(Fault(entry.path, "missing, but the manifest lists it"))
        return check
    sha256 = digest.hexdigest()
    if (size, sha256) != (entry.bytes, entry.sha256):
        what = f"{size} bytes, sha256 {sha256}; the manifest says {entry.bytes}, {entry.sha256}"
        check.faults.append(Fault(entry.path, what))
    if end != format.END_OF_ARCHIVE:
        check.faults.append(Fault(entry.path, "does not end with two blocks of zeros"))
    return check


def _members(
    file: IO[bytes], row: dict[str, Any], job: Job, check: ShardCheck, digest: Any
) -> dict[str, bytes]:
    """The members of the next row, extension -> content, with headers and padding as the format has them."""
    found = {}
    for extension in job.extensions:
        name, where = column(extension), f"{job.entry.path}: {row['key']}.{extension}"
        size = row[f"{name}_size"]
        header, content, padding = (
            file.read(length) for length in (format.BLOCK, size, len(format.padding(size)))
        )
        for part in (header, content, padding):
            digest.update(part)
        if header != format.tar_header(f"{row['key']}.{extension}", size):
            what = "another name, size, mode, owner, time or type in its header than the table's and the format's"
            check.faults.append(Fault(where, what))
        if any(padding):
            check.faults.append(Fault(where, "padded with other bytes than zeros"))
        if (sha256 := hashlib.sha256(content).hexdigest()) != row[f"{name}_sha256"]:
            what = f"{len(content)} bytes, sha256 is not {row[f'{name}_sha256']} but {sha256}"
            check.faults.append(Fault(where, what))
        found[extension] = content
    return found


def _check_row(job: Job, row: dict[str, Any], parts: dict[str, bytes], check: ShardCheck) -> None:
    where = f"{job.entry.path}: {row['key']}"
    checks = [records.check_sound(row, parts)]
    if job.entry.split == format.POOL:
        checks += [records.check_clip(row, parts)]
    else:
        checks += [records.check_sample(row, parts, job, check), pictures.check(row, parts)]
        if job.targets:
            checks += [scenes.check(row, parts, job)]
    for one in checks:
        try:
            for what in one:
                check.faults.append(Fault(where, what))
        except (RecordError, PictureError) as error:
            check.faults.append(Fault(where, str(error)))
        except (OSError, SyntaxError, ValueError, KeyError, TypeError, soundfile.SoundFileError) as error:
            check.faults.append(Fault(where, f"does not decode: {type(error).__name__}: {error}"))
