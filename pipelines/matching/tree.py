"""A tree of names: which class of a vocabulary is wider than which. A class may have several wider ones."""

from collections.abc import Iterable, Mapping


class Tree:
    """Names by id, and pairs (id, id of a wider class); ids without a name are passed over, loops end."""

    def __init__(self, names: Mapping[str, str], pairs: Iterable[tuple[str, str]]) -> None:
        self.names = names
        self._above: dict[str, list[str]] = {}
        self._below: dict[str, list[str]] = {}
        for below, above in dict.fromkeys(pairs):
            self._above.setdefault(below, []).append(above)
            self._below.setdefault(above, []).append(below)

    def chains(self, node: str) -> tuple[tuple[str, ...], ...]:
        """For each class right above, its name and the names above it, nearest first, as far as the way is one."""
        found = []
        for above in self._above.get(node, ()):
            chain: list[str] = []
            ways = [above]
            while len(ways) == 1 and ways[0] not in (node, *chain):
                chain.append(ways[0])
                ways = self._above.get(ways[0], [])
            if named := self._named(chain):
                found.append(named)
        return tuple(found)

    def above(self, node: str) -> tuple[str, ...]:
        """Names of all wider classes, nearest first; of equally near ones in the order of ids."""
        found: dict[str, None] = {}
        level = [node]
        while level:
            level = sorted({above for one in level for above in self._above.get(one, ())} - {node, *found})
            found.update(dict.fromkeys(level))
        return self._named(found)

    def children(self, node: str) -> tuple[str, ...]:
        return self._named(self._below.get(node, ()))

    def _named(self, nodes: Iterable[str]) -> tuple[str, ...]:
        return tuple(self.names[node] for node in nodes if self.names.get(node))
