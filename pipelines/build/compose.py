"""Stage compose: what could sound in a photo to scenes: one thing, several, or none that is seen.

Each scene that is possible is made or not by a hash of (seed, its sample id), so that one more category adds scenes and
moves none. Only where a recipe bounds the scenes of a photo (`most_per_photo`) may a new one push another out.
"""

from collections.abc import Iterable, Iterator
from functools import cached_property, partial
from itertools import combinations, groupby
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.build.absence import KNOWN, Families
from pipelines.build.outcome import Outcome
from pipelines.build.select import WITH_INSTANCES
from pipelines.media import masks
from pipelines.recipes.recipe import Recipe, Shares
from shards import format, hashing
from shards.guard import guarded
from shards.records import NEGATIVES
from shards.rejections import Reason, Rejected, rejection

SPLIT = pa.schema([*WITH_INSTANCES, pa.field("component", pa.string()), pa.field("split", pa.string())])
ROWS = pa.schema(
    [*SPLIT, *pa.schema(KNOWN)]
)  # candidates, and rows of what is known of an image, without `sample_id`

_PHOTO = (
    *("corpus", "image_id", "image_path", "image_stamp", "image_url", "photo_keys", "width", "height"),
    *("licence", "licence_url", "author", "component", "split"),
)
# What is heard, and where it is seen. `sample_id`: whose clip it hears, that of the sample it would be alone.
SOURCE = pa.struct(
    {
        "category": pa.string(),
        "sample_id": pa.string(),
        "mask_ids": pa.list_(pa.string()),
        "label_corpora": pa.list_(pa.string()),
        "label_ids": pa.list_(pa.string()),
        "labels": pa.list_(pa.string()),
        "counts": pa.binary(),
        "instances": pa.list_(pa.binary()),
        "area_px": pa.int64(),
        "bbox": pa.list_(pa.int32()),
        "exhaustive": pa.bool_(),
        "mask_source": pa.string(),
    }
)
SCENES = pa.schema(
    {
        **{name: SPLIT.field(name).type for name in _PHOTO},
        "key": pa.string(),
        "sample_id": pa.string(),
        "category": pa.string(),
        "kind": pa.string(),
        "sources": pa.list_(SOURCE),
        "absent": pa.list_(pa.string()),  # categories that off-screen sound may be of
        "off_screen": pa.int32(),  # how many of them are heard
        "fault": pa.string(),  # a Reason; null: none
        "fault_detail": pa.string(),
    }
)
MOST_SOURCES = 24  # of a photo, those of lowest hash: their triples are 2,024
_ROWS = 2_048


def known_rows(table: pa.Table, linked: dict[str, str]) -> pa.Table:
    """What is known of images (`absence.known`) as ROWS, to travel with the candidates of their component."""
    components = pa.array([linked.get(node, node) for node in table["node"].to_pylist()], pa.string())
    given = {"image_id": table["image_id"], "component": components, **{name: table[name] for name in KNOWN}}
    return pa.table([given.get(f.name, pa.nulls(len(table), f.type)) for f in ROWS], schema=ROWS)


def rows(table: pa.Table) -> pa.Table:
    """Candidates as ROWS."""
    return pa.table(
        [table[f.name] if f.name in table.column_names else pa.nulls(len(table), f.type) for f in ROWS], ROWS
    )


def scenes(table: pa.Table, recipe: Recipe, families: Families, audible: frozenset[str]) -> pa.Table:
    """ROWS, all of a component together, or candidates, all of an image together, to SCENES.

    Args:
        audible: categories that may be heard off the screen.
    """
    known = _known(table)
    table = table.filter(pc.is_valid(table["sample_id"]))
    table = table.sort_by([(name, "ascending") for name in ("image_id", "category")])
    found: list[pa.RecordBatch] = []
    made: list[dict[str, Any]] = []
    candidates = (row for batch in table.to_batches(_ROWS) for row in batch.to_pylist())
    for image_id, group in groupby(candidates, lambda row: row["image_id"]):
        photo = _Photo(list(group), recipe, families)
        drawn = guarded(image_id, partial(photo.scenes, known.get(image_id), audible))
        made += photo.lost(drawn) if isinstance(drawn, Rejected) else drawn
        if len(made) >= _ROWS:
            found.append(pa.RecordBatch.from_pylist(made, schema=SCENES))
            made.clear()
    found.append(pa.RecordBatch.from_pylist(made, schema=SCENES))
    return pa.Table.from_batches(found)


