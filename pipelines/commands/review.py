"""`avs-data review`: the queue of proposed links, on the command line and in a browser."""

import getpass
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from label_maps.label_map import path_of
from pipelines.commands import options
from pipelines.commands.vocabulary_options import audio_option, visual_option
from pipelines.matching import proposals
from pipelines.matching.proposals import Proposal
from pipelines.review import agreement, log_csv, rejected
from pipelines.review.errors import ReviewError
from pipelines.review.queue import Queue
from pipelines.review.records import RELATIONS, Answer, QueuedLink
from shards import storage
from shards.command_line import CommandGroup

if TYPE_CHECKING:
    from label_maps import LabelMap
    from pipelines.corpora.labels import NamedLabel
    from pipelines.matching.sources import Source

LINK = click.IntRange(1, 2**63 - 1)  # a number that SQLite can hold
queue_option = click.option(
    "--queue", "queue_path", default="review.sqlite", show_default=True, help="The queue's SQLite file."
)
map_option = click.option(
    "--map",
    "map_name",
    default="avs",
    show_default=True,
    help="A label map that ships, or the path of its CSV.",
)


def _login_name() -> str:
    try:
        return os.environ.get("AVS_REVIEWER") or getpass.getuser()
    except (KeyError, OSError) as error:  # a user without a name, as in a container
        raise click.UsageError("who reviews? Give --reviewer NAME, or set AVS_REVIEWER") from error


reviewer_option = click.option(
    "--reviewer",
    default=_login_name,
    show_default="$AVS_REVIEWER or the login name",
    help="In whose name.",
)


@click.group(cls=CommandGroup)
def command() -> None:
    """Review proposed links between sounds and visual labels, and write those accepted into the label map.

    \b
    avs-data match --corpora DIR --out proposals.csv
    avs-data review import proposals.csv --corpora DIR --index INDEX
    avs-data review serve
    avs-data review apply --dry-run
    avs-data review apply
    """


@command.command("import")
@click.argument("proposals_csv")
@queue_option
@map_option
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
@click.option("--gold-rate", default=0.1, show_default=True, help="Gold links per link asked.")
@click.option(
    "--boundary", type=float, help="Score at which the matcher is least sure; found from the file by default."
)
@click.option("--trust-accepts", is_flag=True, help="Take the matcher's accepts as decided, in its name.")
@click.option("--seed", default=0, show_default=True, help="Of the choice and place of gold.")
def import_(
    proposals_csv: str,
    queue_path: str,
    map_name: str,
    corpora: str | None,
    labels_dir: str | None,
    audio: "tuple[Source, ...]",
    visual: "tuple[Source, ...]",
    index_dir: str | None,
    reviewers: int,
    gold_csv: str | None,
    gold_rate: float,
    boundary: float | None,
    trust_accepts: bool,
    seed: int,
) -> None:
    """Put PROPOSALS_CSV into the queue, or bring the queue up to date with it.

    What the queue, the label map or its list of rejected links decided is not asked again, unless the
    proposal changed. Rows that the matcher rejected are kept but not asked.

    Example: avs-data review import proposals.csv --corpora corpora --index out/index
    """
    import label_maps
    from pipelines.corpora import labels as corpus_labels
    from pipelines.matching import gold
    from pipelines.review import corpus_index, intake

    asked = intake.IntakeOptions(reviewers, gold_rate, boundary, trust_accepts, seed)
    rows = proposals.read(proposals_csv)
    truth = gold.read(gold_csv) if gold_csv else None
    map_path = path_of(map_name)
    label_map = label_maps.load(map_path)
    corpus_labels.check(_named(proposals_csv, rows, corpora, index_dir), label_map)
    with Queue(queue_path, create=True) as queue:
        if labels_dir or corpora or any(source.file for source in audio + visual):
            _load_labels(queue, labels_dir, corpora, audio, visual, label_map)
        if index_dir:
            found = corpus_index.load_index(queue, index_dir)
            click.echo(
                f"Index: {found.visual_labels:,} visual labels on {found.images:,} images, "
                f"{found.audio_labels:,} sounds with {found.clips:,} clips.",
                err=True,
            )
        if corpora:
            queue.set_meta("corpora", storage.absolute(corpora))
        refused = rejected.read(rejected.path_for(map_path))
        report = intake.import_proposals(queue, rows, asked, label_map, refused, truth)
    click.echo(
        f"{len(rows):,} proposals: {report.new:,} new ({report.settled:,} settled by the map), {report.unchanged:,} "
        f"unchanged, {report.changed:,} changed ({report.reopened:,} asked again). The queue asks "
        f"{report.asked:,} links, {report.gold:,} of them gold, most uncertain first (boundary {report.boundary:.3f}).",
        err=True,
    )


