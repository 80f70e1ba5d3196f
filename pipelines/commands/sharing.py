"""Where a command's work on a dataset is shared."""

from shards import processes, storage


def pool(scheduler: str, dataset: str) -> processes.Pool:
    """This machine's processes, or the workers of a Dask cluster, which must see the dataset as this machine does."""
    if not scheduler:
        return processes.pool
    from pipelines.build.dask_runner import Cluster  # an extra

    place = storage.absolute(dataset)
    return Cluster(scheduler, place, place).pool
