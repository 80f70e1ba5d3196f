"""Write decided links into a label map: the map's own writer, rows with reviewer, date and evidence, a clean diff."""

import difflib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from label_maps import LabelMap, Link, load
from label_maps.faults import check
from label_maps.label_map import canonical
from label_maps.links import to_csv
from pipelines.corpora import labels as corpus_labels
from pipelines.matching.proposals import LinkKey
from pipelines.review import rejected
from pipelines.review.categories import AcceptedLink, Resolution, resolve
from pipelines.review.errors import ReviewError
from pipelines.review.labels import named
from pipelines.review.queue import Queue
from pipelines.review.records import Decision, QueuedLink
from pipelines.review.rejected import RejectedLink
from shards import storage


@dataclass(frozen=True)
class MapChange:
    """What applying would write. `map_before` and `map_after` are whole sets of links; nothing is written yet."""

    map_path: Path
    map_before: tuple[Link, ...]
    map_after: tuple[Link, ...]
    rejected_before: tuple[RejectedLink, ...]
    rejected_after: tuple[RejectedLink, ...]
    clashes: tuple[str, ...]

    def diff(self) -> str:
        """Unified diff of both files; empty when there is nothing to write."""
        rejected_path = rejected.path_for(self.map_path)
        return _diff(self.map_path, to_csv(self.map_before), to_csv(self.map_after)) + _diff(
            rejected_path,
            rejected.to_csv(self.rejected_before) if self.rejected_before else b"",
            rejected.to_csv(self.rejected_after) if self.rejected_after else b"",
        )


def accepted_links(queue: Queue) -> list[AcceptedLink]:
    """Every link whose standing decision, by a reviewer or the matcher, is accept."""
    decisions = _by_item(queue)
    links = []
    for item in queue.items():
        if item.outcome != "accept":
            continue
        closing = _closing(item, decisions[item.id])
        if closing.origin == "map":
            continue
        shown = item.decided_proposal or item.proposal
        links.append(
            AcceptedLink(
                item.id,
                item.sound,
                *item.key[1:],
                shown.visual_label,
                closing.category,
                closing.relation,
                _deciders(item, decisions[item.id]),
                closing.decided_at[:10],
                _evidence(item, closing),
            )
        )
    return links


def own_links(queue: Queue) -> dict[LinkKey, QueuedLink]:
    """The links that this queue, and not the map, has the last word on: those that it decided at any time."""
    spoken = {decision.item_id for decision in queue.decisions() if decision.origin != "map"}
    return {item.key: item for item in queue.items() if item.id in spoken}


def load_map(queue: Queue, map_path: Path) -> LabelMap:
    """A label map, held against what the queue calls the map's labels.

    Raises:
        LabelMapError: the map itself is faulty.
        CorpusError: the queue was filled from files that mean other things by the map's ids.
    """
    label_map = load(map_path)
    corpus_labels.check(named(queue), label_map)
    return label_map


def without_own(label_map: LabelMap, own: Mapping[LinkKey, QueuedLink]) -> LabelMap:
    """The map less the rows that this queue wrote: what it would hold had nothing been applied."""
    marks = {mark(key) for key in own}
    return replace(
        label_map, links=tuple(link for link in label_map.links if _mark_of(link.note) not in marks)
    )


def plan(queue: Queue, map_path: Path, synsets: Mapping[str, str]) -> MapChange:
    """What the decisions make of a map.

    Rows that this queue wrote are taken out and those that stand are put in: a decision taken back takes its
    rows along, and applying twice changes nothing. All other rows stay as they are.

    Args:
        synsets: LVIS category id -> WordNet synset.

    Raises:
        LabelMapError: the map itself is faulty, or would be.
        CorpusError: the queue means other things by the map's ids.
        ReviewError: decided links with a label that no map can hold, an LVIS label without a known synset, or a label
            of a source that no label map knows.
    """
    with queue.reading():
        label_map = load_map(queue, map_path)
        own, links, refused = own_links(queue), accepted_links(queue), _rejections(queue)
    if unknown := sorted({source for link in links for source, _ in link.nodes} - label_map.sources.keys()):
        raise ReviewError(
            f"{', '.join(unknown)}: label map {label_map.name} knows the sources {', '.join(label_map.sources)} and no "
            f'other. Name it in {map_path.with_suffix(".toml").name} below [sources], {unknown[0]} = "audio" or '
            '"visual"; to build from it, call it as its corpus is called'
        )
    base = without_own(label_map, own)
    resolution = resolve(base, links)
    rejected_before = tuple(rejected.read(rejected.path_for(map_path)))
    rows = _new_rows(base, links, resolution, synsets)
    _check(rows, refused)
    map_after = tuple(sorted([*base.links, *rows]))
    canonical(map_path, map_after)
    return MapChange(
        map_path,
        label_map.links,
        map_after,
        rejected_before,
        tuple(sorted([*(link for link in rejected_before if link.key not in own), *refused])),
        tuple(dict.fromkeys(clash.text for clash in resolution.clashes.values())),
    )


