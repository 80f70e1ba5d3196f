"""README.md of a version: the Hub's front matter, then what a person needs to know before using the dataset."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from pipelines.publish.attribution import licence_url
from pipelines.publish.edition import Profile
from pipelines.recipes import recipe
from shards import format
from shards.manifest import Manifest

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


@dataclass(frozen=True)
class Facts:
    """What the card, the citation and Croissant say of an edition.

    `url`: the version's place. `image_licences`, `audio_licences`: samples per licence ("unknown": none is recorded).
    """

    manifest: Manifest
    version: str
    url: str
    profile: Profile
    image_licences: dict[str, int]
    audio_licences: dict[str, int]
    corpora: dict[str, int]
    bytes: int
    has_availability: bool
    kinds: dict[str, int]  # samples per kind, of scenes

    @property
    def samples(self) -> int:
        return sum(self.manifest.counts[split]["samples"] for split in format.SPLITS)

    @property
    def categories(self) -> tuple[str, ...]:
        counts = self.manifest.counts
        return tuple(sorted({name for split in format.SPLITS for name in counts[split]["categories"]}))

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(split for split in format.SPLITS if self.manifest.counts[split]["samples"])

    @property
    def hub(self) -> str | None:
        """ORG/NAME where the version is on the Hugging Face Hub."""
        if not self.url.startswith("hf://datasets/"):
            return None
        return self.url.removeprefix("hf://datasets/").split("@")[0].rstrip("/")


def card(facts: Facts) -> str:
    """README.md."""
    sections = [
        _front_matter(facts),
        _head(facts),
        _loading(facts),
        _composition(facts),
        _making(facts),
        _licences(facts),
        _limits(facts),
    ]
    return "\n".join(sections)


def _front_matter(facts: Facts) -> str:
    size = next((name for limit, name in _SIZES if facts.samples < limit), "n>1M")
    lines = [
        "---",
        f"pretty_name: {json.dumps(facts.manifest.name)}",
        "license: other",
        "license_name: per-sample",
        "license_link: attribution.parquet",
        "task_categories: [image-segmentation, audio-classification]",
        f"size_categories: [{json.dumps(size)}]",
        "tags: [audio-visual, segmentation, webdataset, croissant]",
        "configs:",
        "- config_name: default",
        "  default: true",
        "  data_files:",
    ]
    for split in facts.splits:
        lines += [f"  - split: {'validation' if split == 'val' else split}", f"    path: {split}/*.tar"]
    if not facts.profile.reference_only:
        lines += ["- config_name: pool", "  data_files:", "  - split: train", "    path: pool/*.tar"]
    return "\n".join([*lines, "---", ""])


def _head(facts: Facts) -> str:
    made = facts.manifest
    table = ["| split | samples | categories | shards |", "|---|---:|---:|---:|"]
    for split in facts.splits:
        count = made.counts[split]
        shards = sum(entry.split == split for entry in made.shards)
        table.append(f"| {split} | {count['samples']:,} | {len(count['categories']):,} | {shards:,} |")
    what = (
        "photos, each with a sound and the mask of what sounds in it, nothing where no source is seen"
        if facts.kinds
        else "triplets of a photo, the mask of what sounds in it, and a sound of it"
    )
    text = (
        f"# {made.name} {facts.version}\n\n"
        f"{facts.samples:,} {what}: "
        f"{len(facts.categories)} categories. Photos and masks come from segmentation corpora, sounds "
        "from an audio corpus; they are joined by "
        "category, so nobody annotated a sample by hand.\n\n" + "\n".join(table) + "\n"
    )
    beside = "`CHANGELOG.md` tells what changed, `croissant.json` describes all files, `statistics.html` pictures them"
    if facts.has_availability:
        beside += ", `availability.parquet` says which sources were alive when"
    return f"{text}\n{beside}. The shards and tables take {facts.bytes:,} bytes.\n"


def _loading(facts: Facts) -> str:
    if facts.profile.reference_only:
        return (
            "## Load it\n\nThis is a reference edition: the sounds are not in it, only their YouTube ids, times and "
            "hashes.\n"
            "Fetch the clips yourself, then rebuild the full shards, byte for byte:\n\n"
            "```sh\n"
            f"avs-data rehydrate {facts.url} --corpora CORPORA --out DATASET\n"
            "```\n"
        )
    split = facts.splits[0]
    shards = [entry for entry in facts.manifest.shards if entry.split == split]
    last = int(shards[-1].path.rsplit("-", 1)[1].removesuffix(".tar"))
    names = f"{split}/{split}-{{000000..{last:06d}}}.tar" if len(shards) == last + 1 else f"{split}/*.tar"
    hub, url, first = facts.hub, facts.url, ""
    if "://" in url and not hub:  # `datasets` cannot stream from s3fs, so both loaders read a copy
        folder = f"{facts.manifest.name}-{facts.version}"
        copy = "aws s3 sync" if url.startswith("s3://") else "gcloud storage rsync --recursive"
        first = f"\nFor `webdataset` and `datasets`, copy it first: `{copy} {url} {folder}`.\n"
        url = folder
    if hub:
        base = f"https://huggingface.co/datasets/{hub}/resolve/{facts.version}"
        load = (
            f'load_dataset("{hub}", revision="{facts.version}", split="{_hub_split(split)}", streaming=True)'
        )
    else:
        base = url
        load = (
            f'load_dataset("webdataset", data_files={{"{split}": "{url}/{split}/*.tar"}}, '
            f'split="{split}", streaming=True)'
        )
    return f"""## Load it

