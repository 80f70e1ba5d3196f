"""`avs-data review import`."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from pipelines.commands import options
from pipelines.commands.review.queue_options import MAP, QUEUE, map_path, remember_map
from pipelines.commands.vocabulary_options import audio_option, visual_option
from shards.command_line import Command

if TYPE_CHECKING:
    from label_maps import LabelMap
    from pipelines.corpora.labels import NamedLabel
    from pipelines.matching.proposals import Proposal
    from pipelines.matching.sources import Source
    from pipelines.review.queue import Queue


_STAGES = ("Read the proposals", "Read the labels", "Read the index", "Count and order the links")


@click.command(cls=Command)
@click.argument("proposals_csv")
@QUEUE
@MAP
@click.option(
    "--corpora",
    metavar="DIR",
    help="Folder or URL of corpora: photos and clips for the page, and the labels' definitions.",
)
@click.option(
    "--labels",
    "labels_dir",
    metavar="DIR",
    help="Vocabulary files, instead of the corpora's own; see `match`.",
)
@audio_option
@visual_option
@click.option(
    "--index",
    "index_dir",
    metavar="DIR",
    help="Folder that `avs-data index` wrote: impact and examples come from it.",
)
@click.option(
    "--reviewers", type=click.IntRange(1, 2), default=1, show_default=True, help="Votes a new link needs."
)
@click.option(
    "--gold",
    "gold_csv",
    metavar="CSV",
    help="CSV of known answers, mixed in unseen: audio_label,source,visual_label,relation.",
)
@click.option(
    "--gold-rate",
    type=click.FloatRange(0, 0.5),
    default=0.1,
    show_default=True,
    help="Gold links per link asked.",
)
@click.option(
    "--boundary",
    type=click.FloatRange(0, 1),
    help="Score at which the matcher is least sure.  [default: found from the file]",
)
@click.option("--ask-all", is_flag=True, help="Also ask links that add nothing by this index, last.")
@click.option("--trust-accepts", is_flag=True, help="Take the matcher's accepts as decided, in its name.")
@click.option("--seed", default=0, show_default=True, help="Of the choice and place of gold.")
@options.JSON
def command(
    proposals_csv: str,
    queue_path: str,
    map_name: str | None,
    corpora: str | None,
    labels_dir: str | None,
    audio: "tuple[Source, ...]",
    visual: "tuple[Source, ...]",
    index_dir: str | None,
    reviewers: int,
    gold_csv: str | None,
    gold_rate: float,
    boundary: float | None,
    ask_all: bool,
    trust_accepts: bool,
    seed: int,
    as_json: bool,
) -> None:
    """Put PROPOSALS_CSV into the queue, or bring the queue up to date with it.

    What the queue, the label map or its list of rejected links decided is not asked again, unless the
    proposal changed. Rows that the matcher rejected are kept but not asked; with an index, neither are links that
    would add nothing. The queue remembers --map and --corpora for `list`, `show`, `serve` and `apply`.

    Example: avs-data review import proposals.csv --corpora corpora --index out/index
    """
    from shards import terminal
    from shards.display import Display

    with Display(
        f"Bring {queue_path} up to date with {proposals_csv}", dict.fromkeys(_STAGES, "")
    ) as display:
        import label_maps
        from pipelines.corpora import labels as corpus_labels
        from pipelines.matching import gold, proposals
        from pipelines.review import corpus_index, intake, rejected
        from pipelines.review.queue import Queue
        from shards import storage

        display.show(_STAGES[0])
        asked = intake.IntakeOptions(reviewers, gold_rate, boundary, trust_accepts, ask_all, seed)
        rows = proposals.read(proposals_csv)
        truth = gold.read(gold_csv) if gold_csv else None
        path = _map_path(queue_path, map_name)
        label_map = label_maps.load(path)
        audio = _of_proposals("audio", audio, {row.audio_source for row in rows})
        visual = _of_proposals("visual", visual, {row.source for row in rows})
        display.show(_STAGES[1])
        corpus_labels.check(_named(proposals_csv, rows, corpora, index_dir), label_map)
        with Queue(queue_path, create=True) as queue:
            remember_map(queue, path, map_name or queue.meta("map", "avs"))
            if labels_dir or corpora or any(source.file for source in audio + visual):
                _load_labels(queue, labels_dir, corpora, audio, visual, label_map)
            if index_dir:
                display.show(_STAGES[2])
                found = corpus_index.load_index(queue, index_dir)
                display.say(
                    f"Index: {found.visual_labels:,} visual labels on {found.images:,} photos, "
                    f"{found.audio_labels:,} sounds with {found.clips:,} clips."
                )
            if corpora:
                queue.set_meta(corpora=storage.absolute(corpora))
            display.show(_STAGES[3])
            refused = rejected.read(rejected.path_for(path))
            report = intake.import_proposals(queue, rows, asked, label_map, refused, truth)
            indexed = bool(queue.meta("index_loads"))
    if as_json:
        terminal.out_json({"proposals": len(rows), **asdict(report)})
        return
    terminal.out(
        f"{len(rows):,} proposals: {report.new:,} new, {report.unchanged:,} unchanged, {report.changed:,} changed "
        f"({report.reopened:,} asked again); {report.settled:,} settled by the map and what it refused. The queue asks "
        f"{report.asked:,} links, {report.gold:,} of them gold, most uncertain and most useful first (boundary "
        f"{report.boundary:.3f})."
    )
    if not indexed:
        terminal.warn(
            "Without an index the page shows no photo, plays no clip and counts nothing: `avs-data index` writes one, "
            "and --index brings it here."
        )
    if not report.asked and report.settled:
        terminal.out(
            "Nothing is to be decided: the map says already of each link whether it holds. `match` proposes others of "
            "other corpora or vocabularies, or `--map` names a map that has fewer links."
        )
    if report.left_out:
        terminal.out(
            f"{report.left_out:,} more are left out: they add nothing, because the sound has no clip or the label no "
            "photo with a mask in the index. --ask-all asks them last."
        )


def _of_proposals(
    option: Literal["audio", "visual"], given: "tuple[Source, ...]", named: set[str]
) -> "tuple[Source, ...]":
    """The vocabularies that are given; where none is, those that the proposals are of."""
    from pipelines.matching import sources

    if click.get_current_context().get_parameter_source(option) is not click.core.ParameterSource.DEFAULT:
        return given
    known = sources.known("sounds" if option == "audio" else "images")
    return tuple(sources.Source(name) for name in known if name in named) or given


def _map_path(queue_path: str, map_name: str | None) -> Path:
    """The label map's CSV; no queue comes into being, in case the rest is refused."""
    from label_maps.label_map import path_of
    from pipelines.review.queue import Queue

    if not Path(queue_path).exists():
        return path_of(map_name or "avs")
    with Queue(queue_path) as queue:
        return map_path(queue, map_name)


