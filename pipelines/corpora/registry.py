"""Every corpus by its name: those of this package, and those that installed packages bring.

The only place that knows which corpora there are. A package brings one with an entry point of the group
`avs_data.corpora` that leads to a `Corpus`.
"""

import re
from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from pipelines.corpora import audioset, coco, esc50, folder, fsd50k, lvis, open_images, vggsound
from pipelines.corpora.corpus import Corpus, Kind
from shards.errors import AvsError

GROUP = "avs_data.corpora"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_OWN = (
    lvis.CORPUS,
    open_images.CORPUS,
    vggsound.CORPUS,
    coco.CORPUS,
    audioset.CORPUS,
    fsd50k.CORPUS,
    esc50.CORPUS,
    folder.IMAGES,
    folder.SOUNDS,
)


class RegistryError(AvsError, ValueError):
    """A corpus that nobody knows, or one that cannot be taken; the message says what to do."""


@cache
def corpora() -> dict[str, Corpus]:
    """Name -> corpus; those of this package first.

    Raises:
        RegistryError: an installed package brings what is no corpus, or a name that is taken.
    """
    found = {corpus.name: corpus for corpus in _OWN}
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        corpus = _loaded(point)
        if corpus.name in found:
            raise _refused(point, f"a corpus called {corpus.name!r} is there already")
        found[corpus.name] = corpus
    return found


def get(name: str) -> Corpus:
    """The corpus of a name. Raises RegistryError."""
    return chosen([name])[0]


def title(name: str) -> str:
    """As people write a corpus's name; any other vocabulary keeps the name it has."""
    return corpora()[name].title if name in corpora() else name


def chosen(names: Iterable[str] = ()) -> list[Corpus]:
    """The corpora of these names, in the registry's order; none named: all.

    Raises:
        RegistryError: a name that no corpus has.
    """
    wanted = set(names)
    if unknown := sorted(wanted - set(corpora())):
        raise RegistryError(
            f"no corpus is called {', '.join(map(repr, unknown))}; known are {', '.join(corpora())}. Correct the name, "
            f"or install the package that brings it (entry point group {GROUP})"
        )
    return [corpus for name, corpus in corpora().items() if not wanted or name in wanted]


def names(kind: Kind, *, usual: bool = False) -> tuple[str, ...]:
    """Names of the corpora of images or of sounds; `usual`: of those taken where nobody names any."""
    return tuple(one.name for one in corpora().values() if one.kind == kind and (one.usual or not usual))


def shared_id_spaces(names: Iterable[str]) -> dict[str, str]:
    """Corpus -> id space, of those of some corpora whose space another of them has, too."""
    spaces = {name: get(name).id_space for name in sorted(names)}
    return {name: space for name, space in spaces.items() if space and [*spaces.values()].count(space) > 1}


def _loaded(point: EntryPoint) -> Corpus:
    try:
        corpus = point.load()
    except Exception as error:  # whatever a strange package does as it is imported
        raise _refused(point, f"{type(error).__name__}: {error}") from error
    if not isinstance(corpus, Corpus):
        raise _refused(point, f"it is a {type(corpus).__name__}, not a pipelines.corpora.corpus.Corpus")
    if not _NAME.fullmatch(corpus.name):
        raise _refused(point, f"its name {corpus.name!r} is not of a-z, 0-9 and _, a letter first")
    return corpus


def _refused(point: EntryPoint, why: str) -> RegistryError:
    package = point.dist.name if point.dist else "an installed package"
    return RegistryError(
        f"{package} brings the corpus {point.value}, which cannot be used: {why}. Correct the package, or remove it"
    )
