"""`avs-data judge serve`."""

import click

from pipelines.commands import options
from pipelines.commands.judge.queue_options import QUEUE
from shards.command_line import Command

_MAY = "see and hear the whole dataset, and judge in any name"


@click.command(cls=Command)
@QUEUE
@options.served(_MAY)
def command(queue_path: str, host: str, port: int, allow_host: tuple[str, ...], no_token: bool) -> None:
    """Serve the judging page: photo, mask and sound of one sample after another, answered with one key.

    Prints a link with a token. The page judges the random draw or, as its second view, the most doubtful samples; it
    says which. Its third view is the estimate so far, its fourth all samples of the dataset.

    Example: avs-data judge serve --port 0
    """
    from pipelines.judge.queue import Queue
    from pipelines.judge.server.app import build_app
    from pipelines.pages.serving import serve
    from shards.reader import Dataset

    with Queue(queue_path) as queue:
        dataset = Dataset(queue.dataset)
    serve(
        lambda: build_app(queue_path, dataset),
        name="Judging page",
        may=_MAY,
        host=host,
        port=port,
        allow_hosts=allow_host,
        with_token=not no_token,
    )