def certain(table: pa.Table) -> Outcome:
    """SCENES without a fault."""
    lost = table.filter(pc.is_valid(table["fault"])).select(
        ["sample_id", "category", "fault", "fault_detail"]
    )
    rejections = [
        rejection("compose", row["sample_id"], Reason(row["fault"]), row["fault_detail"], row["category"])
        for row in lost.to_pylist()
    ]
    return Outcome.of(table.filter(pc.is_null(table["fault"])), rejections)


def _known(table: pa.Table) -> dict[str, dict[str, Any]]:
    """KNOWN of each image that there are rows of, as sets; what is shown under any name of a photograph is shown."""
    if "unknown" not in table.column_names:
        return {}
    told = table.filter(pc.is_valid(table["unknown"])).select(["image_id", "component", *KNOWN]).to_pylist()
    of_component: dict[str, dict[str, Any]] = {}
    for row in told:
        whole = of_component.setdefault(row["component"], {"shown": set(), "words": set(), "unknown": False})
        whole["shown"].update(row["shown"])
        whole["words"].update(row["words"])
        whole["unknown"] |= row["unknown"]
    return {
        row["image_id"]: {**of_component[row["component"]], "absent": frozenset(row["absent"])}
        for row in told
    }


class _Photo:
    """The candidates of one image, and the scenes that they make possible."""

    def __init__(self, candidates: list[dict[str, Any]], recipe: Recipe, families: Families) -> None:
        self.candidates, self.first, self.families = candidates, candidates[0], families
        self.rules, self.seed, self.min_area = recipe.scene, recipe.seed, recipe.select.min_area_fraction
        self.size = [self.first["height"], self.first["width"]]
        self.shares: Shares = self.rules.shares if self.first["split"] == "train" else self.rules.evaluation

    @cached_property
    def sources(self) -> list[dict[str, Any]]:
        """All that could sound, by sample id."""
        alone = self.rules.sources == "instance"
        found = [one for row in self.candidates for one in (self._objects(row) if alone else [_whole(row)])]
        return sorted(found, key=lambda source: source["sample_id"])

    def lost(self, why: Rejected) -> list[dict[str, Any]]:
        """The candidates as single scenes with a fault."""
        return [self._scene("single", [_whole(row)], why) for row in self.candidates]

    def scenes(self, known: dict[str, Any] | None, audible: frozenset[str]) -> list[dict[str, Any]]:
        """Rows of SCENES: all that are drawn, and with a fault what is not certain or not drawn of single sources."""
        offered = sum(self._too_small(source) is None for source in self.sources)
        if offered < self.rules.min_sources:
            told = f"{offered}; scene.min_sources = {self.rules.min_sources}"
            return self.lost(Rejected(Reason.TOO_FEW_SOURCES, told))
        made = [*self._singles(), *self._mixtures(), *self._negatives(known, audible)]
        most = self.rules.most_per_photo
        if most:
            fine = sorted(
                (row for row in made if not row["fault"]), key=lambda row: self._draw(row["sample_id"])
            )
            for row in fine[most:]:
                row.update(fault=Reason.OVER_PHOTO_CAP.value, fault_detail=f"scene.most_per_photo = {most}")
        return made

    def _draw(self, sample_id: str) -> float:
        return hashing.unit(self.seed, "scene", sample_id)

    def _singles(self) -> Iterator[dict[str, Any]]:
        for source in self.sources:
            fault = self._too_small(source) or self._too_close([source])
            if fault is None and self._draw(source["sample_id"]) >= self.shares.single:
                told = f"of single sources {self.shares.single:g} are drawn"
                fault = Rejected(Reason.NOT_DRAWN, told)
            yield self._scene("single", [source], fault)

    def _mixtures(self) -> Iterator[dict[str, Any]]:
        ranked = sorted(self.sources, key=lambda source: self._draw(source["sample_id"]))
        mixed = [source for source in ranked if not self._too_small(source)][:MOST_SOURCES]
        mixed.sort(key=lambda source: source["sample_id"])
        for number, share in ((2, self.shares.mixture_of_2), (3, self.shares.mixture_of_3)):
            for chosen in combinations(mixed, number) if share else ():
                if self._draw(self._id(chosen)) < share and self._apart(chosen):
                    sources = list(chosen)
                    yield self._scene(
                        "mixture", sources, self._too_close(sources) or self._overlapping(sources)
                    )

    def _negatives(self, known: dict[str, Any] | None, audible: frozenset[str]) -> Iterator[dict[str, Any]]:
        for kind in NEGATIVES:
            sample_id = format.sample_id(self.first["image_id"], "", kind)
            if self._draw(sample_id) >= getattr(self.shares, kind):
                continue
            absent, number = list[str](), 0
            fault = None
            if kind == "off_screen":
                verified = self.rules.off_screen == "verified"
                absent = self.families.absent(audible, known, verified) if known else []
                number = self._number(sample_id)
                if not absent:
                    told = "its corpus has looked for" if verified else "is not annotated, nor like what is"
                    fault = Rejected(Reason.NOT_SURELY_ABSENT, f"nothing that can be heard {told}")
            yield {
                **self._scene(kind, [], fault),
                "sample_id": sample_id,
                "key": format.key_of(sample_id),
                "absent": absent,
                "off_screen": number,
            }

    def _number(self, sample_id: str) -> int:
        """How many things sound off the screen: drawn as the recipe has it of what is seen."""
        shares = (self.shares.single, self.shares.mixture_of_2, self.shares.mixture_of_3)
        place = hashing.unit(self.seed, "off_screen", sample_id) * (sum(shares) or 1.0)
        return 1 + sum(place >= edge for edge in (shares[0], shares[0] + shares[1])) if sum(shares) else 1

    def _id(self, sources: Iterable[dict[str, Any]]) -> str:
        sources = list(sources)
        category = "+".join(sorted({source["category"] for source in sources}))
        ids = [mask_id for source in sources for mask_id in source["mask_ids"]]
        return format.sample_id(
            self.first["image_id"], category, "+".join(ids) if self.rules.sources == "instance" else None
        )

    def _apart(self, sources: Iterable[dict[str, Any]]) -> bool:
        """Whether the sources are of different families, or different objects that stereo tells apart."""
        found = [
            source["mask_ids"][0]
            if self.rules.sources == "instance"
            else self.families.of(source["category"])
            for source in sources
        ]
        return len(set(found)) == len(found)

    def _too_small(self, source: dict[str, Any]) -> Rejected | None:
        fraction = source["area_px"] / (self.size[0] * self.size[1])
        if fraction >= self.min_area:
            return None
        return Rejected(Reason.MASK_TOO_SMALL, f"{fraction:.5f} of the image; at least {self.min_area:g}")

    def _too_close(self, sources: list[dict[str, Any]]) -> Rejected | None:
        """Why an object of the same family, sounding or not, could be taken for one of these by ear."""
        if self.rules.sources != "instance":
            return None
        for source in sources:
            for other in self.sources:
                same = self.families.of(other["category"]) == self.families.of(source["category"])
                if other is not source and same and other["mask_ids"] != source["mask_ids"]:
                    distance = abs(self._centre(other) - self._centre(source))
                    if distance < self.rules.min_distance:
                        least = f"at least {self.rules.min_distance:g} of the width"
                        told = f"{distance:.3f} from {other['mask_ids'][0]}; {least}"
                        return Rejected(Reason.SOURCES_TOO_CLOSE, told)
        return None

    def _centre(self, source: dict[str, Any]) -> float:
        x, _, width, _ = source["bbox"]
        return (x + width / 2) / self.size[1]

    def _overlapping(self, sources: list[dict[str, Any]]) -> Rejected | None:
        """Why two of these masks may be one object under two labels."""
        for one, other in combinations(sources, 2):
            common = masks.overlap_px(
                *({"size": self.size, "counts": each["counts"]} for each in (one, other))
            )
            share = common / min(one["area_px"], other["area_px"])
            if share > self.rules.max_overlap:
                told = f"{one['category']} and {other['category']} have {share:.2f} of the smaller in common"
                return Rejected(Reason.SOURCES_OVERLAP, f"{told}; at most {self.rules.max_overlap:g}")
        return None

    def _scene(self, kind: str, sources: list[dict[str, Any]], fault: Rejected | None) -> dict[str, Any]:
        sample_id = self._id(sources) if sources else ""
        return {
            **{name: self.first[name] for name in _PHOTO},
            "key": format.key_of(sample_id),
            "sample_id": sample_id,
            "category": "+".join(sorted({source["category"] for source in sources})),
            "kind": kind,
            "sources": sources,
            "absent": [],
            "off_screen": 0,
            "fault": fault.reason.value if fault else None,
            "fault_detail": fault.detail if fault else None,
        }

    def _objects(self, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Each object of a candidate as a source of its own."""
        for mask_id, counts in zip(row["mask_ids"], row["instances"], strict=True):
            rle = {"size": self.size, "counts": counts}
            yield {
                **_whole(row),
                "sample_id": format.sample_id(row["image_id"], row["category"], mask_id),
                "mask_ids": [mask_id],
                "counts": counts,
                "instances": [counts],
                "area_px": masks.area_px(rle),
                "bbox": list(masks.bbox(rle)),
            }


def _whole(row: dict[str, Any]) -> dict[str, Any]:
    """A candidate as one source: all its objects sound."""
    return {
        **{field.name: row.get(field.name) for field in SOURCE},
        "bbox": [row[f"bbox_{side}"] for side in "xywh"],
    }
