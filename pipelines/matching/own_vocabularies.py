"""Vocabularies that a person brings: a CSV of labels, for sounds or for things that can be seen.

The column `label` must be there; the others say more. `id`: the label's id in its source (a MID that Open Images has
too joins at once). `group`: of the sound, one of knowledge/groups.csv. `parent`: the wider label, or several with `;`,
in this file or not. `synonyms`: other names, with `;`. `definition`: a sentence.
"""

import csv
import difflib
import io

from pipelines.matching.tree import Tree
from pipelines.matching.vocabularies import AudioLabel, VisualLabel, VocabularyError
from pipelines.matching.wording import sense, tokens
from shards import storage

COLUMNS = ("label", "id", "group", "parent", "synonyms", "definition")
_ALIKE = 0.8  # difflib's ratio from which an unknown column is taken for a misspelt one
_FAULTS_SHOWN = 20


def read_audio(url: str, source: str) -> list[AudioLabel]:
    """Raises VocabularyError with every row that does not fit."""
    rows = _rows(url)
    tree = _tree(rows)
    return [
        AudioLabel(
            row["label"],
            source,
            row["id"],
            row["group"],
            tree.chains(row["label"]),
            tree.children(row["label"]),
            _several(row["synonyms"]),
            row["definition"],
        )
        for row in rows
    ]


def read_visual(url: str, source: str) -> list[VisualLabel]:
    """A label without an id is its own id. Raises VocabularyError with every row that does not fit."""
    rows = _rows(url)
    tree = _tree(rows)
    labels = []
    for row in rows:
        written = list(dict.fromkeys([row["label"], *_several(row["synonyms"])]))
        names, senses = zip(*(sense(name) for name in written), strict=True)
        labels.append(
            VisualLabel(
                source,
                row["label"],
                row["id"] or row["label"],
                names,
                senses,
                row["definition"],
                ancestors=tree.above(row["label"]),
            )
        )
    return labels


def _tree(rows: list[dict[str, str]]) -> Tree:
    pairs = [(row["label"], parent) for row in rows for parent in _several(row["parent"])]
    return Tree(
        {name: name for name in [*(row["label"] for row in rows), *(above for _, above in pairs)]}, pairs
    )


def _several(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(";") if part.strip())


def _rows(url: str) -> list[dict[str, str]]:
    """Every row with all of COLUMNS, "" where the file has none."""
    if not storage.exists(url):
        raise VocabularyError(f"{url} is not there: give a CSV with a column `label`")
    try:
        text = storage.read_bytes(url).decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        header = [name.strip().lower() for name in reader.fieldnames or ()]
        reader.fieldnames = header
        _check_header(url, header)
        read = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise VocabularyError(f"{url}: {error}: it must be CSV in UTF-8") from error
    faults, lines = [], dict[str, int]()
    for line, row in read:
        label = (row["label"] or "").strip()
        if None in row:
            faults.append(f"line {line}: more values than columns; quote values that hold a comma")
        elif not tokens(label):
            faults.append(
                f"line {line}: label is {label!r}; it needs a letter or digit of the Latin alphabet"
            )
        elif lines.setdefault(label, line) != line:
            faults.append(f"line {line}: {label!r} stands in line {lines[label]} already; keep one")
    if not read:
        faults.append("there are no rows below the header")
    if faults:
        more = [f"and {len(faults) - _FAULTS_SHOWN} more"] if len(faults) > _FAULTS_SHOWN else []
        raise VocabularyError("\n  ".join([f"{url} is no vocabulary:", *faults[:_FAULTS_SHOWN], *more]))
    return [{name: " ".join((row.get(name) or "").split()) for name in COLUMNS} for _, row in read]


def _check_header(url: str, header: list[str]) -> None:
    """Columns of other names are left alone, but not those that look like a misspelling."""
    if "label" not in header:
        raise VocabularyError(
            f"{url}: the header is {','.join(header)}; a vocabulary has a column `label`, and where it says more "
            f"{', '.join(COLUMNS[1:])}"
        )
    for name in header:
        near = difflib.get_close_matches(name, COLUMNS, n=1, cutoff=_ALIKE)
        if name not in COLUMNS and near:
            raise VocabularyError(f"{url}: a column is called {name!r}; did you mean {near[0]!r}? Rename it")
        if name in COLUMNS and header.count(name) > 1:
            raise VocabularyError(f"{url}: two columns are called {name!r}; keep one")