@command.command("list")
@queue_option
@map_option
@click.option(
    "--state",
    type=click.Choice(["waiting", "third", "changed", "accept", "reject", "not-asked", "all"]),
    default="waiting",
    show_default=True,
    help="Only links that wait, wait for a third vote, changed, were decided so, or are not asked.",
)
@click.option("--label", help="Only sounds or visual labels whose name holds this.")
@click.option(
    "--limit", type=click.IntRange(0), default=50, show_default=True, help="At most so many; 0: all."
)
@click.option("--impact", "with_impact", is_flag=True, help="Also what each link would add.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(
    queue_path: str,
    map_name: str,
    state: str,
    label: str | None,
    limit: int,
    with_impact: bool,
    as_json: bool,
) -> None:
    """List links, in the order they are asked.

    Example: avs-data review list --state accept --label dog --limit 0
    """
    from rich.table import Table

    from pipelines.review import describe
    from shards import terminal

    keep: dict[str, Callable[[QueuedLink], bool]] = {
        "waiting": lambda item: item.asked and item.state in ("open", "third"),
        "third": lambda item: item.state == "third",
        "changed": lambda item: item.changed,
        "accept": lambda item: item.state == "accept",
        "reject": lambda item: item.state == "reject",
        "not-asked": lambda item: not item.asked,
        "all": lambda item: True,
    }
    needle = (label or "").lower()
    with Queue(queue_path) as queue:
        found = [
            item
            for item in queue.items()
            if keep[state](item)
            and needle in f"{item.proposal.audio_label}\n{item.proposal.visual_label}".lower()
        ]
        shown = found[:limit] if limit else found
        impacts = describe.impacts(queue, path_of(map_name), shown) if with_impact else {}
    if as_json:
        for item in shown:
            row = {"link": item.id, **asdict(item.proposal), "state": item.state, "changed": item.changed}
            click.echo(
                json.dumps(row | ({"impact": impacts[item.id]} if with_impact else {}), ensure_ascii=False)
            )
        return
    table = Table(box=None, header_style="bold")
    for name in (
        "link",
        "sound",
        "visual label",
        "score",
        "matcher",
        "state",
        *(["impact"] if with_impact else []),
    ):
        table.add_column(name, justify="right" if name in ("link", "score") else "left", overflow="fold")
    for item in shown:
        p = item.proposal
        score = "" if p.score is None else f"{p.score:.2f}"
        mark = "changed" if item.changed else item.state
        visual = f"{p.visual_label} [{p.source}]"
        table.add_row(
            str(item.id),
            p.audio_label,
            visual,
            score,
            p.decision,
            mark,
            *([impacts[item.id]] if with_impact else []),
        )
    terminal.console().print(table)
    if len(shown) < len(found):
        click.echo(f"{len(found) - len(shown):,} more: raise --limit")


@command.command()
@click.argument("link", type=LINK)
@queue_option
@map_option
def show(link: int, queue_path: str, map_name: str) -> None:
    """Show LINK: what the matcher says, what it would add, and every decision about it.

    Example: avs-data review show 17
    """
    from pipelines.review import describe

    with Queue(queue_path) as queue:
        click.echo(describe.link(queue, path_of(map_name), queue.item(link)))


def _decision_command(verdict: str, about: str, example: str) -> click.Command:
    """`accept`, `reject` and `defer` differ in one word, and in that only accepts name a category."""

    def decide(
        links: tuple[int, ...], queue_path: str, reviewer: str, note: str, **accept: str | None
    ) -> None:
        answer = Answer(verdict, accept.get("category") or "", accept.get("relation") or "same", note)
        with Queue(queue_path) as queue:
            for link in links:
                decision = queue.decide(link, reviewer, answer)
                click.echo(f"link {link}: {verdict} by {reviewer}, decision {decision.id}")

    made: Any = click.argument("links", type=LINK, nargs=-1, required=True)(decide)
    made = click.option("--note", default="", help="Why; goes into the map as evidence.")(
        reviewer_option(queue_option(made))
    )
    if verdict == "accept":
        made = click.option(
            "--category", help="Where it goes; by default the map or the label's name tells."
        )(made)
        made = click.option(
            "--relation", type=click.Choice(RELATIONS), help="Of the sound to the category (same by default)."
        )(made)
    return click.command(verdict, help=f"{about}\n\nExample: avs-data review {verdict} {example}")(made)


for each in (
    _decision_command(
        "accept",
        "Accept LINKS: what is seen is what makes the sound.",
        "17 18 --category dog --relation kind_of",
    ),
    _decision_command("reject", "Reject LINKS: they are not the same thing.", '19 --note "a toy, not a car"'),
    _decision_command("defer", "Defer LINKS: they go to the end of your queue.", "20"),
):
    command.add_command(each)


