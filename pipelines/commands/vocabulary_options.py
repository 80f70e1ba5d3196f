"""`--audio` and `--visual`: which vocabularies a command reads, known ones or files of one's own."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pipelines.corpora.corpus import Kind
    from pipelines.matching.sources import Source


def _option(name: str, kind: "Kind", help: str) -> Callable:
    def parsed(
        context: click.Context, option: click.Parameter, values: tuple[str, ...]
    ) -> "tuple[Source, ...]":
        from pipelines.matching import sources
        from pipelines.matching.vocabularies import VocabularyError

        try:
            return sources.parse(values or sources.known(kind, usual=True), sources.known(kind))
        except VocabularyError as error:
            raise click.BadParameter(str(error)) from error

    return click.option(
        name,
        multiple=True,
        callback=parsed,
        metavar="NAMES|NAME=FILE.csv",
        help=f"{help}: names of corpora with commas (avs-data corpora lists them; unless named, those that it calls "
        "usual), or a vocabulary of your own; may be repeated.",
    )


audio_option = _option("--audio", "sounds", "Sounds")
visual_option = _option("--visual", "images", "Things that can be seen")
