"""What a corpus's own files call their labels, held against a label map: an id means a thing only with its name."""

from collections.abc import Iterable, Iterator

import pyarrow as pa

from label_maps import LabelMap, Link
from pipelines.corpora import registry
from pipelines.corpora.corpus import Corpus, NamedLabel
from pipelines.corpora.source import CorpusError
from pipelines.matching.wording import name_key
from shards import tables


def declared(corpora: str, names: Iterable[str] = ()) -> Iterator[NamedLabel]:
    """Every label that the annotation files below a folder or URL name, but not those whose names are their ids.

    Args:
        names: of the corpora to look at; none: all.

    Raises:
        CorpusError: a file that cannot be read.
    """
    for corpus in registry.chosen(names):
        yield from corpus.labels(corpora)


def indexed(url: str) -> Iterator[NamedLabel]:
    """Every label of a masks.parquet that `avs-data index` wrote, with each of its names."""
    columns = ["corpus", "label_id", "label"]
    found: set[tuple[str, str, str]] = set()
    for batch in tables.batches(url, columns):
        distinct = pa.table(batch).group_by(columns).aggregate([])
        found.update((row["corpus"], row["label_id"], row["label"] or "") for row in distinct.to_pylist())
    for corpus, label_id, label in sorted(found):
        yield NamedLabel(url, corpus, label_id, label)


def check(named: Iterable[NamedLabel], label_map: LabelMap) -> None:
    """Nothing, where every label that the map links too goes by the map's name for its id, spelling aside.

    Case, accents, punctuation, spaces, plural and British spelling are spelling; what stands in brackets is not.
    Synsets are held against the map's as well. A label without a name is taken at its id: a MID means one thing in
    every list (Open Images leaves some without a name). Where ids are mere numbers, some must be named.

    Raises:
        CorpusError: for the first file that means other things by the map's ids, or names none of them.
    """
    files: dict[str, list[tuple[NamedLabel, Link]]] = {}
    every: dict[str, list[NamedLabel]] = {}
    for label in named:
        every.setdefault(label.file, []).append(label)
        if link := label_map.link(label.source, label.source_id):
            files.setdefault(label.file, []).append((label, link))
    for file, both in files.items():
        if not any(label.name or label.synset or not _is_numbered(label.source) for label, _ in both):
            known = f"of its {len(both)} labels that label map {label_map.name} knows"
            rule = f"none {known} has a name, so nothing tells what they are"
            raise CorpusError(file, "labels", rule, _remedy(both[0][0]))
        wrong = [pair for pair in both if not _agree(*pair)]
        if wrong:
            raise _error(file, wrong, len(both), every[file], label_map)


def _agree(label: NamedLabel, link: Link) -> bool:
    return (not label.name or name_key(label.name) == name_key(link.label)) and (
        not (label.synset and link.synset) or label.synset == link.synset
    )


def _error(
    file: str,
    wrong: list[tuple[NamedLabel, Link]],
    shared: int,
    labels: list[NamedLabel],
    label_map: LabelMap,
) -> CorpusError:
    label, link = wrong[0]
    theirs, ours = label.name, link.label
    if name_key(theirs) == name_key(ours) or not theirs:
        theirs, ours = label.synset, link.synset
    rule = (
        f"here it is {theirs!r}, in label map {label_map.name} {label_map.version} {ours!r}; {len(wrong)} of the "
        f"{shared} labels that both know disagree. {_cause(wrong, labels, label_map)}"
    )
    return CorpusError(file, f"{label.source} label {label.source_id}", rule, _remedy(label))


def _corpus(source: str) -> Corpus | None:
    return registry.corpora().get(source)


def _is_numbered(source: str) -> bool:
    corpus = _corpus(source)
    return corpus is not None and corpus.numbered


def _remedy(label: NamedLabel) -> str:
    corpus = _corpus(label.source)
    official = corpus.official if corpus else "Give the files that the map was made for"
    return f"{official}, or a label map that was made for this file"


def _cause(wrong: list[tuple[NamedLabel, Link]], labels: list[NamedLabel], label_map: LabelMap) -> str:
    source = wrong[0][0].source
    names = {label.source_id: name_key(label.name) for label in labels}
    known = {name_key(link.label): link.source_id for link in label_map.links if link.source == source}
    moved = any(known.get(name, number) != number for number, name in names.items())
    corpus = _corpus(source)
    if guess := corpus.guess(names) if corpus else "":
        return f"Likely {guess}"
    if not _is_numbered(source):
        return f"Likely {'rows were shifted or swapped' if moved else 'a translated or edited list'}"
    if moved:
        return "Likely another version, or a subset whose categories were numbered anew"
    return "Likely the ids of another vocabulary, or names that were changed"
