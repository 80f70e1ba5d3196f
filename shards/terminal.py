"""What people see on a terminal. Names of files and labels are shown as they are: neither rich nor the terminal acts on
what is in them.
"""

import json
import re
import sys
from typing import Any

import click
from rich import table as tables
from rich.console import Console

from shards.command_line import is_quiet, printable

_UNSHOWN = re.compile(r"[\x7f-\x9f\ud800-\udfff]")  # what JSON leaves as it is and a terminal may act on


def console(*, stderr: bool = False) -> Console:
    """Tables on stdout, or what is not the result on stderr; `[x]` and `:x:` in a text are that text."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


class Table(tables.Table):
    """Rich's table, whose texts may come from people and files."""

    def add_row(self, *cells: Any, **style: Any) -> None:
        super().add_row(*(printable(cell) if isinstance(cell, str) else cell for cell in cells), **style)


def out(*lines: str, **style: Any) -> None:
    """Lines of a result, on stdout; `style` as click's, on a terminal."""
    for line in lines:
        text = printable(line).replace("\n", "\\n")
        click.echo(click.style(text, **style) if style else text)


def out_file(text: str) -> None:
    """What may be kept as a file, on stdout: as it is, but on a terminal without what that would act on."""
    sys.stdout.write("\t".join(map(printable, text.split("\t"))) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def out_json(value: Any, *, indent: int | None = 1) -> None:
    """A result for other programs, on stdout; in one line where `indent` is None."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    click.echo(_UNSHOWN.sub(lambda each: f"\\u{ord(each[0]):04x}", text))


def say(text: str) -> None:
    """What helps and is not the result, on stderr; not with --quiet."""
    if not is_quiet():
        warn(text)


def warn(text: str) -> None:
    """What should be known and is not the result, on stderr."""
    click.echo(printable(text), err=True)


def spoken(seconds: float) -> str:
    """A length of time as people say it."""
    if seconds < 90:
        return f"{seconds:,.{int(seconds < 10)}f} s"
    return (
        f"{seconds / 60:,.0f} min" if seconds < 5_400 else f"{seconds / 3600:,.{int(seconds < 360_000)}f} h"
    )


def size(count: float) -> str:
    """A number of bytes as people say it."""
    for unit, least in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= least:
            return f"{count / least:,.{int(count < 10 * least)}f} {unit}"
    return f"{count / 1e3:,.0f} KB"
