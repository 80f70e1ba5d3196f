"""README.md of a version: the Hub's front matter, then what a person needs to know before using the dataset."""

import html
import json
import re
from collections import Counter

from pipelines.corpora import registry
from pipelines.judge.quality import interval, sentences
from pipelines.judge.results import PUBLISHED
from pipelines.publish.attribution import annotation_licence, licence_url
from pipelines.publish.facts import Facts
from pipelines.recipes import recipe
from shards import format
from shards.terminal import size

_MARKUP = re.compile(r"[<>&\\`*\[\]|\n\r\t]")
LICENCES = "LICENSE.md"  # the name that the Hub links to
_LONG = 30  # categories: a longer table is folded
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def card(facts: Facts) -> str:
    """README.md."""
    sections = [
        _front_matter(facts),
        _head(facts),
        _loading(facts),
        _composition(facts),
        _quality(facts),
        _leaks(facts),
        _making(facts),
        _licences(facts),
        _limits(facts),
        _cite(facts),
    ]
    return "\n".join(sections)


def _front_matter(facts: Facts) -> str:
    size = next((name for limit, name in _SIZES if facts.samples < limit), "n>1M")
    lines = [
        "---",
        f"pretty_name: {json.dumps(facts.manifest.name)}",
        "license: other",
        "license_name: per-sample",
        f"license_link: {LICENCES}",
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
        lines += ["- config_name: pool", "  data_files:", "  - split: clips", "    path: pool/*.tar"]
    return "\n".join([*lines, "---", ""])


def _head(facts: Facts) -> str:
    made = facts.manifest
    table = ["| split | samples | categories | shards |", "|---|---:|---:|---:|"]
    for split in facts.splits:
        count = made.counts[split]
        shards = sum(entry.split == split for entry in made.shards)
        table.append(f"| {split} | {count['samples']:,} | {len(count['categories']):,} | {shards:,} |")
    joined = (
        "Photos and masks come from segmentation corpora, sounds from audio corpora; they are joined by category, so "
        "nobody annotated a sample by hand."
        if facts.joined
        else "Photos, masks, sounds and splits are those of a published dataset, brought into shards."
    )
    what = (
        "photos, each with a sound and the mask of what sounds in it, nothing where no source is seen"
        if facts.kinds
        else "triplets of a photo, the mask of what sounds in it, and a sound of it"
    )
    text = (
        f"# {cell(made.name)} {facts.version}\n\n"
        f"{facts.samples:,} {what}: {len(facts.categories)} categories. {joined}\n\n"
        + "\n".join(table)
        + "\n"
    )
    if facts.picture:
        text += f"\n![Some samples: the photo, what sounds tinted and outlined]({facts.picture})\n"
    beside = "`CHANGELOG.md` tells what changed, `croissant.json` describes all files, `statistics.html` pictures them"
    if facts.has_availability:
        beside += ", `availability.parquet` says which sources were alive when"
    return f"{text}\n{beside}. The shards and tables take {size(facts.bytes)}.\n"


def _loading(facts: Facts) -> str:
    if facts.profile.reference_only:
        return (
            "## Load it\n\nThis is a reference-only edition: the sounds are not in it, only their YouTube ids, times "
            "and hashes.\n"
            "Fetch the clips yourself, then rebuild the full shards, byte for byte:\n\n"
            "```sh\n"
            f"avs-data rehydrate {facts.place} --corpora CORPORA --out DATASET\n"
            "```\n"
        )
    split = facts.splits[0]
    shards = [entry for entry in facts.manifest.shards if entry.split == split]
    last = int(shards[-1].path.rsplit("-", 1)[1].removesuffix(".tar"))
    names = f"{split}/{split}-{{000000..{last:06d}}}.tar" if len(shards) == last + 1 else f"{split}/*.tar"
    hub, url, first, here = facts.hub, facts.place, "", "With"
    if url == ".":
        here = "In the folder of this file, with"
    elif not hub:  # `datasets` cannot stream from s3fs, so both loaders read a copy
        plain = re.sub(r"[^\w.-]+", "-", facts.manifest.name)  # people paste it into a shell, and into Python
        folder = f"{plain.lstrip('-')}-{facts.version}"
        copy = "aws s3 sync" if url.startswith("s3://") else "gcloud storage rsync --recursive"
        first = f"\nFor `webdataset` and `datasets`, copy it first: `{copy} {url} {folder}`.\n"
        url = folder
    base = f"https://huggingface.co/datasets/{hub}/resolve/{facts.version}" if hub else url
    if hub:
        where = f'"path": "{hub}",\n    "revision": "{facts.version}",\n    "split": "{_hub_split(split)}"'
    else:
        files = f'{{"{split}": "{url}/{split}/*.tar"}}'
        where = f'"path": "webdataset",\n    "data_files": {files},\n    "split": "{split}"'
    pool = len(facts.manifest.pool_shards)
    clips = f"{pool:,} shard{'s' * (pool != 1)}"
    return f"""## Load it

{_members(facts)}
{first}
{here} `pip install webdataset`{" (and curl)" if hub else ""}:

```python
import webdataset

samples = webdataset.WebDataset("{base}/{names}", shardshuffle=False)
sample = next(iter(samples))  # bytes under "flac", "jpg", "json", "mask.png"
```

With `pip install datasets pillow`; `features` leaves sounds as FLAC bytes, without it `datasets[audio]` decodes them:

```python
from datasets import Features, Value, load_dataset

where = {{
    {where},
    "streaming": True,
}}
features = Features({{**load_dataset(**where).features, "flac": Value("binary")}})
sample = next(iter(load_dataset(**where, features=features)))
# sample["jpg"] is the photo, sample["flac"] the bytes of a FLAC file
```

With this project's reader (`pip install .` from its checkout), which also reads single members by offset:

```python
from shards.reader import Dataset

samples = Dataset("{facts.place}").samples("{split}")
sample = next(samples)
```

Training may hear another clip of the same split and category each epoch: all of them are in `pool/` ({clips}). A clip's
own split is in its JSON and in `pool.parquet`; those of `val` and `test` are for measuring alone.

`avs-data export` writes COCO's and FiftyOne's formats.
"""


def cell(text: str) -> str:
    """A name from the dataset as Markdown shows it, in a table or not: no HTML, no link, on one line."""
    if not _MARKUP.search(text):
        return text
    return re.sub(r"([\\`*\[\]|])", r"\\\1", html.escape(" ".join(text.split()), quote=False))


def _fence(text: str) -> str:
    """More backticks than any run of them in the text."""
    return "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))


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
        table.append(f"| {cell(name)} | {' | '.join(numbers)} |")
    if facts.kinds:
        kinds = ", ".join(f"{name} {number:,}" for name, number in facts.kinds.items())
        table.insert(0, f"Kinds: {kinds}. A sample counts for each category that is seen and heard in it.\n")
    told = [
        f"{what} come from: {', '.join(f'{_title(name)} ({number:,})' for name, number in corpora.items())}."
        for what, corpora in (("Photos and masks", facts.image_corpora), ("Sounds", facts.audio_corpora))
    ]
    if facts.mask_sources:
        drawn = ", ".join(f"{name or 'no mask'} ({number:,})" for name, number in facts.mask_sources.items())
        told.append(f"Masks were drawn by: {drawn}; nobody has judged those of the model, sam.")
    text = "\n".join(table) + "\n"
    if len(facts.categories) > _LONG:
        text = f"<details><summary>Samples of each category</summary>\n\n{text}\n</details>\n"
    return f"## What is in it\n\n{' '.join(told)}\n\n{text}"


def _title(corpus: str) -> str:
    """What people call a corpus; one that is only imported, or no longer known, by its name."""
    known = registry.corpora().get(corpus)
    return cell(known.title if known else corpus)


def _quality(facts: Facts) -> str:
    found = facts.quality
    text = "## How good it is\n\n" + " ".join(map(cell, sentences(found))) + "\n"
    if found is None or found.overall is None:
        return text
    table = ["| stratum | samples | judged | right (95 % interval) |", "|---|---:|---:|---:|"]
    table += [
        f"| {cell(name)} | {counts.population:,} | {counts.told:,} | {interval(told)} |"
        for name, (counts, told) in found.strata.items()
        if told
    ]
    return text + "\n" + "\n".join(table) + f"\n\n`{PUBLISHED}` has every judgement.\n"


def _leaks(facts: Facts) -> str:
    checked = {entry["list"].rsplit("/", 1)[-1]: entry for entry in facts.checked}
    listed = [entry for entry in facts.manifest.held_out if entry["list"].rsplit("/", 1)[-1] not in checked]
    table = ["| list of videos | videos | heard in its training |", "|---|---:|---|"]
    for entry in [*listed, *facts.checked]:
        told = "0, when it was published" if entry in facts.checked else "0, as it was built"
        videos = entry["videos"]
        numbers = "not there | not checked" if videos is None else f"{videos:,} | {told}"
        table.append(f"| {cell(entry['list'])} | {numbers} |")
    if len(table) == 2:
        table = ["No list of videos that training must not hear was given: not checked."]
    text = "## Leaks\n\nNo photograph and no video is in two of its splits.\n\n" + "\n".join(table) + "\n"
    own = [
        f"- {cell(entry['list'])}: {shared:,} of its {rows:,} rows of {split} are of a video that its own train has"
        for entry in [*listed, *facts.checked]
        for split, (shared, rows) in sorted(entry.get("own_leaks", {}).items())
    ]
    if own:
        text += (
            "\nLists that leak in themselves; a model that is trained on those knows them:\n\n"
            + "\n".join(own)
            + "\n"
        )
    return text


def _making(facts: Facts) -> str:
    made = facts.manifest
    lines = []
    for step in made.funnel:
        rejected = ", ".join(f"{reason} {number:,}" for reason, number in step["rejected"].items()) or "none"
        lines.append(f"| {step['stage']} | {step['unit']} | {step['in']:,} | {step['kept']:,} | {rejected} |")
    versions = ", ".join(f"{name} {version}" for name, version in sorted(made.code.items()))
    fence = _fence(made.recipe["text"])
    return (
        "## How it was made\n\n"
        + (
            f"Label map {made.label_map['name']} {made.label_map['version']}, seed {made.seed}. A photo's split is a "
            "hash of the photograph under all its names; a held-out or official test video is heard in val and test "
            "alone. "
            if facts.joined
            else "Imported as it was published. "
        )
        + f"The same recipe, label map and media give the same bytes with: {versions}.\n\n"
        "| stage | of | in | kept | rejected |\n|---|---|---:|---:|---|\n"
        + "\n".join(lines)
        + f"\n\n<details><summary>The recipe</summary>\n\n{fence}toml\n{made.recipe['text'].rstrip()}\n{fence}\n"
        "</details>\n"
    )


def licences(facts: Facts) -> str:
    """LICENSE.md, to which the Hub links beside the title."""
    return "#" + _licences(facts).removeprefix("##")


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
    masks = sorted({licence for name in facts.image_corpora if (licence := annotation_licence(name))})
    drawn = ", ".join(f"[{name}]({licence_url(name)})" for name in masks)
    of = ", ".join(_title(name) for name in facts.image_corpora if annotation_licence(name))
    lines = [
        f"| {what} | {facts.known[column]:,} of {of_all:,} |"
        for what, column, of_all in (
            ("a photo's author", "image_author", facts.samples),
            ("its page at Flickr, which names the author", "image_page", facts.samples),
            ("a photo's address", "image_url", facts.samples),
            ("a sound's author", "audio_author", facts.clips),
            ("a sound's address", "audio_url", facts.clips),
        )
    ]
    return (
        f"## Licences\n\n{text}Rights are per sample, in `attribution.parquet`. A licence is what the corpus says; "
        "*unknown* is not free: the corpus says nothing.\n\n"
        f"| photos | samples |\n|---|---:|\n{rows(facts.image_licences)}\n\n"
        f"| sounds | clips heard |\n|---|---:|\n{rows(facts.audio_licences)}\n\n"
        + (f"The masks of {of} are under {drawn}.\n\n" if masks else "")
        + "| `attribution.parquet` knows | of samples |\n|---|---:|\n"
        + "\n".join(lines)
        + "\n\nWhoever owns a photo or video can have it taken out: the next patch version is without it, and no later "
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
    apart = (
        "Photo and sound were not recorded together: a sample says that such a thing makes such a sound, not that this "
        "one does."
    )
    limits = [
        *([apart] if facts.joined else []),
        "A mask joins what its corpus annotated; what the annotators missed, or a sound whose source is out of view, "
        "is not marked.",
        "Sounds may hold speech or other sources besides the named one.",
        "Photos and sounds show the world as their uploaders do: places, people and classes are not evenly there.",
    ]
    if rare:
        limits.append(f"Fewer than 10 samples: {', '.join(map(cell, sorted(rare)))}.")
    if not facts.profile.reference_only:
        limits.append(
            "Sounds of YouTube videos can vanish at their source; they stay here until somebody asks."
        )
    return (
        "## Known limits\n\n" + "\n".join(f"- {limit}" for limit in limits) + "\n\n"
        "## Uses\n\nMade for training and testing audio-visual segmentation. Not for identifying people, and not for "
        "judging how common anything is.\n"
    )


def _cite(facts: Facts) -> str:
    lines = [
        f"- {'; '.join(work['authors'])}: [{work['title']}]({work['url']}). {work['venue']}, {work['year']}."
        for work in facts.works
    ]
    return (
        "## Cite\n\nThis version as `CITATION.cff` says, and the works that it comes from:\n\n"
        + "\n".join(lines)
        + "\n"
    )
