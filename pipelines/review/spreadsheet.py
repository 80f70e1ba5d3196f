"""CSV that people open in a spreadsheet: no cell is taken for a formula, and reading gives back what was written.

A cell that starts with a sign of a formula gets an apostrophe before it, and so does one that looks as if it had got
one.
"""

import csv
import io
import re
from collections.abc import Iterable

_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")
_QUOTED = re.compile('[",\r\n]')


def to_csv(rows: Iterable[Iterable[object]]) -> str:
    """Rows, the header first: line feeds, quotes only where needed."""
    return "".join(",".join(_written(str(cell)) for cell in row) + "\n" for row in rows)


def from_csv(text: str) -> list[list[str]]:
    """What `to_csv` was given, as text.

    Raises:
        csv.Error: no CSV, or cut off within quotes.
    """
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    return [[_original(cell) for cell in row] for row in rows]


def _written(cell: str) -> str:
    guarded = f"'{cell}" if _FORMULA.match(cell) else cell
    return '"' + guarded.replace('"', '""') + '"' if _QUOTED.search(cell) else guarded


def _original(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