@command.command()
@queue_option
@reviewer_option
@click.option(
    "--decision", type=LINK, help="A decision to take back, also another reviewer's; `show` lists them."
)
def undo(queue_path: str, reviewer: str, decision: int | None) -> None:
    """Take back your newest decision; repeat to go further back. The log keeps both.

    Example: avs-data review undo --decision 41
    """
    with Queue(queue_path) as queue:
        taken_back = queue.undo(reviewer, decision)
    click.echo(f"link {taken_back.item_id}: {taken_back.verdict} by {taken_back.reviewer} is taken back")


@command.command()
@queue_option
@map_option
@options.DRY_RUN
@click.option(
    "--skip-clashes", is_flag=True, help="Write the links that fit and leave those that clash in the queue."
)
def apply(queue_path: str, map_name: str, dry_run: bool, skip_clashes: bool) -> None:
    """Write decided links into the label map, and rejected ones into rejected/<map>.csv beside it.

    Prints the diff. Rows carry reviewer, date and evidence; decisions taken back take their rows along;
    applying twice changes nothing. Links that would put one label into two categories stop it, and are named.

    Example: avs-data review apply --dry-run
    """
    from pipelines.review import application, labels

    with Queue(queue_path) as queue:
        planned = application.plan(queue, path_of(map_name), labels.synsets(queue))
    for clash in planned.clashes:
        click.echo(f"clash: {clash}", err=True)
    click.echo(planned.diff(), nl=False)
    if planned.clashes and not skip_clashes and not dry_run:
        raise ReviewError(
            f"{len(planned.clashes)} clashes: nothing was written. --skip-clashes writes the rest"
        )
    if dry_run:
        return
    application.apply(planned)
    added = len(set(planned.map_after) - set(planned.map_before))
    removed = len(set(planned.map_before) - set(planned.map_after))
    changed = added or removed
    note = (
        f"; raise the version in {planned.map_path.with_suffix('.toml').name} before you build"
        if changed
        else ""
    )
    click.echo(f"{planned.map_path}: {added} rows added, {removed} taken out{note}", err=True)


@command.command()
@queue_option
@click.option(
    "--out", default="-", show_default=True, metavar="CSV", help="A file or URL to write; - is the terminal."
)
def export(queue_path: str, out: str) -> None:
    """Write the whole log as CSV: every decision of everybody, undone ones too.

    Example: avs-data review export --out decisions.csv
    """
    with Queue(queue_path) as queue:
        text = log_csv.to_csv(queue)
    if out == "-":
        click.echo(text, nl=False)
    else:
        storage.write_atomic(out, text.encode())


@command.command("agreement")
@queue_option
def agreement_(queue_path: str) -> None:
    """Cohen's kappa of every two reviewers, and how each did on gold.

    Example: avs-data review agreement
    """
    with Queue(queue_path) as queue:
        pairs, scores = agreement.pairs(queue), agreement.gold_scores(queue)
    if not pairs and not scores:
        click.echo("nothing to compare yet: no two reviewers judged the same link, and nobody judged gold")
    for pair in pairs:
        kappa = "undefined" if pair.kappa is None else f"{pair.kappa:.3f}"
        click.echo(
            f"{pair.first} and {pair.second}: agree on {pair.agreed} of {pair.links} links, kappa {kappa}"
        )
    for score in scores:
        click.echo(
            f"{score.reviewer}: {score.right} of {score.links} gold links right, {score.false_accepts} false accepts"
        )


@command.command()
@queue_option
@map_option
@click.option(
    "--corpora", metavar="DIR", help="Folder or URL of corpora.  [default: the one given at import]"
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; 0.0.0.0 is every network of this machine.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8710, show_default=True, help="0 takes a free one."
)
@click.option(
    "--allow-host",
    multiple=True,
    help="A further name under which browsers reach this machine; may be repeated.",
)
@click.option(
    "--no-token",
    is_flag=True,
    help="Let everybody in who reaches the address: all users and programs of this machine, and with another --host "
    "the whole network. They can read everything shown, and decide in any name.",
)
def serve(
    queue_path: str,
    map_name: str,
    corpora: str | None,
    host: str,
    port: int,
    allow_host: tuple[str, ...],
    no_token: bool,
) -> None:
    """Serve the review page: photos and sounds side by side, decided by keyboard or by touch.

    Prints a link with a token: open it in a browser of this machine. Whoever has the link can decide, nobody else.

    Example: avs-data review serve --port 0
    """
    from pipelines.review.server.run import serve as run

    with Queue(queue_path) as queue:
        corpora = corpora or queue.meta("corpora")
    run(queue_path, path_of(map_name), corpora, host, port, allow_host, not no_token)


def _named(
    proposals_csv: str, rows: list[Proposal], corpora: str | None, index_dir: str | None
) -> "Iterator[NamedLabel]":
    """What the files of an import call their labels."""
    from pipelines.corpora import labels as corpus_labels

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
    queue: Queue,
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
