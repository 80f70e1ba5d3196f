"""Which category a link belongs to: that of its labels in the map, one a reviewer named, or the visual label's name."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from label_maps import LabelMap
from pipelines.review.records import CATEGORY_RULE, QueuedLink

Node = tuple[str, str]  # source, source id
_SUFFIX = re.compile(r"^(.*?)_?\((.*)\)$")  # LVIS tells homonyms apart so: bus_(vehicle)


@dataclass(frozen=True)
class AcceptedLink:
    """A link that stands accepted. `category` is '' where the reviewer left it to the map and the names."""

    item_id: int
    sound: Node
    audio_label: str
    source: str
    visual_id: str
    visual_label: str
    category: str
    relation: str
    decided_by: str
    decided_on: str  # YYYY-MM-DD
    evidence: str

    @property
    def nodes(self) -> tuple[Node, Node]:
        return (self.sound, (self.source, self.visual_id))

    def __str__(self) -> str:
        return f"{self.audio_label} = {self.source} {self.visual_id} ({self.visual_label})"


def candidate(item: QueuedLink) -> AcceptedLink:
    """A link as it would stand if it were accepted without a category."""
    return AcceptedLink(
        item.id, item.sound, *item.key[1:], item.proposal.visual_label, "", "same", "", "", ""
    )


@dataclass(frozen=True)
class Clash:
    """Categories that links would join. `text`: what claims each, which links join them, what to do."""

    categories: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Resolution:
    """
    Attributes:
        category: of every link that fits, by item id.
        clashes: of every link that does not, by item id.
    """

    category: Mapping[int, str]
    clashes: Mapping[int, Clash]


def resolve(label_map: LabelMap, links: Sequence[AcceptedLink]) -> Resolution:
    """Labels joined by links, directly or through others, share one category, since a label belongs to only one.

    A group of joined labels takes the category that the map or a reviewer gives it. Two different ones clash:
    a person has to undo a link or change the map. With none, it takes the name of its visual label (LVIS
    before Open Images, then by name), without the LVIS suffix unless another group or category has that name.
    """
    categories: dict[int, str] = {}
    clashes: dict[int, Clash] = {}
    unnamed = []
    for group in _groups(links):
        claims = _claims(label_map, group)
        if len(claims) == 1:
            categories.update(dict.fromkeys((link.item_id for link in group), next(iter(claims))))
        elif claims:
            clash = Clash(tuple(sorted(claims)), _clash(claims, group))
            clashes.update(dict.fromkeys((link.item_id for link in group), clash))
        else:
            unnamed.append(group)
    taken = set(label_map.categories) | set(categories.values())
    for group in sorted(unnamed, key=_naming_label):
        label = _naming_label(group)[1]
        name = short_name(label)
        if name in taken and _SUFFIX.match(label):
            name = long_name(label)
        taken.add(name)
        for link in group:
            if CATEGORY_RULE.fullmatch(name):
                categories[link.item_id] = name
            else:
                text = f"{link}: {label!r} makes no snake_case name: accept it again with a category"
                clashes[link.item_id] = Clash((name,), text)
    return Resolution(categories, clashes)


def short_name(label: str) -> str:
    """`bus_(vehicle)` -> `bus`, `Musical keyboard` -> `musical_keyboard`."""
    suffixed = _SUFFIX.match(label)
    return long_name(suffixed[1] if suffixed else label)


def long_name(label: str) -> str:
    """`bus_(vehicle)` -> `bus_vehicle`."""
    return re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")


def _groups(links: Sequence[AcceptedLink]) -> list[list[AcceptedLink]]:
    parent: dict[Node, Node] = {}

    def root(node: Node) -> Node:
        while parent.setdefault(node, node) != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for link in links:
        audio, visual = link.nodes
        parent[root(audio)] = root(visual)
    groups: dict[Node, list[AcceptedLink]] = defaultdict(list)
    for link in links:
        groups[root(link.nodes[0])].append(link)
    return list(groups.values())


def _claims(label_map: LabelMap, group: Sequence[AcceptedLink]) -> dict[str, list[str]]:
    """Category -> who says that the group is in it."""
    claims: dict[str, list[str]] = defaultdict(list)
    for source, source_id in sorted({node for link in group for node in link.nodes}):
        held = label_map.link(source, source_id)
        if held:
            name = "" if held.label == source_id else f" ({held.label})"
            claims[held.category].append(f"the map has {source} {source_id!r}{name} there")
    for link in group:
        if link.category:
            claims[link.category].append(f"{link.decided_by} put {link} there")
    return claims


def _clash(claims: Mapping[str, Sequence[str]], group: Sequence[AcceptedLink]) -> str:
    names = " and ".join(repr(name) for name in sorted(claims))
    sides = "; ".join(f"{category!r}: {', '.join(says)}" for category, says in sorted(claims.items()))
    links = "; ".join(f"link {link.item_id}, {link}" for link in group)
    return (
        f"{names} would be joined, but a label belongs to one category. {sides}. Joined by {links}. "
        "Undo one of these, decide it again with another category, or change the map"
    )


def _naming_label(group: Sequence[AcceptedLink]) -> tuple[str, str]:
    return min((link.source, link.visual_label) for link in group)
