"""What accepting a link adds to a dataset, before anybody decides it.

Counted on the index tables, as the build counts before it selects: a category's images are the photos with
at least one mask whose label is linked to it, its clips are those that are heard over it; its triplets are its
(image, category) pairs, one an image, if it has a clip at all, and none otherwise. A category with kinds is
counted with them. Impact is the difference that the link makes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from label_maps import LabelMap, Link
from pipelines.review.categories import AcceptedLink, Clash, Node, Resolution, resolve
from pipelines.review.corpus_index import unpack
from pipelines.review.queue import Queue


@dataclass(frozen=True)
class Size:
    """Of a category and its kinds: triplets, distinct images, clips."""

    triplets: int
    images: int
    clips: int


@dataclass(frozen=True)
class Impact:
    """
    Attributes:
        category: where the link would go; '' when it clashes.
        added: what it adds there.
        before: what the category has without it.
        is_new: neither the map nor another accepted link has the category.
        clash: why the link does not fit the map; None: it does.
    """

    category: str
    added: Size
    before: Size
    is_new: bool
    clash: Clash | None

    @property
    def is_nothing(self) -> bool:
        """Whether no dataset is larger for it: the sound has no clip, or the label no photo with a mask."""
        gains = self.added.triplets or (self.added.clips and self.before.triplets)
        return self.clash is None and not gains

    def __str__(self) -> str:
        if self.clash:
            return f"clash: {' and '.join(self.clash.categories)} would be joined"
        added = self.added
        more = f"+{added.images:,} photos, +{added.clips:,} clips"
        return f"+{added.triplets:,} triplets in `{self.category}` ({more})"


class ImpactTable:
    """Images and clips of every label, from the queue; thread-safe, and answers in well under a millisecond a label."""

    def __init__(self, queue: Queue) -> None:
        rows = queue.connection.execute("SELECT source, source_id, images FROM label_images")
        self._packed = {(row["source"], row["source_id"]): row["images"] for row in rows}
        self._clips = {
            (row["source"], row["source_id"]): row["clips"]
            for row in queue.connection.execute("SELECT * FROM label_clips")
        }
        self._images = lru_cache(maxsize=256)(self._unpack)

    @property
    def known(self) -> bool:
        """Whether an index was ever imported."""
        return bool(self._packed or self._clips)

    def of_label(self, node: Node) -> int:
        """Clips of a sound, images of a visual label."""
        return len(self._images(node)) if node in self._packed else self._clip_count(node)

    def size(self, label_map: LabelMap, category: str) -> Size:
        family = {category} | label_map.kinds.below(category)
        seen: dict[str, list[np.ndarray]] = {name: [] for name in family}
        heard: dict[str, set[Node]] = {name: set() for name in family}
        for link in label_map.links:
            node = (link.source, link.source_id)
            if label_map.is_sound(link):
                for name in family & label_map.reached(link):
                    heard[name].add(node)
            elif link.category in family and node in self._packed:
                seen[link.category].append(self._images(node))
        clips = {name: sum(map(self._clip_count, nodes)) for name, nodes in heard.items()}
        return Size(
            sum(_distinct(images) for name, images in seen.items() if clips[name]),
            _distinct([images for found in seen.values() for images in found]),
            sum(map(self._clip_count, set().union(*heard.values()))),
        )

    def _clip_count(self, node: Node) -> int:
        return self._clips.get(node, 0)

    def _unpack(self, node: Node) -> np.ndarray:
        return unpack(self._packed[node]) if node in self._packed else np.empty(0, dtype="<u4")


def impact(
    table: ImpactTable, base: LabelMap, accepted: Sequence[AcceptedLink], link: AcceptedLink
) -> Impact:
    """What `link` adds to a map in which the other accepted links already stand.

    Args:
        base: the map without the rows that the queue wrote (`application.without_own`).
    """
    others = [other for other in accepted if other.item_id != link.item_id]
    before, after = resolve(base, others), resolve(base, [*others, link])
    if link.item_id in after.clashes:
        return Impact("", Size(0, 0, 0), Size(0, 0, 0), False, after.clashes[link.item_id])
    category = after.category[link.item_id]
    before_size = table.size(_joined(base, others, before), category)
    after_size = table.size(_joined(base, [*others, link], after), category)
    added = Size(
        after_size.triplets - before_size.triplets,
        after_size.images - before_size.images,
        after_size.clips - before_size.clips,
    )
    is_new = category not in base.categories and category not in before.category.values()
    return Impact(category, added, before_size, is_new, None)


def _joined(base: LabelMap, links: Sequence[AcceptedLink], resolution: Resolution) -> LabelMap:
    """The map with the links that fit it; a source that no label map knows adds nothing."""
    found = {(held.source, held.source_id): held for held in base.links}
    for link in links:
        if category := resolution.category.get(link.item_id):
            for node, label in zip(link.nodes, (link.audio_label, link.visual_label), strict=True):
                if node[0] not in base.sources:
                    continue
                found.setdefault(node, Link(category, *node, label, "", link.relation, "", "", ""))
    return replace(base, links=tuple(found.values()))


def _distinct(images: Sequence[np.ndarray]) -> int:
    return len(np.unique(np.concatenate(images))) if images else 0
