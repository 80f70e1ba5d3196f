"""Where a command's work on a dataset is shared."""

from shards import processes, storage


def pool(scheduler: str, dataset: str, here: processes.Pool = processes.pool) -> processes.Pool:
    """The workers of a Dask cluster, which must see the dataset as this machine does; without a scheduler, `here`."""
    if not scheduler:
        return here
    from pipelines.build.dask_runner import Cluster  # an extra

    place = storage.absolute(dataset)
    return Cluster(scheduler, place, place).pool
