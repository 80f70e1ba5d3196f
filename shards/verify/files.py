"""The files of a dataset: those that the manifest lists, and those that it does not."""

from collections.abc import Iterator

from shards import format, places, storage, tables, unfinished
from shards.manifest import TableEntry
from shards.reader import Dataset
from shards.verify.faults import Fault


def check_table(dataset: Dataset, name: str, entry: TableEntry) -> Iterator[Fault]:
    """Whether a table is the file, and the rows, that the manifest says."""
    url = storage.join(dataset.url, name)
    try:
        size = storage.size(url)
        found = storage.sha256(url) if size == entry.bytes else "not looked at"
    except FileNotFoundError:
        yield Fault(name, "missing, but the manifest lists it")
        return
    if found != entry.sha256:
        yield Fault(name, f"sha256 {found}, {size} bytes; the manifest says {entry.sha256}, {entry.bytes}")
        return
    try:
        table = tables.read(url, schema=dataset.manifest.schemas[name])
    except (tables.TableError, OSError) as error:
        yield Fault(name, f"no readable table: {error}")
        return
    if table.num_rows != entry.rows:
        yield Fault(name, f"{table.num_rows} rows; the manifest says {entry.rows}")
    if name != format.REJECTIONS:
        yield from (Fault(name, what) for what in places.faults(name, table, dataset.manifest))


def strange(dataset: Dataset) -> list[Fault]:
    """Files that the manifest does not list, in the folders of the shards, and unfinished ones."""
    listed = {entry.path for entry in (*dataset.manifest.shards, *dataset.manifest.pool_shards)}
    found = {
        f"{split}/{name}"
        for split in (*format.SPLITS, format.POOL)
        for name in storage.names(storage.join(dataset.url, split))
    }
    faults = []
    for path in sorted({*found, *filter(unfinished.litter, storage.names(dataset.url))} - listed):
        whose = unfinished.litter(path)
        if whose is None:
            what = "not in the manifest: left over, or put there by hand"
        elif whose.is_gone() is False:
            what = f"process {whose.process} on {whose.host} is writing it: wait until that has ended"
        else:
            what = (
                f"left unfinished by process {whose.process} on {whose.host}; no part of the dataset: remove it, or "
                "run the command that made the dataset again, which removes it"
            )
        faults.append(Fault(path, what))
    return faults
