"""`--audio` and `--visual`: which vocabularies a command reads, known ones or files of one's own."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from pipelines.matching.vocabularies import AUDIO_SOURCES, VISUAL_SOURCES, VocabularyError

if TYPE_CHECKING:
    from pipelines.matching.sources import Source


def _option(name: str, known: tuple[str, ...], default: tuple[str, ...], help: str) -> Callable:
    def parsed(
        context: click.Context, option: click.Parameter, values: tuple[str, ...]
    ) -> "tuple[Source, ...]":
        from pipelines.matching import sources

        try:
            return sources.parse(values, known)
        except VocabularyError as error:
            raise click.BadParameter(str(error)) from error

    return click.option(
        name,
        multiple=True,
        default=default,
        show_default=",".join(default),
        callback=parsed,
        metavar="NAMES|NAME=FILE.csv",
        help=f"{help}: {', '.join(known)}, with commas, or a vocabulary of your own; may be repeated.",
    )


audio_option = _option("--audio", AUDIO_SOURCES, ("vggsound",), "Sounds")
visual_option = _option("--visual", VISUAL_SOURCES, VISUAL_SOURCES, "Things that can be seen")
