"""`avs-train embed`."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import click

from avs_train.commands import options

if TYPE_CHECKING:
    import numpy as np

    from avs_train.data.samples import Member

_SAVE_EVERY = 5000  # clips


@click.command()
@click.argument("config")
@options.OVERRIDES
@options.DATA
@click.option(
    "--out", required=True, metavar="FILE", help="Parquet table; clips that it holds already are kept."
)
def command(config: str, overrides: tuple[str, ...], data: str, out: str) -> None:
    """Compute the embedding of every clip of DATASET's pool with CONFIG's encoder.

    Give the table to training with `audio.embeddings=FILE`. Without one, training embeds each clip when it first
    hears it: the numbers are the same. A killed command resumes where it last saved.

    Example: avs-train embed sama_avs --data out/avs --out embeddings.parquet
    """
    from avs_train import config as configuration
    from avs_train.audio import open_encoder
    from avs_train.data.embeddings import Embeddings, load_embeddings
    from avs_train.data.samples import open_split
    from avs_train.display import Bar
    from avs_train.distributed import choose_device
    from shards import format, storage
    from shards.manifest import DatasetError
    from shards.reader import Dataset

    settings = configuration.load(config, overrides)
    encoder = open_encoder(settings.audio, choose_device(settings.train.device))
    table = load_embeddings(out, encoder) if storage.exists(out) else Embeddings(encoder)
    members: dict[str, Member] = {}
    short = 0
    counts = Dataset(data).manifest.counts
    for split in (split for split in format.SPLITS if split in counts and counts[split]["samples"]):
        clips = open_split(data, split).clips
        members |= clips.members
        short += sum(seconds < 1.935 for seconds in clips.duration_s.values())
    if not members:
        raise DatasetError(f"{data} has no clip that a sample could hear: nothing to embed")
    missing = [clip_id for clip_id in sorted(members) if clip_id not in table]
    with Bar("embed") as bar, ThreadPoolExecutor(max(1, settings.data.workers)) as pool:
        bar.begin({"clips": len(members), "steps": len(members), "begin": len(members) - len(missing)})
        if short:
            bar.say(
                f"{short} clips are shorter than 1.935 s: their last whole window is used, repeated below 0.975 s"
            )
        ahead: deque[tuple[str, Future[np.ndarray]]] = deque()
        waiting = iter(missing)
        for done in range(1, len(missing) + 1):
            while len(ahead) < 64 and (clip_id := next(waiting, None)) is not None:
                ahead.append((clip_id, pool.submit(_waveform, data, members[clip_id])))
            clip_id, future = ahead.popleft()
            table.resolve([clip_id], {clip_id: future.result()})
            bar.step(len(members) - len(missing) + done, {})
            if done % _SAVE_EVERY == 0:
                table.save(out)
        table.save(out)
        bar.say(f"{out}: {len(table)} clips, encoder {encoder.fingerprint}")


def _waveform(data: str, member: "Member") -> "np.ndarray":
    from avs_train.data import decode
    from shards import storage

    url = storage.join(data, member.shard)
    content = storage.read_range(url, member.offset, member.size)
    try:
        return decode.waveform(content)
    except decode.DecodeError as error:
        raise decode.DecodeError(f"{url} at byte {member.offset}: {error}; run `avs-data verify`") from error
