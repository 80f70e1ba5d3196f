"""`avs-data match`: proposals for the label map."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from pipelines.commands import options
from pipelines.commands.vocabulary_options import audio_option, visual_option
from shards.command_line import NOTHING, Command

if TYPE_CHECKING:
    from pipelines.matching.proposals import Proposal
    from pipelines.matching.sources import Source
    from pipelines.matching.vocabularies import AudioLabel, Vocabularies
    from shards.terminal import Table


@click.command(cls=Command, kept=NOTHING)
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
@options.JSON
def command(
    corpora: str | None,
    labels: str | None,
    out: str,
    audio: "tuple[Source, ...]",
    visual: "tuple[Source, ...]",
    decisions: str | None,
    explained: str | None,
    semantic: bool,
    as_json: bool,
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
    from shards import terminal
    from shards.display import Display

    stages = {"Read the vocabularies": "", "Index the visual vocabulary": "", "Match": "sounds"}
    with Display("Match sounds with what can be seen", stages) as display:
        display.show("Read the vocabularies")
        from pipelines.matching import proposals, sources
        from pipelines.matching.explain import explain
        from pipelines.matching.matcher import Matcher
        from pipelines.review import decided

        vocabularies = sources.read(labels, corpora, audio, visual)
        known = decided.read(decisions) if decisions else []
        display.show("Index the visual vocabulary")
        matcher = Matcher(vocabularies.visual, decided=known, semantic=semantic)
        if not explained:
            total = len(vocabularies.audio)
            told = _told(vocabularies.audio, lambda done: display.show("Match", done, total))
            rows = list(proposals.rows(matcher, told))
            proposals.write(out, rows)
    if explained:
        for label in _named(explained, vocabularies):
            terminal.out(*explain(matcher, label))
        return
    unknown, groups = sources.unknown_groups(vocabularies.audio)
    if unknown:
        terminal.warn(
            f"Groups of sounds that say nothing, being unknown: {', '.join(unknown)}. Known: {', '.join(groups)}."
        )
    if as_json:
        counts = Counter((row.source, row.decision) for row in rows)
        named = [{"source": of, "decision": how, "rows": n} for (of, how), n in sorted(counts.items())]
        terminal.out_json({"out": out, "rows": len(rows), "decisions": named})
        return
    terminal.console(stderr=True).print(_summary(vocabularies, rows))
    terminal.say(f"{len(rows)} rows in {out}")


def _told(labels: "tuple[AudioLabel, ...]", progress: Callable[[int], None]) -> "Iterator[AudioLabel]":
    for done, label in enumerate(labels):
        progress(done)
        yield label


def _named(text: str, vocabularies: "Vocabularies") -> "list[AudioLabel]":
    """The labels of this text, whatever its case; one of no vocabulary where none has it."""
    from pipelines.matching.vocabularies import AudioLabel

    found = [label for label in vocabularies.audio if label.label.casefold() == text.casefold()]
    return found or [AudioLabel(text, "no vocabulary")]


def _summary(vocabularies: "Vocabularies", rows: "list[Proposal]") -> "Table":
    from pipelines.matching.proposals import DECISIONS
    from shards.terminal import Table

    counts = Counter((row.source, row.decision) for row in rows)
    table = Table(title=f"{len(vocabularies.audio)} sounds against {len(vocabularies.visual)} visual labels")
    table.add_column("source")
    for decision in DECISIONS:
        table.add_column(decision, justify="right")
    for source in dict.fromkeys(label.source for label in vocabularies.visual):
        table.add_row(source, *(str(counts[source, decision]) for decision in DECISIONS))
    return table
