"""What a corpus's own files call their labels, held against a label map: an id means a thing only with its name."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from label_maps import LabelMap, Link
from pipelines.corpora import lvis, open_images
from pipelines.corpora.source import CorpusError
from pipelines.matching.wording import name_key
from shards import tables

# Some of COCO 2017's categories whose ids LVIS v1 gives to other things.
_COCO = {
    "1": "person",
    "2": "bicycle",
    "3": "car",
    "6": "bus",
    "8": "truck",
    "17": "cat",
    "18": "dog",
    "49": "knife",
}
_REMEDIES = {
    "lvis": "Give the official lvis_v1_train.json and lvis_v1_val.json (1,203 categories)",
    "open_images": "Give the official class-descriptions-boxable.csv, as it was downloaded",
}


@dataclass(frozen=True)
class NamedLabel:
    """A label as a file has it. `name` and `synset` are empty where the file has none."""

    file: str  # how errors call it
    source: str  # as in a label map
    source_id: str
    name: str
    synset: str = ""


def declared(corpora: str) -> Iterator[NamedLabel]:
    """Every label that the annotation files below a folder or URL name; not VGGSound's, whose names are their ids.

    Raises:
        CorpusError: a file that cannot be read.
    """
    for source in lvis.sources(corpora):
        for number, name, synset in lvis.labels(source, corpora):
            yield NamedLabel(source.path, "lvis", number, name, synset)
    if open_images.sources(corpora):
        for path, mid, name in open_images.labels(corpora):
            yield NamedLabel(path, "open_images", mid, name)


def indexed(url: str) -> Iterator[NamedLabel]:
    """Every label of a masks.parquet that `avs-data index` wrote, with each of its names."""
    columns = ["corpus", "label_id", "label"]
    found: set[tuple[str, str, str]] = set()
    with tables.opened(url, columns) as file:
        for batch in file.iter_batches(columns=columns, use_threads=False):
            distinct = pa.table(batch).group_by(columns).aggregate([])
            found.update((row["corpus"], row["label_id"], row["label"] or "") for row in distinct.to_pylist())
    for corpus, label_id, label in sorted(found):
        yield NamedLabel(url, corpus, label_id, label)


def check(named: Iterable[NamedLabel], label_map: LabelMap) -> None:
    """Nothing, where every label that the map links too goes by the map's name for its id, spelling aside.

    Case, accents, punctuation, spaces, plural and British spelling are spelling; what stands in brackets is not. An
    LVIS synset is held against the map's as well. A label without a name is taken at its id: a MID means one thing in
    every list (Open Images leaves some without a name). An LVIS id is a mere number, so some must be named.

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
        if not any(label.name or label.synset or label.source != "lvis" for label, _ in both):
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


def _remedy(label: NamedLabel) -> str:
    official = _REMEDIES.get(label.source, "Give the files that the map was made for")
    return f"{official}, or a label map that was made for this file"


def _cause(wrong: list[tuple[NamedLabel, Link]], labels: list[NamedLabel], label_map: LabelMap) -> str:
    source = wrong[0][0].source
    names = {label.source_id: name_key(label.name) for label in labels}
    known = {name_key(link.label): link.source_id for link in label_map.links if link.source == source}
    moved = any(known.get(name, number) != number for number, name in names.items())
    if source != "lvis":
        return f"Likely {'rows were shifted or swapped' if moved else 'a translated or edited list'}"
    if any(names.get(number) == name for number, name in _COCO.items()):
        return "Likely COCO 2017's own category ids"
    if names.get("1") == "acorn" or moved:
        return "Likely LVIS v0.5, or a subset whose categories were numbered anew"
    return "Likely the ids of another vocabulary, or names that were changed"