{_members(facts)}
{first}
With `webdataset`:

```python
import webdataset
samples = webdataset.WebDataset("{base}/{names}", shardshuffle=False)
sample = next(iter(samples))  # bytes under "flac", "jpg", "json", "mask.png"
```

With `datasets`:

```python
from datasets import load_dataset
samples = {load}
sample = next(iter(samples))  # photos and sounds decoded; sounds need `datasets[audio]`
```

With the project's reader, which also reads single members by offset:

```python
from shards.reader import Dataset
samples = Dataset("{facts.url}").samples("{split}")
sample = next(samples)
```

`avs-data export` writes COCO's and FiftyOne's formats.
"""


def _members(facts: Facts) -> str:
    made = recipe.recorded(facts.manifest)
    stereo = made is not None and bool(made.scene.targets) and made.scene.sound.stereo
    told = (
        f"A sample is `KEY.flac` (16 kHz {'stereo' if stereo else 'mono'}), `KEY.jpg`, `KEY.json` (its record) and "
        "`KEY.mask.png` (0 or 255)."
    )
    if "classes" not in facts.manifest.targets:
        return told
    return (
        f"{told} `KEY.classes.png` has the number of the class that sounds at each pixel: 0 none, 255 ignore, else its "
        "place in `classes` of `manifest.json`, which begins with 1."
    )


def _hub_split(split: str) -> str:
    return "validation" if split == "val" else split


def _composition(facts: Facts) -> str:
    counts = facts.manifest.counts
    table = [f"| category | {' | '.join(facts.splits)} |", "|---|" + "---:|" * len(facts.splits)]
    for name in facts.categories:
        numbers = [str(counts[split]["categories"].get(name, 0)) for split in facts.splits]
        table.append(f"| {name} | {' | '.join(numbers)} |")
    corpora = ", ".join(f"{name} ({number:,})" for name, number in facts.corpora.items())
    if facts.kinds:
        kinds = ", ".join(f"{name} {number:,}" for name, number in facts.kinds.items())
        table.insert(0, f"Kinds: {kinds}. A sample counts for each category that is seen and heard in it.\n")
    return f"## What is in it\n\nPhotos and masks come from: {corpora}.\n\n" + "\n".join(table) + "\n"


def _making(facts: Facts) -> str:
    made = facts.manifest
    lines = []
    for step in made.funnel:
        rejected = ", ".join(f"{reason} {number:,}" for reason, number in step["rejected"].items()) or "none"
        lines.append(f"| {step['stage']} | {step['unit']} | {step['in']:,} | {step['kept']:,} | {rejected} |")
    versions = ", ".join(f"{name} {version}" for name, version in sorted(made.code.items()))
    return (
        "## How it was made\n\n"
        f"Label map {made.label_map['name']} {made.label_map['version']}, seed {made.seed}. A photo's split is a hash "
        "of the photograph under all its names; a held-out or official test video is heard in val and test "
        f"alone. The same recipe, label map and media give the same bytes with: {versions}.\n\n"
        "| stage | of | in | kept | rejected |\n|---|---|---:|---:|---|\n"
        + "\n".join(lines)
        + f"\n\n<details><summary>The recipe</summary>\n\n```toml\n{made.recipe['text'].rstrip()}\n```\n</details>\n"
    )


def _licences(facts: Facts) -> str:
    def rows(counts: dict[str, int]) -> str:
        found = []
        for name, number in counts.items():
            url = licence_url(name)
            found.append(f"| {f'[{name}]({url})' if url else name} | {number:,} |")
        return "\n".join(found)

    text = ""
    if facts.profile.licences:
        text = f"Only samples whose photo and sound are under: {', '.join(facts.profile.licences)}.\n\n"
    return (
        f"## Licences\n\n{text}Rights are per sample: `attribution.parquet` names author, source and licence of every "
        "photo and sound. The masks of LVIS and Open Images are CC BY 4.0.\n\n"
        f"| photos | samples |\n|---|---:|\n{rows(facts.image_licences)}\n\n"
        f"| sounds | samples |\n|---|---:|\n{rows(facts.audio_licences)}\n\n"
        "Whoever owns a photo or video can have it taken out: the next patch version is without it, and no later "
        "version brings it back.\n"
    )


def _limits(facts: Facts) -> str:
    counts = Counter(
        {
            name: sum(facts.manifest.counts[split]["categories"].get(name, 0) for split in format.SPLITS)
            for name in facts.categories
        }
    )
    rare = [name for name, number in counts.items() if number < 10]
    lists = [entry for entry in facts.manifest.held_out if entry["videos"] is not None]
    limits = [
        "Photo and sound were not recorded together: a sample says that such a thing makes such a sound, not that this "
        "one does.",
        "A mask joins what its corpus annotated; what the annotators missed, or a sound whose source is out of view, "
        "is not marked.",
        "Sounds are from videos and may hold speech or other sources besides the named one.",
        "Photos and videos show the world as their uploaders do: places, people and classes are not evenly there.",
    ]
    if rare:
        limits.append(f"Fewer than 10 samples: {', '.join(sorted(rare))}.")
    if lists:
        told = ", ".join(f"{entry['list']} ({entry['videos']:,} videos)" for entry in lists)
        limits.append(f"Not heard in training: {told}.")
    if not facts.profile.reference_only:
        limits.append(
            "Sounds of YouTube videos can vanish at their source; they stay here until somebody asks."
        )
    return (
        "## Known limits\n\n" + "\n".join(f"- {limit}" for limit in limits) + "\n\n"
        "## Uses\n\nMade for training and testing audio-visual segmentation. Not for identifying people, and not for "
        "judging how common anything is.\n"
    )


def citation(facts: Facts) -> str:
    """CITATION.cff, format 1.2.0."""
    lines = [
        "cff-version: 1.2.0",
        "message: If you use this dataset, please cite it as below.",
        "type: dataset",
        f"title: {json.dumps(facts.manifest.name)}",
        f"version: {json.dumps(facts.version)}",
        "authors:",
        f"- name: {json.dumps('The makers of ' + facts.manifest.name)}",
        f"url: {json.dumps(facts.url)}" if "://" in facts.url and facts.url.startswith("http") else "",
        "identifiers:",
        "- type: other",
        f"  value: {json.dumps('sha256:' + facts.manifest.recipe['sha256'])}",
        "  description: sha256 of the recipe that it is built from",
    ]
    return "\n".join(line for line in lines if line) + "\n"


def counted(values: list[Any]) -> dict[str, int]:
    """Values, most frequent first; None as "unknown"."""
    found = Counter("unknown" if value is None else str(value) for value in values)
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