def apply(planned: MapChange, folder: Path | None = None) -> Path:
    """Write what changed, or a whole copy of the map to another folder.

    All files are on the disk before the first of them gets its name: one that fails leaves all as they were. Killed in
    between, the same call completes it.

    Returns:
        The path of the map that was written.
    """
    path = planned.map_path if folder is None else folder / planned.map_path.name
    files: list[tuple[Path, bytes]] = []
    if folder is not None:
        files.append((path.with_suffix(".toml"), planned.map_path.with_suffix(".toml").read_bytes()))
    if folder is not None or planned.rejected_after != planned.rejected_before:
        files.append((rejected.path_for(path), rejected.to_csv(planned.rejected_after)))
    if folder is not None or planned.map_after != planned.map_before:
        files.append((path, canonical(planned.map_path, planned.map_after)))
    with ExitStack() as open_files:
        for name, content in files:
            open_files.enter_context(storage.open_atomic(str(name))).write(content)
    return path


def mark(key: LinkKey) -> str:
    """How a row's note starts when a queue wrote it: `[vggsound:cattle mooing = lvis:80]`."""
    return "[{}:{} = {}:{}]".format(*(part.replace("]", ")") for part in key))


def _mark_of(note: str) -> str:
    return note[: note.index("]") + 1] if note.startswith("[") and "]" in note else ""


def _new_rows(
    base: LabelMap, links: Sequence[AcceptedLink], resolution: Resolution, synsets: Mapping[str, str]
) -> list[Link]:
    rows: dict[tuple[str, str], Link] = {}
    for link in sorted(links, key=lambda accepted: (accepted.decided_on, accepted.item_id)):
        category = resolution.category.get(link.item_id)
        if category is None:
            continue
        if base.sources[link.source].synsets and link.visual_id not in synsets:
            raise ReviewError(
                f"{base.sources[link.source].title} label {link.visual_id} ({link.visual_label}) has no "
                "synset in this queue: import again with --labels DIR or --corpora DIR, which hold the synsets"
            )
        about = (
            link.decided_by,
            link.decided_on,
            f"{mark((link.sound[0], link.audio_label, *link.nodes[1]))} {link.evidence}".strip(),
        )
        synset = synsets[link.visual_id] if base.sources[link.source].synsets else ""
        sides = (
            Link(category, *link.sound, link.audio_label, "", link.relation, *about),
            Link(category, link.source, link.visual_id, link.visual_label, synset, "same", *about),
        )
        for row in sides:
            if base.link(row.source, row.source_id) is None:
                rows.setdefault((row.source, row.source_id), row)
    return list(rows.values())


def _check(rows: Sequence[Link], refused: Sequence[RejectedLink]) -> None:
    """ReviewError where a row breaks a rule on its own, named by its labels: nothing is to be written then."""
    found = [
        f"{row.source} {row.label!r}, {broken.column} {broken.value!r}: {broken.rule}"
        for row in rows
        for broken in check([(0, row)], whole=False)
    ]
    found += [
        f"{link.audio_label!r} = {link.visual_label!r}: {fault}"
        for link in refused
        if (fault := rejected.fault_of(link))
    ]
    if found:
        raise ReviewError(
            f"{len(found)} values of decided links fit no label map; nothing was written:\n  "
            + "\n  ".join(found)
            + "\nTake these decisions back (`review undo --decision N`), and import proposals without the fault"
        )


def _rejections(queue: Queue) -> list[RejectedLink]:
    decisions = _by_item(queue)
    rows = []
    for item in queue.items():
        if item.outcome != "reject":
            continue
        closing = _closing(item, decisions[item.id])
        if closing.origin != "map":
            shown = item.decided_proposal or item.proposal
            who, day = _deciders(item, decisions[item.id]), closing.decided_at[:10]
            rows.append(RejectedLink(*item.key, shown.visual_label, who, day, _evidence(item, closing)))
    return rows


def _by_item(queue: Queue) -> dict[int, list[Decision]]:
    grouped: dict[int, list[Decision]] = {}
    for decision in queue.decisions():
        grouped.setdefault(decision.item_id, []).append(decision)
    return grouped


def _closing(item: QueuedLink, decisions: Sequence[Decision]) -> Decision:
    return next(decision for decision in decisions if decision.id == item.closed_by)


def _deciders(item: QueuedLink, decisions: Sequence[Decision]) -> str:
    """Those whose votes made the outcome, in the order they gave them: `anna + ben`."""
    closing = _closing(item, decisions)
    agreeing = [
        d.reviewer
        for d in decisions
        if not d.undone
        and (d.proposal_id, d.verdict) == (closing.proposal_id, closing.verdict)
        and d.id <= closing.id
    ]
    return " + ".join(dict.fromkeys(agreeing))


def _evidence(item: QueuedLink, closing: Decision) -> str:
    shown = item.decided_proposal or item.proposal
    score = "" if shown.score is None else f"score {shown.score:.3f}"
    parts = [score, shown.method, shown.reason, closing.note and f"reviewer: {closing.note}"]
    text = " ".join("; ".join(part for part in parts if part).split())
    return "".join(letter for letter in text if letter.isprintable())


def _diff(path: Path, before: bytes, after: bytes) -> str:
    lines = difflib.unified_diff(
        before.decode().splitlines(keepends=True),
        after.decode().splitlines(keepends=True),
        f"a/{path.name}" if path.parent.name != "rejected" else f"a/rejected/{path.name}",
        f"b/{path.name}" if path.parent.name != "rejected" else f"b/rejected/{path.name}",
    )
    return "".join(lines)
