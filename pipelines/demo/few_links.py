"""The shipped label map without two of the demo's categories: a review of the generated corpora has links to ask."""

import os
from pathlib import Path

import label_maps
from shards import storage

FOLDER, NAME = "label_map", "few"
LEFT_OUT = ("cat", "dog")


def write(root: str) -> None:
    """Write `label_map/few.csv` and the page of it below `root`."""
    shipped = Path(label_maps.__file__).parent
    header, *rows = (shipped / "avs.csv").read_text().splitlines(keepends=True)
    kept = [row for row in rows if row.partition(",")[0] not in LEFT_OUT]
    about = (shipped / "avs.toml").read_text()
    about = about.replace('name = "avs"', f'name = "{NAME}"')
    for category in LEFT_OUT:
        about = about.replace(f'"{category}", ', "")
    for end, text in (("csv", "".join([header, *kept])), ("toml", about)):
        storage.write_atomic(os.path.join(root, FOLDER, f"{NAME}.{end}"), text.encode())
