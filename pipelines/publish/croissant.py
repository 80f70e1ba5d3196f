"""`croissant.json`: every file with its sha256, and record sets whose splits can be selected (Croissant 1.1).

Format: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html
"""

import json
from collections.abc import Iterable
from typing import Any

from pipelines.judge.quality import sentences
from pipelines.publish.attribution import annotation_licence, licence_url
from pipelines.publish.edition import File
from pipelines.publish.facts import Facts
from shards import format

CROISSANT = "croissant.json"
UNKNOWN = "unknown for some samples: attribution.parquet has what the corpora say of each"
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "equivalentProperty": "cr:equivalentProperty",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_COLUMNS = {  # columns of samples.parquet that a record has
    "key": "The sample's name in its shard.",
    "sample_id": "Image id and category.",
    "split": "train, val or test.",
    "category": "What sounds and is masked.",
    "shard": "The tar that holds it.",
    "image_id": "The photo in its corpus.",
    "clip_id": "The sound in its corpus.",
    "video_id": "The video that the sound is from.",
    "width": "Pixels.",
    "height": "Pixels.",
    "area_px": "Pixels of the mask.",
    "duration_s": "Seconds of sound.",
    "image_licence": "Licence of the photo.",
    "audio_licence": "Licence of the sound.",
}
_OF_SCENES = {
    "kind": "What is heard: single, mixture, silence, noise, off_screen, recording.",
    "category": "All that is seen and heard, joined by +; empty where nothing that is seen sounds.",
}
_INTEGERS, _FLOATS = {"width", "height", "area_px"}, {"duration_s"}


def croissant(facts: Facts, files: Iterable[File]) -> bytes:
    """The description of an edition; paths are relative to the file itself, but on the Hub, where they are URLs."""
    base = f"https://huggingface.co/datasets/{facts.hub}/resolve/{facts.version}/" if facts.hub else ""
    objects = [
        {
            "@type": "cr:FileObject",
            "@id": file.path,
            "name": file.path,
            "contentUrl": base + file.path,
            "contentSize": f"{file.bytes} B",
            "encodingFormat": _encoding(file.path),
            "sha256": file.sha256,
        }
        for file in sorted(files, key=lambda file: file.path)
    ]
    sets = [
        {
            "@type": "cr:FileSet",
            "@id": f"{split}-{kind}-in-shards",
            "name": f"{split}-{kind}-in-shards",
            "containedIn": [{"@id": entry.path} for entry in facts.manifest.shards if entry.split == split],
            "encodingFormat": encoding,
            "includes": pattern,
        }
        for split in facts.splits
        for kind, encoding, pattern in _members(facts)
    ]
    media = [_media(split, kind) for split in facts.splits for kind, _, _ in _members(facts)]
    names = {**facts.image_licences, **facts.audio_licences}
    drawn = [licence for name in facts.image_corpora if (licence := annotation_licence(name))]
    licences = [url for name in (*names, *drawn) if (url := licence_url(name))]
    unknown = any(licence_url(name) is None for name in names)
    record: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": facts.manifest.name,
        "version": facts.version,
        "description": (
            f"{facts.samples} triplets of a photo, the mask of what sounds in it, and a sound of it, in "
            f"{len(facts.categories)} categories. Rights are per sample, in attribution.parquet."
        ),
        "url": facts.hub_url if facts.hub else f"urn:avs:{facts.manifest.name}:{facts.version}",
        "license": [*sorted(set(licences)), *([UNKNOWN] if unknown else [])],
        "citeAs": f"{facts.manifest.name}, version {facts.version}, recipe sha256 {facts.manifest.recipe['sha256']}; "
        + "; ".join(f"{work['title']}, {work['year']}" for work in facts.works),
        "isBasedOn": [work["url"] for work in facts.works],
        "rai:dataAnnotationAnalysis": sentences(facts.quality),
        "keywords": ["audio-visual segmentation", *facts.categories],
        "distribution": [*objects, *sets],
        "recordSet": [_splits(facts), _samples(facts), *media],
    }
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    return text.replace("<", "\\u003c").encode()  # sites put it into their pages as it is


def _members(facts: Facts) -> list[tuple[str, str, str]]:
    """(kind, encoding, pattern of the names) of what is in a shard."""
    found = [
        ("photos", "image/jpeg", "*.jpg"),
        ("masks", "image/png", "*.mask.png"),
        ("records", "application/json", "*.json"),
    ]
    if "classes" in facts.manifest.targets:
        found.append(("classes", "image/png", f"*.{format.CLASSES}"))
    return found if "audio" in facts.profile.reference_only else [*found, ("sounds", "audio/flac", "*.flac")]


def _encoding(path: str) -> str:
    return {
        "tar": "application/x-tar",
        "parquet": "application/x-parquet",
        "json": "application/json",
        "md": "text/markdown",
        "png": "image/png",
        "html": "text/html",
    }.get(path.rsplit(".", 1)[-1], "text/plain")


def _splits(facts: Facts) -> dict[str, Any]:
    uses = {"train": "TrainingSplit", "val": "ValidationSplit", "test": "TestSplit"}
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [
            _field("splits/name", "sc:Text", "The split."),
            _field("splits/url", "sc:URL", "What it is for."),
        ],
        "data": [
            {"splits/name": name, "splits/url": f"http://mlcommons.org/croissant/{uses[name]}"}
            for name in facts.splits
        ],
    }


def _samples(facts: Facts) -> dict[str, Any]:
    fields = []
    columns = _COLUMNS | (_OF_SCENES if facts.manifest.targets else {})
    if facts.manifest.mask_sources:
        columns["mask_source"] = "Who drew the mask: human, sam, or human+sam of a union of both."
    for name, description in columns.items():
        dtype = "sc:Integer" if name in _INTEGERS else "sc:Float" if name in _FLOATS else "sc:Text"
        source = {"fileObject": {"@id": format.SAMPLES}, "extract": {"column": name}}
        field = {**_field(f"samples/{name}", dtype, description), "source": source}
        if name == "split":
            field["references"] = {"field": {"@id": "splits/name"}}
        fields.append(field)
    return {
        "@type": "cr:RecordSet",
        "@id": "samples",
        "name": "samples",
        "description": "One record a sample.",
        "key": {"@id": "samples/key"},
        "field": fields,
    }


def _media(split: str, kind: str) -> dict[str, Any]:
    """The members of one kind in one split: splits are selected by record set."""
    name = f"{split}-{kind}"
    source = {"fileSet": {"@id": f"{name}-in-shards"}}
    images = dict.fromkeys(("photos", "masks", "classes"), "sc:ImageObject")
    dtype = {**images, "sounds": "sc:AudioObject"}
    key = {
        **source,
        "extract": {"fileProperty": "filename"},
        "transform": {"regex": r"([0-9a-f]{20})\."},
    }
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "key": {"@id": f"{name}/key"},
        "field": [
            {**_field(f"{name}/key", "sc:Text", "The sample's key."), "source": key},
            {
                **_field(f"{name}/content", dtype.get(kind, "sc:Text"), "The member's content."),
                "source": {**source, "extract": {"fileProperty": "content"}},
            },
        ],
    }


def _field(name: str, dtype: str, description: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": name,
        "name": name,
        "description": description,
        "dataType": dtype,
    }
