"""A folder for one purpose: two commands never write into the same one, and one that was stopped resumes in its own."""

import json
import os
import re
from collections.abc import Mapping
from typing import Any

from shards import format, storage, unfinished
from shards.errors import AvsError

WORK = ".work"  # below the folder; nothing in it belongs to what the folder holds
CLAIM = "claim.json"
_HASH = re.compile(r"[0-9a-f]{64}")
# What a purpose names -> what a person calls it.
_CALLED = {
    "corpora": "--corpora",
    "edition": "reference-only edition",
    "label_map": "label map",
    "limit": "--limit",
    "samples": "list of samples",
    "shards": "--base",
    "without": "list of what goes",
}


class ClaimError(AvsError):
    """A folder that holds something else; the message says what, and what to do."""


def apart(dataset: str, folder: str, option: str = "--out") -> None:
    """Hold a folder against a dataset whose files are hashed: it lies elsewhere.

    Raises:
        ClaimError: it is the dataset, or inside it.
    """
    inner, outer = (
        os.path.realpath(storage.local_path(url)) if storage.is_local(url) else url.rstrip("/")
        for url in (folder, dataset)
    )
    if (inner + "/").startswith(outer + "/"):
        raise ClaimError(
            f"{option} {folder} is inside the dataset {dataset}, whose files are hashed: name a folder beside it"
        )


def claim(folder: str, purpose: Mapping[str, Any], option: str = "--out") -> None:
    """Take a new or empty folder, or resume in one that was taken for the same purpose.

    Removes what dead processes left unfinished anywhere in it.

    Args:
        purpose: what will be written there, as JSON has it: the command, and what makes another result.
        option: which option of the command names the folder, for the message.

    Raises:
        ClaimError: the folder holds something else, or cannot be written to.
    """
    try:
        _claim(folder, json.loads(format.json_bytes(purpose)), option)
    except OSError as error:
        why = getattr(error.__cause__, "strerror", None) or error.strerror or error
        raise ClaimError(
            f"cannot write to {option} {folder}: {why}; give a folder that can be made, or written to, there"
        ) from error


def _claim(folder: str, mine: dict[str, Any], option: str) -> None:
    storage.sweep_below(folder)
    url, content = storage.join(folder, WORK, CLAIM), format.json_bytes(mine)
    theirs = _read(url)
    if theirs is None:
        if names := occupants(folder):
            raise ClaimError(
                f"{folder} is not empty ({', '.join(names[:3])}) and nothing says that it is for this: "
                f"give another {option}, or remove that folder"
            )
        if storage.create(url, content):
            return
        theirs = _read(url)
        if theirs is None:  # cut by a kill, on a disk without hard links
            storage.write_atomic(url, content)
            return
    if theirs != mine:
        differ = [name for name in sorted({*theirs, *mine}) if theirs.get(name) != mine.get(name)]
        if "command" in differ:
            told = f"what `{theirs.get('command')}` writes, and this is `{mine.get('command')}`"
        else:
            told = "; ".join(_difference(name, theirs.get(name), mine.get(name)) for name in differ)
        link = (
            "; or, if the corpora only moved, put a link to them at the old place"
            if "corpora" in differ
            else ""
        )
        raise ClaimError(
            f"{folder} holds something else ({told}): give another {option}, or remove that folder{link}"
        )


def _difference(name: str, theirs: Any, mine: Any) -> str:
    called = _CALLED.get(name, name)
    if isinstance(theirs, str | int) and isinstance(mine, str | int) and not _HASH.fullmatch(str(theirs)):
        return f"{called} {theirs} there, {mine} now"
    return f"another {called}"


def occupants(folder: str) -> list[str]:
    """Sorted names in a folder, without litter, and without a work folder that holds nothing else."""
    names = [name for name in storage.names(folder) if not unfinished.litter(name)]
    inside = [name for name in storage.names(storage.join(folder, WORK)) if not unfinished.litter(name)]
    return [name for name in names if name != WORK or inside not in ([], [CLAIM])]


def _read(url: str) -> dict[str, Any] | None:
    """A claim; None: there is none, or it is cut."""
    try:
        found = json.loads(storage.read_bytes(url))
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
