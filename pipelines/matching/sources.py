"""Which vocabularies to match: known ones by name, a person's own as NAME=FILE.csv."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pipelines.corpora import registry
from pipelines.corpora.corpus import Kind, Vocabulary
from pipelines.matching import lexicon, own_vocabularies
from pipelines.matching.proposals import SOURCE_RULE
from pipelines.matching.vocabularies import (
    AudioLabel,
    VisualLabel,
    Vocabularies,
    VocabularyError,
)


@dataclass(frozen=True)
class Source:
    """A vocabulary: one that the folder holds, or a file."""

    name: str
    file: str = ""


def parse(values: Iterable[str], known: tuple[str, ...]) -> tuple[Source, ...]:
    """Each value is names with commas, or one NAME=FILE.csv. Raises VocabularyError on a name that is none."""
    found: dict[str, Source] = {}
    for value in values:
        name, equals, file = value.partition("=")
        for part in [name] if equals else value.split(","):
            part = part.strip()
            if equals and (not file.strip() or not SOURCE_RULE.fullmatch(part)):
                raise VocabularyError(
                    f"{value!r} is no vocabulary: write NAME=FILE.csv with a NAME of a-z, 0-9 and _, a letter first"
                )
            if part and not equals and part not in known:
                raise VocabularyError(
                    f"{part!r} is no known vocabulary: give {','.join(known)}, or NAME=FILE.csv for one of your own"
                )
            if part and found.setdefault(part, Source(part, file.strip())) != Source(part, file.strip()):
                raise VocabularyError(
                    f"{part!r} is given twice, with different files: give each another NAME"
                )
    if not found:
        raise VocabularyError(f"no vocabulary is named: give {','.join(known)}, or NAME=FILE.csv")
    return tuple(found.values())


def read(
    labels: str | None, corpora: str | None, audio: Iterable[Source], visual: Iterable[Source]
) -> Vocabularies:
    """Reads the vocabularies named, from a folder of label files or of corpora and from files of their own.

    Raises:
        VocabularyError: a file does not fit, both folders are given, or none where one is needed.
        CorpusError: an LVIS file of the corpora is no JSON object.
    """
    hearing, seeing = tuple(audio), tuple(visual)
    names = [[source.name for source in side if not source.file] for side in (hearing, seeing)]
    if labels is not None and corpora is not None:
        raise VocabularyError("both --labels and --corpora are given: the vocabularies come from one place")
    if labels is not None:
        found = read_labels(labels, *names)
    elif corpora is not None:
        found = read_corpora(corpora, *names)
    elif names[0] or names[1]:
        raise VocabularyError(
            f"{', '.join(names[0] + names[1])}: give --labels, a folder of label files, or --corpora, one of corpora"
        )
    else:
        found = Vocabularies((), ())
    if names[1] and not found.visual:
        raise VocabularyError(
            f"{labels or corpora} holds no labels of {' or '.join(map(registry.title, names[1]))}: matching needs "
            "things that can be seen. `avs-data match --help` lists the label files for --labels, `avs-data corpora` "
            "the folders for --corpora"
        )
    sounds: list[AudioLabel] = []
    for source in hearing:
        if source.file:
            sounds += own_vocabularies.read_audio(source.file, source.name)
        else:
            sounds += [label for label in found.audio if label.source == source.name]
    seen: list[VisualLabel] = []
    for source in seeing:
        if source.file:
            seen += own_vocabularies.read_visual(source.file, source.name)
        else:
            seen += [label for label in found.visual if label.source == source.name]
    return Vocabularies(tuple(sounds), tuple(seen))


def read_labels(
    folder: str, audio: Iterable[str] | None = None, visual: Iterable[str] | None = None
) -> Vocabularies:
    """The vocabularies of corpora by name (None: the usual ones), from a folder of label files alone.

    Those of things that can be seen may be missing. Raises VocabularyError where a sound vocabulary asked for is.
    """
    return _all_of(folder, audio, visual, lambda vocabulary: vocabulary.files)


def read_corpora(
    folder: str, audio: Iterable[str] | None = None, visual: Iterable[str] | None = None
) -> Vocabularies:
    """The same from corpora in their official layouts, without their annotations.

    Raises VocabularyError as `read_labels`, CorpusError where a file is not what its name says.
    """
    return _all_of(folder, audio, visual, lambda vocabulary: vocabulary.corpora)


def _all_of(
    folder: str,
    audio: Iterable[str] | None,
    visual: Iterable[str] | None,
    reader: Callable[[Vocabulary], Callable[[str], list[Any]]],
) -> Vocabularies:
    def labels_of(names: Iterable[str]) -> tuple[Any, ...]:
        found = [registry.get(name).vocabulary for name in names]
        return tuple(label for vocabulary in found if vocabulary for label in reader(vocabulary)(folder))

    return Vocabularies(
        labels_of(known("sounds", usual=True) if audio is None else audio),
        labels_of(known("images", usual=True) if visual is None else visual),
    )


def known(kind: Kind, *, usual: bool = False) -> tuple[str, ...]:
    """Corpora whose labels are known beforehand; `usual`: those that are matched where nobody names any."""
    return tuple(
        name for name in registry.names(kind, usual=usual) if registry.get(name).vocabulary is not None
    )


def unknown_groups(audio: Iterable[AudioLabel]) -> tuple[list[str], list[str]]:
    """Groups of sounds that the tables do not know, and those they do: an unknown one says nothing."""
    known = sorted({group for group, _ in lexicon.build().groups})
    return sorted({one.group for one in audio if one.group and one.group.casefold() not in known}), known
