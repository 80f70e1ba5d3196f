"""`avs-data match`: proposals for the label map."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

    from pipelines.matching.proposals import Row
    from pipelines.matching.vocabularies import Vocabularies


def _sources(context: click.Context, option: click.Parameter, value: str) -> tuple[str, ...]:
    from pipelines.matching.vocabularies import AUDIO_SOURCES

    found = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
    unknown = [name for name in found if name not in AUDIO_SOURCES]
    if unknown or not found:
        raise click.BadParameter(
            f"{', '.join(unknown) or 'nothing'} is no audio source: give one or more of {','.join(AUDIO_SOURCES)}"
        )
    return found


@click.command()
@click.option(
    "--corpora",
    metavar="DIR",
    help="Folder or URL with vggsound/, lvis/ and open_images/ in their official layouts.",
)
@click.option("--labels", metavar="DIR", help="Folder or URL of label files alone; needs no annotations.")
@click.option(
    "--out", default="proposals.csv", show_default=True, metavar="CSV", help="File or URL to write."
)
@click.option(
    "--audio",
    default="vggsound",
    show_default=True,
    callback=_sources,
    metavar="NAMES",
    help="Sounds to match, with commas: vggsound, audioset, fsd50k.",
)
@click.option("--semantic", is_flag=True, help="Also propose names near in meaning (extra: semantic).")
def command(
    corpora: str | None, labels: str | None, out: str, audio: tuple[str, ...], semantic: bool
) -> None:
    """Propose which visual labels of LVIS and Open Images make the sounds of each audio label.

    Writes one row a pair: `accept` can be taken unseen, `review` is for a person (avs-data review import), `reject`
    says why a likely pair is wrong, such as a homonym. Give exactly one of --corpora and --labels.

    \b
    LABELS/vggsound_stat.csv                             label, clips, group
    LABELS/lvis_v1_categories.json                       LVIS v1 categories
    LABELS/openimages_class-descriptions-boxable.csv     MID, name
    LABELS/openimages_bbox_labels_600_hierarchy.json     optional
    LABELS/openimages_challenge2019_segmentable300.csv   optional: names that the list above lacks
    LABELS/audioset_ontology.json                        optional: groups of AudioSet's and FSD50K's sounds
    LABELS/audioset_class_labels_indices.csv             for --audio audioset
    LABELS/fsd50k_vocabulary.csv                         for --audio fsd50k

    Example: avs-data match --labels labels --out proposals.csv
    """
    if (corpora is None) == (labels is None):
        raise click.UsageError(
            "give exactly one of --corpora and --labels: the vocabularies come from one place"
        )
    from rich.progress import track
    from rich.text import Text

    from pipelines.matching import proposals
    from pipelines.matching.corpora_vocabularies import read_corpora
    from pipelines.matching.ideas import Ideas
    from pipelines.matching.matcher import Matcher
    from pipelines.matching.vocabularies import read_labels
    from shards import terminal

    console = terminal.console(stderr=True)
    vocabularies = read_labels(labels, audio) if labels is not None else read_corpora(corpora or "", audio)
    with console.status(Text("Indexing the visual vocabulary")):
        matcher = Matcher(vocabularies.visual, Ideas(semantic=semantic))
    labels_read = track(vocabularies.audio, "Matching", console=console, transient=True)
    rows = list(proposals.rows(matcher, labels_read))
    proposals.write(out, rows)
    console.print(_summary(vocabularies, rows))
    click.echo(f"{len(rows)} rows in {out}", err=True)


def _summary(vocabularies: "Vocabularies", rows: "list[Row]") -> "Table":
    from collections import Counter

    from rich.table import Table

    counts = Counter((row.source, row.decision) for row in rows)
    table = Table(title=f"{len(vocabularies.audio)} sounds against {len(vocabularies.visual)} visual labels")
    table.add_column("source")
    for decision in ("accept", "review", "reject"):
        table.add_column(decision, justify="right")
    for source in ("lvis", "open_images"):
        table.add_row(source, *(str(counts[source, decision]) for decision in ("accept", "review", "reject")))
    return table
