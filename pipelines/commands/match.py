"""`avs-data match`: proposals for the label map."""

from typing import TYPE_CHECKING

import click

from pipelines.commands.vocabulary_options import audio_option, visual_option

if TYPE_CHECKING:
    from rich.table import Table

    from pipelines.matching.proposals import Proposal
    from pipelines.matching.sources import Source
    from pipelines.matching.vocabularies import AudioLabel, Vocabularies


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
@audio_option
@visual_option
@click.option(
    "--decisions",
    metavar="QUEUE|MAP",
    help="Learn from what people decided: a review queue (.sqlite), a label map that ships, or its CSV.",
)
@click.option(
    "--explain", "explained", metavar="LABEL", help="Print how LABEL is read and judged; write nothing."
)
@click.option("--semantic", is_flag=True, help="Also propose names near in meaning (extra: semantic).")
def command(
    corpora: str | None,
    labels: str | None,
    out: str,
    audio: "tuple[Source, ...]",
    visual: "tuple[Source, ...]",
    decisions: str | None,
    explained: str | None,
    semantic: bool,
) -> None:
    """Propose which things that can be seen make the sound of each audio label.

    Writes one row a pair: `accept` can be taken unseen, `review` is for a person (avs-data review import), `reject`
    says why a likely pair is wrong, such as a homonym. Give one of --corpora and --labels, or all vocabularies as
    files of your own.

    \b
    LABELS/vggsound_stat.csv                             label, clips, group
    LABELS/lvis_v1_categories.json                       LVIS v1 categories
    LABELS/openimages_class-descriptions-boxable.csv     MID, name
    LABELS/openimages_bbox_labels_600_hierarchy.json     optional
    LABELS/openimages_challenge2019_segmentable300.csv   optional: names that the list above lacks
    LABELS/audioset_ontology.json                        optional: what is a kind of what in AudioSet and FSD50K
    LABELS/audioset_class_labels_indices.csv             for --audio audioset
    LABELS/fsd50k_vocabulary.csv                         for --audio fsd50k

    A vocabulary of your own is a CSV with a column `label` and, where you know more, `id`, `group`, `parent`,
    `synonyms`, `definition` (several parents or synonyms with `;`).

    \b
    Examples:
      avs-data match --labels labels --out proposals.csv
      avs-data match --labels labels --audio audioset,fsd50k --audio mine=sounds.csv
      avs-data match --labels labels --decisions avs
      avs-data match --labels labels --audio audioset --explain "Bicycle bell"
    """
    from rich.progress import track
    from rich.text import Text

    from pipelines.matching import proposals, sources
    from pipelines.matching.explain import explain
    from pipelines.matching.matcher import Matcher
    from pipelines.review import decided
    from shards import terminal

    console = terminal.console(stderr=True)
    vocabularies = sources.read(labels, corpora, audio, visual)
    known = decided.read(decisions) if decisions else []
    with console.status(Text("Indexing the visual vocabulary")):
        matcher = Matcher(vocabularies.visual, decided=known, semantic=semantic)
    if explained:
        for label in _named(explained, vocabularies):
            click.echo("\n".join(explain(matcher, label)))
        return
    labels_read = track(vocabularies.audio, "Matching", console=console, transient=True)
    rows = list(proposals.rows(matcher, labels_read))
    proposals.write(out, rows)
    unknown, groups = sources.unknown_groups(vocabularies.audio)
    if unknown:
        click.echo(
            f"Groups of sounds that say nothing, being unknown: {', '.join(unknown)}. Known: {', '.join(groups)}.",
            err=True,
        )
    console.print(_summary(vocabularies, rows))
    click.echo(f"{len(rows)} rows in {out}", err=True)


def _named(text: str, vocabularies: "Vocabularies") -> "list[AudioLabel]":
    """The labels of this text, whatever its case; one of no vocabulary where none has it."""
    from pipelines.matching.vocabularies import AudioLabel

    found = [label for label in vocabularies.audio if label.label.casefold() == text.casefold()]
    return found or [AudioLabel(text, "no vocabulary")]


def _summary(vocabularies: "Vocabularies", rows: "list[Proposal]") -> "Table":
    from collections import Counter

    from rich.table import Table

    from pipelines.matching.proposals import DECISIONS

    counts = Counter((row.source, row.decision) for row in rows)
    table = Table(title=f"{len(vocabularies.audio)} sounds against {len(vocabularies.visual)} visual labels")
    table.add_column("source")
    for decision in DECISIONS:
        table.add_column(decision, justify="right")
    for source in dict.fromkeys(label.source for label in vocabularies.visual):
        table.add_row(source, *(str(counts[source, decision]) for decision in DECISIONS))
    return table
