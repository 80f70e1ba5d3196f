"""Corpora whose photos `avs-data fetch` found in their folder."""

from collections.abc import Iterable
from pathlib import Path

from pipelines.fetch import options
from pipelines.fetch.items import Item, Kind
from pipelines.fetch.ledger import Ledger
from pipelines.fetch.run import Fetch


def find(corpora: Path, paths: Iterable[str], **photos: object) -> None:
    """Have it check the photos at these paths and write its ledger; `photos` are its settings."""
    items = [
        Item(f"lvis:{number}", Kind.PHOTO, f"https://localhost/{path}", path)
        for number, path in enumerate(sorted(paths))
    ]
    with Ledger(str(corpora)) as ledger:
        Fetch(str(corpora), options.parse({"photos": photos}), ledger).items(items)
