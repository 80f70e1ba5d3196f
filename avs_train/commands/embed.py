"""`avs-train embed`."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import click

from avs_train.commands import options
from shards.command_line import Command

if TYPE_CHECKING:
    import numpy as np

    from avs_train.config import Config
    from avs_train.data.embeddings import Embeddings
    from avs_train.data.samples import Member
    from avs_train.display import RunDisplay

_SAVE_EVERY = 5000  # clips


@click.command(
    cls=Command, kept="what {out} holds is kept: a save each 5,000 clips; the same command goes on"
)
@click.argument("config")
@options.OVERRIDES
@options.DATA
@click.option(
    "--out", required=True, metavar="FILE", help="Parquet table; clips that it holds already are kept."
)
@options.JSON
def command(config: str, overrides: tuple[str, ...], data: str, out: str, as_json: bool) -> None:
    """Compute the embedding of every clip of DATASET's pool with CONFIG's encoder.

    Give the table to training with `audio.embeddings=FILE`. Without one, training embeds each clip when it first
    hears it: the numbers are the same. A killed command resumes where it last saved.

    Example: avs-train embed sama_avs --data out/avs --out embeddings.parquet
    """
    from avs_train import config as configuration
    from avs_train.display import RunDisplay
    from shards import terminal

    settings = configuration.load(config, overrides)
    configuration.check_weights(settings)
    with RunDisplay(f"Embed the clips of {data} into {out}", "Embed", "clips") as display:
        table = _fill(settings, data, out, display)
    if as_json:
        terminal.out_json({"out": out, "clips": len(table), "encoder": table.encoder.fingerprint})


def _fill(settings: "Config", data: str, out: str, display: "RunDisplay") -> "Embeddings":
    """The table at `out`, saved with every clip of the dataset's pool in it."""
    from avs_train.audio import open_encoder
    from avs_train.data.embeddings import Embeddings, load_embeddings
    from avs_train.data.samples import open_split
    from avs_train.distributed import choose_device
    from shards import format, storage
    from shards.manifest import DatasetError
    from shards.reader import Dataset
    from shards.records import RECORDING

    encoder = open_encoder(settings.audio, choose_device(settings.train.device))
    table = load_embeddings(out, encoder) if storage.exists(out) else Embeddings(encoder)
    members: dict[str, Member] = {}
    short = 0
    counts = Dataset(data).manifest.counts
    for split in (split for split in format.SPLITS if split in counts and counts[split]["samples"]):
        found = open_split(data, split)
        if found.scenes and set(found.counts) - {RECORDING}:
            raise DatasetError(
                f"{data} has scenes, which hear mixtures and no clip as it is: there is nothing to embed ahead, leave "
                "audio.embeddings empty"
            )
        clips = found.clips
        members |= clips.members
        short += sum(seconds < 1.935 for seconds in clips.duration_s.values())
    if not members:
        raise DatasetError(f"{data} has no clip that a sample could hear: nothing to embed")
    missing = [clip_id for clip_id in sorted(members) if clip_id not in table]
    with ThreadPoolExecutor(max(1, settings.data.workers)) as pool:
        display.begin({"clips": len(members)}, len(members), len(members) - len(missing))
        if short:
            display.say(f"{short} clips are below 1.935 s: the last whole window, repeated below 0.975 s")
        ahead: deque[tuple[str, Future[np.ndarray]]] = deque()
        waiting = iter(missing)
        for done in range(1, len(missing) + 1):
            while len(ahead) < 64 and (clip_id := next(waiting, None)) is not None:
                ahead.append((clip_id, pool.submit(_waveform, data, members[clip_id])))
            clip_id, future = ahead.popleft()
            table.resolve([clip_id], {clip_id: future.result()})
            display.step(len(members) - len(missing) + done, {})
            if done % _SAVE_EVERY == 0:
                table.save(out)
        table.save(out)
        display.say(f"{out}: {len(table)} clips, encoder {encoder.fingerprint}")
    return table


def _waveform(data: str, member: "Member") -> "np.ndarray":
    from avs_train.data import decode
    from shards import storage

    url = storage.join(data, member.shard)
    content = storage.read_range(url, member.offset, member.size)
    try:
        return decode.waveform(content)
    except decode.DecodeError as error:
        raise decode.DecodeError(
            f"{url} at byte {member.offset}: {error}; run `avs-data verify --deep`"
        ) from error