def _named(
    proposals_csv: str, rows: "list[Proposal]", corpora: str | None, index_dir: str | None
) -> "Iterator[NamedLabel]":
    """What the files of an import call their labels."""
    from pipelines.corpora import labels as corpus_labels
    from shards import storage

    for row in rows:
        yield corpus_labels.NamedLabel(proposals_csv, row.source, row.visual_id, row.visual_label)
    if corpora:
        yield from corpus_labels.declared(corpora)
    if index_dir and storage.exists(storage.join(index_dir, "masks.parquet")):
        yield from corpus_labels.indexed(storage.join(index_dir, "masks.parquet"))


def _has_ids(name: str) -> bool:
    from label_maps import SOURCES

    return name not in SOURCES or SOURCES[name].ids != "label"


def _load_labels(
    queue: "Queue",
    labels_dir: str | None,
    corpora: str | None,
    audio: "tuple[Source, ...]",
    visual: "tuple[Source, ...]",
    label_map: "LabelMap",
) -> None:
    """Sounds of a corpus whose labels are their own ids need not be known. Without a folder, files alone are read."""
    from pipelines.corpora import labels as corpus_labels
    from pipelines.corpora.labels import NamedLabel
    from pipelines.matching import sources
    from pipelines.review import labels

    folder = labels_dir or corpora
    found = sources.read(
        labels_dir,
        None if labels_dir else corpora,
        [source for source in audio if source.file or (folder and _has_ids(source.name))],
        [source for source in visual if source.file or folder],
    )
    files = {source.name: source.file for source in audio + visual if source.file}
    seen = [
        NamedLabel(files.get(one.source, folder or ""), one.source, one.id, one.name, one.synset)
        for one in found.visual
    ]
    heard = [
        NamedLabel(files.get(one.source, folder or ""), one.source, one.id, one.label) for one in found.audio
    ]
    corpus_labels.check([*seen, *heard], label_map)
    labels.load_labels(queue, found.visual)
    labels.load_sounds(queue, found.audio)
