"""Build a version again from its own recipe, and compare every byte."""

from collections.abc import Callable
from dataclasses import fields

from pipelines.build import run
from pipelines.build.categorize import label_map_of
from pipelines.build.code import differences
from pipelines.build.index import Progress
from pipelines.publish.profiles import AnyDataset
from pipelines.recipes import recipe
from shards import format, storage
from shards.errors import AvsError
from shards.manifest import dump, load

AFTER = ("takedown", "profile")  # stages that follow a build


class RebuildError(AvsError):
    """A dataset that cannot be built again here; the message says why."""


def rebuild(
    dataset: str,
    corpora: str,
    held_out: tuple[str, ...],
    workers: int,
    out: str,
    progress: Callable[[Progress], None],
    begun: Callable[[int, int], None],
) -> list[str]:
    """What differs between `dataset` and one built anew at `out` from its recipe, its label map and `corpora`.

    Equal manifests are equal bytes: a manifest has the sha256 of every other file.

    Raises:
        RebuildError: cut after its build, another label map, or other versions of the code that decides bytes.
        BuildError, BuildStopped: the build itself.
    """
    made = AnyDataset(dataset).manifest
    cut = [step["stage"] for step in made.funnel if step["stage"] in AFTER]
    if cut:
        raise RebuildError(
            f"{dataset} was cut after its build ({', '.join(sorted(set(cut)))}): rebuild the version that it was "
            "cut from"
        )
    if differ := differences(made.code):
        raise RebuildError(f"other versions made it: {'; '.join(differ)}; install those and run this again")
    loaded = recipe.recorded(made)
    if loaded is None:
        raise RebuildError(
            f"{dataset} was imported, not built: import it again to another --out and `diff` the two"
        )
    label_map = label_map_of(loaded.labels, corpora, loaded.corpora)
    if label_map.sha256 != made.label_map["sha256"]:
        raise RebuildError(
            f"label map {made.label_map['name']} {made.label_map['version']} has another content here "
            f"({label_map.sha256[:12]}, then {made.label_map['sha256'][:12]}): take the map of that version"
        )
    limit = next((step["kept"] for step in made.funnel if step["stage"] == "limit"), 0)
    options = run.BuildOptions(corpora, out, workers, limit, held_out=held_out, base=dataset)
    run.build(loaded, options, progress, begun)
    again = load(out)
    if dump(again) == dump(made):
        return []
    found = []
    for field in fields(made):
        before, after = getattr(made, field.name), getattr(again, field.name)
        if field.name in ("shards", "pool_shards"):
            old, new = ({entry.path: entry.sha256 for entry in entries} for entries in (before, after))
            found += [
                f"{path}: {new.get(path, 'not there')}; published: {old.get(path, 'not there')}"
                for path in sorted(set(old) | set(new))
                if old.get(path) != new.get(path)
            ]
        elif before != after:
            found.append(f"{format.MANIFEST}: {field.name} differs")
    return found or [f"{storage.join(out, format.MANIFEST)} differs in its form"]
